from __future__ import annotations

import os
import threading
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secagg.errors import (
    ModelMismatch,
    SecondQuestion,
    StaleRound,
)
from secagg.protocol.journal import Entry, Journal, MemoryJournal
from secagg.protocol.sqlite_journal import SQLiteJournal
from tests.protocol.journals import (
    ANOTHER,
    ANSWER,
    LAST,
    MODEL,
    NEWER,
    OTHER,
    REQUEST,
    ROSTER,
    SESSION,
    STEP,
    contents,
    upload,
)


@pytest.fixture(params=["memory", "sqlite"])
def journal(request, tmp_path):
    if request.param == "memory":
        yield MemoryJournal()
    else:
        with SQLiteJournal(tmp_path / "journal", create=True) as opened:
            yield opened


def test_a_new_journal_knows_nothing(journal: Journal):
    assert journal.last_round(ROSTER) == 0
    assert journal.model_used("train", MODEL) == 0
    assert journal.get(SESSION, STEP) is None


def test_a_session_that_was_forgotten_is_answered_no_more(journal: Journal):
    journal.put(SESSION, STEP, REQUEST, ANSWER)
    journal.forget(SESSION)
    assert journal.get(SESSION, STEP) is None
    for step in (STEP, "another"):
        with pytest.raises(SecondQuestion):
            journal.put(SESSION, step, REQUEST, ANSWER)
    journal.put(ANOTHER, STEP, REQUEST, ANSWER)


def test_there_is_nothing_to_forget_where_nothing_was_answered(journal: Journal):
    journal.forget(SESSION)
    journal.put(SESSION, STEP, REQUEST, ANSWER)

    assert Entry(REQUEST, ANSWER) == journal.get(SESSION, STEP)


def test_answers_are_dropped_two_claims_later_and_so_is_that_they_were_forgotten(journal: Journal):
    sessions = {number: bytes([number]) * 16 for number in (1, 2, 3)}
    for number, session in sessions.items():
        journal.put(session, STEP, REQUEST, ANSWER, roster=ROSTER, round=number)
    journal.put(SESSION, STEP, REQUEST, ANSWER, roster=OTHER, round=1)
    journal.forget(sessions[1])
    for number in (1, 2):
        journal.claim(ROSTER, number, sessions[number])
        with pytest.raises(SecondQuestion):
            journal.put(sessions[1], STEP, REQUEST, ANSWER)
    journal.claim(ROSTER, 3, sessions[3])

    journal.put(sessions[1], STEP, NEWER, ANSWER)  # its round is too old to begin again
    for session in (sessions[2], sessions[3], SESSION):
        assert Entry(REQUEST, ANSWER) == journal.get(session, STEP)
    journal.claim(ROSTER, 4, ANOTHER)
    assert journal.get(sessions[2], STEP) is None
    assert Entry(REQUEST, ANSWER) == journal.get(SESSION, STEP)


def test_a_round_has_one_prekey_until_it_is_forgotten(journal: Journal):
    first, second = b"\x08" * 32, b"\x09" * 32

    assert journal.prekey(ROSTER, 1) is None
    assert journal.store_prekey(ROSTER, 1, first) == first
    assert journal.store_prekey(ROSTER, 1, second) == first
    assert journal.store_prekey(ROSTER, 2, second) == second
    assert journal.store_prekey(OTHER, 1, second) == second
    journal.forget_prekeys(ROSTER, 1)
    assert journal.prekey(ROSTER, 1) is None
    assert journal.prekey(ROSTER, 2) == journal.prekey(OTHER, 1) == second


def test_rounds_only_rise_and_each_roster_counts_for_itself(journal: Journal):
    journal.claim(ROSTER, 3, SESSION)
    for number in (3, 2, 1, 0, -1):
        with pytest.raises(StaleRound):
            journal.claim(ROSTER, number, ANOTHER)
    journal.claim(OTHER, 1, ANOTHER)
    journal.claim(ROSTER, LAST, SESSION)
    with pytest.raises(StaleRound):
        journal.claim(ROSTER, LAST, ANOTHER)

    assert (journal.last_round(ROSTER), journal.last_round(OTHER)) == (LAST, 1)


@pytest.mark.parametrize("number", [0, -1])
def test_the_first_round_is_above_zero(journal: Journal, number):
    with pytest.raises(StaleRound):
        journal.claim(ROSTER, number, SESSION)

    assert journal.last_round(ROSTER) == 0


