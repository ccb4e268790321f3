"""Encrypts uploads and opens sums in any ring: c = a s + e + lift(x), block by block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.kdf import derive_key
from secagg.crypto.labels import Label
from secagg.crypto.prg import STREAM_KEY_BYTES
from secagg.params import HASH_BYTES, Entropy, RoundParams
from secagg.schemes.additive.blocks import AT_ONCE, Blocks
from secagg.schemes.additive.elements import PolynomialRing, PublicElements
from secagg.schemes.additive.product import Factor, Multiplier, rounding_slack
from secagg.schemes.additive.sampling import LARGEST, small_secret
from secagg.schemes.base import Fill, Source, Words
from secagg.workers import Workers

Key = NDArray[np.int64]
"""int64[N]: the coefficients of one gateway's key, or of a sum of keys."""


class NoiseStream(Protocol):
    """One thread's noise of one upload."""

    def noise(self, first: int, blocks: int) -> NDArray[Any]:
        """[blocks, N] for the blocks from `first` on: a view that the next call overwrites."""
        ...


class Arithmetic:
    """Products modulo Q, and noise.

    Args:
        ring: of the products.
        noise: the noise of the upload with a noise key of 16 bytes.
        cached: blocks whose public elements stay transformed from one call to the next: 8 bytes a
            coefficient and piece. Pays where one process encrypts several uploads.
    """

    def __init__(
        self, ring: PolynomialRing, noise: Callable[[bytes], NoiseStream], *, cached: int = 0
    ) -> None:
        self.noise: Final = noise
        self._ring = ring
        self._cached = cached
        self._elements: dict[bytes, PublicElements] = {}

    def multiplier(
        self, key: Key, *, public: bytes, included: int | None = None
    ) -> Callable[[], Multiplier]:
        """Makes multipliers by a key, one for each thread.

        Args:
            key: of one upload, or a sum of keys.
            public: what the public elements follow from: 32 bytes that no party chooses.
            included: summands of a sum of keys, whose products may be off by what was planned for
                so many; None for products that are exact.
        """
        slack = 0 if included is None else rounding_slack(self._ring, included)
        factor = Factor(key, self._ring, slack=slack)
        elements = self._public(public)
        return lambda: Multiplier(elements, factor)

    def _public(self, public: bytes) -> PublicElements:
        """The elements of a round, kept only if their transforms are to be."""
        if self._cached == 0:
            return PublicElements(public, self._ring)
        if public not in self._elements:
            self._elements = {public: PublicElements(public, self._ring, cached=self._cached)}
        return self._elements[public]


class RoundRing:
    """The ring of one round: all in which additive schemes differ.

    It knows a public `a`, keys `s`, noise, and how numbers lie in the ring; nothing of gateways,
    shares or messages.

    Args:
        blocks: where the vectors of P lie.
        arithmetic: of the ring.
        noise: by which a lane of an update may be off in an opened sum.

    Attributes:
        noise: likewise.
        coefficients: N.
        words: wire words (uint64) of each vector.
        unit: wire words of a full block.
    """

    def __init__(self, blocks: Blocks, arithmetic: Arithmetic, noise: int) -> None:
        self._blocks = blocks
        self._arithmetic = arithmetic
        self.noise = noise
        self.coefficients = blocks.residues.degree
        self.words: Sequence[int] = blocks.words
        self.unit = blocks.residues.unit

    def secret(self, rng: Entropy) -> Key:
        """A fresh key for one upload: int64[N], abs(s) <= 16."""
        return small_secret(self.coefficients, rng)

    def check_secret(self, total: Key, included: int) -> bool:
        """Whether a sum of `included` honest keys can be this."""
        size = (self.coefficients,)
        return total.shape == size and int(np.abs(total).max()) <= LARGEST * included

    def encrypt(self, source: Source, secret: Key, *, public: bytes, rng: Entropy) -> Source:
        """What writes the wire words of one upload instead of its encoded words.

        Args:
            source: encodes.
            secret: from `secret`, of this upload only.
            public: what the public elements follow from: 32 bytes that no party chooses.
            rng: source of the noise's key, drawn once.

        Returns:
            Makes a `Fill` for spans of whole blocks of wire words, in any order; it raises
            LocalProtocolError for others.
        """
        multiplier = self._arithmetic.multiplier(secret, public=public)
        seed = rng(HASH_BYTES)
        key = derive_key(seed, salt=public, label=Label.KDF_NOISE, length=STREAM_KEY_BYTES)
        runs, residues = self._blocks.runs, self._blocks.residues

        def make() -> Fill:
            encode, products, stream = source(), multiplier(), self._arithmetic.noise(key)
            buffer = np.empty(AT_ONCE * residues.degree, residues.dtype)
            scratch = np.empty(AT_ONCE * residues.degree, np.uint64)

            def fill(vector: int, first: int, out: Words) -> None:
                for run in runs(vector, first, len(out)):
                    values = run.rows_of(buffer)
                    noise = stream.noise(run.block, run.rows)[:, : run.used]
                    run.lift.write(encode, vector, run.first, values, noise, scratch)
                    product = products.product(run.block, run.rows)
                    np.add(values, product[:, : run.used], out=values)
                    residues.store(values, out[run.wire.start - first : run.wire.stop - first])

            return fill

        return make

    def running_sum(self) -> RingSum:
        """An empty sum."""
        return RingSum(self._blocks, self._arithmetic)


class RingSum:
    """The sum of the uploads of a round: one ring element for each block, never more.

    Args:
        blocks: of the upload.
        arithmetic: of the ring.
    """

    def __init__(self, blocks: Blocks, arithmetic: Arithmetic) -> None:
        self._blocks = blocks
        self._arithmetic = arithmetic
        self._total = [blocks.residues.sum_of(words) for words in blocks.words]

    def check(self, words: Words) -> None:
        """Accept a part of one upload.

        Raises:
            BadFrame: a number that is no residue of this ring.
        """
        self._blocks.residues.check(words)

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
        return self._blocks.residues.part(self._total[vector], first, words)

    def open(
        self, total: Key, *, public: bytes, included: int, workers: Workers
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
        multiplier = self._arithmetic.multiplier(total, public=public, included=included)
        residues = self._blocks.residues
        runs = [
            run
            for vector, words in enumerate(self._blocks.words)
            for run in self._blocks.runs(vector, 0, words)
        ]
        opened = [np.empty(length, np.uint64) for length in self._blocks.lengths]

        def work(first: int, last: int) -> None:
            products = multiplier()
            buffer = np.empty(AT_ONCE * residues.degree, residues.dtype)
            for run in runs[first:last]:
                values = run.rows_of(buffer)
                wire = run.wire
                part = residues.part(self._total[run.vector], wire.start, wire.stop - wire.start)
                residues.load(part, values)
                product = products.product(run.block, run.rows)
                np.subtract(values, product[:, : run.used], out=values)
                run.lift.read(values, run.first, opened[run.vector], included)

        workers.run(work, len(runs))
        return opened


RingOf = Callable[[RoundParams, int], RoundRing]
"""Makes the ring of a round of P and n; raises UnsupportedParameters outside its tables."""
