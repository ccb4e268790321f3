"""Shares 32-byte secrets after Shamir, many at once, by exact float64 matrix products.

A secret is 13 limbs of 20 bits (little-endian; the last has 16), each the constant term of its own
random polynomial of degree threshold - 1 over GF(p), p = 2^21 - 9. Position i holds the values at
x = i + 1.

Exactness: entries of both factors of a product are integers in [0, p), so any partial sum of t
terms is an integer of at most t * (p - 1)^2 < t * 2^42. For t <= 2048 that is below 2^53, up to
which float64 holds every integer, so no order of summation and no fused operation ever rounds.

Source: Shamir, How to Share a Secret (1979).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.errors import LocalProtocolError, SharingError
from secagg.params import Entropy

PRIME: Final = 2097143
"""2^21 - 9, the largest prime below 2^21."""
SECRET_BYTES: Final = 32
LIMBS: Final = 13
LIMB_BITS: Final = 20
ELEMENT_BYTES: Final = 3
SHARE_BYTES: Final = LIMBS * ELEMENT_BYTES
MAX_THRESHOLD: Final = 2**11
"""Largest t with t * 2^42 <= 2^53."""

_ELEMENT_BITS: Final = 21
# OpenBLAS starts threads for products of more than 2^18 multiplications. The core starts none, and
# on busy cores they were measured to take 40 times as long.
_SERIAL_PRODUCT: Final = 1 << 18
_LAST_LIMB_BITS: Final = 8 * SECRET_BYTES - LIMB_BITS * (LIMBS - 1)
_LIMB_BOUNDS: Final = np.array([1 << LIMB_BITS] * (LIMBS - 1) + [1 << _LAST_LIMB_BITS])


def split(
    secrets: Sequence[bytes], threshold: int, holders: Sequence[int], rng: Entropy
) -> list[list[bytes]]:
    """Shares of every secret for every holder; threshold - 1 of them say nothing.

    Args:
        secrets: 32 bytes each.
        threshold: shares that open a secret, 1 to 2048.
        holders: distinct positions, 0 to p - 2; fewer than `threshold` can never open anything.
        rng: source of the coefficients; about 39 * (threshold - 1) bytes a secret are drawn.

    Returns:
        `shares[h][s]`, 39 bytes: share of secrets[s] for holders[h].

    Raises:
        LocalProtocolError: an argument is out of its range.
    """
    _check_threshold(threshold)
    _check_positions(holders)
    if any(len(secret) != SECRET_BYTES for secret in secrets):
        raise LocalProtocolError(f"a secret to be shared has exactly {SECRET_BYTES} bytes")
    columns = len(secrets) * LIMBS
    limbs = np.array([_limbs(secret) for secret in secrets], np.int64).reshape(1, columns)
    random = _random_elements((threshold - 1) * columns, rng).reshape(threshold - 1, columns)
    values = _product(_powers(holders, threshold), np.concatenate([limbs, random]))
    blob = values.astype("<u4").view(np.uint8).reshape(-1, 4)[:, :ELEMENT_BYTES].tobytes()
    shares = [blob[at : at + SHARE_BYTES] for at in range(0, len(blob), SHARE_BYTES)]
    count = len(secrets)
    return [shares[h * count : (h + 1) * count] for h in range(len(holders))]


def combine(shares: Mapping[int, Sequence[bytes]], threshold: int) -> list[bytes]:
    """The secrets behind shares that all come from the same holders.

    Uses the `threshold` lowest positions and looks at no others. Shares cannot prove that they lie
    on one polynomial: compare the result with its commitment.

    Args:
        shares: position -> one 39-byte share per secret, in the same order for every position.
        threshold: what the secrets were split with.

    Returns:
        One 32-byte secret per share of a position.

    Raises:
        LocalProtocolError: `threshold` or a position is out of its range.
        SharingError: too few positions, different numbers of shares, a malformed share, or a result
            that is no 32-byte secret.
    """
    _check_threshold(threshold)
    _check_positions(list(shares))
    if len(shares) < threshold:
        raise SharingError(f"{len(shares)} positions hold shares, {threshold} are needed")
    positions = sorted(shares)[:threshold]
    count = len(shares[positions[0]])
    if any(len(shares[position]) != count for position in positions):
        raise SharingError("positions hold different numbers of shares")
    values = _elements([share for position in positions for share in shares[position]])
    lagrange = _lagrange_at_zero(np.array([positions], np.int64))
    return _secrets(_product(lagrange, values.reshape(threshold, count * LIMBS)))


def combine_each(tables: Sequence[Mapping[int, bytes]], threshold: int) -> list[bytes]:
    """`combine` of one secret per table, each with holders of its own, all at once.

    Args:
        tables: position -> 39-byte share, one table per secret.
        threshold: what all of them were split with.

    Returns:
        One 32-byte secret per table.

    Raises:
        LocalProtocolError, SharingError: as for `combine`; which table it is remains open.
    """
    _check_threshold(threshold)
    for table in tables:
        _check_positions(list(table))
        if len(table) < threshold:
            raise SharingError(f"{len(table)} positions hold shares, {threshold} are needed")
    if not tables:
        return []
    positions = [sorted(table)[:threshold] for table in tables]
    shares = [table[i] for table, row in zip(tables, positions, strict=True) for i in row]
    values = _elements(shares).reshape(len(tables), threshold, LIMBS)
    lagrange = _lagrange_at_zero(np.array(positions, np.int64))
    # A batch of products of one row each: the same sums of t terms as above, so exact as well.
    limbs = lagrange[:, None, :].astype(np.float64) @ values.astype(np.float64)
    return _secrets(limbs.astype(np.int64) % PRIME)


def check_share(share: bytes) -> None:
    """Accepts 13 canonical field elements.

    Raises:
        SharingError: another size than 39 bytes, or an element not below p.
    """
    # two of three show by the upper bytes of their elements alone that all are below p
    if len(share) != SHARE_BYTES or max(share[2::3]) >= PRIME >> 16:
        _elements([share])


def _elements(shares: Sequence[bytes]) -> NDArray[np.int64]:
    if any(len(share) != SHARE_BYTES for share in shares):
        raise SharingError(f"malformed share: a share has exactly {SHARE_BYTES} bytes")
    values = _little_endian(b"".join(shares))
    if (values >= PRIME).any():
        raise SharingError("malformed share: an element is not below the prime")
    return values


def _product(left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
    """Matrix product mod p; entries in [0, p), inner dimension at most 2048: see the top."""
    result = np.empty((left.shape[0], right.shape[1]), np.int64)
    factor = left.astype(np.float64)
    step = max(1, _SERIAL_PRODUCT // left.size)
    for start in range(0, right.shape[1], step):
        columns = slice(start, start + step)
        result[:, columns] = factor @ right[:, columns].astype(np.float64)
    result %= PRIME
    return result


def _powers(holders: Sequence[int], threshold: int) -> NDArray[np.int64]:
    x = np.array(holders, np.int64) + 1
    powers = np.ones((len(holders), threshold), np.int64)
    for k in range(1, threshold):
        powers[:, k] = powers[:, k - 1] * x % PRIME
    return powers


def _lagrange_at_zero(positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Coefficients at x = 0 for each row of positions, int64[rows, t]; products stay below 2^42."""
    x = positions + 1
    above, below = np.ones_like(x), np.ones_like(x)
    for column in range(x.shape[1]):
        other = x[:, column, None]
        self_free = np.where(x == other, 1, (other - x) % PRIME)
        below = below * self_free % PRIME
        above = above * np.where(x == other, 1, other) % PRIME
    return above * _inverse(below) % PRIME


