"""Stores numbers modulo a prime: canonical in memory and on the wire, uint64 in sums.

A row of k numbers of 40 bits is k little-endian numbers of 32 bits, then k bytes with the upper
bits. Rows have a multiple of 8 numbers, so that they end with a word of 64 bits. Numbers of 60 bits
take a word each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.protocol.staging import BadFrame
from secagg.schemes.additive.blocks import Coefficients
from secagg.schemes.additive.product import ROUNDER, ROUNDER_BITS
from secagg.schemes.base import Words

_ALIGN: Final = 8
_CACHED: Final = 8
"""Rows decoded at a time: they fit a second-level cache."""


class PrimeResidues:
    """Numbers modulo p in rows of at most N (`blocks.Residues`).

    Args:
        prime: p, of 40 or 60 bits.
        degree: N.

    Attributes:
        modulus: p.
        degree: N.
        unit: 64-bit words of a full row.
        dtype: of numbers in memory.
    """

    __slots__ = ("_bytes", "_prime", "degree", "dtype", "modulus", "unit")

    def __init__(self, prime: int, degree: int) -> None:
        self._bytes = -(-prime.bit_length() // 8)
        self._prime = np.uint64(prime)
        self.modulus = prime
        self.degree = degree
        self.unit = degree * self._bytes // 8
        self.dtype: type[np.int32 | np.int64] = np.int64

    def words(self, coefficients: int) -> int:
        """64-bit words of a row."""
        return -(-coefficients // _ALIGN) * self._bytes

    def coefficients(self, words: int) -> int:
        """Numbers of a row of so many words."""
        return words * 8 // self._bytes

    def store(self, values: Coefficients, out: Words) -> None:
        """Write rows of numbers.

        Args:
            values: int64[rows, k] in [0, 2 p): a product and a message below 0.4 p, for which three
                or more gateways leave room; used up.
            out: uint64[rows * words(k)].
        """
        residues = values.view(np.uint64)
        # a difference that is negative is a huge uint64
        np.minimum(residues, residues - self._prime, out=residues)
        low, high = self._planes(out, len(values))
        np.copyto(low, residues, casting="unsafe")
        if high is not None:
            np.right_shift(residues, 32, out=residues)
            np.copyto(high, residues, casting="unsafe")

    def check(self, words: Words) -> None:
        """Accept whole rows of residues.

        Raises:
            BadFrame: a number of p or more.
        """
        top, rest = divmod(self.modulus, 2**32)
        for table, rows in self._tables(words, 1 + len(words)):
            low, high = self._planes(table, rows)
            least = self.modulus if high is None else rest
            for row in np.flatnonzero(low.max(axis=1) >= least):  # of 40 bits, one in 57
                if high is None or ((high[row] == top) & (low[row] >= rest)).any():
                    raise BadFrame("a number that is no residue modulo the prime of this ring")

    def centre(self, values: Coefficients) -> None:
        """Reduce to about [-p/2, p/2], in place; abs(value) < 2^62."""
        quotients = values * (1 / self.modulus)
        multiples = np.add(quotients, ROUNDER, out=quotients).view(np.int64)
        np.subtract(multiples, ROUNDER_BITS, out=multiples)
        np.multiply(multiples, self.modulus, out=multiples)
        np.subtract(values, multiples, out=values)

    def positive(self, values: Coefficients) -> NDArray[np.uint64]:
        """The same memory, reduced to [0, p)."""
        np.mod(values, self.modulus, out=values)
        return values.view(np.uint64)

    def sum_of(self, words: int) -> Words:
        """uint64, one for each number."""
        return np.zeros(self.coefficients(words), np.uint64)

    def part(self, total: Words, first: int, words: int) -> Words:
        """A view of the sum."""
        return total[self.coefficients(first) : self.coefficients(first + words)]

    def add(self, total: Words, words: Words) -> None:
        """Add blocks to a part of a sum; numbers of 40 bits have room for 2^22 summands."""
        for part, values in self._rows(total, words):
            np.add(part, values, out=part)
            if self._bytes == 8:
                np.minimum(part, part - self._prime, out=part)

    def subtract(self, total: Words, words: Words) -> None:
        """Take blocks out of a sum again."""
        for part, values in self._rows(total, words):
            np.subtract(part, values, out=part)
            if self._bytes == 8:
                np.minimum(part, part + self._prime, out=part)

    def load(self, total: Words, out: Coefficients) -> None:
        """Read rows of a sum."""
        np.copyto(out, total.reshape(out.shape), casting="unsafe")

    def _rows(self, total: Words, words: Words) -> Iterator[tuple[Words, NDArray[np.uint64]]]:
        """Views of a sum, and the numbers on the wire that belong to them."""
        start = 0
        for table, rows in self._tables(words, _CACHED):
            low, high = self._planes(table, rows)
            part = total[start : start + low.size].reshape(low.shape)
            start += low.size
            if high is None:
                yield part, low
                continue
            numbers = np.empty((*low.shape, 2), "<u4")
            numbers[..., 0], numbers[..., 1] = low, high
            yield part, numbers.view("<u8")[..., 0]

    def _tables(self, words: Words, most: int) -> Iterator[tuple[Words, int]]:
        """The full rows of a span, at most so many at a time, then the rest."""
        full = len(words) // self.unit * self.unit
        for start in range(0, full, most * self.unit):
            stop = min(start + most * self.unit, full)
            yield words[start:stop], (stop - start) // self.unit
        if full < len(words):
            yield words[full:], 1

    def _planes(
        self, words: Words, rows: int
    ) -> tuple[NDArray[np.unsignedinteger], NDArray[np.uint8] | None]:
        """Views of the lower 32 bits and of the bits above them, of each row."""
        table = words.reshape(rows, -1)
        if self._bytes == 8:
            return table, None
        count = self.coefficients(table.shape[1])
        return table.view("<u4")[:, :count], table.view(np.uint8)[:, 4 * count :]
