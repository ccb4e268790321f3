"""A phase is verified when it closes, in threads, and before anything in an answer is used."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from msgspec.structs import replace

from protocol_sim.memory import Exchange
from protocol_sim.parties import VERIFY, Parties
from secagg import wire
from secagg.protocol.messages import Answer, Signed
from secagg.session.loopback import Frame
from secagg.workers import Workers
from tests.session.deceit import CODEC


def unsigned(frame: Frame) -> bytes:
    answer = CODEC.decode(wire.open(frame.data))
    signed = replace(answer.signed, signature=bytes(64))
    return CODEC.encode(replace(answer, signed=signed), wire.session_of(frame.data))


def badly_signed(names: set[str], *, also: bool) -> Callable[[Frame], Iterable[bytes]]:
    """The first answers of these gateways arrive unsigned, and as they are behind that or never."""

    def passes(frame: Frame) -> Iterable[bytes]:
        if frame.up and frame.step == "advertise_keys" and frame.gateway in names:
            return [unsigned(frame), frame.data] if also else [unsigned(frame)]
        return [frame.data]

    return passes


def played(threads: int, **options: object) -> Exchange:
    with Workers(threads) as workers:
        return Exchange(Parties(9), workers=workers, **options).play()


@pytest.mark.parametrize("vouched", [False, True])
@pytest.mark.parametrize("also", [False, True])
def test_threads_change_nothing(*, vouched: bool, also: bool) -> None:
    passes = badly_signed({"g1", "g4"}, also=also)
    one, many = (played(threads, passes=passes, vouched=vouched) for threads in (1, 4))

    assert list(map(str, one.events)) == list(map(str, many.events))
    assert one.server.ignored == many.server.ignored
    assert one.verdict == many.verdict
    assert one.verdict.summed
    assert ({} if also and not vouched else {"g1", "g4"}) == (set(one.dropped) or {})


def test_answers_wait_for_the_end_of_their_phase_and_a_second_one_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exchange = Exchange(Parties(5), vouched=False)
    exchange.send(exchange.start())
    server, verified = exchange.server, []

    def verify(key: bytes, *rest: object) -> None:
        verified.append(key)
        VERIFY(key, *rest)

    monkeypatch.setattr(server._machine, "_verify", verify)
    answers = {}
    while exchange.pending and len(answers) < 5:
        frame = exchange.pick()
        if frame.up:
            answers[frame.gateway] = frame
        else:
            exchange.send(exchange.deliver(frame))
    for name in ("g0", "g1", "g2"):
        list(server.receive(name, answers[name].data))

    assert [] == verified
    assert {"g3", "g4"} == set(server.waiting_for)
    list(server.receive("g1", answers["g1"].data))  # the same again

    assert [] == verified
    list(server.receive("g1", unsigned(answers["g1"])))
    keys = [exchange.parties.identities[name].key.public for name in exchange.cohort]

    assert [keys[1]] == verified  # the first one, which counts
    list(server.receive("g3", unsigned(answers["g3"])))
    list(server.receive("g4", answers["g4"].data))

    assert sorted([keys[1], keys[0], keys[2], keys[3], keys[4]]) == sorted(verified)
    assert ("g3",) == server.waiting_for  # a forgery stood in its place
    list(server.receive("g3", answers["g3"].data))

    assert "share_keys" == server.phase
    assert {} == server.dropped


@pytest.mark.parametrize(("body", "signature"), [(2**16 + 1, 64), (64, 2**16 + 1)])
def test_a_long_answer_does_not_wait(body: int, signature: int) -> None:
    """A forger of a thousand names is not to fill the memory."""
    exchange = Exchange(Parties(5), vouched=False)
    exchange.send(exchange.start())
    server, junk = exchange.server, Signed(body=bytes(body), signature=bytes(signature))
    long = CODEC.encode(Answer(step="advertise_keys", signed=junk), server.session)
    list(server.receive("g1", long))

    assert "g1" in server.waiting_for
    assert [1] == list(server.ignored.values())


def test_a_step_that_is_not_an_answers_is_nobodys() -> None:
    exchange = Exchange(Parties(5), vouched=False)
    exchange.send(exchange.start())
    frame = next(iter(exchange.deliver(exchange.pick())))
    answer = CODEC.decode(wire.open(frame.data))
    for step in ("share_keys", "no such step", "abort"):
        said = Answer(step=step, signed=answer.signed)
        list(exchange.server.receive(frame.gateway, CODEC.encode(said, exchange.server.session)))

    assert 3 == sum(exchange.server.ignored.values())
    assert frame.gateway in exchange.server.waiting_for
