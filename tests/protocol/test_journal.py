from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import secagg
from secagg import canonical
from secagg.crypto import sealing
from secagg.errors import (
    ConfigurationError,
    LocalProtocolError,
    ModelMismatch,
    SecondQuestion,
    StaleRound,
)
from secagg.protocol import sqlite_journal as module
from secagg.protocol.journal import Entry, Journal, MemoryJournal
from secagg.protocol.sqlite_journal import SQLiteJournal

ROSTER, OTHER = b"\x01" * 32, b"\x02" * 32
MODEL, NEWER = b"\x03" * 32, b"\x04" * 32
SESSION, ANOTHER = b"\x05" * 16, b"\x06" * 16
REQUEST, ANSWER = b"\x07" * 32, b"the answer"
STEP = "masked_input"
LAST = 2**63 - 1


@pytest.fixture(params=["memory", "sqlite"])
def journal(request, tmp_path):
    if request.param == "memory":
        yield MemoryJournal()
    else:
        with SQLiteJournal(tmp_path / "journal", create=True) as opened:
            yield opened


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal"


# The contract, on both.


def upload(journal, number, model=MODEL, *, roster=ROSTER, session=SESSION, uses=None):
    journal.claim(roster, number, session)
    journal.spend(roster, number, session, model, purpose="train", uses=uses)


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


def contents(journal):
    return (
        [journal.last_round(roster) for roster in (ROSTER, OTHER)],
        [journal.model_used("train", model) for model in (MODEL, NEWER)],
        [journal.get(s, step) for s in (SESSION, ANOTHER) for step in "ab"],
        [journal.prekey(r, number) for r in (ROSTER, OTHER) for number in range(1, 5)],
    )


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


# The file.


def fill(path):
    with SQLiteJournal(path, create=True) as journal:
        upload(journal, 7)
        journal.put(SESSION, STEP, REQUEST, ANSWER)


def test_a_missing_journal_is_no_new_journal(path):
    with pytest.raises(ConfigurationError, match=r"journal is of no use .* not there.*create=True"):
        SQLiteJournal(path)
    assert not path.exists()
    fill(path)
    path.unlink()
    with pytest.raises(ConfigurationError, match="lost its memory"):
        SQLiteJournal(path)


def test_a_journal_that_is_there_is_not_made_again(path):
    fill(path)
    with pytest.raises(ConfigurationError, match="there already"):
        SQLiteJournal(path, create=True)
    with SQLiteJournal(path) as journal:
        assert journal.last_round(ROSTER) == 7


def test_an_empty_file_is_a_journal_only_where_one_is_made(path):
    path.touch(0o644)
    with pytest.raises(ConfigurationError, match="empty"):
        SQLiteJournal(path)
    fill(path)

    assert path.stat().st_mode & 0o777 == 0o600


PRIVATE = b"not to be found " * 2


def keys(path):
    return path.with_name(f"{path.name}-keys")


def test_a_forgotten_prekey_is_nowhere_in_the_directory(path, tmp_path, monkeypatch):
    """SQLite's rollback journal holds the page as it was, and is unlinked with it."""
    run, seen, link = SQLiteJournal._run, [], tmp_path / "link"

    def watched(self, *statement):
        done = run(self, *statement)
        files = path, path.with_name(f"{path.name}-journal")
        seen.extend(file.read_bytes() for file in files if file.exists())
        return done

    monkeypatch.setattr(SQLiteJournal, "_run", watched)
    with SQLiteJournal(path, create=True) as journal:
        journal.store_prekey(ROSTER, 1, PRIVATE)
        journal.store_prekey(OTHER, 1, b"another")
        (sealed,) = journal._all("SELECT sealed FROM prekeys WHERE roster = ?", ROSTER)[0]
        link.hardlink_to(keys(path))
        slot = link.read_bytes()[:32]
        seen.clear()
        journal.forget_prekeys(ROSTER, 1)
        seen.append(path.read_bytes())

    # whoever kept the page that SQLite saved would need the key
    assert sum(sealed in content for content in seen) > 2
    assert PRIVATE == sealing.open_sealed(slot, sealed, canonical.framed(ROSTER, canonical.u64(1)))
    seen += [keys(path).read_bytes(), link.read_bytes()]
    assert not any(PRIVATE in content or slot in content for content in seen)
    with SQLiteJournal(path) as journal:
        assert journal.prekey(ROSTER, 1) is None
        assert journal.prekey(OTHER, 1) == b"another"


