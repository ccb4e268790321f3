"""Multiplies by the public element: a s in Z_Q[X] / (X^N + 1), by float64 FFT of length N/2.

Let M = N/2 and w = exp(i pi / N), so that w^M = i. A real polynomial x modulo X^N + 1 is the
complex polynomial with coefficients z_j = x_j + i x_(j+M) modulo X^M - i, and with X = w Y one with
coefficients z_j w^j modulo Y^M - 1: twist, transform, multiply pointwise, transform back, untwist.
Coefficients are stored in pairs, x_j at 2j and x_(j+M) at 2j + 1, which is the memory of complex
numbers: in this library and on the wire, coefficient k means the k-th in this order.

Why rounding gives the right integer. Let u = 2^-53. A sum of two complex numbers errs by at most u
of itself, a product by sqrt(5) u (Brent, Percival and Zimmermann), a stored root of unity by 6 u:
two table entries of 1.9 u each (an angle of at most pi/4 off by 1.5 u of itself, two components off
by u/2) and their product. A transform has log2(M) = 10 levels of butterflies (x + v y, x - v y)
with abs(v) = 1, each sqrt(2) times a unitary map. What a level adds to the error is at most
1 + sqrt(5) + 6 = 9.24 u of the norm of its result; passes of a higher radix are levels with fewer
products. So a transform errs by at most 92.4 u of its norm. It also errs, in each output, by at
most 92.4 u of the sum of the sizes of its inputs, as each of them meets one addition and at most
one product a level. The first, for the transforms of a and s, with norm(x_hat) = sqrt(M) norm(x)
and Cauchy and Schwarz; the second, for the transform back of a_hat s_hat: each of the three changes
an output of the whole product by at most 92.4 u norm(a) norm(s). In the same way three (un)twists
add (sqrt(5) + 6) u each and the pointwise product sqrt(5) u: together 304 u, and with products of
errors less than

    ERROR = 320 u = 2^-44.7,    abs(computed - exact) <= ERROR norm(a) norm(s).

norm(a): coefficients are uniform in [-H, H), so a_k^2 lies in [0, H^2] and has mean H^2/3. By
Hoeffding, 2048 of them sum up to more than 2048 (1/3 + 0.104) H^2 with probability below 2^-63, so
norm(a) <= 30 H. norm(s) is computed. Where ERROR norm(a) norm(s) < 1/2, rounding is exact: for
H = 2^31 up to norm(s) = 218, while one secret has sqrt(8 * 2048) = 128 +- 2. Sums of secrets are
longer; they are cut into balanced digits for which it holds. With Q = 2^40, a is cut into halves of
20 bits: H = 2^19.

The orchestrator has it faster: with a `slack` of r > 0, a product by one digit may be off by r,
which the planner counts as noise (`rounding`).

Rounding itself: for abs(y) < 2^51 the sum y + 1.5 * 2^52 lies in [2^52, 2^53), where float64 holds
the integers and no others. Its low 51 bits are those of the nearest integer in two's complement.
abs(y) <= norm(a) norm(s) < 2^51 follows from ERROR norm(a) norm(s) < 65.

Source: Nussbaumer, Fast Fourier Transform and Convolution Algorithms (1982), section 2.2; Higham,
Accuracy and Stability of Numerical Algorithms (2002), section 24.1; Brent, Percival and Zimmermann,
Error bounds on complex floating-point multiplication (2007).
"""

from __future__ import annotations

import math
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.kdf import derive_key
from secagg.crypto.labels import Label
from secagg.crypto.prg_fast import Keystream
from secagg.errors import LocalProtocolError
from secagg.schemes.additive.blocks import AT_ONCE, Coefficients
from secagg.schemes.additive.sampling import VARIANCE
from secagg.thresholds import KEY_COEFFICIENTS

DEGREE: Final = KEY_COEFFICIENTS
"""N."""
SMALL: Final = 2**32
LARGE: Final = 2**40
ERROR: Final = 320 * 2.0**-53
MAX_SLACK: Final = 64

Transform = NDArray[np.complex128]

