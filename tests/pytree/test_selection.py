"""What is left out is nobody's business: names before patterns, and no look at anything else."""

from __future__ import annotations

import io
from collections import ChainMap, UserDict
from collections.abc import Iterator, MutableMapping
from typing import Any

import numpy as np
import pytest

from secagg import SecureAverage
from secagg.errors import ConfigurationError, EncodingError
from secagg.protocol.bounds import Bounds
from secagg.pytree import flatten, map_leaves, model_hash, rebuild, tree_spec
from secagg.session.update import Model

ONE = np.zeros(1)
BRACKETS = {"enc[0].w": np.zeros(1), "enc0.w": np.zeros(1), "enc1.w": np.zeros(1)}


class Store(MutableMapping[str, Any]):
    """A mapping over something else, such as a file; a shallow copy shares it."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data

    def __getitem__(self, key: str) -> Any:
        return self.data[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.data[key] = value

    def __delitem__(self, key: str) -> None:
        del self.data[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)


class WritesThrough(dict[str, Any]):
    written: list[str] = []  # noqa: RUF012 - shared on purpose

    def __setitem__(self, key: str, value: Any) -> None:
        self.written.append(key)
        super().__setitem__(key, value)


class OverAStore(UserDict[str, Any]):
    def __init__(self, data: Any) -> None:
        self.data = data


@pytest.mark.parametrize(
    ("select", "keys"),
    [
        ("enc[0].w", ["enc[0].w"]),
        (["enc[0].w", "enc?.w"], [*BRACKETS]),
        ("enc[01].w", ["enc0.w", "enc1.w"]),
        (["enc[[]0].w"], ["enc[0].w"]),
    ],
)
def test_a_name_selects_its_key_alone(select: Any, keys: list[str]) -> None:
    leaves, _ = tree_spec(BRACKETS, clips=1.0, select=select)

    assert keys == [leaf.key for leaf in leaves]


def test_a_name_decides_before_any_pattern_for_orchestrator_and_gateway() -> None:
    clips = {"*": 1.0, "enc[0].w": 0.5, "enc0.w": 2.0}
    leaves, groups = tree_spec(BRACKETS, clips=clips)
    expected = {"enc[0].w": 0.5, "enc0.w": 2.0, "enc1.w": 1.0}
    fixed = Bounds(clip=clips).fixed(dict.fromkeys([f"clip {key}" for key in BRACKETS], 0.0))

    assert expected == {leaf.key: groups[leaf.vector].clip for leaf in leaves}
    assert {f"clip {key}": clip for key, clip in expected.items()} == fixed


@pytest.mark.parametrize("select", [3, [None], ["w", 1.5], [b"w"], np.array(3)])
def test_a_selection_of_another_type_is_named(select: Any) -> None:
    """As an upload takes it: where a setting is made, its annotation refuses it before."""
    with pytest.raises(ConfigurationError, match=r"select has a .*: use names or patterns"):
        flatten({"w": ONE}, select)


@pytest.mark.parametrize(
    "extra",
    [None, "v1", 3j, 1j * np.ones(2), io.BytesIO(), {"a": ["v", {}]}, object(), np.array("x")],
)
def test_what_is_left_out_may_be_anything(extra: Any) -> None:
    def tree(value: float) -> dict[str, Any]:
        return {"net.w": np.full(2, value), "net.left": extra}

    average = SecureAverage(clip=1.0, select="*.w")
    base = tree(0.0)
    mean = average.run({i: tree(0.1 * i) for i in range(4)}, base=base).mean

    assert mean["net.w"] == pytest.approx(0.15, abs=1e-3)
    assert mean["net.left"] is extra or mean["net.left"] == extra
    with pytest.raises(EncodingError, match=r"net\.left"):
        SecureAverage(clip=1.0).run({i: tree(0.0) for i in range(4)}, base=base)


def test_nobodys_own_leaves_are_in_a_mean_without_base() -> None:
    updates = {i: {"body": np.zeros(2), "head": np.full(2, 7.0 + i)} for i in range(4)}
    average = SecureAverage(clip=1.0, select="body")
    with pytest.raises(ConfigurationError, match="select leaves 'head' out: pass `base`"):
        average.run(updates)
    base = {"body": np.zeros(2), "head": np.full(2, 5.0)}

    assert average.run(updates, base=base).mean["head"] is base["head"]


def test_the_hash_is_of_what_is_averaged() -> None:
    average, body = SecureAverage(clip=1.0, select="body"), np.ones(2)
    trees = [{"body": body, "head": head} for head in (np.zeros(2), "no array")]
    models = [*trees, Model(trees[1], select="body"), Model(trees[0]), Model({"body": body})]
    hashes = {average.params(range(4), trees[0], round=1, base=model).model for model in models}

    assert {model_hash({"body": body})} == hashes
    assert Model.of(models[2], select="body") is models[2]
    assert Model(trees[0]).hash not in hashes


@pytest.mark.parametrize("wrapped", ["update", "base"])
@pytest.mark.parametrize("prefix", ["_module.", "_orig_mod.", "module."])
def test_a_wrapped_module_is_seen_by_its_keys(prefix: str, wrapped: str) -> None:
    names = [f"{i}.{kind}" for i in range(4) for kind in ("weight", "bias")]
    inner = {name: np.zeros(1) for name in names}
    outer = {prefix + name: np.zeros(1) for name in names}
    update, base = (outer, inner) if wrapped == "update" else (inner, outer)
    cure = "state_dict\\(\\)"
    with pytest.raises(EncodingError, match=f"keys begin with '{prefix}'.*inner module's {cure}"):
        SecureAverage(clip=1.0).run(dict.fromkeys(range(4), update), base=base)


@pytest.mark.parametrize(
    "other", [{"x.a.w": ONE, "y.b.w": ONE, "": ONE}, {"0.a.w": ONE, "0.b.w": ONE, "1.a.w": ONE}]
)
def test_keys_without_a_common_prefix_are_no_wrapped_module(other: Any) -> None:
    leaves = tree_spec({"a.w": ONE, "b.w": ONE}, clips=1.0)[0]
    with pytest.raises(EncodingError, match=r"the template lacks keys: a\.w, b\.w$"):
        rebuild(other, leaves, {})


@pytest.mark.parametrize(
    "tree",
    [
        {"v": ONE},
        {"w": np.zeros(2), "n": np.array(1)},
        {"w": ONE.astype(np.float32), "n": np.array(1)},
    ],
)
@pytest.mark.parametrize("what", ["template", "base"])
def test_a_mean_goes_into_no_other_tree(tree: Any, what: str) -> None:
    good = {"w": ONE, "n": np.array(1)}
    leaves, _ = tree_spec(good, clips=1.0)
    trees = (tree, good) if what == "template" else (good, tree)
    with pytest.raises(EncodingError, match=f"the {what}"):
        rebuild(trees[0], leaves, {0: np.zeros(1), 1: np.zeros(1, int)}, trees[1])


# -- containers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Store, OverAStore])
def test_the_template_is_never_written_to(kind: Any) -> None:
    for inner in ({}, Store({})):
        base = kind(inner)
        base["w"] = np.zeros(2)
        mean = (
            SecureAverage(clip=1.0)
            .run({i: {"w": np.full(2, 0.1 * i)} for i in range(4)}, base=base)
            .mean
        )

        assert not base["w"].any()
        assert type(mean) is dict
        assert mean["w"] == pytest.approx(0.15, abs=1e-3)


def test_a_dict_with_methods_of_its_own_becomes_a_dict() -> None:
    tree = WritesThrough(w=ONE)

    assert type(map_leaves(tree, lambda key, _: key)) is dict
    assert [] == tree.written


@pytest.mark.parametrize("tree", [UserDict(w=ONE), ChainMap({"w": ONE}, {"v": ONE})])
def test_pythons_own_mappings_keep_their_type(tree: Any) -> None:
    before = dict(tree)
    mapped = map_leaves(tree, lambda key, _: key)

    assert type(mapped) is type(tree)
    assert {key: key for key in tree} == dict(mapped)
    assert before == dict(tree)
    assert type(map_leaves(ChainMap(Store({"w": ONE})), lambda key, _: key)) is dict


def test_a_container_that_cannot_be_built_again_is_named_before_anybody_trains() -> None:
    class Pair(tuple[Any, ...]):
        __slots__ = ()
        _make = None

    trained: list[int] = []
    with pytest.raises(EncodingError, match=r"cannot be built again \(TypeError\): pass dicts"):
        SecureAverage(clip=1.0).run(
            {i: lambda: trained.append(1) for i in range(4)}, base={"p": Pair([ONE, ONE])}
        )

    assert [] == trained
