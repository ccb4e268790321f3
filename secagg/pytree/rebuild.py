"""Builds means into a tree like the template: nesting, dtypes, devices and ties."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg.errors import AggregateOutOfRange
from secagg.params import LeafSpec
from secagg.pytree.leaves import INTEGERS, size_of, whole_numbers
from secagg.pytree.matching import matching
from secagg.pytree.trees import adapter_again, flat_of, held, map_leaves


def rebuild(
    template: Any,
    leaves: Sequence[LeafSpec],
    means: Mapping[int, NDArray[Any]],
    base: Any = None,
    *,
    reuse: bool = False,
    look: Callable[[LeafSpec, NDArray[Any]], None] | None = None,
) -> Any:
    """The averaged tree: base + mean for averaged keys, and the template's own leaves elsewhere.

    Args:
        template: tree that gives containers, dtypes, devices and the keys left out.
        leaves: layout, from `tree_spec`.
        means: by vector: float32 or float64 for reals, int64 (already rounded) for integers.
        base: tree the means are relative to; None takes them as they are.
        reuse: the leaves may live in the memory of `means`, each in a part of its own.
        look: is shown the averaged values of each place before they get their dtype.

    Returns:
        A new tree; tied keys share a leaf, and what is not averaged is the template's leaf itself.

    Raises:
        EncodingError: a template or base without these leaves.
        AggregateOutOfRange: an integer that does not fit its dtype: some upload was garbage.
    """
    template = held(template)
    known = {spec.key for spec in leaves}.__contains__
    table = matching(leaves, template, "template", known)
    bases = None if base is None else matching(leaves, base, "base", known)
    fresh: dict[tuple[int, int], Any] = {}
    result: dict[str, Any] = {}
    for spec in leaves:
        leaf, size = table[spec.key], size_of(spec.shape)
        place = spec.vector, spec.start
        if not size or place not in fresh:
            mean = means[spec.vector][spec.start : spec.start + size]
            if not reuse:
                mean = mean.copy()
            values = _sum(spec, mean, None if bases is None else bases[spec.key])
            if look is not None and size:
                look(spec, values)
            new = adapter_again(spec.key, leaf).like(leaf, values.reshape(spec.shape))
            result[spec.key] = new
            if size:
                fresh[place] = new
        else:
            result[spec.key] = fresh[place]
    return map_leaves(template, result.get)


def _sum(spec: LeafSpec, mean: NDArray[Any], base: Any) -> NDArray[Any]:
    """The mean, added to the base in the wider of their dtypes: in place where it has that one."""
    known = None if base is None else flat_of(spec.key, base)[: len(mean)]
    if not len(mean) or spec.dtype not in INTEGERS:
        if known is None:
            return mean
        in_place = mean.dtype == np.result_type(known, mean)
        return np.asarray(np.add(known, mean, out=mean if in_place else None))
    total = mean.astype(np.int64)
    if known is not None:
        total = total + whole_numbers(known)
    dtype = np.dtype(spec.dtype)
    low, high = (0, 1) if spec.dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    if int(total.min()) < low or int(total.max()) > high:
        raise AggregateOutOfRange(f"the mean of {spec.key!r} does not fit {spec.dtype}")
    return total.astype(dtype)
