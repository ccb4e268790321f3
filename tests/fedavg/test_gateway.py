from __future__ import annotations

import pytest
import torch
from torch import nn

from fedavg.gateway import Gateway
from fedavg.learning import Recipe, Samples
from fedavg.settings import Settings
from fedavg.tasks import TASKS, entry, load


def _model():
    return nn.Linear(2, 2)


def _gateway(count=5, **changes):
    inputs = torch.linspace(-1, 1, 2 * count).reshape(count, 2)
    settings = {"build": _model, "recipe": Recipe(steps=4, batch=2, rate=0.1), "seed": 3, **changes}
    return Gateway("g01", Samples(inputs, (inputs.sum(dim=1) > 0).long()), **settings)


def _flat(state):
    return torch.cat([value.double().flatten() for value in state.values()]).tolist()


STATE = {"weight": torch.tensor([[1.0, 0.0], [0.0, 1.0]]), "bias": torch.tensor([0.5, -0.5])}


def test_training_is_decided_by_its_arguments():
    gateway = _gateway()
    first = gateway.train(STATE, 1)

    assert _flat(first) == _flat(gateway.train(STATE, 1)) == _flat(_gateway().train(STATE, 1))
    assert _flat(first) != _flat(gateway.train(STATE, 2))
    assert _flat(first) != _flat(_gateway(seed=4).train(STATE, 1))


def test_training_leaves_the_global_state_alone():
    state = {key: value.clone() for key, value in STATE.items()}
    trained = _gateway().train(state, 1)

    assert _flat(STATE) == _flat(state) != _flat(trained)


def test_one_step_is_sgd_by_hand():
    gateway = _gateway(count=2, recipe=Recipe(steps=1, batch=2, rate=0.1))
    model = _model()
    model.load_state_dict(STATE)
    inputs, labels = gateway._samples.inputs, gateway._samples.labels
    torch.nn.functional.cross_entropy(model(inputs), labels).backward()
    expected = [p - 0.1 * p.grad for p in model.parameters()]

    trained = gateway.train(STATE, 1)

    assert torch.cat([each.flatten() for each in expected]).tolist() == pytest.approx(
        torch.cat([value.flatten() for value in trained.values()]).tolist(), abs=1e-6
    )


def test_a_batch_may_be_larger_than_the_data():
    gateway = _gateway(count=3, recipe=Recipe(steps=2, batch=8, rate=0.1))

    assert _flat(STATE) != _flat(gateway.train(STATE, 1))


def test_metrics_are_sums():
    gateway = _gateway()
    model = _model()
    model.load_state_dict(STATE)
    with torch.no_grad():
        chances = model(gateway._samples.inputs).softmax(dim=1)
    picked = chances[torch.arange(5), gateway._samples.labels]

    metrics = gateway.measure(STATE)

    assert {"loss", "correct", "samples"} == set(metrics)
    assert 5 == metrics["samples"] == gateway.count
    assert float((picked > 0.5).sum()) == metrics["correct"]
    assert float(-picked.log().sum()) == pytest.approx(metrics["loss"], rel=1e-5)


def test_repr_shows_no_data():
    assert repr(_gateway()) == "Gateway('g01', 5 samples)"


SPLITS = [(name, split) for name in TASKS for split in entry(name).splits]


@pytest.mark.parametrize(("name", "split"), SPLITS)
def test_a_task_is_decided_by_its_seed(name, split):
    one, same, other = (
        load(Settings(name, gateways=4, seed=seed, split=split)) for seed in (1, 1, 2)
    )

    assert _flat(one.build().state_dict()) == _flat(same.build().state_dict())
    assert _flat(one.build().state_dict()) == _flat(one.build().state_dict())
    assert _flat(one.build().state_dict()) != _flat(other.build().state_dict())
    for left, right in zip(one.gateways, same.gateways, strict=True):
        assert left._samples.inputs.equal(right._samples.inputs)
    first, second = one.gateways[0]._samples.inputs, other.gateways[0]._samples.inputs
    assert first.shape != second.shape or not first.equal(second)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_leaves_the_global_generator_alone(name):
    before = torch.get_rng_state()
    task = load(Settings(name, gateways=3, seed=0))
    task.gateways[0].train(task.build().state_dict(), 1)

    assert before.equal(torch.get_rng_state())


@pytest.mark.parametrize(("name", "split"), SPLITS)
def test_no_sample_is_held_twice(name, split):
    task = load(Settings(name, gateways=4, seed=0, split=split))
    shares = [*(gateway._samples for gateway in task.gateways), task.holdout]
    rows = [tuple(row.flatten().tolist()) for share in shares for row in share.inputs]

    # No two of the 1797 digits have the same pixels, no two of the 569 patients the same numbers.
    assert len(rows) == len(set(rows))
    assert all(0 < gateway.count <= task.max_weight for gateway in task.gateways)
    if name != "threshold":  # whose gateways draw as many as they like
        assert (569 if name == "cancer" else 1797) == len(rows)
