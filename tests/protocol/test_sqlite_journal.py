from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from secagg import canonical
from secagg.crypto import sealing
from secagg.errors import (
    ConfigurationError,
    LocalProtocolError,
)
from secagg.protocol import sqlite_journal as module
from secagg.protocol.journal import MemoryJournal
from secagg.protocol.sqlite_journal import SQLiteJournal
from tests.protocol.journals import (
    ANSWER,
    OTHER,
    REQUEST,
    ROSTER,
    SESSION,
    STEP,
    contents,
    upload,
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal"


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
