"""Encodes and masks each span in one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from secagg.crypto.prg_fast import MaskAdder
from secagg.params import VectorSpec
from secagg.schemes.base import Fill, Source, Words
from secagg.schemes.masks.keys import stream_starts

Keys = Sequence[tuple[int, bytes]]
"""(sign, 16-byte key) of every mask."""
Masker = Callable[[Keys], MaskAdder]
"""Makes the mask generator of an upload; a device engine may take the place of `MaskAdder`."""


def masked(source: Source, vectors: Sequence[VectorSpec], keys: Keys, masker: Masker) -> Source:
    """What writes masked words instead of encoded ones.

    Args:
        source: gives every thread an encoder of its own.
        vectors: of P.
        keys: of the masks.
        masker: called once for every thread.
    """
    starts = stream_starts(vectors)

    def make() -> Fill:
        encode, adder = source(), masker(keys)

        def fill(vector: int, first_word: int, out: Words) -> None:
            encode(vector, first_word, out)
            adder.add(out, starts[vector] + first_word)

        return fill

    return make
