"""One gateway without an update that fits does not cost the others their round, if asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from secagg import Ckks, Lattice, Masks, SecureAverage
from secagg.errors import BelowThreshold, ConfigurationError, EncodingError
from secagg.protocol.events import GatewayDropped
from secagg.protocol.messages import DropReason

IDS = [f"g{i}" for i in range(6)]
PRIVATE = 3.71717171


def tree(value: float = 0.5) -> dict[str, Any]:
    return {"w": np.full(40, value, np.float32), "n": np.array([7])}


def raises(error: BaseException) -> Any:
    def train() -> Any:
        raise error

    return train


class Unreadable:
    """An array on a disk that is gone."""

    shape, dtype = (40,), np.dtype("float32")

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise OSError(PRIVATE)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "NaN": ({"update": tree(np.nan)}, "40 coordinates are NaN or infinite in float32: in 'w'"),
    "beyond clip": ({"update": tree(PRIVATE)}, "40 coordinates are beyond their clip: in 'w'; "),
    "another tree": ({"update": {"v": np.zeros(3)}}, "the update lacks keys: n, w"),
    "another shape": (
        {"update": tree() | {"w": np.zeros(41, np.float32)}},
        "'w' of the update is float32[41], the model has float32[40]",
    ),
    "texts": ({"update": tree() | {"w": np.array(["x"] * 40)}}, "'w': dtype"),
    "no tree": ({"update": None}, "NoneType"),
    "no arrays": ({"update": {}}, "the tree has no arrays: there is nothing to average"),
    "a function that gives NaN": ({"update": lambda: tree(np.nan)}, "40 coordinates are NaN"),
    "a function that raises": (
        {"update": raises(RuntimeError(f"out of memory at {PRIVATE}"))},
        "its function raised RuntimeError: invalid='raise' lets it through",
    ),
    "a function that raises an error of this library": (
        {"update": raises(EncodingError(f"mine: {PRIVATE}"))},
        "its function raised EncodingError: invalid='raise' lets it through",
    ),
    "no weight": ({"weight": 0}, "the weight is no number above 0, or rounds to 0: leave the gat"),
    "a weight above the largest": ({"weight": 1e3 * PRIVATE}, "the weight is above max_weight"),
    "no number as weight": ({"weight": None}, "the weight is a NoneType, no number"),
    "an array that cannot be read": (
        {"update": tree() | {"w": Unreadable()}},
        "'w' is a Unreadable that cannot be read (OSError): pass a plain array",
    ),
    "other metrics": (
        {"metrics": {"acc": PRIVATE}},
        "metrics are ['acc']: this round sums",
    ),
    "no number as metric": ({"metrics": {"loss": "low"}}, "metric 'loss' is a str: use a number"),
    "no table of metrics": ({"metrics": PRIVATE}, "metrics are a float: use a mapping by name"),
}


def inputs(bad: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Good ones, but what is given for some."""
    return {
        "updates": {name: bad.get(name, {}).get("update", tree()) for name in IDS},
        "weights": {name: bad.get(name, {}).get("weight", 2.0) for name in IDS},
        "metrics": {name: bad.get(name, {}).get("metrics", {"loss": 1.0}) for name in IDS},
    }


def average(**options: Any) -> SecureAverage:
    return SecureAverage(**{"clip": 1.0, "max_weight": 4, "invalid": "drop"} | options)


@pytest.mark.parametrize("name", ["g0", "g3"])
@pytest.mark.parametrize("case", BAD)
def test_who_has_no_update_that_fits_is_dropped_and_says_why(case: str, name: str) -> None:
    given, text = BAD[case]
    events: list[Any] = []
    result = average(on_event=events.append).run(**inputs({name: given}))
    gone = result.dropped[name]

    assert [name] == list(result.dropped)
    assert GatewayDropped(name, "masked_input", DropReason.INVALID, gone.detail) == gone
    assert gone.detail.startswith("EncodingError: ")
    assert text in gone.detail
    assert str(PRIVATE) not in f"{result.dropped} {events}"
    # what an orchestrator on a network is told
    assert GatewayDropped(name, "masked_input", DropReason.ABORTED, "EncodingError") in events
    assert [each for each in IDS if each != name] == list(result.included)
    assert np.abs(result.mean["w"] - 0.5).max() <= result.report.error_bound
    assert (10.0, {"loss": 5.0}) == (result.total_weight, result.metrics)


