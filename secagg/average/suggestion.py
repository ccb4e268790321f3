"""Looks at the updates of a dry run, and suggests settings under which no key is lost in noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, inf, isfinite, log2, sqrt
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg.average.inputs import Inputs, UpdateSource
from secagg.average.planner import scheme_or_auto
from secagg.average.recipe import SecureAverage
from secagg.errors import ConfigurationError, EncodingError
from secagg.fixed_point import relative_rms
from secagg.fixed_point.layout import MIN_CLIP, USUAL_WEIGHT
from secagg.fixed_point.units import real_of
from secagg.params import GatewayId, LeafSpec
from secagg.pytree import Reader, Select, tree_spec
from secagg.pytree.leaves import INTEGERS, size_of
from secagg.schemes.masks import Masks
from secagg.schemes.scheme import Scheme
from secagg.session.clips import clip_entries, fewest_clips
from secagg.session.loopback import Name
from secagg.session.precision import WARN_ABOVE, grain
from secagg.session.update import Model
from secagg.thresholds import MIN_GATEWAYS

_PRECISIONS: Final = tuple(2.0**-bits for bits in (*range(12, 45), *range(11, -1, -1)))
"""The default, finer ones up to what no scheme reaches; then, for narrow lanes, coarser ones."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Settings for `SecureAverage`; as text they are the call.

    Attributes:
        clip: one bound, or bounds by key or pattern of keys; two to four times the largest
            coordinate that was seen.
        max_weight: the largest weight that was seen.
        precision: the coarsest power of two that serves, 2^-12 or finer.
        others: settings that the suggestion is for: scheme and select, where they were given.
        weak: keys whose error stays above 2% of their step, with any precision of this scheme.
    """

    clip: float | dict[str, float]
    max_weight: float
    precision: float
    others: Mapping[str, Any] = field(default_factory=dict)
    weak: tuple[str, ...] = ()

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments of `SecureAverage`."""
        return {
            "clip": self.clip,
            "max_weight": self.max_weight,
            "precision": self.precision,
            **self.others,
        }

    def __str__(self) -> str:
        bits = int(log2(self.precision))
        shown = {name: repr(value) for name, value in self.settings.items()}
        shown |= {"precision": f"2**{bits}"}
        call = f"SecureAverage({', '.join(f'{name}={value}' for name, value in shown.items())})"
        weak = f"  # above {WARN_ABOVE:.0%} all the same: {', '.join(self.weak)}"
        return call + (weak if self.weak else "")


@dataclass(slots=True)
class _Seen:
    """What a dry run did to one key.

    Attributes:
        largest: absolute coordinate of one gateway.
        rms: of the mean step, over the coordinates that moved.
    """

    largest: float = 0.0
    rms: float = 0.0

    @property
    def least(self) -> float:
        """A clip that holds it: the power of two from twice the largest on."""
        return max(2.0 ** ceil(log2(2 * self.largest)), MIN_CLIP)

    def most(self, error: float) -> float:
        """The clip from which on noise is too much of it; `error` is that of a clip of 1."""
        return WARN_ABOVE / 2 * self.rms / error if self.rms else inf


def suggest(
    updates: Mapping[Name, UpdateSource],
    base: Any = None,
    weights: Mapping[Name, float] | None = None,
    *,
    gateways: int | None = None,
    scheme: Scheme | str | None = None,
    select: Select = None,
) -> Suggestion:
    """Settings for rounds like a dry run, of few clips, with every key's error at 1% of its step.

    Nothing is sent. What it says depends on the updates: give it those that you may look at.

    Args:
        updates: id -> tree, or a function that returns it; one is enough.
        base: the global model that they were trained on, if the rounds will have one.
        weights: id -> weight; 1 each by default.
        gateways: n of the rounds; as many as there are updates, if not given.
        scheme: as of `SecureAverage`.
        select: likewise.

    Raises:
        ConfigurationError: no updates, or too many gateways for the scheme.
        EncodingError: a tree that cannot be averaged; names the gateway.
    """
    inputs = Inputs(updates, weights, None)
    SecureAverage(clip=1.0, scheme=scheme, select=select)  # refuses what is neither
    chosen, tree = scheme_or_auto(scheme), base.tree if isinstance(base, Model) else base
    template = inputs.ahead(inputs.ids[0]) if tree is None else tree
    leaves, _ = tree_spec(template, clips=1.0, select=select)
    heavy = {name: _weight(inputs, name) for name in inputs.ids}
    seen = _look(inputs, heavy, leaves, tree, select)
    cap, average = max(heavy.values()), sum(heavy.values()) / len(heavy)
    n = max(len(heavy), MIN_GATEWAYS) if gateways is None else gateways
    carrier = Masks() if isinstance(chosen, str) else chosen
    carrier.thresholds(n)
    for each in seen.values():  # of more gateways the mean step is smaller, where they differ
        each.rms *= min(1.0, sqrt(len(heavy) / n))
    first = {(leaf.vector, leaf.start): seen[leaf.key] for leaf in leaves if leaf.key in seen}
    for leaf in leaves:  # tied keys take one clip
        if size_of(leaf.shape) and (leaf.vector, leaf.start) in first:
            seen[leaf.key] = first[leaf.vector, leaf.start]
    precision, error = _precision(carrier, n, cap, average, seen)
    given = {"scheme": scheme, "select": select}
    return Suggestion(
        clip=_clips(seen, error),
        max_weight=cap,
        precision=precision,
        others={name: value for name, value in given.items() if value is not None},
        weak=tuple(key for key, each in seen.items() if each.most(error) < each.least / 2),
    )


