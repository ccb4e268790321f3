"""Plans the ring of lattice: modulus, step and limit, and how exact an opened sum is."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import replace
from typing import Final

from secagg.errors import ConfigurationError
from secagg.fixed_point import relative_rms
from secagg.fixed_point.layout import MAX_UPDATE_LIMIT, NO_NOISE, Noise
from secagg.params import Ring
from secagg.schemes.additive import limbs, planning
from secagg.schemes.additive.elements import SMALL, PolynomialRing
from secagg.schemes.additive.product import rounding_slack
from secagg.schemes.additive.sampling import LARGEST, MAX_INCLUDED, VARIANCE
from secagg.schemes.base import UpdatePlan
from secagg.thresholds import KEY_COEFFICIENTS

DEGREE: Final = KEY_COEFFICIENTS
"""N."""
MODULI: Final = (SMALL, 2**40)


def noise_of_sum(modulus: int, gateways: int) -> int:
    """B: largest absolute noise of a coefficient of an opened sum, rounded product included.

    The noise is a sum of 32 n independent bits, so sub-Gaussian with variance 8 n (Hoeffding): it
    exceeds x with probability below 2 exp(-x^2 / 16 n). That beyond 16 n is certain to be absent.

    Args:
        modulus: Q.
        gateways: n.
    """
    likely = math.ceil(math.sqrt(2 * VARIANCE * gateways * math.log(2 / planning.TAIL)))
    return min(LARGEST * gateways, likely) + rounding_slack(
        PolynomialRing(DEGREE, modulus), gateways
    )


def exact_step(modulus: int, gateways: int) -> int:
    """The smallest step whose multiples the noise never carries beyond half way to the next."""
    return limbs.step_beyond(noise_of_sum(modulus, gateways))


def update_limit(ring: Ring, gateways: int) -> int:
    """Largest absolute lane of one gateway: a sum, its noise and half a step stay below Q/4.

    Up to Q/2 the residues of garbage would all pass for sums.

    Raises:
        ConfigurationError: as `check_ring`.
    """
    check_ring(ring, gateways)
    modulus = ring.moduli[0]
    room = modulus // 4 - 1 - noise_of_sum(modulus, gateways) - ring.step // 2
    return min(room // (gateways * ring.step), MAX_UPDATE_LIMIT)


def noise_bound(ring: Ring, gateways: int) -> float:
    """Largest distance of an opened coordinate from the exact sum, in lane units; 0.0 if exact.

    Raises:
        ConfigurationError: as `check_ring`.
    """
    return noise_of(ring, gateways).bound


def noise_of(ring: Ring, gateways: int) -> Noise:
    """Bound and rms of what is left of the noise in a sum over all gateways, in lane units.

    Where it is not zero, opening rounds to a lane unit: 1/12 is the variance of that.

    Raises:
        ConfigurationError: as `check_ring`.
    """
    check_ring(ring, gateways)
    largest = noise_of_sum(ring.moduli[0], gateways)
    bound = (2 * largest + ring.step) // (2 * ring.step)  # to the nearest, ties included
    if bound == 0:
        return NO_NOISE
    rms = math.sqrt(VARIANCE * gateways / ring.step**2 + 1 / 12)
    return Noise(bound=float(bound), rms=rms)


def check_ring(ring: Ring, gateways: int) -> None:
    """Accept a ring that this library would choose itself: what encodes follows from n and it.

    Raises:
        ConfigurationError: another degree, modulus or step, or too many gateways.
    """
    if not 1 <= gateways <= MAX_INCLUDED:
        raise ConfigurationError(f"{gateways} gateways: shares of keys sum up to {MAX_INCLUDED}")
    if ring.degree != DEGREE:
        reason = (
            " (N = 1024 with Q = 2^32 has about 85 bits of security)" if ring.degree == 1024 else ""
        )
        raise ConfigurationError(f"N is {ring.degree}: use {DEGREE}{reason}")
    if len(ring.moduli) != 1 or ring.moduli[0] not in MODULI:
        raise ConfigurationError(f"moduli are {ring.moduli}: use one, 2**32 or 2**40")
    largest = exact_step(ring.moduli[0], gateways)
    if ring.step not in {1, largest}:
        raise ConfigurationError(f"step is {ring.step}: use 1, or {largest}, which is exact")


def plan(
    gateways: int, max_weight: float, precision: float, modulus: int | None = None
) -> UpdatePlan:
    """The smallest modulus that reaches `precision`, with exact sums if they reach it.

    An exact sum costs a step of twice the noise. Where that leaves too few values, the step is 1:
    of all steps it has the least error, and the noise is then part of it.

    Args:
        gateways: n, 1 to 2047.
        max_weight: largest weight.
        precision: rms error of the mean relative to clip, from rounding and noise, at an average
            weight of `max_weight` / 16.
        modulus: Q, if it is not to be chosen.

    Raises:
        ConfigurationError: no modulus reaches the precision; names the nearest possible.
    """
    rings = (
        Ring(degree=DEGREE, moduli=(q,), step=step)
        for q in (MODULI if modulus is None else (modulus,))
        for step in (exact_step(q, gateways), 1)
    )
    candidates = (_candidate(ring, gateways) for ring in rings)
    chosen = planning.choose_candidate(
        candidates, gateways, max_weight, precision, name="the lattice"
    )
    if not chosen.noise.exact or chosen.ring is None:
        return chosen
    most = _exact_to(chosen.ring.moduli[0], gateways, precision)
    return replace(chosen, text=f"{chosen.text}; at this precision up to n = {most}")


def _exact_to(modulus: int, gateways: int, precision: float) -> int:
    """The most gateways for which this modulus reaches a precision with exact sums."""

    def fails(n: int) -> bool:
        ring = Ring(degree=DEGREE, moduli=(modulus,), step=exact_step(modulus, n))
        return relative_rms(update_limit(ring, n), n) > precision

    return bisect_left(range(MAX_INCLUDED + 1), x=True, lo=gateways, key=fails) - 1


def _candidate(ring: Ring, gateways: int) -> planning.Candidate:
    bits, limit = ring.moduli[0].bit_length() - 1, update_limit(ring, gateways)
    text = f"Q = 2^{bits}, Delta = {ring.step}, lanes of {gateways} gateways up to {limit}"
    return planning.Candidate(ring, limit, noise_of(ring, gateways), text)
