"""One row for each check of a client: what the server changes, and the error that names it.

The orchestrator signs what it changes, as a liar with its own key would, unless a row says not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from secagg import errors, wire
from secagg.crypto.labels import Label
from secagg.encoding import bitmap, decode, encode
from secagg.params import Struct
from secagg.protocol.certificate import Certificate, Consistency
from secagg.protocol.events import Aborted
from secagg.protocol.messages import (
    COMMON,
    Answer,
    Signed,
    UploadHeader,
    sign_round,
    sign_session,
)
from secagg.protocol.policy import Policy
from secagg.schemes.masks.messages import MESSAGES, AdvertiseKeys, Unmasking
from secagg.session.loopback import Frame
from secagg.wire import VECTOR, Codec, MessageTable

replace = msgspec.structs.replace
CODEC = Codec(MessageTable(dict(COMMON) | dict(MESSAGES)))
GATEWAYS, ME = 5, 1  # C = 1, D = 1, t = 3, q = n_min = 4
VICTIM = f"g{ME}"
EVERYBODY = range(GATEWAYS)


@dataclass
class Liar:
    """What a row's change may use."""

    parties: Parties
    seen: dict[tuple[str, str], Signed]

    def session(self, message: Any, **changes: Any) -> Any:
        return sign_session(self.parties.orchestrator.key, replace(message.params, **changes))

    def limits(self, message: Any, **changes: int) -> Any:
        return self.session(message, thresholds=replace(message.params.thresholds, **changes))

    def round(self, message: Any, **changes: Any) -> Any:
        params = replace(message.round.params, **changes)
        return replace(message, round=sign_round(self.parties.orchestrator.key, params))

    def vector(self, message: Any, which: str, /, **changes: Any) -> Any:
        vectors = tuple(
            replace(vector, **changes) if vector.name == which else vector
            for vector in message.round.params.vectors
        )
        return self.round(message, vectors=vectors)

    def advert(self, message: Any, peer: int, /, **changes: Any) -> Any:
        """Another key message of a gateway that colludes: its own key signs it."""
        adverts = list(message.adverts)
        body = decode(AdvertiseKeys, adverts[peer].body)
        key = self.parties.identities[f"g{peer}"].key
        adverts[peer] = Signed.make(key, Label.SIGN_ADVERTISE, replace(body, **changes))
        return replace(message, adverts=tuple(adverts))

    def header(self, message: Any, peer: int, /, **changes: Any) -> Any:
        headers, place = list(message.headers), peer - (peer > ME)
        body = decode(UploadHeader, headers[place].body)
        key = self.parties.identities[f"g{peer}"].key
        headers[place] = Signed.make(key, Label.SIGN_HEADER, replace(body, **changes))
        return replace(message, headers=tuple(headers))

    def certificate(self, message: Any, signers: list[int], *, h3: bytes | None = None) -> Any:
        """A certificate by gateways whose keys the liar borrows."""
        honest = decode(Consistency, self.seen[VICTIM, "consistency"].body)
        body = encode(replace(honest, h3=h3 or honest.h3))
        signatures = tuple(
            self.parties.identities[f"g{i}"].key.sign(Label.SIGN_CONSISTENCY, body) for i in signers
        )
        made = Certificate(signers=bitmap(signers, GATEWAYS), signatures=signatures)
        return replace(message, certificate=made)


Change = Callable[[Liar, Any], Any]
OPEN = Policy()


@dataclass(frozen=True)
class Row:
    name: str
    step: str
    change: Change
    error: type[errors.SecAggError]
    policy: Policy = OPEN


def flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def only(*positions: int) -> bytes:
    return bitmap(positions, GATEWAYS)


def swapped(items: tuple[Any, ...], index: int, item: Any) -> tuple[Any, ...]:
    return (*items[:index], item, *items[index + 1 :])


K, R1, R2, R3, R4 = "advertise_keys", "share_keys", "masked_input", "consistency", "unmasking"
LOW_ORDER = bytes(32)
NOT_CANONICAL = (2**255 - 19 + 9).to_bytes(32, "little")

