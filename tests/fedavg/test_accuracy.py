"""What the application promises, over five seeds and through the real protocol."""

from __future__ import annotations

import pytest

from fedavg.learning import measure
from fedavg.phases import AFTER, BEFORE
from fedavg.plain import weighted_mean
from fedavg.rules import LOSSES, OPTIMISERS
from fedavg.settings import Settings
from fedavg.tasks import load
from fedavg.tasks.hospitals import write_hospitals
from secagg import SecureAverage

pytestmark = pytest.mark.xdist_group("accuracy")
"""Its runs take a minute: one worker makes them."""
SEEDS = range(5)
RUNS = ["threshold_runs", "digits_runs", "cnn_runs"]


def _mean(values):
    values = list(values)
    return sum(values) / len(values)


def test_threshold_is_learnt_by_three_gateways(threshold_runs):
    worst = min(report.rounds[-1].accuracy for report in threshold_runs)

    assert worst >= 0.90


def test_digits_are_learnt_with_two_of_ten_vanishing_in_every_round(digits_runs):
    worst = min(report.rounds[-1].accuracy for report in digits_runs)
    vanished = [len(each.dropped) for report in digits_runs for each in report.rounds]

    assert worst >= 0.95
    assert [2] * 50 == vanished


def test_gateways_vanish_on_both_sides_of_the_agreement(digits_runs):
    rounds = [each for report in digits_runs for each in report.rounds]
    sides = {
        (gone.phase in AFTER, name in each.included)
        for each in rounds
        for name, gone in each.dropped.items()
    }
    phases = {gone.phase for each in rounds for gone in each.dropped.values()}

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


def _learn(task, rounds, average=None):
    """Accuracy in the end, and the largest coordinate of any update as a share of the clip."""
    model, counts = task.build(), {gateway.name: gateway.count for gateway in task.gateways}
    largest = 0.0
    for number in range(1, rounds + 1):
        start = {key: value.clone() for key, value in model.state_dict().items()}
        states = {gateway.name: gateway.train(start, number) for gateway in task.gateways}
        moved = [
            (state[key] - start[key]).abs().max() for state in states.values() for key in start
        ]
        largest = max(largest, float(max(moved)))
        if average is None:
            mean = weighted_mean(states, counts, start)
        else:
            mean = average.run(states, counts, base=start).mean
        model.load_state_dict(mean)
    score = measure(model, task.holdout, task.recipe.loss)
    return score["correct"] / score["samples"], largest / task.clip


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_threshold_is_learnt_with_every_optimiser_and_loss(optimiser, loss):
    results = [
        _learn(
            load(
                Settings("threshold", gateways=gateways, seed=seed, optimiser=optimiser, loss=loss)
            ),
            rounds=10,
        )
        for seed, gateways in zip(SEEDS, (3, 4, 5, 7, 10), strict=True)
    ]

    assert min(accuracy for accuracy, _ in results) >= 0.80
    # The clip leaves twice the room that was needed.
    assert max(share for _, share in results) <= 0.5


@pytest.mark.parametrize(("loss", "optimiser"), list(zip(LOSSES, OPTIMISERS, strict=True)))
def test_every_loss_is_learnt_securely(loss, optimiser):
    task = load(Settings("threshold", gateways=4, optimiser=optimiser, loss=loss))
    plain, _ = _learn(task, rounds=10)
    secure, _ = _learn(
        task, rounds=10, average=SecureAverage(clip=task.clip, max_weight=task.max_weight)
    )

    assert secure >= 0.80
    assert plain == pytest.approx(secure, abs=0.01)


def test_digits_are_learnt_by_gateways_with_skewed_labels():
    results = [
        _learn(load(Settings("digits", seed=seed, split="dirichlet", alpha=0.5)), rounds=10)
        for seed in SEEDS
    ]

    assert _mean(accuracy for accuracy, _ in results) >= 0.93
    assert max(share for _, share in results) <= 0.5


def test_cancer_is_recognised_by_three_hospitals(tmp_path):
    results = []
    for seed in SEEDS:
        write_hospitals(tmp_path, gateways=3, seed=seed)
        task = load(Settings("cancer", seed=seed, data=tmp_path))
        results.append(_learn(task, rounds=10))

    assert _mean(accuracy for accuracy, _ in results) >= 0.93
    assert max(share for _, share in results) <= 0.5
