"""Generates masks, one block at a time, written to be read: `prg_fast` gives the same words.

M_k[g] = AES_k(g) xor (g + 1) for the 128-bit big-endian block index g = 0, 1, ... over a whole
vector. That is AES-128 in counter mode encrypting a public buffer (the next counters), hence a
pseudorandom generator exactly when counter mode is one; the xor lets a second mode of AES produce
it faster.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

BLOCK_BYTES: Final = 16
STREAM_KEY_BYTES: Final = 16
"""Suite 1: AES-128."""
WORDS_PER_BLOCK: Final = 2
_INDICES: Final = 1 << 128


def keystream(key: bytes, first_word: int, words: int) -> NDArray[np.uint64]:
    """Words first_word .. first_word + words - 1 of the stream of one key.

    Args:
        key: 16 bytes, used for one stream only.
        first_word: index of the first 64-bit word, any integer >= 0.
        words: how many, >= 0.

    Returns:
        uint64[words]; a block is two little-endian words.
    """
    first_block, skip = divmod(first_word, WORDS_PER_BLOCK)
    last_block = -(-(first_word + words) // WORDS_PER_BLOCK)
    stream = b"".join(_block(key, g) for g in range(first_block, last_block))
    return np.frombuffer(stream, "<u8")[skip : skip + words].astype(np.uint64)


def _block(key: bytes, g: int) -> bytes:
    aes = Cipher(algorithms.AES128(key), modes.ECB()).encryptor()  # noqa: S305  (one block)
    encrypted = aes.update(_index(g)) + aes.finalize()
    return bytes(a ^ b for a, b in zip(encrypted, _index(g + 1), strict=True))


def _index(g: int) -> bytes:
    return (g % _INDICES).to_bytes(BLOCK_BYTES, "big")
