"""What is a leaf, what is refused by name with the way out, and what comes back as what."""

from __future__ import annotations

import dataclasses
from collections import UserDict
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from secagg import SecureAverage
from secagg.errors import EncodingError
from secagg.pytree import Reader, flatten, map_leaves, model_hash, rebuild, tree_spec

ONE = np.zeros(1)


class Unit(np.ndarray):
    """As a quantity of astropy or an array of galois: sums have a meaning of their own."""

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        raise TypeError("units differ")


class Labelled:
    """As a pandas.Series: numpy reads it, and drops the order of its rows."""

    dtype, shape = np.dtype(float), (2,)
    __array_ufunc__ = None

    def to_numpy(self):
        return np.zeros(2)

    def __array__(self, dtype=None, copy=None):
        return np.zeros(2)


class Foreign:
    """As an array of jax: no arithmetic of numpy's, but numpy reads it."""

    def __init__(self, values: Any, *, announced: Any = None) -> None:
        self.values = np.asarray(values)
        self.dtype = self.values.dtype if announced is None else announced
        self.shape = list(self.values.shape)

    def __array__(self, dtype=None, copy=None):
        return self.values


class Deleted(Foreign):
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Array has been deleted: 0.123456")


class Shapeless(Foreign):
    """Everything that it is asked raises; the text may hold its values."""

    @property
    def shape(self):
        raise RuntimeError("0.123456")

    @shape.setter
    def shape(self, sides):
        pass


class Sides(Foreign):
    def __init__(self):
        super().__init__([1.0])
        self.shape = ["0.123456"]


class Key:
    def __str__(self):
        raise ValueError("0.123456")


class Net:
    """As a torch.nn.Module: it can be called, and so can an update that is a function."""

    def state_dict(self):
        return {}

    def __call__(self, batch):
        return batch


class Layers:
    """As a model of Keras."""

    trainable_variables = ()

    def __call__(self, batch):
        return batch


class Variable(Foreign):
    """As a variable of Keras over jax: numpy may not write to it, and it changes all the same."""

    def assign(self, values):
        self.values = values


@dataclasses.dataclass
class Weights:
    w: Any


class Table(UserDict):
    """As a TensorDict: iterating over it gives something else than its keys."""

    def __iter__(self):
        raise TypeError("iteration over a 0-d table")

    def keys(self):
        return self.data.keys()

    def items(self):
        return self.data.items()

    def update(self, items):
        self.data = {**self.data, **dict(items)}

    def __copy__(self):
        return Table(self.data)


def endless() -> dict[str, Any]:
    tree: dict[str, Any] = {"w": ONE}
    tree["self"] = [tree]
    return tree


