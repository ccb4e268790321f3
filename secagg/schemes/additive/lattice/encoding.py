"""Uploads as ring elements: c = a s + e + lift(x)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from secagg.crypto.kdf import derive
from secagg.crypto.labels import Label
from secagg.crypto.prg import KEY_BYTES
from secagg.errors import ConfigurationError, UnsupportedParameters
from secagg.params import HASH_BYTES, Entropy, RoundParams
from secagg.schemes.additive.lattice.blocks import Blocks
from secagg.schemes.additive.lattice.plan import check_ring, noise_of
from secagg.schemes.additive.lattice.product import (
    BLOCKS,
    DEGREE,
    Coefficients,
    Factor,
    Multiplier,
    PublicElements,
)
from secagg.schemes.additive.lattice.running import LatticeSum
from secagg.schemes.additive.lattice.sampling import LARGEST, NoiseStream, small_secret
from secagg.schemes.base import Fill, Noise, Source, Words


class LatticeEncoding:
    """The ring of one round.

    Args:
        params: P.
        gateways: n.
        cached: blocks whose public elements stay transformed from one call to the next: 16 KiB each
            with q = 2^32, 32 KiB with 2^40. Pays where one process encrypts several uploads.

    Attributes:
        coefficients: N.
        words: wire words (uint64) of each vector.
        unit: wire words of a full block.
        noise: of an update opened over all gateways.

    Raises:
        UnsupportedParameters: a ring, step, limit or number of lanes that this library would not
            choose.
    """

    def __init__(self, params: RoundParams, gateways: int, *, cached: int = 0) -> None:
        ring = params.ring
        if ring is None:
            raise UnsupportedParameters("no ring among the parameters of the round")
        try:
            check_ring(ring, gateways)
        except ConfigurationError as error:
            raise UnsupportedParameters(str(error)) from None
        self._modulus = ring.moduli[0]
        self._blocks = Blocks(params.vectors, ring, gateways)
        self._cached = cached
        self._elements: dict[bytes, PublicElements] = {}
        self.coefficients: Final = DEGREE
        self.words: Sequence[int] = self._blocks.words
        self.unit = self._blocks.unit
        self.noise: Noise = noise_of(ring, gateways)

    def secret(self, rng: Entropy) -> Coefficients:
        """A fresh key for one upload: int64[N], |s| <= 16."""
        return small_secret(DEGREE, rng)

    def check_secret(self, total: Coefficients, included: int) -> bool:
        """Whether a sum of `included` honest keys can be this."""
        return total.shape == (DEGREE,) and int(np.abs(total).max()) <= LARGEST * included

    def encrypt(
        self, source: Source, secret: Coefficients, *, public: bytes, rng: Entropy
    ) -> Source:
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
        factor = Factor(secret, self._modulus)
        elements = self._public(public)
        seed = rng(HASH_BYTES)
        key = derive(seed, salt=public, label=Label.KDF_NOISE, length=KEY_BYTES)
        runs, residues = self._blocks.runs, self._blocks.residues

        def make() -> Fill:
            encode, multiplier = source(), Multiplier(elements, factor)
            stream = NoiseStream(key, DEGREE, BLOCKS)
            buffer = np.empty(BLOCKS * DEGREE, residues.dtype)
            scratch = np.empty(BLOCKS * DEGREE, np.uint64)

            def fill(vector: int, first: int, out: Words) -> None:
                for run in runs(vector, first, len(out)):
                    values = run.rows_of(buffer)
                    run.lift.write(encode, vector, run.first, values, scratch)
                    product = multiplier.product(run.block, run.rows)
                    np.add(values, product[:, : run.used], out=values)
                    noise = stream.noise(run.block, run.rows)
                    np.add(values, noise[:, : run.used], out=values)
                    residues.store(values, out[run.wire.start - first : run.wire.stop - first])

            return fill

        return make

    def running_sum(self) -> LatticeSum:
        """An empty sum."""
        return LatticeSum(self._blocks, self._modulus, self._public)

    def _public(self, public: bytes) -> PublicElements:
        """The elements of a round, kept only if their transforms are to be."""
        if self._cached == 0:
            return PublicElements(public, self._modulus)
        if public not in self._elements:
            self._elements = {public: PublicElements(public, self._modulus, cached=self._cached)}
        return self._elements[public]
