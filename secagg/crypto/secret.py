"""Holds secret bytes so that they do not show up in logs, pickles or timings."""

from __future__ import annotations

import hmac

from secagg.errors import LocalProtocolError
from secagg.guards import NeverCopied, OneProcess


class Secret(NeverCopied):
    """Secret bytes: redacted when printed, compared in constant time, erasable.

    Erasure is best effort: Python may have copied the bytes before, and `reveal` copies them again.
    A forked process has a copy that it cannot reveal.

    Args:
        value: the secret; it is copied.
    """

    __slots__ = ("_process", "_value")
    instead = "reveal() it knowingly"

    # Hash tables leak equality through timing and keep references: a secret is no key.
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, value: bytes) -> None:
        self._value: bytearray | None = bytearray(value)
        self._process = OneProcess("this secret")

    def reveal(self) -> bytes:
        """The secret bytes, as a fresh copy.

        Raises:
            LocalProtocolError: the secret was erased, or belongs to another process.
        """
        self._process.check()
        if self._value is None:
            raise LocalProtocolError("this secret was erased")
        return bytes(self._value)

    def erase(self) -> None:
        """Overwrites this object's copy with zeros; erasing twice does no harm."""
        if self._value is not None:
            self._value[:] = bytes(len(self._value))
            self._value = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.reveal(), other.reveal())

    def __repr__(self) -> str:
        return "Secret(erased)" if self._value is None else f"Secret({len(self._value)} bytes)"
