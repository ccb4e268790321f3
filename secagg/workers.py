"""Runs work on threads; the only file below the sessions that starts them or has a clock."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import pairwise
from typing import Final, Self

from secagg.arguments import checked
from secagg.errors import ConfigurationError

MAX_THREADS: Final = 4096
"""No machine has more processors; a larger number is a mistake."""


class Workers:
    """Runs one piece of work over a range, cut into as many contiguous parts as there are threads.

    Threads help because numpy and OpenSSL release the interpreter lock on large buffers. One thread
    means the calling thread: no pool exists then. Not to be used from inside its own work. Threads
    belong to a process: a forked one, and one that gets a pickle, makes its own.

    Args:
        threads: parts to cut into, at least 1.

    Raises:
        ConfigurationError: `threads` is no whole number, below 1, or above `MAX_THREADS`.
    """

    __slots__ = ("_pid", "_pool", "threads")

    @checked()
    def __init__(self, threads: int = 1) -> None:
        if not 1 <= threads <= MAX_THREADS:
            raise ConfigurationError(f"threads is {threads}: use 1 to {MAX_THREADS}")
        self.threads: Final = threads
        self._pool: ThreadPoolExecutor | None = None
        self._pid = 0

    def __reduce__(self) -> tuple[type[Self], tuple[int]]:
        return type(self), (self.threads,)

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
        if self._pool is None or self._pid != os.getpid():
            # a fork inherits the pool, which believes that its threads live: it would wait for ever
            self._pool, self._pid = ThreadPoolExecutor(self.threads), os.getpid()
        futures: list[Future[None]] = [self._pool.submit(work, *part) for part in parts]
        wait(futures)
        for future in futures:
            future.result()

    def close(self) -> None:
        """Ends the threads; a later `run` would start new ones."""
        if self._pool is not None and self._pid == os.getpid():
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
