"""Keeps a journal in one file of SQLite."""
# ruff: noqa: A002 - `round` is the papers' word

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any, Final, Self

from secagg.errors import ConfigurationError, LocalProtocolError, StaleRound
from secagg.protocol.journal import Entry, repeated, second_answer, stale

APPLICATION: Final = 0x53414747  # "SAGG" in the header of the file
SCHEMA: Final = 2
BUSY_SECONDS: Final = 10.0
"""How long a statement waits for another process: a commit takes milliseconds, so ten seconds mean
that the other one hangs."""

_OVER: Final = ""
"""Stands in the place of a step: the session was forgotten."""

_TABLES: Final = (
    """CREATE TABLE uploads (
        roster BLOB NOT NULL, round INTEGER NOT NULL, model BLOB NOT NULL,
        PRIMARY KEY (roster, round)
    ) WITHOUT ROWID""",
    """CREATE TABLE answers (
        session BLOB NOT NULL, step TEXT NOT NULL, request BLOB NOT NULL, answer BLOB NOT NULL,
        PRIMARY KEY (session, step)
    )""",
    f"PRAGMA application_id = {APPLICATION}",
    "PRAGMA user_version = 1",
)
_UPGRADES: Final = {
    1: """CREATE TABLE prekeys (
        roster BLOB NOT NULL, round INTEGER NOT NULL, private BLOB NOT NULL,
        PRIMARY KEY (roster, round)
    ) WITHOUT ROWID""",
}
"""What leads from each older version to the next; a new file goes through all of them."""
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

    Several processes may open one file. An object belongs to the thread that made it; make it
    after a fork, not before. An empty file is a new journal.

    Args:
        path: the file, created with permissions 0600 in an existing directory.

    Raises:
        ConfigurationError: the file cannot be opened, is corrupt, or is not such a journal. Every
            method raises it too when the disk fails, and LocalProtocolError once closed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        # absolute, so that ":memory:" is a file too
        self._path = Path(path).absolute()
        try:
            _create(self._path)
            self._connection = sqlite3.connect(
                self._path, timeout=BUSY_SECONDS, isolation_level=None
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
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"SQLiteJournal({str(self._path)!r})"

    def last_round(self, roster: bytes) -> int:
        """See `Journal`."""
        return int(self._all("SELECT max(round) FROM uploads WHERE roster = ?", roster)[0][0] or 0)

    def store_upload(
        self, roster: bytes, round: int, model: bytes, *, refuse_repeat: bool = False
    ) -> None:
        """See `Journal`."""
        # One statement is one transaction, begun with the write lock: nobody comes between.
        _, stored = self._run(
            "INSERT INTO uploads SELECT ?1, ?2, ?3 WHERE ?2 >"
            " (SELECT coalesce(max(round), 0) FROM uploads WHERE roster = ?1)"
            " AND NOT (?4 AND EXISTS (SELECT 1 FROM uploads WHERE roster = ?1 AND model = ?3))",
            roster,
            round,
            model,
            refuse_repeat,
        )
        if stored != 1:
            if round > (last := self.last_round(roster)):
                raise repeated()
            raise stale(round, last)

    def model_used(self, roster: bytes, model: bytes) -> bool:
        """See `Journal`."""
        return bool(
            self._all("SELECT 1 FROM uploads WHERE roster = ? AND model = ? LIMIT 1", roster, model)
        )

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
        """Tables for an empty file, and what an older version lacks; nothing else is written to."""
        empty = not self._all("SELECT 1 FROM sqlite_master LIMIT 1")
        if not empty and self._identity() not in {(APPLICATION, old) for old in _UPGRADES}:
            return
        self._run("BEGIN IMMEDIATE")
        # Another process may have been faster; a file marked by something else is left as it is.
        if self._identity() == (0, 0):
            for statement in _TABLES:
                self._run(statement)
        for version, statement in _UPGRADES.items():
            if self._identity() == (APPLICATION, version):
                self._run(statement)
                self._run(f"PRAGMA user_version = {version + 1}")
        self._run("COMMIT")

    def _identity(self) -> tuple[int, int]:
        return self._all("PRAGMA application_id")[0][0], self._all("PRAGMA user_version")[0][0]

    def _all(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return self._run(statement, *values)[0]

    def _run(self, statement: str, *values: object) -> tuple[list[tuple[Any, ...]], int]:
        """Rows and number of changed rows of one statement, committed on return."""
        try:
            cursor = self._connection.execute(statement, values)
            return cursor.fetchall(), cursor.rowcount
        except sqlite3.ProgrammingError as error:  # closed, or another thread
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
