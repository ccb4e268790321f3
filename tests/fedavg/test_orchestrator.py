from __future__ import annotations

import gc
import itertools
import weakref
from fractions import Fraction

import numpy as np
import pytest
import torch

from fedavg.aggregation import FedAvg, FedAvgM, mean_of
from fedavg.gateway import Gateway
from fedavg.learning import Recipe, measure
from fedavg.orchestrator import Orchestrator
from fedavg.phases import BEFORE, PHASES
from fedavg.plain import PlainAverage, weighted_mean
from fedavg.settings import Settings
from fedavg.stopwatch import Stopwatch
from fedavg.tasks import load
from secagg import SecureAverage
from secagg.errors import BelowThreshold, ConfigurationError


def _ticks():
    return itertools.count().__next__


def _orchestrator(task, average=None, **more):
    average = average or SecureAverage(clip=task.clip, max_weight=task.max_weight)
    return Orchestrator(
        task.build(), task.gateways, task.holdout, average=average, clock=_ticks(), **more
    )


def test_no_update_outlives_its_upload(monkeypatch):
    task = load(Settings("threshold", gateways=4))
    alive, at_once = [], []
    train = Gateway.train

    def watched(self, state, number):
        gc.collect()
        at_once.append(sum(ref() is not None for ref in alive))
        trained = train(self, state, number)
        alive.extend(weakref.ref(value) for value in trained.values())
        return trained

    monkeypatch.setattr(Gateway, "train", watched)
    orchestrator = _orchestrator(task)
    orchestrator.round()
    gc.collect()

    assert [0] * 4 == at_once
    assert 4 * 4 == len(alive)
    assert [] == [ref for ref in alive if ref() is not None]


def test_a_promise_keeps_the_round_it_was_made_for():
    task = load(Settings("threshold", gateways=3))
    orchestrator = _orchestrator(task, PlainAverage())
    before, updates = orchestrator.state, orchestrator.updates()
    orchestrator.round()
    again = weighted_mean(updates, orchestrator.counts, before)

    assert all(again[key].equal(orchestrator.state[key]) for key in again)
    assert not before["0.weight"].equal(orchestrator.state["0.weight"])


def test_history_and_metrics():
    task = load(Settings("threshold", gateways=6))
    orchestrator = _orchestrator(task)
    untrained = orchestrator.state
    included = [gateway for gateway in task.gateways if gateway.name != "g02"]
    metrics = [gateway.measure(untrained) for gateway in included]
    vanish = {"g02": "masked_input", "g05": "unmasking"}
    first = orchestrator.round(vanish=vanish)
    second = orchestrator.round()

    assert [first, second] == orchestrator.history
    assert (1, 2) == (first.number, second.number)
    assert tuple(gateway.name for gateway in included) == first.included
    assert vanish == {name: gone.phase for name, gone in first.dropped.items()}
    assert {"training", "aggregation", "evaluation"} == set(first.seconds)
    expected = sum(m["correct"] for m in metrics) / sum(m["samples"] for m in metrics)
    assert expected == pytest.approx(first.training_accuracy, abs=1e-9)
    assert 0 < first.error_bound < 1e-3
    assert 0 < first.bytes_up < first.bytes_down
    assert tuple(gateway.name for gateway in task.gateways) == first.asked == second.asked
    assert 0 == first.clipped
    assert [*PHASES, "mean"] == [cost.phase for cost in first.phases]
    assert [6, 6, 5, 5, 4, 5] == [cost.answered for cost in first.phases]
    assert all(value.equal(orchestrator.state[key]) for key, value in orchestrator.mean.items())
    assert (2, 6) == (
        orchestrator.record[0].announce.params.round,
        len(orchestrator.record[1].members),
    )


def test_a_failed_round_changes_nothing():
    task = load(Settings("threshold", gateways=3))
    orchestrator = _orchestrator(task)
    before = orchestrator.state
    with pytest.raises(BelowThreshold):
        orchestrator.round(vanish={"g01": BEFORE[0]})

    assert orchestrator.state is before
    assert orchestrator.history == []


def test_batch_norm_survives_a_secure_round():
    # Gateways that take different numbers of steps, so that the integer mean must be rounded.
    task = load(Settings("digits-cnn", gateways=5))
    steps = {gateway.name: 3 + 2 * index for index, gateway in enumerate(task.gateways)}
    for gateway in task.gateways:
        gateway._recipe = Recipe(steps=steps[gateway.name], batch=16, rate=0.05)
    orchestrator = _orchestrator(task)
    before, updates = orchestrator.state, orchestrator.updates()
    done = orchestrator.round()
    weights = orchestrator.counts
    exact = weighted_mean(updates, weights, before)
    counted = sum(Fraction(weights[name]) * steps[name] for name in steps)
    tracked = [key for key in exact if key.endswith("num_batches_tracked")]

    assert task.build().load_state_dict(orchestrator.state, strict=True).missing_keys == []
    assert 2 == len(tracked)
    for key, value in orchestrator.state.items():
        assert (exact[key].dtype, exact[key].shape) == (value.dtype, value.shape)
        if key in tracked:
            assert round(counted / sum(Fraction(w) for w in weights.values())) == value.item()
        else:
            gap = (value.double() - exact[key].double()).abs().max().item()
            assert gap <= done.error_bound + 1e-6
    assert all(
        (value > 0).all() for key, value in orchestrator.state.items() if "running_var" in key
    )
    assert not torch.equal(before["1.running_var"], orchestrator.state["1.running_var"])


