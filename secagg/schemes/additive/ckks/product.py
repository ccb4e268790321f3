"""Multiplies by the public ring elements modulo p, point by point, and transforms by SEAL.

Public elements are drawn transformed: the transform of a uniform element is uniform. Block b takes
the words b 2N, b 2N + 1, ... of the keystream, each cut to the bits of p. A word of p or more, and
again, is replaced by the next one that stands behind the first N.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.kdf import derive_key
from secagg.crypto.labels import Label
from secagg.crypto.prg import STREAM_KEY_BYTES
from secagg.crypto.prg_fast import Keystream
from secagg.schemes.additive.blocks import AT_ONCE
from secagg.schemes.additive.ckks.plan import Parameters
from secagg.schemes.additive.ckks.residues import reduce
from secagg.schemes.additive.rings import Key
from secagg.schemes.seal import Polynomials, SealRing
from secagg.schemes.seal_file import SealDiffers

_FLOAT_BITS: Final = 50
"""Up to here a float64 quotient of a product by p is off by less than one."""
_LIMB: Final = 30


def seal_ring(row: Parameters) -> SealRing:
    """SEAL's ring for a row of the table; for one thread.

    Raises:
        SealMissing: the extra is not installed.
        SealDiffers: SEAL's prime or root is another one, so that gateways would not agree on a.
    """
    ring = SealRing(row.degree, row.bits)
    if (ring.prime, ring.root) != (row.prime, row.root):
        raise SealDiffers(f"p = {ring.prime} and psi = {ring.root} are not those of the table")
    return ring


class Factor:
    """A key, transformed: what the public elements are multiplied by.

    Args:
        key: int64[N].
        row: of the table.
    """

    __slots__ = ("parts", "row")

    def __init__(self, key: Key, row: Parameters) -> None:
        self.row: Final = row
        values = seal_ring(row).ntt((key % row.prime)[np.newaxis])[0]
        parts = [values]
        if row.bits > _FLOAT_BITS:
            parts = [values >> _LIMB, values & ((1 << _LIMB) - 1)]
        self.parts: Final = [(part, part / row.prime) for part in parts]
        """Digits, the largest first, with their quotients by p."""


class PrimeMultiplier:
    """One thread's products of the public elements with one key (`rings.Multiplier`).

    Args:
        public: what the elements follow from: 32 bytes that no party chooses.
        factor: the key.
    """

    __slots__ = ("_factor", "_handle", "_keystream", "_public", "_ring", "_row")

    def __init__(self, public: bytes, factor: Factor) -> None:
        self._row = row = factor.row
        self._factor = factor
        self._ring = seal_ring(row)
        self._keystream = Keystream(capacity=AT_ONCE * 2 * row.degree)
        key = derive_key(public, salt=b"", label=Label.XOF_RING, length=STREAM_KEY_BYTES)
        self._handle = self._keystream.open(key)
        self._public = np.empty((AT_ONCE, row.degree), np.int64)

    def product(self, first: int, blocks: int) -> Polynomials:
        """The products for consecutive blocks: int64[blocks, N] in [0, p).

        Args:
            first: block, counted over the whole upload.
            blocks: 1 to `AT_ONCE`.
        """
        public = self.elements(first, blocks)
        total = self._times(public, 0)
        for digit in range(1, len(self._factor.parts)):
            total = _step(total, np.int64(1 << _LIMB), 2.0**_LIMB / self._row.prime, self._row)
            total += self._times(public, digit)
        spread = 2 * len(self._factor.parts)  # each step leaves (-2 p, 2 p)
        reduce(total, self._row.prime, below=spread, above=spread)
        return self._ring.intt(total)

    def _times(self, public: Polynomials, digit: int) -> Polynomials:
        return _step(public, *self._factor.parts[digit], self._row)

    def elements(self, first: int, blocks: int) -> Polynomials:
        """The transformed public elements: int64[blocks, N] in [0, p)."""
        degree, public = self._row.degree, self._public[:blocks]
        self._keystream.seek(first * 2 * degree)
        words = self._keystream.chunk(self._handle, blocks * 2 * degree).reshape(blocks, -1)
        np.bitwise_and(words, np.uint64((1 << self._row.bits) - 1), out=words)
        np.copyto(public, words[:, :degree], casting="unsafe")
        if int(public.max()) >= self._row.prime:
            for row, spare in zip(public, words[:, degree:], strict=True):
                wrong = np.flatnonzero(row >= self._row.prime)
                row[wrong] = spare[spare < self._row.prime][: len(wrong)]
        return public


def _step(
    left: Polynomials,
    right: Polynomials | np.int64,
    quotient: NDArray[np.float64] | float,
    row: Parameters,
) -> Polynomials:
    """Left * right modulo p, in (-2 p, 2 p): float quotient, and a remainder that wraps.

    The quotient errs by less than 1, and is cut towards zero, by less than 1 more.

    Args:
        left: in (-2 p, 2 p).
        right: such that left * right / p is below 2^50, where a float64 of it errs by less than 1.
        quotient: right / p.
        row: of the table.
    """
    multiples = (left * quotient).astype(np.int64)
    np.multiply(multiples, row.prime, out=multiples)
    product = left * right
    np.subtract(product, multiples, out=product)
    return product
