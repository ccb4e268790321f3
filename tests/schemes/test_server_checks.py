"""More of what gateways do wrong, where the liar needs help: thresholds, the dead, its own keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from secagg import errors, wire
from secagg.crypto.agreement import agree
from secagg.encoding import bitmap, decode
from secagg.protocol.events import SharesDisputed
from secagg.protocol.messages import DropReason, Signed
from secagg.protocol.uploads import frame_mac
from secagg.schemes.masks.messages import STEPS
from secagg.session.loopback import Frame
from secagg.thresholds import derive
from secagg.wire import TAG_BYTES, VECTOR, new_vector_frame
from tests.schemes import test_server_rows as rows
from tests.schemes.attacks import body
from tests.schemes.test_client_rows import R1, R2, R3, R4, K
from tests.schemes.test_server_rows import LIAR, ONE, OTHERS, Row, lie, raw, swapped, vectors_only

replace = msgspec.structs.replace

ROWS = [
    Row("key not canonical", K, lambda b: replace(b, channel_key=b"\xff" * 32), "BAD_KEY"),
    Row("key of no size", K, lambda b: replace(b, channel_key=b""), "BAD_KEY"),
    Row("seed commitment", R1, lambda b: replace(b, seed_commitment=bytes(31)), "MALFORMED"),
    Row(
        "commitment size",
        R1,
        lambda b: replace(b, commitments=swapped(b.commitments, 3, (ONE, ONE[1:]))),
        "MALFORMED",
    ),
    Row(
        "oversize share",
        R1,
        lambda b: replace(b, ciphertexts=swapped(b.ciphertexts, 3, bytes(95))),
        "MALFORMED",
    ),
    Row(
        "commitments for strangers",
        R1,
        lambda b: replace(b, commitments=(*b.commitments, (ONE, ONE))),
        "MALFORMED",
    ),
    Row(
        "shares for strangers",
        R1,
        lambda b: replace(b, ciphertexts=(*b.ciphertexts, b"")),
        "MALFORMED",
    ),
    Row("complaints of another size", R2, lambda b: replace(b, complaints=b""), "MALFORMED"),
    Row("no such position", R2, lambda b: replace(b, position=-1), "FOREIGN"),
    Row("edges of nobody", R4, lambda b: replace(b, edge_secrets=(ONE,)), "MALFORMED"),
    Row("key shares of nobody", R4, lambda b: replace(b, key_shares=(ONE,)), "MALFORMED"),
    Row(
        "a share too many",
        R4,
        lambda b: replace(b, seed_shares=(*b.seed_shares, ONE)),
        "MALFORMED",
    ),
    Row(
        "the last share",
        R4,
        lambda b: replace(b, seed_shares=swapped(b.seed_shares, 3, bytes(39))),
        "BAD_SHARE",
        silent="g4",
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.step}: {row.name}")
def test_the_liar_is_dropped_and_the_sum_is_exact(row):
    rows.test_the_liar_is_dropped_and_the_sum_is_exact(row)


def test_every_reason_is_some_rows():
    """SILENT, VANISHED and the like have tests of their own, in `test_server_rows`.

    CONTRADICTED is of additive schemes.
    """
    tables = {row.reason for row in (*rows.ROWS, *ROWS)}
    tables |= {reason for _, reason in rows.ANSWERS.values()}
    alone = {"SILENT", "VANISHED", "ABORTED", "EQUIVOCATED", "BAD_FRAME", "BAD_EDGE"}
    alone |= {"CONTRADICTED"}

    assert {reason.name for reason in DropReason} == tables | alone


@pytest.mark.parametrize("step", [step.name for step in STEPS])
def test_silence_is_a_reason(step):
    exchange = Exchange(Parties(5), vanish={LIAR: step}).play()

    assert {LIAR: (step, "SILENT")} == exchange.dropped
    assert exchange.verdict.summed


def test_a_complaint_about_one_who_dealt_nothing():
    exchange = lie(
        R2, lambda b: replace(b, complaints=bitmap([5], 6)), gateways=6, vanish={"g5": R1}
    )

    assert (R2, "MALFORMED") == exchange.dropped[LIAR]
    assert OTHERS == exchange.verdict.summed


# -- dealers that too few can use ------------------------------------------------------------------


def settings(parties: Parties, **limits: int) -> Any:
    return parties.settings(thresholds=derive(len(parties.ids), **limits))


def lied(
    step: str, change: Callable[[Any], Any], gateways: int, t: int, **options: Any
) -> Exchange:
    """`lie`, with another share threshold."""
    made = settings(Parties(gateways), share_threshold=t)
    return lie(step, change, gateways=gateways, settings=made, **options)


def one_bad(b: Any) -> Any:
    return replace(b, ciphertexts=swapped(b.ciphertexts, 0, b""))


@pytest.mark.parametrize(("t", "goes"), [(4, False), (5, True)])
def test_a_dealer_with_too_few_good_holders_goes_without_a_proof(t, goes):
    """n = 7, C = D = 2: one complaint proves nothing, but 5 of 6 good holders are too few."""
    exchange = lied(R1, one_bad, 7, t)

    assert ({LIAR: (R2, "BAD_DEALER")} if goes else {}) == exchange.dropped
    assert [SharesDisputed("g0", LIAR)] == [
        event for event in exchange.events if isinstance(event, SharesDisputed)
    ]
    assert exchange.verdict.summed
    assert goes == (LIAR not in exchange.included)


# -- what the dead leave behind --------------------------------------------------------------------

DEAD = {"g5": R2}
"""n = 6, C = 1, D = 2, t = 3."""

FAULTS = {
    "no edges": (lambda b: replace(b, edge_secrets=()), "MALFORMED"),
    "no key shares": (lambda b: replace(b, key_shares=()), "MALFORMED"),
    "another key share": (lambda b: replace(b, key_shares=(bytes(39),)), "BAD_SHARE"),
    "no such key share": (lambda b: replace(b, key_shares=(b"",)), "BAD_SHARE"),
    "the seed's share": (lambda b: replace(b, key_shares=b.seed_shares[:1]), "BAD_SHARE"),
    "an edge of no size": (lambda b: replace(b, edge_secrets=(b"",)), "BAD_EDGE"),
    "another edge": (lambda b: replace(b, edge_secrets=(ONE,)), "BAD_EDGE"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_liar_about_the_dead_is_named_and_the_sum_is_exact(name):
    """g4 is silent, so that its edge with the dead is rebuilt from key shares."""
    change, reason = FAULTS[name]
    exchange = lie(R4, change, gateways=6, vanish=DEAD | {"g4": R4})

    assert (R4, reason) == exchange.dropped[LIAR]
    assert {*OTHERS, LIAR} == set(exchange.verdict.summed)


def test_a_bad_share_that_nobody_needs_costs_nothing():
    """Everybody answers, so no secret is rebuilt: the share is not looked at."""
    exchange = lie(R4, lambda b: replace(b, seed_shares=(b"",) * 4))

    assert exchange.dropped == {}
    assert {*OTHERS, LIAR} == set(exchange.verdict.summed)


def test_the_dead_are_rebuilt_for_those_who_fall_silent_too():
    exchange = Exchange(Parties(6), vanish=DEAD | {"g4": R4}).play()

    assert exchange.parties.ids[:5] == exchange.verdict.summed


def another_key(**options: Any) -> Exchange:
    """The liar shares another s than that behind its mask key, with good commitments."""
    exchange = Exchange(Parties(7), **options).play_until(R1)
    secrets: Any = exchange.clients[LIAR]._client._secrets
    secrets["key_seed"] = type(secrets["key_seed"])(ONE)
    return exchange.play()


def test_good_shares_of_another_key_name_their_dealer():
    """It dies, and so does one whose edge with it must be rebuilt."""
    exchange = another_key(vanish={LIAR: R2, "g4": R4})

    assert errors.InconsistentAnswers is type(exchange.aborted)
    assert (LIAR,) == exchange.aborted.culprits
    assert "advertised" in str(exchange.aborted)


@pytest.mark.parametrize("vanish", [{}, {LIAR: R2}, {LIAR: R2, "g4": R3}, {"g4": R4}], ids=str)
def test_another_key_harms_only_where_it_is_rebuilt(vanish):
    exchange = another_key(vanish=vanish)

    if vanish == {LIAR: R2, "g4": R3}:
        assert (LIAR,) == exchange.aborted.culprits
    else:
        assert exchange.verdict.summed


# -- too few answers -------------------------------------------------------------------------------


def silent(count: int) -> Exchange:
    """n = 6, t = 3."""
    return Exchange(Parties(6), vanish=dict.fromkeys(["g2", "g3", "g4", "g5"][:count], R4)).play()


def test_three_answers_rebuild_what_the_others_keep():
    exchange = silent(3)

    assert exchange.parties.ids == exchange.verdict.summed


def test_two_answers_do_not():
    ended = silent(4).aborted

    assert errors.BelowThreshold is type(ended)
    assert (2, 3, R4) == (ended.answered, ended.needed, ended.phase)


@pytest.mark.parametrize("phase", [K, R1, R2, R3])
def test_each_phase_carries_d_and_not_one_more(phase):
    """n = 7, C = D = 2: q = n_min = 5."""
    two = Exchange(Parties(7), vanish={"g1": phase, "g4": phase}).play()
    three = Exchange(Parties(7), vanish={"g1": phase, "g4": phase, "g6": phase}).play()

    assert two.verdict.summed
    assert (4, 5, phase) == (
        three.aborted.answered,
        three.aborted.needed,
        three.aborted.phase,
    )


@pytest.mark.parametrize(
    ("limits", "phase", "needed"),
    [
        ({"max_dropouts": 1, "share_threshold": 5}, K, 5),
        ({"max_dropouts": 1, "share_threshold": 5}, R1, 5),
        ({"max_dropouts": 1, "min_included": 5}, K, 5),
        ({"max_dropouts": 1, "min_included": 5}, R1, 5),
        ({"max_dropouts": 1}, R2, 5),
        ({"max_dropouts": 1}, R3, 4),
    ],
    ids=str,
)
def test_each_bound_of_a_phase_counts(limits, phase, needed):
    parties = Parties(6)
    gone = dict.fromkeys(["g3", "g4", "g5"][: 6 - needed + 1], phase)
    exchange = Exchange(parties, settings=settings(parties, **limits), vanish=gone).play()

    assert (needed - 1, needed, phase) == (
        exchange.aborted.answered,
        exchange.aborted.needed,
        exchange.aborted.phase,
    )


# -- frames ----------------------------------------------------------------------------------------


def own_frame(exchange: Exchange, sequence: int, words: int) -> bytes:
    """A frame that the liar's own key makes authentic, of a length of its choice."""
    client: Any = exchange.clients[LIAR]._client
    frame, _ = new_vector_frame(exchange.server.session, sequence, words)
    mac = frame_mac(
        agree(client._secrets["channel"].reveal(), client.params.orchestrator_key),
        salt=client._h0,
        session=exchange.server.session,
        position=client._position,
    )
    frame[-TAG_BYTES:] = mac.tag(sequence, memoryview(frame)[:-TAG_BYTES])
    return bytes(frame)