def test_only_who_is_asked_trains(monkeypatch):
    task = load(Settings("threshold", gateways=6))
    trained = []
    train = Gateway.train
    monkeypatch.setattr(
        Gateway, "train", lambda self, *args: trained.append(self.name) or train(self, *args)
    )
    orchestrator = _orchestrator(task)
    done = orchestrator.round(asked=["g05", "g02", "g03", "g06"], vanish={"g05": "share_keys"})

    assert ("g02", "g03", "g05", "g06") == done.asked
    assert ("g02", "g03", "g06") == done.included
    assert ["g02", "g03", "g06"] == sorted(trained)
    with pytest.raises(ConfigurationError, match="asked gateways g9 are unknown"):
        orchestrator.round(asked=["g01", "g9"])


def test_a_server_optimiser_moves_on_from_the_mean():
    task = load(Settings("threshold", gateways=4))
    orchestrator = _orchestrator(task, server=FedAvgM(rate=0.5))
    reference = FedAvgM(rate=0.5)
    for _ in range(3):
        before = orchestrator.state
        done = orchestrator.round()
        expected = reference.step(before, orchestrator.mean)

        assert all(value.equal(orchestrator.state[key]) for key, value in expected.items())
    assert not orchestrator.mean["0.weight"].equal(orchestrator.state["0.weight"])
    model = task.build()
    model.load_state_dict(orchestrator.state)
    assert measure(model, task.holdout)["correct"] / len(task.holdout) == done.accuracy


@pytest.mark.parametrize("secure", [True, False])
def test_an_aggregation_gets_sums_total_weight_and_state(secure):
    task = load(Settings("digits-cnn", gateways=4, steps=2))
    calls = []

    def keep(sums, total_weight, state):
        calls.append((sums, total_weight, state))
        return state

    orchestrator = _orchestrator(task, None if secure else PlainAverage(), aggregate=keep)
    before, updates, weights = orchestrator.state, orchestrator.updates(), orchestrator.counts
    done = orchestrator.round(vanish={"g03": "masked_input"})
    [(sums, total_weight, state)] = calls

    assert sum(weights[name] for name in done.included) == total_weight
    assert list(before) == list(state) == list(sums)
    trained = {name: updates[name]() for name in done.included}
    for key, total in sums.items():
        changes = [weights[n] * (trained[n][key].double() - before[key].double()) for n in trained]
        expected = sum(changes).numpy()
        assert (np.float64, expected.shape) == (total.dtype, total.shape)
        np.testing.assert_allclose(
            total, expected, rtol=0, atol=done.error_bound * total_weight + 1e-9
        )


def test_the_mean_may_be_an_aggregation_of_ones_own():
    task = load(Settings("digits-cnn", gateways=3, steps=2))
    own, usual = _orchestrator(task, aggregate=mean_of), _orchestrator(task)
    for each in (own, usual):
        each.round(rounding_seed=b"1")
    gaps = [(own.state[key].double() - usual.state[key].double()).abs().max() for key in own.state]

    # The same sum; the mean is decoded in float32.
    assert max(gaps) < 1e-5
    assert own.state["1.num_batches_tracked"].equal(usual.state["1.num_batches_tracked"])


def test_an_aggregation_that_works_in_place_reaches_nothing():
    task = load(Settings("threshold", gateways=3))

    def halve(sums, total_weight, state):
        del sums, total_weight
        for value in state.values():
            value.mul_(0.5)
        return state

    orchestrator = _orchestrator(task, PlainAverage(), aggregate=halve)
    before, kept = orchestrator.state, {k: v.clone() for k, v in orchestrator.state.items()}
    orchestrator.round()

    assert all(value.equal(before[key]) for key, value in kept.items())
    assert all((0.5 * value).equal(orchestrator.state[key]) for key, value in kept.items())


def _forgets_a_key(_sums, _total_weight, state):
    del state["0.bias"]
    return state


@pytest.mark.parametrize(
    ("aggregate", "said"),
    [
        (lambda *given: given[2] | {"0.bias": torch.full((16,), torch.nan)}, r"made 0\.bias NaN"),
        (_forgets_a_key, r"left out \['0\.bias'\]"),
    ],
)
def test_a_failed_aggregation_changes_nothing(aggregate, said):
    orchestrator = _orchestrator(load(Settings("threshold", gateways=3)), aggregate=aggregate)
    before = orchestrator.state
    with pytest.raises(ConfigurationError, match=said):
        orchestrator.round()

    assert orchestrator.state is before
    assert "0.bias" in before
    assert orchestrator.history == []


def test_one_thing_makes_the_next_state():
    with pytest.raises(ConfigurationError, match="give one"):
        _orchestrator(load(Settings("threshold", gateways=3)), server=FedAvg(), aggregate=mean_of)


def test_the_loss_of_a_round_is_the_one_that_is_minimised():
    task = load(Settings("threshold", gateways=3, loss="bce"))
    orchestrator = _orchestrator(task, PlainAverage(), loss=task.recipe.loss)
    done = orchestrator.round()
    model = task.build()
    model.load_state_dict(orchestrator.state)
    answers = model(task.holdout.inputs).squeeze(1)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        answers, task.holdout.labels.float()
    )

    assert expected.item() == pytest.approx(done.loss, rel=1e-5)


def test_a_part_inside_a_part_counts_for_the_inner_one():
    times = iter([0.0, 1.0, 3.0, 10.0, 20.0, 25.0])
    watch = Stopwatch(lambda: next(times))
    with watch.part("outer"), watch.part("inner"):
        pass
    with watch.part("outer"):
        pass

    assert {"inner": 2.0, "outer": 8.0 + 5.0} == watch.seconds
