from __future__ import annotations

import numpy as np
import pytest

from secagg.errors import ConfigurationError, EncodingError
from secagg.pytree import Group, tree_spec

W = np.zeros((2, 3), np.float32)
TREE = {
    "conv.weight": W,
    "bn.running_var": np.zeros(4),
    "bn.num_batches_tracked": np.array(0),
    "conv.bias": np.zeros(3, np.float16),
    "mask": np.zeros(2, bool),
}


def places(leaves):
    return {leaf.key: (leaf.vector, leaf.start) for leaf in leaves}


def test_one_clip_gives_one_vector_of_reals_and_one_of_integers():
    leaves, groups = tree_spec(TREE, clips=1)

    assert groups == (Group("update/0", 13, 1.0), Group("integers", 3, None))
    assert places(leaves) == {
        "conv.weight": (0, 0),
        "bn.running_var": (0, 6),
        "bn.num_batches_tracked": (1, 0),
        "conv.bias": (0, 10),
        "mask": (1, 1),
    }
    assert [(leaf.shape, leaf.dtype) for leaf in leaves] == [
        ((2, 3), "float32"),
        ((4,), "float64"),
        ((), "int64"),
        ((3,), "float16"),
        ((2,), "bool"),
    ]


def test_each_distinct_clip_has_a_vector_and_the_first_pattern_decides():
    clips = {"*.running_*": 50.0, "conv.bias": 1.0, "conv.*": 0.1, "*": 1.0}
    leaves, groups = tree_spec(TREE, clips=clips)

    assert groups == (
        Group("update/0", 6, 0.1),
        Group("update/1", 4, 50.0),
        Group("update/2", 3, 1.0),
        Group("integers", 3, None),
    )
    assert places(leaves)["conv.bias"] == (2, 0)


@pytest.mark.parametrize(
    ("select", "keys"),
    [
        (None, list(TREE)),
        ("conv.*", ["conv.weight", "conv.bias"]),
        (["mask", "bn.*"], ["bn.running_var", "bn.num_batches_tracked", "mask"]),
        (lambda key: "num" in key, ["bn.num_batches_tracked"]),
    ],
)
def test_select_leaves_the_other_keys_out(select, keys):
    leaves, _ = tree_spec(TREE, clips=1.0, select=select)

    assert keys == [leaf.key for leaf in leaves]


@pytest.mark.parametrize(
    ("clips", "select", "sentence"),
    [
        ({"conv.*": 1.0}, None, "no clip for 'bn.running_var'"),
        ({"convv.*": 1.0, "*": 2.0}, None, r"'convv\.\*' decides no key"),
        ({"*": 1.0, "conv.*": 2.0}, None, r"'conv\.\*' decides no key: .* an earlier"),
        (1.0, "nothing.*", "select matches no key"),
        (1.0, ["conv.*", "nothing.*"], r"'nothing\.\*' of select matches no key"),
        (1.0, lambda key: False, "select matches no key"),
    ],
)
def test_patterns_that_do_nothing_are_refused(clips, select, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        tree_spec(TREE, clips=clips, select=select)


def test_tied_leaves_share_their_coordinates():
    square = np.zeros((2, 3))[:, :2]
    tree = {"a": W, "b": square, "c": W, "d": W.T, "e": W[:], "f": W.copy(), "g": square.T}
    leaves, groups = tree_spec(tree, clips=1.0)

    # The transpose is other coordinates of the same memory: not a tie.
    starts = {"a": 0, "b": 6, "c": 0, "d": 10, "e": 0, "f": 16, "g": 22}
    assert starts == {leaf.key: leaf.start for leaf in leaves}
    assert groups == (Group("update/0", 26, 1.0),)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"clips": {"a": 1.0, "b": 2.0}}, "'a' and 'b' are tied: give them one clip"),
        ({"clips": 1.0, "select": "a"}, "'a' and 'b' are tied: select both or neither"),
    ],
)
def test_a_tie_cannot_be_torn(options, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        tree_spec({"a": W, "b": W}, **options)


def test_a_key_left_out_is_no_tie_when_its_memory_is_its_own():
    leaves, _ = tree_spec({"a": W, "b": W.copy(), "c": W[:0]}, clips=1.0, select="a")

    assert ["a"] == [leaf.key for leaf in leaves]


def test_empty_leaves_need_no_vector_and_no_clip():
    tree = {"empty": np.zeros((0, 5)), "none": np.zeros(0, int), "w": W}
    leaves, groups = tree_spec(tree, clips={"w": 1.0})

    assert groups == (Group("update/0", 6, 1.0),)
    assert places(leaves) == {"empty": (0, 0), "none": (0, 0), "w": (0, 0)}
    with pytest.raises(EncodingError, match="nothing to average"):
        tree_spec({"empty": np.zeros(0)}, clips=1.0)


def test_integers_alone_are_enough():
    _, groups = tree_spec({"n": np.arange(3)}, clips=1.0)

    assert groups == (Group("integers", 3, None),)