ROWS = [
    # -- announcement ------------------------------------------------------------------------------
    Row(
        "K unsigned",
        K,
        lambda _, m: replace(m, signature=flipped(m.signature)),
        errors.BadSignature,
    ),
    Row("version", K, lambda o, m: o.session(m, version=2), errors.UnsupportedParameters),
    Row("suite", K, lambda o, m: o.session(m, suite=9), errors.UnsupportedParameters),
    Row("scheme", K, lambda o, m: o.session(m, scheme="x"), errors.UnsupportedParameters),
    Row("session", K, lambda o, m: o.session(m, session=bytes(16)), errors.UnsupportedParameters),
    Row("roster", K, lambda o, m: o.session(m, roster=bytes(32)), errors.ForeignSession),
    Row(
        "cohort padding", K, lambda o, m: o.session(m, cohort=b"\xff"), errors.UnsupportedParameters
    ),
    Row("not in cohort", K, lambda o, m: o.session(m, cohort=only(0, 2, 3, 4)), errors.NotInCohort),
    Row("n", K, lambda o, m: o.session(m, cohort=only(0, 1, 2, 3)), errors.UnsupportedParameters),
    Row("C", K, lambda o, m: o.limits(m, max_colluding=3), errors.ThresholdMismatch),
    Row("D", K, lambda o, m: o.limits(m, max_dropouts=2), errors.ThresholdMismatch),
    Row("t", K, lambda o, m: o.limits(m, share_threshold=1), errors.ThresholdMismatch),
    Row("q", K, lambda o, m: o.limits(m, quorum=3), errors.ThresholdMismatch),
    Row("n_min", K, lambda o, m: o.limits(m, min_included=3), errors.ThresholdMismatch),
    Row("k", K, lambda o, m: o.limits(m, degree=2), errors.ThresholdMismatch),
    Row("policy C", K, lambda _, m: m, errors.PolicyViolation, Policy(min_colluding=2)),
    Row("policy n", K, lambda _, m: m, errors.PolicyViolation, Policy(min_gateways=6)),
    Row("policy n_min", K, lambda _, m: m, errors.PolicyViolation, Policy(min_included=5)),
    Row(
        "K low order", K, lambda o, m: o.session(m, orchestrator_key=LOW_ORDER), errors.BadPublicKey
    ),
    # -- round 1: everybody's keys -----------------------------------------------------------------
    Row("U1 padding", R1, lambda _, m: replace(m, present=b"\xff"), errors.WireError),
    Row("U1 without me", R1, lambda _, m: replace(m, present=only(0, 2, 3, 4)), errors.SelfMissing),
    Row("U1 thinned", R1, lambda _, m: replace(m, present=only(0, 1, 2)), errors.BelowFloor),
    Row("advert missing", R1, lambda _, m: replace(m, adverts=m.adverts[:-1]), errors.WireError),
    Row("hash too many", R1, lambda _, m: replace(m, hashes=(bytes(32),)), errors.WireError),
    Row(
        "own advert altered",
        R1,
        lambda o, m: o.advert(m, ME, channel_key=bytes(31) + b"\x09"),
        errors.OwnMessageAltered,
    ),
    Row(
        "advert of another",
        R1,
        lambda _, m: replace(m, adverts=swapped(m.adverts, 2, m.adverts[3])),
        errors.BadSignature,
    ),
    Row(
        "advert unsigned",
        R1,
        lambda _, m: replace(
            m,
            adverts=swapped(
                m.adverts, 2, replace(m.adverts[2], signature=flipped(m.adverts[2].signature))
            ),
        ),
        errors.BadSignature,
    ),
    Row(
        "advert session", R1, lambda o, m: o.advert(m, 2, session=bytes(32)), errors.ForeignSession
    ),
    Row("advert position", R1, lambda o, m: o.advert(m, 2, position=3), errors.ForeignSession),
    Row("low order", R1, lambda o, m: o.advert(m, 2, mask_key=LOW_ORDER), errors.BadPublicKey),
    Row(
        "not canonical",
        R1,
        lambda o, m: o.advert(m, 2, mask_key=NOT_CANONICAL),
        errors.BadPublicKey,
    ),
    Row(
        "key of another",
        R1,
        lambda o, m: o.advert(m, 2, mask_key=decode(AdvertiseKeys, m.adverts[3].body).mask_key),
        errors.BadPublicKey,
    ),
    # -- round 2: P and U2 -------------------------------------------------------------------------
    Row(
        "P unsigned",
        R2,
        lambda _, m: replace(m, round=replace(m.round, signature=flipped(m.round.signature))),
        errors.BadSignature,
    ),
    Row(
        "P of another K",
        R2,
        lambda o, m: o.round(m, session_params=bytes(32)),
        errors.ForeignSession,
    ),
    Row(
        "no weight",
        R2,
        lambda o, m: o.round(
            m, vectors=tuple(v for v in m.round.params.vectors if v.name != "weight")
        ),
        errors.UnsupportedParameters,
    ),
    Row(
        "no check",
        R2,
        lambda o, m: o.round(m, vectors=m.round.params.vectors[:-1]),
        errors.UnsupportedParameters,
    ),
    Row(
        "check may differ",
        R2,
        lambda o, m: o.vector(m, "check", limit=1),
        errors.UnsupportedParameters,
    ),
    Row(
        "lane overflows",
        R2,
        lambda o, m: o.vector(m, "update/0", limit=2**20 - 1),
        errors.UnsupportedParameters,
    ),
    Row(
        "unknown vector",
        R2,
        lambda o, m: o.vector(m, "integers", name="x"),
        errors.UnsupportedParameters,
    ),
    Row(
        "scale",
        R2,
        lambda o, m: o.vector(m, "update/0", scale=5e-324),
        errors.UnsupportedParameters,
    ),
    Row("weight cap", R2, lambda o, m: o.round(m, max_weight=1e300), errors.UnsupportedParameters),
    Row(
        "leaf outside",
        R2,
        lambda o, m: o.round(
            m,
            leaves=tuple(replace(leaf, start=leaf.start + 1) for leaf in m.round.params.leaves),
        ),
        errors.UnsupportedParameters,
    ),
    Row("policy words", R2, lambda _, m: m, errors.PolicyViolation, Policy(max_words=3)),
    Row("policy weight", R2, lambda _, m: m, errors.PolicyViolation, Policy(max_weight=7.0)),
    Row(
        "policy lanes", R2, lambda _, m: m, errors.PolicyViolation, Policy(lanes=frozenset({1, 2}))
    ),
    Row("policy clip", R2, lambda _, m: m, errors.PolicyViolation, Policy(clips=(0.0, 0.5))),
    Row("U2 padding", R2, lambda _, m: replace(m, dealers=b"\xff"), errors.WireError),
    Row("U2 without me", R2, lambda _, m: replace(m, dealers=only(0, 2, 3, 4)), errors.SelfMissing),
    Row("U2 thinned", R2, lambda _, m: replace(m, dealers=only(0, 1, 2)), errors.BelowFloor),
    Row("shares missing", R2, lambda _, m: replace(m, shares=m.shares[:-1]), errors.WireError),
    # -- round 3: U3 and headers -------------------------------------------------------------------
    Row("U3 padding", R3, lambda _, m: replace(m, included=b"\xff"), errors.WireError),
    Row(
        "U3 without me", R3, lambda _, m: replace(m, included=only(0, 2, 3, 4)), errors.SelfMissing
    ),
    Row("U3 thinned", R3, lambda _, m: replace(m, included=only(0, 1, 2)), errors.BelowFloor),
    Row("headers missing", R3, lambda _, m: replace(m, headers=m.headers[:-1]), errors.WireError),
    Row(
        "header of another",
        R3,
        lambda _, m: replace(m, headers=swapped(m.headers, 0, m.headers[1])),
        errors.BadSignature,
    ),
    Row("header h0", R3, lambda o, m: o.header(m, 2, h0=bytes(32)), errors.HeaderMismatch),
    Row("header h2", R3, lambda o, m: o.header(m, 2, h2=bytes(32)), errors.HeaderMismatch),
    Row("header position", R3, lambda o, m: o.header(m, 2, position=3), errors.HeaderMismatch),
    # -- round 4: the certificate ------------------------------------------------------------------
    Row("quorum", R4, lambda o, m: o.certificate(m, [0, 1, 2]), errors.NoQuorum),
    Row(
        "signature twice",
        R4,
        lambda _, m: replace(
            m,
            certificate=replace(
                m.certificate, signatures=(*m.certificate.signatures, m.certificate.signatures[0])
            ),
        ),
        errors.NoQuorum,
    ),
    Row(
        "another h3",
        R4,
        lambda o, m: o.certificate(m, list(EVERYBODY), h3=bytes(32)),
        errors.BadSignature,
    ),
    Row(
        "signature forged",
        R4,
        lambda _, m: replace(
            m,
            certificate=replace(
                m.certificate, signatures=swapped(m.certificate.signatures, 0, bytes(64))
            ),
        ),
        errors.BadSignature,
    ),
    Row(
        "signers padding",
        R4,
        lambda _, m: replace(m, certificate=replace(m.certificate, signers=b"\xff")),
        errors.WireError,
    ),
]


