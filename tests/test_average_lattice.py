"""The recipe with the lattice, and with a scheme of its own choice."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from secagg import Lattice, Masks, SecureAverage
from secagg.average.outcome import Result
from secagg.errors import AggregateOutOfRange, BelowThreshold, ConfigurationError
from secagg.protocol.audit import verify_record
from secagg.schemes.additive import product
from secagg.schemes.auto import choose
from tests.means import assert_mean

IDS = ("hospital", "bank", 7, -1, "größe")
FIRST, STEADY = ["set_up", "upload", "answer", "mean"], ["upload", "answer", "mean"]
BEFORE, AFTER = ("set_up", "upload"), ("consistency", "answer")


def updates(ids: Any = IDS, *, size: int = 40, seed: int = 0) -> dict[Any, dict[str, Any]]:
    draw = np.random.default_rng(seed)
    return {
        name: {
            "w": draw.uniform(-1, 1, (size, 3)).astype(np.float32),
            "b": draw.uniform(-1, 1, 3),
            "seen": draw.integers(0, 1000, 2),
        }
        for name in ids
    }


def phases(result: Result) -> list[str]:
    return [cost.phase for cost in result.report.phases]


def lost(result: Result) -> list[str]:
    return list(map(str, result.dropped.values()))


def lattice(**more: Any) -> SecureAverage:
    return SecureAverage(**({"clip": 1.0, "max_weight": 8, "scheme": Lattice()} | more))


# -- numbers ---------------------------------------------------------------------------------------


def test_differences_to_a_base_and_saturation() -> None:
    base = updates(["base"])["base"]
    trees = {name: copy.deepcopy(base) for name in IDS}  # what shares memory with it is refused
    for i, name in enumerate(IDS):
        trees[name]["w"] += np.float32(0.1 * i)
    result = lattice(clip=0.3, clipping="saturate").run(trees, base=base)
    clipped = [np.clip(np.float32(0.1 * i), -0.3, 0.3) for i in range(5)]

    assert base["w"].size == result.report.clipped
    assert np.mean(clipped) == pytest.approx(
        float((result.mean["w"] - base["w"]).mean()), abs=result.report.error_bound + 1e-6
    )


@pytest.mark.parametrize("gateways", [10, 100])
def test_where_the_plan_says_exact_no_noise_is_left(gateways: int) -> None:
    trees = updates(range(gateways), size=800)
    means = [lattice().run(trees, rounding_seed=b"same") for _ in range(2)]

    assert all(mean.report.plan.exact for mean in means)
    assert means[0].mean["w"].tobytes() == means[1].mean["w"].tobytes()
    assert_mean(means[0], trees)


def test_where_it_does_not_noise_is_within_the_bound() -> None:
    trees = updates(range(10), size=800)
    average = lattice(precision=2.0**-30, max_weight=1)
    plan = average.plan(trees[0], 10)
    means = [average.run(trees, rounding_seed=b"same") for _ in range(2)]

    assert not plan.exact
    assert "2^40" in plan.layout or "off by" in plan.layout
    assert not any(mean.report.plan.exact for mean in means)
    assert means[0].mean["w"].tobytes() != means[1].mean["w"].tobytes()
    for mean in means:
        assert_mean(mean, trees)


def test_exactness_is_stated_once_and_follows_from_the_noise() -> None:
    tree, counts = {"w": np.zeros(4)}, {"seen": np.zeros(4, int)}
    fine, coarse = lattice(precision=2.0**-8), lattice(precision=2.0**-30, max_weight=1)
    plans = [fine.plan(tree, 10), coarse.plan(tree, 10), coarse.plan(counts, 10)]

    assert [True, False, True] == [plan.exact for plan in plans]  # integers have no noise
    assert [plan.exact for plan in plans] == [plan.noise.bound == 0 for plan in plans]
    assert not any(hasattr(plan.guarantees, "exact") for plan in plans)
    assert coarse.run(dict.fromkeys(range(10), counts)).report.plan == plans[2]


def test_garbage_in_an_upload_ends_the_round_and_the_next_is_good(monkeypatch) -> None:
    average = lattice()
    with monkeypatch.context() as patch:
        patch.setattr(product.Multiplier, "_term", _spoiled(product.Multiplier._term))
        with pytest.raises(AggregateOutOfRange):
            average.run(updates())

    assert_mean(average.run(updates()), updates())


def _spoiled(term: Any) -> Any:
    count = iter(range(2**62))

    def spoiled(self: Any, transform: Any, digit: Any) -> Any:
        made = term(self, transform, digit)
        made += next(count) << 20
        return made

    return spoiled


# -- exchanges -------------------------------------------------------------------------------------


def test_two_exchanges_from_the_second_round_on() -> None:
    average = lattice()
    results = [average.run(updates()) for _ in range(3)]

    assert [FIRST, STEADY, STEADY] == [phases(each) for each in results]
    for each in results:
        assert_mean(each, updates())
        verify_record(each.report.audit, each.report.roster)


def test_only_who_has_sent_no_key_ahead_is_asked_for_one() -> None:
    average = lattice()
    average.enroll(range(9))
    asked = []
    for cohort in ((0, 1, 2, 3, 4), (2, 3, 4, 5, 6), (2, 3, 4, 5, 6), (0, 1, 7, 8, 2)):
        trees = updates(cohort)
        result = average.run(trees)
        assert_mean(result, trees)
        first = result.report.phases[0]
        asked.append(first.answered if first.phase == "set_up" else 0)

    assert [5, 2, 0, 4] == asked


def test_a_newcomer_changes_the_roster_and_everybody_is_asked() -> None:
    average = lattice()
    average.run(updates())
    result = average.run(updates((*IDS, "new")))

    assert FIRST == phases(result)
    assert 6 == result.report.phases[0].answered
    assert STEADY == phases(average.run(updates((*IDS, "new"))))


def test_keys_outlive_a_round_that_failed() -> None:
    average = lattice()
    average.run(updates())
    with pytest.raises(BelowThreshold):
        average.run(updates(), vanish={7: "answer", -1: "answer"})
    result = average.run(updates())

    assert STEADY == phases(result)
    assert_mean(result, updates())


# -- vanishing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("phase", [*BEFORE, *AFTER, "answer_again"])
@pytest.mark.parametrize("steady", [False, True])
def test_whoever_vanishes_before_the_set_is_agreed_does_not_count(
    phase: str, name: Any, *, steady: bool
) -> None:
    average = lattice()
    if steady:
        average.run(updates())
    result = average.run(updates(), vanish={name: phase})
    first = "set_up" if not steady and phase == "set_up" else "upload"

    assert tuple(i for i in IDS if i != name or phase not in BEFORE) == result.included
    expected = {**dict.fromkeys(BEFORE, first), **dict.fromkeys(AFTER, "answer")}.get(phase)
    assert ([] if expected is None else [f"{name} in {expected} (silent)"]) == lost(result)
    assert_mean(result, updates())
    assert_mean(average.run(updates()), updates())


@pytest.mark.parametrize("phase", [*BEFORE, *AFTER])
def test_with_a_certificate_too(phase: str) -> None:
    trees = updates(range(70), size=5)
    gone = dict.fromkeys(range(7), phase)
    result = lattice().run(trees, vanish=gone)

    assert (63 if phase in BEFORE else 70) == len(result.included)
    assert [f"{each} in {phase} (silent)" for each in gone] == lost(result)
    assert ["set_up", "upload", "consistency", "answer", "mean"] == phases(result)
    assert_mean(result, trees)


# -- the recipe's own choice -----------------------------------------------------------------------


@pytest.mark.parametrize(("gateways", "scheme"), [(5, "masks"), (30, "lattice")])
def test_auto_chooses_and_says_why(gateways: int, scheme: str) -> None:
    trees = updates(range(gateways), size=5)
    average = SecureAverage(clip=1.0, scheme="auto")
    plan, report = average.plan(trees[0], gateways), average.run(trees).report

    assert scheme == plan.scheme == report.plan.scheme
    assert choose(gateways, 18).reason == plan.reason == report.plan.reason
    assert "keystreams" in report.plan.reason


def test_auto_chooses_anew_in_each_round() -> None:
    average = SecureAverage(clip=1.0, scheme="auto")
    average.enroll(range(30))
    schemes = []
    for gateways in (30, 5, 30, 30):
        trees = updates(range(gateways), size=5)
        result = average.run(trees)
        assert_mean(result, trees)
        schemes.append((result.report.plan.scheme, phases(result)[0]))

    assert [
        ("lattice", "set_up"),
        ("masks", "advertise_keys"),
        ("lattice", "set_up"),
        ("lattice", "upload"),
    ] == schemes


def test_auto_hears_what_the_average_was_given() -> None:
    average = SecureAverage(clip=1.0, scheme="auto", precision=2.0**-30)
    plan = average.plan(updates([0])[0], 200)

    assert "masks" == plan.scheme
    assert "the nearest possible is" in plan.reason
    assert (
        "masks"
        == SecureAverage(clip=1.0, scheme="auto", max_dropouts=0).plan(updates([0])[0], 55).scheme
    )


def test_phases_of_the_other_scheme_are_refused() -> None:
    average = SecureAverage(clip=1.0, scheme="auto")
    with pytest.raises(ConfigurationError, match=r"use an id of updates and one of .'advertise"):
        average.run(updates(), vanish={7: "answer"})
    with pytest.raises(ConfigurationError, match=r"one of .'set_up'"):
        lattice().run(updates(), vanish={7: "unmasking"})


def test_settings_for_a_session_of_your_own_name_the_scheme() -> None:
    auto = SecureAverage(clip=1.0, scheme="auto")
    settings = auto.params(range(30), updates([0])[0], round=1)

    assert Lattice() == settings.scheme
    assert settings.carried.ring is not None
    assert Masks() == auto.params(range(5), updates([0])[0], round=1).scheme
