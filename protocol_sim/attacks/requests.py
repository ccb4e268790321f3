"""Requests about other sets, each in itself as well formed as the honest one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from protocol_sim.attacks.attacker import Attacker, CannotAttack, replace
from secagg.canonical import bitmap, members
from secagg.crypto.merkle import hidden_parts
from secagg.params import HASH_BYTES, Struct
from secagg.protocol.messages import Signed
from secagg.schemes.additive.messages import (
    AnswerAgainRequest,
    AnswerRequest,
    DealtShare,
    IncludedRequest,
    UploadRequest,
)
from secagg.schemes.masks.messages import (
    ConsistencyRequest,
    MaskedInputRequest,
    SealedShares,
    ShareKeysRequest,
)
from secagg.thresholds import PROOF_COLUMNS, SEAL_BYTES, neighbours

UNSIGNED: Final = Signed(body=b"\x90", signature=bytes(64))
NO_HASH: Final = bytes(HASH_BYTES)
NO_SEAL: Final = SealedShares(
    ciphertext=bytes(94), seed_share=NO_HASH, key_share=NO_HASH
)  # two shares of 39 bytes and a tag
NO_SHARE: Final = DealtShare(
    salt=NO_HASH, ciphertext=bytes(SEAL_BYTES), digest=NO_HASH, evaluation=bytes(2 * PROOF_COLUMNS)
)

_SET: Final[Mapping[type[Struct], str]] = {
    ShareKeysRequest: "present",
    MaskedInputRequest: "dealers",
    ConsistencyRequest: "included",
    UploadRequest: "keyed",
    IncludedRequest: "included",
    AnswerRequest: "included",
    AnswerAgainRequest: "included",
}
_NOTHING: Final[Mapping[tuple[type[Struct], str], object]] = {
    (ShareKeysRequest, "adverts"): UNSIGNED,
    (ShareKeysRequest, "hashes"): NO_HASH,
    (MaskedInputRequest, "shares"): NO_SEAL,
    (ConsistencyRequest, "headers"): UNSIGNED,
    (UploadRequest, "prekeys"): UNSIGNED,
    (UploadRequest, "hashes"): NO_HASH,
    (AnswerRequest, "shares"): NO_SHARE,
    (AnswerRequest, "prekeys"): UNSIGNED,
}


def field_of(message: Any) -> str:
    """The field of a request that holds its set.

    Raises:
        CannotAttack: it is about no set.
    """
    if type(message) not in _SET:
        raise CannotAttack(f"{type(message).__name__} is about no set")
    return _SET[type(message)]


def set_of(attacker: Attacker, message: Any) -> frozenset[int]:
    """The positions that a request is about.

    Raises:
        WireError: of no set, since another attack has been at it.
    """
    return members(getattr(message, field_of(message)), len(attacker.everybody))


def bits(attacker: Attacker, positions: Iterable[int]) -> bytes:
    """Bitmap of positions."""
    return bitmap(positions, len(attacker.everybody))


def lists(attacker: Attacker, message: Any, positions: frozenset[int]) -> dict[str, list[Any]]:
    """What the lists of a request to the victim go over, if it is about this set.

    Positions; hashes go over the parts of a tree that are not shown, the positions in each.
    """
    me = attacker.me
    match message:
        case ShareKeysRequest():
            near = positions & (neighbours(attacker.limits, me) | {me})
            return {"adverts": sorted(near), "hashes": _hidden(positions, near)}
        case MaskedInputRequest():
            return {"shares": sorted(positions & neighbours(attacker.limits, me))}
        case ConsistencyRequest():
            return {"headers": sorted(positions & neighbours(attacker.limits, me))}
        case UploadRequest():
            shown = positions & ({*range(attacker.limits.committee), me})
            return {"prekeys": sorted(shown), "hashes": _hidden(positions, shown)}
        case AnswerRequest():
            dealers = sorted(positions - {me})
            outside = [dealer for dealer in dealers if dealer >= attacker.limits.committee]
            return {"shares": dealers, "prekeys": outside}
        case _:
            return {}


def _hidden(positions: frozenset[int], shown: frozenset[int]) -> list[tuple[int, ...]]:
    ordered = sorted(positions)
    places = [place for place, position in enumerate(ordered) if position in shown]
    return [tuple(ordered[first:last]) for first, last in hidden_parts(len(ordered), places)]


def items(attacker: Attacker, message: Any, name: str) -> dict[Any, Any]:
    """One of these lists, by what it goes over.

    Raises:
        CannotAttack: it has not one entry for each, since another attack has been at it.
    """
    places = lists(attacker, message, set_of(attacker, message))[name]
    if len(places) != len(getattr(message, name)):
        raise CannotAttack(f"not one of {name} for each of {len(places)}")
    return dict(zip(places, getattr(message, name), strict=True))


def about(attacker: Attacker, message: Any, positions: Iterable[int]) -> Struct:
    """The same request about another set; what is not known of a gateway is made up.

    Args:
        attacker: who attacks.
        message: request to the victim.
        positions: the set.
    """
    chosen = frozenset(positions)
    changes: dict[str, Any] = {field_of(message): bits(attacker, chosen)}
    for name, places in lists(attacker, message, chosen).items():
        known, nothing = items(attacker, message, name), _NOTHING[type(message), name]
        changes[name] = tuple(known.get(place, nothing) for place in places)
    request: Struct = replace(message, **changes)
    return request


def swapped(attacker: Attacker, message: Any, name: str, changes: Mapping[int, Any]) -> Struct:
    """The same request with other entries in one of its lists.

    Args:
        attacker: who attacks.
        message: request to the victim.
        name: of the list.
        changes: position -> entry.

    Raises:
        CannotAttack: the list has no entry at such a position.
    """
    known = items(attacker, message, name)
    if not changes.keys() <= known.keys():
        raise CannotAttack(f"{name} has nothing of {sorted(changes.keys() - known.keys())}")
    request: Struct = replace(message, **{name: tuple({**known, **changes}.values())})
    return request
