"""Reads an opened sum as numbers: means, sums, metrics, error bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg.fixed_point import (
    Decoder,
    Noise,
    clip_of,
    decode_integers,
    mean_error,
    mean_integers,
    metric_scale,
    unit_of,
)
from secagg.fixed_point.layout import FLOAT32_LANES
from secagg.params import GatewayId, RoundParams
from secagg.protocol.counts import counts_of
from secagg.pytree import rebuild
from secagg.schemes.base import Opened
from secagg.workers import Workers


class Aggregate:
    """What the orchestrator learned in one round.

    Args:
        params: P.
        ids: gateway ids by position.
        opened: the sum over the included set.
        noise: by which its updates may differ from their exact fixed-point sum.
        workers: threads for decoding.
    """

    def __init__(
        self,
        params: RoundParams,
        ids: Sequence[GatewayId],
        opened: Opened,
        noise: Noise,
        workers: Workers,
    ) -> None:
        self._params = params
        self._opened = opened
        self._noise = noise
        self._workers = workers
        self._gateways = len(ids)
        self.included: tuple[GatewayId, ...] = tuple(ids[i] for i in sorted(opened.included))
        self.total_weight = opened.total_units * unit_of(params)

    def __repr__(self) -> str:
        return f"Aggregate({len(self.included)} of {self._gateways} gateways)"

    def mean(self, template: Any, base: Any = None) -> Any:
        """The weighted mean as a tree: base + sum of weight * (update - base) / total weight.

        Args:
            template: gives containers, dtypes, devices, and the keys that are not averaged.
            base: the tree the updates were encoded against, if any.

        Raises:
            AggregateOutOfRange: an integer mean that does not fit its dtype.
        """
        means: dict[int, NDArray[Any]] = {}
        for index, _ in self._params.of_kind("update"):
            means[index] = self._decode(index, self.total_weight, np.float32)
        for index, _ in self._params.of_kind("integers"):
            means[index] = mean_integers(self._integers(index), self._opened.total_units)
        return rebuild(template, self._params.leaves, means, base, reuse=True)

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
                leaf.start : leaf.start + int(np.prod(leaf.shape, dtype=np.int64))
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
        """Error of a real coordinate of the mean, from the real total weight."""
        return mean_error(self._params, len(self.included), self.total_weight, self._noise)
