"""Lies about keys: those of a gateway on the liar's side, and those that it signs for others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from protocol_sim.liars.behaviour import Behaviour, Stage, before
from protocol_sim.liars.follow import own
from protocol_sim.liars.liar import CannotLie, Liar, replace
from protocol_sim.liars.requests import items, swapped
from protocol_sim.randomness import entropy
from secagg.crypto.agreement import public_key
from secagg.crypto.labels import Label
from secagg.encoding import decode
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
    raise CannotLie("no keys in this request")


def _field(kind: type[Any]) -> str:
    return "mask_key" if kind is AdvertiseKeys else "key"


def _signed(liar: Liar, message: Any, name: str) -> Signed:
    """A gateway's key message, as this request has it."""
    known = items(liar, message, _list(message)[0])
    if liar.place(name) not in known:
        raise CannotLie(f"no keys of {name}")
    signed: Signed = known[liar.place(name)]
    return signed


def _with_key(liar: Liar, message: Any, key: bytes) -> Struct:
    """The colluding gateway advertises this key; in an announcement, the orchestrator does."""
    if isinstance(message, Announce):
        return liar.with_session(message, orchestrator_key=key)
    name, kind, label = _list(message)
    body = decode(kind, _signed(liar, message, liar.colluder).body)
    signed = liar.by_colluder(label, replace(body, **{_field(kind): key}))
    return swapped(liar, message, name, {liar.place(liar.colluder): signed})


def _repeated(liar: Liar, message: Any) -> Struct:
    """The key of an honest gateway as that of the colluding one."""
    _, kind, _ = _list(message)
    spare = decode(kind, _signed(liar, message, liar.spare).body)
    return _with_key(liar, message, getattr(spare, _field(kind)))


def _second_key(liar: Liar, message: Any) -> Struct:
    private = entropy("a second key", liar.play.parties.seed)(32)
    return _with_key(liar, message, public_key(private))


def _in_place_of(name_of: Callable[[Liar], str]) -> Callable[[Liar, Any], Struct]:
    """A gateway's keys replaced by some that the colluding gateway has signed."""

    def change(liar: Liar, message: Any) -> Struct:
        name, kind, label = _list(message)
        victim = name_of(liar)
        body = decode(kind, _signed(liar, message, victim).body)
        other = public_key(entropy("a foreign key", liar.play.parties.seed)(32))
        signed = liar.by_colluder(label, replace(body, **{_field(kind): other}))
        return swapped(liar, message, name, {liar.place(victim): signed})

    return change


def _old(liar: Liar, message: Any) -> Struct:
    """Keys that an honest gateway has signed for an earlier round."""
    name, _, _ = _list(message)
    before_this = liar.old(liar.phase)
    signed = _signed(liar, before_this, liar.spare)
    return swapped(liar, message, name, {liar.place(liar.spare): signed})


KEYS: Final = (
    Behaviour(
        "second key",
        "The colluding gateway has another key for the victim alone: an h0 of its own.",
        own(_second_key),
    ),
    Behaviour(
        "foreign key",
        "An honest gateway's key is replaced by one that the colluding gateway signed.",
        before(_in_place_of(lambda liar: liar.spare)),
    ),
    Behaviour(
        "own key altered",
        "The victim's own key comes back as another.",
        before(_in_place_of(lambda liar: liar.victim)),
    ),
    Behaviour(
        "old key",
        "An honest gateway's key is one that it signed for an earlier round.",
        before(_old),
        stage=Stage(past=True),
    ),
    Behaviour(
        "repeated key",
        "The colluding gateway advertises the key of an honest one.",
        before(_repeated),
    ),
    Behaviour(
        "low-order key",
        "The orchestrator, or the colluding gateway, advertises a key of low order.",
        before(lambda liar, message: _with_key(liar, message, LOW_ORDER)),
    ),
    Behaviour(
        "non-canonical key",
        "The orchestrator, or the colluding gateway, advertises a key in a second spelling.",
        before(lambda liar, message: _with_key(liar, message, NOT_CANONICAL)),
    ),
)
