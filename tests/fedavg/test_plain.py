from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from fedavg.phases import AFTER, BEFORE
from fedavg.plain import PlainAverage, weighted_mean
from secagg.errors import BelowThreshold
from secagg.protocol.events import GatewayDropped
from secagg.protocol.messages import DropReason

WEIGHTS = {"a": 1, "b": 2, "c": 5}


def _state(number, count):
    return {
        "w": torch.tensor([[0.1, -2.5, 3.0]]) * number,
        "steps": torch.tensor(count),
    }


STATES = {"a": _state(1.0, 3), "b": _state(-2.0, 5), "c": _state(0.5, 8)}
BASE = _state(0.25, 1)


def _oracle(key, index, base=None):
    total = sum(Fraction(w) for w in WEIGHTS.values())
    start = Fraction(0) if base is None else Fraction(base[key].flatten()[index].item())
    change = sum(
        Fraction(WEIGHTS[n]) * (Fraction(s[key].flatten()[index].item()) - start)
        for n, s in STATES.items()
    )
    return start, change / total


@pytest.mark.parametrize("base", [None, BASE])
def test_mean_equals_fractions(base):
    mean = weighted_mean(STATES, WEIGHTS, base)
    expected = [float(sum(_oracle("w", index, base))) for index in range(3)]
    start, change = _oracle("steps", 0, base)

    assert torch.tensor([expected], dtype=torch.float32).tolist() == mean["w"].tolist()
    assert int(start) + round(change) == mean["steps"].item()
    assert (torch.float32, torch.int64) == (mean["w"].dtype, mean["steps"].dtype)


@pytest.mark.parametrize(("first", "second", "expected"), [(0, 1, 0), (0, 3, 2), (2, 3, 2)])
def test_integers_are_rounded_half_to_even(first, second, expected):
    states = {"a": {"n": torch.tensor(first)}, "b": {"n": torch.tensor(second)}}

    assert expected == weighted_mean(states, {"a": 1, "b": 1})["n"].item()


@pytest.mark.parametrize("phase", BEFORE + AFTER)
def test_who_vanishes_after_the_agreement_still_counts(phase):
    called = []

    def promise(name):
        return lambda: called.append(name) or STATES[name]

    result = PlainAverage().run(
        {name: promise(name) for name in STATES},
        WEIGHTS,
        base=BASE,
        metrics={name: {"correct": weight} for name, weight in WEIGHTS.items()},
        vanish={"b": phase},
    )
    included = ("a", "c") if phase in BEFORE else ("a", "b", "c")
    exact = weighted_mean({name: STATES[name] for name in included}, WEIGHTS, BASE)

    assert included == result.included == tuple(called)
    assert exact["w"].tolist() == result.mean["w"].tolist()
    assert sum(WEIGHTS[name] for name in included) == result.total_weight
    assert {"correct": result.total_weight} == result.metrics
    assert {"b": GatewayDropped("b", phase, DropReason.SILENT)} == result.dropped
    assert ["w", "steps"] == list(result.sum)
    for key, total in result.sum.items():
        shares = [WEIGHTS[n] * (STATES[n][key].double() - BASE[key].double()) for n in included]
        assert sum(shares).tolist() == total.tolist()
    assert (0, ()) == (result.report.clipped, result.report.phases)


def test_weights_default_to_one():
    expected = weighted_mean(STATES, dict.fromkeys(STATES, 1))

    assert expected["w"].tolist() == PlainAverage().run(STATES).mean["w"].tolist()


def test_a_mean_of_nobody_is_an_error():
    with pytest.raises(BelowThreshold):
        PlainAverage().run(STATES, vanish=dict.fromkeys(STATES, BEFORE[0]))
