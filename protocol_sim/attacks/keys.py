"""Attacks on keys: the colluding gateway's own, and those that it signs for others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from protocol_sim.attacks.attack import Attack, Stage, before
from protocol_sim.attacks.attacker import Attacker, CannotAttack, replace
from protocol_sim.attacks.follow import own
from protocol_sim.attacks.requests import items, swapped
from protocol_sim.randomness import entropy
from secagg.canonical import decode
from secagg.crypto.agreement import public_key
from secagg.crypto.labels import Label
from secagg.params import Struct
from secagg.protocol.messages import Announce, Signed
from secagg.protocol.prekeys import Prekey
from secagg.schemes.additive.messages import UploadRequest
from secagg.schemes.masks.messages import AdvertiseKeys, ShareKeysRequest

LOW_ORDER: Final = bytes(32)
NOT_CANONICAL: Final = (2**255 - 19 + 9).to_bytes(32, "little")
"""The base point once more: u = 9 + p."""


def _list(message: Any) -> tuple[str, type[Any], Label]:
    """Where a request has everybody's keys, and what they are."""
    if isinstance(message, ShareKeysRequest):
        return "adverts", AdvertiseKeys, Label.SIGN_ADVERTISE
    if isinstance(message, UploadRequest):
        return "prekeys", Prekey, Label.SIGN_PREKEY
    raise CannotAttack("no keys in this request")


def _field(kind: type[Any]) -> str:
    return "mask_key" if kind is AdvertiseKeys else "key"


def _signed(attacker: Attacker, message: Any, name: str) -> Signed:
    """A gateway's key message, as this request has it."""
    known = items(attacker, message, _list(message)[0])
    if attacker.place(name) not in known:
        raise CannotAttack(f"no keys of {name}")
    signed: Signed = known[attacker.place(name)]
    return signed


def _with_key(attacker: Attacker, message: Any, key: bytes) -> Struct:
    """The colluding gateway advertises this key; in an announcement, the orchestrator does."""
    if isinstance(message, Announce):
        return attacker.with_session(message, orchestrator_key=key)
    name, kind, label = _list(message)
    body = decode(kind, _signed(attacker, message, attacker.colluder).body)
    signed = attacker.by_colluder(label, replace(body, **{_field(kind): key}))
    return swapped(attacker, message, name, {attacker.place(attacker.colluder): signed})


def _repeated(attacker: Attacker, message: Any) -> Struct:
    """The key of an honest gateway as that of the colluding one."""
    _, kind, _ = _list(message)
    spare = decode(kind, _signed(attacker, message, attacker.spare).body)
    return _with_key(attacker, message, getattr(spare, _field(kind)))


def _second_key(attacker: Attacker, message: Any) -> Struct:
    private = entropy("a second key", attacker.play.parties.seed)(32)
    return _with_key(attacker, message, public_key(private))


def _in_place_of(name_of: Callable[[Attacker], str]) -> Callable[[Attacker, Any], Struct]:
    """A gateway's keys replaced by some that the colluding gateway has signed."""

    def change(attacker: Attacker, message: Any) -> Struct:
        name, kind, label = _list(message)
        victim = name_of(attacker)
        body = decode(kind, _signed(attacker, message, victim).body)
        other = public_key(entropy("a foreign key", attacker.play.parties.seed)(32))
        signed = attacker.by_colluder(label, replace(body, **{_field(kind): other}))
        return swapped(attacker, message, name, {attacker.place(victim): signed})

    return change


def _old(attacker: Attacker, message: Any) -> Struct:
    """Keys that an honest gateway has signed for an earlier round."""
    name, _, _ = _list(message)
    before_this = attacker.old(attacker.phase)
    signed = _signed(attacker, before_this, attacker.spare)
    return swapped(attacker, message, name, {attacker.place(attacker.spare): signed})


KEYS: Final = (
    Attack(
        "second key",
        "The colluding gateway has another key for the victim alone: an h0 of its own.",
        own(_second_key),
    ),
    Attack(
        "foreign key",
        "An honest gateway's key is replaced by one that the colluding gateway signed.",
        before(_in_place_of(lambda attacker: attacker.spare)),
    ),
    Attack(
        "own key altered",
        "The victim's own key comes back as another.",
        before(_in_place_of(lambda attacker: attacker.victim)),
    ),
    Attack(
        "old key",
        "An honest gateway's key is one that it signed for an earlier round.",
        before(_old),
        stage=Stage(past=True),
    ),
    Attack(
        "repeated key",
        "The colluding gateway advertises the key of an honest one.",
        before(_repeated),
    ),
    Attack(
        "low-order key",
        "The orchestrator, or the colluding gateway, advertises a key of low order.",
        before(lambda attacker, message: _with_key(attacker, message, LOW_ORDER)),
    ),
    Attack(
        "non-canonical key",
        "The orchestrator, or the colluding gateway, advertises a key in a second spelling.",
        before(lambda attacker, message: _with_key(attacker, message, NOT_CANONICAL)),
    ),
)
