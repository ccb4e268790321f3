"""Draws the public ring elements of an upload: uniform, one a block, known to everybody.

A block takes a row of numbers of the keystream: N of 32 bits; or of 40, the lower 32 bits of all
and then the upper 8 of all; or of 64, of which 60 count. Where Q is a prime a row has `SPARE`
numbers more, and each of the first N that is Q or more is replaced by the next of these that is
less. (Of 2048 numbers of 40 bits more than 16 are with probability below 2^-280.)

An element is transformed in pieces (`product`): with Q = 2^32 it is one, in [-2^31, 2^31); others
have two or three pieces of 20 bits, the lowest first, in [0, 2^20).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.kdf import derive_key
from secagg.crypto.labels import Label
from secagg.crypto.prg import STREAM_KEY_BYTES
from secagg.crypto.prg_fast import Keystream
from secagg.schemes.base import Words

SMALL: Final = 2**32
PIECE_BITS: Final = 20
SPARE: Final = 16

Transform = NDArray[np.complex128]

_PLANES: Final = 40
"""Bits of numbers that are drawn in two planes."""


@dataclass(frozen=True, slots=True)
class PolynomialRing:
    """Z_Q[X] / (X^N + 1).

    Attributes:
        degree: N, a power of two.
        modulus: Q: 2^32, 2^40, or a prime of 40 or 60 bits.
    """

    degree: int
    modulus: int

    @property
    def prime(self) -> bool:
        """Whether Q is a prime, so that numbers do not reduce themselves."""
        return self.modulus & (self.modulus - 1) != 0

    @property
    def bits(self) -> int:
        """Of a residue."""
        return (self.modulus - 1).bit_length()

    @property
    def pieces(self) -> int:
        """Of a public element."""
        return 1 if self.modulus == SMALL else self.bits // PIECE_BITS

    @property
    def norm(self) -> float:
        """What no piece of a public element exceeds; see `product`."""
        return 30 * (SMALL / 2) if self.modulus == SMALL else math.sqrt(self.degree) * 2**PIECE_BITS

    @property
    def dtype(self) -> type[np.int32 | np.int64]:
        """Of numbers modulo Q: with Q = 2^32 that of int32 does the reduction."""
        return np.int32 if self.modulus == SMALL else np.int64

    @property
    def numbers(self) -> int:
        """Of a block in the keystream."""
        return self.degree + SPARE if self.prime else self.degree

    @property
    def words(self) -> int:
        """64-bit words of a block in the keystream; even."""
        return self.numbers * (64 if self.bits > _PLANES else self.bits) // 64


class PublicElements:
    """The public ring elements of an upload.

    Args:
        public: what they follow from: 32 bytes that no party chooses.
        ring: theirs.
        cached: blocks from 0 on whose transforms are kept for the next reader: 8 bytes a
            coefficient and piece.
    """

    __slots__ = ("_cache", "_filled", "key", "ring")

    def __init__(self, public: bytes, ring: PolynomialRing, *, cached: int = 0) -> None:
        self.key: Final = derive_key(
            public, salt=b"", label=Label.XOF_RING, length=STREAM_KEY_BYTES
        )
        self.ring: Final = ring
        self._cache: Transform = np.empty((cached, ring.pieces, ring.degree // 2), np.complex128)
        self._filled = np.zeros(cached, np.bool_)

    def cached(self, first: int, blocks: int) -> Transform | None:
        """complex128[blocks, pieces, N/2], or None if one of them is not there."""
        if first + blocks > len(self._filled) or not self._filled[first : first + blocks].all():
            return None
        return self._cache[first : first + blocks]

    def keep(self, first: int, transform: Transform) -> None:
        """Keep what there is room for; threads may do so at a time, for the values are the same."""
        room = self._cache[first : first + len(transform)]
        room[...] = transform[: len(room)]
        self._filled[first : first + len(room)] = True


class ElementStream:
    """One thread's public elements, in pieces.

    Args:
        public: the elements.
        blocks: largest number of blocks that `write` is asked for.
    """

    __slots__ = ("_handle", "_keystream", "_ring")

    def __init__(self, public: PublicElements, blocks: int) -> None:
        self._ring = public.ring
        self._keystream = Keystream(capacity=blocks * public.ring.words)
        self._handle = self._keystream.open(public.key)

    def write(self, first: int, out: NDArray[np.float64]) -> None:
        """The pieces of consecutive blocks.

        Args:
            first: block, counted over the whole upload.
            out: float64[blocks, pieces, N].
        """
        ring, blocks = self._ring, len(out)
        self._keystream.seek(first * ring.words)
        rows = self._keystream.chunk(self._handle, blocks * ring.words).reshape(blocks, -1)
        if ring.pieces == 1:
            out[:, 0] = rows.view("<i4")
            return
        low, high = _planes(rows, ring)
        if ring.prime:
            _reject(low, high, ring)
        low, mask = low[:, : ring.degree], 2**PIECE_BITS - 1
        _copy(out[:, 0], low & mask)
        if high is None:
            _copy(out[:, 1], low >> PIECE_BITS & mask)
            _copy(out[:, 2], low >> 2 * PIECE_BITS)
            return
        upper = np.left_shift(high[:, : ring.degree], 32 - PIECE_BITS, dtype=np.uint32)
        _copy(out[:, 1], np.bitwise_or(upper, low >> PIECE_BITS, out=upper))


def _copy(out: NDArray[np.float64], numbers: NDArray[np.integer[Any]]) -> None:
    """Numbers below 2^31, taken for signed ones, of which the conversion is faster."""
    np.copyto(out, numbers.view(f"<i{numbers.itemsize}"))


def _planes(
    rows: Words, ring: PolynomialRing
) -> tuple[NDArray[np.unsignedinteger], NDArray[np.uint8] | None]:
    """The numbers of rows: their lower 32 bits and those above, or words of 60."""
    if ring.bits > _PLANES:
        np.bitwise_and(rows, np.uint64((1 << ring.bits) - 1), out=rows)
        return rows, None
    return rows.view("<u4")[:, : ring.numbers], rows.view(np.uint8)[:, 4 * ring.numbers :]


def _reject(
    low: NDArray[np.unsignedinteger], high: NDArray[np.uint8] | None, ring: PolynomialRing
) -> None:
    """Replace numbers of Q or more, in place."""
    top, rest = divmod(ring.modulus, 2**32)
    least = ring.modulus if high is None else rest
    for row in np.flatnonzero(low.max(axis=1) >= least):  # of 40 bits, one in 57
        if high is not None and not (high[row, low[row] >= least] == top).any():
            continue
        numbers = low[row].astype(np.uint64)
        if high is not None:
            numbers |= high[row].astype(np.uint64) << np.uint64(32)
        good = numbers < ring.modulus
        wrong = np.flatnonzero(~good[: ring.degree])
        spare = numbers[ring.degree :][good[ring.degree :]][: len(wrong)]
        low[row, wrong] = spare.astype(low.dtype)
        if high is not None:
            high[row, wrong] = (spare >> np.uint64(32)).astype(np.uint8)
