"""Stores coefficients modulo Q as on the wire, and sums them in place.

A row of k coefficients is k little-endian numbers of 32 bits; with Q = 2^40, k bytes with the upper
bits follow. Rows have a multiple of 8 coefficients, so that they end with a word of 64 bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg.schemes.additive.blocks import Coefficients
from secagg.schemes.additive.elements import PolynomialRing
from secagg.schemes.additive.lattice.plan import DEGREE
from secagg.schemes.base import Words

ALIGN: Final = 8


class Residues:
    """Numbers modulo Q in rows of at most N; a sum is kept as on the wire (`blocks.Residues`).

    Args:
        modulus: Q, 2^32 or 2^40.

    Attributes:
        modulus: Q.
        degree: N.
        unit: 64-bit words of a full row.
        dtype: of coefficients in memory.
    """

    __slots__ = ("_bytes", "degree", "dtype", "modulus", "unit")

    def __init__(self, modulus: int) -> None:
        self.modulus = modulus
        self.degree = DEGREE
        ring = PolynomialRing(DEGREE, modulus)
        self._bytes = ring.bits // 8
        self.unit = DEGREE * self._bytes // 8
        self.dtype = ring.dtype

    def words(self, coefficients: int) -> int:
        """64-bit words of a row."""
        return -(-coefficients // ALIGN) * self._bytes

    def coefficients(self, words: int) -> int:
        """Coefficients of a row of so many words."""
        return words * 8 // self._bytes

    def store(self, values: Coefficients, out: Words) -> None:
        """Write rows of coefficients, reduced modulo Q.

        Args:
            values: dtype[rows, k], used up.
            out: uint64[rows * words(k)].
        """
        low, high = self._planes(out, len(values))
        np.copyto(low, values, casting="unsafe")
        if high is not None:
            np.right_shift(values, 32, out=values)
            np.copyto(high, values, casting="unsafe")

    def load(self, words: Words, out: Coefficients) -> None:
        """Read rows of coefficients.

        Args:
            words: uint64[rows * words(k)].
            out: dtype[rows, k].
        """
        low, high = self._planes(words, len(out))
        if high is None:
            np.copyto(out, low, casting="unsafe")
            return
        np.copyto(out, high)
        np.left_shift(out, 32, out=out)
        np.add(out, low, out=out)

    def check(self, words: Words) -> None:
        """Any bits are numbers modulo a power of two."""

    def centre(self, values: Coefficients) -> None:
        """Reduce to [-Q/2, Q/2), in place."""
        if shift := 8 * (values.itemsize - self._bytes):
            np.left_shift(values, shift, out=values)
            np.right_shift(values, shift, out=values)

    def positive(self, values: Coefficients) -> NDArray[np.unsignedinteger[Any]]:
        """The same memory, reduced to [0, Q)."""
        if shift := 8 * (values.itemsize - self._bytes):
            np.bitwise_and(values, (1 << 8 * self._bytes) - 1, out=values)
        return values.view(np.uint64 if shift else np.uint32)

    def sum_of(self, words: int) -> Words:
        """uint64[words], zero."""
        return np.zeros(words, np.uint64)

    def part(self, total: Words, first: int, words: int) -> Words:
        """A view: sums have the layout of the wire."""
        return total[first : first + words]

    def add(self, total: Words, words: Words) -> None:
        """Add blocks to a sum modulo Q, in place.

        Args:
            total: uint64, full rows, then one that may be shorter.
            words: uint64, as many, to be added.
        """
        if self._bytes == 4:  # no planes: an upload has many short vectors
            sums = total.view("<u4")
            np.add(sums, words.view("<u4"), out=sums)
            return
        for span, rows in self._tables(len(words)):
            low, high = self._planes(total[span], rows)
            more, upper = self._planes(words[span], rows)
            np.add(low, more, out=low)
            if high is not None and upper is not None:
                np.add(high, upper, out=high)
                np.add(high, np.less(low, more).view(np.uint8), out=high)  # the carry

    def subtract(self, total: Words, words: Words) -> None:
        """Take blocks out of a sum again; arguments as of `add`."""
        for span, rows in self._tables(len(words)):
            low, high = self._planes(total[span], rows)
            more, upper = self._planes(words[span], rows)
            if high is not None and upper is not None:
                np.subtract(high, upper, out=high)
                np.subtract(high, np.less(low, more).view(np.uint8), out=high)  # the borrow
            np.subtract(low, more, out=low)

    def _tables(self, words: int) -> Iterator[tuple[slice, int]]:
        """The full rows among so many words, then the rest."""
        rows, rest = divmod(words, self.unit)
        if rows:
            yield slice(0, rows * self.unit), rows
        if rest:
            yield slice(rows * self.unit, words), 1

    def _planes(
        self, words: Words, rows: int
    ) -> tuple[NDArray[np.uint32], NDArray[np.uint8] | None]:
        """Views of the lower 32 bits and of the bits above them, of each row."""
        table = words.reshape(rows, -1)
        if self._bytes == 4:
            return table.view("<u4"), None
        count = self.coefficients(table.shape[1])
        return table.view("<u4")[:, :count], table.view(np.uint8)[:, 4 * count :]
