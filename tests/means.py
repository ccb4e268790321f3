"""The plain weighted mean, and a result held against it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from secagg.average.outcome import Result
from secagg.pytree import flatten


def plain(updates: Mapping[Any, Any], weights: Mapping[Any, float]) -> dict[str, np.ndarray]:
    """What everybody means by FedAvg, in float64."""
    total = sum(weights[name] for name in updates)
    flat = {name: flatten(each) for name, each in updates.items()}
    return {
        key: sum(weights[name] * flat[name][key].astype(np.float64) for name in updates) / total
        for key in next(iter(flat.values()))
    }


def assert_mean(
    result: Result, updates: Mapping[Any, Any], weights: Mapping[Any, float] | None = None
) -> None:
    """The mean of the included is within its bound and has the dtypes of the updates."""
    shares = {name: 1.0 if weights is None else weights[name] for name in result.included}
    included = {name: updates[name] for name in result.included}
    expected = plain(included, shares)
    for key, leaf in flatten(result.mean).items():
        assert flatten(next(iter(updates.values())))[key].dtype == leaf.dtype
        if leaf.dtype.kind == "f":
            # the dtype of the leaf rounds once more
            slack = float(np.finfo(leaf.dtype).eps) * 2
            assert np.abs(expected[key] - leaf).max() <= result.report.error_bound + slack
        else:
            assert np.array_equal(np.rint(expected[key]).astype(leaf.dtype), leaf)
    assert sum(shares.values()) == result.total_weight