FRAMES: dict[str, Callable[[Exchange, bytes, int], list[bytes]]] = {
    "short": lambda w, data, i: [own_frame(w, 0, 1)] if i == 1 else [data],
    "long": lambda w, data, i: [own_frame(w, 0, 9)] if i == 1 else [data],
    "another under the same number": lambda w, data, i: [data, own_frame(w, i - 1, 3)],
    "of a later number": lambda w, data, i: [own_frame(w, 2**31, 3)] if i == 1 else [data],
    "under another's key": lambda w, data, i: [foreign(w, data)],
    "another number in its header": lambda w, data, i: [data[:32] + b"\1\0\0\0" + data[36:]],
}


def foreign(exchange: Exchange, data: bytes) -> bytes:
    """The same words, tagged as another gateway would."""
    client: Any = exchange.clients["g2"]._client
    mac = frame_mac(
        agree(client._secrets["channel"].reveal(), client.params.orchestrator_key),
        salt=client._h0,
        session=exchange.server.session,
        position=1,
    )
    return data[:-TAG_BYTES] + mac.tag(0, data[:-TAG_BYTES])


@pytest.mark.parametrize("name", FRAMES)
def test_a_bad_frame_drops_its_sender_and_none_of_it_is_in_the_sum(name):
    exchange = Exchange(Parties(5))
    raw(exchange, vectors_only(lambda data, i: FRAMES[name](exchange, data, i)))

    assert (R2, "BAD_FRAME") == exchange.dropped[LIAR]
    assert OTHERS == exchange.verdict.summed


