"""Runs work on threads; the only file below the sessions that starts them or has a clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import pairwise
from typing import Final, Self

from secagg.errors import ConfigurationError


class Workers:
    """Runs one piece of work over a range, cut into as many contiguous parts as there are threads.

    Threads help because numpy and OpenSSL release the interpreter lock on large buffers. One thread
    means the calling thread: no pool exists then. Not to be used from inside its own work.

    Args:
        threads: parts to cut into, at least 1.

    Raises:
        ConfigurationError: `threads` is below 1.
    """

    __slots__ = ("_pool", "threads")

    def __init__(self, threads: int = 1) -> None:
        given: object = threads
        if not isinstance(given, int) or given < 1:
            raise ConfigurationError(f"threads is {threads!r}: use a whole number from 1")
        self.threads: Final = threads
        self._pool: ThreadPoolExecutor | None = None

    def __repr__(self) -> str:
        return f"Workers({self.threads})"

    def run(self, work: Callable[[int, int], None], count: int) -> None:
        """Calls `work(first, last)` for contiguous parts that together cover range(count).

        Every part has ended when this returns or raises, so buffers may be reused.

        Args:
            work: handles items first..last-1; never called with an empty part.
            count: number of items, 0 or more.

        Raises:
            Exception: whatever the first failing part raised.
        """
        cuts = [count * part // self.threads for part in range(self.threads + 1)]
        parts = [(first, last) for first, last in pairwise(cuts) if first < last]
        if len(parts) <= 1:
            for first, last in parts:
                work(first, last)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.threads)
        futures: list[Future[None]] = [self._pool.submit(work, *part) for part in parts]
        wait(futures)
        for future in futures:
            future.result()

    def close(self) -> None:
        """Ends the threads; a later `run` would start new ones."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


SERIAL: Final = Workers(1)
"""Everything in the calling thread."""

CLOCK: Final = time.perf_counter
"""Seconds from any origin; passed on to those below who measure how fast this machine is."""