REFUSED = {
    "module": (Net(), r"the tree is a Net, no array: pass its state_dict\(\)"),
    "module inside": ({"a": Net()}, r"'a' is a Net, no array: pass its state_dict"),
    "None": ({"a": {"b": None}}, r"'a\.b' is a NoneType, no array: leave its key out"),
    "text": ({"a": "text"}, "'a' is a str, no array: leave its key out"),
    "complex": ({"a": 1j}, "'a' is a complex, no array$"),
    "fraction": ({"a": Fraction(1, 2)}, r"'a' is a Fraction, no array: pass float\(\)"),
    "dataclass": (Weights(ONE), r"the tree is a Weights, no array: pass dataclasses\.asdict\(\)"),
    "set": ({"a": {1.0}}, "'a' is a set, no array: pass a list or a mapping"),
    "generator": ({"a": iter([ONE])}, "'a' is a list_iterator, no array: pass a list"),
    "function": (lambda: ONE, "the tree is a function, no array"),
    "masked": ({"a": np.ma.masked_array([1.0], [True])}, r"'a' is a MaskedArray.*filled\("),
    "matrix": ({"a": np.zeros((2, 40)).view(np.matrix)}, "'a' is a matrix.*arithmetic of its own"),
    "unit": ({"a": np.zeros(2).view(Unit)}, "'a' is a Unit.*arithmetic of its own: pass a plain"),
    "labels": ({"a": Labelled()}, r"'a' is a Labelled.*labels would get lost: pass its to_numpy"),
    "no shape": ({"a": Shapeless(1)}, r"'a' is a Shapeless that cannot be read \(RuntimeError\)"),
    "no sides": ({"a": Sides()}, r"'a' is a Sides that cannot be read \(TypeError\): pass a plain"),
    "no key": ({"a": {Key(): ONE}}, "'a' is a dict that raises ValueError when it is read"),
    "dtype of others": ({"a": Foreign([1.0], announced="bf8")}, "'a': numpy has no dtype bf8"),
    "complex numbers": ({"a": np.array([1j])}, "'a': dtype complex128 is not averaged"),
    "complex of others": ({"a": Foreign([1j])}, "'a': dtype complex128 is not averaged"),
    "objects": ({"a": np.array([None])}, "dtype object"),
    "texts": ({"a": np.array(["x"])}, "dtype <U1"),
    "new texts": ({"a": np.array(["x"], np.dtypes.StringDType())}, "'a': dtype StringDType"),
    "records": ({"a": np.zeros(2, "f4,f4")}, "is not averaged"),
    "long floats": ({"a": np.zeros(2, np.longdouble)}, "is not averaged"),
    "times": ({"a": np.datetime64(3, "s")}, "'a': dtype datetime64.* is not averaged"),
    "long integer": ({"a": 2**63}, "'a': an integer of more than 64 bits"),
    "equal keys": ({1: ONE, "1": ONE}, "two leaves are called '1'"),
    "equal paths": ({"a.b": ONE, "a": {"b": ONE}}, r"two leaves are called 'a\.b'"),
    "surrogate": ({"w\ud800": ONE}, "lone surrogate"),
    "endless": (endless(), r"'self\.0\.self' goes on for 100 levels: does the tree contain itself"),
    "nothing": ({}, "no arrays"),
    "empty": ({"a": []}, "no arrays"),
}  # fmt: skip


@pytest.mark.parametrize("tree", [Net(), {"net": Net(), "w": ONE}])
def test_a_module_in_the_place_of_what_is_selected_is_named(tree):
    leaves, _ = tree_spec({"net": {"w": ONE}}, clips=1.0)
    for work in (
        lambda: Reader(leaves, tree, select="net.*"),
        lambda: rebuild(tree, leaves, {0: np.zeros(1)}),
        lambda: tree_spec(Net(), clips=1.0, select="net.*"),
    ):
        with pytest.raises(EncodingError, match="is a Net, no array: pass its state_dict"):
            work()


@pytest.mark.parametrize(("tree", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_tree_is_named_with_the_way_out(tree, sentence):
    for work in (flatten, model_hash, lambda each: tree_spec(each, clips=1.0)):
        with pytest.raises(EncodingError, match=sentence) as caught:
            work(tree)

        assert "0.123456" not in str(caught.value)


@pytest.mark.parametrize("leaf", [Foreign([1.0], announced=np.dtype("f4")), Deleted([1.0])])
def test_what_only_looks_like_an_array_is_named_when_it_is_read(leaf):
    leaves, _ = tree_spec({"a": leaf}, clips=1.0)
    for work in (model_hash, lambda tree: Reader(leaves, tree)):
        with pytest.raises(EncodingError, match=r"'a'.*: pass a (plain|numpy) array") as caught:
            work({"a": leaf})

        assert "0.123456" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "cure"), [(Net(), "Net, .*its state_dict"), (Layers(), "Layers, .*its get_weights")]
)
@pytest.mark.parametrize("as_base", [True, False])
def test_the_recipe_names_a_module_and_does_not_call_it(model, cure, as_base):
    updates, base = dict.fromkeys(range(4), [ONE] if as_base else model), model if as_base else None
    with pytest.raises(EncodingError, match=cure):
        SecureAverage(clip=1.0).run(updates, base=base)


