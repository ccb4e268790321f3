"""Encrypts and opens ckks in Python numbers, written to be read: the fast code must agree.

c = a s + round(m + e) in Z_p[X] / (X^N + 1), block by block; coefficient k belongs to X^k. An
update lies in m as the polynomial whose value at zeta^(4k+1), zeta = exp(i pi / N), has lanes 2k
and 2k + 1, times the step, as its real and imaginary part: N lanes are N/2 complex numbers.

Source: Cheon, Kim, Kim and Song, Homomorphic encryption for arithmetic of approximate numbers
(2017), section 3; for the transform, SEAL's `NTTTables`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from typing import Final

from secagg.crypto.kdf import derive_key
from secagg.crypto.labels import Label
from secagg.crypto.prg import STREAM_KEY_BYTES, keystream
from secagg.params import Ring

PRIMES: Final = {2048: 2**40 - 36863, 4096: 2**60 - 16383}
"""p for each N: the largest prime of 40 or 60 bits that is 1 modulo 2 N."""

_SPREAD = 12
"""Bytes of a digit: products of 4096 terms of 60 and 16 bits, with a sign, take 89 bits."""
_HALF = 2 ** (8 * _SPREAD - 1)


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
    product = multiply(public_element(public, block, ring), secret)
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
    product = multiply(public_element(public, block, ring), secret)
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
    for j in range(degree):
        waves = (parts[at % 2][point * j % (2 * degree)] for at, point in enumerate(points))
        terms = (lane * wave for lane, wave in zip(lanes, waves, strict=True))
        coefficients.append(2 * step / degree * math.fsum(terms))
    return coefficients


def unembed(coefficients: Sequence[float], step: int) -> list[float]:
    """The N lanes of N coefficients, apart from rounding: the inverse of `embed`."""
    degree = len(coefficients)
    lanes = []
    for point in range(1, 2 * degree, 4):
        for part in _powers_of_zeta(degree):
            terms = (c * part[point * j % (2 * degree)] for j, c in enumerate(coefficients))
            lanes.append(math.fsum(terms) / step)
    return lanes


@cache
def _powers_of_zeta(degree: int) -> tuple[Sequence[float], Sequence[float]]:
    """Real and imaginary parts."""
    angles = [math.pi * k / degree for k in range(2 * degree)]
    return [math.cos(angle) for angle in angles], [math.sin(angle) for angle in angles]


# -- the ring --------------------------------------------------------------------------------------


def multiply(left: Sequence[int], right: Sequence[int]) -> list[int]:
    """The product mod X^N + 1: one product of two integers, by evaluation at X = 2^96."""
    degree = len(left)
    product = _evaluate(left) * _evaluate(right)
    # half of every digit is added, so that none is negative
    data = (product + _halves(2 * degree)).to_bytes(2 * degree * _SPREAD, "little")
    digits = (data[at : at + _SPREAD] for at in range(0, len(data), _SPREAD))
    powers = [int.from_bytes(digit, "little") - _HALF for digit in digits]
    return [low - high for low, high in zip(powers, powers[degree:], strict=False)]


def public_element(public: bytes, block: int, ring: Ring) -> list[int]:
    """a: N coefficients, 0 to p - 1."""
    return interpolate(public_values(public, block, ring), ring.moduli[0])


def public_values(public: bytes, block: int, ring: Ring) -> list[int]:
    """The values of a, in the order of `interpolate`: uniform by rejection.

    A block has 2 N words of the keystream, each cut to the bits of p. The first N are the values;
    of these, each that is p or more is replaced by the next of the others that is less.
    """
    (prime,) = ring.moduli
    key = derive_key(public, salt=b"", label=Label.XOF_RING, length=STREAM_KEY_BYTES)
    words = keystream(key, 2 * ring.degree * block, 2 * ring.degree).tolist()
    drawn = [word % (1 << prime.bit_length()) for word in words]
    others = (value for value in drawn[ring.degree :] if value < prime)
    return [value if value < prime else next(others) for value in drawn[: ring.degree]]


def interpolate(values: Sequence[int], prime: int) -> list[int]:
    """The polynomial with N given values at the roots of X^N + 1, in the order of SEAL's transform.

    Value k is the one at psi^(2 r + 1), r the bits of k reversed, psi = `root`. The sum of
    psi^((2 r + 1) (i - j)) over all r is N for i = j and else 0, which gives the coefficients.
    """
    degree = len(values)
    inverse = pow(root(degree, prime), -1, prime)
    powers = [pow(inverse, k, prime) for k in range(2 * degree)]
    points = [2 * reverse(k, degree) + 1 for k in range(degree)]
    of_degree = pow(degree, -1, prime)
    pairs = list(zip(values, points, strict=True))
    return [
        of_degree * sum(v * powers[point * j % (2 * degree)] for v, point in pairs) % prime
        for j in range(degree)
    ]


def reverse(k: int, degree: int) -> int:
    """The bits of k < N in reverse order."""
    return int(f"{k:0{degree.bit_length() - 1}b}"[::-1], 2)


def root(degree: int, prime: int) -> int:
    """psi: the least primitive 2N-th root of unity modulo p."""
    powers = (pow(base, (prime - 1) // (2 * degree), prime) for base in range(2, prime))
    some = next(power for power in powers if pow(power, degree, prime) == prime - 1)
    return min(pow(some, odd, prime) for odd in range(1, 2 * degree, 2))


def _evaluate(coefficients: Sequence[int]) -> int:
    data = b"".join((c + _HALF).to_bytes(_SPREAD, "little") for c in coefficients)
    return int.from_bytes(data, "little") - _halves(len(coefficients))


def _halves(digits: int) -> int:
    return int.from_bytes(_HALF.to_bytes(_SPREAD, "little") * digits, "little")
