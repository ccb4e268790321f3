"""Encodes coordinates as words: scales, rounds at random without bias, packs the lanes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.prg_fast import Engine, Keystream
from secagg.errors import EncodingError, LocalProtocolError
from secagg.fixed_point.layout import (
    FLOAT32_LANES,
    MAX_UPDATE_LIMIT,
    RANDOM_BITS,
    fraction_bits,
)
from secagg.fixed_point.units import weight_unit
from secagg.params import VectorSpec

FloatArray = NDArray[np.floating[Any]]
Read = Callable[[int, int, FloatArray], None]
"""`read(start, stop, out)` writes coordinates start..stop-1 of one vector into `out`."""

# Words per step: measured best of 8192 to 32768, as a step's numpy calls must cost little beside
# its work. Five lanes take half, so that their random bits fit one full chunk of keystream.
BLOCK: Final = 32768
_RANDOM_PER_WORD: Final = 64 // RANDOM_BITS


def work_dtype(spec: VectorSpec) -> type[np.float32 | np.float64]:
    """Dtype of the buffers that `read` fills: float32 from three lanes on, else float64."""
    return np.float32 if spec.lanes >= FLOAT32_LANES else np.float64


class Found(NamedTuple):
    """What `check_range` sees in a range of coordinates.

    Attributes:
        beyond: finite coordinates beyond the bound.
        largest: the largest absolute one, if it is beyond; else 0.
        not_finite: NaN, infinite, or beyond float32.
    """

    beyond: int
    largest: float
    not_finite: int


def check_range(read: Read, start: int, stop: int, bound: float) -> Found:
    """Looks at every coordinate once, before anything is encoded.

    It looks through float32 buffers whatever the layout: else the number of lanes would decide
    about a coordinate at the edge.

    Args:
        read: gives the coordinates.
        start: first coordinate.
        stop: one past the last.
        bound: of the absolute value.
    """
    buffer = np.empty(min(BLOCK, stop - start), np.float32)
    beyond, largest, not_finite = 0, 0.0, 0
    with np.errstate(all="ignore"):
        for first in range(start, stop, BLOCK):
            part = buffer[: min(BLOCK, stop - first)]
            read(first, first + len(part), part)
            if -bound <= float(part.min()) and float(part.max()) <= bound:
                continue
            np.abs(part, out=part)
            finite = np.isfinite(part)
            not_finite += len(part) - int(np.count_nonzero(finite))
            # the bound as a float64: rounded to float32 it would be another
            above = part[finite & (part.astype(np.float64) > bound)]
            beyond += len(above)
            largest = max(largest, float(above.max(initial=0)))
    return Found(beyond, largest, not_finite)


class Encoder:
    """Encodes one vector of one gateway; belongs to one thread, holds O(chunk) memory.

    Lane j of word w holds coordinate j * spec.words + w; coordinates past the end are zero. A lane
    is weight * x * spec.scale rounded to one of its two neighbours at random, unbiased: its mean is
    off by at most 2^-fraction_bits of a unit plus the rounding of the work buffers (`error_of`).
    abs(lane) <= spec.limit always: coordinates beyond clip are clamped, so that no input, whatever
    `check_range` was shown, reaches the neighbouring lane.

    Args:
        spec: layout, from `update_spec`.
        weight: `weight_units` times the unit, at most `max_weight`.
        max_weight: as given to `update_spec`.
        rounding_key: 16 bytes, one per vector; the random bits depend on it and on the coordinate.
        engine: mode of AES for the random bits.

    Raises:
        LocalProtocolError: a weight that is no such multiple, a key of another size, or a limit
            that `update_spec` would not give.
    """

    def __init__(
        self,
        spec: VectorSpec,
        *,
        weight: float,
        max_weight: float,
        rounding_key: bytes,
        engine: Engine | None = None,
    ) -> None:
        finest = weight_unit(max_weight, integers=False)
        if not 0 < weight <= max_weight or not (weight / finest).is_integer():
            raise LocalProtocolError("that is no weight: use weight_units(...) * weight_unit(...)")
        if spec.limit > MAX_UPDATE_LIMIT:
            raise LocalProtocolError(f"limit of {spec.name} is {spec.limit}: use update_spec(...)")
        dtype = work_dtype(spec)
        self._spec = spec
        self._fraction = fraction_bits(spec)
        self._scale = dtype(weight * spec.scale * 2**self._fraction)
        # limit * 2^fraction is a number of dtype (at most 20 bits in float32, 46 in float64), and
        # rounding is monotone: the clamp never exceeds it, so neither does the lane its limit.
        self._bound = dtype(min(spec.limit * weight / max_weight, spec.limit) * 2**self._fraction)
        self._step = BLOCK if spec.lanes <= _RANDOM_PER_WORD else BLOCK // 2
        step = min(self._step, spec.words)
        self._float = np.empty((spec.lanes, step), dtype)
        self._fixed = np.empty((spec.lanes, step), np.int32 if dtype is np.float32 else np.int64)
        self._lane = np.empty(step, np.int64)
        stride = _round_up(step)
        self._keystream = Keystream(engine, capacity=stride * spec.lanes // _RANDOM_PER_WORD)
        self._handle = self._keystream.open(rounding_key)
        self._block = -1
        self._random = np.empty((0, 0), np.uint16)

    def encode(self, read: Read, first_word: int, out: NDArray[np.uint64]) -> None:
        """Writes words first_word..first_word+m-1; the cut into calls does not change them.

        Args:
            read: gives the coordinates, as to `check_range`.
            first_word: any word of the vector.
            out: uint64[m], every element is written.

        Raises:
            EncodingError: the coordinates became NaN since `check_range`.
            LocalProtocolError: words outside the vector.
        """
        last_word = first_word + len(out)
        if not 0 <= first_word <= last_word <= self._spec.words:
            raise LocalProtocolError(
                f"words {first_word} to {last_word} of a vector of {self._spec.words}"
            )
        words = out.view(np.int64)
        start = first_word
        # inf is clamped like any value beyond clip; NaN makes the conversion raise.
        with np.errstate(over="ignore", under="ignore", invalid="raise"):
            while start < last_word:
                stop = min(last_word, (start // self._step + 1) * self._step)
                try:
                    self._encode(read, start, words[start - first_word : stop - first_word])
                except FloatingPointError:
                    raise EncodingError("coordinates became NaN while they were encoded") from None
                start = stop

    def _encode(self, read: Read, first_word: int, words: NDArray[np.int64]) -> None:
        """One step: floor((cut(x * scale * 2^f) + r) / 2^f), r uniform in [0, 2^f), then pack."""
        spec, count = self._spec, len(words)
        values, fixed = self._float[:, :count], self._fixed[:, :count]
        for j in range(spec.lanes):
            start = j * spec.words + first_word
            stop = min(start + count, spec.length)
            inside = max(stop - start, 0)
            if inside:
                read(start, stop, values[j, :inside])
            if inside < count:
                values[j, inside:] = 0
        np.multiply(values, self._scale, out=values)
        np.clip(values, -self._bound, self._bound, out=values)
        np.copyto(fixed, values, casting="unsafe")
        np.add(fixed, self._random_bits(first_word, count), out=fixed)
        np.right_shift(fixed, self._fraction, out=fixed)
        lane = self._lane[:count]
        np.copyto(words, fixed[-1])
        for j in reversed(range(spec.lanes - 1)):
            np.left_shift(words, 64 // spec.lanes, out=words)
            np.copyto(lane, fixed[j])
            np.add(words, lane, out=words)

    def _random_bits(self, first_word: int, count: int) -> NDArray[np.uint16]:
        """uint16[lanes, count] below 2^fraction for the words of one step.

        Steps have a place in the keystream that only the layout fixes, hence the independence of
        the cut into calls.
        """
        block, offset = divmod(first_word, self._step)
        if block != self._block:
            first = block * self._step
            stride = _round_up(min(self._step, self._spec.words - first))
            lanes = self._spec.lanes
            self._keystream.seek(first * lanes // _RANDOM_PER_WORD)
            chunk = self._keystream.chunk(self._handle, stride * lanes // _RANDOM_PER_WORD)
            random = chunk.view(np.uint16).reshape(lanes, stride)
            if self._fraction < RANDOM_BITS:
                np.right_shift(random, RANDOM_BITS - self._fraction, out=random)
            self._block, self._random = block, random
        return self._random[:, offset : offset + count]


def encode_integers(
    values: Sequence[int] | NDArray[np.integer[Any]], spec: VectorSpec, *, factor: int = 1
) -> NDArray[np.uint64]:
    """Exact words of integers times `factor`, for a 1 x 64 vector.

    Args:
        values: spec.length integers, Python or numpy.
        spec: layout.
        factor: positive, the weight in units for a weighted sum.

    Returns:
        uint64[spec.words].

    Raises:
        EncodingError: abs(value * factor) above spec.limit, another number of values, no integers.
        LocalProtocolError: more than one lane.
    """
    if spec.lanes != 1:
        raise LocalProtocolError(f"{spec.name} has {spec.lanes} lanes: integers take 1")
    if len(values) != spec.length:
        raise EncodingError(f"{len(values)} values for the {spec.length} of {spec.name}")
    low, high = _extremes(values)
    if max(-low, high) * factor > spec.limit:
        raise EncodingError(f"a value of {spec.name} is above {spec.limit // factor}, what fits")
    words: NDArray[np.int64] = np.asarray(values, np.int64) * np.int64(factor)
    return words.view(np.uint64)


def _extremes(values: Sequence[int] | NDArray[np.integer[Any]]) -> tuple[int, int]:
    if isinstance(values, np.ndarray):
        if values.dtype.kind in "iub":
            return int(values.min()), int(values.max())
    elif all(isinstance(value, int) for value in values):
        return min(values), max(values)
    raise EncodingError("values are no integers: round them first")


def _round_up(words: int) -> int:
    """To whole blocks of the keystream: 8 random numbers of 16 bits, so that seeks are even."""
    return -(-words // 8) * 8