@pytest.mark.parametrize("kind", ["csr_array", "dok_array", "coo_matrix"])
@pytest.mark.parametrize("entry", [0.0, 1.0])
def test_sparse_matrices_are_refused_before_they_are_walked(kind, entry):
    matrix = getattr(pytest.importorskip("scipy.sparse"), kind)([[0.0, entry]])
    with pytest.raises(EncodingError, match=r"'w' is a .*: it is sparse: pass its toarray\(\)"):
        flatten({"w": matrix, "b": ONE})


NUMBERS = {
    "float": 0.5,
    "int": 3,
    "bool": True,
    "float32": np.float32(0.5),
    "float64": np.float64(0.5),
    "int8": np.int8(3),
    "numpy's bool": np.True_,
    "0-d": np.array(0.5),
}


def test_numbers_are_leaves_and_their_means_are_numbers_of_their_kind():
    updates = {i: {**NUMBERS, "float": 0.25 * i} for i in range(4)}
    mean = SecureAverage(clip=1.0).run(updates).mean

    assert 0.375 == pytest.approx(mean.pop("float"), abs=1e-4)
    for key, value in mean.items():
        assert (type(NUMBERS[key]), getattr(NUMBERS[key], "dtype", None)) == (
            type(value),
            getattr(value, "dtype", None),
        )
        assert NUMBERS[key] == pytest.approx(value, abs=1e-4)


def test_equal_numbers_are_no_tie_and_hash_as_arrays_without_dimensions():
    leaves, groups = tree_spec([3, 3, 0.5, np.float64(0.5)], clips=1.0)

    assert [2, 2] == [group.length for group in groups]
    assert [0, 1, 0, 1] == [leaf.start for leaf in leaves]
    arrays = {"a": np.array(3), "b": np.array(0.5), "c": np.array(True)}
    assert model_hash(arrays) == model_hash({"a": 3, "b": 0.5, "c": True})


def test_arrays_of_others_are_read_by_numpy_and_come_back_as_arrays_of_numpy():
    w = Foreign(np.arange(6, dtype="f4").reshape(2, 3))
    tree = {"a": w, "tied": w, "n": Foreign([7])}
    leaves, groups = tree_spec(tree, clips=1.0)
    result = rebuild(tree, leaves, {0: np.ones(6), 1: np.array([1])}, tree)

    assert [6, 1] == [group.length for group in groups]
    assert model_hash({"a": w.values, "tied": w.values, "n": np.array([7])}) == model_hash(tree)
    assert {np.ndarray} == {type(leaf) for leaf in result.values()}
    assert (np.float32, (2, 3)) == (result["a"].dtype, result["a"].shape)
    assert np.array_equal(w.values + 1, result["a"])
    assert [8] == result["n"].tolist()


def test_an_array_of_others_may_stay_what_it_was_where_nobody_can_write_to_it():
    frozen = np.zeros(2)
    frozen.flags.writeable = False
    updates = {i: {"w": np.full(2, i / 4), "frozen": None} for i in range(4)}

    def run(leaf):
        given = {i: each | {"frozen": leaf} for i, each in updates.items()}
        base = {"w": np.zeros(2), "frozen": leaf}
        return SecureAverage(clip=1.0).run(given, base=base).mean

    assert not run(Foreign(frozen))["frozen"].any()
    for leaf in (Foreign(np.zeros(2)), Variable(frozen)):
        with pytest.raises(EncodingError, match="share memory in frozen"):
            run(leaf)


BARE = {
    "beyond": (np.full(2, 2.0), {}, "2 coordinates are beyond their clip: in the tree;"),
    "infinite": (np.array([np.inf]), {}, "infinite in float32: in the tree"),
    "shape": (np.zeros(2), {"base": np.zeros(3)}, r"the tree of the update is float64\[2\]"),
    "keys": ({"w": np.zeros(2)}, {"base": np.zeros(2)}, "lacks keys: the tree"),
}


