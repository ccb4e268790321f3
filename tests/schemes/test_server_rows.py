"""One row for each check of the server: what a gateway does, and why it is dropped for it.

The others' sum stays exact, or the round ends in an error that names the gateway.
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
from secagg.crypto.kdf import digest
from secagg.encoding import bitmap, decode, encode
from secagg.params import Struct
from secagg.protocol.events import Send, SharesDisputed
from secagg.protocol.messages import Abort, Answer, Signed
from secagg.schemes.masks import client as client_module
from secagg.schemes.masks.messages import STEPS, AdvertiseKeys
from secagg.session.loopback import Frame
from secagg.wire import VECTOR
from tests.schemes.test_client_rows import CODEC, R1, R2, R3, R4, K

replace = msgspec.structs.replace
LIAR = "g1"
OTHERS = ("g0", "g2", "g3", "g4")
ONE = bytes(31) + b"\1"
LABELS = {step.name: step.label for step in STEPS}
KINDS = {step.name: step.answer for step in STEPS}


@dataclass(frozen=True)
class Row:
    """`change` gets the honest body of the answer to `step`; `silent` does not answer the last."""

    name: str
    step: str
    change: Callable[[Any], Struct]
    reason: str
    silent: str = ""


def swapped(items: tuple[Any, ...], index: int, item: Any) -> tuple[Any, ...]:
    return (*items[:index], item, *items[index + 1 :])


ROWS = [
    Row("session", K, lambda b: replace(b, session=ONE), "FOREIGN"),
    Row("position", K, lambda b: replace(b, position=2), "FOREIGN"),
    Row("low order", K, lambda b: replace(b, mask_key=bytes(32)), "BAD_KEY"),
    Row("one key for both", K, lambda b: replace(b, mask_key=b.channel_key), "BAD_KEY"),
    Row("h0", R1, lambda b: replace(b, h0=ONE), "FOREIGN"),
    Row("position", R1, lambda b: replace(b, position=2), "FOREIGN"),
    Row("commitments", R1, lambda b: replace(b, commitments=b.commitments[1:]), "MALFORMED"),
    Row("ciphertexts", R1, lambda b: replace(b, ciphertexts=b.ciphertexts[1:]), "MALFORMED"),
    Row("shares for nobody", R1, lambda b: replace(b, ciphertexts=(b"",) * 4), "BAD_DEALER"),
    Row(
        "commitments to nothing",
        R1,
        lambda b: replace(b, commitments=((ONE, ONE),) * 4),
        "BAD_DEALER",
    ),
    Row(
        "oversize share",
        R1,
        lambda b: replace(b, ciphertexts=(bytes(9**6), *b.ciphertexts[1:])),
        "MALFORMED",
    ),
    Row("short commitment", R1, lambda b: replace(b, seed_commitment=b""), "MALFORMED"),
    Row("h0", R2, lambda b: replace(b, h0=ONE), "FOREIGN"),
    Row("h2", R2, lambda b: replace(b, h2=ONE), "FOREIGN"),
    Row("position", R2, lambda b: replace(b, position=2), "FOREIGN"),
    Row("padding", R2, lambda b: replace(b, complaints=b"\xff"), "MALFORMED"),
    Row("complains about itself", R2, lambda b: replace(b, complaints=bitmap([1], 5)), "MALFORMED"),
    Row(
        "complains about all", R2, lambda b: replace(b, complaints=bitmap([0, 2], 5)), "BAD_HOLDER"
    ),
    Row("session", R3, lambda b: replace(b, session=bytes(16)), "FOREIGN"),
    Row("h3", R3, lambda b: replace(b, h3=ONE), "FOREIGN"),
    Row("h3", R4, lambda b: replace(b, h3=ONE), "FOREIGN"),
    Row("position", R4, lambda b: replace(b, position=2), "FOREIGN"),
    Row("seed", R4, lambda b: replace(b, seed=ONE), "BAD_SEED"),
    Row("shares missing", R4, lambda b: replace(b, seed_shares=b.seed_shares[1:]), "MALFORMED"),
    Row(
        "share",
        R4,
        lambda b: replace(b, seed_shares=swapped(b.seed_shares, 0, b.seed_shares[1])),
        "BAD_SHARE",
        silent="g0",
    ),
    Row("share withheld", R4, lambda b: replace(b, seed_shares=(b"",) * 4), "BAD_SHARE", "g2"),
]


def lie(step: str, change: Callable[[Any], Struct], **options: Any) -> Exchange:
    """Plays a session in which one gateway's answer to one step is another, under its own key."""
    parties = Parties(options.pop("gateways", 5))
    exchange = Exchange(parties, **options)

    def passes(frame: Frame) -> list[bytes]:
        if not frame.up or frame.gateway != LIAR or wire.open(frame.data).type == VECTOR:
            return [frame.data]
        answer = CODEC.decode(wire.open(frame.data))
        if answer.step != step:
            return [frame.data]
        body = change(decode(KINDS[step], answer.signed.body))
        signed = Signed.make(parties.identities[LIAR].key, LABELS[step], body)
        return [CODEC.encode(Answer(step=step, signed=signed), exchange.server.session)]

    exchange.passes = passes
    return exchange.play()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.step}: {row.name}")
