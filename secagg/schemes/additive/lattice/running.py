"""The sum of the uploads of a round, and what it opens to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from secagg.schemes.additive.lattice.blocks import Blocks
from secagg.schemes.additive.lattice.product import (
    BLOCKS,
    DEGREE,
    Coefficients,
    Factor,
    Multiplier,
    PublicElements,
    rounding,
)
from secagg.schemes.base import Words
from secagg.workers import Workers


class LatticeSum:
    """One ring element for each block, never more.

    Args:
        blocks: of the upload.
        modulus: q.
        elements: the public elements that follow from the 32 bytes given to `open`.
    """

    def __init__(
        self, blocks: Blocks, modulus: int, elements: Callable[[bytes], PublicElements]
    ) -> None:
        self._blocks = blocks
        self._modulus = modulus
        self._elements = elements
        self._total = [np.zeros(words, np.uint64) for words in blocks.words]

    def add(self, vector: int, first: int, words: Words) -> None:
        """Add a part of one upload.

        Args:
            vector: index into P's vectors.
            first: first wire word of the part, at the start of a block.
            words: uint64, whole blocks.

        Raises:
            LocalProtocolError: no whole blocks, or outside the vector.
        """
        self._blocks.residues.add(self._part(vector, first, len(words)), words)

    def subtract(self, vector: int, first: int, words: Words) -> None:
        """Take a part of one upload out again; arguments and errors as of `add`."""
        self._blocks.residues.subtract(self._part(vector, first, len(words)), words)

    def _part(self, vector: int, first: int, words: int) -> Words:
        self._blocks.check_span(vector, first, words)
        return self._total[vector][first : first + words]

    def open(
        self, total: Coefficients, *, public: bytes, included: int, workers: Workers
    ) -> Sequence[Words]:
        """Remove a times the sum of the keys.

        Args:
            total: int64[N], sum of the keys of the included gateways, as `check_secret` accepts it.
            public: as to `encrypt`.
            included: how many they are.
            workers: threads.

        Returns:
            The words of each vector of P.

        Raises:
            AggregateOutOfRange: what is left is no sum of `included` uploads.
        """
        elements = self._elements(public)
        factor = Factor(total, self._modulus, slack=rounding(self._modulus, included))
        runs = [
            run
            for vector, words in enumerate(self._blocks.words)
            for run in self._blocks.runs(vector, 0, words)
        ]
        opened = [np.empty(length, np.uint64) for length in self._blocks.lengths]

        def work(first: int, last: int) -> None:
            multiplier = Multiplier(elements, factor)
            buffer = np.empty(BLOCKS * DEGREE, self._blocks.residues.dtype)
            for run in runs[first:last]:
                values = run.rows_of(buffer)
                self._blocks.residues.load(self._total[run.vector][run.wire], values)
                product = multiplier.product(run.block, run.rows)
                np.subtract(values, product[:, : run.used], out=values)
                run.lift.read(values, run.first, opened[run.vector], included)

        workers.run(work, len(runs))
        return opened
