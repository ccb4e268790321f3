"""Encrypts uploads as ring elements modulo a prime: c = a s + rint(Delta embed(x) + e)."""

from __future__ import annotations

from collections.abc import Callable

from secagg.errors import ConfigurationError, UnsupportedParameters
from secagg.params import RoundParams
from secagg.schemes.additive.blocks import AT_ONCE, Blocks
from secagg.schemes.additive.ckks.plan import (
    Parameters,
    check_ring,
    noise_of_sum,
    update_limit,
)
from secagg.schemes.additive.ckks.product import Factor, PrimeMultiplier, seal_ring
from secagg.schemes.additive.ckks.residues import PrimeResidues
from secagg.schemes.additive.ckks.sampling import GaussianStream
from secagg.schemes.additive.ckks.slots import Slots
from secagg.schemes.additive.lifts import lifts_of
from secagg.schemes.additive.rings import Key, RoundRing


class CkksRing(RoundRing):
    """The ring of one round.

    Args:
        params: P.
        gateways: n.

    Raises:
        UnsupportedParameters: a ring, step, limit or number of lanes that this library would not
            choose.
        SealMissing, SealDiffers: there is no TenSEAL, or another one than expected.
    """

    def __init__(self, params: RoundParams, gateways: int) -> None:
        ring = params.ring
        if ring is None:
            raise UnsupportedParameters("no ring among the parameters of the round")
        try:
            row = check_ring(ring, gateways)
        except ConfigurationError as error:
            raise UnsupportedParameters(str(error)) from None
        seal_ring(row)  # its errors here, not in a thread half way through an upload
        residues = PrimeResidues(row.prime, row.degree)
        lifts = lifts_of(
            params.vectors,
            lambda spec: Slots(spec, ring, gateways, residues),
            limit=update_limit(ring, gateways),
            residues=residues,
            noise=noise_of_sum(ring, gateways),
            gateways=gateways,
        )
        super().__init__(Blocks(lifts, residues), Arithmetic(row))


class Arithmetic:
    """Products modulo p, and noise (`rings.Arithmetic`).

    Args:
        row: of the table.
    """

    def __init__(self, row: Parameters) -> None:
        self._row = row

    def multiplier(
        self,
        key: Key,
        *,
        public: bytes,
        included: int | None = None,  # noqa: ARG002 - products are exact
    ) -> Callable[[], PrimeMultiplier]:
        """See `rings.Arithmetic`."""
        factor = Factor(key, self._row)
        return lambda: PrimeMultiplier(public, factor)

    def noise(self, key: bytes) -> GaussianStream:
        """See `rings.Arithmetic`."""
        return GaussianStream(key, self._row.sigma, self._row.degree, AT_ONCE)
