"""Seals what must be forgotten, under keys in a file that is overwritten in place.

A database is no place for a key that must go: SQLite copies a page into its rollback journal before
it changes the page, and then unlinks that file with the key in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from secagg.crypto.sealing import SEALING_KEY_BYTES, open_sealed, seal
from secagg.errors import ConfigurationError, SealError
from secagg.params import Entropy

SLOT_BYTES: Final = SEALING_KEY_BYTES
"""A power of two: no slot lies across two sectors, and what disks write whole are sectors."""


class KeyFile:
    """Slots with a key each; every change is on the disk on return.

    What was overwritten is gone from this file and all hard links to it. A file system that copies
    on write, a flash drive's spare blocks and a backup may still hold it.

    Args:
        path: the file.
        rng: source of the keys.

    Raises (by every method):
        ConfigurationError: the disk fails, or the file is not there.
    """

    def __init__(self, path: Path, rng: Entropy) -> None:
        self._path = path
        self._rng = rng

    def create(self) -> None:
        """Make it, for its owner's eyes only; one that is there already is overwritten first."""
        with self._named():
            if self._path.exists():
                self._write({0: bytes(self._path.stat().st_size)})
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600))

    def protect(self) -> None:
        """Take everybody else's permissions away."""
        with self._named():
            self._path.chmod(0o600)

    def seal(self, slot: int, secret: bytes, context: bytes) -> bytes:
        """The secret, sealed under a fresh key in this slot."""
        key = self._rng(SLOT_BYTES)
        with self._named():
            self._write({slot: key})
        return seal(key, secret, context)

    def open(self, slot: int, sealed: bytes, context: bytes) -> bytes | None:
        """What was sealed under the key in this slot; None if that key is gone."""
        with self._named(), self._path.open("rb") as file:
            file.seek(slot * SLOT_BYTES)
            key = file.read(SLOT_BYTES)
        with suppress(SealError):
            return open_sealed(key.ljust(SLOT_BYTES, b"\0"), sealed, context)
        return None

    def erase(self, slots: Iterable[int]) -> None:
        """Overwrite the keys in these slots."""
        with self._named():
            self._write(dict.fromkeys(slots, bytes(SLOT_BYTES)))

    def _write(self, contents: dict[int, bytes]) -> None:
        with self._path.open("r+b") as file:
            for slot, content in contents.items():
                file.seek(slot * SLOT_BYTES)
                file.write(content)
            file.flush()
            os.fsync(file.fileno())

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigurationError(
                f"{self._path.name} is of no use as a file of keys: {error.strerror}"
            ) from None
