"""What tasks make of settings: recipes, overrides, splits and the caps that follow from them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedavg.rules import OPTIMISERS
from fedavg.settings import Settings
from fedavg.tasks import TASKS, entry, load
from fedavg.tasks.splits import LEAST, dirichlet, largest


@pytest.mark.parametrize("name", TASKS)
def test_a_task_brings_its_own_number_of_gateways(name):
    assert (
        (3 if name == "cancer" else 10)
        == len(load(Settings(name)).gateways)
        == entry(name).gateways
    )


@pytest.mark.parametrize("name", TASKS)
def test_a_task_can_be_split_over_as_many_gateways_as_it_says(name):
    known = entry(name)
    split = known.splits[-1]
    alpha = 0.01 if split == "dirichlet" else None
    task = load(Settings(name, gateways=known.largest, split=split, alpha=alpha))
    names = [gateway.name for gateway in task.gateways]

    assert known.largest == len(set(names))
    assert sorted(names) == names
    assert all(0 < gateway.count <= task.max_weight for gateway in task.gateways)


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_every_loss_a_task_allows_trains(name, optimiser):
    for loss in entry(name).losses:
        task = load(Settings(name, gateways=3, loss=loss, optimiser=optimiser, steps=1))
        gateway = task.gateways[0]
        before = task.build().state_dict()
        after = gateway.train(before, 1)

        assert loss == task.recipe.loss
        assert not all(before[key].equal(after[key]) for key in before)
        assert {"loss", "correct", "samples"} == set(gateway.measure(after))


def _recipes(**changes):
    task = load(Settings("threshold", gateways=3, **changes))
    return task, [gateway._recipe for gateway in task.gateways]


def test_options_reach_every_gateway():
    _, recipes = _recipes(loss="mse", optimiser="adam", rate=0.5, steps=7, batch=9)
    seen = {(r.loss, r.optimiser, r.rate, r.steps, r.batch) for r in recipes}

    assert {("mse", "adam", 0.5, 7, 9)} == seen


def test_an_override_reaches_one_gateway():
    _, plain = _recipes()
    changes = {"rate": 0.3, "steps": 5, "batch": 2, "momentum": 0.0}
    _, recipes = _recipes(overrides={"g02": changes})

    assert [plain[0], plain[2]] == [recipes[0], recipes[2]]
    assert changes == {name: getattr(recipes[1], name) for name in changes}


def test_an_override_of_the_optimiser_brings_its_own_rate():
    _, own = _recipes(optimiser="adam")
    _, recipes = _recipes(rate=3.0, overrides={"g01": {"optimiser": "adam"}, "g02": {"batch": 5}})

    assert [own[0].rate, 3.0, 3.0] == [recipe.rate for recipe in recipes]
    assert ["adam", "sgd", "sgd"] == [recipe.optimiser for recipe in recipes]


@pytest.mark.parametrize(
    ("changes", "factor"),
    [
        ({}, 1),
        ({"rate": 0.05}, 1),
        ({"steps": 5}, 1),
        ({"rate": 0.2}, 2),
        ({"rate": 0.2, "steps": 60}, 6),
        ({"overrides": {"g03": {"momentum": 0.95}}}, 2),
        ({"overrides": {"g03": {"rate": 0.4}}}, 4),
    ],
)
def test_the_clip_gives_room_to_recipes_that_go_further(changes, factor):
    own, _ = _recipes()
    task, _ = _recipes(**changes)
    start = task.build().state_dict()
    moved = [
        (value - start[key]).abs().max().item()
        for gateway in task.gateways
        for key, value in gateway.train(start, 1).items()
    ]

    assert factor * own.clip == pytest.approx(task.clip)
    assert max(moved) < task.clip


def test_the_clip_gives_room_to_skewed_labels():
    even, skewed = (load(Settings("digits", split=split)).clip for split in ("iid", "dirichlet"))

    assert 1.5 * even == skewed


@given(
    classes=st.lists(st.integers(0, 60), min_size=1, max_size=10),
    gateways=st.integers(1, 20),
    alpha=st.floats(1e-300, 1e9, exclude_min=True),
    seed=st.integers(0, 2**31 - 1),
)
@settings(max_examples=100)
def test_a_skewed_split_uses_every_sample_once(classes, gateways, alpha, seed):
    labels = torch.arange(len(classes)).repeat_interleave(torch.tensor(classes))
    labels = torch.cat([labels, torch.zeros(LEAST * gateways, dtype=torch.int64)])
    shares = dirichlet(labels, gateways, alpha=alpha, seed=seed)
    again = dirichlet(labels, gateways, alpha=alpha, seed=seed)
    sizes = [len(share) for share in shares]

    assert gateways == len(shares)
    assert list(range(len(labels))) == torch.cat(shares).sort().values.tolist()
    assert min(sizes) >= LEAST
    assert max(sizes) <= largest(len(labels), gateways, "dirichlet")
    assert all(one.equal(other) for one, other in zip(shares, again, strict=True))


def _classes(alpha, seed=0):
    """How many digits a gateway knows, at least five samples each, on average."""
    task = load(Settings("digits", seed=seed, split="dirichlet", alpha=alpha))
    known = [(g._samples.labels.bincount() >= 5).sum().item() for g in task.gateways]
    return sum(known) / len(known)


def test_the_smaller_alpha_the_fewer_classes_a_gateway_knows():
    few, some, all_of_them = (_classes(alpha) for alpha in (0.05, 0.5, 1000.0))

    assert few < 3 < some < 8
    assert all_of_them == 10
