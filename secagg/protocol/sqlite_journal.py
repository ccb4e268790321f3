"""Keeps a journal in a file of SQLite, and the keys that open its prekeys in a second one."""
# ruff: noqa: A002 - `round` is the papers' word

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Final, Self

from secagg.arguments import checked_methods
from secagg.canonical import framed, u64
from secagg.errors import ConfigurationError, LocalProtocolError
from secagg.guards import NeverCopied, OneAtATime
from secagg.params import Entropy
from secagg.protocol.journal import Entry, second_answer, stale, unclaimed, used_up
from secagg.protocol.key_file import KeyFile

APPLICATION: Final = 0x53414747  # "SAGG" in the header of the file
SCHEMA: Final = 3
BUSY_SECONDS: Final = 10.0
"""A statement's wait for another process: a commit takes milliseconds, so that one hangs then."""

_MISSING: Final = (
    "A journal is made once, with create=True; where one was before, this gateway has lost its"
    " memory: give it another roster, or it may upload twice in a round"
)
_OVER: Final = ""
"""Stands in the place of a step: the session was forgotten."""

_TABLES: Final = (
    """CREATE TABLE rounds (
        roster BLOB PRIMARY KEY, round INTEGER NOT NULL, session BLOB NOT NULL,
        spent INTEGER NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE models (
        purpose TEXT NOT NULL, model BLOB NOT NULL, uses INTEGER NOT NULL,
        PRIMARY KEY (purpose, model)
    ) WITHOUT ROWID""",
    """CREATE TABLE pins (
        roster BLOB NOT NULL, purpose TEXT NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL,
        PRIMARY KEY (roster, purpose, name)
    ) WITHOUT ROWID""",
    """CREATE TABLE answers (
        session BLOB NOT NULL, step TEXT NOT NULL, roster BLOB NOT NULL, round INTEGER NOT NULL,
        request BLOB NOT NULL, answer BLOB NOT NULL,
        PRIMARY KEY (session, step)
    )""",
    """CREATE TABLE prekeys (
        roster BLOB NOT NULL, round INTEGER NOT NULL, slot INTEGER NOT NULL, sealed BLOB NOT NULL,
        PRIMARY KEY (roster, round)
    ) WITHOUT ROWID""",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {SCHEMA}",
)
_CHECKED: Final = ("rounds", "pins", "answers", "prekeys")
"""Read through on opening. Models are not: they grow with every round, and damage shows on use."""
# EXTRA is FULL plus a sync of the directory once the rollback journal is gone: without it a power
# cut just after a commit may undo it. Secure deletion clears the file; the rollback journal has
# held the page before and is unlinked as it is, so no key lies in the database.
# fullfsync matters on macOS only.
_SETTINGS: Final = (
    "PRAGMA synchronous = EXTRA",
    "PRAGMA fullfsync = ON",
    "PRAGMA secure_delete = ON",
)