def test_a_claim_is_for_one_session_and_lasts_until_the_next_round(journal: Journal):
    journal.claim(ROSTER, 4, SESSION)
    journal.claim(ROSTER, 4, SESSION)
    with pytest.raises(StaleRound, match=r"round 4: .* not claimed"):
        journal.spend(ROSTER, 4, ANOTHER, MODEL, purpose="train")
    journal.claim(ROSTER, 5, ANOTHER)
    with pytest.raises(StaleRound, match=r"round 4: .* round 5"):
        journal.claim(ROSTER, 4, SESSION)
    for number in (4, 5):
        with pytest.raises(StaleRound):
            journal.spend(ROSTER, number, SESSION, MODEL, purpose="train")
    with pytest.raises(StaleRound):
        journal.spend(OTHER, 5, ANOTHER, MODEL, purpose="train")

    assert (journal.last_round(ROSTER), journal.model_used("train", MODEL)) == (5, 0)
    journal.spend(ROSTER, 5, ANOTHER, MODEL, purpose="train")


def test_a_round_is_spent_once(journal: Journal):
    upload(journal, 4)
    journal.claim(ROSTER, 4, SESSION)
    with pytest.raises(StaleRound, match="spent"):
        journal.spend(ROSTER, 4, SESSION, NEWER, purpose="train")

    assert journal.model_used("train", NEWER) == 0


def test_uses_of_a_model_are_counted_for_each_purpose_over_all_rosters(journal: Journal):
    upload(journal, 1)
    upload(journal, 1, roster=OTHER)
    journal.claim(ROSTER, 2, SESSION)
    journal.spend(ROSTER, 2, SESSION, MODEL, purpose="evaluate", uses=1)
    journal.forget(SESSION)

    counts = [journal.model_used(purpose, MODEL) for purpose in ("train", "evaluate", "other")]
    assert counts == [2, 1, 0]


def test_a_model_that_is_used_up_leaves_the_round_claimed(journal: Journal):
    upload(journal, 1, uses=1)
    journal.claim(OTHER, 1, ANOTHER)
    for uses in (1, 0):
        with pytest.raises(ModelMismatch, match="train"):
            journal.spend(OTHER, 1, ANOTHER, MODEL, purpose="train", uses=uses)

    assert journal.model_used("train", MODEL) == 1
    journal.spend(OTHER, 1, ANOTHER, MODEL, purpose="train", uses=2)
    assert journal.model_used("train", MODEL) == 2


def test_rounds_without_a_model_are_not_counted(journal: Journal):
    for number in (1, 2):
        upload(journal, number, bytes(32), uses=1)

    assert journal.model_used("train", bytes(32)) == 0


def test_the_first_pin_of_a_name_stays(journal: Journal):
    assert journal.pin(ROSTER, "train", {"a": b"1"}) == {"a": b"1"}
    assert journal.pin(ROSTER, "train", {"a": b"2", "b": b"3"}) == {"a": b"1", "b": b"3"}
    assert journal.pin(ROSTER, "train", {}) == {}
    assert journal.pin(ROSTER, "evaluate", {"a": b"4"}) == {"a": b"4"}
    assert journal.pin(OTHER, "train", {"a": b"5"}) == {"a": b"5"}
    assert journal.pin(ROSTER, "train", {"a": b"6"}) == {"a": b"1"}


def test_an_answer_is_given_once(journal: Journal):
    journal.put(SESSION, STEP, REQUEST, ANSWER)
    journal.put(SESSION, STEP, REQUEST, ANSWER)
    for request, answer in ((REQUEST, b"another"), (NEWER, ANSWER), (NEWER, b"another")):
        with pytest.raises(SecondQuestion, match=STEP):
            journal.put(SESSION, STEP, request, answer)

    assert Entry(REQUEST, ANSWER) == journal.get(SESSION, STEP)


def test_steps_and_sessions_are_apart(journal: Journal):
    journal.put(SESSION, STEP, REQUEST, ANSWER)
    journal.put(SESSION, "unmasking", REQUEST, b"2")
    journal.put(ANOTHER, STEP, NEWER, b"3")

    assert journal.get(ANOTHER, "unmasking") is None
    assert Entry(REQUEST, b"2") == journal.get(SESSION, "unmasking")
    assert Entry(NEWER, b"3") == journal.get(ANOTHER, STEP)