def _weight(inputs: Inputs, name: GatewayId) -> float:
    try:
        weight = real_of(inputs.weight(name))
    except TypeError:
        weight = 0.0
    if not 0 < weight < inf:
        error = EncodingError("the weight is no number above 0")
        error.gateway = name
        raise error
    return weight


def _look(
    inputs: Inputs,
    weights: Mapping[Any, float],
    leaves: Sequence[LeafSpec],
    base: Any,
    select: Select,
) -> dict[str, _Seen]:
    """Every real key that has coordinates."""
    seen: dict[str, _Seen] = {}
    total: dict[str, NDArray[np.float64]] = {}
    reals = [leaf for leaf in leaves if leaf.dtype not in INTEGERS]
    for name, weight in weights.items():
        try:
            reader = Reader(leaves, inputs.take(name), base, select=select)
            reader.take_infinities()
            for key, start, stop in reader.places(reals[0].vector) if reals else ():
                values = np.empty(stop - start)
                reader.read(reals[0].vector, start, stop, values)
                largest = max(float(values.max()), -float(values.min()))
                if not isfinite(largest):
                    raise EncodingError(f"{key!r} has coordinates that are NaN or infinite")
                found = seen.setdefault(key, _Seen())
                found.largest = max(found.largest, largest)
                total[key] = total.get(key, np.zeros(())) + weight * values
        except EncodingError as error:
            error.gateway = name
            raise
    for key, found in seen.items():
        moved = int(np.count_nonzero(total[key]))
        norm = float(np.linalg.norm(total[key])) / sum(weights.values())
        found.rms = norm / sqrt(moved) if moved else 0.0
    least = _grains(leaves, base, select) if reals and base is not None else {}
    return {key: found for key, found in seen.items() if found.largest > least.get(key, 0.0)}


def _grains(leaves: Sequence[LeafSpec], base: Any, select: Select) -> dict[str, float]:
    """By real key, a step that is no more than what arithmetic leaves behind."""
    reader = Reader(leaves, base, None, select=select)
    found = {}
    for leaf in (each for each in leaves if each.dtype not in INTEGERS):
        values = np.empty(size_of(leaf.shape))
        reader.read(leaf.vector, leaf.start, leaf.start + len(values), values)
        found[leaf.key] = grain(leaf.dtype, values)
    return found


def _precision(
    scheme: Scheme, gateways: int, cap: float, average: float, seen: Mapping[str, _Seen]
) -> tuple[float, float]:
    """The coarsest that serves all keys, else the finest there is; and the error of a clip of 1."""
    reached: list[tuple[float, float]] = []
    refused: list[ConfigurationError] = []
    for precision in _PRECISIONS:
        try:
            plan = scheme.plan_update(gateways, cap, precision)
        except ConfigurationError as reason:
            refused.append(reason)
            continue
        error = relative_rms(plan.limit, gateways, plan.noise) * USUAL_WEIGHT * cap / average
        reached.append((precision, error))
        if all(each.least <= each.most(error) for each in seen.values()):
            return reached[-1]
    if not reached:
        raise refused[0]
    return min(reached, key=lambda each: each[1])


def _clips(seen: Mapping[str, _Seen], error: float) -> float | dict[str, float]:
    """The fewest clips under which no key drowns; the usual one comes last."""
    ranges = {key: (each.least, max(each.least, each.most(error))) for key, each in seen.items()}
    words: dict[str, list[str]] = {}
    for key in ranges:
        words.setdefault(key.rpartition(".")[2], []).append(key)
    for keys in words.values():  # what has one word gets one clip, where there is one for all
        least, most = max(ranges[key][0] for key in keys), min(ranges[key][1] for key in keys)
        if least <= most:
            ranges |= dict.fromkeys(keys, (least, most))
    groups = [keys for _, keys in fewest_clips(ranges)]
    if not groups:
        return 1.0
    clips = {key: max(seen[each].least for each in keys) for keys in groups for key in keys}
    usual = clips[max(groups, key=lambda keys: (len(keys), clips[keys[0]]))[0]]
    return clip_entries(clips, usual) if len(groups) > 1 else usual