def test_keys_are_on_the_disk_before_their_prekeys_are_and_gone_before_them(path, monkeypatch):
    order = []
    sync, run = os.fsync, SQLiteJournal._run
    monkeypatch.setattr(os, "fsync", lambda file: order.append("keys") or sync(file))

    def noted(self, statement, *values):
        order.append(statement.split()[0])
        return run(self, statement, *values)

    with SQLiteJournal(path, create=True) as journal:
        monkeypatch.setattr(SQLiteJournal, "_run", noted)
        order.clear()
        journal.store_prekey(ROSTER, 1, PRIVATE)
        journal.forget_prekeys(ROSTER, 0)
        journal.forget_prekeys(ROSTER, 1)

    stored = ["BEGIN", "SELECT", "SELECT", "keys", "INSERT", "COMMIT"]
    nothing = ["BEGIN", "SELECT", "COMMIT"]
    assert [*stored, *nothing, "BEGIN", "SELECT", "keys", "DELETE", "COMMIT"] == order


def test_slots_are_used_again(path):
    with SQLiteJournal(path, create=True) as journal:
        for number in range(1, 20):
            journal.store_prekey(ROSTER, number, bytes([number]) * 32)
            journal.forget_prekeys(ROSTER, number - 1)

        assert journal.prekey(ROSTER, 19) == b"\x13" * 32
    assert keys(path).stat().st_size == 64


def test_a_power_cut_while_a_prekey_is_forgotten_has_forgotten_it(path):
    with SQLiteJournal(path, create=True) as journal:
        journal.store_prekey(ROSTER, 1, PRIVATE)
        journal._keys.erase([0])

        assert journal.prekey(ROSTER, 1) is None
        assert journal.store_prekey(ROSTER, 1, b"new") == b"new"
        assert journal.prekey(ROSTER, 1) == b"new"


def test_a_new_journal_takes_nothing_over_from_the_keys_of_an_older_one(path):
    with SQLiteJournal(path, create=True) as journal:
        journal.store_prekey(ROSTER, 1, PRIVATE)
    slot, link = keys(path).read_bytes(), path.with_name("link")
    link.hardlink_to(keys(path))
    path.unlink()
    SQLiteJournal(path, create=True).close()

    assert b"" == keys(path).read_bytes()
    assert slot not in link.read_bytes()


def test_a_journal_without_its_keys_is_refused(path):
    fill(path)
    keys(path).unlink()
    with pytest.raises(
        ConfigurationError, match="journal-keys is of no use as a file of keys: No such file"
    ):
        SQLiteJournal(path)


def test_errors_name_the_file_and_not_where_it_lies(path, monkeypatch):
    fill(path)
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.0)
    with SQLiteJournal(path) as holder, SQLiteJournal(path) as journal:
        holder._run("BEGIN IMMEDIATE")
        with pytest.raises(ConfigurationError) as locked:
            journal.claim(ROSTER, 8, SESSION)
        shown = repr(journal)
    with pytest.raises(LocalProtocolError) as closed:
        journal.last_round(ROSTER)
    keys(path).unlink()
    with pytest.raises(ConfigurationError) as missing:
        SQLiteJournal(path)
    with pytest.raises(ConfigurationError) as nowhere_at_all:
        SQLiteJournal(path / "below", create=True)
    for text in (*map(str, (locked.value, closed.value, missing.value)), shown):
        assert str(path.parent) not in text
        assert "journal" in text
    assert str(path.parent) not in str(nowhere_at_all.value)


