"""What an error says of an update that does not fit: keys and counts in its text, values apart."""

from __future__ import annotations

import pickle
import traceback
from typing import Any

import numpy as np
import pytest

from secagg import SecureAverage
from secagg.errors import ConfigurationError, EncodingError
from secagg.fixed_point.layout import CLIP_SLACK

GOOD = {name: {"a.w": np.full(4, 0.25), "a.b": np.full(2, 0.5), "c": np.ones(1)} for name in "xyz"}
PRIVATE = 3.717171


def refused(clip: Any, tree: dict[str, Any], **given: Any) -> EncodingError:
    with pytest.raises(EncodingError) as error:
        SecureAverage(clip=clip).run(GOOD | {"y": tree}, **given)
    return error.value


def test_all_keys_are_told_at_once_with_a_clip_that_fits() -> None:
    tree = {"a.w": np.full(4, PRIVATE), "a.b": np.array([0.5, 300.0]), "c": np.ones(1)}
    error = refused({"a.b": 2.0, "*": 1.0}, tree)

    assert "y" == error.gateway
    assert "'y': 5 coordinates are beyond their clip: in 'a.w' (4), 'a.b' (1);" in str(error)
    assert {"a.b": (1, 300.0), "a.w": (4, pytest.approx(PRIVATE, rel=1e-6))} == {
        key: (each.count, each.largest) for key, each in error.beyond.items()
    }
    assert error.cure == "clip={'a.b': 512.0, 'a.w': 4.0, '*': 1.0}"
    assert error.table().splitlines() == [
        str(error),
        "'a.b': 1 beyond 2, the largest 300",
        "'a.w': 4 beyond 1, the largest 3.71717",
        error.cure,
    ]
    clip = eval(error.cure.removeprefix("clip="))
    assert SecureAverage(clip=clip).run(GOOD | {"y": tree}).total_weight == 3


def test_a_table_of_many_keys_shows_the_worst_ten() -> None:
    base = {f"k{i}": np.zeros(2) for i in range(12)}
    tree = {f"k{i}": np.full(2, 2.0 + i) for i in range(12)}
    with pytest.raises(EncodingError) as error:
        SecureAverage(clip=1.0).run(dict.fromkeys("xyz", tree), base=base)

    assert "in 'k0' (2), 'k1' (2), 'k2' (2), " in str(error.value)
    lines = error.value.table().splitlines()
    assert "'k11': 2 beyond 1, the largest 13" == lines[1]
    assert ["2 more", error.value.cure] == lines[11:]
    assert "*" not in error.value.cure


def test_tied_keys_get_one_clip() -> None:
    weight = np.full(4, 5.0)
    tied = {"a.w": weight, "z": weight, "c": np.ones(1)}
    with pytest.raises(EncodingError) as error:
        SecureAverage(clip=1.0).run(dict.fromkeys("xyz", tied))

    assert "clip={'a.w': 8.0, 'z': 8.0, '*': 1.0}" == error.value.cure


def test_a_key_that_reads_as_a_pattern_is_cured_too() -> None:
    tree = {"blocks[0].w": np.full(2, 3.0), "b": np.ones(1)}
    with pytest.raises(EncodingError) as error:
        SecureAverage(clip=1.0).run(dict.fromkeys("xyz", tree))
    clip = eval(error.value.cure.removeprefix("clip="))

    assert {"blocks[[]0].w": 4.0, "*": 1.0} == clip
    assert SecureAverage(clip=clip).run(dict.fromkeys("xyz", tree)).total_weight == 3


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e39])
def test_what_is_not_finite_is_named_with_all_its_keys(value: float) -> None:
    tree = {"a.w": np.full(4, value), "a.b": np.array([value, PRIVATE]), "c": np.ones(1)}
    error = refused(1.0, tree)

    assert "5 coordinates are NaN or infinite in float32: in 'a.w' (4), 'a.b' (1)" in str(error)
    assert "" == error.cure
    assert "'a.b': 1 beyond 1, the largest 3.71717" in error.table()


