"""The opened sum as numbers: means, sums, metrics, error bounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import hypot
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg.fixed_point import (
    Decoder,
    clip_of,
    decode_integers,
    error_bound,
    mean_integers,
    rms_error,
)
from secagg.params import WEIGHT_FRACTION_BITS, GatewayId, RoundParams, VectorSpec
from secagg.pytree import rebuild
from secagg.schemes.base import Opened
from secagg.workers import Workers


class Aggregate:
    """What the orchestrator learned in one round.

    Args:
        params: P.
        ids: gateway ids by position.
        opened: the sum over the included set.
        workers: threads for decoding.
    """

    def __init__(
        self, params: RoundParams, ids: Sequence[GatewayId], opened: Opened, workers: Workers
    ) -> None:
        self._params = params
        self._opened = opened
        self._workers = workers
        self.included: tuple[GatewayId, ...] = tuple(ids[i] for i in sorted(opened.included))
        self.total_weight = opened.total_units / 2**WEIGHT_FRACTION_BITS

    def mean(self, template: Any, base: Any = None) -> Any:
        """The weighted mean as a tree: base + sum of weight * (update - base) / total weight.

        Args:
            template: gives containers, dtypes, devices, and the keys that are not averaged.
            base: the tree the updates were encoded against, if any.

        Raises:
            AggregateOutOfRange: an integer mean that does not fit its dtype.
        """
        means: dict[int, NDArray[Any]] = {}
        for index, vector in enumerate(self._params.vectors):
            if vector.name.startswith("update/"):
                means[index] = self._decode(index, self.total_weight, np.float32)
            elif vector.name == "integers":
                sums = decode_integers(vector, self._opened.vectors[index])
                means[index] = mean_integers(sums, self._opened.total_units)
        return rebuild(template, self._params.leaves, means, base, reuse=True)

    def sum(self) -> dict[str, NDArray[np.float64]]:
        """Weighted sums of what was encoded (update - base), float64 by key."""
        sums: dict[int, NDArray[np.float64]] = {}
        for index, vector in enumerate(self._params.vectors):
            if vector.name.startswith("update/"):
                sums[index] = self._decode(index, 1.0, np.float64)
            elif vector.name == "integers":
                units = decode_integers(vector, self._opened.vectors[index])
                sums[index] = units / 2.0**WEIGHT_FRACTION_BITS
        empty = np.empty(0)
        return {
            leaf.key: sums.get(leaf.vector, empty)[
                leaf.start : leaf.start + int(np.prod(leaf.shape, dtype=np.int64))
            ].reshape(leaf.shape)
            for leaf in self._params.leaves
        }

    def _decode(self, index: int, divisor: float, dtype: type[Any]) -> NDArray[Any]:
        vector = self._params.vectors[index]
        # one or two lanes carry more than the 24 bits of a float32
        wide = dtype if vector.lanes >= 3 else np.float64
        out = np.empty(vector.length, wide)
        Decoder(vector, divisor).decode(self._opened.vectors[index], out, self._workers)
        return out

    @property
    def metrics(self) -> dict[str, float]:
        """Sums by name."""
        specs = self._params.metrics
        if not specs:
            return {}
        vector, units = self._integers("metrics")
        return {spec.name: int(u) / vector.scale for spec, u in zip(specs, units, strict=True)}

    @property
    def clipped(self) -> int:
        """Coordinates that saturated, summed over gateways; 0 where clipping is an error."""
        if self._params.clipping == "error":
            return 0
        return int(self._integers("clipped")[1][0])

    def _integers(self, name: str) -> tuple[VectorSpec, NDArray[np.int64]]:
        index = next(i for i, v in enumerate(self._params.vectors) if v.name == name)
        vector = self._params.vectors[index]
        return vector, decode_integers(vector, self._opened.vectors[index])

    @property
    def error_bound(self) -> float:
        """Largest absolute error of a real coordinate of the mean, from the real total weight."""
        return self._largest(
            lambda vector: (
                error_bound(
                    vector,
                    len(self.included),
                    self.total_weight,
                    self._params.max_weight,
                    float64=vector.lanes < 3,
                )
                + self._opened.noise.bound / (vector.scale * self.total_weight)
            )
        )

    @property
    def rms_error(self) -> float:
        """Root mean square of the error of a real coordinate of the mean: rounding and noise."""
        return self._largest(
            lambda vector: hypot(
                rms_error(vector, len(self.included), self.total_weight),
                self._opened.noise.rms / (vector.scale * self.total_weight),
            )
        )

    @property
    def exact(self) -> bool:
        """Whether the sum is the exact fixed-point sum of what was encoded."""
        reals = any(vector.name.startswith("update/") for vector in self._params.vectors)
        return not reals or self._opened.noise.bound == 0

    @property
    def clip(self) -> float:
        """Largest clip of any vector."""
        return self._largest(lambda vector: clip_of(vector, self._params.max_weight))

    def _largest(self, question: Callable[[VectorSpec], float]) -> float:
        vectors = (v for v in self._params.vectors if v.name.startswith("update/"))
        return max(map(question, vectors), default=0.0)
