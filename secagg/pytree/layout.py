"""Decides where the leaves of a tree lie in the vectors of an upload."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from secagg.arguments import checked
from secagg.errors import ConfigurationError, EncodingError
from secagg.params import LeafSpec
from secagg.pytree.leaves import INTEGERS, size_of
from secagg.pytree.matching import first_keys
from secagg.pytree.selection import SELECT_CURE, Select, deciding, patterns_of, selection
from secagg.pytree.trees import adapter_for, called, chosen, held, leaves_of

_TIED: Final = "; the template holds one array under both: if they are two, pass copies"


@dataclass(frozen=True, slots=True)
class Group:
    """One vector that leaves lie in.

    Attributes:
        name: "update/0", "update/1", ... for reals, "integers".
        length: coordinates, tied leaves counted once.
        clip: bound of abs(coordinate) for reals, None for integers.
    """

    name: str
    length: int
    clip: float | None


@checked(select=SELECT_CURE)
def tree_spec(
    tree: Any, *, clips: float | Mapping[str, float], select: Select = None
) -> tuple[tuple[LeafSpec, ...], tuple[Group, ...]]:
    """Lays out a tree: reals in one vector for each distinct clip, integers and bools in one more.

    Args:
        tree: template, usually the global model.
        clips: one bound, or bounds by name or pattern of keys: a key's own name decides, else the
            first pattern that matches it.
        select: keys to average; nothing is asked of the leaves left out.

    Returns:
        The leaves in order, and the vectors: `LeafSpec.vector` is an index into them. Leaves
        without coordinates have vector 0.

    Raises:
        ConfigurationError: a pattern that decides nothing, a real key without a clip, or no key.
        EncodingError: as for `flatten`, or containers that cannot be built again.
    """
    everything = leaves_of(held(tree))
    table = chosen(everything, select)
    _check_select(everything, table, select)
    clip_of_key = _clips_by_key(table, clips)
    kinds: list[float | None] = list(dict.fromkeys(clip_of_key.values()))
    if any(key not in clip_of_key and _size(key, leaf) for key, leaf in table.items()):
        kinds.append(None)
    if not kinds:
        raise EncodingError("the arrays of the tree are empty: there is nothing to average")
    lengths = [0] * len(kinds)
    tied: dict[Hashable, LeafSpec] = {}
    leaves: list[LeafSpec] = []
    for key, leaf in table.items():
        adapter, size = adapter_for(key, leaf), _size(key, leaf)
        vector = kinds.index(clip_of_key.get(key)) if size else 0
        spec = LeafSpec(
            key=key,
            shape=adapter.shape(leaf),
            dtype=adapter.dtype_name(leaf),
            vector=vector,
            start=lengths[vector] if size else 0,
        )
        if size:
            first = tied.setdefault(adapter.storage_id(leaf), spec)
            if first.vector != vector:
                raise ConfigurationError(
                    f"{first.key!r} and {key!r} are tied: give them one clip{_TIED}"
                )
            if first is spec:
                lengths[vector] += size
            else:
                spec = msgspec.structs.replace(spec, start=first.start)
        leaves.append(spec)
    names = ["integers" if clip is None else f"update/{i}" for i, clip in enumerate(kinds)]
    return tuple(leaves), tuple(map(Group, names, lengths, kinds))


def _check_select(
    everything: Sequence[tuple[str, Any]], table: Mapping[str, Any], select: Select
) -> None:
    has = f"the tree, which has {first_keys([key for key, _ in everything])}"
    if not table:
        if not everything[0][0]:
            adapter_for(*everything[0])  # no tree at all: told with its own way out
        raise ConfigurationError(f"select matches no key of {has}")
    if select is None:
        return
    if not callable(select):
        keys = {key for key, _ in everything}
        for entry in patterns_of(select):
            if not any(map(selection(keys, entry), table)):
                raise ConfigurationError(f"pattern {entry!r} of select matches no key of {has}")
    storage = {_storage(key, leaf): key for key, leaf in table.items()}
    for key, leaf in everything:
        place = None if key in table else _storage(key, leaf)
        if place is not None and place in storage:
            other = storage[place]
            raise ConfigurationError(
                f"{other!r} and {key!r} are tied: select both or neither{_TIED}"
            )


def _storage(key: str, leaf: Any) -> Hashable:
    """Of a leaf that could be averaged; what is left out may be anything."""
    try:
        return adapter_for(key, leaf).storage_id(leaf) if _size(key, leaf) else None
    except EncodingError:
        return None


def _clips_by_key(table: Mapping[str, Any], clips: float | Mapping[str, float]) -> dict[str, float]:
    """The clip of every real leaf that has coordinates."""
    by_pattern = clips if isinstance(clips, Mapping) else {"*": clips}
    decided: dict[str, float] = {}
    unused = set(by_pattern) - {"*"}
    for key, leaf in table.items():
        pattern = deciding(key, by_pattern)
        unused.discard(str(pattern))
        if adapter_for(key, leaf).dtype_name(leaf) in INTEGERS or not _size(key, leaf):
            continue
        if pattern is None:
            raise ConfigurationError(
                f"no clip for {called(key)}: add its pattern, or '*' as the last"
            )
        decided[key] = float(by_pattern[pattern])
    if unused:
        raise ConfigurationError(
            f"clip pattern {min(unused)!r} decides no key: none matches, or an earlier pattern does"
        )
    return decided


def _size(key: str, leaf: Any) -> int:
    return size_of(adapter_for(key, leaf).shape(leaf))