@pytest.mark.parametrize(
    ("changed", "given", "blamed"),
    [
        ({"a.w": np.array([0, 3, -4, 1.0])}, {}, ("a.w", 2, 4.0)),
        ({"a.w": np.full(4, 3.0), "a.b": np.array([0, 9.0])}, {}, ("a.b", 1, 9.0)),
        ({"a.w": np.array([0, np.nan, np.inf, 7])}, {}, ("a.w", 2, 7.0)),
        ({"a.w": np.zeros((2, 2))}, {}, ("a.w", 0, None)),
        ({"a.w": "text"}, {}, ("a.w", 0, None)),
        ({"a.w": np.array([None] * 4)}, {}, ("a.w", 0, None)),
        ({"more": np.zeros(1)}, {}, ("more", 0, None)),
        ({}, {"weights": {"x": 1, "y": 3.5, "z": 1}}, ("weight", 1, 3.5)),
        ({}, {"weights": {"x": 1, "y": -1, "z": 1}}, ("weight", 1, None)),
        ({}, {"weights": {"x": 1, "y": [2], "z": 1}}, ("weight", 0, None)),
        ({}, {"metrics": {n: {"loss": [2]} for n in "xyz"}}, ("metric loss", 0, None)),
    ],
)
def test_a_caller_need_not_read_the_text(
    changed: dict[str, Any], given: dict[str, Any], blamed: tuple[Any, ...]
) -> None:
    error = refused(2.0, GOOD["y"] | changed, **given)
    kept = pickle.loads(pickle.dumps(error))

    assert error.gateway == ("x" if "metrics" in given else "y")
    assert blamed == (error.key, error.count, error.largest)
    assert vars(kept) == vars(error)


def test_a_weight_above_the_cap_names_the_cure() -> None:
    error = refused(1.0, GOOD["y"], weights={"x": 1.0, "y": 120.7, "z": 1.0})

    assert "gateway 'y': the weight is above max_weight: pass max_weight=" in str(error)
    assert "'weight': 1 beyond 1, the largest 120.7\nmax_weight=120.7" in error.table()


@pytest.mark.parametrize(
    ("updates", "given"),
    [
        ({"y": GOOD["y"] | {"a.w": np.full(4, PRIVATE)}}, {}),
        ({"y": GOOD["y"] | {"a.w": np.full(4, PRIVATE)}, "z": None}, {}),
        ({}, {"weights": {"x": 1.0, "y": PRIVATE, "z": 1.0}}),
        ({}, {"weights": {"x": 1.0, "y": -PRIVATE, "z": 1.0}}),
        ({}, {"weights": {"x": 1.0, "y": f"{PRIVATE}", "z": 1.0}}),
        ({}, {"metrics": {name: {"loss": [PRIVATE]} for name in "xyz"}}),
        ({}, {"metrics": {name: [PRIVATE] for name in "xyz"}}),
        ({}, {"weights": [PRIVATE] * 3}),
        ({(PRIVATE, 1): GOOD["x"]}, {}),
    ],
)
def test_no_text_holds_a_value(updates: dict[Any, Any], given: dict[str, Any]) -> None:
    with pytest.raises((EncodingError, ConfigurationError)) as error:
        SecureAverage(clip=1.0).run(GOOD | updates, **given)
    kept = pickle.loads(pickle.dumps(error.value))
    texts = (str(error.value), repr(error.value), str(kept), *traceback.format_exception(kept))

    assert not any("3.71" in text for text in texts)


def test_a_list_of_updates_is_told_what_to_pass() -> None:
    with pytest.raises(ConfigurationError, match=r"updates is a list: .*dict\(enumerate") as error:
        SecureAverage(clip=1.0).run([{"w": np.full(3, PRIVATE)}] * 3)

    assert "3.7" not in str(error.value)


def test_a_clip_at_its_edge_fits() -> None:
    tree = {"a.w": np.full(4, 1 + CLIP_SLACK / 2), "a.b": np.zeros(2), "c": np.ones(1)}

    assert SecureAverage(clip=1.0).run(GOOD | {"y": tree}).total_weight == 3