def test_a_file_does_not_grow_with_rounds(path):
    with SQLiteJournal(path, create=True) as journal:
        sizes = []
        for number in range(1, 61):
            session = number.to_bytes(16, "big")
            journal.put(session, STEP, REQUEST, bytes(5000), roster=ROSTER, round=number)
            journal.claim(ROSTER, number, session)
            sizes.append(path.stat().st_size)

    assert sizes[5] == sizes[-1]


def test_a_forgotten_prekey_is_erased_in_memory():
    journal = MemoryJournal()
    journal.store_prekey(ROSTER, 7, bytes(32))
    secret = journal._prekeys[ROSTER][7]
    journal.forget_prekeys(ROSTER, 7)
    with pytest.raises(LocalProtocolError, match="erased"):
        secret.reveal()


def test_commits_survive_power_cuts(path):
    # 3 is EXTRA; with a rollback journal anything less may lose the last commit
    with SQLiteJournal(path, create=True) as journal:
        found = {
            name: journal._all(f"PRAGMA {name}")[0][0]
            for name in ("journal_mode", "synchronous", "fullfsync", "secure_delete")
        }

    assert found == {"journal_mode": "delete", "synchronous": 3, "fullfsync": 1, "secure_delete": 1}


def test_what_sqlite_has_undone_by_itself_is_not_undone_again(path):
    with SQLiteJournal(path, create=True) as journal:
        with pytest.raises(ConfigurationError, match="no transaction"), journal._transaction():
            journal._run("ROLLBACK")
        journal.claim(ROSTER, 1, SESSION)


def test_two_files_and_every_statement_commits_by_itself(path):
    with SQLiteJournal(path, create=True) as journal:
        journal.put(SESSION, STEP, REQUEST, ANSWER)

        assert not journal._connection.in_transaction
        assert [path, keys(path)] == sorted(path.parent.iterdir())


def test_forgotten_answers_are_gone_from_the_file(path):
    answer = b"needle in a haystack" * 500  # also spills into overflow pages
    with SQLiteJournal(path, create=True) as journal:
        journal.put(SESSION, STEP, REQUEST, answer)
        before = path.read_bytes()
        journal.forget(SESSION)
        after = path.read_bytes()

    assert b"needle" in before
    assert b"needle" not in after


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_nobody_else_may_read_the_file(path, umask):
    before = os.umask(umask)
    try:
        fill(path)
    finally:
        os.umask(before)

    assert path.stat().st_mode & 0o777 == 0o600


def test_nobody_else_may_read_the_file_while_it_is_made(path, monkeypatch):
    monkeypatch.setattr(Path, "chmod", lambda self, mode: None)
    before = os.umask(0)
    try:
        fill(path)
    finally:
        os.umask(before)

    assert path.stat().st_mode & 0o777 == 0o600


def test_permissions_of_an_existing_journal_are_mended(path):
    fill(path)
    path.chmod(0o644)
    SQLiteJournal(path).close()

    assert path.stat().st_mode & 0o777 == 0o600


def test_permissions_that_cannot_be_mended_are_an_error(path, monkeypatch):
    fill(path)

    def refuse(self, mode):
        raise PermissionError(1, "not the owner")

    monkeypatch.setattr(Path, "chmod", refuse)
    with pytest.raises(ConfigurationError, match="not the owner"):
        SQLiteJournal(path)


def test_memory_is_a_file_name_like_any_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fill(":memory:")
    with SQLiteJournal(":memory:") as journal:
        assert journal.last_round(ROSTER) == 7


def foreign_text(path):
    path.write_text("name,age\nAda,36\n" * 100)


def foreign_short(path):
    path.write_bytes(b"xy")  # SQLite itself takes one byte for none


def foreign_database(path):
    with_tables(path, "CREATE TABLE rounds (roster, round, session, spent)")


def foreign_application(path):
    with_tables(path, "PRAGMA application_id = 7")


def foreign_version(path):
    fill(path)
    with_tables(path, "PRAGMA user_version = 2")


def flipped(path):
    fill(path)
    data = bytearray(path.read_bytes())
    at = data.rindex(ROSTER)
    data[at - 8 : at] = b"\xff" * 8
    path.write_bytes(data)


