"""Encrypts uploads as ring elements modulo a power of two: c = a s + e + Delta x."""

from __future__ import annotations

from collections.abc import Callable

from secagg.errors import ConfigurationError, UnsupportedParameters
from secagg.params import RoundParams
from secagg.schemes.additive.blocks import AT_ONCE, Blocks
from secagg.schemes.additive.lattice.lift import Direct
from secagg.schemes.additive.lattice.plan import check_ring, noise_of_sum, update_limit
from secagg.schemes.additive.lattice.product import (
    DEGREE,
    Factor,
    Multiplier,
    PublicElements,
    rounding_slack,
)
from secagg.schemes.additive.lattice.residues import Residues
from secagg.schemes.additive.lattice.sampling import NoiseStream
from secagg.schemes.additive.lifts import lifts_of
from secagg.schemes.additive.rings import Key, RoundRing


class LatticeRing(RoundRing):
    """The ring of one round.

    Args:
        params: P.
        gateways: n.
        cached: blocks whose public elements stay transformed from one call to the next: 16 KiB each
            with Q = 2^32, 32 KiB with 2^40. Pays where one process encrypts several uploads.

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
        residues = Residues(ring.moduli[0])
        lifts = lifts_of(
            params.vectors,
            lambda spec: Direct(spec, ring, gateways, residues),
            limit=update_limit(ring, gateways),
            residues=residues,
            noise=noise_of_sum(ring.moduli[0], gateways),
            gateways=gateways,
        )
        arithmetic = Arithmetic(ring.moduli[0], cached)
        super().__init__(Blocks(lifts, residues), arithmetic)


class Arithmetic:
    """Products modulo Q, and noise (`rings.Arithmetic`).

    Args:
        modulus: Q.
        cached: as to `LatticeRing`.
    """

    def __init__(self, modulus: int, cached: int) -> None:
        self._modulus = modulus
        self._cached = cached
        self._elements: dict[bytes, PublicElements] = {}

    def multiplier(
        self, key: Key, *, public: bytes, included: int | None = None
    ) -> Callable[[], Multiplier]:
        """See `rings.Arithmetic`."""
        slack = 0 if included is None else rounding_slack(self._modulus, included)
        factor = Factor(key, self._modulus, slack=slack)
        elements = self._public(public)
        return lambda: Multiplier(elements, factor)

    def noise(self, key: bytes) -> NoiseStream:
        """See `rings.Arithmetic`."""
        return NoiseStream(key, DEGREE, AT_ONCE)

    def _public(self, public: bytes) -> PublicElements:
        """The elements of a round, kept only if their transforms are to be."""
        if self._cached == 0:
            return PublicElements(public, self._modulus)
        if public not in self._elements:
            self._elements = {public: PublicElements(public, self._modulus, cached=self._cached)}
        return self._elements[public]
