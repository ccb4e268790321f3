"""Encrypts and opens lattice in Python integers, written to be read: the fast code must agree.

c = a s + e + m in Z_Q[X] / (X^N + 1), block by block.
"""

from __future__ import annotations

from collections.abc import Sequence

from secagg.crypto.prg import keystream
from secagg.schemes.additive.polynomials import multiply, public_element


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


def noise(key: bytes, block: int, degree: int) -> list[int]:
    """e: the ones among 32 bits, less 16."""
    words = degree // 2
    raw = keystream(key, block * words, words).astype("<u8").tobytes()
    return [
        int.from_bytes(raw[4 * k : 4 * k + 4], "little").bit_count() - 16 for k in range(degree)
    ]
