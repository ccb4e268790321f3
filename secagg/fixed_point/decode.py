"""Decodes sums of words to numbers, after the checks that a sum must pass first."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg.errors import AggregateOutOfRange, LocalProtocolError
from secagg.fixed_point.encode import BLOCK, FloatArray
from secagg.params import VectorSpec
from secagg.workers import SERIAL, Workers

_MAX_DIVISOR: Final = 2**62  # twice a remainder stays below 2^63


class Decoder:
    """Turns the words of a sum into the mean.

    Args:
        spec: layout of the vector.
        divisor: total weight; the mean is lanes / (spec.scale * divisor).
        largest: absolute value of a coordinate beyond which no true mean lies: the clip. Small
            total weights leave rounding, noise and liars more room than that.
    """

    def __init__(self, spec: VectorSpec, divisor: float, largest: float) -> None:
        self._spec = spec
        self._divisor = divisor
        self._largest = largest

    def decode(self, words: NDArray[np.uint64], out: FloatArray, workers: Workers = SERIAL) -> None:
        """Writes the mean; check the sum with `check_sum` first.

        Args:
            words: uint64[spec.words], the sum.
            out: float32 or float64 of spec.length.
            workers: threads.

        Raises:
            LocalProtocolError: sizes that do not fit the layout.
        """
        spec = self._spec
        _check_size(spec, words)
        if out.shape != (spec.length,):
            raise LocalProtocolError(f"out has shape {out.shape}: use ({spec.length},)")
        bits = 64 // spec.lanes
        bias = _fields(spec, 1 << (bits - 1)).view(np.int64)
        # A lane in the top bits of an integer is lane * 2^(width - bits), which the factor undoes;
        # 32 bits where a lane fits, because numpy converts those to floats many at a time.
        width, integer = (32, np.int32) if spec.lanes > 1 else (64, np.int64)
        factor = out.dtype.type(1 / (spec.scale * self._divisor) * 2.0 ** (bits - width))
        largest = out.dtype.type(self._largest)

        def work(first: int, last: int) -> None:
            apart, lanes = np.empty(BLOCK, np.int64), np.empty(BLOCK, integer)
            for start in range(first * BLOCK, min(last * BLOCK, spec.words), BLOCK):
                part = words[start : start + BLOCK].view(np.int64)
                u, lane = apart[: len(part)], lanes[: len(part)]
                # Adding half of every lane makes all fields non-negative, so that no borrow crosses
                # them; flipping the top bit of each field then gives its two's complement.
                np.add(part, bias, out=u)
                np.bitwise_xor(u, bias, out=u)
                for j in range(spec.lanes):
                    if j:
                        np.right_shift(u, bits, out=u)
                    np.copyto(lane, u, casting="unsafe")  # the low bits
                    np.left_shift(lane, width - bits, out=lane)
                    begin = j * spec.words + start
                    target = out[begin : begin + len(part)]
                    np.copyto(target, lane[: len(target)], casting="unsafe")
                    np.multiply(target, factor, out=target)
                    np.clip(target, -largest, largest, out=target)

        workers.run(work, -(-spec.words // BLOCK))


def check_sum(
    spec: VectorSpec, words: NDArray[np.uint64], reach: int, workers: Workers = SERIAL
) -> None:
    """Accepts a sum only if every lane lies within [-reach, reach] and unused lanes are zero.

    Args:
        spec: layout of the vector.
        words: uint64[spec.words], the sum.
        reach: largest absolute lane, within the lane.
        workers: threads.

    Raises:
        AggregateOutOfRange: a lane is outside, or bits above the lanes or past the end are set.
        LocalProtocolError: sizes that do not fit the layout.
    """
    _check_size(spec, words)
    bits = 64 // spec.lanes
    half = 1 << (bits - 1)
    if not 0 <= reach < half:
        raise LocalProtocolError(f"{reach} does not fit the lanes of {spec.name}")
    # With `reach` added, a sum whose lanes are all in range has fields from 0 to 2 * reach, and
    # nothing above them; no other word has. All fields are compared at once: what is below a
    # field's top bit gets so much that it carries into the (cleared) top bit if it exceeds that
    # part of 2 * reach. Above 2 * reach are those that carry and have the top bit if 2 * reach has
    # it, that carry or have it if 2 * reach has not.
    bias, tops = _fields(spec, reach), _fields(spec, half)
    room = _fields(spec, half - 1 - 2 * reach % half)
    exceeds = np.bitwise_and if 2 * reach >= half else np.bitwise_or
    wrong = int(tops) | -(1 << spec.lanes * bits) % 2**64

    def work(first: int, last: int) -> None:
        biased, carried = np.empty(BLOCK, np.uint64), np.empty(BLOCK, np.uint64)
        for start in range(first * BLOCK, min(last * BLOCK, spec.words), BLOCK):
            part = words[start : start + BLOCK]
            u, v = biased[: len(part)], carried[: len(part)]
            np.add(part, bias, out=u)
            np.bitwise_and(u, ~tops, out=v)
            np.add(v, room, out=v)
            exceeds(u, v, out=v)
            if int(np.bitwise_or.reduce(v)) & wrong:
                raise AggregateOutOfRange(f"{spec.name}: a lane is beyond {reach}")

    workers.run(work, -(-spec.words // BLOCK))
    for coordinate in range(spec.length, spec.words * spec.lanes):
        j, word = divmod(coordinate, spec.words)
        field = (int(words[word]) + int(bias)) % 2**64 >> j * bits & (2 * half - 1)
        if field != reach:
            raise AggregateOutOfRange(f"{spec.name}: a lane past its end is not zero")


def decode_integers(spec: VectorSpec, words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The exact sums of a 1 x 64 vector: int64[spec.length], a copy.

    Raises:
        LocalProtocolError: more than one lane, or sizes that do not fit the layout.
    """
    _check_size(spec, words)
    if spec.lanes != 1:
        raise LocalProtocolError(f"{spec.name} has {spec.lanes} lanes: integers take 1")
    return words.view(np.int64).copy()


def mean_integers(sums: NDArray[np.int64], divisor: int) -> NDArray[np.int64]:
    """The quotient sums / divisor, rounded half to even, exactly.

    Args:
        sums: int64, any shape.
        divisor: 1 to 2^62; the total weight in units where the sums were weighted in units.

    Raises:
        LocalProtocolError: another divisor.
    """
    if not 1 <= divisor <= _MAX_DIVISOR:
        raise LocalProtocolError(f"divisor is {divisor}: use 1 to {_MAX_DIVISOR}")
    quotient, rest = np.divmod(sums, np.int64(divisor))
    twice = 2 * rest
    up = (twice > divisor) | ((twice == divisor) & (quotient & 1 == 1))
    result: NDArray[np.int64] = quotient + up
    return result


def _fields(spec: VectorSpec, value: int) -> np.uint64:
    """The word that holds `value` in every lane."""
    return np.uint64(sum(value << j * (64 // spec.lanes) for j in range(spec.lanes)))


def _check_size(spec: VectorSpec, words: NDArray[Any]) -> None:
    if words.shape != (spec.words,) or words.dtype != np.uint64:
        raise LocalProtocolError(
            f"{spec.name}: {words.dtype} of {words.shape} where uint64 of ({spec.words},) belongs"
        )