def _inverse(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """The inverses modulo p, by Fermat: the power p - 2, bit by bit."""
    result, square, exponent = np.ones_like(values), values, PRIME - 2
    while exponent:
        if exponent & 1:
            result = result * square % PRIME
        square = square * square % PRIME
        exponent >>= 1
    return result


def _secrets(limbs: NDArray[np.int64]) -> list[bytes]:
    rows = limbs.reshape(-1, LIMBS)
    if (rows >= _LIMB_BOUNDS).any():
        raise SharingError("shares do not lie on the polynomial of a 32-byte secret")
    return [_secret(row) for row in rows.tolist()]


def _random_elements(count: int, rng: Entropy) -> NDArray[np.int64]:
    """Uniform in [0, p) by rejection: 21 of 24 bits, and 9 of 2^21 values are thrown away."""
    kept = np.empty(0, np.int64)
    while len(kept) < count:
        drawn = _little_endian(rng((count - len(kept)) * ELEMENT_BYTES))
        drawn &= (1 << _ELEMENT_BITS) - 1
        kept = np.concatenate([kept, drawn[drawn < PRIME]])
    return kept


def _little_endian(raw: bytes) -> NDArray[np.int64]:
    low, middle, high = np.frombuffer(raw, np.uint8).reshape(-1, ELEMENT_BYTES).astype(np.int64).T
    return low | middle << 8 | high << 16


def _limbs(secret: bytes) -> list[int]:
    number = int.from_bytes(secret, "little")
    return [number >> LIMB_BITS * limb & (1 << LIMB_BITS) - 1 for limb in range(LIMBS)]


def _secret(limbs: Sequence[int]) -> bytes:
    number = sum(value << LIMB_BITS * limb for limb, value in enumerate(limbs))
    return number.to_bytes(SECRET_BYTES, "little")


def _check_threshold(threshold: int) -> None:
    if not 1 <= threshold <= MAX_THRESHOLD:
        raise LocalProtocolError(f"threshold is {threshold}: use 1 to {MAX_THRESHOLD}")


def _check_positions(positions: Sequence[int]) -> None:
    # x = 0 would hold the secret itself, and x is reduced modulo p.
    if any(not 0 <= position < PRIME - 1 for position in positions):
        raise LocalProtocolError(f"positions lie in 0 to {PRIME - 2}")
    if len(set(positions)) != len(positions):
        raise LocalProtocolError("positions are distinct")
