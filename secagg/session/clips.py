"""Holds an update against the gateway's own clips, and says what would fit."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import partial
from itertools import groupby
from math import frexp
from typing import Final

from secagg.errors import Beyond, EncodingError
from secagg.fixed_point import check_range
from secagg.fixed_point.layout import CLIP_SLACK
from secagg.params import RoundParams
from secagg.pytree import Reader, called
from secagg.pytree.leaves import size_of

_NAMED: Final = 10
"""Keys that a text names; all others are counted."""


def check_clips(params: RoundParams, reader: Reader, clips: Mapping[str, float]) -> int:
    """Look at every coordinate once, before anything is encoded.

    Args:
        params: P.
        reader: of the update.
        clips: by key: the gateway's own, so that P does not decide what is refused.

    Returns:
        Coordinates beyond their clip; 0 unless P says that they saturate.

    Raises:
        EncodingError: NaN or infinity, or beyond clip: names keys and counts, its table has values.
    """
    beyond, not_finite = _look(params, reader, clips)
    if not_finite and reader.take_infinities():
        beyond, not_finite = _look(params, reader, clips)
    if not_finite or (beyond and params.clipping == "error"):
        raise _refusal(params, reader, clips)
    return beyond


def _look(params: RoundParams, reader: Reader, clips: Mapping[str, float]) -> tuple[int, int]:
    """Coordinates beyond their clip, and those that are not finite."""
    beyond = not_finite = 0
    for index, _ in params.of_kind("update"):
        for clip, start, stop in _runs(reader.places(index), clips):
            found = check_range(partial(reader.read, index), start, stop, _bound(clip))
            beyond += found.beyond
            not_finite += found.not_finite
    return beyond, not_finite


def _bound(clip: float) -> float:
    return clip * (1 + CLIP_SLACK)


def _runs(
    places: list[tuple[str, int, int]], clips: Mapping[str, float]
) -> Iterator[tuple[float, int, int]]:
    """Neighbours with one clip, together: (clip, start, stop)."""
    for clip, run in groupby(places, lambda place: clips[place[0]]):
        neighbours = list(run)
        yield clip, neighbours[0][1], neighbours[-1][2]


def _refusal(params: RoundParams, reader: Reader, clips: Mapping[str, float]) -> EncodingError:
    """The error, with all keys at once: a second look, for the first does not know them."""
    beyond: dict[str, Beyond] = {}
    not_finite: dict[str, int] = {}
    for index, _ in params.of_kind("update"):
        for key, start, stop in reader.places(index):
            read = partial(reader.read, index)
            found = check_range(read, start, stop, _bound(clips[key]))
            if found.not_finite:
                not_finite[key] = found.not_finite
            if found.beyond:
                beyond[key] = Beyond(found.beyond, found.largest, clips[key])
    if not_finite:
        count = sum(not_finite.values())
        text = f"{count} coordinates are NaN or infinite in float32: in {_names(not_finite)}"
        if not reader.based:
            text += "; infinite buffers take a `base` that has them too"
        key, count = next(iter(not_finite.items()))
        return EncodingError(text, beyond=beyond, key=key, count=count)
    counts = {key: each.count for key, each in beyond.items()}
    count = sum(counts.values())
    return EncodingError(
        f"{count} coordinates are beyond their clip: in {_names(counts)}; the error's table() has"
        " the values and a clip that fits, and clipping='saturate' clamps them",
        beyond=beyond,
        cure=clip_table(params, clips, {key: _above(each.largest) for key, each in beyond.items()}),
    )


def _names(counts: Mapping[str, int]) -> str:
    """The keys, each with its count where there are several."""
    several = len(counts) > 1
    named = [f"{called(key)} ({n})" if several else called(key) for key, n in counts.items()]
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    return ", ".join(named[:_NAMED]) + more


def clip_table(
    params: RoundParams, clips: Mapping[str, float], changed: Mapping[str, float]
) -> str:
    """A clip for every key, as a line of Python; the usual one of those that stay comes last.

    Args:
        params: P.
        clips: by key, as they are.
        changed: by key, those that shall be others.
    """
    wanted: dict[str, float] = {}
    places: dict[tuple[int, int], str] = {}
    for leaf in sorted(params.leaves, key=lambda leaf: leaf.key):
        if leaf.key in clips and size_of(leaf.shape):
            first = places.setdefault((leaf.vector, leaf.start), leaf.key)  # tied: one clip
            wanted[leaf.key] = changed.get(first, clips[leaf.key])
    kept = Counter(clip for key, clip in wanted.items() if clip == clips[key])
    usual = kept.most_common(1)[0][0] if kept else None
    return f"clip={clip_entries(wanted, usual)}"


def clip_entries(wanted: Mapping[str, float], usual: float | None) -> dict[str, float]:
    """Clips by the last word of keys where that decides for several, else by key.

    Args:
        wanted: by key, of all real keys.
        usual: what "*" gives, at the end; None: every key has an entry.
    """
    table: dict[str, float] = {}
    for key, clip in wanted.items():
        word = "*." + key.rpartition(".")[2]
        alike = [each for each in wanted if fnmatchcase(each, word)]
        shared = len(alike) > 1 and key in alike and all(wanted[each] == clip for each in alike)
        if clip != usual:
            # an entry is a pattern: what patterns read as more than itself is put in brackets
            table[word if shared else re.sub(r"([*?[])", r"[\1]", key)] = clip
    return table if usual is None else table | {"*": usual}


def fewest_clips(between: Mapping[str, tuple[float, float]]) -> list[tuple[float, list[str]]]:
    """The fewest clips of which each key has one in its range, and the keys of each.

    Args:
        between: least and largest clip of a key; the least is at most the largest.
    """
    found: list[tuple[float, list[str]]] = []
    left = sorted(between, key=lambda key: between[key][1])
    while left:
        top = between[left[0]][1]
        found.append((top, [key for key in left if between[key][0] <= top]))
        left = [key for key in left if between[key][0] > top]
    return found


def _above(value: float) -> float:
    mantissa, exponent = frexp(value)
    return float(2.0 ** (exponent - (mantissa == 0.5)))
