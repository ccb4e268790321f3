"""Encrypts uploads as ring elements modulo a prime: c = a s + rint(Delta embed(x) + e)."""

from __future__ import annotations

from secagg.errors import ConfigurationError, UnsupportedParameters
from secagg.params import RoundParams
from secagg.schemes.additive.blocks import AT_ONCE, Blocks
from secagg.schemes.additive.ckks.plan import (
    check_ring,
    noise_of,
    noise_of_sum,
    update_limit,
)
from secagg.schemes.additive.ckks.residues import PrimeResidues
from secagg.schemes.additive.ckks.sampling import GaussianStream
from secagg.schemes.additive.ckks.slots import Slots
from secagg.schemes.additive.elements import PolynomialRing
from secagg.schemes.additive.lifts import lifts_of
from secagg.schemes.additive.rings import Arithmetic, RoundRing


class CkksRing(RoundRing):
    """The ring of one round.

    Args:
        params: P.
        gateways: n.

    Raises:
        UnsupportedParameters: a ring, step, limit or number of lanes that this library would not
            choose.
    """

    def __init__(self, params: RoundParams, gateways: int) -> None:
        ring = params.ring
        if ring is None:
            raise UnsupportedParameters("no ring among the parameters of the round")
        try:
            row = check_ring(ring, gateways)
        except ConfigurationError as error:
            raise UnsupportedParameters(str(error)) from None
        residues = PrimeResidues(row.prime, row.degree)
        lifts = lifts_of(
            params.vectors,
            lambda spec: Slots(spec, ring, residues),
            limit=update_limit(ring, gateways),
            residues=residues,
            noise=noise_of_sum(ring, gateways),
            gateways=gateways,
        )

        def noise(key: bytes) -> GaussianStream:
            return GaussianStream(key, row.sigma, row.degree, AT_ONCE)

        super().__init__(
            Blocks(lifts, residues),
            Arithmetic(PolynomialRing(row.degree, row.prime), noise),
            int(noise_of(ring, gateways).bound),
        )