def attack(row: Row, *, vanish: dict[str, str] | None = None) -> Exchange:
    """Plays a session in which the victim's request of one step is changed."""
    parties = Parties(GATEWAYS)
    exchange = Exchange(parties, vanish=vanish or {})
    exchange.clients[VICTIM] = parties.client(VICTIM, "again", policy=row.policy)
    liar = Liar(parties, {})

    def passes(frame: Frame) -> list[bytes]:
        if frame.up and wire.open(frame.data).type != VECTOR:
            answer = CODEC.decode(wire.open(frame.data))
            assert isinstance(answer, Answer)
            liar.seen[frame.gateway, answer.step] = answer.signed
        if frame.up or frame.gateway != VICTIM or frame.step != row.step:
            return [frame.data]
        message: Struct = row.change(liar, CODEC.decode(wire.open(frame.data)))
        return [CODEC.encode(message, exchange.server.session), frame.data]

    exchange.passes = passes
    return exchange.play()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.step}: {row.name}")
def test_the_check_is_named_and_nothing_is_released(row):
    exchange = attack(row)

    reasons = [e.reason for e in exchange.client_events[VICTIM] if isinstance(e, Aborted)]
    assert [row.error] == [type(reason) for reason in reasons]
    # the changed request and the honest one after it got no answer but a farewell
    said = [
        CODEC.decode(wire.open(frame.data)).step
        for frame in exchange.log
        if frame.up and frame.gateway == VICTIM and wire.open(frame.data).type != VECTOR
    ]
    steps = [K, R1, R2, R3, R4]
    assert [*steps[: steps.index(row.step)], "abort"] == said
    client = exchange.clients[VICTIM]._client
    assert client is None or (client.done and not client._secrets and not client._edges)
    assert client is None or (not client._held and not client._channels)