_HALF: Final = DEGREE // 2
_HALF_BITS: Final = 20
_NORM: Final = 30
# 1.5 times its mean: a sum of N squares of sub-Gaussian numbers exceeds that with probability below
# exp(-N/2 (1/2 - ln 1.5)) = 2^-139 (Chernoff).
_SQUARES: Final = 1.5
_MAGIC: Final = 1.5 * 2.0**52


def rounding_slack(modulus: int, included: int) -> int:
    """By how much a product with a sum of honest secrets may be off: the `slack` to plan with.

    Args:
        modulus: Q.
        included: secrets in the sum.
    """
    longest = math.sqrt(_SQUARES * VARIANCE * DEGREE * included)
    return _off(modulus, longest)


def ring_dtype(modulus: int) -> type[np.int32 | np.int64]:
    """Dtype of coefficients modulo Q: with Q = 2^32 that of int32 does the reduction."""
    return np.int32 if modulus == SMALL else np.int64


def _off(modulus: int, norm: float) -> int:
    return math.floor(ERROR * _NORM * (_radius(modulus) * norm) + 0.5)


def _radius(modulus: int) -> int:
    """H: coefficients of what is transformed at a time lie in [-H, H)."""
    return SMALL // 2 if modulus == SMALL else 1 << (_HALF_BITS - 1)


class PublicElements:
    """The public ring elements of an upload: uniform, one a block, known to everybody.

    Q = 2^32: 2048 signed 32-bit numbers of the keystream. Q = 2^40: 2048 of 32 bits, then 2048 of 8
    bits; the lower 20 bits of both together are the lower half plus 2^19, the others the upper half
    plus 2^19.

    Args:
        public: what they follow from: 32 bytes that no party chooses.
        modulus: Q, 2^32 or 2^40.
        cached: blocks from 0 on whose transforms are kept for the next reader: 8 bytes a
            coefficient and part.
    """

    __slots__ = ("_cache", "_filled", "key", "modulus", "parts")

    def __init__(self, public: bytes, modulus: int, *, cached: int = 0) -> None:
        self.key: Final = derive_key(public, salt=b"", label=Label.XOF_RING, length=16)
        self.modulus: Final = modulus
        self.parts: Final = 1 if modulus == SMALL else LARGE.bit_length() // _HALF_BITS
        self._cache: Transform = np.empty((cached, self.parts, _HALF), np.complex128)
        self._filled = np.zeros(cached, np.bool_)

    def cached(self, first: int, blocks: int) -> Transform | None:
        """complex128[blocks, parts, M], or None if one of them is not there."""
        if first + blocks > len(self._filled) or not self._filled[first : first + blocks].all():
            return None
        return self._cache[first : first + blocks]

    def keep(self, first: int, transform: Transform) -> None:
        """Keep what there is room for; threads may do so at a time, for the values are the same."""
        room = self._cache[first : first + len(transform)]
        room[...] = transform[: len(room)]
        self._filled[first : first + len(room)] = True


class Factor:
    """A short ring element, transformed: what the public elements are multiplied by.

    Args:
        coefficients: int64[N], abs(coefficient) < 2^20.
        modulus: Q.
        slack: how far a product may be off, 0 to 64.

    Raises:
        LocalProtocolError: another size, or coefficients out of range.
    """

    __slots__ = ("bits", "transforms")

    def __init__(self, coefficients: Coefficients, modulus: int, *, slack: int = 0) -> None:
        largest = int(np.abs(coefficients).max())
        if coefficients.shape != (DEGREE,) or largest >= 2**20 or not 0 <= slack <= MAX_SLACK:
            raise LocalProtocolError("a factor has N coefficients below 2^20, and slack to 64")
        digits, bits = _cut(coefficients, modulus, slack)
        self.bits: Final = bits
        twisted = digits.astype(np.float64).view(np.complex128) * _twist()
        # 1/M of the transform back: a power of two, so exact wherever it is applied
        self.transforms: Final[Transform] = np.fft.fft(twisted) / _HALF


