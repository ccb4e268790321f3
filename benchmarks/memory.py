"""Measures peak memory, from inside (tracemalloc) and from outside (resident set)."""

from __future__ import annotations

import ctypes
import gc
import tracemalloc
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # proc(5): resets the peak resident set of the process
MIB = 2**20


@dataclass(slots=True)
class Peak:
    """Bytes that came on top of what was there at `__enter__`, at the worst moment.

    Attributes:
        traced: allocations of Python and numpy; 0 unless tracemalloc runs.
        resident: pages of the process; None where /proc does not tell.
    """

    traced: int = 0
    resident: int | None = None
    _traced_before: int = 0
    _resident_before: int | None = None

    def __enter__(self) -> Self:
        gc.collect()
        _give_back()
        tracemalloc.reset_peak()
        self._traced_before = tracemalloc.get_traced_memory()[0]
        self._resident_before = _status("VmRSS") if _reset() else None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.traced = tracemalloc.get_traced_memory()[1] - self._traced_before
        peak = _status("VmHWM")
        if peak is not None and self._resident_before is not None:
            self.resident = max(0, peak - self._resident_before)


def _give_back() -> None:
    """What was freed before must not hide what is allocated now."""
    with suppress(OSError, AttributeError):  # glibc only
        ctypes.CDLL(None).malloc_trim(0)


def _reset() -> bool:
    try:
        _CLEAR.write_text(_RESET_PEAK)
    except OSError:
        return False
    return True


def _status(name: str) -> int | None:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), None)
