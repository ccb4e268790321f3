"""Says where the vectors of P lie in the ring elements of an upload, and these on the wire.

Each vector begins with a block (ring element) of its own; blocks are counted over the whole upload.
Of a vector's last block, coefficients that carry nothing are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from secagg.errors import LocalProtocolError
from secagg.params import VectorSpec
from secagg.schemes.base import Fill, Words

AT_ONCE: Final = 16
"""Blocks handled at a time: their buffers fit a second-level cache. Not on the wire."""

Coefficients = NDArray[np.signedinteger[Any]]
"""int32 or int64 (`Residues.dtype`), right modulo Q."""


class Residues(Protocol):
    """Numbers modulo Q: in memory, in rows on the wire, and in sums of uploads.

    Attributes:
        modulus: Q.
        degree: N, numbers in a full row.
        unit: 64-bit words of a full row on the wire.
        dtype: of numbers in memory.
    """

    modulus: int
    degree: int
    unit: int
    dtype: type[np.int32 | np.int64]

    def words(self, coefficients: int) -> int:
        """64-bit words of a row on the wire."""
        ...

    def coefficients(self, words: int) -> int:
        """Coefficients of a row of so many words."""
        ...

    def store(self, values: Coefficients, out: Words) -> None:
        """Write rows of coefficients, reduced modulo Q.

        Args:
            values: dtype[rows, k], used up.
            out: uint64[rows * words(k)].
        """

    def check(self, words: Words) -> None:
        """Accept rows that came over the wire.

        Raises:
            BadFrame: a number that is no residue.
        """

    def centre(self, values: Coefficients) -> None:
        """Reduce to numbers around zero, in place."""

    def positive(self, values: Coefficients) -> NDArray[np.unsignedinteger[Any]]:
        """The same memory, reduced to 0 to Q - 1."""
        ...

    def sum_of(self, words: int) -> Words:
        """An empty sum of what takes so many words on the wire."""
        ...

    def part(self, total: Words, first: int, words: int) -> Words:
        """The view of a sum that belongs to a span of the wire."""
        ...

    def add(self, total: Words, words: Words) -> None:
        """Add blocks to a part of a sum.

        Args:
            total: of `part`.
            words: uint64 as on the wire: full rows, then one that may be shorter.
        """

    def subtract(self, total: Words, words: Words) -> None:
        """Take blocks out of a sum again; arguments as of `add`."""

    def load(self, total: Words, out: Coefficients) -> None:
        """Read rows of a sum.

        Args:
            total: of `part`.
            out: dtype[rows, k], right modulo Q.
        """


class Lift(Protocol):
    """How one vector lies in its ring elements."""

    @property
    def spec(self) -> VectorSpec:
        """The vector."""
        ...

    @property
    def limbs(self) -> int:
        """Coefficients of one word."""
        ...

    def coefficients(self, words: int) -> int:
        """Coefficients that the last block takes on the wire when so many words are left for it."""
        ...

    def write(
        self,
        encode: Fill,
        vector: int,
        first: int,
        values: Coefficients,
        noise: NDArray[Any],
        scratch: Words,
    ) -> None:
        """Fill rows of coefficients with words of the vector, and noise.

        Args:
            encode: gives the words.
            vector: index of the vector.
            first: first word.
            values: rows of k; only the last block of a vector may be shorter than N.
            noise: as many numbers.
            scratch: uint64, at least as many.
        """

    def read(self, values: Coefficients, first: int, out: Words, included: int) -> None:
        """Words of rows of an opened sum.

        Args:
            values: rows of k, right modulo Q; used up.
            first: first word.
            out: uint64, the words of the whole vector.
            included: summands.

        Raises:
            AggregateOutOfRange: no sum of so many words is near.
        """


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive blocks of one vector that are handled at once.

    Attributes:
        lift: how the vector's words lie in them.
        vector: index of the vector.
        block: the first one, counted over the whole upload.
        rows: how many.
        used: coefficients on the wire of each; fewer than N only for the last block of a vector.
        first: first word of the vector in them.
        wire: their words on the wire, counted within the vector.
    """

    lift: Lift
    vector: int
    block: int
    rows: int
    used: int
    first: int
    wire: slice

    def rows_of(self, buffer: Coefficients) -> Coefficients:
        """[rows, used], a view of a buffer of N * AT_ONCE coefficients."""
        return buffer[: self.rows * self.used].reshape(self.rows, self.used)


class Blocks:
    """The blocks of an upload.

    Args:
        lifts: of the vectors of P.
        residues: how coefficients are written.

    Attributes:
        residues: likewise.
        words: wire words of each vector.
        lengths: words of each vector in P.
    """

    def __init__(self, lifts: Sequence[Lift], residues: Residues) -> None:
        self.residues: Final = residues
        self._lifts = lifts
        self._starts = [0]
        words = []
        for lift in lifts:
            full, rest = divmod(lift.spec.length, residues.degree // lift.limbs)
            words.append(full * residues.unit + residues.words(lift.coefficients(rest)))
            self._starts.append(self._starts[-1] + full + (rest > 0))
        self.words: Final[Sequence[int]] = tuple(words)
        self.lengths: Final = tuple(lift.spec.length for lift in lifts)

    def check_span(self, vector: int, first: int, words: int) -> None:
        """Accept a span of whole blocks.

        Raises:
            LocalProtocolError: no whole blocks, or outside the vector.
        """
        unit, end, last = self.residues.unit, self.words[vector], first + words
        if first % unit or not 0 <= first <= last <= end or (last % unit and last < end):
            raise LocalProtocolError(
                f"wire words {first} to {last} of vector {vector} are no whole blocks"
            )

    def runs(self, vector: int, first: int, words: int) -> Iterator[Run]:
        """A span of wire words, cut into what is handled at once.

        Args:
            vector: index into P's vectors.
            first: first wire word of the span.
            words: how many.

        Raises:
            LocalProtocolError: no whole blocks, or outside the vector.
        """
        self.check_span(vector, first, words)
        lift, last, unit = self._lifts[vector], first + words, self.residues.unit
        while first < last:
            rows = max(1, min(AT_ONCE, (last - first) // unit))
            stop = min(first + rows * unit, last)
            index = first // unit
            yield Run(
                lift=lift,
                vector=vector,
                block=self._starts[vector] + index,
                rows=rows,
                used=self.residues.coefficients((stop - first) // rows),
                first=index * (self.residues.degree // lift.limbs),
                wire=slice(first, stop),
            )
            first = stop