def _cut(coefficients: Coefficients, modulus: int, slack: int) -> tuple[Coefficients, int]:
    """As few digits as can be multiplied exactly (or one, within the slack), and their bits."""
    length = int(np.abs(coefficients).max()).bit_length() + 1
    count = 1
    while True:  # ends: 8 digits have at most 3 bits, so ||digit|| <= 182
        bits = -(-length // count)
        digits = _balanced(coefficients, bits, count)
        off = max(_off(modulus, float(np.linalg.norm(digit))) for digit in digits)
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
def _twist() -> Transform:
    """w^j, from angles of at most pi/4: exp(i pi/2 - i angle) is i times the conjugate."""
    lower = np.exp(1j * (np.pi / DEGREE * np.arange(_HALF // 2 + 1)))
    upper = 1j * lower[1:-1][::-1].conj()
    return np.concatenate([lower, upper])


@cache
def _untwist() -> Transform:
    return _twist().conj()


class Multiplier:
    """One thread's products of the public elements with one factor; buffers are reused.

    Args:
        public: the elements.
        factor: the other factor.
    """

    __slots__ = ("_factor", "_handle", "_keystream", "_product", "_public", "_sum", "_transform")

    def __init__(self, public: PublicElements, factor: Factor) -> None:
        self._public = public
        self._factor = factor
        self._keystream = Keystream(capacity=AT_ONCE * element_words(public.modulus))
        self._handle = self._keystream.open(public.key)
        self._transform = np.empty((AT_ONCE, public.parts, _HALF), np.complex128)
        self._product = np.empty((AT_ONCE, _HALF), np.complex128)
        self._sum = np.empty((AT_ONCE, DEGREE), ring_dtype(public.modulus))

    def product(self, first: int, blocks: int) -> Coefficients:
        """The products of the elements of consecutive blocks.

        Args:
            first: block, counted over the whole upload.
            blocks: 1 to `AT_ONCE`.

        Returns:
            `ring_dtype`[blocks, N], right modulo Q; a view that the next call overwrites.
        """
        transform = self._public.cached(first, blocks)
        if transform is None:
            transform = self._transform[:blocks]
            self._elements(first, transform)
            np.multiply(transform, _twist(), out=transform)
            np.fft.fft(transform, out=transform)
            self._public.keep(first, transform)
        total = self._sum[:blocks]
        for part in range(self._public.parts):
            for index, digit in enumerate(self._factor.transforms):
                term = self._term(transform[:, part], digit)
                if part == index == 0:
                    np.copyto(total, term, casting="unsafe")
                    continue
                np.left_shift(term, part * _HALF_BITS + index * self._factor.bits, out=term)
                np.add(total, term, out=total, dtype=total.dtype, casting="unsafe")
        return total

    def _term(self, transform: Transform, digit: Transform) -> NDArray[np.int64]:
        """Nearest integers of one product, right modulo 2^51."""
        product = self._product[: len(transform)]
        np.multiply(transform, digit, out=product)
        np.fft.ifft(product, norm="forward", out=product)
        np.multiply(product, _untwist(), out=product)
        real = product.view(np.float64)
        np.add(real, _MAGIC, out=real)
        return real.view(np.int64)

    def _elements(self, first: int, out: Transform) -> None:
        words = element_words(self._public.modulus)
        self._keystream.seek(first * words)
        raw = self._keystream.chunk(self._handle, len(out) * words).reshape(len(out), words)
        real = out.view(np.float64)
        if self._public.parts == 1:
            real[:, 0] = raw.view("<i4")
            return
        low = raw.view("<u4")[:, :DEGREE]
        high = raw.view(np.uint8)[:, 4 * DEGREE :].astype(np.uint32)
        half = 1 << (_HALF_BITS - 1)
        real[:, 0] = low & (2 * half - 1)
        real[:, 1] = (low >> _HALF_BITS) | (high << (32 - _HALF_BITS))
        np.subtract(real, half, out=real)


def element_words(modulus: int) -> int:
    """64-bit words of keystream that one public element takes; even."""
    return DEGREE * (modulus.bit_length() - 1) // 64
