"""Draws and multiplies ring elements in Python integers, written to be read: `product` must agree.

Elements of Z_Q[X] / (X^N + 1) are lists of N coefficients. Coefficient k, in memory and on the
wire, belongs to the power X^(k/2) for even k and X^((k-1)/2 + N/2) for odd k.
"""

from __future__ import annotations

from collections.abc import Sequence

from secagg.crypto.kdf import derive_key
from secagg.crypto.labels import Label
from secagg.crypto.prg import STREAM_KEY_BYTES, keystream

_SPARE = 16
_SPREAD = 12
"""Bytes of a digit: products of 4096 terms of 60 and 16 bits, with a sign, take 89 bits."""
_HALF = 2 ** (8 * _SPREAD - 1)


def public_element(public: bytes, block: int, degree: int, modulus: int) -> list[int]:
    """a: N coefficients, 0 to Q - 1.

    A block takes N numbers of the keystream, of 4, 5 or 8 bytes. Where Q is a prime it takes 16
    more, and each of the first that is Q or more is replaced by the next of these that is less.
    """
    bits = (modulus - 1).bit_length()
    size = {32: 4, 40: 5, 60: 8}[bits]
    count = degree + (_SPARE if modulus % 2 else 0)
    words = count * size // 8
    key = derive_key(public, salt=b"", label=Label.XOF_RING, length=STREAM_KEY_BYTES)
    raw = keystream(key, block * words, words).astype("<u8").tobytes()
    numbers = [number % 2**bits for number in read_numbers(raw, size)]
    others = (number for number in numbers[degree:] if number < modulus)
    return [number if number < modulus else next(others) for number in numbers[:degree]]


def read_numbers(raw: bytes, size: int) -> list[int]:
    """Little-endian numbers of 4 or 8 bytes; or of 5, the lower 4 of all and then the fifth."""
    count, low = len(raw) // size, size // 4 * 4
    numbers = [int.from_bytes(raw[low * k : low * (k + 1)], "little") for k in range(count)]
    above = raw[low * count :] if size == 5 else bytes(count)
    return [number | high << 32 for number, high in zip(numbers, above, strict=True)]


def multiply(left: Sequence[int], right: Sequence[int]) -> list[int]:
    """The product mod X^N + 1: one product of two integers, by evaluation at X = 2^96."""
    degree = len(left)
    product = _evaluate(left) * _evaluate(right)
    # half of every digit is added, so that none is negative
    data = (product + _halves(2 * degree)).to_bytes(2 * degree * _SPREAD, "little")
    digits = (data[at : at + _SPREAD] for at in range(0, len(data), _SPREAD))
    powers = [int.from_bytes(digit, "little") - _HALF for digit in digits]
    by_power = [low - high for low, high in zip(powers, powers[degree:], strict=False)]
    return [by_power[power_of(k, degree)] for k in range(degree)]


def power_of(k: int, degree: int) -> int:
    """The power of X that coefficient k belongs to."""
    return k // 2 + k % 2 * (degree // 2)


def _evaluate(coefficients: Sequence[int]) -> int:
    degree = len(coefficients)
    by_power = [0] * degree
    for k, coefficient in enumerate(coefficients):
        by_power[power_of(k, degree)] = coefficient
    data = b"".join((c + _HALF).to_bytes(_SPREAD, "little") for c in by_power)
    return int.from_bytes(data, "little") - _halves(degree)


def _halves(digits: int) -> int:
    return int.from_bytes(_HALF.to_bytes(_SPREAD, "little") * digits, "little")