@pytest.mark.parametrize(("update", "options", "words"), BARE.values(), ids=BARE)
def test_a_tree_that_is_one_leaf_is_called_the_tree(update, options, words):
    with pytest.raises(EncodingError, match=words):
        SecureAverage(clip=1.0).run(dict.fromkeys(range(4), update), **options)


def test_a_mapping_is_read_by_its_items_not_by_its_iteration():
    base = Table(w=np.zeros(2), deep=Table(b=np.zeros(1)))
    updates = {i: Table(w=np.full(2, 0.25 * i), deep=Table(b=np.array([0.5]))) for i in range(4)}
    mean = SecureAverage(clip=1.0).run(updates, base=base).mean

    assert {"w", "deep"} == set(mean)
    assert [0.375, 0.375] == pytest.approx(mean["w"], abs=1e-4)
    assert not base["w"].any()


def test_a_memmap_and_the_bytes_of_another_order_are_plain_arrays(tmp_path):
    held = np.lib.format.open_memmap(tmp_path / "w.npy", "w+", "f4", (2, 2))
    held[:] = 3
    tree = {"m": held, "s": np.arange(4, dtype=">f4").reshape(2, 2).T}
    leaves, _ = tree_spec(tree, clips=9.0)
    read = np.empty(8)
    Reader(leaves, tree).read(0, 0, 8, read)

    assert [3, 3, 3, 3, 0, 2, 1, 3] == read.tolist()
    assert np.ndarray is type(rebuild(tree, leaves, {0: read})["m"])


class Pair(tuple):
    _fields = ("left", "right")
    __slots__ = ()

    def __new__(cls, both):
        return super().__new__(cls, both)

    @classmethod
    def _make(cls, values):
        return cls(values)


def test_a_named_tuple_is_not_made_by_a_constructor_that_may_be_another():
    mapped = map_leaves(Pair((ONE, [ONE])), lambda key, leaf: key)

    assert (Pair, ("0", ["1.0"])) == (type(mapped), mapped)


def test_a_file_of_arrays_is_read_once(tmp_path, monkeypatch):
    np.savez(tmp_path / "base.npz", **{f"layer{i}": np.full(3, i) for i in range(5)})
    with np.load(tmp_path / "base.npz") as base:
        reads = []
        read = type(base).__getitem__
        monkeypatch.setattr(
            type(base), "__getitem__", lambda file, key: reads.append(key) or read(file, key)
        )
        updates = {i: {f"layer{k}": np.full(3, k + i) for k in range(5)} for i in range(4)}
        mean = SecureAverage(clip=1.0).run(updates, base=base).mean

    assert sorted(mean) == sorted(reads)
    assert [[k + 2] * 3 for k in range(5)] == [mean[f"layer{k}"].tolist() for k in range(5)]


def test_the_hash_of_bfloat16_is_that_of_torch_and_the_mean_keeps_it():
    """As ml_dtypes 0.6.0 and torch 2.13.0: of the first, buffers know nothing."""
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    torch = pytest.importorskip("torch")
    w = np.random.default_rng(0).uniform(-1, 1, (3, 400)).astype(np.float32)

    twin = torch.from_numpy(w).bfloat16()
    for view in (slice(None), slice(None, None, 2)):
        assert model_hash([twin[:, view]]) == model_hash([w.astype(bfloat16)[:, view]])
    base = {"w": w.astype(bfloat16)}
    updates = {i: {"w": (w + i / 4).astype(bfloat16)} for i in range(4)}
    for mean in (
        SecureAverage(clip=2.0).run(updates, base=base).mean["w"],
        SecureAverage(clip=2.0).run(updates).mean["w"],
    ):
        assert bfloat16 == mean.dtype
        assert np.abs(mean.astype(np.float32) - w - 0.375).max() < 0.02
