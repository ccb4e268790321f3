"""Holds a tree against the leaves of a round: the same keys, shapes and dtypes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from secagg.errors import EncodingError
from secagg.params import LeafSpec
from secagg.pytree.selection import Select
from secagg.pytree.trees import adapter_again, adapter_for, called, chosen, leaves_of

_NAMED = 3
"""Keys that a text names."""


def matching(
    leaves: Sequence[LeafSpec], tree: Any, what: str, select: Select = None
) -> dict[str, Any]:
    """The selected leaves of a tree by key, which are exactly those of the layout.

    Args:
        leaves: layout, from `tree_spec`.
        tree: nested arrays.
        what: its name in errors.
        select: as given to `tree_spec`; the keys it leaves out may be anything.

    Raises:
        EncodingError: missing or unexpected keys, another shape or dtype.
    """
    everything = leaves_of(tree)
    table = chosen(everything, select)
    expected = {leaf.key for leaf in leaves}
    missing, extra = expected - table.keys(), table.keys() - expected
    if missing:
        for key, leaf in everything:
            if not key or any(each.startswith(key + ".") for each in missing):
                adapter_for(key, leaf)  # no array but a Module, say: told with its own way out
        cure = _prefix(missing, {key for key, _ in everything}, what)
        raise EncodingError(f"the {what} lacks keys: {first_keys(missing)}{cure}", key=min(missing))
    if extra:
        raise EncodingError(f"the {what} has extra keys: {first_keys(extra)}", key=min(extra))
    for leaf in leaves:
        adapter = adapter_again(leaf.key, table[leaf.key])
        found = adapter.shape(table[leaf.key]), adapter.dtype_name(table[leaf.key])
        if found != (leaf.shape, leaf.dtype):
            raise EncodingError(
                f"{called(leaf.key)} of the {what} is {found[1]}{list(found[0])}, the model has"
                f" {leaf.dtype}{list(leaf.shape)}",
                key=leaf.key,
            )
    return table


def first_keys(keys: Collection[str]) -> str:
    """The first of some keys, for a text."""
    return ", ".join(key or called(key) for key in sorted(keys)[:_NAMED]) + (
        ", ..." if len(keys) > _NAMED else ""
    )


def _prefix(missing: Collection[str], keys: Collection[str], what: str) -> str:
    """What is to be done where all keys lack one prefix, or have one too many: of a wrapper."""
    one = min(missing)
    for key in sorted(keys):
        begin = key.removesuffix(one)
        wrapped = all(each.startswith(begin) for each in keys)
        if begin != key and wrapped and all(begin + each in keys for each in missing):
            return f"; its keys begin with {begin!r}: pass the inner module's state_dict()"
        begin = one.removesuffix(key)
        if key and begin != one and {each.removeprefix(begin) for each in missing} <= set(keys):
            return (
                f"; the model's keys begin with {begin!r}, those of the {what} do not:"
                " make the template of the inner module's state_dict()"
            )
    return ""
