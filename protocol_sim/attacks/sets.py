"""Attacks on who takes part: U1, U2 and U3 of the attacker's own."""

from __future__ import annotations

from typing import Any, Final

from protocol_sim.attacks.attack import LARGE, Attack, Stage, after, before
from protocol_sim.attacks.attacker import Attacker, CannotAttack, Hook, replace
from protocol_sim.attacks.follow import own
from protocol_sim.attacks.requests import about, bits, field_of, lists, set_of, swapped
from secagg.params import Struct
from secagg.protocol.certificate import Certificate
from secagg.protocol.messages import Announce
from secagg.schemes.additive.messages import UploadRequest
from secagg.schemes.masks.messages import ConsistencyRequest, MaskedInputRequest, UnmaskingRequest
from secagg.session.loopback import Frame
from secagg.thresholds import neighbours


def _without_spare(attacker: Attacker, message: Any) -> Struct:
    spare = attacker.place(attacker.spare)
    return about(attacker, message, set_of(attacker, message) - {spare})


def _without_me(attacker: Attacker, message: Any) -> Struct:
    return about(attacker, message, set_of(attacker, message) - {attacker.me})


def _thinned(attacker: Attacker, message: Any) -> Struct:
    """The victim and as many others as are one too few."""
    limits, shown = attacker.limits, set_of(attacker, message)
    floor = limits.min_included
    if isinstance(message, UploadRequest):
        floor = limits.committee - limits.max_dropouts
    others = sorted(shown - {attacker.me})[: floor - 2]
    return about(attacker, message, {attacker.me, *others})


def _more_missing(attacker: Attacker, message: Any) -> Struct:
    """One more left out than may vanish."""
    most = len(attacker.everybody) - attacker.limits.max_dropouts - 1
    others = sorted(set_of(attacker, message) - {attacker.me})[: most - 1]
    return about(attacker, message, {attacker.me, *others})


def _not_subset(attacker: Attacker, message: Any) -> Struct:
    """Everybody, although somebody was not there before."""
    if set_of(attacker, message) == frozenset(attacker.everybody):
        raise CannotAttack("everybody is there")
    return about(attacker, message, attacker.everybody)


def _wrong_size(_: Attacker, message: Any) -> Struct:
    name = field_of(message)
    request: Struct = replace(message, **{name: getattr(message, name) + b"\xff"})
    return request


def _one_too_few(attacker: Attacker, message: Any) -> Struct:
    """A set, and one key, header or share less than its members."""
    for name in lists(attacker, message, set_of(attacker, message)):
        if getattr(message, name):
            request: Struct = replace(message, **{name: getattr(message, name)[:-1]})
            return request
    raise CannotAttack("a set alone")


def _another(attacker: Attacker, message: Any) -> Struct:
    """A second request that would have been right as the first."""
    if isinstance(message, UnmaskingRequest):
        return UnmaskingRequest(certificate=_other_quorum(attacker))
    if isinstance(message, Announce):
        return attacker.with_session(message, round=message.claimed.round + 1)
    return _without_spare(attacker, message)


def _other_quorum(attacker: Attacker) -> Certificate:
    """Good signatures of others than in the honest certificate: the last ones."""
    signed = {
        attacker.place(name): each.signature
        for (name, step), each in attacker.said.items()
        if step == "consistency"
    }
    signers = sorted(signed)[-attacker.limits.quorum :]
    return Certificate(
        signers=bits(attacker, signers), signatures=tuple(signed[place] for place in signers)
    )


def _cut_by_dropouts(attacker: Attacker, message: Any) -> Struct:
    return about(
        attacker, message, set_of(attacker, message) - neighbours(attacker.limits, attacker.me)
    )


def _cut_by_dealers(attacker: Attacker) -> Hook:
    """One gateway gets a U2 without its neighbours; the victim, a neighbour, is to sign it in."""
    lonely = attacker.name((attacker.me + 1) % len(attacker.everybody))

    def hook(frame: Frame) -> list[bytes]:
        if frame.up:
            return [frame.data]
        if (frame.gateway, frame.step) == (lonely, attacker.phase):
            message = attacker.open(frame.data)
            if not isinstance(message, MaskedInputRequest):
                raise CannotAttack("no U2 in this request")
            near = neighbours(attacker.limits, attacker.place(lonely))
            far = bits(attacker, set_of(attacker, message) - near)
            return [attacker.frame(replace(message, dealers=far, shares=()))]
        if (frame.gateway, frame.step) == (attacker.victim, "consistency"):
            return [_with_lonely(attacker, lonely, attacker.open(frame.data))]
        return [frame.data]

    return hook


def _with_lonely(attacker: Attacker, lonely: str, message: Any) -> bytes:
    if not isinstance(message, ConsistencyRequest):
        raise CannotAttack("no headers in this request")
    place = attacker.place(lonely)
    request = about(attacker, message, set_of(attacker, message) | {place})
    header = attacker.answer_of(lonely, "masked_input")
    return attacker.frame(swapped(attacker, request, "headers", {place: header}))


SETS: Final = (
    Attack(
        "own set",
        "The victim alone is shown a U1, U2 or U3 without one honest gateway, within the floors,"
        " and then asked on.",
        own(_without_spare),
    ),
    Attack("left out", "The victim is asked about a set that it is not in.", before(_without_me)),
    Attack(
        "thinned", "The set is one gateway smaller than the thresholds allow.", before(_thinned)
    ),
    Attack(
        "more missing",
        "A quorum is in U3, but one gateway more than may vanish is not.",
        before(_more_missing),
        Stage(limits={"max_dropouts": 1}),
    ),
    Attack(
        "not a subset",
        "The set has a gateway in it that was not there one step before.",
        before(_not_subset),
        Stage(absent=True),
    ),
    Attack("malformed set", "The bitmap of the set is of another size.", before(_wrong_size)),
    Attack(
        "one too few",
        "There is one key, header or share less than the set has members.",
        before(_one_too_few),
    ),
    Attack(
        "second question",
        "The honest request, and then another one that would have been right as the first.",
        after(_another),
    ),
    Attack(
        "cut by dropouts",
        f"With {LARGE} gateways, the victim's neighbours are left out of U3.",
        before(_cut_by_dropouts),
        large=frozenset({"masks"}),
    ),
    Attack(
        "cut by dealers",
        f"With {LARGE} gateways, one masks under a U2 without its neighbours, and they are"
        " asked to sign a U3 with it.",
        _cut_by_dealers,
        large=frozenset({"masks"}),
    ),
)