@pytest.mark.parametrize("interleaved", [False, True])
def test_frames_after_completion_change_nothing(interleaved):
    """Whether the upload waits for the other headers or is in the sum already."""
    exchange = Exchange(Parties(5), interleaved=interleaved)
    count = 0

    def passes(frame: Frame) -> list[bytes]:
        nonlocal count
        if wire.open(frame.data).type != VECTOR:
            return [frame.data]
        count += 1
        if count < len(exchange.settings.vectors):
            return [frame.data]
        return [frame.data, frame.data, own_frame(exchange, count, 2), own_frame(exchange, 0, 3)]

    raw(exchange, passes)

    assert {} == exchange.dropped
    assert exchange.cohort == exchange.verdict.summed


@pytest.mark.parametrize("phase", [K, R1, R3, R4])
def test_frames_outside_the_upload_change_nothing(phase):
    exchange = Exchange(Parties(5)).play_until(phase)
    frame, _ = new_vector_frame(exchange.server.session, 0, 3)
    exchange.send(exchange.deliver(Frame(LIAR, up=True, step=phase, data=bytes(frame))))
    exchange.play()

    assert {} == exchange.dropped
    assert exchange.cohort == exchange.verdict.summed


# -- garbage in an upload --------------------------------------------------------------------------


def uploads(**lanes: Callable[[np.ndarray], None]) -> Exchange:
    """The liar's words of some vectors are changed before they are masked."""
    exchange = Exchange(Parties(5)).play_until(R2)
    names = [vector.name for vector in exchange.settings.vectors]
    session = exchange.clients[LIAR]
    honest = session.upload

    def upload(*args: Any, **options: Any) -> Any:
        scheme: Any = session._client
        make = scheme.upload

        def masked(source: Any, model: bytes) -> Any:
            def changed() -> Any:
                fill = source()

                def write(vector: int, first: int, out: np.ndarray) -> None:
                    fill(vector, first, out)
                    lanes.get(names[vector].replace("/", "_"), lambda _: None)(out)

                return write

            return make(changed, model)

        scheme.upload = masked
        return honest(*args, **options)

    session.upload = upload
    return exchange.play()