def truncated(path):
    fill(path)
    path.write_bytes(path.read_bytes()[:-4096])


def header_only(path):
    fill(path)
    path.write_bytes(path.read_bytes()[:100])


def directory(path):
    path.mkdir()


def nowhere(path):
    path.parent.rmdir()


def with_tables(path, statement):
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


DAMAGE = [
    foreign_text,
    foreign_short,
    foreign_database,
    foreign_application,
    foreign_version,
    flipped,
    truncated,
    header_only,
    directory,
    nowhere,
]


@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize("damage", DAMAGE)
def test_corrupt_and_foreign_files_are_refused_and_left_alone(path, damage, create):
    damage(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(ConfigurationError, match="of no use as a journal"):
        SQLiteJournal(path, create=create)

    assert before == (path.read_bytes() if path.is_file() else None)


def test_every_overwritten_page_is_noticed_or_harmless(path):
    with SQLiteJournal(path, create=True) as journal:
        for number in range(1, 40):
            upload(journal, number)
            journal.put(SESSION, str(number), REQUEST, bytes(300))
        expected = contents(journal)
    sound = path.read_bytes()
    for start in range(0, len(sound), 4096):
        path.write_bytes(sound[:start] + b"\xa5" * 4096 + sound[start + 4096 :])
        # models are not read through at the beginning: damage there is noticed when one is sought
        with pytest.raises(ConfigurationError), SQLiteJournal(path) as journal:
            contents(journal)
    path.write_bytes(sound)
    with SQLiteJournal(path) as journal:
        assert expected == contents(journal)


def test_damage_while_open_is_named(path):
    with SQLiteJournal(path, create=True) as journal:
        journal._run("DROP TABLE answers")
        with pytest.raises(ConfigurationError, match="no such table"):
            journal.put(SESSION, STEP, REQUEST, ANSWER)


def test_a_round_beyond_63_bits_is_refused(path):
    with SQLiteJournal(path, create=True) as journal, pytest.raises(ConfigurationError):
        journal.claim(ROSTER, 2**63, SESSION)


def test_a_closed_journal_is_local_misuse(path):
    with SQLiteJournal(path, create=True) as journal:
        pass
    with pytest.raises(LocalProtocolError, match="closed"):
        journal.put(SESSION, STEP, REQUEST, ANSWER)


def test_a_journal_locked_for_good_is_an_error_not_an_answer(path, monkeypatch):
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.05)
    fill(path)
    with SQLiteJournal(path) as holder, SQLiteJournal(path) as journal:
        holder._run("BEGIN IMMEDIATE")
        with pytest.raises(ConfigurationError, match="locked"):
            journal.claim(ROSTER, 8, SESSION)
        holder._run("ROLLBACK")

        assert journal.last_round(ROSTER) == 7


def test_the_loser_of_a_race_to_set_up_changes_nothing(path, monkeypatch):
    # the winner sets the file up between the loser's look and the loser's lock
    set_up = SQLiteJournal._set_up

    def overtaken(self):
        monkeypatch.undo()
        fill(path)
        set_up(self)

    monkeypatch.setattr(SQLiteJournal, "_set_up", overtaken)
    with pytest.raises(ConfigurationError, match="there already"):
        SQLiteJournal(path, create=True)
    with SQLiteJournal(path) as journal:
        assert journal.last_round(ROSTER) == 7


def test_set_up_holds_the_write_lock_before_it_looks(path, monkeypatch):
    # with a later lock two processes that set up at once would fail each other
    look = SQLiteJournal._identity

    def intrude(self):
        monkeypatch.undo()
        other = sqlite3.connect(path, timeout=0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.close()
        return look(self)

    monkeypatch.setattr(SQLiteJournal, "_identity", intrude)
    fill(path)


def test_a_refused_file_is_closed(path, monkeypatch):
    foreign_text(path)
    opened = []
    connect = sqlite3.connect

    def remember(*args, **kwargs):
        opened.append(connect(*args, **kwargs))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", remember)
    with pytest.raises(ConfigurationError):
        SQLiteJournal(path)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[0].execute("SELECT 1")


# Real processes.


def spawn(script, *arguments):
    """A Python process with a pipe to each side; its script has `journal` open on argument 1."""
    head = (
        "import sys\n"
        "from secagg.errors import *\n"
        "from secagg.protocol.sqlite_journal import SQLiteJournal\n"
        "roster, model, session = bytes([1]) * 32, bytes([3]) * 32, bytes([5]) * 16\n"
        "def say(*words): print(*words, flush=True)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", head + script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(secagg.__file__).parents[1])},
    )


