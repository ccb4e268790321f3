"""Encodes and decodes in Python integers and fractions: slow, obvious; the fast paths must agree.

Only the cut of weight * x * scale to `fraction_bits` is allowed to differ, by what the floating
point of the work buffers rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from secagg.fixed_point.layout import fraction_bits
from secagg.params import VectorSpec


def encode_vector(
    spec: VectorSpec, coordinates: Sequence[float], weight: float, random: Sequence[int]
) -> list[int]:
    """Words of coordinates within clip; `random` has one number below 2^fraction_bits for each."""
    steps = 2 ** fraction_bits(spec)
    factor = Fraction(weight) * Fraction(spec.scale) * steps
    lanes = [
        (int(Fraction(x) * factor) + r) // steps for x, r in zip(coordinates, random, strict=True)
    ]
    return pack(spec, lanes)


def pack(spec: VectorSpec, lanes: Sequence[int]) -> list[int]:
    """Words of spec.length signed lanes."""
    bits, words = 64 // spec.lanes, [0] * spec.words
    for coordinate, lane in enumerate(lanes):
        j, word = divmod(coordinate, spec.words)
        words[word] = (words[word] + (lane << j * bits)) % 2**64
    return words


def unpack(spec: VectorSpec, words: Sequence[int]) -> list[int]:
    """Signed lanes of (sums of) words, all of them, unused ones last."""
    bits, lanes = 64 // spec.lanes, [0] * (spec.words * spec.lanes)
    for word, content in enumerate(words):
        rest = content
        for j in range(spec.lanes):
            lane = (rest + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)
            lanes[j * spec.words + word] = lane
            rest = (rest - lane) >> bits
    return lanes


def mean(spec: VectorSpec, words: Sequence[int], total_weight: float) -> list[Fraction]:
    """The mean that a sum of words stands for, exactly."""
    step = Fraction(spec.scale) * Fraction(total_weight)
    return [lane / step for lane in unpack(spec, words)[: spec.length]]