def add(amount: int) -> Callable[[np.ndarray], None]:
    return lambda out: np.add(out, np.uint64(amount % 2**64), out=out)


def test_the_harness_changes_nothing_by_itself():
    exchange = uploads()

    assert exchange.cohort == exchange.verdict.summed


@pytest.mark.parametrize(
    ("vector", "amount"),
    [
        ("weight", -(2**30)),
        ("weight", 2**30),
        ("update_0", 2**62),
        ("metrics", 2**62),
        ("check", 1),
        ("check", 2**63),
    ],
)
def test_garbage_is_detected_and_there_is_no_partial_sum(vector, amount):
    exchange = uploads(**{vector: add(amount)})

    assert errors.AggregateOutOfRange is type(exchange.aborted)
    assert {} == exchange.dropped
    with pytest.raises(errors.LocalProtocolError):
        _ = exchange.server.result


def test_garbage_with_a_dead_neighbour_blames_nobody_who_told_the_truth():
    """The check words are rebuilt over every edge; all were true, so nobody is named."""
    parties = Parties(6)
    exchange = Exchange(parties, vanish=DEAD).play_until(R2)
    secrets = exchange.clients[LIAR]._client._secrets
    committed = secrets["seed"].reveal()
    secrets["seed"] = type(secrets["seed"])(ONE)
    exchange.play_until(R4)
    secrets["seed"] = type(secrets["seed"])(committed)
    exchange.play()

    assert errors.AggregateOutOfRange is type(exchange.aborted)
    assert ["g5"] == list(exchange.dropped)


