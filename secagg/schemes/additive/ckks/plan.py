"""Plans the ring of ckks: degree, prime, scale and limit, and how exact an opened sum is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from secagg.errors import ConfigurationError
from secagg.fixed_point.layout import MAX_UPDATE_LIMIT, Noise
from secagg.params import Ring
from secagg.schemes.additive import planning
from secagg.schemes.additive.sampling import MAX_INCLUDED
from secagg.schemes.base import UpdatePlan


@dataclass(frozen=True, slots=True)
class Parameters:
    """One row of the table.

    Attributes:
        degree: N.
        bits: of p.
        prime: p, the largest prime of that size that is 1 modulo 2 N: SEAL's.
        sigma: standard deviation of the noise of a coefficient, and Delta, what a lane unit is
            multiplied by: rounding to lanes then is far below the noise of a slot.
    """

    degree: int
    bits: int
    prime: int
    sigma: int

    @property
    def ring(self) -> Ring:
        """As P names it."""
        return Ring(degree=self.degree, moduli=(self.prime,), step=self.sigma)


# Of the sets that SEAL's table of 128-bit security allows with one prime, those with the least
# bytes for each coordinate, and noise that keeps the claim of SECURITY.md when sums of keys are
# revealed: see `benchmarks.ring_security`. SEAL's own width of 3.2 is not enough at N = 2048.
RINGS: Final = (
    Parameters(2048, 40, 1_099_511_590_913, 2**4),
    Parameters(4096, 60, 1_152_921_504_606_830_593, 2**16),
)
DEGREES: Final = tuple(each.degree for each in RINGS)

_FLOAT_ERROR: Final = 2.0**-46
"""Norm of the error of a twist and a transform in float64, relative to the norm of its result: 11
levels of 9.24 u and a product of (sqrt(5) + 6) u, u = 2^-53, are 110 u (`additive.product`)."""
_DEVIATIONS: Final = math.sqrt(2 * math.log(4 / planning.TAIL))
"""Beyond so many of them a sub-Gaussian number is with probability `TAIL` / 2: a slot may be wrong
because of its own noise, or because a coefficient has left p/2."""
_ROUNDING: Final = 1 / 12
"""Variance of rounding to integers. Noise is added before: with an ideal law of width 16 the rest
modulo 1 is uniform but for 2^-7000, also when the law is tilted, so that the rounded noise is
sub-Gaussian with variance sigma^2 + 1/12."""


def check_degree(degree: int | None) -> None:
    """Accept N, or None.

    Raises:
        ConfigurationError: not in the table.
    """
    if degree is not None and degree not in DEGREES:
        known = ", ".join(map(str, DEGREES))
        raise ConfigurationError(f"ring_degree is {degree!r}: use {known} or None")


def check_ring(ring: Ring, gateways: int) -> Parameters:
    """The row of the table that P names.

    Raises:
        ConfigurationError: another degree, prime or step, or too many gateways.
    """
    if not 1 <= gateways <= MAX_INCLUDED:
        raise ConfigurationError(f"{gateways} gateways: shares of keys sum up to {MAX_INCLUDED}")
    for row in RINGS:
        if ring == row.ring:
            return row
    known = " or ".join(
        f"N = {row.degree} with moduli ({row.prime},) and step {row.sigma}" for row in RINGS
    )
    raise ConfigurationError(
        f"ring is N = {ring.degree} with moduli {ring.moduli} and step {ring.step}: use {known}"
    )


def noise_of_sum(ring: Ring, gateways: int) -> int:
    """B: largest absolute noise of a coefficient of an opened sum.

    Raises:
        ConfigurationError: as `check_ring`.
    """
    row = check_ring(ring, gateways)
    return math.ceil(_DEVIATIONS * math.sqrt(gateways * (row.sigma**2 + _ROUNDING)))


def update_limit(ring: Ring, gateways: int) -> int:
    """Largest absolute lane of one gateway: no coefficient of a sum, with its noise, leaves p/4.

    Up to p/2 the residues of garbage would all pass for sums.

    A coefficient of embed(x) is the real or imaginary part of a mean of slots turned by roots of
    unity, so at most sqrt(2) max abs(lane), which some x reach.

    Raises:
        ConfigurationError: as `check_ring`.
    """
    row = check_ring(ring, gateways)
    room = row.prime // 4 - 1 - noise_of_sum(ring, gateways)
    room -= math.ceil(_FLOAT_ERROR * row.prime)  # of embedding
    return min(math.isqrt(room**2 // 2) // (gateways * ring.step), MAX_UPDATE_LIMIT)


def noise_of(ring: Ring, gateways: int) -> Noise:
    """Bound and rms of the noise of an opened coordinate of a sum over all gateways, in lane units.

    A slot is a sum of N/2 pairs of coefficients turned by roots of unity: noise of variance v in
    each is noise of variance v N/2 in its real and in its imaginary part. Opening rounds to a lane
    unit: 1/12 is the variance of that. Errors of float64, of n embeddings and of opening, are at
    most twice _FLOAT_ERROR of the norm of N/2 slots of sqrt(2) n limit each.

    Raises:
        ConfigurationError: as `check_ring`.
    """
    row = check_ring(ring, gateways)
    pairs = row.degree // 2
    spread = math.sqrt(gateways * pairs * (row.sigma**2 + _ROUNDING)) / ring.step
    largest = gateways * update_limit(ring, gateways)
    floats = 2 * _FLOAT_ERROR * math.sqrt(2 * pairs) * largest
    bound = math.floor(_DEVIATIONS * spread + floats + 0.5)
    return Noise(bound=float(bound), rms=math.hypot(spread, math.sqrt(_ROUNDING)))


def plan(
    gateways: int, max_weight: float, precision: float, degree: int | None = None
) -> UpdatePlan:
    """The smaller ring that reaches `precision`.

    Args:
        gateways: n, 1 to 2047.
        max_weight: largest weight.
        precision: rms error of the mean relative to clip, from rounding and noise, at an average
            weight of `max_weight` / 16.
        degree: N, if it is not to be chosen.

    Raises:
        ConfigurationError: no such degree, or no ring reaches the precision; names the nearest
            possible.
    """
    check_degree(degree)
    candidates = (_candidate(row, gateways) for row in RINGS if degree in {None, row.degree})
    return planning.choose_candidate(candidates, gateways, max_weight, precision, name="ckks")


def _candidate(row: Parameters, gateways: int) -> planning.Candidate:
    limit = update_limit(row.ring, gateways)
    text = (
        f"N = {row.degree}, one prime of {row.bits} bits, Delta = {row.sigma}, lanes of"
        f" {gateways} gateways up to {limit}"
    )
    return planning.Candidate(row.ring, limit, noise_of(row.ring, gateways), text)
