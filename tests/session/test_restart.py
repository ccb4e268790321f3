"""A gateway's process dies at every message and comes back with its journal: the same bytes again,
or absence; never another answer, never a second upload."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from secagg import wire
from secagg.errors import BelowThreshold, LocalProtocolError, StaleRound, StateLost
from secagg.protocol.events import Aborted, Send, UpdateDue
from secagg.protocol.journal import Journal, MemoryJournal
from secagg.protocol.messages import Answer
from secagg.protocol.sqlite_journal import SQLiteJournal
from secagg.schemes.additive import Lattice
from secagg.schemes.masks import Masks
from secagg.session.loopback import Frame
from secagg.wire import VECTOR
from tests.session.deceit import CODEC

STEPS = tuple(step.name for step in Masks.steps)
VICTIM = "g1"
DURABLE = STEPS[1:]
"""From the first share on."""
Reopen = Callable[[Journal | None], Journal]


@pytest.fixture(params=["memory", "sqlite"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Reopen]:
    """The journal as the next process finds it."""
    opened: list[SQLiteJournal] = []

    def again(before: Journal | None) -> Journal:
        if request.param == "memory":
            return before or MemoryJournal()
        if before is not None:
            before.close()
        opened.append(SQLiteJournal(tmp_path / "journal.db", create=before is None))
        return opened[-1]

    yield again
    for journal in opened:
        journal.close()


class CrashingExchange(Exchange):
    """The victim dies when it has answered one request, before or after the answer has left."""

    def crash_at(self, step: str, *, left: bool, reopen: Reopen) -> CrashingExchange:
        self.reopen, self.crashes = reopen, 0
        self.parties.journals[VICTIM] = reopen(None)
        self.clients[VICTIM] = self.parties.client(VICTIM, self.number)

        def passes(frame: Frame) -> tuple[bytes, ...]:
            if (frame.gateway, frame.up, frame.step) == (VICTIM, False, step) and not self.crashes:
                for event in self.clients[VICTIM].receive(frame.data):
                    if isinstance(event, Send):
                        self.said.append(bytes(event.frame))
                        if left:
                            self.speak(event)
                self.crash()
            return (frame.data,)

        self.said: list[bytes] = []
        self.passes = passes
        return self

    def crash(self) -> None:
        self.crashes += 1
        self.parties.journals[VICTIM] = self.reopen(self.parties.journals[VICTIM])
        self.restart(VICTIM, self.crashes)

    def speak(self, send: Send) -> None:
        """One frame of the victim leaves."""
        self.send([Frame(VICTIM, up=True, step=self.server.phase, data=bytes(send.frame))])

    def answers(self, step: str) -> set[bytes]:
        """What the victim has answered to a step, over all its lives."""
        sent = [bytes(f.data) for f in self.log if f.up and f.gateway == VICTIM]
        small = [data for data in (*sent, *self.said) if wire.open(data).type != VECTOR]
        decoded = [(CODEC.decode(wire.open(data)), data) for data in small]
        return {data for answer, data in decoded if answer.step == step}


def refuses_the_round(exchange: Exchange) -> None:
    """Another session of the same round gets nothing out of the victim."""
    other = Exchange(exchange.parties, number=2, settings=exchange.parties.settings(1))
    other.play_until(STEPS[0])
    announce = next(frame for frame in other.pending if frame.gateway == VICTIM)
    farewell, aborted = other.clients[VICTIM].receive(announce.data)

    assert isinstance(farewell, Send)
    assert isinstance(aborted, Aborted)
    assert isinstance(aborted.reason, StaleRound)


@pytest.mark.parametrize("left", [False, True], ids=["unsent", "sent"])
@pytest.mark.parametrize("step", DURABLE)
def test_after_a_restart_the_same_bytes_or_absence(
    step: str, *, left: bool, reopen: Reopen
) -> None:
    exchange = CrashingExchange(Parties(4)).crash_at(step, left=left, reopen=reopen).play()
    following = STEPS[min(STEPS.index(step) + 1, 4)]
    # it holds no secret any more: the next new question, if there is one, finds it absent
    if step == "masked_input":
        expected = {VICTIM: ("masked_input", "VANISHED")}
    elif step == "unmasking":
        expected = {}
    else:
        expected = {VICTIM: (following, "ABORTED")}

    assert exchange.verdict.summed
    assert 1 == exchange.crashes
    assert expected == exchange.dropped
    for name in STEPS:
        assert len(exchange.answers(name)) <= 1
    assert len(exchange.answers(step)) == 1
    counted = VICTIM in exchange.included
    assert (step in {"consistency", "unmasking"}) == counted


def test_keys_that_have_not_left_may_be_others(reopen: Reopen) -> None:
    """Nothing has been shared under them yet: this answer is not journalled."""
    exchange = CrashingExchange(Parties(4)).crash_at("advertise_keys", left=False, reopen=reopen)
    exchange.play()

    assert exchange.verdict.summed
    assert {} == exchange.dropped
    assert 2 == len(exchange.answers("advertise_keys"))


def test_keys_that_have_left_are_not_exchanged(reopen: Reopen) -> None:
    exchange = CrashingExchange(Parties(4)).crash_at("advertise_keys", left=True, reopen=reopen)
    exchange.play()

    assert exchange.verdict.summed
    assert {VICTIM: ("share_keys", "ABORTED")} == exchange.dropped
    assert set() == exchange.answers("share_keys")


@pytest.mark.parametrize("frames", range(7))
def test_a_death_in_the_middle_of_the_upload(frames: int, reopen: Reopen) -> None:
    """0 frames: the round is claimed and nothing has left."""
    exchange = CrashingExchange(Parties(4)).crash_at("", left=True, reopen=reopen)
    exchange.play_until("masked_input")
    while VICTIM not in exchange.uploads:
        exchange.step()
    sends = list(exchange.uploads.pop(VICTIM))
    for send in sends[:frames]:
        exchange.speak(send)
    exchange.crash()
    request = next(f.data for f in reversed(exchange.log) if f.gateway == VICTIM and not f.up)
    assert [] == [e for e in exchange.clients[VICTIM].receive(request) if isinstance(e, UpdateDue)]
    with pytest.raises(LocalProtocolError, match="no upload is due"):
        exchange.upload(VICTIM)
    exchange.play()

    assert 6 == len(sends)
    assert exchange.verdict.summed
    assert (frames == len(sends)) == (VICTIM in exchange.included)
    assert {VICTIM} == set(exchange.dropped)
    assert {"masked_input", "consistency"} >= {exchange.dropped[VICTIM][0]}
    for name in STEPS:
        assert len(exchange.answers(name)) <= 1
    refuses_the_round(exchange)


def test_a_round_that_was_not_spent_is_open_to_another_session(reopen: Reopen) -> None:
    parties = Parties(4)
    exchange = CrashingExchange(parties).crash_at("share_keys", left=True, reopen=reopen).play()
    assert VICTIM in exchange.dropped
    for name in parties.ids[:1] + parties.ids[2:]:
        parties.journals[name] = MemoryJournal()
    again = Exchange(parties, number=2, settings=parties.settings(1)).play()

    assert again.verdict.summed
    assert VICTIM in again.server.result.included


def test_a_restart_between_rounds_forgets_nothing(reopen: Reopen) -> None:
    parties = Parties(4)
    exchange = CrashingExchange(parties).crash_at("", left=True, reopen=reopen).play()
    assert exchange.verdict.summed
    exchange.crash()

    refuses_the_round(exchange)
    following = Exchange(parties, number=2).play()
    assert following.verdict.summed
    assert parties.ids == following.server.result.included


@pytest.mark.parametrize("step", DURABLE)
def test_a_fresh_journal_is_absence(step: str) -> None:
    """Who has lost everything answers nothing in this session."""
    exchange = Exchange(Parties(4)).play_until(step)
    request = next(f for f in exchange.pending if f.gateway == VICTIM and not f.up)
    exchange.parties.journals[VICTIM] = MemoryJournal()
    exchange.clients[VICTIM] = exchange.parties.client(VICTIM, "another life")
    farewell, aborted = exchange.clients[VICTIM].receive(request.data)

    assert "abort" == CODEC.decode(wire.open(farewell.frame)).step
    assert isinstance(aborted.reason, StateLost)


@pytest.mark.parametrize("times", [1, 3])
def test_many_restarts_in_one_step(times: int, reopen: Reopen) -> None:
    exchange = CrashingExchange(Parties(4)).crash_at("", left=True, reopen=reopen)
    exchange.play_until("unmasking")
    request = next(f for f in exchange.pending if f.gateway == VICTIM and not f.up)
    answers = set()
    for _ in range(times):
        events = list(exchange.clients[VICTIM].receive(request.data))
        answers.add(bytes(events[0].frame))
        exchange.crash()
    exchange.play()

    assert exchange.verdict.summed
    assert 1 == len(answers | exchange.answers("unmasking"))


def test_a_journal_out_of_a_backup_opens_nothing_of_others(tmp_path: Path) -> None:
    """It has forgotten its upload, as a corrupt gateway would have; no journal can notice. The
    others have not, so no second sum of that round can be formed: one is not enough to open even
    its own update, and later rounds are right again."""
    parties = Parties(4)
    path, backup = tmp_path / "journal.db", tmp_path / "backup.db"
    parties.journals[VICTIM] = journal = SQLiteJournal(path, create=True)
    assert Exchange(parties, number=1).play().verdict.summed
    journal.close()
    shutil.copy(path, backup)
    with SQLiteJournal(path) as journal:
        parties.journals[VICTIM] = journal
        assert Exchange(parties, number=2).play().verdict.summed
    shutil.copy(backup, path)
    with SQLiteJournal(path) as journal:
        parties.journals[VICTIM] = journal
        again = Exchange(parties, number=3, settings=parties.settings(2)).play()
        answered = [frame for frame in again.log if frame.up and frame.gateway == VICTIM]
        decoded = [CODEC.decode(wire.open(frame.data)) for frame in answered]

        assert ["advertise_keys"] == [
            answer.step for answer in decoded if isinstance(answer, Answer)
        ]
        assert isinstance(again.aborted, BelowThreshold)
        assert "advertise_keys" == again.aborted.phase
        for name in {*parties.ids} - {VICTIM}:
            reasons = [e.reason for e in again.client_events[name] if isinstance(e, Aborted)]
            assert isinstance(reasons[0], StaleRound)
        assert Exchange(parties, number=4).play().verdict.summed


def test_the_journal_is_asked_before_the_caller_is(reopen: Reopen) -> None:
    """A later round was claimed meanwhile: nothing leaves, and the session ends."""
    parties = Parties(4)
    exchange = CrashingExchange(parties).crash_at("", left=True, reopen=reopen)
    exchange.play_until("masked_input")
    request = next(f for f in exchange.pending if f.gateway == VICTIM and not f.up)
    list(exchange.clients[VICTIM].receive(request.data))
    parties.journals[VICTIM].claim(parties.roster.hash(), 2, b"another session")
    client = exchange.clients[VICTIM]

    with pytest.raises(StaleRound):
        next(exchange.upload(VICTIM))
    assert {} == client._client._secrets
    with pytest.raises(LocalProtocolError, match="over"):
        client.receive(request.data)


@pytest.mark.parametrize("scheme", [Masks(), Lattice()], ids=["masks", "lattice"])
def test_a_journal_keeps_the_answers_of_two_rounds(scheme: Masks | Lattice) -> None:
    parties = Parties(4, scheme)
    exchanges = [Exchange(parties, number).play() for number in range(1, 6)]
    journal = parties.journals[VICTIM]
    kept = [
        exchange.number
        for exchange in exchanges
        if any(journal.get(exchange.server.session, step.name) for step in scheme.steps)
    ]

    assert [4, 5] == kept
