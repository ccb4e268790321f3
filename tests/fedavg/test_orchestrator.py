from __future__ import annotations

import gc
import itertools
import weakref
from fractions import Fraction

import pytest
import torch

from fedavg.gateway import Gateway
from fedavg.learning import Recipe
from fedavg.orchestrator import Orchestrator
from fedavg.plain import BEFORE, PlainAverage, weighted_mean
from fedavg.stopwatch import Stopwatch
from fedavg.tasks import load
from secagg import SecureAverage
from secagg.errors import BelowThreshold


def _ticks():
    return itertools.count().__next__


def _orchestrator(task, average=None):
    average = average or SecureAverage(clip=task.clip, max_weight=task.max_weight)
    return Orchestrator(task.build(), task.gateways, task.holdout, average=average, clock=_ticks())


class _Spy(SecureAverage):
    def run(self, updates, *args, **kwargs):
        self.seen = updates
        return super().run(updates, *args, **kwargs)


def test_the_orchestrator_hands_over_promises_only():
    task = load("threshold", gateways=3)
    spy = _Spy(clip=task.clip, max_weight=task.max_weight)
    orchestrator = _orchestrator(task, spy)
    orchestrator.round()

    assert [gateway.name for gateway in task.gateways] == list(spy.seen)
    assert all(callable(update) for update in spy.seen.values())


def test_no_update_outlives_its_upload(monkeypatch):
    task = load("threshold", gateways=4)
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
    task = load("threshold", gateways=3)
    orchestrator = _orchestrator(task, PlainAverage())
    before, updates = orchestrator.state, orchestrator.updates()
    orchestrator.round()
    again = weighted_mean(updates, orchestrator.counts, before)

    assert all(again[key].equal(orchestrator.state[key]) for key in again)
    assert not before["0.weight"].equal(orchestrator.state["0.weight"])


def test_history_and_metrics():
    task = load("threshold", gateways=6)
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
    assert vanish == {name: phase for name, (phase, _) in first.vanished.items()}
    assert {"training", "aggregation", "evaluation"} == set(first.seconds)
    expected = sum(m["correct"] for m in metrics) / sum(m["samples"] for m in metrics)
    assert expected == pytest.approx(first.training_accuracy, abs=1e-9)
    assert 0 < first.error_bound < 1e-3
    assert 0 < first.bytes_up < first.bytes_down


def test_a_failed_round_changes_nothing():
    task = load("threshold", gateways=3)
    orchestrator = _orchestrator(task)
    before = orchestrator.state
    with pytest.raises(BelowThreshold):
        orchestrator.round(vanish={"g01": BEFORE[0]})

    assert orchestrator.state is before
    assert orchestrator.history == []


def test_batch_norm_survives_a_secure_round():
    # Gateways that take different numbers of steps, so that the integer mean must be rounded.
    task = load("digits-cnn", gateways=5)
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


def test_a_part_inside_a_part_counts_for_the_inner_one():
    times = iter([0.0, 1.0, 3.0, 10.0, 20.0, 25.0])
    watch = Stopwatch(lambda: next(times))
    with watch.part("outer"), watch.part("inner"):
        pass
    with watch.part("outer"):
        pass

    assert {"inner": 2.0, "outer": 8.0 + 5.0} == watch.seconds