def test_garbage_that_too_few_shares_are_left_to_explain():
    """n = 6, D = 2, t = 4: two dead, and one of four holders rejects the share of one of them."""
    parties = Parties(6)
    made = settings(parties, share_threshold=4)
    dead = {"g4": R2, "g5": R2}

    def change(b: Any) -> Any:
        return replace(b, complaints=bitmap([5], 6))

    calm = lie(R2, change, gateways=6, settings=made, vanish=dead)
    garbage = lie_twice(made, dead, change)

    assert calm.verdict.summed
    assert errors.AggregateOutOfRange is type(garbage.aborted)
    assert "too few shares" in str(garbage.aborted)


def lie_twice(made: Any, dead: dict[str, str], change: Callable[[Any], Any]) -> Exchange:
    """The false complaint, and then a false edge."""
    parties = Parties(6)
    exchange = Exchange(parties, settings=made, vanish=dead)

    def passes(frame: Frame) -> list[bytes]:
        if not frame.up or frame.gateway != LIAR or wire.open(frame.data).type == VECTOR:
            return [frame.data]
        if frame.step == R2:
            honest = body_of(frame)
            return [rows.resigned(frame, exchange, rows.encode(change(honest)))]
        if frame.step == R4:
            honest = body_of(frame)
            false = replace(honest, edge_secrets=(ONE,) * 2)
            return [rows.resigned(frame, exchange, rows.encode(false))]
        return [frame.data]

    exchange.passes = passes
    return exchange.play()


def body_of(frame: Frame) -> Any:
    answer = rows.CODEC.decode(wire.open(frame.data))
    return rows.decode(rows.KINDS[answer.step], answer.signed.body)


def test_an_honest_answer_has_a_share_for_everybody():
    exchange = Exchange(Parties(6), vanish=DEAD).play()
    answer = body(exchange, R4)

    assert (4, 1, 1) == (
        len(answer.seed_shares),
        len(answer.edge_secrets),
        len(answer.key_shares),
    )


@pytest.mark.parametrize("liars", [("g1", "g2", "g3"), ("g1",), ("g3", "g5", "g9")])
def test_as_many_liars_about_shares_as_may_collude_cost_nothing(liars):
    """n = 10, C = D = 3, t = 4: three fall silent, three lie, and four good shares are left."""
    silent = ("g0", "g4", "g8")
    parties = Parties(10)
    exchange = Exchange(parties, vanish=dict.fromkeys(silent, R4))

    def passes(frame: Frame) -> list[bytes]:
        if not frame.up or frame.step != R4 or frame.gateway not in liars:
            return [frame.data]
        answer = rows.CODEC.decode(wire.open(frame.data))
        said = decode(rows.KINDS[R4], answer.signed.body)
        lied = replace(said, seed_shares=(bytes(39),) * len(said.seed_shares))
        key = parties.identities[frame.gateway].key
        signed = Signed.make(key, rows.LABELS[R4], lied)
        return [rows.CODEC.encode(replace(answer, signed=signed), exchange.server.session)]

    exchange.passes = passes
    exchange.play()

    assert parties.ids == exchange.verdict.summed
    # who lies after four good shares of everybody have come is not asked
    named = {name: reason for name, reason in exchange.dropped.items() if name not in silent}
    assert "g1" in named or "g3" in named
    assert named == dict.fromkeys(named.keys() & set(liars), (R4, "BAD_SHARE"))