def test_kill_9_between_put_and_send(path):
    script = (
        "journal = SQLiteJournal(sys.argv[1], create=True)\n"
        "journal.claim(roster, 4, session)\n"
        "journal.spend(roster, 4, session, model, purpose='train')\n"
        "journal.put(session, 'unmasking', bytes([7]) * 32, b'first answer')\n"
        "say('stored')\n"
        "sys.stdin.read()\n"
        "say('sent')\n"
    )
    with spawn(script, path) as child:
        first = child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read()

    assert (first, rest, child.returncode) == ("stored\n", "", -signal.SIGKILL)
    with SQLiteJournal(path) as journal:
        assert Entry(b"\x07" * 32, b"first answer") == journal.get(SESSION, "unmasking")
        with pytest.raises(SecondQuestion):
            journal.put(SESSION, "unmasking", b"\x08" * 32, b"second answer")
        with pytest.raises(StaleRound):
            journal.spend(ROSTER, 4, SESSION, MODEL, purpose="train")


@pytest.mark.parametrize("acknowledged", [1, 2, 5, 9, 14])
def test_kill_9_while_writing_keeps_all_that_was_acknowledged(path, acknowledged):
    script = (
        "journal = SQLiteJournal(sys.argv[1], create=True)\n"
        "for number in range(1, 10**9):\n"
        "    journal.claim(roster, number, session)\n"
        "    journal.put(session, str(number), bytes(32), number.to_bytes(4, 'big') * 5000)\n"
        "    say(number)\n"
    )
    with spawn(script, path) as child:
        for _ in range(acknowledged):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        told = acknowledged + len(child.stdout.read().splitlines())
    with SQLiteJournal(path) as journal:
        last = journal.last_round(ROSTER)

        assert last in {told, told + 1}
        for number in range(1, last + 2):
            entry = journal.get(SESSION, str(number))
            whole = Entry(bytes(32), number.to_bytes(4, "big") * 5000)

            assert entry in ({whole} if number <= told else {whole, None})
    assert path.stat().st_mode & 0o777 == 0o600


def test_two_processes_race_for_rounds_and_answers(path):
    # Each round and each step must have exactly one winner.
    SQLiteJournal(path, create=True).close()
    script = (
        "sys.stdin.readline()\n"
        "journal = SQLiteJournal(sys.argv[1])\n"
        "for number in range(1, 41):\n"
        "    try: journal.claim(roster, number, sys.argv[2].encode()); say('round', number)\n"
        "    except StaleRound: pass\n"
        "    answer = sys.argv[2].encode()\n"
        "    try: journal.put(session, str(number), b'', answer); say('step', number)\n"
        "    except SecondQuestion: pass\n"
    )
    children = [spawn(script, path, name) for name in "AB"]
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    won = [child.communicate(timeout=60)[0].splitlines() for child in children]

    assert [child.returncode for child in children] == [0, 0]
    rounds = [line for line in won[0] + won[1] if line.startswith("round")]
    steps = sorted(line for line in won[0] + won[1] if line.startswith("step"))
    # a process that lags loses rounds below the other's last one, but never two win the same
    assert len(set(rounds)) == len(rounds)
    assert sorted(f"step {number}" for number in range(1, 41)) == steps
    with SQLiteJournal(path) as journal:
        assert journal.last_round(ROSTER) == 40
        for number in range(1, 41):
            owner = "A" if f"step {number}" in won[0] else "B"
            assert Entry(b"", owner.encode()) == journal.get(SESSION, str(number))
