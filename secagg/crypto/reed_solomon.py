"""Interpolates and decodes Reed-Solomon codes over GF(65521), many columns at a time.

Rows of a code word are values of polynomials of degree below R at distinct points; wrong rows are
wrong in any of their columns. Up to (r - R) / 2 of r rows are found and left out.

Source: Gao, A new algorithm for decoding Reed-Solomon codes (2003); Berrut and Trefethen,
Barycentric Lagrange interpolation (2004).
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.errors import SharingError

PRIME: Final = 65521
"""The largest prime below 2^16."""
PROBES: Final = 8
"""Random combinations of the columns: a wrong row looks right in all with probability p^-8."""

Elements = NDArray[np.int64]
Operand = Elements | NDArray[np.float64]
"""Elements that a product takes; one that is used again is kept as float64."""

# As in shamir.py: OpenBLAS starts threads for larger products, which are slower on busy cores.
_SERIAL_PRODUCT: Final = 1 << 18


def product(left: Operand, right: Operand) -> Elements:
    """The matrix product modulo p, exact in float64 for up to 2^21 terms."""
    a, b = np.asarray(left, np.float64), np.asarray(right, np.float64)
    step = max(1, _SERIAL_PRODUCT // max(1, b.size))
    out = np.empty((a.shape[0], b.shape[1]), np.int64)
    for start in range(0, a.shape[0], step):
        part = out[start : start + step]
        np.remainder((a[start : start + step] @ b).astype(np.int64), PRIME, out=part)
    return out


def inverse(values: Elements) -> Elements:
    """The inverse of each element, v^(p - 2); zero's is zero."""
    result, power, exponent = np.ones_like(values), values % PRIME, PRIME - 2
    while exponent:
        if exponent & 1:
            result = result * power % PRIME
        power = power * power % PRIME
        exponent >>= 1
    return result


def lagrange(known: Elements, wanted: Elements) -> Elements:
    """The matrix from values at some points to those at others: int64[wanted, known].

    Args:
        known: distinct points.
        wanted: other points, none of them known.
    """
    apart = (wanted[:, np.newaxis] - known) % PRIME
    whole = np.ones(len(wanted), np.int64)
    for column in apart.T:
        whole = whole * column % PRIME
    return whole[:, np.newaxis] * inverse(apart) % PRIME * weights(known) % PRIME


def weights(points: Elements) -> Elements:
    """Barycentric weights: the inverse of the product of each point's differences to the others."""
    products = np.ones(len(points), np.int64)
    for at, point in enumerate(points):
        differences = (points - point) % PRIME
        differences[at] = 1
        products = products * differences % PRIME
    return inverse(products)


def decode_rows(
    points: Elements, received: Elements, threshold: int
) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Which rows are right.

    Args:
        points: of the k rows, distinct.
        received: int64[k, columns].
        threshold: R.

    Returns:
        bool[k], and the places of R right rows.

    Raises:
        SharingError: fewer than R rows, or more than (k - R) / 2 wrong ones.
    """
    if len(points) < threshold:
        raise SharingError(f"{len(points)} rows, {threshold} are needed")
    good = np.ones(len(points), np.bool_)
    if not _agree(points, received, good, threshold):
        for probe in _probes(received):
            good[_wrong(points, probe, threshold)] = False
        allowed = (len(points) - threshold) // 2
        if np.count_nonzero(~good) > allowed or not _agree(points, received, good, threshold):
            raise SharingError(f"more than {allowed} of {len(points)} rows are wrong")
    return good, np.flatnonzero(good)[:threshold]


def _agree(points: Elements, received: Elements, good: NDArray[np.bool_], threshold: int) -> bool:
    """Whether these rows are all of one code word."""
    places = np.flatnonzero(good)
    base, others = places[:threshold], places[threshold:]
    said = product(lagrange(points[base], points[others]), received[base])
    return bool(np.array_equal(said, received[others]))


def _probes(received: Elements) -> Elements:
    """Combinations of the columns that nobody could know before all rows were sent: [8, k]."""
    seed = hashlib.sha256(received.astype("<u2").tobytes()).digest()
    drawn = hashlib.shake_128(seed).digest(4 * PROBES * received.shape[1])
    factors = np.frombuffer(drawn, "<u4").astype(np.int64).reshape(received.shape[1], PROBES)
    return product(received, factors % PRIME).T


def _wrong(points: Elements, received: Elements, threshold: int) -> NDArray[np.intp]:
    """Places of the wrong ones among k values, if they are few enough; otherwise of many."""
    count = len(points)
    whole = np.ones(1, np.int64)  # coefficients, highest first
    for point in points:
        whole = _minus(np.append(whole, 0), np.append(0, whole * point % PRIME))
    through = _interpolated(points, received, whole)
    before, now = whole, _trimmed(through)
    v_before, v_now = np.zeros(1, np.int64), np.ones(1, np.int64)
    while 2 * (len(now) - 1) >= count + threshold:
        quotient, rest = _divided(before, now)
        before, now = now, rest
        v_before, v_now = v_now, _minus_long(v_before, _times(quotient, v_now))
    # with too many wrong values this is some polynomial, which too few values agree with
    quotient, _ = _divided(now, _trimmed(v_now))
    said = np.zeros(count, np.int64)
    for coefficient in quotient:
        said = (said * points + coefficient) % PRIME
    return np.flatnonzero(said != received)


def _interpolated(points: Elements, values: Elements, whole: Elements) -> Elements:
    """The polynomial through all points: the sum of value * weight * whole / (x - point)."""
    scale = values * weights(points) % PRIME
    running = np.zeros(len(points), np.int64)
    coefficients = np.empty(len(points), np.int64)
    for at, coefficient in enumerate(whole[:-1]):
        running = (running * points + coefficient) % PRIME
        coefficients[at] = (scale * running % PRIME).sum() % PRIME
    return coefficients


def _divided(left: Elements, right: Elements) -> tuple[Elements, Elements]:
    """Quotient and remainder of polynomials, highest coefficients first, `right` trimmed."""
    rest = left.copy()
    steps = max(0, len(left) - len(right) + 1)
    lead = int(inverse(right[:1])[0])
    quotient = np.empty(steps, np.int64)
    for at in range(steps):
        factor = int(rest[at]) * lead % PRIME
        quotient[at] = factor
        part = rest[at : at + len(right)]
        np.remainder(part - factor * right, PRIME, out=part)
    return _trimmed(quotient), _trimmed(rest[steps:])


def _times(left: Elements, right: Elements) -> Elements:
    """The product of two polynomials, the first of them short."""
    result = np.zeros(len(left) + len(right) - 1, np.int64)
    for at, coefficient in enumerate(left):
        part = result[at : at + len(right)]
        np.remainder(part + coefficient * right, PRIME, out=part)
    return result


def _minus(left: Elements, right: Elements) -> Elements:
    difference: Elements = (left - right) % PRIME
    return difference


def _minus_long(left: Elements, right: Elements) -> Elements:
    size = max(len(left), len(right))
    padded = [np.concatenate([np.zeros(size - len(p), np.int64), p]) for p in (left, right)]
    return _minus(*padded)


def _trimmed(polynomial: Elements) -> Elements:
    """The polynomial without leading zeros; zero is [0]."""
    places = np.flatnonzero(polynomial)
    return polynomial[places[0] :] if len(places) else np.zeros(1, np.int64)