@pytest.mark.parametrize("scheme", [Masks(), Lattice(), Ckks()])
@pytest.mark.parametrize("base", [None, tree(0.25)])
def test_every_scheme_goes_on_within_d_and_not_beyond(scheme: Any, base: Any) -> None:
    given = average(scheme=scheme, max_dropouts=1)
    one = given.run(**inputs({"g1": {"update": tree(np.nan)}}), base=base)
    with pytest.raises(BelowThreshold) as caught:
        given.run(**inputs({name: {"update": tree(9.0)} for name in IDS[1:4]}), base=base)
    error = caught.value

    assert ["g1"] == list(one.dropped)
    assert np.abs(one.mean["w"] - 0.5).max() <= one.report.error_bound
    assert set(IDS[1:4]) == set(error.dropped)
    assert {DropReason.INVALID} == {each.reason for each in error.dropped.values()}
    assert "g1: EncodingError: 40 coordinates are beyond their clip: in 'w'" in str(error)
    assert tuple(IDS) == given.run(**inputs({})).included


def test_a_round_of_bad_updates_alone_says_so_of_all() -> None:
    with pytest.raises(
        BelowThreshold, match="0 of 6 answered in phase masked_input, 4 are"
    ) as all_bad:
        average().run({name: {"w": np.array(["a"])} for name in IDS[:3]} | dict.fromkeys(IDS[3:]))

    assert IDS == list(all_bad.value.dropped)
    with pytest.raises(ConfigurationError, match="clip"):
        average(clip={"v": 1.0}).run(dict.fromkeys(IDS, tree()))


def test_each_function_is_called_once_and_one_tree_is_enough() -> None:
    called: list[str] = []

    def train(name: str) -> Any:
        called.append(name)
        if name == "g0":
            raise OSError("the disk")
        return tree()

    result = average().run({name: lambda name=name: train(name) for name in IDS})

    assert IDS == called
    assert ["g0"] == list(result.dropped)


def test_updates_in_the_memory_of_one_model_are_no_two_trees() -> None:
    model = tree(0.0)

    def train() -> Any:
        model["w"] += 0.1
        return dict(model)

    updates = dict.fromkeys(IDS, train)
    with pytest.raises(EncodingError, match="gateway 'g0': the update changed while the next one"):
        average().run(updates)
    model["w"][:] = 0.0
    assert 0.35 == pytest.approx(average(invalid="raise").run(updates).mean["w"], abs=1e-4)


def test_a_mapping_that_loads_is_a_function_too() -> None:
    class Stored(dict[str, Any]):
        def __getitem__(self, name: str) -> Any:
            if name == "g2":
                raise FileNotFoundError(f"/data/{PRIVATE}")
            return super().__getitem__(name)

    stored = Stored.fromkeys(IDS, tree())

    assert ["g2"] == list(average().run(stored).dropped)
    with pytest.raises(FileNotFoundError):
        average(invalid="raise").run(stored)


@pytest.mark.parametrize("invalid", ["raise", "drop"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
@pytest.mark.parametrize("name", ["g0", "g4"])
def test_who_wants_out_gets_out(invalid: Any, error: BaseException, name: str) -> None:
    given = average(invalid=invalid)
    with pytest.raises(type(error)) as caught:
        given.run(**inputs({name: {"update": raises(error)}}))

    assert error is caught.value
    assert tuple(IDS) == given.run(**inputs({})).included


@pytest.mark.parametrize("name", ["g0", "g4"])
@pytest.mark.parametrize(
    "error", [ValueError("mine"), EncodingError("mine"), StopIteration("mine")]
)
def test_by_default_an_own_exception_leaves_as_itself(error: Exception, name: str) -> None:
    given = average(invalid="raise")
    with pytest.raises(type(error), match="mine") as caught:
        given.run(**inputs({name: {"update": raises(error)}}))

    assert error is caught.value
    assert tuple(IDS) == given.run(**inputs({})).included
