"""Keeps uploads that wait outside memory: one file, and a place in it for each."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO
from weakref import finalize

Spool = Callable[[], BinaryIO]
"""Opens the file of a session, for reading and writing."""


class Places:
    """One file with a place for each upload, opened when it is needed.

    Args:
        spool: opens it.
        size: bytes of an upload.
        budget: bytes that the file may have.

    Raises (by all that touches the file):
        OSError: what the operating system says, or the budget is used up.
    """

    def __init__(self, spool: Spool, size: int, budget: int) -> None:
        self._spool, self._size, self._budget = spool, size, budget
        self._file: BinaryIO | None = None
        self._free: list[int] = []
        self._made = 0
        self.close: Callable[[], object] = lambda: None

    def take(self) -> int:
        """A free place, the lowest: the file grows no more than it must."""
        self._opened()
        if not self._free:
            if (self._made + 1) * self._size > self._budget:
                raise OSError(errno.ENOSPC, f"spool_bytes={self._budget} are used up")
            self._free.append(self._made)
            self._made += 1
        place = min(self._free)
        self._free.remove(place)
        return place

    def give_back(self, place: int) -> None:
        """Another upload may have it."""
        self._free.append(place)

    def write(self, place: int, offset: int, data: memoryview) -> None:
        """Write into a place; an unbuffered file may take less than it is given."""
        file = self._at(place, offset)
        while data:
            if not (written := file.write(data)):
                raise OSError(errno.EIO, "nothing is written")
            data = data[written:]

    def read(self, place: int, offset: int, size: int) -> bytes:
        """What was written there, or as much of it as is left."""
        file = self._at(place, offset)
        parts = [file.read(size)]
        while parts[-1] and (rest := size - sum(map(len, parts))):
            parts.append(file.read(rest))
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _at(self, place: int, offset: int) -> BinaryIO:
        file = self._opened()
        file.seek(place * self._size + offset)
        return file

    def _opened(self) -> BinaryIO:
        if self._file is None:
            self._file = self._spool()
            # also when the session is left half way and nobody closes anything
            self.close = finalize(self, _close, self._file)
        return self._file


def _close(file: BinaryIO) -> None:
    with suppress(OSError):  # nothing in it is needed any more
        file.close()
