from __future__ import annotations

import tracemalloc
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.errors import AggregateOutOfRange, EncodingError
from secagg.pytree import Reader, rebuild, tree_spec

DTYPES = ("float16", "float32", "float64")


def read_all(reader, length, dtype=np.float64, vector=0):
    out = np.empty(length, dtype)
    reader.read(vector, 0, length, out)
    return out


@settings(max_examples=60)
@given(data=st.data())
def test_any_range_of_any_tree_reads_as_the_concatenation(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    shapes = data.draw(
        st.lists(st.lists(st.integers(0, 4), max_size=3).map(tuple), min_size=1, max_size=6)
    )
    tree, base = [], []
    for shape in shapes:
        for table in (tree, base):
            leaf = rng.standard_normal((*shape, 2)).astype(data.draw(st.sampled_from(DTYPES)))
            table.append(leaf[..., 0] if data.draw(st.booleans()) else leaf[..., 0].copy())
        base[-1] = base[-1].astype(tree[-1].dtype)
    tree.append(np.ones(3, np.float32))
    base.append(np.full(3, 0.5, np.float32))
    leaves, groups = tree_spec(tree, clips=1.0)
    flat = np.concatenate(
        [a.ravel().astype(float) - b.ravel() for a, b in zip(tree, base, strict=True)]
    )
    length = groups[0].length
    start = data.draw(st.integers(0, length - 1))
    stop = data.draw(st.integers(start, length))
    reader = Reader(leaves, tree, base)
    out = np.empty(stop - start)
    reader.read(0, start, stop, out)

    assert np.array_equal(flat[start:stop], out)
    whole = np.concatenate([a.ravel().astype(float) for a in tree])
    assert np.array_equal(whole, read_all(Reader(leaves, tree), length))


@pytest.mark.parametrize("out", [np.float32, np.float64])
@pytest.mark.parametrize("dtype", DTYPES)
def test_differences_are_rounded_once_to_the_wider_dtype(dtype, out):
    base = np.array([1.0, 3.0, 1.0], dtype)
    tree = np.nextafter(base, np.array(2, dtype))
    tree[2] = 0.1
    leaves, _ = tree_spec([tree], clips=1.0)
    exact = tree.astype(np.float64) - base.astype(np.float64)

    assert np.array_equal(exact.astype(out), read_all(Reader(leaves, [tree], [base]), 3, out))


def test_reading_needs_no_memory_of_the_size_of_the_model():
    tree = {"a": np.zeros((1000, 2000)), "strided": np.zeros((2000, 1000), np.float32).T}
    base = {key: np.ones_like(leaf) for key, leaf in tree.items()}
    leaves, groups = tree_spec(tree, clips=1.0)
    out = np.empty(10_000, np.float32)
    tracemalloc.start()
    reader = Reader(leaves, tree, base)
    for start in range(0, groups[0].length, 10_000):
        reader.read(0, start, start + 10_000, out)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 2**20  # the tree has 24 MB


def test_integers_and_bools_are_read_exactly():
    tree = {
        "n": np.array(2**62), "w": np.zeros(2), "b": np.array([True, False, True]),
        "u": np.array([0, 255], np.uint8), "big": np.array([2**62], np.uint64),
    }  # fmt: skip
    base = {
        "n": np.array(-(2**62) + 1), "w": np.zeros(2), "b": np.array([False, True, True]),
        "u": np.array([255, 0], np.uint8), "big": np.array([5], np.uint64),
    }  # fmt: skip
    leaves, _ = tree_spec(tree, clips=1.0)

    def read(*trees, bound=2**62):
        values, beyond = Reader(leaves, *trees).integers(1, bound)
        return values.tolist(), beyond

    assert ([2**62, 1, -1, 0, -255, 255, 2**62 - 5], 1) == read(tree, base)
    assert ([2**62, 1, 0, 1, 0, 255, 2**62], 0) == read(tree)
    assert ([200, 1, -1, 0, -200, 200, 200], 4) == read(tree, base, bound=200)


@pytest.mark.parametrize(
    ("value", "base", "read"),
    [
        (2**63 - 1, -(2**63), (2**62, 1)),
        (-(2**63), 2**63 - 1, (-(2**62), 1)),
        (2**63 - 1, 2**63 - 3, (2, 0)),
        (2**62 + 1, 0, (2**62, 1)),
    ],
)
def test_integers_whose_difference_leaves_64_bits_are_clamped_and_counted(value, base, read):
    tree, model = {"n": np.array([value])}, {"n": np.array([base])}
    leaves, _ = tree_spec(tree, clips=1.0)
    [lane], beyond = Reader(leaves, tree, model).integers(0, 2**62)

    assert read == (lane, beyond)


def test_places_name_what_is_read_of_tied_leaves_the_first_by_its_key():
    w = np.zeros((2, 2))
    tree = {"tied": w, "empty": np.zeros(0), "b": {"c": np.zeros(3)}, "a": w}
    leaves, _ = tree_spec(tree, clips=1.0)
    reader = Reader(leaves, tree | {"a": w + 1})
    read = np.empty(1)
    reader.read(0, 0, 1, read)

    assert [("a", 0, 4), ("b.c", 4, 7)] == reader.places(0)
    assert 1 == read[0]


MODEL = {"w": np.zeros((2, 3), np.float32), "n": np.array(0)}


@pytest.mark.parametrize(
    ("tree", "sentence"),
    [
        ({"w": MODEL["w"]}, "lacks keys: n"),
        ({**MODEL, "x": MODEL["w"]}, "has extra keys: x"),
        ({**MODEL, **dict.fromkeys("abcd", MODEL["w"])}, r"has extra keys: a, b, c, \.\.\."),
        (
            {**MODEL, "w": np.zeros((3, 2), np.float32)},
            r"'w' of the \w+ is float32\[3, 2\], the model has float32\[2, 3\]",
        ),
        ({**MODEL, "w": np.zeros((2, 3))}, r"is float64\[2, 3\]"),
        ({**MODEL, "n": np.array(0.0)}, r"'n' of the \w+ is float64\[\], the model has int64"),
    ],
)
@pytest.mark.parametrize("role", ["update", "base"])
def test_trees_that_differ_from_the_template_are_refused(tree, sentence, role):
    leaves, _ = tree_spec(MODEL, clips=1.0)
    with pytest.raises(EncodingError, match=sentence) as caught:
        Reader(leaves, tree) if role == "update" else Reader(leaves, MODEL, tree)
    assert role in str(caught.value)


def test_keys_left_out_may_differ():
    leaves, _ = tree_spec(MODEL, clips=1.0, select="w")
    base = {**MODEL, "w": MODEL["w"].copy()}
    reader = Reader(leaves, {**MODEL, "other": np.zeros(9)}, base, select="w")

    assert [0.0] * 6 == read_all(reader, 6).tolist()
    with pytest.raises(EncodingError, match="has extra keys: n"):
        Reader(leaves, MODEL)


@pytest.mark.parametrize("index", [0, 69_999])
def test_tied_leaves_that_differ_are_counted_and_the_first_is_read(index):
    w = np.zeros(70_000)
    leaves, _ = tree_spec({"a": w, "b": w}, clips=1.0)
    other = w.copy()
    zero = w.copy()
    equal = Reader(leaves, {"a": w, "b": w.copy()}, {"a": other, "b": zero})
    other[index] = 1.0
    update, base = (
        Reader(leaves, {"a": w, "b": other}),
        Reader(leaves, {"a": w, "b": w}, {"a": zero, "b": other}),
    )

    assert [0, 1, 1] == [equal.untied, update.untied, base.untied]
    assert not read_all(update, 70_000).any()


def test_rebuild_inverts_reading_and_keeps_types_and_ties():
    tied = np.asfortranarray(np.arange(6, dtype=np.float16).reshape(2, 3))
    template = OrderedDict(
        a=tied, n=np.array(5, np.int32), deep=[np.zeros((), np.float64), (np.zeros((0, 2)),)],
        flag=np.array([True, False]), b=tied, swapped=np.zeros(2, ">f4"),
    )  # fmt: skip
    leaves, groups = tree_spec(template, clips=1.0)
    means = {0: np.arange(1.0, groups[0].length + 1), 1: np.array([-2, 0, 1])}
    result = rebuild(template, leaves, means, template)

    assert type(result) is OrderedDict
    assert list(template) == list(result)
    assert np.array_equal(tied + np.arange(1, 7).reshape(2, 3), result["a"])
    assert result["a"] is result["b"]
    assert (3, np.int32) == (result["n"], result["n"].dtype)
    assert result["deep"][0] == 7.0
    assert result["deep"][1][0].shape == (0, 2)
    assert [True, True] == result["flag"].tolist()
    assert [8.0, 9.0] == result["swapped"].tolist()
    for key in ("a", "n", "flag", "swapped"):
        assert template[key].dtype == result[key].dtype


def test_rebuild_without_base_owns_its_memory():
    template = {"w": np.zeros(3), "left": np.arange(2)}
    leaves, _ = tree_spec(template, clips=1.0, select="w")
    mean = np.ones(3)
    result = rebuild(template, leaves, {0: mean})
    mean[:] = 7

    assert [1, 1, 1] == result["w"].tolist()
    assert result["left"] is template["left"]


def test_a_leaf_without_ties_is_compared_with_none():
    """Nor with itself: that would be a pass over the update, and NaN differs from NaN."""
    tree = {"w": np.array([np.nan, 1.0])}
    leaves, _ = tree_spec(tree, clips=1.0)

    assert 0 == Reader(leaves, tree, {"w": tree["w"].copy()}).untied


def test_rebuild_adds_the_base_in_the_wider_dtype():
    template = {"w": np.array([1.0])}
    leaves, _ = tree_spec(template, clips=1.0)
    result = rebuild(template, leaves, {0: np.array([2.0**-40], np.float32)}, template)

    assert 1 + 2.0**-40 == result["w"][0]


def test_integers_near_the_end_of_their_dtype_are_added_to_as_they_are():
    base = {"n": np.array([2**64 - 2, 2**63], np.uint64)}
    leaves, _ = tree_spec(base, clips=1.0)
    result = rebuild(base, leaves, {0: np.array([1, -1])}, base)

    assert [2**64 - 1, 2**63 - 1] == result["n"].tolist()


@pytest.mark.parametrize(
    ("leaf", "mean"),
    [
        (np.array([True]), 1),
        (np.array([False]), -1),
        (np.array([255], np.uint8), 1),
        (np.array([0], np.uint64), -1),
        (np.array([2**64 - 1], np.uint64), 1),
        (np.array([2**63 - 1]), 1),
        (np.array([-(2**31)], np.int32), -1),
    ],
)
def test_integers_that_no_honest_mean_gives_are_an_error(leaf, mean):
    leaves, _ = tree_spec({"n": leaf}, clips=1.0)
    with pytest.raises(AggregateOutOfRange, match="mean of 'n' does not fit"):
        rebuild({"n": leaf}, leaves, {0: np.array([mean])}, {"n": leaf})