@checked_methods
class SQLiteJournal(NeverCopied):
    """A journal on a disk that survives kill -9 and power cuts; milliseconds per write.

    Several processes may open one file, and threads may share one object; make it after a fork,
    not before. A journal is created once, when its gateway joins a roster, and is there from then
    on: who has lost it may upload a second time in a round, and needs another roster.

    For each trained model it grows by some 45 bytes for ever. Answers go when the round after the
    next one is claimed.

    Args:
        path: the file, in an existing directory; "-keys" is added for the name of the second file,
            without which prekeys cannot be read. Both have permissions 0600.
        create: make the two files, where there is no journal yet.
        rng: source of the keys in the second file.

    Raises:
        ConfigurationError: the file is not there (or is, and `create`), cannot be opened, is
            corrupt, or is not such a journal. Every method raises it too when the disk fails, and
            LocalProtocolError once closed and in a forked process.
    """

    instead = "open its file again"

    def __init__(
        self, path: str | os.PathLike[str], *, create: bool = False, rng: Entropy = os.urandom
    ) -> None:
        self._turn = OneAtATime("this journal")
        self._path = Path(path).absolute()  # so that ":memory:" is a file too
        self._keys = KeyFile(self._path.with_name(f"{self._path.name}-keys"), rng)
        try:
            if create:
                _touch(self._path)
            elif not self._path.exists():
                raise FileNotFoundError(None, f"it is not there. {_MISSING}")
            self._connection = sqlite3.connect(
                f"{self._path.as_uri()}?mode=rw",
                uri=True,
                timeout=BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
        except (OSError, ValueError, sqlite3.Error) as error:  # a name that no file can have
            raise self._unusable(error) from None
        try:
            self._open(create=create)
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Closes the file; nothing is lost without it."""
        with self._turn:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"SQLiteJournal({self._path.name!r})"

    def last_round(self, roster: bytes) -> int:
        """See `Journal`."""
        rows = self._all("SELECT round FROM rounds WHERE roster = ?", roster)
        return int(rows[0][0]) if rows else 0

    def claim(self, roster: bytes, round: int, session: bytes) -> None:
        """See `Journal`."""
        with self._transaction():
            query = "SELECT round, session FROM rounds WHERE roster = ?"
            rows = self._all(query, roster) or [(0, b"")]
            last, holder = rows[0]
            if (round, session) == (last, holder):
                return
            if round <= last:
                raise stale(round, last)
            statement = "INSERT OR REPLACE INTO rounds VALUES (?, ?, ?, 0)"
            self._run(statement, roster, round, session)
            self._run("DELETE FROM answers WHERE roster = ? AND round < ?", roster, last)

    def spend(
        self,
        roster: bytes,
        round: int,
        session: bytes,
        model: bytes,
        *,
        purpose: str,
        uses: int | None = None,
    ) -> None:
        """See `Journal`."""
        with self._transaction():
            _, spent = self._run(
                "UPDATE rounds SET spent = 1"
                " WHERE roster = ? AND round = ? AND session = ? AND spent = 0",
                roster,
                round,
                session,
            )
            if spent != 1:
                raise unclaimed(round)
            if uses is not None and self.model_used(purpose, model) >= uses:
                raise used_up(purpose)
            if any(model):
                self._run(
                    "INSERT INTO models VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET uses = uses + 1",
                    purpose,
                    model,
                )

    def model_used(self, purpose: str, model: bytes) -> int:
        """See `Journal`."""
        query = "SELECT uses FROM models WHERE purpose = ? AND model = ?"
        rows = self._all(query, purpose, model)
        return int(rows[0][0]) if rows else 0

    def pin(self, roster: bytes, purpose: str, values: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """See `Journal`."""
        query = "SELECT name, value FROM pins WHERE roster = ? AND purpose = ?"
        statement = "INSERT INTO pins VALUES (?, ?, ?, ?)"
        with self._transaction():
            stored = dict(self._all(query, roster, purpose))
            for name in values.keys() - stored.keys():
                self._run(statement, roster, purpose, name, values[name])
        return {name: stored.get(name, value) for name, value in values.items()}

    def get(self, session: bytes, step: str) -> Entry | None:
        """See `Journal`."""
        query = "SELECT request, answer FROM answers WHERE session = ? AND step = ?"
        rows = self._all(query, session, step)
        return Entry(*rows[0]) if rows else None

    def put(
        self,
        session: bytes,
        step: str,
        request: bytes,
        answer: bytes,
        *,
        roster: bytes = b"",
        round: int = 0,
    ) -> None:
        """See `Journal`."""
        _, stored = self._run(
            "INSERT INTO answers SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE NOT EXISTS"
            " (SELECT 1 FROM answers WHERE session = ?1 AND step IN (?2, ?7))",
            session,
            step,
            roster,
            round,
            request,
            answer,
            _OVER,
        )
        # Entries never change, so reading after the insert is as good as reading with it.
        if stored != 1 and self.get(session, step) != Entry(request, answer):
            raise second_answer(step)

    def forget(self, session: bytes) -> None:
        """See `Journal`."""
        with self._transaction():
            self._run(
                "INSERT INTO answers SELECT session, ?2, roster, round, x'', x'' FROM answers"
                " WHERE session = ?1 LIMIT 1 ON CONFLICT DO NOTHING",
                session,
                _OVER,
            )
            self._run("DELETE FROM answers WHERE session = ? AND step <> ?", session, _OVER)

    def store_prekey(self, roster: bytes, round: int, private: bytes) -> bytes:
        """See `Journal`."""
        with self._transaction():
            if (stored := self._opened(roster, round)) is not None:
                return stored
            taken = {row[0] for row in self._all("SELECT slot FROM prekeys")}
            slot = next(number for number in count() if number not in taken)
            # first: a key without a prekey is nothing, a prekey without its key is lost
            sealed = self._keys.seal(slot, private, framed(roster, u64(round)))
            statement = "INSERT OR REPLACE INTO prekeys VALUES (?, ?, ?, ?)"
            self._run(statement, roster, round, slot, sealed)
        return private

    def prekey(self, roster: bytes, round: int) -> bytes | None:
        """See `Journal`."""
        with self._transaction():  # or another process could give the slot to another key meanwhile
            return self._opened(roster, round)

    def forget_prekeys(self, roster: bytes, through: int) -> None:
        """See `Journal`."""
        which = "FROM prekeys WHERE roster = ? AND round <= ?"
        with self._transaction():
            if slots := [row[0] for row in self._all(f"SELECT slot {which}", roster, through)]:
                # first: if the power is cut in between, what is left cannot be opened
                self._keys.erase(slots)
                self._run(f"DELETE {which}", roster, through)

    def _opened(self, roster: bytes, round: int) -> bytes | None:
        query = "SELECT slot, sealed FROM prekeys WHERE roster = ? AND round = ?"
        rows = self._all(query, roster, round)
        if not rows:
            return None
        slot, sealed = rows[0]
        return self._keys.open(slot, sealed, framed(roster, u64(round)))

    def _open(self, *, create: bool) -> None:
        """Settings, tables for a new journal, and whether it is a sound one at all."""
        for setting in _SETTINGS:
            self._run(setting)
        if create:
            self._set_up()
        if self._identity() != (APPLICATION, SCHEMA):
            empty = not self._all("SELECT 1 FROM sqlite_master LIMIT 1")
            another = "it is a database of something else, or of another version"
            raise self._unusable(f"it is empty. {_MISSING}" if empty else another)
        for table in _CHECKED:
            if (findings := self._all(f"PRAGMA integrity_check({table})")) != [("ok",)]:
                raise self._unusable(f"it is corrupt: {findings[0][0]}")
        try:
            self._path.chmod(0o600)
        except OSError as error:
            raise self._unusable(error) from None
        self._keys.protect()

    def _set_up(self) -> None:
        """Tables in an empty file; nothing else is written to."""
        with self._transaction():
            if self._identity() != (0, 0) or self._all("SELECT 1 FROM sqlite_master LIMIT 1"):
                raise self._unusable("it is there already: open it without create=True")
            self._keys.create()
            for statement in _TABLES:
                self._run(statement)

    def _identity(self) -> tuple[int, int]:
        return self._all("PRAGMA application_id")[0][0], self._all("PRAGMA user_version")[0][0]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All statements in between or none; begun with the write lock: nobody comes between."""
        with self._turn:
            self._run("BEGIN IMMEDIATE")
            try:
                yield
                self._run("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite has not undone it by itself
                    self._run("ROLLBACK")
                raise

    def _all(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return self._run(statement, *values)[0]

    def _run(self, statement: str, *values: object) -> tuple[list[tuple[Any, ...]], int]:
        """Rows and number of changed rows of one statement, committed on return."""
        try:
            with self._turn:
                cursor = self._connection.execute(statement, values)
                return cursor.fetchall(), cursor.rowcount
        except sqlite3.ProgrammingError as error:  # closed
            raise LocalProtocolError(f"journal {self._path.name}: {error}") from None
        except (sqlite3.Error, OverflowError) as error:
            raise self._unusable(error) from None

    def _unusable(self, why: object) -> ConfigurationError:
        # the name alone: where it lies on this machine is not for logs elsewhere
        reason = why.strerror if isinstance(why, OSError) else why
        return ConfigurationError(f"{self._path.name} is of no use as a journal: {reason}")


def _touch(path: Path) -> None:
    """Makes the file with its permissions, so that it is never open to others for a moment."""
    # O_EXCL: to open and close an existing database would drop SQLite's locks on it
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
