"""Encrypts and opens ckks in Python numbers, written to be read: the fast code must agree.

c = a s + round(m + e) in Z_p[X] / (X^N + 1), block by block. An update lies in m as the polynomial
whose value at zeta^(4k+1), zeta = exp(i pi / N), has lanes 2k and 2k + 1, times the step, as its
real and imaginary part: N lanes are N/2 complex numbers.

Source: Cheon, Kim, Kim and Song, Homomorphic encryption for arithmetic of approximate numbers
(2017), section 3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from typing import Final

from secagg.params import Ring
from secagg.schemes.additive.polynomials import multiply, power_of, public_element

PRIMES: Final = {2048: 2**40 - 36863, 4096: 2**60 - 16383}
"""p for each N: the largest prime of 40 or 60 bits that is 1 modulo 2 N."""


def encrypt(
    message: Sequence[float],
    secret: Sequence[int],
    *,
    public: bytes,
    noise: Sequence[float],
    block: int,
    ring: Ring,
) -> list[int]:
    """One ring element of an upload.

    Args:
        message: N coefficients: of an embedded update, or limbs times the exact step.
        secret: N coefficients.
        public: what the public elements follow from.
        noise: N numbers.
        block: counted over the whole upload.
        ring: N and p.

    Returns:
        N coefficients, 0 to p - 1.
    """
    (prime,) = ring.moduli
    product = multiply(public_element(public, block, ring.degree, prime), secret)
    sums = (Fraction(m) + Fraction(e) for m, e in zip(message, noise, strict=True))
    return [(p + round(m)) % prime for p, m in zip(product, sums, strict=True)]


def decrypt(
    total: Sequence[int], secret: Sequence[int], *, public: bytes, block: int, ring: Ring
) -> list[int]:
    """What is left of a sum of uploads under the sum of their keys: message plus noise.

    Args:
        total: N coefficients of the sum, right modulo p.
        secret: N coefficients of the sum of the keys.
        public: as to `encrypt`.
        block: as to `encrypt`.
        ring: N and p.

    Returns:
        N coefficients, -(p-1)/2 to (p-1)/2.
    """
    (prime,) = ring.moduli
    product = multiply(public_element(public, block, ring.degree, prime), secret)
    return [(c - p + prime // 2) % prime - prime // 2 for c, p in zip(total, product, strict=True)]


# -- lanes as polynomials --------------------------------------------------------------------------


def embed(lanes: Sequence[int], step: int) -> list[float]:
    """m: N coefficients, each at most sqrt(2) times the step times the largest absolute lane.

    Args:
        lanes: N, of one block.
        step: Delta.
    """
    degree = len(lanes)
    parts = _powers_of_zeta(degree)
    points = [point for point in range(1, 2 * degree, 4) for _ in parts]
    coefficients = []
    for j in (power_of(k, degree) for k in range(degree)):
        waves = (parts[at % 2][point * j % (2 * degree)] for at, point in enumerate(points))
        terms = (lane * wave for lane, wave in zip(lanes, waves, strict=True))
        coefficients.append(2 * step / degree * math.fsum(terms))
    return coefficients


def unembed(coefficients: Sequence[float], step: int) -> list[float]:
    """The N lanes of N coefficients, apart from rounding: the inverse of `embed`."""
    degree = len(coefficients)
    powers = [power_of(k, degree) for k in range(degree)]
    lanes = []
    for point in range(1, 2 * degree, 4):
        for part in _powers_of_zeta(degree):
            waves = (part[point * power % (2 * degree)] for power in powers)
            terms = (c * wave for c, wave in zip(coefficients, waves, strict=True))
            lanes.append(math.fsum(terms) / step)
    return lanes


@cache
def _powers_of_zeta(degree: int) -> tuple[Sequence[float], Sequence[float]]:
    """Real and imaginary parts."""
    angles = [math.pi * k / degree for k in range(2 * degree)]
    return [math.cos(angle) for angle in angles], [math.sin(angle) for angle in angles]
