"""One gateway uploads numbers that no encoder makes: its round is refused, or the mean is in clip.

Each ended in a mean far beyond clip, "exact", before the opened weight bounded every lane (A2).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from secagg import Ckks, Lattice, Masks, SecureAverage
from secagg.errors import AggregateOutOfRange
from secagg.fixed_point.reference import pack
from secagg.params import RoundParams
from secagg.session.update import Update

N = 4
LIAR = 3
SCHEMES = (*(Masks(packing=lanes) for lanes in range(1, 6)), Lattice(), Ckks())
EVERY = pytest.mark.parametrize("scheme", SCHEMES, ids=str)
CAPS = pytest.mark.parametrize("cap", [1.0, 1e3, 1e6])
Lie = Callable[[RoundParams, dict[str, np.ndarray]], None]
"""Changes the words of an upload, by vector."""


@pytest.fixture
def lie(monkeypatch: pytest.MonkeyPatch) -> Callable[[Lie], None]:
    """One gateway's words are changed, whatever it has trained."""

    def arrange(change: Lie) -> None:
        honest = Update.source

        def source(self: Update) -> Any:
            fill, params = honest(self), self._params
            words = [np.empty(spec.words, np.uint64) for spec in params.vectors]
            for vector, out in enumerate(words):
                fill(vector, 0, out)
            if self._reader._vectors[0][0].flat[-1] == LIAR / N:
                by_name = {s.name: w for s, w in zip(params.vectors, words, strict=True)}
                change(params, by_name)

            def write(vector: int, first: int, out: np.ndarray) -> None:
                out[:] = words[vector][first : first + len(out)]

            return write

        monkeypatch.setattr(Update, "source", source)

    return arrange


def outcome(
    scheme: Any, cap: float, size: float, length: int = 1000, weight: float = 0.5
) -> np.ndarray | None:
    """The mean at clip 1; None if there is none."""
    average = SecureAverage(clip=1.0, max_weight=cap, scheme=scheme, precision=1.0)
    draw = np.random.default_rng(1)
    updates = {i: {"w": draw.uniform(-size, size, length)} for i in range(N)}
    for i, each in updates.items():
        each["w"][-1] = i / N  # says whose it is
    try:
        result = average.run(updates, dict.fromkeys(updates, weight * cap))
    except AggregateOutOfRange:
        return None
    assert np.abs(result.sum["w"]).max() <= result.total_weight * (1 + 2.0**-21)
    return result.mean["w"]


def within(mean: np.ndarray | None) -> bool:
    return mean is None or float(np.abs(mean).max()) <= 1 + 2.0**-21


@EVERY
@CAPS
@pytest.mark.parametrize("total", [-3, N - 1, N])
@pytest.mark.parametrize("size", [0.0, 1.0], ids=["nothing", "updates"])
def test_a_weight_word_that_leaves_few_units_in_all(lie, scheme, cap, total, size):
    """Before: up to 1.25e5 clips, even with as many units as gateways."""

    def change(params: RoundParams, words: dict[str, np.ndarray]) -> None:
        words["weight"][0] = (total - (N - 1) * int(words["weight"][0])) % 2**64

    lie(change)
    mean = outcome(scheme, cap, size)

    assert within(mean)
    assert total >= N or mean is None
    assert size == 0 or mean is None


@EVERY
@pytest.mark.parametrize("weight", [1 / 16, 1 / 3])
def test_lanes_beyond_what_its_weight_allows(lie, scheme, weight):
    def change(params: RoundParams, words: dict[str, np.ndarray]) -> None:
        spec = params.vectors[0]
        words["update/0"][:] = pack(spec, [spec.limit * 3 // 2] * spec.length)

    lie(change)

    assert outcome(scheme, 1.0, 0.0, weight=weight) is None


@EVERY
def test_random_words_of_an_update_at_the_largest_weight(lie, scheme):
    """Before: accepted always in lattice and with 2 or 4 lanes, off by 1.1 clip."""

    def change(params: RoundParams, words: dict[str, np.ndarray]) -> None:
        draw = np.random.default_rng(2)
        words["update/0"][:] = draw.integers(0, 2**64, len(words["update/0"]), np.uint64)

    lie(change)

    assert outcome(scheme, 1.0, 0.5, weight=1.0) is None


@EVERY
def test_one_gateway_moves_the_mean_within_the_clip(lie, scheme):
    """What is left, and said: it may encode any update within its clip."""
    lie(lambda params, words: None)
    mean = outcome(scheme, 1e6, 1.0, weight=1.0)

    assert mean is not None
    assert within(mean)


@pytest.mark.parametrize(("scheme", "garbled"), [(Masks(packing=2), 4), (Lattice(), 4)], ids=str)
def test_a_few_garbled_words_are_mostly_seen(lie, scheme, garbled):
    """With probability 1/4 (two lanes), 1/2 (rings) a random word passes: 50 rounds, 4 words."""
    seed = iter(range(50))

    def change(params: RoundParams, words: dict[str, np.ndarray]) -> None:
        draw = np.random.default_rng(next(seed))
        words["update/0"][:garbled] = draw.integers(0, 2**64, garbled, np.uint64)

    lie(change)
    passed = sum(outcome(scheme, 1.0, 0.1, 20, weight=1.0) is not None for _ in range(50))

    assert passed <= 12  # of 3.1 expected at the most: beyond once in 10^4
