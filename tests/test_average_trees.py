"""What may be averaged: patterns, buffers, saturation, metrics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from secagg import SecureAverage
from secagg.errors import EncodingError, PrecisionWarning

IDS = ("a", "b", "c", "d")


def test_clips_by_pattern_each_have_their_bound() -> None:
    draw = np.random.default_rng(0)
    updates = {
        name: {
            "fine.w": draw.uniform(-0.01, 0.01, 50),
            "coarse.w": draw.uniform(-100, 100, 50),
            "other": draw.uniform(-1, 1, 50),
        }
        for name in IDS
    }
    average = SecureAverage(clip={"fine.*": 0.01, "*.w": 100.0, "*": 1.0})
    result = average.run(updates)
    params = result.report.audit.round.params
    units = {leaf.key: 1 / params.vectors[leaf.vector].scale for leaf in params.leaves}

    assert 3 == len({leaf.vector for leaf in params.leaves})
    for key, unit in units.items():
        expected = sum(each[key] for each in updates.values()) / 4
        # one unit for each gateway, divided by the total weight
        assert np.abs(expected - result.mean[key]).max() <= 1.01 * unit
    assert units["fine.w"] == pytest.approx(units["coarse.w"] / 10_000)


@pytest.mark.parametrize("select", [["head.*", "bias"], "[hb][ei]*", lambda key: key != "body"])
def test_keys_left_out_keep_the_base(select: Any) -> None:
    base = {"head": {"w": np.zeros(3)}, "bias": np.zeros(2), "body": np.full(4, 9.0)}
    updates = {
        # what is left out may be anything, NaN included
        name: {"head": {"w": np.full(3, 0.5)}, "bias": np.ones(2), "body": np.full(4, np.nan)}
        for name in IDS
    }
    result = SecureAverage(clip=1.0, select=select).run(updates, base=base)

    bound = result.report.error_bound
    assert np.abs(result.mean["head"]["w"] - 0.5).max() <= bound
    assert np.abs(result.mean["bias"] - 1.0).max() <= bound
    assert result.mean["body"] is base["body"]
    assert {"head.w", "bias"} == set(result.sum)


def test_saturation_clips_and_counts() -> None:
    updates = {name: {"w": np.array([0.5, 2.0, -3.0, 0.0])} for name in IDS}
    updates["d"]["w"] = np.array([0.5, 0.9, -0.9, -1e9])
    result = SecureAverage(clip=1.0, clipping="saturate").run(updates)
    expected = np.array([0.5, 3.9 / 4, -3.9 / 4, -0.25])

    assert 2 * 3 + 1 == result.report.clipped
    assert np.abs(expected - result.mean["w"]).max() <= result.report.error_bound
    assert 0 == SecureAverage(clip=1e10, clipping="saturate").run(updates).report.clipped


def test_metrics_and_integers_beyond_their_bound_are_clamped_and_counted_by_name() -> None:
    updates = {name: {"w": np.zeros(2), "n": np.array([1, 5, -2])} for name in IDS}
    updates["a"]["n"] = np.array([3, -(2**60), 100])
    metrics = {name: {"loss": 0.5, "acc": 1.0} for name in IDS}
    metrics["a"] = {"loss": 7.0, "acc": np.nan}
    average = SecureAverage(clip=1.0, metric_bounds={"loss": 2, "acc": 1}, integer_bound=10)
    result = average.run(updates, metrics=metrics)

    assert {"integers": 2, "metric acc": 1, "metric loss": 1} == result._aggregate.clamped
    others = len(IDS) - 1
    assert {"loss": 2.0 + 0.5 * others, "acc": 1.0 * others} == result.metrics
    sums = np.array([3, -10, 10]) + others * np.array([1, 5, -2])
    assert np.array_equal(np.round(sums / len(IDS)), result.mean["n"])


def test_tied_leaves_that_differ_are_counted() -> None:
    w = np.zeros(3)
    updates = {name: {"a": w + i, "b": w + i} for i, name in enumerate(IDS)}
    base = {"a": w, "b": w}
    average = SecureAverage(clip=10.0)
    assert {} == average.run(updates, base=base)._aggregate.clamped
    updates[IDS[1]]["b"] = w + 7

    alias = r"1 leaves of updates differ .*\('a' = 'b'\).* pass copies of them in the template"
    with pytest.warns(PrecisionWarning, match=alias):
        result = average.run(updates, base=base)
    assert {"tied leaves": 1} == result._aggregate.clamped


def test_a_small_metric_keeps_its_digits_beside_a_large_one() -> None:
    average = SecureAverage(clip=1.0, metric_bounds={"sq": 1e15, "brier": 1.0})
    metrics = {i: {"sq": 2e14, "brier": 0.0013} for i in range(4)}
    result = average.run({i: {"w": np.zeros(2)} for i in range(4)}, metrics=metrics)

    assert {"sq": 8e14, "brier": pytest.approx(0.0052, rel=1e-12)} == result.metrics


def test_the_bound_covers_the_rounding_of_weights() -> None:
    weights = [2.4e-5, 3.6e-5, 5.2e-5, 2.4e-5]
    update = np.random.default_rng(3).uniform(-1, 1, (4, 500))
    result = SecureAverage(clip=1.0, max_weight=1e-4).run(
        {i: {"w": update[i]} for i in range(4)}, dict(enumerate(weights))
    )

    error = np.abs(result.mean["w"] - np.average(update, axis=0, weights=weights)).max()
    assert error <= result.report.error_bound < 2e-5


def test_clipped_coordinates_of_the_vanished_are_not_counted() -> None:
    updates = {name: {"w": np.full(5, 2.0)} for name in IDS}
    average = SecureAverage(clip=1.0, clipping="saturate")

    assert 15 == average.run(updates, vanish={"b": "masked_input"}).report.clipped
    assert 20 == average.run(updates, vanish={"b": "unmasking"}).report.clipped


@pytest.mark.parametrize(
    ("values", "weights", "expected"),
    [
        ([1, 2, 3, 4], [1, 1, 1, 1], 2),  # 2.5 to even
        ([1, 2, 3, 8], [1, 1, 1, 1], 4),  # 3.5 to even
        ([-1, -2, -3, -4], [1, 1, 1, 1], -2),
        ([10**9, 0, 0, 0], [3, 1, 1, 1], 500_000_000),
        ([7, 7, 7, 7], [0.1, 0.2, 0.3, 0.4], 7),
    ],
)
@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.float64])
def test_integers_are_exact(values: Any, weights: Any, expected: int, dtype: Any) -> None:
    buffer = np.int64 if dtype is np.float64 else dtype
    updates = {
        name: {"w": np.zeros(2), "n": np.array([value], buffer)}
        for name, value in zip(IDS, values, strict=True)
    }
    given = dict(zip(IDS, weights, strict=True))
    result = SecureAverage(clip=1.0, max_weight=4).run(updates, given)

    assert buffer == result.mean["n"].dtype
    assert [expected] == result.mean["n"].tolist()


def test_metrics_are_sums_over_the_included() -> None:
    updates = {name: {"w": np.zeros(2)} for name in IDS}
    metrics = {
        name: {"loss_sum": 0.125 * place - 7, "correct": 10 * place, "n": np.int64(100)}
        for place, name in enumerate(IDS)
    }
    average = SecureAverage(clip=1.0, metric_bounds={"n": 1000, "loss_sum": 10})
    result = average.run(updates, metrics=metrics, vanish={"a": "masked_input"})

    assert {"loss_sum": -20.25, "correct": 60.0, "n": 300.0} == result.metrics
    assert {} == average.run(updates).metrics


def test_sum_is_the_weighted_sum_for_an_aggregation_of_ones_own() -> None:
    base = {"w": np.full(3, 5.0), "n": np.array([100])}
    updates = {
        name: {"w": base["w"] + 0.25 * place, "n": base["n"] + place}
        for place, name in enumerate(IDS)
    }
    weights = dict(zip(IDS, (1.0, 2.0, 3.0, 4.0), strict=True))
    result = SecureAverage(clip=1.0, max_weight=4).run(updates, weights, base=base)
    sums = result.sum

    assert sums is result.sum
    assert [2.0 + 6.0 + 12.0] == sums["n"].tolist()
    assert np.abs(sums["w"] - 5.0).max() <= result.report.error_bound * result.total_weight
    assert {np.dtype(np.float64)} == {each.dtype for each in sums.values()}
    assert {"n": 2} == result.report.integers


def test_trees_without_reals_work_too_and_say_that_codes_are_averaged_as_counters() -> None:
    result = SecureAverage(clip=1.0).run({name: {"n": np.array([3, 5])} for name in IDS})

    assert [3, 5] == result.mean["n"].tolist()
    assert 0.0 == result.report.error_bound
    assert {"n": 5} == result.report.integers
    assert "1 averaged as counters, up to 5 in 'n'" in str(result)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dtypes_survive(dtype: Any) -> None:
    updates = {name: {"w": np.full((2, 3), 0.375, dtype)} for name in IDS}
    mean = SecureAverage(clip=1.0).run(updates).mean["w"]

    assert (dtype, (2, 3)) == (mean.dtype, mean.shape)
    assert np.abs(mean.astype(float) - 0.375).max() < 1e-3


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_infinities_that_update_and_base_share_are_no_change(dtype: Any) -> None:
    """The causal mask of an attention layer, which a checkpoint holds as a buffer."""
    mask = np.triu(np.full((70, 70), -np.inf, dtype), 1)
    mask[0, 0] = np.inf
    base = {"mask": mask, "w": np.zeros(3, dtype), "n": np.array([1])}
    updates = {
        name: {"mask": mask.copy(), "w": np.full(3, 0.1 * place, dtype), "n": np.array([2])}
        for place, name in enumerate(IDS)
    }
    result = SecureAverage(clip=1.0).run(updates, base=base)

    assert np.array_equal(mask, result.mean["mask"])
    assert result.mean["w"] == pytest.approx(0.15, abs=1e-2)
    for bad in (0.0, -mask[0, 1], np.nan):
        updates["c"]["mask"][0, 1] = bad
        with pytest.raises(EncodingError, match=r"gateway 'c': 1 .* NaN or infinite .* in 'mask'$"):
            SecureAverage(clip=1.0).run(updates, base=base)
    with pytest.raises(EncodingError, match="infinite buffers take a `base` that has them too"):
        SecureAverage(clip=1.0).run(dict.fromkeys(IDS, base))