def test_the_liar_is_dropped_and_the_sum_is_exact(row):
    exchange = lie(row.step, row.change, vanish={row.silent: R4} if row.silent else {})

    assert (row.step if row.reason != "BAD_DEALER" else R2, row.reason) == exchange.dropped[LIAR]
    summed = exchange.verdict.summed
    assert set(summed) >= set(OTHERS)
    assert (LIAR in summed) == (row.step in {R3, R4})


def test_a_copied_key_drops_who_comes_second():
    parties = Parties(5)
    exchange = Exchange(parties)
    first: list[AdvertiseKeys] = []

    def passes(frame: Frame) -> list[bytes]:
        if not frame.up or frame.step != K or frame.gateway not in {"g0", LIAR}:
            return [frame.data]
        body = decode(AdvertiseKeys, CODEC.decode(wire.open(frame.data)).signed.body)
        first.append(body)
        if frame.gateway == "g0":
            return [frame.data]
        copy = replace(body, mask_key=first[0].mask_key)
        signed = Signed.make(parties.identities[LIAR].key, LABELS[K], copy)
        return [CODEC.encode(Answer(step=K, signed=signed), exchange.server.session)]

    exchange.passes = passes
    exchange.play()

    assert (K, "BAD_KEY") == exchange.dropped[LIAR]
    assert exchange.verdict.summed


def test_one_false_complaint_is_a_dispute_and_nobody_goes():
    exchange = lie(R2, lambda b: replace(b, complaints=bitmap([0], 5)))

    assert [SharesDisputed(LIAR, "g0")] == [
        event for event in exchange.events if isinstance(event, SharesDisputed)
    ]
    assert {} == exchange.dropped
    assert exchange.parties.ids == exchange.verdict.summed


def test_a_false_edge_is_found_named_and_repaired():
    exchange = lie(
        R4,
        lambda b: replace(b, edge_secrets=(ONE,) * len(b.edge_secrets)),
        gateways=6,
        vanish={"g5": "masked_input"},
    )

    assert (R4, "BAD_EDGE") == exchange.dropped[LIAR]
    assert exchange.parties.ids[:5] == exchange.verdict.summed


def raw(exchange: Exchange, change: Callable[[Frame], list[bytes]]) -> Exchange:
    """Changes what the liar sends, byte by byte."""
    exchange.passes = lambda f: change(f) if f.up and f.gateway == LIAR else [f.data]
    return exchange.play()


