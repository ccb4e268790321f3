"""Where the vectors of P lie in the ring elements of an upload, and those on the wire.

Each vector begins with a block (ring element) of its own; blocks are counted over the whole upload.
Of a vector's last block, coefficients that carry nothing are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from secagg.errors import LocalProtocolError
from secagg.params import Ring, VectorSpec
from secagg.schemes.additive.lattice.lift import Lift, lift_of
from secagg.schemes.additive.lattice.product import BLOCKS, DEGREE, Coefficients
from secagg.schemes.additive.lattice.residues import Residues


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
        """int64[rows, used], a view of a buffer of N * BLOCKS coefficients."""
        return buffer[: self.rows * self.used].reshape(self.rows, self.used)


class Blocks:
    """The blocks of an upload.

    Args:
        vectors: of P.
        ring: checked.
        gateways: n.

    Attributes:
        residues: how coefficients are written.
        words: wire words of each vector.
        lengths: words of each vector in P.
        unit: wire words of a full block.

    Raises:
        UnsupportedParameters: a vector that does not fit the ring.
    """

    def __init__(self, vectors: Sequence[VectorSpec], ring: Ring, gateways: int) -> None:
        self.residues: Final = Residues(ring.moduli[0])
        self.unit: Final = self.residues.unit
        self._lifts = [lift_of(spec, ring, gateways) for spec in vectors]
        self._starts = [0]
        words = []
        for lift in self._lifts:
            full, rest = divmod(lift.spec.length, DEGREE // lift.limbs)
            words.append(full * self.unit + self.residues.words(rest * lift.limbs))
            self._starts.append(self._starts[-1] + full + (rest > 0))
        self.words: Final[Sequence[int]] = tuple(words)
        self.lengths: Final = tuple(spec.length for spec in vectors)

    def check_span(self, vector: int, first: int, words: int) -> None:
        """Accept a span of whole blocks.

        Raises:
            LocalProtocolError: no whole blocks, or outside the vector.
        """
        end, last = self.words[vector], first + words
        if first % self.unit or not 0 <= first <= last <= end or (last % self.unit and last < end):
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
        lift, last = self._lifts[vector], first + words
        while first < last:
            rows = max(1, min(BLOCKS, (last - first) // self.unit))
            stop = min(first + rows * self.unit, last)
            index = first // self.unit
            yield Run(
                lift=lift,
                vector=vector,
                block=self._starts[vector] + index,
                rows=rows,
                used=self.residues.coefficients((stop - first) // rows),
                first=index * (DEGREE // lift.limbs),
                wire=slice(first, stop),
            )
            first = stop
