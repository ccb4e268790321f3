"""What the application promises, over five seeds and through the real protocol."""

from __future__ import annotations

import pytest

from fedavg.plain import AFTER, BEFORE

RUNS = ["threshold_runs", "digits_runs", "cnn_runs"]


def _mean(values):
    values = list(values)
    return sum(values) / len(values)


def test_threshold_is_learnt_by_three_gateways(threshold_runs):
    worst = min(report.rounds[-1].accuracy for report in threshold_runs)

    assert worst >= 0.90


def test_digits_are_learnt_with_two_of_ten_vanishing_in_every_round(digits_runs):
    worst = min(report.rounds[-1].accuracy for report in digits_runs)
    vanished = [len(each.vanished) for report in digits_runs for each in report.rounds]

    assert worst >= 0.95
    assert [2] * 50 == vanished


def test_gateways_vanish_on_both_sides_of_the_agreement(digits_runs):
    rounds = [each for report in digits_runs for each in report.rounds]
    sides = {
        (phase in AFTER, name in each.included)
        for each in rounds
        for name, (phase, _) in each.vanished.items()
    }
    phases = {phase for each in rounds for phase, _ in each.vanished.values()}

    assert {(False, False), (True, True)} == sides
    assert set(BEFORE + AFTER) == phases


@pytest.mark.parametrize("runs", RUNS)
def test_mean_accuracy_is_that_of_plaintext_over_the_same_sets(runs, request):
    comparisons = [report.comparison for report in request.getfixturevalue(runs)]
    secure = _mean(each.accuracy for each in comparisons)
    plain = _mean(each.plain_accuracy for each in comparisons)

    assert plain == pytest.approx(secure, abs=0.005 if runs == "cnn_runs" else 0.01)


@pytest.mark.parametrize("runs", RUNS)
def test_every_mean_is_within_its_stated_bound(runs, request):
    comparisons = [report.comparison for report in request.getfixturevalue(runs)]
    deviations = [each for comparison in comparisons for each in comparison.deviations]

    assert all(each.within_bounds for each in comparisons)
    assert all(0 < each.largest <= each.bound < 1e-3 for each in deviations)
