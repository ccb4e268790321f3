"""Honest rounds at all edges: none is refused, and every number is what was promised."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secagg import Ckks, Lattice, Masks, SecureAverage
from secagg.fixed_point import weight_unit
from secagg.schemes import scheme_of

SCHEMES = (
    *(Masks(packing=lanes) for lanes in range(1, 6)),
    Masks(),
    Lattice(),
    Lattice(modulus=2**40),
    Ckks(),
    Ckks(ring_degree=4096),
)
CAPS = (2.0**-32, 2.0**-20, 1e-4, 1.0, 1.5, 117.0, 1e3, 1e6, 2.0**32)
CLIPS = (1e-6, 0.1, 1.0, 3e7)
BOUNDS = (2.0**-40, 0.3, 1.0, 100.0, 2.0**32, 1e15)


class Case:
    """A round drawn from a seed, and what must come out of it."""

    def __init__(self, seed: int) -> None:
        draw = self.draw = np.random.default_rng(seed)
        self.scheme: Any = SCHEMES[seed % len(SCHEMES)]
        self.n = int(draw.choice([3, 4, 5, 8]))
        self.cap = float(draw.choice(CAPS))
        self.clips = {"wide": float(draw.choice(CLIPS)), "narrow": float(draw.choice(CLIPS))}
        self.saturates = bool(draw.random() < 0.5)
        self.whole = bool(draw.random() < 0.5)
        self.bounds = {name: float(draw.choice(BOUNDS)) for name in ("loss", "acc")}
        self.average = SecureAverage(
            clip=self.clips,
            max_weight=self.cap,
            scheme=self.scheme,
            precision=1e6,
            clipping="saturate" if self.saturates else "error",
            metric_bounds=self.bounds,
            warn_above=math.inf,
        )
        self.updates = {i: self._update() for i in range(self.n)}
        self.weights = {i: self._weight() for i in range(self.n)}
        self.metrics = {
            i: {name: self._number(bound) for name, bound in self.bounds.items()}
            for i in range(self.n)
        }
        gone = self.n > 3 and draw.random() < 0.3
        phase = self.scheme.steps[1].name if gone else ""
        self.vanish = {1: phase} if gone else {}

    def _number(self, bound: float) -> float:
        inside = [bound, -bound, 0.0, self.draw.uniform(-1, 1) * bound]
        return float(self.draw.choice([*inside, *inside, 2 * bound, np.inf, np.nan]))

    def _update(self) -> dict[str, np.ndarray]:
        draw = self.draw
        found: dict[str, np.ndarray] = {}
        for name, clip in self.clips.items():
            shape = draw.choice(["at", "inside", "zero", "beyond"])
            values = draw.uniform(-1, 1, int(draw.integers(1, 2) + 40)) * clip
            if shape == "at":
                values = np.full(len(values), draw.choice([-1, 1]) * clip)
            elif shape == "zero":
                values[:] = 0
            elif shape == "beyond" and self.saturates:
                values *= 1e3
            found[name] = values
        if self.whole:
            found["n"] = draw.choice([0, 1, -1, 2**62, -(2**62), 1000], 3)
        return found

    def _weight(self) -> float:
        least = weight_unit(self.cap, integers=True)
        return float(self.draw.choice([self.cap, least, self.cap * self.draw.uniform(2**-20, 1)]))

    def check(self) -> None:
        result = self.average.run(
            self.updates, self.weights, metrics=self.metrics, vanish=self.vanish
        )
        included = [i for i in range(self.n) if i in result.included]
        assert len(included) == self.n - len(self.vanish)
        self._check_means(result, included)
        counts = self._counts(included, result.report.plan.integers)

        assert {name: count for name, count in counts.items() if count} == result.report.clamped
        assert result.report.exact == (result.report.plan.exact and not result.report.clamped)

    def _check_means(self, result: Any, included: list[int]) -> None:
        weights = np.array([self.weights[i] for i in included])
        for name, clip in self.clips.items():
            largest = clip * (1 + 2.0**-22)  # what saturates is encoded as this
            rows = np.clip([self.updates[i][name] for i in included], -largest, largest)
            expected = weights @ rows / weights.sum()
            error = np.abs(result.mean[name] - expected).max()
            # that of what was within clip, and that of this float64
            bounds = [each.bound for each in result._aggregate._errors.values()]
            assert error <= max(bounds) + 1e-15 * clip
            assert np.abs(result.mean[name]).max() <= clip * (1 + 2.0**-21)
        for name, bound in self.bounds.items():
            sums = sum(Fraction(self._inside(self.metrics[i][name], bound)) for i in included)
            assert abs(sums - Fraction(result.metrics[name])) <= Fraction(bound) / 2**40

    @staticmethod
    def _inside(value: float, bound: float) -> float:
        return 0.0 if np.isnan(value) else min(max(value, -bound), bound)

    def _counts(self, included: list[int], integers: int | None) -> dict[str, int]:
        found = {
            f"metric {name}": sum(not abs(self.metrics[i][name]) <= bound for i in included)
            for name, bound in self.bounds.items()
        }
        slack = {name: clip * (1 + 2.0**-22) for name, clip in self.clips.items()}
        found["coordinates"] = sum(
            int(np.count_nonzero(np.abs(self.updates[i][name]) > largest))
            for i in included
            for name, largest in slack.items()
        )
        if integers is not None:
            found["integers"] = sum(
                int(np.count_nonzero(np.abs(self.updates[i]["n"]) > integers)) for i in included
            )
        return found


@pytest.mark.parametrize("seed", range(100))
def test_an_honest_round_is_never_refused(seed):
    Case(seed).check()


@pytest.mark.slow
@pytest.mark.parametrize("part", range(20))
def test_of_two_thousand_honest_rounds_none_is_refused(part):
    for seed in range(1000 + 100 * part, 1100 + 100 * part):
        Case(seed).check()


# -- sizes and errors ------------------------------------------------------------------------------

N = (10, 383, 384, 1000)
UPLOADS = {"masks": 266_864, "lattice": 408_392, "ckks": 512_208}
CHECK = {"masks": 0, "lattice": 8_160, "ckks": 10_200}
"""Bytes that a block of zeros adds to two words. Masks are as they were before, error included."""
RMS = {"masks": (1.97e-5, 1.22e-4, 1.22e-4, 1.97e-4), "ckks": (1.33e-7, 8.25e-7, 8.26e-7, 1.33e-6)}


@pytest.mark.parametrize("scheme", UPLOADS)
def test_an_upload_is_as_large_as_docs_costs_says(scheme):
    average, tree = SecureAverage(clip=1.0, scheme=scheme_of(scheme)), {"w": np.zeros(100_000)}
    plans = [average.plan(tree, gateways=n) for n in N]

    assert {UPLOADS[scheme]} == {plan.upload_bytes for plan in plans}
    if scheme in RMS:
        assert RMS[scheme] == pytest.approx([plan.rms_error for plan in plans], rel=3e-3)
    page = (Path(__file__).parents[1] / "docs" / "costs.md").read_text()
    assert f"| {UPLOADS[scheme]:,} | {CHECK[scheme]:,} |" in page
