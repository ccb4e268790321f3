"""Settings out of a dry run: few clips, and no key whose error is above 2% of its step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import secagg
from secagg import Ckks, Lattice, Masks, Model, SecureAverage, Suggestion, suggest
from secagg.errors import ConfigurationError, EncodingError

BLOCKS = {
    f"{block}.{name}": scale
    for block in ("stem", "body.0", "body.1", "head")
    for name, scale in [("weight", 0.02), ("bias", 1e-3), ("bn.running_var", 100.0), ("bn.n", 3)]
}


def net(scales: dict[str, float] = BLOCKS) -> dict[str, np.ndarray]:
    return {key: np.zeros(20, np.int64 if key.endswith(".n") else np.float32) for key in scales}


def trained(scales: dict[str, float] = BLOCKS, n: int = 4, seed: int = 0) -> dict[int, Any]:
    draw = np.random.default_rng(seed)
    return {
        i: {
            key: (scale * draw.normal(size=20)).astype(net(scales)[key].dtype)
            for key, scale in scales.items()
        }
        for i in range(n)
    }


WIDE = {f"k{i}": 10.0**i for i in range(-6, 5)}
CANCEL = {i: {"w": np.full(9, (-1) ** i * 1e3 + 0.1)} for i in range(4)}
FROZEN = {i: net({"a": 1, "b": 1}) for i in range(3)}


@pytest.mark.parametrize(
    ("updates", "given", "clip", "precision"),
    [
        (trained(), {}, {"*.running_var", "*"}, 2**-12),
        (trained(), {"scheme": Lattice()}, {"*.running_var", "*"}, 2**-12),
        (trained(), {"scheme": "ckks"}, {"*.running_var", "*"}, 2**-12),
        (trained(), {"select": "*.bias"}, 2**-7, 2**-12),
        (trained({"w": 1e-5}), {"weights": dict.fromkeys(range(4), 200)}, 2**-14, 2**-12),
        (trained({"w": 1.0}), {"weights": {0: 1, 1: 1, 2: 1, 3: 6000}}, 8.0, 2**-12),
        (trained(WIDE), {}, 4, 2**-12),
        (CANCEL, {}, 2.0**11, 2**-17),  # only finer lanes help
        (FROZEN, {}, 1.0, 2**-12),
    ],
)
def test_rounds_like_the_dry_run_are_silent(
    updates: dict[int, Any], given: dict[str, Any], clip: Any, precision: float
) -> None:
    base = {key: np.zeros_like(leaf) for key, leaf in updates[0].items()}
    weights = given.pop("weights", None) if "weights" in given else None
    found = suggest({i: lambda i=i: updates[i] for i in updates}, Model(base), weights, **given)
    average = eval(f"secagg.{found}", {"secagg": secagg, "Lattice": Lattice})
    report = average.run(updates, weights, base=base).report

    assert max(weights.values() if weights else [1]) == found.max_weight
    if isinstance(found.clip, dict):
        assert clip in ({*found.clip}, len({*found.clip.values()}))
    else:
        assert clip == found.clip
    assert () == found.weak == report.warnings
    assert precision / 2 <= found.precision <= precision
    assert max(report.relative_error.values()) <= 0.015


def test_of_more_gateways_the_mean_moves_less() -> None:
    updates, base = trained({"w": 1e-3, "b": 1e-5}), net({"w": 1, "b": 1})
    few, many = (suggest(updates, base, gateways=n) for n in (4, 400))
    alone = suggest({0: updates[0]}, base, gateways=3)

    assert few.clip == alone.clip == 2**-7
    assert {"b": 2**-14, "*": 2**-7} == many.clip
    assert 1.0 == alone.max_weight


def test_what_arithmetic_leaves_of_a_gradient_of_0_is_no_step() -> None:
    base = {
        "w": np.zeros(9, np.float32),
        "b": np.full(9, 0.35, np.float32),
        "mask": np.array([-np.inf, 0.0]),
    }
    updates = {
        i: {
            "w": np.full(9, 0.01 * i, np.float32),
            "b": np.nextafter(base["b"], np.float32(i)),
            "mask": base["mask"].copy(),
        }
        for i in range(4)
    }
    report = SecureAverage(clip=8.0).run(updates, base=base, rounding_seed=b"14").report

    assert 2**-4 == suggest(updates, base).clip
    assert () == report.warnings


def test_what_no_precision_cures_is_named() -> None:
    found = suggest(CANCEL, scheme=Masks(5))

    assert ("w",) == found.weak
    assert 2**-7 == found.precision
    assert str(found).endswith("  # above 2% all the same: w")


def test_tied_keys_get_one_clip() -> None:
    tied = np.full(4, 1e-5)
    updates = {i: {"in.w": tied, "out": tied, "v": np.full(9, 1e3)} for i in range(3)}
    found = suggest(updates)

    assert {"v": 2048.0, "*": 2**-15} == found.clip
    assert () == SecureAverage(**found.settings).run(updates).report.warnings


@pytest.mark.parametrize(
    ("updates", "given", "error", "text"),
    [
        ({0: {"w": np.array([np.nan])}}, {}, EncodingError, "gateway 0: 'w' has coordinates that"),
        ({0: net(), 1: net({"w": 1})}, {}, EncodingError, "gateway 1: the update lacks keys"),
        ({}, {}, ConfigurationError, "no updates"),
        ([net()], {}, ConfigurationError, "updates .*list"),
        ({0: net()}, {"gateways": 5000}, ConfigurationError, "5000"),
        ({0: net()}, {"gateways": 2.5}, ConfigurationError, "gateways is"),
        ({0: net()}, {"scheme": "lattise"}, ConfigurationError, "lattise"),
        ({0: net()}, {"weights": {0: 0.0}}, EncodingError, "gateway 0: the weight is no number"),
        ({0: net()}, {"weights": {0: "many"}}, EncodingError, "gateway 0: the weight is no number"),
    ],
)
def test_what_cannot_be_looked_at_is_named(
    updates: Any, given: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        suggest(updates, **given)


def test_a_suggestion_reads_as_a_call() -> None:
    found = Suggestion(clip={"*.b": 0.5, "*": 2.0}, max_weight=600.0, precision=2.0**-12)

    assert (
        str(found)
        == "SecureAverage(clip={'*.b': 0.5, '*': 2.0}, max_weight=600.0, precision=2**-12)"
    )
    assert Ckks().name == suggest(trained(), scheme="ckks").settings["scheme"]
