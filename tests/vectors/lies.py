"""Frames that must not be believed, made out of those of a good session.

Whoever lies signs with its own key where it has one: what is wrong is named by `what`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from secagg import wire
from secagg.crypto.agreement import agree
from secagg.crypto.labels import Label
from secagg.crypto.macs import AnswerMac
from secagg.params import Struct
from secagg.protocol.certificate import Consistency
from secagg.protocol.messages import (
    COMMON,
    Abort,
    Announce,
    Answer,
    Signed,
    UploadHeader,
    sign_round,
    sign_session,
)
from secagg.protocol.transcript import session_hash
from secagg.schemes.masks.messages import (
    MESSAGES,
    STEPS,
    AdvertiseKeys,
    ConsistencyRequest,
    MaskedInputRequest,
    ShareKeys,
    ShareKeysRequest,
    Unmasking,
    UnmaskingRequest,
)
from secagg.wire import VECTOR, Codec, MessageTable
from tests.schemes.world import World

CODEC = Codec(MessageTable(dict(COMMON) | dict(MESSAGES)))
LIAR = 1
"""The gateway that lies, and the one that is lied to."""
WITHOUT_ME, TWO_OF_US = b"\x0d", b"\x03"
Lie = Callable[[World, Any], Struct]


def _flip(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def _unsign(signed: Any) -> Any:
    return replace(signed, signature=_flip(signed.signature))


def _k(world: World, **changes: Any) -> Announce:
    return sign_session(world.orchestrator.key, replace(world.server._server.params, **changes))


def _limits(world: World, **changes: Any) -> Announce:
    return _k(world, thresholds=replace(world.settings.thresholds, **changes))


def _p(world: World, message: MaskedInputRequest, **changes: Any) -> MaskedInputRequest:
    params = replace(message.round.claimed, **changes)
    return replace(message, round=sign_round(world.orchestrator.key, params))


def _first(message: Any, field: str, value: Any) -> Any:
    """The message with another first item in one of its tuples."""
    return replace(message, **{field: (value, *getattr(message, field)[1:])})


def _mine(message: ShareKeysRequest) -> ShareKeysRequest:
    before, mine, *after = message.adverts
    return replace(message, adverts=(before, _unsign(mine), *after))


def _header(world: World, position: int) -> Signed:
    header = UploadHeader(h0=bytes(32), h2=bytes(32), position=position, complaints=b"\0")
    return Signed.make(world.identities[position].key, Label.SIGN_HEADER, header)


def _certificate(message: UnmaskingRequest, signers: bytes, count: int) -> UnmaskingRequest:
    signatures = message.certificate.signatures[:count]
    return replace(
        message, certificate=replace(message.certificate, signers=signers, signatures=signatures)
    )


# What the orchestrator sends to the gateway instead of its message, and the error there.
TO_CLIENT: dict[type[Struct], list[tuple[str, str, Lie]]] = {
    Announce: [
        ("K is not signed", "BadSignature", lambda _, m: _unsign(m)),
        ("version 1", "UnsupportedParameters", lambda w, _: _k(w, version=1)),
        ("suite 2", "UnsupportedParameters", lambda w, _: _k(w, suite=2)),
        ("another scheme", "UnsupportedParameters", lambda w, _: _k(w, scheme="none")),
        ("not the frame's session", "UnsupportedParameters", lambda w, _: _k(w, session=bytes(16))),
        ("cohort of another size", "UnsupportedParameters", lambda w, _: _k(w, cohort=b"\x07")),
        ("another roster", "ForeignSession", lambda w, _: _k(w, roster=bytes(32))),
        ("cohort without me", "NotInCohort", lambda w, _: _k(w, cohort=WITHOUT_ME)),
        ("t = C", "ThresholdMismatch", lambda w, _: _limits(w, share_threshold=1)),
        ("q too small", "ThresholdMismatch", lambda w, _: _limits(w, quorum=2)),
        ("n_min too small", "ThresholdMismatch", lambda w, _: _limits(w, min_included=2)),
        ("key of low order", "BadPublicKey", lambda w, _: _k(w, orchestrator_key=bytes(32))),
    ],
    ShareKeysRequest: [
        ("own keys altered", "OwnMessageAltered", lambda _, m: _mine(m)),
        (
            "keys not signed",
            "BadSignature",
            lambda _, m: _first(m, "adverts", _unsign(m.adverts[0])),
        ),
        ("keys of another", "BadSignature", lambda _, m: _first(m, "adverts", m.adverts[2])),
        (
            "U1 without me",
            "SelfMissing",
            lambda _, m: replace(m, present=WITHOUT_ME, adverts=m.adverts[1:]),
        ),
        (
            "U1 too small",
            "BelowFloor",
            lambda _, m: replace(m, present=TWO_OF_US, adverts=m.adverts[:2]),
        ),
        ("a key message too few", "WireError", lambda _, m: replace(m, adverts=m.adverts[:3])),
        ("a bit beyond n", "WireError", lambda _, m: replace(m, present=b"\x1f")),
    ],
    MaskedInputRequest: [
        ("P is not signed", "BadSignature", lambda _, m: replace(m, round=_unsign(m.round))),
        ("P of another K", "ForeignSession", lambda w, m: _p(w, m, session_params=bytes(32))),
        (
            "no check vector",
            "UnsupportedParameters",
            lambda w, m: _p(w, m, vectors=m.round.claimed.vectors[:-1]),
        ),
        ("U2 without me", "SelfMissing", lambda _, m: replace(m, dealers=WITHOUT_ME)),
        ("U2 too small", "BelowFloor", lambda _, m: replace(m, dealers=TWO_OF_US)),
        ("a share too few", "WireError", lambda _, m: replace(m, shares=m.shares[:2])),
    ],
    ConsistencyRequest: [
        ("U3 without me", "SelfMissing", lambda _, m: replace(m, included=WITHOUT_ME)),
        ("U3 too small", "BelowFloor", lambda _, m: replace(m, included=TWO_OF_US)),
        (
            "a header not signed",
            "BadSignature",
            lambda _, m: _first(m, "headers", _unsign(m.headers[0])),
        ),
        (
            "a header of another transcript",
            "HeaderMismatch",
            lambda w, m: _first(m, "headers", _header(w, 0)),
        ),
        ("a header too few", "WireError", lambda _, m: replace(m, headers=m.headers[:1])),
    ],
    UnmaskingRequest: [
        ("no quorum", "NoQuorum", lambda _, m: _certificate(m, TWO_OF_US, 2)),
        ("a signer outside U3", "NoQuorum", lambda _, m: _certificate(m, b"\x0b", 3)),
        ("a signature too few", "NoQuorum", lambda _, m: _certificate(m, b"\x07", 2)),
        (
            "a set that was never certified",
            "SecondQuestion",
            lambda w, _: ConsistencyRequest(included=b"\x07", headers=(_header(w, 0),) * 2),
        ),
    ],
}

# What the gateway says instead of its answer, signed with its key, and why it is dropped.
TO_SERVER: dict[type[Struct], list[tuple[str, str, Lie]]] = {
    AdvertiseKeys: [
        ("keys of another session", "FOREIGN", lambda _, m: replace(m, session=bytes(32))),
        ("keys of another position", "FOREIGN", lambda _, m: replace(m, position=0)),
        ("one key twice", "BAD_KEY", lambda _, m: replace(m, mask_key=m.channel_key)),
        ("key of low order", "BAD_KEY", lambda _, m: replace(m, mask_key=bytes(32))),
    ],
    ShareKeys: [
        ("another h0", "FOREIGN", lambda _, m: replace(m, h0=bytes(32))),
        ("a share too few", "MALFORMED", lambda _, m: replace(m, ciphertexts=m.ciphertexts[:2])),
    ],
    UploadHeader: [
        ("another h2", "FOREIGN", lambda _, m: replace(m, h2=bytes(32))),
        ("complains about itself", "MALFORMED", lambda _, m: replace(m, complaints=b"\x02")),
        ("complains about two", "BAD_HOLDER", lambda _, m: replace(m, complaints=b"\x05")),
    ],
    Consistency: [("another h3", "FOREIGN", lambda _, m: replace(m, h3=bytes(32)))],
    Unmasking: [
        ("another h3", "FOREIGN", lambda _, m: replace(m, h3=bytes(32))),
        ("another seed", "BAD_SEED", lambda _, m: replace(m, seed=bytes(32))),
        ("no edge secret", "MALFORMED", lambda _, m: replace(m, edge_secrets=())),
    ],
}


def operations(world: World) -> list[dict[str, Any]]:
    """One operation for each lie: frame number `instead_of` of the first session is replaced."""
    made = []
    for index, sent in enumerate(world.log):
        if sent.gateway == LIAR:
            table = (_to_server if sent.up else _to_client)(world, sent.data)
            made += [
                {
                    "operation": "lie",
                    "what": what,
                    "instead_of": index,
                    "frame": frame.hex(),
                    "error": error,
                    "success": False,
                }
                for what, error, frame in table
            ]
    return made


def _to_client(world: World, data: bytes) -> list[tuple[str, str, bytes]]:
    session = world.server.session
    message = CODEC.decode(wire.open(data))
    several = [("truncated", "WireError", data[:-1]), ("extended", "WireError", data + b"\0")]
    if not isinstance(message, Announce):
        several.append(("another session", "ForeignSession", data[:8] + bytes(16) + data[24:]))
    for what, error, lie in TO_CLIENT[type(message)]:
        several.append((what, error, CODEC.encode(lie(world, message), session)))
    return several


def _mac(world: World) -> AnswerMac:
    """What the liar shares with the server: it draws its channel key first."""
    k = world.server._server.params
    shared = agree(world.entropy("client", LIAR)(32), k.orchestrator_key)
    return AnswerMac(shared, session=session_hash(k), position=LIAR)


def _to_server(world: World, data: bytes) -> list[tuple[str, str, bytes]]:
    session = world.server.session
    if wire.open(data).type == VECTOR:
        return [
            ("a word altered", "BAD_FRAME", data[:40] + bytes([data[40] ^ 1]) + data[41:]),
            ("a tag altered", "BAD_FRAME", _flip(data)),
            ("a number altered", "BAD_FRAME", data[:32] + bytes([data[32] ^ 1]) + data[33:]),
            ("truncated", "MALFORMED", data[:-1]),
        ]
    answer: Any = CODEC.decode(wire.open(data))
    step = next(step for step in STEPS if step.name == answer.step)
    key = world.identities[LIAR].key
    message = answer.signed.open(step.answer, key.public, step.label, lambda *_: None)
    farewell = Signed.make(key, Label.SIGN_ABORT, Abort(session=session, reason="I leave"))
    answers = [
        ("not signed", "BAD_SIGNATURE", replace(answer, signed=_unsign(answer.signed))),
        ("another step", "UNEXPECTED", replace(answer, step="sharing")),
        ("a farewell", "ABORTED", Answer(step="abort", signed=farewell)),
    ]
    for what, reason, lie in TO_SERVER[step.answer]:
        signer = _mac(world) if step.mac else key
        signed = Signed.make(signer, step.label, lie(world, message))
        answers.append((what, reason, replace(answer, signed=signed)))
    several = [(what, reason, CODEC.encode(each, session)) for what, reason, each in answers]
    return [*several, ("truncated", "MALFORMED", data[:-1])]
