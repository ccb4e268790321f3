"""Measures the pieces of a round that only masks have."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.parts import GatewayParts, Part, ServerParts
from benchmarks.rounds import World
from secagg.crypto.prg import STREAM_KEY_BYTES
from secagg.crypto.prg_fast import MaskAdder, add_masks
from secagg.params import RoundParams
from secagg.thresholds import neighbours
from secagg.workers import SERIAL

Keys = Sequence[tuple[int, bytes]]


class MasksGateway(GatewayParts):
    """Also masks; arguments as of `GatewayParts`."""

    def __init__(self, world: World, params: RoundParams) -> None:
        super().__init__(world, params)
        self._keys = [random_keys(1 + world.case.thresholds.degree) for _ in params.vectors]

    def parts(self) -> Mapping[str, Part]:
        """Parts by name."""
        return {**super().parts(), "masks": self.mask}

    def mask(self) -> None:
        """One own mask, one for each neighbour."""
        adders = [MaskAdder(keys) for keys in self._keys]
        self.write(lambda vector, first, words: adders[vector].add(words, first), self.plain_spans)


class MasksServer(ServerParts):
    """Also the sum, and masks off; arguments as of `ServerParts`."""

    def __init__(
        self, world: World, params: RoundParams, frames: Mapping[int, Sequence[bytes]]
    ) -> None:
        super().__init__(world, params, frames)
        self._sums = [np.zeros(vector.words, np.uint64) for vector in params.vectors]
        limits, survivors = world.case.thresholds, frozenset(world.survivors)
        pairs = sum(len(neighbours(limits, dead) & survivors) for dead in world.vanished)
        self.masks = len(survivors) + pairs
        self._keys = random_keys(self.masks)

    def parts(self) -> Mapping[str, Part]:
        """Parts by name."""
        return {**super().parts(), "sum": self.add, "masks": self.unmask}

    def add(self) -> None:
        """Every upload to the running sum."""
        for span, words in self.parts_of_uploads():
            target = self._sums[span.vector][span.first_word : span.first_word + span.words]
            np.add(target, words, out=target)

    def unmask(self) -> None:
        """Own masks of the survivors, and those they share with the vanished."""
        for words in self._sums:
            add_masks(words, 0, self._keys, workers=SERIAL)


def random_keys(count: int) -> list[tuple[int, bytes]]:
    """Keys of masks, every other one subtracted."""
    return [(1 - 2 * (index % 2), os.urandom(STREAM_KEY_BYTES)) for index in range(count)]
