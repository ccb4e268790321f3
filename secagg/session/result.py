"""Reads an opened sum as numbers: means, sums, metrics, and how wrong they may be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg.arguments import checked
from secagg.errors import ConfigurationError, LocalProtocolError, ModelMismatch
from secagg.fixed_point import (
    Decoder,
    Noise,
    clip_of,
    decode_integers,
    integers_of,
    mean_error,
    mean_errors,
    mean_integers,
    metric_scale,
    unit_of,
)
from secagg.fixed_point.layout import FLOAT32_LANES
from secagg.params import GatewayId, LeafSpec, RoundParams
from secagg.protocol.counts import counts_of
from secagg.protocol.events import Imprecise
from secagg.pytree import rebuild
from secagg.pytree.leaves import size_of
from secagg.schemes.base import Opened
from secagg.session.precision import (
    NOTHING_KNOWN,
    WARN_ABOVE,
    Known,
    advise,
    movements,
    rounding_to,
    tell,
    torn_ties,
)
from secagg.session.update import Model
from secagg.workers import Workers


@checked()
def bound_in(bounds: Mapping[str, float], key: str) -> float:
    """The bound of one leaf.

    Raises:
        ConfigurationError: no such key is averaged.
    """
    if key not in bounds:
        raise ConfigurationError(f"{key!r} is no key that is averaged")
    return bounds[key]


class Aggregate:
    """What the orchestrator learned in one round.

    Args:
        params: P.
        ids: gateway ids by position.
        opened: the sum over the included set.
        noise: by which its updates may differ from their exact fixed-point sum.
        workers: threads for decoding.
        model: hash of the model that the updates were made on, in a retry too.
        warn_above: relative error of a key's step above which `mean` warns; infinite where noise is
            intended.

    Attributes:
        included: ids in the sum, in the order of the cohort.
        total_weight: sum of their weights, each rounded to its unit.
        relative_error: by real key: rms error over rms of the mean step (of the mean itself without
            base), over the coordinates that moved; 0 where none did, infinite where none could.
            Empty before `mean`.
        integers: by key that is averaged as counters: the largest absolute change of the mean (of
            the mean itself without base). Likewise.
        imprecise: what `mean` warns of.
    """

    def __init__(
        self,
        params: RoundParams,
        ids: Sequence[GatewayId],
        opened: Opened,
        noise: Noise,
        workers: Workers,
        model: bytes,
        warn_above: float = WARN_ABOVE,
    ) -> None:
        self._params = params
        self._model = model
        self._opened = opened
        self._noise = noise
        self._workers = workers
        self._gateways = len(ids)
        self.included: tuple[GatewayId, ...] = tuple(ids[i] for i in sorted(opened.included))
        self.total_weight = opened.total_units * unit_of(params)
        self._warn_above = warn_above
        self._errors = mean_errors(params, len(self.included), self.total_weight, noise)
        self._places: dict[tuple[int, int], float] = {}
        self._told: set[str] = set()
        self.relative_error: dict[str, float] = {}
        self.integers: dict[str, int] = {}
        self.imprecise: tuple[Imprecise, ...] = ()

    def __repr__(self) -> str:
        return f"Aggregate({len(self.included)} of {self._gateways} gateways)"

    def mean(self, template: Any, base: Any = None) -> Any:
        """`rebuilt`, and a `PrecisionWarning` for each setting that would cure `imprecise`, once.

        Args:
            template: as of `rebuilt`.
            base: the announced model, a tree or a `Model`, whose hash is known; None without one.

        Raises:
            ModelMismatch: another model, one where none was announced, or none where one was.
            AggregateOutOfRange: likewise.
        """
        model = Model.averaged(base, self._params.leaves, self._workers)
        if model.hash != self._model:
            raise ModelMismatch("`base` is not the model that this round was announced on")
        model.check()
        tree = self.rebuilt(template, model.tree)
        tell(self.imprecise, self._told, stacklevel=2)
        return tree

    def rebuilt(self, template: Any, base: Any = None, known: Known = NOTHING_KNOWN) -> Any:
        """The weighted mean as a tree: base + sum of weight * (update - base) / total weight.

        Args:
            template: gives containers, dtypes, devices, and the keys that are not averaged.
            base: the tree the updates were encoded against, if any.
            known: for `imprecise` and the bounds of integers.

        Raises:
            AggregateOutOfRange: an integer mean that does not fit its dtype.
        """
        means: dict[int, NDArray[Any]] = {}
        for index, _ in self._params.of_kind("update"):
            means[index] = self._decode(index, self.total_weight, np.float32)
        for index, _ in self._params.of_kind("integers"):
            means[index] = mean_integers(self._integers(index), self._opened.total_units)
        self._look_at(means, known)
        self._places = {}
        unbounded, drift = self._unbounded(), self._drift(known)

        def look(leaf: LeafSpec, values: NDArray[Any]) -> None:
            place = leaf.vector, leaf.start
            if place in unbounded:
                self._places[place] = inf
            elif leaf.vector in self._errors:
                rounded = rounding_to(leaf.dtype, values, based=base is not None)
                self._places[place] = self._errors[leaf.vector].bound + rounded
            else:
                self._places[place] = 0.5 + drift

        return rebuild(template, self._params.leaves, means, base, reuse=True, look=look)

    @checked()
    def bound_of(self, key: str) -> float:
        """Largest absolute error of a coordinate of one leaf of the mean, as its dtype holds it.

        Infinite where something in it may have been clamped.

        Args:
            key: dotted path of an averaged leaf.

        Raises:
            LocalProtocolError: there is no mean yet.
            ConfigurationError: no such key is averaged.
        """
        if not self._places:
            raise LocalProtocolError("the bound depends on the mean: call mean first")
        return bound_in(self.bounds, key)

    @property
    def bounds(self) -> dict[str, float]:
        """`bound_of` every averaged leaf, once there is a mean."""
        return {
            leaf.key: self._places[leaf.vector, leaf.start] if size_of(leaf.shape) else 0.0
            for leaf in self._params.leaves
        }

    def _unbounded(self) -> set[tuple[int, int]]:
        """Places of leaves in which something may have been clamped, or was not read."""
        clamped = self.clamped
        places = Counter(
            (leaf.vector, leaf.start) for leaf in self._params.leaves if size_of(leaf.shape)
        )
        return {
            place
            for place, count in places.items()
            if (count > 1 and "tied leaves" in clamped)
            or ("coordinates" if place[0] in self._errors else "integers") in clamped
        }

    def _look_at(self, means: Mapping[int, NDArray[Any]], known: Known) -> None:
        steps = movements(self._params, means, self._errors, known)
        average = self.total_weight / len(self.included)
        self.relative_error = {key: step.relative for key, step in steps.items()}
        for leaf in self._params.leaves:
            if self._params.vectors[leaf.vector].kind == "integers":
                change = means[leaf.vector][leaf.start : leaf.start + size_of(leaf.shape)]
                self.integers[leaf.key] = int(abs(change).max(initial=0))
        torn = torn_ties(self._params, self.clamped.get("tied leaves", 0))
        self.imprecise = torn + advise(
            self._params, steps, self._gateways, average, self._noise, self._warn_above
        )

    def sum(self) -> dict[str, NDArray[np.float64]]:
        """Weighted sums of what was encoded (update - base), float64 by key."""
        sums: dict[int, NDArray[Any]] = {}
        for index, _ in self._params.of_kind("update"):
            sums[index] = self._decode(index, 1.0, np.float64)
        for index, _ in self._params.of_kind("integers"):
            sums[index] = self._integers(index) * unit_of(self._params)
        empty = np.empty(0)
        return {
            leaf.key: sums.get(leaf.vector, empty)[
                leaf.start : leaf.start + size_of(leaf.shape)
            ].reshape(leaf.shape)
            for leaf in self._params.leaves
        }

    def _decode(self, index: int, divisor: float, dtype: type[Any]) -> NDArray[Any]:
        vector = self._params.vectors[index]
        clip = clip_of(vector, self._params.max_weight)
        largest = clip * (self.total_weight / divisor)  # of a mean, or of a sum
        # one or two lanes carry more than the 24 bits of a float32
        wide = dtype if vector.lanes >= FLOAT32_LANES else np.float64
        out = np.empty(vector.length, wide)
        Decoder(vector, divisor, largest).decode(self._opened.vectors[index], out, self._workers)
        return out

    @property
    def metrics(self) -> dict[str, float]:
        """Sums by name."""
        return {
            metric.name: int(units) / metric_scale(metric.bound, self._gateways)
            for index, _ in self._params.of_kind("metrics")
            for metric, units in zip(self._params.metrics, self._integers(index), strict=True)
        }

    @property
    def clamped(self) -> dict[str, int]:
        """What was beyond its bound or differed, by name of its count; none of them is 0."""
        return {
            entry.name: int(count)
            for index, _ in self._params.of_kind("counts")
            for entry, count in zip(counts_of(self._params), self._integers(index), strict=True)
            if count
        }

    def _integers(self, index: int) -> NDArray[np.int64]:
        return decode_integers(self._params.vectors[index], self._opened.vectors[index])

    @property
    def error(self) -> Noise:
        """Error of a real coordinate of the mean, from the real total weight.

        The dtype of a leaf may round once more. The bound is infinite where something was clamped
        or tied leaves differed: nobody knows how far that was.
        """
        error = mean_error(self._params, len(self.included), self.total_weight, self._noise)
        lost = {"coordinates", "tied leaves"} & self.clamped.keys()
        return Noise(inf, error.rms) if lost else error

    def _drift(self, known: Known) -> float:
        """By which rounding the weights to their unit may move the mean of integers."""
        bound, unit = integers_of(self._params) or 0, unit_of(self._params)
        weights = len(self.included) * unit / 2 if known.drift is None else known.drift
        return 2 * bound * weights / self.total_weight
