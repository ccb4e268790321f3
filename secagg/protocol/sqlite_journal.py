"""Keeps a journal in one file of SQLite."""
# ruff: noqa: A002 - `round` is the papers' word

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

from secagg.errors import ConfigurationError, LocalProtocolError, StaleRound
from secagg.guards import OneAtATime
from secagg.protocol.journal import Entry, second_answer, stale, unclaimed, used_up

APPLICATION: Final = 0x53414747  # "SAGG" in the header of the file
SCHEMA: Final = 3
BUSY_SECONDS: Final = 10.0
"""How long a statement waits for another process: a commit takes milliseconds, so ten seconds mean
that the other one hangs."""

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
        session BLOB NOT NULL, step TEXT NOT NULL, request BLOB NOT NULL, answer BLOB NOT NULL,
        PRIMARY KEY (session, step)
    )""",
    """CREATE TABLE prekeys (
        roster BLOB NOT NULL, round INTEGER NOT NULL, private BLOB NOT NULL,
        PRIMARY KEY (roster, round)
    ) WITHOUT ROWID""",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {SCHEMA}",
)
# EXTRA is FULL plus a sync of the directory once the rollback journal is gone: without it a power
# cut just after a commit may undo it. The rollback journal keeps all of it in one file, and unlike
# a write-ahead log leaves no copy of deleted answers behind. fullfsync matters on macOS only.
_SETTINGS: Final = (
    "PRAGMA synchronous = EXTRA",
    "PRAGMA fullfsync = ON",
    "PRAGMA secure_delete = ON",
)


class SQLiteJournal:
    """A journal in one file that survives kill -9 and power cuts; milliseconds per write.

    Several processes may open one file, and threads may share one object; make it after a fork,
    not before. An empty file is a new journal.

    Args:
        path: the file, created with permissions 0600 in an existing directory.

    Raises:
        ConfigurationError: the file cannot be opened, is corrupt, or is not such a journal. Every
            method raises it too when the disk fails, and LocalProtocolError once closed and in a
            forked process.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._turn = OneAtATime("this journal")
        # absolute, so that ":memory:" is a file too
        self._path = Path(path).absolute()
        try:
            _create(self._path)
            self._connection = sqlite3.connect(
                self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from None
        try:
            self._open()
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
        return f"SQLiteJournal({str(self._path)!r})"

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
        statement = "INSERT INTO pins VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
        query = "SELECT name, value FROM pins WHERE roster = ? AND purpose = ?"
        with self._transaction():
            for name, value in values.items():
                self._run(statement, roster, purpose, name, value)
            stored = dict(self._all(query, roster, purpose))
        return {name: stored[name] for name in values}

    def get(self, session: bytes, step: str) -> Entry | None:
        """See `Journal`."""
        query = "SELECT request, answer FROM answers WHERE session = ? AND step = ?"
        rows = self._all(query, session, step)
        return Entry(*rows[0]) if rows else None

    def put(self, session: bytes, step: str, request: bytes, answer: bytes) -> None:
        """See `Journal`."""
        _, stored = self._run(
            "INSERT INTO answers SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS"
            " (SELECT 1 FROM answers WHERE session = ?1 AND step IN (?2, ?5))",
            session,
            step,
            request,
            answer,
            _OVER,
        )
        # Entries never change, so reading after the insert is as good as reading with it.
        if stored != 1 and self.get(session, step) != Entry(request, answer):
            raise second_answer(step)

    def forget(self, session: bytes) -> None:
        """See `Journal`."""
        # the mark first: at no moment is the session unknown
        mark = "INSERT INTO answers VALUES (?, ?, x'', x'') ON CONFLICT DO NOTHING"
        self._run(mark, session, _OVER)
        self._run("DELETE FROM answers WHERE session = ? AND step <> ?", session, _OVER)

    def store_prekey(self, roster: bytes, round: int, private: bytes) -> bytes:
        """See `Journal`."""
        self._run(
            "INSERT INTO prekeys VALUES (?, ?, ?) ON CONFLICT DO NOTHING", roster, round, private
        )
        # Keys never change, so reading after the insert is as good as reading with it.
        stored = self.prekey(roster, round)
        if stored is None:  # another process has answered that round, and forgotten its key
            raise StaleRound(f"round {round}: its key was forgotten while it was stored")
        return stored

    def prekey(self, roster: bytes, round: int) -> bytes | None:
        """See `Journal`."""
        query = "SELECT private FROM prekeys WHERE roster = ? AND round = ?"
        rows = self._all(query, roster, round)
        return bytes(rows[0][0]) if rows else None

    def forget_prekeys(self, roster: bytes, through: int) -> None:
        """See `Journal`."""
        self._run("DELETE FROM prekeys WHERE roster = ? AND round <= ?", roster, through)

    def _open(self) -> None:
        """Settings, tables if the file is empty, and whether it is a sound journal at all."""
        for setting in _SETTINGS:
            self._run(setting)
        self._set_up()
        if self._identity() != (APPLICATION, SCHEMA):
            raise self._unusable("it is a database of something else, or of another version")
        if (findings := self._all("PRAGMA integrity_check")) != [("ok",)]:
            raise self._unusable(f"it is corrupt: {findings[0][0]}")
        try:
            self._path.chmod(0o600)
        except OSError as error:
            raise self._unusable(error) from None

    def _set_up(self) -> None:
        """Tables for an empty file; nothing else is written to."""
        if self._all("SELECT 1 FROM sqlite_master LIMIT 1"):
            return
        with self._transaction():
            # Another process may have been faster; what something else has marked stays as it is.
            if self._identity() == (0, 0):
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
            raise LocalProtocolError(f"journal {self._path}: {error}") from None
        except (sqlite3.Error, OverflowError) as error:
            raise self._unusable(error) from None

    def _unusable(self, why: object) -> ConfigurationError:
        return ConfigurationError(f"{self._path} is of no use as a journal: {why}")


def _create(path: Path) -> None:
    """Makes the file with its permissions, so that it is never open to others for a moment."""
    try:
        # O_EXCL: to open and close an existing database would drop SQLite's locks on it
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
