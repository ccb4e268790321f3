"""Computes the plaintext FedAvg mean, with the interface of `secagg.SecureAverage.run`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedavg.learning import State
from fedavg.phases import BEFORE
from secagg.average import PhaseCost
from secagg.errors import BelowThreshold
from secagg.params import GatewayId
from secagg.protocol.events import GatewayDropped
from secagg.protocol.messages import DropReason

Update = State | Callable[[], State]
"""A state, or a function that trains one when it is called."""


@dataclass(frozen=True, slots=True)
class PlainReport:
    """What a plain mean costs: every gateway sends its whole state and receives nothing more.

    Nothing is encoded: no error, no saturated coordinate, no phase of a protocol.
    """

    bytes_up: int
    bytes_down: int = 0
    error_bound: float = 0.0
    clipped: int = 0
    warnings: tuple[str, ...] = ()
    phases: tuple[PhaseCost, ...] = ()


@dataclass(frozen=True, slots=True)
class PlainResult:
    """The mean and whom it is of, under the names of `secagg.Result`."""

    mean: State
    sum: dict[str, NDArray[np.float64]]
    total_weight: float
    included: tuple[GatewayId, ...]
    dropped: dict[GatewayId, GatewayDropped]
    metrics: dict[str, float]
    report: PlainReport


def weighted_mean(
    states: Mapping[GatewayId, Update],
    weights: Mapping[GatewayId, float],
    base: State | None = None,
) -> State:
    """The base + sum of weight * (state - base) / sum of weights, in float64.

    One state is alive at a time. Without a base the states themselves are averaged. Integers are
    exact below 2^53, their mean is rounded half to even.
    """
    return _mean(*_sums(states, weights, base), sum(weights[name] for name in states), base)


def _sums(
    states: Mapping[GatewayId, Update], weights: Mapping[GatewayId, float], base: State | None
) -> tuple[dict[str, Tensor], dict[str, torch.dtype]]:
    """Sums of weight * (state - base) in float64, and the dtypes of the leaves."""
    sums: dict[str, Tensor] = {}
    dtypes: dict[str, torch.dtype] = {}
    for name, update in states.items():
        state = update() if callable(update) else update
        for key, value in state.items():
            change = value.double() if base is None else value.double() - base[key].double()
            share = change * weights[name]
            sums[key] = sums[key] + share if key in sums else share
            dtypes[key] = value.dtype
    return sums, dtypes


def _mean(
    sums: Mapping[str, Tensor],
    dtypes: Mapping[str, torch.dtype],
    total: float,
    base: State | None,
) -> State:
    return {
        key: _restored(value / total, dtypes[key], None if base is None else base[key])
        for key, value in sums.items()
    }


def _restored(change: Tensor, dtype: torch.dtype, start: Tensor | None) -> Tensor:
    step = change if dtype.is_floating_point else change.round()
    return (step if start is None else start.double() + step).to(dtype)


class PlainAverage:
    """Aggregates in the clear: what secure aggregation is compared with."""

    def run(
        self,
        updates: Mapping[GatewayId, Update],
        weights: Mapping[GatewayId, float] | None = None,
        *,
        base: State | None = None,
        metrics: Mapping[GatewayId, Mapping[str, float]] | None = None,
        vanish: Mapping[GatewayId, str] | None = None,
        rounding_seed: bytes | None = None,
    ) -> PlainResult:
        """The weighted mean over all gateways that do not vanish in a phase of `BEFORE`.

        `rounding_seed` has no effect: nothing is rounded.

        Raises:
            BelowThreshold: nobody is left.
        """
        del rounding_seed
        vanish = vanish or {}
        included = tuple(name for name in updates if vanish.get(name) not in BEFORE)
        dropped = {
            name: GatewayDropped(name, phase, DropReason.SILENT) for name, phase in vanish.items()
        }
        if not included:
            error = BelowThreshold(0, 1, BEFORE[-1], asked=len(updates))
            error.dropped = dropped
            raise error
        weights = weights or dict.fromkeys(updates, 1.0)
        total = sum(weights[name] for name in included)
        sums, dtypes = _sums({name: updates[name] for name in included}, weights, base)
        mean = _mean(sums, dtypes, total, base)
        size = sum(value.nbytes for value in mean.values())
        return PlainResult(
            mean=mean,
            sum={key: value.cpu().numpy() for key, value in sums.items()},
            total_weight=total,
            included=included,
            dropped=dropped,
            metrics=_summed([metrics[name] for name in included]) if metrics else {},
            report=PlainReport(bytes_up=size),
        )


def _summed(metrics: list[Mapping[str, float]]) -> dict[str, float]:
    return {name: sum(each[name] for each in metrics) for name in metrics[0]}
