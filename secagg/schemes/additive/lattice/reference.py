"""Encrypts and opens lattice in Python integers, written to be read: the fast code must agree.

c = a s + e + m in Z_Q[X] / (X^N + 1), block by block. Coefficient k of a block, in memory and on
the wire, belongs to the power X^(k/2) for even k and X^((k-1)/2 + N/2) for odd k.
"""

from __future__ import annotations

from collections.abc import Sequence

from secagg.crypto.kdf import derive_key
from secagg.crypto.labels import Label
from secagg.crypto.prg import STREAM_KEY_BYTES, keystream

_HALF_BITS = 20
_SPREAD = 10
"""Bytes of a digit: products of 2048 terms of 40 and 16 bits, with a sign, take 68 bits."""
_HALF = 2 ** (8 * _SPREAD - 1)


def encrypt(
    message: Sequence[int],
    secret: Sequence[int],
    *,
    public: bytes,
    noise_key: bytes,
    block: int,
    modulus: int,
) -> list[int]:
    """One ring element of an upload.

    Args:
        message: N coefficients.
        secret: N coefficients.
        public: what the public elements follow from.
        noise_key: 16 bytes, of this upload.
        block: counted over the whole upload.
        modulus: Q.

    Returns:
        N coefficients, 0 to Q - 1.
    """
    degree = len(message)
    product = multiply(public_element(public, block, degree, modulus), secret)
    errors = noise(noise_key, block, degree)
    return [(p + e + m) % modulus for p, e, m in zip(product, errors, message, strict=True)]


def multiply(left: Sequence[int], right: Sequence[int]) -> list[int]:
    """The product mod X^N + 1: one product of two integers, by evaluation at X = 2^80."""
    degree = len(left)
    product = _evaluate(left) * _evaluate(right)
    # half of every digit is added, so that none is negative
    data = (product + _halves(2 * degree)).to_bytes(2 * degree * _SPREAD, "little")
    digits = (data[at : at + _SPREAD] for at in range(0, len(data), _SPREAD))
    coefficients = [int.from_bytes(digit, "little") - _HALF for digit in digits]
    by_power = [low - high for low, high in zip(coefficients, coefficients[degree:], strict=False)]
    return [by_power[_power(k, degree)] for k in range(degree)]


def public_element(public: bytes, block: int, degree: int, modulus: int) -> list[int]:
    """a: uniform in [-Q/2, Q/2) with Q = 2^32; with 2^40, two halves in [-2^19, 2^19)."""
    bits = modulus.bit_length() - 1
    words = degree * bits // 64
    key = derive_key(public, salt=b"", label=Label.XOF_RING, length=STREAM_KEY_BYTES)
    raw = keystream(key, block * words, words).astype("<u8").tobytes()
    low = [int.from_bytes(raw[4 * k : 4 * k + 4], "little") for k in range(degree)]
    if bits == 32:
        return [number - (number >> 31 << 32) for number in low]
    both = [number | high << 32 for number, high in zip(low, raw[4 * degree :], strict=True)]
    offset = 2 ** (_HALF_BITS - 1)
    return [number - offset - (offset << _HALF_BITS) for number in both]


def noise(key: bytes, block: int, degree: int) -> list[int]:
    """e: the ones among 32 bits, less 16."""
    words = degree // 2
    raw = keystream(key, block * words, words).astype("<u8").tobytes()
    return [
        int.from_bytes(raw[4 * k : 4 * k + 4], "little").bit_count() - 16 for k in range(degree)
    ]


def _evaluate(coefficients: Sequence[int]) -> int:
    degree = len(coefficients)
    by_power = [0] * degree
    for k, coefficient in enumerate(coefficients):
        by_power[_power(k, degree)] = coefficient
    data = b"".join((c + _HALF).to_bytes(_SPREAD, "little") for c in by_power)
    return int.from_bytes(data, "little") - _halves(degree)


def _halves(digits: int) -> int:
    return int.from_bytes(_HALF.to_bytes(_SPREAD, "little") * digits, "little")


def _power(k: int, degree: int) -> int:
    return k // 2 + k % 2 * (degree // 2)
