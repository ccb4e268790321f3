"""Lies about who takes part: U1, U2 and U3 of the liar's own."""

from __future__ import annotations

from typing import Any, Final

from protocol_sim.liars.behaviour import LARGE, Behaviour, Stage, after, before
from protocol_sim.liars.follow import own
from protocol_sim.liars.liar import CannotLie, Liar, Lie, replace
from protocol_sim.liars.requests import about, bits, field_of, lists, set_of, swapped
from secagg.params import Struct
from secagg.protocol.certificate import Certificate
from secagg.protocol.messages import Announce
from secagg.schemes.additive.messages import UploadRequest
from secagg.schemes.masks.messages import ConsistencyRequest, MaskedInputRequest, UnmaskingRequest
from secagg.session.loopback import Frame
from secagg.thresholds import neighbours


def _without_spare(liar: Liar, message: Any) -> Struct:
    spare = liar.place(liar.spare)
    return about(liar, message, set_of(liar, message) - {spare})


def _without_me(liar: Liar, message: Any) -> Struct:
    return about(liar, message, set_of(liar, message) - {liar.me})


def _thinned(liar: Liar, message: Any) -> Struct:
    """The victim and as many others as are one too few."""
    limits, shown = liar.limits, set_of(liar, message)
    floor = limits.min_included
    if isinstance(message, UploadRequest):
        floor = limits.committee - limits.max_dropouts
    others = sorted(shown - {liar.me})[: floor - 2]
    return about(liar, message, {liar.me, *others})


def _more_missing(liar: Liar, message: Any) -> Struct:
    """One more left out than may vanish."""
    most = len(liar.everybody) - liar.limits.max_dropouts - 1
    others = sorted(set_of(liar, message) - {liar.me})[: most - 1]
    return about(liar, message, {liar.me, *others})


def _not_subset(liar: Liar, message: Any) -> Struct:
    """Everybody, although somebody was not there before."""
    if set_of(liar, message) == frozenset(liar.everybody):
        raise CannotLie("everybody is there")
    return about(liar, message, liar.everybody)


def _wrong_size(_: Liar, message: Any) -> Struct:
    name = field_of(message)
    request: Struct = replace(message, **{name: getattr(message, name) + b"\xff"})
    return request


def _one_too_few(liar: Liar, message: Any) -> Struct:
    """A set, and one key, header or share less than its members."""
    for name in lists(liar, message, set_of(liar, message)):
        if getattr(message, name):
            request: Struct = replace(message, **{name: getattr(message, name)[:-1]})
            return request
    raise CannotLie("a set alone")


def _another(liar: Liar, message: Any) -> Struct:
    """A second request that would have been right as the first."""
    if isinstance(message, UnmaskingRequest):
        return UnmaskingRequest(certificate=_other_quorum(liar))
    if isinstance(message, Announce):
        return liar.with_session(message, round=message.params.round + 1)
    return _without_spare(liar, message)


def _other_quorum(liar: Liar) -> Certificate:
    """Good signatures of others than in the honest certificate: the last ones."""
    signed = {
        liar.place(name): each.signature
        for (name, step), each in liar.said.items()
        if step == "consistency"
    }
    signers = sorted(signed)[-liar.limits.quorum :]
    return Certificate(
        signers=bits(liar, signers), signatures=tuple(signed[place] for place in signers)
    )


def _cut_by_dropouts(liar: Liar, message: Any) -> Struct:
    return about(liar, message, set_of(liar, message) - neighbours(liar.limits, liar.me))


def _cut_by_dealers(liar: Liar) -> Lie:
    """One gateway gets a U2 without its neighbours; the victim, a neighbour, is to sign it in."""
    lonely = liar.name((liar.me + 1) % len(liar.everybody))

    def lie(frame: Frame) -> list[bytes]:
        if frame.up:
            return [frame.data]
        if (frame.gateway, frame.step) == (lonely, liar.phase):
            message = liar.open(frame.data)
            if not isinstance(message, MaskedInputRequest):
                raise CannotLie("no U2 in this request")
            near = neighbours(liar.limits, liar.place(lonely))
            far = bits(liar, set_of(liar, message) - near)
            return [liar.frame(replace(message, dealers=far, shares=()))]
        if (frame.gateway, frame.step) == (liar.victim, "consistency"):
            return [_with_lonely(liar, lonely, liar.open(frame.data))]
        return [frame.data]

    return lie


def _with_lonely(liar: Liar, lonely: str, message: Any) -> bytes:
    if not isinstance(message, ConsistencyRequest):
        raise CannotLie("no headers in this request")
    place = liar.place(lonely)
    request = about(liar, message, set_of(liar, message) | {place})
    header = liar.heard(lonely, "masked_input")
    return liar.frame(swapped(liar, request, "headers", {place: header}))


SETS: Final = (
    Behaviour(
        "own set",
        "The victim alone is shown a U1, U2 or U3 without one honest gateway, within the floors,"
        " and then asked on.",
        own(_without_spare),
    ),
    Behaviour(
        "left out", "The victim is asked about a set that it is not in.", before(_without_me)
    ),
    Behaviour(
        "thinned", "The set is one gateway smaller than the thresholds allow.", before(_thinned)
    ),
    Behaviour(
        "more missing",
        "A quorum is in U3, but one gateway more than may vanish is not.",
        before(_more_missing),
        Stage(limits={"max_dropouts": 1}),
    ),
    Behaviour(
        "not a subset",
        "The set has a gateway in it that was not there one step before.",
        before(_not_subset),
        Stage(absent=True),
    ),
    Behaviour("malformed set", "The bitmap of the set is of another size.", before(_wrong_size)),
    Behaviour(
        "one too few",
        "There is one key, header or share less than the set has members.",
        before(_one_too_few),
    ),
    Behaviour(
        "second question",
        "The honest request, and then another one that would have been right as the first.",
        after(_another),
    ),
    Behaviour(
        "cut by dropouts",
        f"With {LARGE} gateways, the victim's neighbours are left out of U3.",
        before(_cut_by_dropouts),
        large=frozenset({"masks"}),
    ),
    Behaviour(
        "cut by dealers",
        f"With {LARGE} gateways, one masks under a U2 without its neighbours, and they are"
        " asked to sign a U3 with it.",
        _cut_by_dealers,
        large=frozenset({"masks"}),
    ),
)
