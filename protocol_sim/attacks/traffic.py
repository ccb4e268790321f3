"""Attacks of order and form: replays, skips, silence, other rounds, bytes that are no message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from protocol_sim.attacks.attack import Attack, Change, after, before
from protocol_sim.attacks.attacker import Attacker, CannotAttack, Hook
from protocol_sim.attacks.requests import UNSIGNED, bits
from secagg.params import Struct
from secagg.protocol.certificate import Certificate
from secagg.protocol.messages import Announce, Answer, sign_farewell, sign_round
from secagg.schemes.additive.messages import (
    AnswerAgainRequest,
    AnswerRequest,
    IncludedRequest,
    UploadRequest,
)
from secagg.schemes.masks.messages import (
    ConsistencyRequest,
    MaskedInputRequest,
    ShareKeysRequest,
    UnmaskingRequest,
)
from secagg.session.loopback import Frame
from secagg.wire import MAX_FRAME, TAG_BYTES

# -- order -----------------------------------------------------------------------------------------


def _replayed(attacker: Attacker) -> Hook:
    """Everything the victim was asked so far, again and backwards."""
    frames: list[bytes] = []

    def hook(frame: Frame) -> list[bytes]:
        if frame.up or frame.gateway != attacker.victim:
            return [frame.data]
        frames.append(frame.data)
        return [frame.data, *reversed(frames)] if frame.step == attacker.phase else [frame.data]

    return hook


def _next(attacker: Attacker, message: Any) -> Struct:
    """The request of the step after this one, made of what is known."""
    match message:
        case Announce() if attacker.family == "masks":
            return ShareKeysRequest(
                present=bits(attacker, attacker.everybody), adverts=(), hashes=()
            )
        case Announce():
            return _early_upload(attacker, message)
        case ShareKeysRequest():
            params = attacker.play.settings.round_params(_announced(attacker))
            signed = sign_round(attacker.play.parties.orchestrator.key, params)
            return MaskedInputRequest(round=signed, dealers=message.present, shares=())
        case MaskedInputRequest():
            return ConsistencyRequest(included=message.dealers, headers=())
        case ConsistencyRequest():
            nobody = Certificate(signers=bits(attacker, ()), signatures=())
            return UnmaskingRequest(certificate=nobody)
        case UploadRequest():
            return _answer(message.keyed)
        case IncludedRequest():
            return _answer(message.included)
        case AnswerRequest():
            return AnswerAgainRequest(included=message.included)
        case _:
            raise CannotAttack("nothing comes after this")


def _announced(attacker: Attacker) -> Any:
    first = attacker.asked.get((attacker.victim, attacker.steps[0]))
    if not isinstance(first, Announce):
        raise CannotAttack("no announcement")
    return first.claimed


def _early_upload(attacker: Attacker, announce: Announce) -> Struct:
    params = attacker.play.settings.round_params(announce.claimed)
    signed = sign_round(attacker.play.parties.orchestrator.key, params)
    return UploadRequest(
        announce=announce,
        round=signed,
        keyed=bits(attacker, attacker.everybody),
        prekeys=(),
        hashes=(),
    )


def _answer(included: bytes) -> Struct:
    return AnswerRequest(included=included, certificate=None, prekeys=(), hashes=(), shares=())


def _too_early(attacker: Attacker, message: Any) -> Struct:
    """The included set is asked about once P is accepted, and before the upload has left."""
    if not isinstance(message, MaskedInputRequest | UploadRequest):
        raise CannotAttack("no upload is asked for")
    return _next(attacker, message)


def _silence(attacker: Attacker) -> Hook:
    """From the phase on, nothing reaches the victim."""
    return _unheard(attacker, lambda name: name == attacker.victim)


def _silence_to_most(attacker: Attacker) -> Hook:
    """From the phase on, only the victim and the colluding gateway hear anything."""
    return _unheard(attacker, lambda name: name not in {attacker.victim, attacker.colluder})


def _unheard(attacker: Attacker, silenced: Callable[[str], bool]) -> Hook:
    late = attacker.steps[attacker.steps.index(attacker.phase) :]

    def hook(frame: Frame) -> list[bytes]:
        if frame.up or frame.step not in late or not silenced(frame.gateway):
            return [frame.data]
        return []

    return hook


def farewell(attacker: Attacker, _message: Any) -> Struct:
    """The orchestrator says that the session is over."""
    return sign_farewell(
        attacker.play.parties.orchestrator.key, attacker.play.server.session, "it failed"
    )


def _forged_farewell(attacker: Attacker, _message: Any) -> Struct:
    """Somebody else says so."""
    return replace(farewell(attacker, None), signature=bytes(64))


def _old_farewell(attacker: Attacker, _message: Any) -> Struct:
    """The orchestrator has said so of another session."""
    return sign_farewell(attacker.play.parties.orchestrator.key, bytes(16), "it failed")


# -- bytes -----------------------------------------------------------------------------------------


def _changed(change: Callable[[bytes], bytes]) -> Change:
    return lambda attacker, message: change(attacker.frame(message))


def _oversize(data: bytes) -> bytes:
    """A header that announces what no frame holds, and as many bytes."""
    size = MAX_FRAME
    return data[:24] + size.to_bytes(4, "little") + bytes(4) + bytes(size)


def _respelled(data: bytes) -> bytes:
    """The length of the outer array in three bytes where one is enough."""
    head, payload = data[:32], data[32:]
    longer = b"\xdc" + (payload[0] & 15).to_bytes(2, "big") + payload[1:]
    return head[:24] + len(longer).to_bytes(4, "little") + head[28:] + longer


def _other_role(attacker: Attacker, _message: Any) -> Struct:
    """An answer, as a gateway sends it."""
    return Answer(step=attacker.phase, signed=UNSIGNED)


TRAFFIC: Final = (
    Attack(
        "replayed", "Everything the victim was asked so far is asked again, backwards.", _replayed
    ),
    Attack("reordered", "The request of the next step comes before this one.", before(_next)),
    Attack(
        "too early",
        "The included set is asked about before the upload has left.",
        after(_too_early),
    ),
    Attack("silence", "From this phase on, nothing reaches the victim.", _silence),
    Attack(
        "silence to most",
        "From this phase on, only the victim and the colluding gateway hear anything.",
        _silence_to_most,
    ),
    Attack("farewell", "The victim is told that the session has failed.", before(farewell)),
    Attack("forged farewell", "Somebody else tells it so.", before(_forged_farewell)),
    Attack("old farewell", "It is told the end of another session.", before(_old_farewell)),
    Attack("oversize", "A frame of more bytes than any frame has.", before(_changed(_oversize))),
    Attack(
        "truncated",
        "The last byte of the request is missing.",
        before(_changed(lambda data: data[:-1])),
    ),
    Attack(
        "garbage",
        "The request is followed by bytes that do not belong to it.",
        before(_changed(lambda data: data + bytes(TAG_BYTES))),
    ),
    Attack(
        "second spelling",
        "The request is spelled in another way than the canonical one.",
        before(_changed(_respelled)),
    ),
    Attack("other role", "The victim is sent what gateways send.", before(_other_role)),
)
