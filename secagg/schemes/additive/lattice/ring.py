"""Encrypts uploads as ring elements modulo a power of two: c = a s + e + Delta x."""

from __future__ import annotations

from secagg.errors import ConfigurationError, UnsupportedParameters
from secagg.params import RoundParams
from secagg.schemes.additive.blocks import AT_ONCE, Blocks
from secagg.schemes.additive.elements import PolynomialRing
from secagg.schemes.additive.lattice.lift import Direct
from secagg.schemes.additive.lattice.plan import (
    DEGREE,
    check_ring,
    noise_of,
    noise_of_sum,
    update_limit,
)
from secagg.schemes.additive.lattice.residues import Residues
from secagg.schemes.additive.lattice.sampling import NoiseStream
from secagg.schemes.additive.lifts import lifts_of
from secagg.schemes.additive.rings import Arithmetic, RoundRing


class LatticeRing(RoundRing):
    """The ring of one round.

    Args:
        params: P.
        gateways: n.
        cached: as to `Arithmetic`.

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
            lambda spec: Direct(spec, ring, residues),
            limit=update_limit(ring, gateways),
            residues=residues,
            noise=noise_of_sum(ring.moduli[0], gateways),
            gateways=gateways,
        )
        products = PolynomialRing(DEGREE, ring.moduli[0])
        arithmetic = Arithmetic(products, _noise, cached=cached)
        noise = int(noise_of(ring, gateways).bound)
        super().__init__(Blocks(lifts, residues), arithmetic, noise)


def _noise(key: bytes) -> NoiseStream:
    return NoiseStream(key, DEGREE, AT_ONCE)
