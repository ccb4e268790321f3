"""Reads coordinates of (tree - base) by range, without building a vector of the model's size."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg.errors import EncodingError
from secagg.params import LeafSpec
from secagg.pytree.leaves import Flat, size_of, whole_numbers
from secagg.pytree.matching import first_keys, matching
from secagg.pytree.selection import Select
from secagg.pytree.trees import STEP, adapter_again, flat_of


@dataclass(frozen=True, slots=True)
class _Segment:
    key: str
    dtype: str
    start: int
    stop: int
    flat: Flat
    base: Flat | None


class Reader:
    """Reads one gateway's update: a tree that looks exactly like the template, minus a base.

    Holds views, no copies: the tree must not change while it is read.

    Args:
        leaves: layout, from `tree_spec`.
        tree: what the gateway trained.
        base: the global model it started from; None reads the tree itself.
        select: as given to `tree_spec`; the keys it leaves out may differ.

    Raises:
        EncodingError: missing or unexpected keys, another shape or dtype, or a leaf in memory that
            it shares with the base.

    Attributes:
        based: there is a base.
        untied: leaves that the layout ties to one before them and that differ from it, here or in
            the base. The first is read: to refuse would tell the server whether they are equal.
    """

    def __init__(
        self, leaves: Sequence[LeafSpec], tree: Any, base: Any = None, *, select: Select = None
    ) -> None:
        table = matching(leaves, tree, "update", select)
        known = None if base is None else matching(leaves, base, "base", select)
        flats, bases = _flats(table), None if known is None else _flats(known)
        if known is not None:
            _check_apart(table, known)
        self.untied = _untied(leaves, flats, *([] if bases is None else [bases]))
        self.based = bases is not None
        self._infinite: set[str] = set()
        self._vectors: dict[int, list[_Segment]] = {}
        # of tied leaves the first by its key, not in P: the server must not choose which is read
        for leaf in sorted(leaves, key=lambda leaf: (leaf.vector, leaf.start, leaf.key)):
            size = size_of(leaf.shape)
            segments = self._vectors.setdefault(leaf.vector, [])
            if not size or (segments and segments[-1].start == leaf.start):
                continue  # empty, or tied to the leaf before it
            segments.append(
                _Segment(
                    leaf.key, leaf.dtype, leaf.start, leaf.start + size, flats[leaf.key],
                    None if bases is None else bases[leaf.key],
                )
            )  # fmt: skip
        self._starts = {v: [s.start for s in parts] for v, parts in self._vectors.items()}

    def read(self, vector: int, start: int, stop: int, out: NDArray[np.floating[Any]]) -> None:
        """Writes coordinates start..stop-1 of a vector of reals.

        Differences are rounded once, to the widest dtype among tree, base and `out`.

        Args:
            vector: index of the vector.
            start: first coordinate.
            stop: one past the last, at most the length of the vector.
            out: float32 or float64 of stop - start.
        """
        segments = self._vectors[vector]
        index = bisect_right(self._starts[vector], start) - 1
        position = start
        while position < stop:
            segment = segments[index]
            last = min(stop, segment.stop)
            part = slice(position - segment.start, last - segment.start)
            target = out[position - start : last - start]
            if segment.base is None:
                np.copyto(target, segment.flat[part], casting="same_kind")
            else:
                pair = segment.flat[part], segment.base[part]
                (_change if segment.key in self._infinite else _subtract)(*pair, target)
            position = last
            index += 1

    def integers(self, vector: int, bound: int) -> tuple[NDArray[np.int64], int]:
        """The vector of integers and bools, whole and clamped, and how many were beyond the bound.

        Args:
            vector: its index.
            bound: largest absolute value, at most 2^62.
        """
        segments = self._vectors[vector]
        out = np.zeros(segments[-1].stop, np.int64)
        beyond = 0
        for segment in segments:
            part = slice(0, segment.stop - segment.start)
            values = whole_numbers(segment.flat[part])
            if segment.base is not None:
                values = values - whole_numbers(segment.base[part])
            inside = np.clip(values, -bound, bound)
            beyond += int(np.count_nonzero(inside != values))
            out[segment.start : segment.stop] = inside
        return out, beyond

    def take_infinities(self) -> bool:
        """From now on read an infinity that tree and base share as no change; whether any may be.

        Asked for once something is not finite: nobody else pays for looking.
        """
        for segment in (each for parts in self._vectors.values() for each in parts):
            if segment.base is not None and _has_infinities(
                segment.base, segment.stop - segment.start
            ):
                self._infinite.add(segment.key)
        return bool(self._infinite)

    def places(self, vector: int) -> list[tuple[str, int, int]]:
        """(key, start, stop) of what lies in a vector, in order; of tied keys the first."""
        return [(each.key, each.start, each.stop) for each in self._vectors[vector]]


def _subtract(tree: NDArray[Any], base: NDArray[Any], out: NDArray[np.floating[Any]]) -> None:
    # Without dtype numpy would subtract two float32 in float32 even where out has room for more.
    np.subtract(tree, base, out=out, dtype=np.result_type(tree, base, out), casting="same_kind")


def _change(tree: NDArray[Any], base: NDArray[Any], out: NDArray[np.floating[Any]]) -> None:
    """The difference, 0 where both are the same infinity."""
    with np.errstate(invalid="ignore"):
        _subtract(tree, base, out)
    out[tree == base] = 0


def _has_infinities(flat: Flat, size: int) -> bool:
    parts = (flat[start : start + STEP] for start in range(0, size, STEP))
    return any(part.dtype.kind == "f" and bool(np.isinf(part).any()) for part in parts)


def _check_apart(table: Mapping[str, Any], bases: Mapping[str, Any]) -> None:
    """Refuse what may have been trained in place: its difference from the base would be zero."""
    shared = [key for key, leaf in table.items() if _overlap(key, leaf, bases[key])]
    if shared:
        raise EncodingError(
            f"the update and its base share memory in {first_keys(shared)}: pass a copy of the"
            " base, made before the training (copy.deepcopy)"
        )


def _overlap(key: str, *leaves: Any) -> bool:
    one, other = (adapter_again(key, leaf).memory(leaf) for leaf in leaves)
    if one is None or other is None or one[0] != other[0]:
        return False
    return max(one[1], other[1]) < min(one[2], other[2])


def _flats(table: Mapping[str, Any]) -> dict[str, Flat]:
    return {key: flat_of(key, leaf) for key, leaf in table.items()}


def _untied(leaves: Sequence[LeafSpec], *trees: Mapping[str, Flat]) -> int:
    """Leaves that differ, in one of the trees, from the first leaf of their place."""
    first: dict[tuple[int, int], str] = {}
    count = 0
    for leaf in sorted(leaves, key=lambda leaf: leaf.key):
        if size := size_of(leaf.shape):
            key = first.setdefault((leaf.vector, leaf.start), leaf.key)
            if key != leaf.key:
                count += not all(_equal(flats[leaf.key], flats[key], size) for flats in trees)
    return count


def _equal(one: Flat, other: Flat, size: int) -> bool:
    return all(
        np.array_equal(one[start : start + STEP], other[start : start + STEP])
        for start in range(0, size, STEP)
    )
