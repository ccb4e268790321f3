from __future__ import annotations

import copy
import struct
from collections import OrderedDict, defaultdict
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pytest

from secagg.crypto.kdf import digest
from secagg.crypto.labels import Label
from secagg.pytree import flatten, map_leaves, model_hash
from secagg.workers import Workers

ONE, TWO, THREE = np.zeros(1), np.zeros((2, 2)), np.array(3)


class Pair(NamedTuple):
    left: Any
    right: Any


@pytest.mark.parametrize(
    ("tree", "keys"),
    [
        ({"w": ONE, "b": TWO}, ["w", "b"]),
        ({"a": {"b": [ONE, TWO]}, "c": (THREE,)}, ["a.b.0", "a.b.1", "c.0"]),
        ([ONE, TWO], ["0", "1"]),
        (ONE, [""]),
        ({1: ONE, "x": {}}, ["1"]),
        (Pair(ONE, {"k": TWO}), ["0", "1.k"]),
    ],
)
def test_flatten_joins_paths_in_order(tree, keys):
    assert keys == list(flatten(tree))


def test_flatten_copies_nothing():
    assert flatten({"a": [ONE]})["a.0"] is ONE


def test_map_leaves_keeps_containers_and_what_their_types_add():
    state = OrderedDict(w=ONE)
    state._metadata = {"version": 2}
    factory = defaultdict(list, k=ONE)
    tree = {
        "s": state,
        "d": factory,
        "p": Pair(ONE, [TWO]),
        "t": (ONE,),
        "m": MappingProxyType({"x": ONE}),
    }
    before = copy.copy(tree)
    mapped = map_leaves(tree, lambda key, leaf: key)

    assert {
        "s": OrderedDict(w="s.w"),
        "d": {"k": "d.k"},
        "p": Pair("p.0", ["p.1.0"]),
        "t": ("t.0",),
        "m": {"x": "m.x"},
    } == mapped
    assert type(mapped["s"]) is OrderedDict
    assert mapped["s"]._metadata == {"version": 2}
    assert mapped["d"].default_factory is list
    assert type(mapped["p"]) is Pair
    assert type(mapped["m"]) is dict
    assert tree == before
    assert state["w"] is ONE


BASE = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array(7)}


def changed(**leaves):
    return {**BASE, **leaves}


@pytest.mark.parametrize(
    "other",
    [
        changed(w=np.arange(6, dtype=np.float64).reshape(2, 3)),
        changed(w=np.arange(6, dtype=np.float32).reshape(3, 2)),
        changed(w=np.arange(6, dtype=np.float32).reshape(2, 3) + 1),
        changed(n=np.array([7])),
        changed(x=np.array(0)),
        {"w": BASE["w"]},
        {"v": BASE["w"], "n": BASE["n"]},
        {"n": BASE["n"], "w": BASE["w"]},
    ],
)
def test_model_hash_sees_every_change(other):
    assert model_hash(BASE) != model_hash(other)


@pytest.mark.parametrize(
    "same",
    [
        OrderedDict(BASE),
        changed(w=np.asfortranarray(BASE["w"])),
        changed(w=BASE["w"].astype(">f4")),
        changed(w=np.repeat(BASE["w"], 2, axis=1)[:, ::2]),
    ],
)
def test_model_hash_depends_on_values_not_on_memory(same):
    assert model_hash(BASE) == model_hash(same)


def test_model_hash_covers_every_step_of_a_long_leaf():
    x = np.zeros(600_000)
    hashes = {model_hash([x])}
    for index in (0, 262_143, 262_144, 599_999):
        changed_x = x.copy()
        changed_x[index] = 1
        hashes.add(model_hash([changed_x]))

    assert len(hashes) == 5


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_long_leaf_is_hashed_by_chunks_that_threads_share(threads):
    x = np.arange(600_000, dtype=">f4")
    tree = {"strided": x[::2], "long": x, "none": x[:0], "short": x[:3]}
    with Workers(threads) as workers:
        found = model_hash(tree, workers)

    def chunks(values: Any) -> bytes:
        parts = np.split(values.astype("<f4"), range(2**18, len(values), 2**18))
        return b"".join(digest(Label.HASH_CHUNK, part.tobytes()) for part in parts if len(part))

    parts = [
        part
        for key, values in tree.items()
        for part in (key.encode(), f"float32[{len(values)}]".encode(), chunks(values))
    ]
    assert digest(Label.HASH_MODEL, *parts) == found


def test_model_hash_is_the_documented_digest():
    # Gateways of one session compare these bytes across releases.
    parts = [
        *(b"w", b"float32[2, 3]", digest(Label.HASH_CHUNK, struct.pack("<6f", *range(6)))),
        *(b"n", b"int64[]", digest(Label.HASH_CHUNK, struct.pack("<q", 7))),
    ]

    assert digest(Label.HASH_MODEL, *parts) == model_hash(BASE)


def test_model_hash_handles_empty_leaves_and_nan():
    tree = [np.zeros((0, 3)), np.array([np.nan])]

    assert model_hash(tree) == model_hash(copy.deepcopy(tree))
