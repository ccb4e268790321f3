"""Measures the pieces of a round that only the additive schemes have."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.parts import GatewayParts, Part, ServerParts
from benchmarks.rounds import World
from secagg.crypto.packed import Packing, deal, reconstruct
from secagg.params import RoundParams
from secagg.schemes.additive.lattice import LatticeRing
from secagg.schemes.additive.rings import RingOf, RoundRing
from secagg.schemes.base import Fill
from secagg.workers import SERIAL

PUBLIC = bytes(32)
"""What the public elements follow from; any bytes cost the same."""


class AdditiveGateway(GatewayParts):
    """Also encryption.

    Encoding is not in it, as it is with the session: words are there already. Arguments as of
    `GatewayParts`, and the ring's.
    """

    def __init__(self, world: World, params: RoundParams, ring: RingOf) -> None:
        super().__init__(world, params)
        self._seeded = ring(params, world.case.gateways)
        self._secret = self._seeded.secret(os.urandom)

    def parts(self) -> Mapping[str, Part]:
        """Parts by name."""
        return {**super().parts(), "encryption": lambda: self.encrypt(self._seeded)}

    def encrypt(self, ring: RoundRing) -> None:
        """Everything between encoded words and those on the wire."""
        source = ring.encrypt(_zeros, self._secret, public=PUBLIC, rng=os.urandom)
        self.write(source(), self._spans)


class LatticeGateway(AdditiveGateway):
    """Encryption also with the transforms of the public elements kept; arguments as above."""

    def __init__(self, world: World, params: RoundParams) -> None:
        super().__init__(world, params, LatticeRing)
        blocks = sum(-(-words // self._seeded.unit) for words in self._seeded.words)
        self._cached = LatticeRing(params, world.case.gateways, cached=blocks)
        self.encrypt(self._cached)  # the first upload of a process fills the cache

    def parts(self) -> Mapping[str, Part]:
        """Parts by name."""
        cached = {"encryption, transforms cached": lambda: self.encrypt(self._cached)}
        return {**super().parts(), **cached}


class AdditiveServer(ServerParts):
    """Also the sum, the key and its product off; arguments as of `ServerParts`, and the ring's."""

    def __init__(
        self,
        world: World,
        params: RoundParams,
        frames: Mapping[int, Sequence[bytes]],
        ring: RingOf = LatticeRing,
    ) -> None:
        super().__init__(world, params, frames)
        n, limits = world.case.gateways, world.case.thresholds
        self._ring = ring(params, n)
        self._sum = self._ring.running_sum()
        self._packing = Packing(limits.committee, limits.packed, limits.share_threshold)
        secrets = [self._ring.secret(os.urandom) for _ in world.survivors]
        self._key = np.sum(secrets, axis=0)
        self._members = [i for i in world.survivors if i < limits.committee]
        rows = deal(self._key, self._packing, os.urandom).rows[self._members]
        self._answers = rows[:, : self._packing.columns(len(self._key))]
        self._empty = self._ring.running_sum()
        source = self._ring.encrypt(_zeros, self._key, public=PUBLIC, rng=os.urandom)
        self._fill(source())

    def _fill(self, fill: Fill) -> None:
        """A sum that opens to zeros, and so passes the checks of opening."""
        for span in self._spans:
            words = np.empty(span.words, np.uint64)
            fill(span.vector, span.first_word, words)
            self._empty.add(span.vector, span.first_word, words)

    def parts(self) -> Mapping[str, Part]:
        """Parts by name."""
        return {
            **super().parts(),
            "sum": self.add,
            "key recovery": self.recover,
            "product": self.open,
        }

    def add(self) -> None:
        """Every upload to the running sum."""
        for span, words in self.parts_of_uploads():
            self._sum.add(span.vector, span.first_word, words)

    def recover(self) -> None:
        """The sum of the keys from the answers of all members that have not vanished."""
        reconstruct(self._members, self._answers, self._packing, len(self._key))

    def open(self) -> None:
        """The product with the sum of the keys off the sum, and lanes back into words."""
        included = len(self._world.survivors)
        self._empty.open(self._key, public=PUBLIC, included=included, workers=SERIAL)


def _zeros() -> Fill:
    def fill(_vector: int, _first: int, out: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> None:
        out[:] = 0

    return fill
