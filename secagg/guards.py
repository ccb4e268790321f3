"""Refuses a forked process what its parent made, and lets one thread in at a time.

A fork has a copy of every secret in memory. If it answers or uploads as its parent does, two things
are said under one key: the difference of two masked uploads opens that of the updates.
"""

from __future__ import annotations

import os
import threading
from typing import ClassVar, NoReturn

from secagg.errors import LocalProtocolError


class NeverCopied:
    """Base of what is neither pickled nor copied, since a copy would speak in its name.

    Attributes:
        instead: what to do.
    """

    __slots__ = ()
    instead: ClassVar[str] = "make another"

    def __reduce_ex__(self, _: object) -> NoReturn:
        raise LocalProtocolError(
            f"{type(self).__name__} is neither pickled nor copied: {self.instead}"
        )


class OneProcess(NeverCopied):
    """Stands in what only the process that made it may use.

    Args:
        what: whose guard it is, for the error.
    """

    __slots__ = ("_pid", "_what")

    def __init__(self, what: str) -> None:
        self._what = what
        self._pid = os.getpid()

    def check(self) -> None:
        """Go on in the process that made this.

        Raises:
            LocalProtocolError: in any other.
        """
        if os.getpid() != self._pid:
            raise LocalProtocolError(
                f"{self._what} belongs to the process that made it: make another after a fork"
            )


class OneAtATime(OneProcess):
    """A lock besides, for `with`: threads come one after the other; a thread may nest it."""

    __slots__ = ("_lock",)

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        # first: in a fork the lock may be held for ever, by a thread that is not there
        self.check()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