def test_forget_forgets_one_session_and_no_round(journal: Journal):
    upload(journal, 2)
    journal.put(SESSION, STEP, REQUEST, ANSWER)
    journal.put(ANOTHER, STEP, REQUEST, ANSWER)
    journal.forget(SESSION)
    journal.forget(SESSION)

    assert journal.get(SESSION, STEP) is None
    assert Entry(REQUEST, ANSWER) == journal.get(ANOTHER, STEP)
    assert journal.last_round(ROSTER) == 2


def test_empty_answers_are_answers(journal: Journal):
    journal.put(SESSION, STEP, b"", b"")

    assert Entry(b"", b"") == journal.get(SESSION, STEP)
    with pytest.raises(SecondQuestion):
        journal.put(SESSION, STEP, b"", b"x")


def test_threads_come_one_after_the_other(journal: Journal):
    """Each of them looks before any of them writes, unless it has to wait its turn."""
    meeting = threading.Barrier(2)

    def looked(found):
        with suppress(threading.BrokenBarrierError):
            meeting.wait(0.1)
        return found

    class Slow(dict):
        def get(self, *key):
            return looked(super().get(*key))

    if isinstance(journal, MemoryJournal):
        journal._rounds = Slow()
    else:
        read = journal._all
        journal._all = lambda *query: looked(read(*query))
    won = []

    def claim(session):
        with suppress(StaleRound):
            journal.claim(ROSTER, 1, session)
            won.append(session)

    threads = [threading.Thread(target=claim, args=(each,)) for each in (SESSION, ANOTHER)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(won) == 1


def test_no_repr_or_error_shows_an_answer(journal: Journal):
    journal.put(SESSION, STEP, REQUEST, b"very private")
    with pytest.raises(SecondQuestion) as error:
        journal.put(SESSION, STEP, REQUEST, b"also private")
    shown = f"{journal!r} {journal.get(SESSION, STEP)!r} {error.value!r}"

    assert "private" not in shown
    assert b"private".hex() not in shown
    assert "<12 bytes>" in shown


operations = st.lists(
    st.one_of(
        st.tuples(
            st.just("claim"),
            st.sampled_from([ROSTER, OTHER]),
            st.integers(-1, 3),
            st.sampled_from([SESSION, ANOTHER]),
        ),
        st.tuples(
            st.just("spend"),
            st.sampled_from([ROSTER, OTHER]),
            st.integers(1, 3),
            st.sampled_from([SESSION, ANOTHER]),
            st.sampled_from([MODEL, NEWER]),
            st.sampled_from([None, 1]),
        ),
        st.tuples(
            st.just("pin"),
            st.sampled_from([ROSTER, OTHER]),
            st.sampled_from(["train", "evaluate"]),
            st.dictionaries(st.sampled_from("ab"), st.sampled_from([b"1", b"2"])),
        ),
        st.tuples(
            st.just("put"),
            st.sampled_from([SESSION, ANOTHER]),
            st.sampled_from(["a", "b"]),
            st.sampled_from([b"1", b"2"]),
            st.sampled_from([b"1", b"2"]),
        ),
        st.tuples(st.just("forget"), st.sampled_from([SESSION, ANOTHER])),
        st.tuples(
            st.just("store_prekey"),
            st.sampled_from([ROSTER, OTHER]),
            st.integers(1, 4),
            st.sampled_from([b"1", b"2"]),
        ),
        st.tuples(st.just("forget_prekeys"), st.sampled_from([ROSTER, OTHER]), st.integers(0, 5)),
    ),
    max_size=12,
)


def outcome(journal, operation):
    verb, *arguments = operation
    options = {}
    if verb == "spend":
        options = {"purpose": "train", "uses": arguments.pop()}
    try:
        return getattr(journal, verb)(*arguments, **options)
    except (StaleRound, SecondQuestion, ModelMismatch) as error:
        return repr(error)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(operations)
def test_the_file_behaves_as_memory_does(tmp_path, steps):
    path = tmp_path / os.urandom(8).hex()
    memory = MemoryJournal()
    with SQLiteJournal(path, create=True) as stored:
        for step in steps:
            assert outcome(memory, step) == outcome(stored, step)
            assert contents(memory) == contents(stored)
    with SQLiteJournal(path) as again:
        assert contents(memory) == contents(again)