def test_a_row_without_a_change_is_answered():
    exchange = attack(Row("honest", R4, lambda _, m: m, errors.NoQuorum))

    assert "done" == exchange.server.phase
    assert not [e for e in exchange.client_events[VICTIM] if isinstance(e, Aborted)]


def test_a_signer_must_be_included():
    row = Row("outsider", R4, lambda o, m: o.certificate(m, list(EVERYBODY)), errors.NoQuorum)
    exchange = attack(row, vanish={"g4": "masked_input"})

    reasons = [e.reason for e in exchange.client_events[VICTIM] if isinstance(e, Aborted)]
    assert [errors.NoQuorum] == [type(reason) for reason in reasons]


def test_dealers_must_have_advertised_keys():
    row = Row("U2", R2, lambda _, m: replace(m, dealers=only(*EVERYBODY)), errors.NotASubset)
    exchange = attack(row, vanish={"g4": "advertise_keys"})

    reasons = [e.reason for e in exchange.client_events[VICTIM] if isinstance(e, Aborted)]
    assert [errors.NotASubset] == [type(reason) for reason in reasons]


def test_included_must_have_dealt_shares():
    row = Row("U3", R3, lambda _, m: replace(m, included=only(*EVERYBODY)), errors.NotASubset)
    exchange = attack(row, vanish={"g4": "share_keys"})

    reasons = [e.reason for e in exchange.client_events[VICTIM] if isinstance(e, Aborted)]
    assert [errors.NotASubset] == [type(reason) for reason in reasons]


def test_an_unmasking_answer_is_what_the_other_rows_withhold():
    """The control: without an attack the victim does release its seed."""
    exchange = attack(Row("honest", R4, lambda _, m: m, errors.NoQuorum))

    bodies = [
        CODEC.decode(wire.open(frame.data)).signed.body
        for frame in exchange.log
        if frame.up and frame.gateway == VICTIM and wire.open(frame.data).type != VECTOR
    ]
    assert 32 == len(decode(Unmasking, bodies[-1]).seed)
