"""Multiplies by the public element: a s in Z_Q[X] / (X^N + 1), by float64 FFT of length N/2.

Let M = N/2 and w = exp(i pi / N), so that w^M = i. A real polynomial x modulo X^N + 1 is the
complex polynomial with coefficients z_j = x_j + i x_(j+M) modulo X^M - i, and with X = w Y one with
coefficients z_j w^j modulo Y^M - 1: twist, transform, multiply pointwise, transform back, untwist.
Coefficients are stored in pairs, x_j at 2j and x_(j+M) at 2j + 1, which is the memory of complex
numbers: in this library and on the wire, coefficient k means the k-th in this order.

Why rounding gives the right integer. Let u = 2^-53. A sum of two complex numbers errs by at most u
of itself, a product by sqrt(5) u (Brent, Percival and Zimmermann), a stored root of unity by 6 u:
two table entries of 1.9 u each (an angle of at most pi/4 off by 1.5 u of itself, two components off
by u/2) and their product. A transform has L = log2(M) levels of butterflies (x + v y, x - v y) with
abs(v) = 1, each sqrt(2) times a unitary map. What a level adds to the error is at most
1 + sqrt(5) + 6 = 9.24 u of the norm of its result; passes of a higher radix are levels with fewer
products. So a transform errs by at most 9.24 L u of its norm. It also errs, in each output, by at
most 9.24 L u of the sum of the sizes of its inputs, as each of them meets one addition and at most
one product a level. The first, for the transforms of a and s, with norm(x_hat) = sqrt(M) norm(x)
and Cauchy and Schwarz; the second, for the transform back of a_hat s_hat: each of the three changes
an output of the whole product by at most 9.24 L u norm(a) norm(s). In the same way three (un)twists
add (sqrt(5) + 6) u each and the pointwise product sqrt(5) u: together (27.8 L + 27) u, and with
products of errors, for L >= 7, less than

    ERROR = 32 L u,    abs(computed - exact) <= ERROR norm(a) norm(s):

2^-44.7 for N = 2048 and 2^-44.5 for N = 4096. Where this is below 1/2, rounding is exact.

norm(s) is computed. norm(a), Q = 2^32: coefficients are uniform in [-H, H), H = 2^31, so a_k^2 lies
in [0, H^2] and has mean H^2/3. By Hoeffding, 2048 of them sum up to more than
2048 (1/3 + 0.104) H^2 with probability below 2^-63, so norm(a) <= 30 H. Exact up to norm(s) = 218,
while one secret has sqrt(8 * 2048) = 128 +- 2. Sums of secrets are longer; they are cut into
balanced digits for which it holds. Or the orchestrator has it faster: with a `slack` of r > 0, a
product by one digit may be off by r, which the planner counts as noise (`rounding_slack`).

Any other Q: a is cut into pieces of 20 bits, 0 to 2^20 - 1, so that norm(a) < sqrt(N) 2^20 whatever
they are, and there is one product for each. Exact up to norm(s) = 296,000 for N = 2048 (Q of 40
bits, two pieces) and 190,000 for N = 4096 (60 bits, three pieces), while a sum of 2047 secrets has
sqrt(8 * 2047 N) = 5,790 +- 90 and 8,190 +- 90. What is longer, and no honest sum, is cut as above.

Rounding itself: for abs(y) < 2^51 the sum y + 1.5 * 2^52 lies in [2^52, 2^53), where float64 holds
the integers and no others: the nearest of them. Its bits, less those of 1.5 * 2^52, are that
integer. abs(y) <= norm(a) norm(s) < 2^51 follows from ERROR norm(a) norm(s) < 65.

Products of pieces and digits are shifted and added modulo 2^64. That is all for a power of two. For
a prime p the sum S of all has more than 64 bits; p rint(S' / p) - p is taken off, modulo 2^64 too.
S' leaves out the products of the lowest piece, and is not rounded: S' / p is below 2^51 and off by
less than 2^-6. What is left is congruent to S and differs from p by at most (1/2 + 2^-6) p and what
the lowest piece gives. That is sqrt(N) 2^20 norm(s) < 0.05 p up to norm(s) = 2^10, and one secret
has 16 sqrt(N) <= 2^10 at most; for any other factor it is below 2^55, so that what is left has less
than 62 bits.

Source: Nussbaumer, Fast Fourier Transform and Convolution Algorithms (1982), section 2.2; Higham,
Accuracy and Stability of Numerical Algorithms (2002), section 24.1; Brent, Percival and Zimmermann,
Error bounds on complex floating-point multiplication (2007).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.errors import LocalProtocolError
from secagg.schemes.additive.blocks import AT_ONCE, Coefficients
from secagg.schemes.additive.elements import (
    PIECE_BITS,
    ElementStream,
    PolynomialRing,
    PublicElements,
    Transform,
)
from secagg.schemes.additive.sampling import VARIANCE

MAX_SLACK: Final = 64

# 1.5 times its mean: a sum of N squares of sub-Gaussian numbers exceeds that with probability below
# exp(-N/2 (1/2 - ln 1.5)) = 2^-139 (Chernoff).
_SQUARES: Final = 1.5
ROUNDER: Final = 1.5 * 2.0**52
ROUNDER_BITS: Final = int(np.float64(ROUNDER).view(np.int64))


def product_error(degree: int) -> float:
    """ERROR: how far a computed coefficient is off at most, for factors of norm 1.

    Args:
        degree: N, at least 256.
    """
    return 32 * math.log2(degree // 2) * 2.0**-53


def rounding_slack(ring: PolynomialRing, included: int) -> int:
    """By how much a product with a sum of honest secrets may be off: the `slack` to plan with.

    Args:
        ring: of the product.
        included: secrets in the sum.
    """
    return _off(ring, math.sqrt(_SQUARES * VARIANCE * ring.degree * included))


def _off(ring: PolynomialRing, norm: float) -> int:
    return math.floor(product_error(ring.degree) * ring.norm * norm + 0.5)


class Factor:
    """A short ring element, transformed: what the public elements are multiplied by.

    Args:
        coefficients: int64[N], abs(coefficient) < 2^20.
        ring: of the product.
        slack: how far a product may be off, 0 to 64; not with a prime.

    Raises:
        LocalProtocolError: another size, or coefficients out of range.
    """

    __slots__ = ("bits", "ring", "transforms")

    def __init__(self, coefficients: Coefficients, ring: PolynomialRing, *, slack: int = 0) -> None:
        largest = int(np.abs(coefficients).max())
        if coefficients.shape != (ring.degree,) or largest >= 2**20 or not 0 <= slack <= MAX_SLACK:
            raise LocalProtocolError("a factor has N coefficients below 2^20, and slack to 64")
        digits, bits = _cut(coefficients, ring, slack)
        self.ring: Final = ring
        self.bits: Final = bits
        twisted = digits.astype(np.float64).view(np.complex128) * twist(ring.degree)
        # 1/M of the transform back: a power of two, so exact wherever it is applied
        self.transforms: Final[Transform] = np.fft.fft(twisted) / (ring.degree // 2)


def _cut(coefficients: Coefficients, ring: PolynomialRing, slack: int) -> tuple[Coefficients, int]:
    """As few digits as can be multiplied exactly (or one, within the slack), and their bits."""
    length = int(np.abs(coefficients).max()).bit_length() + 1
    count = 1
    while True:  # ends: 8 digits have at most 3 bits, so ||digit|| <= 182
        bits = -(-length // count)
        digits = _balanced(coefficients, bits, count)
        off = max(_off(ring, float(np.linalg.norm(digit))) for digit in digits)
        if off <= (slack if count == 1 else 0):
            return digits, bits
        count += 1


def _balanced(coefficients: Coefficients, bits: int, count: int) -> Coefficients:
    """int64[count, N], digits in [-2^(bits-1), 2^(bits-1)), least significant first."""
    digits = np.empty((count, len(coefficients)), np.int64)
    rest = coefficients
    for index in range(count):
        half = 1 << (bits - 1)
        digits[index] = ((rest + half) & (2 * half - 1)) - half if index < count - 1 else rest
        rest = (rest - digits[index]) >> bits
    return digits


@cache
def twist(degree: int) -> Transform:
    """w^j for j < N/2, each off by at most 1.9 u.

    Angles are at most pi/4: exp(i pi/2 - i angle) is i times the conjugate.

    Args:
        degree: N.
    """
    lower = np.exp(1j * (np.pi / degree * np.arange(degree // 4 + 1)))
    upper = 1j * lower[1:-1][::-1].conj()
    return np.concatenate([lower, upper])


@cache
def _untwist(degree: int) -> Transform:
    return twist(degree).conj()


class Multiplier:
    """One thread's products of the public elements with one factor; buffers are reused.

    Args:
        public: the elements.
        factor: the other factor.
    """

    __slots__ = (
        "_elements", "_excess", "_factor", "_product", "_public", "_quotient", "_scaled", "_sum",
        "_transform",
    )  # fmt: skip

    def __init__(self, public: PublicElements, factor: Factor) -> None:
        ring = public.ring
        self._public = public
        self._factor = factor
        self._elements = ElementStream(public, AT_ONCE)
        self._transform = np.empty((AT_ONCE, ring.pieces, ring.degree // 2), np.complex128)
        self._product = np.empty((AT_ONCE, ring.degree // 2), np.complex128)
        self._sum = np.empty((AT_ONCE, ring.degree), ring.dtype)
        self._quotient, self._scaled = np.empty((2, AT_ONCE * ring.prime, ring.degree), np.float64)
        excess = sum(ROUNDER_BITS << shift for _, _, shift in self._terms())
        self._excess = _wrapped(excess - (ROUNDER_BITS + 1) * ring.modulus)

    def product(self, first: int, blocks: int) -> Coefficients:
        """The products of the elements of consecutive blocks.

        Args:
            first: block, counted over the whole upload.
            blocks: 1 to `AT_ONCE`.

        Returns:
            `dtype`[blocks, N], right modulo Q; for a prime, and a factor of norm up to 2^10, also
            between 0.4 Q and 1.6 Q. A view that the next call overwrites.
        """
        transform, total = self._transforms(first, blocks), self._sum[:blocks]
        quotient, prime = self._quotient[:blocks], self._public.ring.prime
        for piece, digit, shift in self._terms():
            real = self._term(transform[:, piece], self._factor.transforms[digit])
            if prime and piece:
                self._divide(real, shift, quotient)
            term = np.add(real, ROUNDER, out=real).view(np.int64)
            if shift:
                np.left_shift(term, shift, out=term)
                np.add(total, term, out=total, dtype=total.dtype, casting="unsafe")
            elif prime:
                np.subtract(term, self._excess, out=total)
            else:
                np.copyto(total, term, casting="unsafe")
        if prime:
            multiples = np.add(quotient, ROUNDER, out=quotient).view(np.int64)
            np.multiply(multiples, self._public.ring.modulus, out=multiples)
            np.subtract(total, multiples, out=total)
        return total

    def _terms(self) -> Iterator[tuple[int, int, int]]:
        """(piece, digit, shift) of each product; the first has shift 0."""
        for piece in range(self._public.ring.pieces):
            for digit in range(len(self._factor.transforms)):
                yield piece, digit, piece * PIECE_BITS + digit * self._factor.bits

    def _divide(self, real: NDArray[np.float64], shift: int, quotient: NDArray[np.float64]) -> None:
        """Add a product, shifted and divided by Q, to the quotient, which the first one begins."""
        share = 2.0**shift / self._public.ring.modulus
        if shift == PIECE_BITS:
            np.multiply(real, share, out=quotient)
            return
        scaled = np.multiply(real, share, out=self._scaled[: len(real)])
        np.add(quotient, scaled, out=quotient)

    def _transforms(self, first: int, blocks: int) -> Transform:
        transform = self._public.cached(first, blocks)
        if transform is None:
            transform = self._transform[:blocks]
            self._elements.write(first, transform.view(np.float64))
            np.multiply(transform, twist(self._public.ring.degree), out=transform)
            np.fft.fft(transform, out=transform)
            self._public.keep(first, transform)
        return transform

    def _term(self, transform: Transform, digit: Transform) -> NDArray[np.float64]:
        """One product, not rounded."""
        product = self._product[: len(transform)]
        np.multiply(transform, digit, out=product)
        np.fft.ifft(product, norm="forward", out=product)
        np.multiply(product, _untwist(self._public.ring.degree), out=product)
        return product.view(np.float64)


def _wrapped(number: int) -> int:
    """Modulo 2^64, as a signed number."""
    return (number + 2**63) % 2**64 - 2**63
