"""Whether a mean is mostly noise: who is told, with which cure, and what the bounds hold."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch

from secagg import Ckks, Imprecise, Lattice, Masks, Result, SecureAverage
from secagg.errors import ConfigurationError, LocalProtocolError, PrecisionWarning
from secagg.params import NO_MODEL

DRAW = np.random.default_rng(14)
CLOSE = {"w": DRAW.normal(0, 0.03, (4, 2000))}
TINY = {"w": np.full((4, 3), 0.1)}
TUNED = {"w": DRAW.normal(0, 1e-5, (4, 3000)), "b": DRAW.normal(0, 1e-5, (4, 40))}
NORM = {"var": 150 * DRAW.uniform(-1, 1, (4, 64)), "bias": 1e-3 * DRAW.uniform(-1, 1, (4, 64))}
EVEN = {"var": NORM["var"], "bias": NORM["bias"] * 1e4}
FROZEN = CLOSE | {"frozen": np.zeros((4, 5))}
FAINT = CLOSE | {"b": np.full((4, 3), 1e-8), "frozen": np.zeros((4, 3))}
ROWS = np.zeros((4, 2000))
ROWS[:, :20] = CLOSE["w"][:, :20]
Table = dict[str, np.ndarray]


def run(average: SecureAverage, steps: Table, weight: float, *, based: bool = True) -> Result:
    n = len(next(iter(steps.values())))
    start = {key: np.full(rows.shape[1:], 0.5 if based else 0.0) for key, rows in steps.items()}
    updates = {i: {key: start[key] + rows[i] for key, rows in steps.items()} for i in range(n)}
    weights = dict.fromkeys(updates, weight)
    return average.run(updates, weights, base=start if based else None, rounding_seed=b"14")


@pytest.mark.parametrize(
    ("settings", "steps", "weight", "weak", "cure"),
    [
        ({"clip": 1.0, "max_weight": 1000}, CLOSE, 0.1, ["w"], "max_weight=0.1"),
        ({"clip": 1.0, "max_weight": 1000}, CLOSE, 1.0, ["w"], "max_weight=1"),
        ({"clip": 1.0, "max_weight": 1000}, CLOSE, 12.0, [], ""),
        ({"clip": 1.0, "max_weight": 1000, "scheme": Lattice()}, CLOSE, 0.1, ["w"], "max_weight="),
        ({"clip": 1.0, "max_weight": 1e7, "scheme": Ckks()}, CLOSE, 0.1, ["w"], "max_weight=0.1"),
        ({"clip": 1.0, "max_weight": 1e7}, TINY, 10.0, ["w"], "max_weight=10"),  # all is lost
        ({"clip": 1.0}, FAINT, 1.0, ["b"], "clip={'b': "),  # decodes to 0, and was not
        ({"clip": 1.0, "max_weight": 600}, TUNED, 200.0, ["b", "w"], "clip=0.0"),
        ({"clip": 200.0}, NORM, 1.0, ["bias"], "clip={'bias': "),
        ({"clip": 200.0}, EVEN, 1.0, [], ""),
        ({"clip": 1.0, "precision": 2.0**-5, "scheme": Masks(5)}, CLOSE, 1.0, ["w"], "precision="),
        ({"clip": 1.0}, FROZEN, 1.0, [], ""),
        ({"clip": 1.0, "scheme": Ckks()}, FROZEN, 1.0, [], ""),  # noise in it is no step
        ({"clip": 4.0, "max_weight": 16}, {"w": ROWS}, 2.0, [], ""),  # the error of 20 coordinates
    ],
)
def test_noise_is_told_with_the_number_that_cures(
    settings: dict[str, Any], steps: Table, weight: float, weak: list[str], cure: str
) -> None:
    told: list[Any] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        report = run(SecureAverage(**settings, on_event=told.append), steps, weight).report
    events = [each for each in told if isinstance(each, Imprecise)]

    assert sorted(weak) == sorted({key for each in events for key in each.keys})
    assert report.warnings == tuple(str(each.message) for each in caught)
    assert report.warnings == tuple(map(str, events))
    assert all((each.category, each.filename) == (PrecisionWarning, __file__) for each in caught)
    assert len(events) == bool(cure)
    if cure:
        assert events[0].cure.startswith(cure)
        assert f"pass {events[0].cure}" in report.warnings[0]
        cured = settings | eval(f"dict({events[0].cure})")
        if cure.startswith("precision"):
            cured |= {"scheme": Masks()}  # this one was told how many lanes to use
        if steps is not FAINT:  # nobody knows how faint it was
            assert () == run(SecureAverage(**cured), steps, weight).report.warnings


def test_a_lost_step_is_told_though_the_first_gateway_is_dropped() -> None:
    updates: dict[int, Any] = {i: {"w": np.full(3, 1e-8)} for i in range(6)}
    with pytest.warns(PrecisionWarning, match="800.0% of the mean itself in 'w'"):
        SecureAverage(clip=1.0, invalid="drop").run(updates | {0: None}, rounding_seed=b"14")


def test_what_arithmetic_leaves_of_a_gradient_of_0_is_no_step() -> None:
    base = {"w": np.zeros(2000), "bias": np.ones(2000, np.float32)}
    ulps = DRAW.integers(-1, 2, (4, 2000)).astype(np.float32) * np.float32(2**-23)
    updates = {i: {"w": CLOSE["w"][i], "bias": base["bias"] + ulps[i]} for i in range(4)}
    report = SecureAverage(clip=1.0).run(updates, base=base, rounding_seed=b"14").report

    assert 0.0 == report.relative_error["bias"]
    assert () == report.warnings


@pytest.mark.parametrize("max_weight", [100.0, 2000.0])
def test_the_relative_error_is_what_it_says(max_weight: float) -> None:
    average = SecureAverage(clip=1.0, max_weight=max_weight, warn_above=math.inf)
    result = run(average, FROZEN, 1.0)
    step = FROZEN["w"].mean(axis=0)
    error = result.mean["w"] - 0.5 - step
    seen = np.sqrt((error**2).mean() / (step**2).mean())

    assert {"w": pytest.approx(seen, rel=0.06), "frozen": 0.0} == result.report.relative_error
    assert () == result.report.warnings


@pytest.mark.parametrize("based", [True, False], ids=["base", "no base"])
def test_one_object_tells_once_and_so_does_the_result_of_a_network(*, based: bool) -> None:
    average = SecureAverage(clip=200.0)
    what = "the mean step" if based else "the mean itself"
    with pytest.warns(PrecisionWarning, match=f"% of {what} in 'bias': clip=200 is far") as caught:
        results = [run(average, NORM, 1.0, based=based) for _ in range(2)]
    aggregate = results[1]._aggregate  # this is what `ServerSession.result` gives
    template = {key: np.full(rows.shape[1:], 0.5) for key, rows in NORM.items()}
    with pytest.warns(PrecisionWarning, match="'bias': clip=200 is far") as of_network:
        aggregate.mean(template, template if based else None)
    aggregate.mean(template, template if based else None)

    assert [1, 1] == [len(caught), len(of_network)]
    assert __file__ == of_network[0].filename
    assert results[0].report.warnings == results[1].report.warnings
    assert results[1].report.relative_error == aggregate.relative_error


@pytest.mark.parametrize("wrong", [0.0, 5e-324, -1.0, math.nan])
def test_noise_may_be_intended_and_is_then_in_the_settings(wrong: float) -> None:
    average = SecureAverage(clip=1.0, warn_above=math.inf)
    assert math.inf == average.params(range(3), {"w": np.zeros(2)}, round=1).warn_above
    with pytest.raises(ConfigurationError, match="warn_above is"):
        SecureAverage(clip=1.0, warn_above=wrong)


@pytest.mark.parametrize("scheme", [Masks(), Ckks()], ids=lambda each: each.name)
@pytest.mark.parametrize("based", [True, False], ids=["base", "no base"])
@pytest.mark.parametrize("middle", [0.0, 1.0, 10_000.0])
def test_the_bound_of_a_key_holds_what_its_dtype_rounds(
    scheme: Any, middle: float, *, based: bool
) -> None:
    draw = np.random.default_rng(int(middle))
    exact = middle + draw.uniform(-1, 1, (4, 50))
    trees = [
        {
            "half": torch.tensor(row).half(),
            "brain": torch.tensor(row).bfloat16(),
            "single": torch.tensor(row).float(),
            "double": torch.tensor(row),
            "whole": torch.tensor(row).round().long(),
            "none": torch.zeros(0),
        }
        for row in exact
    ]
    base = {key: torch.full_like(leaf, int(middle)) for key, leaf in trees[0].items()}
    average = SecureAverage(clip=2.0 if based else 2e4, scheme=scheme, warn_above=math.inf)
    result = average.run(dict(enumerate(trees)), base=base if based else None)
    report = result.report
    for key, leaf in result.mean.items():
        mean = sum(tree[key].double() for tree in trees) / 4  # of what arrived, not what was drawn
        seen = max((leaf.double() - mean).abs().tolist(), default=0.0)
        eps = torch.finfo(leaf.dtype).eps if leaf.is_floating_point() else math.inf

        assert seen <= report.bound_of(key)
        assert report.bound_of(key) <= report.error_bound + 1.02 * eps * (middle + 2)
    assert report.bound_of("double") < report.bound_of("half") < report.bound_of("brain")
    assert (0.0, 0.5) == (report.bound_of("none"), report.bound_of("whole"))
    with pytest.raises(ConfigurationError, match="'w' is no key that is averaged"):
        report.bound_of("w")


def test_no_bound_is_finite_where_something_was_clamped_or_not_read() -> None:
    tied = np.ones(2)
    trees = [
        {"w": np.array([0.5, 3.0 + i]), "n": np.array([i * 10]), "a": tied, "b": tied}
        for i in range(4)
    ]
    trees[3]["b"] = tied * 2
    average = SecureAverage(clip=2.0, integer_bound=20)
    saturating = SecureAverage(clip=1.0, clipping="saturate")
    with pytest.warns(PrecisionWarning, match="'a' = 'b'"):
        apart = average.run(dict(enumerate(each | {"w": np.ones(2)} for each in trees))).report
    report = saturating.run(dict(enumerate(each | {"b": each["a"]} for each in trees))).report

    assert {"integers": 1, "tied leaves": 1} == apart.clamped
    assert math.inf == apart.error_bound == apart.bound_of("a") == apart.bound_of("b")
    assert math.inf == apart.bound_of("n")
    assert 1e-3 > apart.bound_of("w")
    assert {"coordinates": 4} == report.clamped
    assert math.inf == report.error_bound == report.bound_of("w")
    assert math.isfinite(report.rms_error + report.bound_of("n"))


def test_what_no_dtype_can_hold_has_no_bound() -> None:
    full = {"h": np.full(2, 65504, np.float16)}
    updates = {i: {"h": full["h"]} for i in range(3)}
    result = SecureAverage(clip=1e5, precision=2.0**-6).run(updates)

    assert math.inf == result.report.bound_of("h") or np.isfinite(result.mean["h"]).all()
    with pytest.raises(LocalProtocolError, match="call mean first"):
        type(result._aggregate)(
            result._aggregate._params, range(3), result._aggregate._opened,
            result._aggregate._noise, result._aggregate._workers, NO_MODEL,
        ).bound_of("h")  # fmt: skip