def vectors_only(change: Callable[[bytes, int], list[bytes]]) -> Callable[[Frame], list[bytes]]:
    count = 0

    def passes(frame: Frame) -> list[bytes]:
        nonlocal count
        if wire.open(frame.data).type != VECTOR:
            return [frame.data]
        count += 1
        return change(bytes(frame.data), count)

    return passes


FRAMES = {
    "forged tag": lambda data, i: [data[:-1] + bytes([data[-1] ^ 1])],
    "forged words": lambda data, i: [data[:48] + bytes([data[48] ^ 1]) + data[49:]],
    "gap": lambda data, i: [] if i == 1 else [data],
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_bad_frame_drops_its_sender(name):
    exchange = raw(Exchange(Parties(5)), vectors_only(FRAMES[name]))

    assert (R2, "BAD_FRAME") == exchange.dropped[LIAR]
    assert OTHERS == exchange.verdict.summed


def test_a_frame_may_arrive_twice():
    exchange = raw(Exchange(Parties(5)), vectors_only(lambda data, _: [data, data]))

    assert {} == exchange.dropped
    assert exchange.parties.ids == exchange.verdict.summed


def test_half_an_upload_is_not_in_the_sum():
    exchange = Exchange(Parties(5), vanish={LIAR: "half"}).play()

    assert (R2, "VANISHED") == exchange.dropped[LIAR]
    assert OTHERS == exchange.verdict.summed


def test_frames_need_a_header():
    def change(frame: Frame) -> list[bytes]:
        vector = wire.open(frame.data).type == VECTOR
        return [frame.data] if vector or frame.step != R2 else []

    exchange = raw(Exchange(Parties(5)), change)

    assert (R2, "BAD_FRAME") == exchange.dropped[LIAR]
    assert OTHERS == exchange.verdict.summed


ANSWERS = {
    "not a frame": (lambda _f, _w: [b"?"], "MALFORMED"),
    "a request": (
        lambda f, w: [CODEC.encode(Abort(session=w.server.session, reason="x"), w.server.session)],
        "MALFORMED",
    ),
    "unsigned": (lambda f, w: [signed(f, w, signature=bytes(64))], "BAD_SIGNATURE"),
    "no body": (lambda f, w: [resigned(f, w, b"\x90")], "MALFORMED"),
    "another step": (lambda f, w: [step(f, w, R4)], "UNEXPECTED"),
}


def signed(frame: Frame, exchange: Exchange, **changes: Any) -> bytes:
    answer = CODEC.decode(wire.open(frame.data))
    changed = replace(answer, signed=replace(answer.signed, **changes))
    return CODEC.encode(changed, exchange.server.session)


def resigned(frame: Frame, exchange: Exchange, body: bytes) -> bytes:
    answer = CODEC.decode(wire.open(frame.data))
    key = exchange.parties.identities[LIAR].key
    return signed(frame, exchange, body=body, signature=key.sign(LABELS[answer.step], body))


def step(frame: Frame, exchange: Exchange, name: str) -> bytes:
    return CODEC.encode(
        replace(CODEC.decode(wire.open(frame.data)), step=name), exchange.server.session
    )


@pytest.mark.parametrize(
    ("name", "phase"),
    # unmasking is the step that "another step" names
    [(n, p) for n in ANSWERS for p in (K, R1, R2, R3, R4) if (n, p) != ("another step", R4)],
)
def test_what_is_no_answer_drops_its_sender(name, phase):
    change, reason = ANSWERS[name]
    exchange = Exchange(Parties(5))

    def passes(frame: Frame) -> list[bytes]:
        mine = frame.step == phase and wire.open(frame.data).type != VECTOR
        return change(frame, exchange) if mine else [frame.data]

    raw(exchange, passes)

    assert (phase, reason) == exchange.dropped[LIAR]
    assert exchange.verdict.summed


def test_two_headers_are_equivocation():
    exchange = Exchange(Parties(5))

    def passes(frame: Frame) -> list[bytes]:
        if frame.step != R2 or wire.open(frame.data).type == VECTOR:
            return [frame.data]
        other = replace(
            decode(KINDS[R2], CODEC.decode(wire.open(frame.data)).signed.body),
            complaints=bitmap([0], 5),
        )
        return [frame.data, resigned(frame, exchange, encode(other))]

    raw(exchange, passes)

    assert (R2, "EQUIVOCATED") == exchange.dropped[LIAR]
    assert OTHERS == exchange.verdict.summed


def test_a_farewell_is_a_drop_with_its_reason():
    exchange = Exchange(Parties(5)).play_until(R1)
    exchange.step()  # everybody's turn comes; the liar leaves instead
    for event in exchange.clients[LIAR].abort("power is out"):
        if isinstance(event, Send):
            exchange.send(exchange.deliver(Frame(LIAR, up=True, step=R1, data=event.frame)))
    exchange.play()

    assert (R1, "ABORTED") == exchange.dropped[LIAR]


@pytest.mark.parametrize(("phase", "needed"), [(K, 4), (R1, 4), (R2, 4), (R3, 4)])
def test_too_few_answers_end_the_round(phase, needed):
    exchange = Exchange(Parties(5), vanish={"g1": phase, "g2": phase}).play()

    assert errors.BelowThreshold is type(exchange.aborted)
    assert (3, needed, phase) == (
        exchange.aborted.answered,
        exchange.aborted.needed,
        exchange.aborted.phase,
    )


def test_garbage_in_an_upload_is_detected():
    """A gateway that masks under another seed than it dealt: its mask does not come off."""
    parties = Parties(5)
    exchange = Exchange(parties).play_until(R2)
    secrets = exchange.clients[LIAR]._client._secrets
    committed = secrets["seed"].reveal()
    secrets["seed"] = type(secrets["seed"])(digest(LABELS[K], b"another"))
    exchange.play_until(R4)
    secrets["seed"] = type(secrets["seed"])(committed)
    exchange.play()

    assert errors.AggregateOutOfRange is type(exchange.aborted)


def test_good_shares_of_a_wrong_seed_name_their_dealer():
    """The dealer commits to another seed than it shares, and falls silent."""
    exchange = lie(
        R1,
        lambda b: replace(b, seed_commitment=ONE),
        vanish={LIAR: "unmasking"},
    )

    assert errors.InconsistentAnswers is type(exchange.aborted)
    assert (LIAR,) == exchange.aborted.culprits


def test_a_proved_bad_dealer_is_named_when_its_secret_is_missed():
    """It is left out for its bad shares; then a member falls silent that alone knows their edge."""
    exchange = lie(
        R1, lambda b: replace(b, ciphertexts=(b"",) * 6), gateways=7, vanish={"g3": "unmasking"}
    )

    assert (R2, "BAD_DEALER") == exchange.dropped[LIAR]
    assert errors.InconsistentAnswers is type(exchange.aborted)
    assert (LIAR,) == exchange.aborted.culprits


def test_shares_off_any_polynomial_name_their_dealer(monkeypatch):
    dealing = False
    honest = client_module.split

    def split(secrets: Any, threshold: int, holders: Any, rng: Any) -> Any:
        shares = honest(secrets, threshold, holders, rng)
        if dealing:
            return [[(bytes([i, 7, 1]) * 13) for _ in each] for i, each in enumerate(shares)]
        return shares

    monkeypatch.setattr(client_module, "split", split)
    exchange = Exchange(Parties(5), vanish={LIAR: "unmasking"})

    def passes(frame: Frame) -> list[bytes]:
        nonlocal dealing
        dealing = frame.gateway == LIAR and not frame.up and frame.step == R1
        return [frame.data]

    exchange.passes = passes
    exchange.play()

    assert errors.InconsistentAnswers is type(exchange.aborted)
    assert (LIAR,) == exchange.aborted.culprits
