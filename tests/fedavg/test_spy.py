"""The search that `test_only_aggregates_leave` relies on finds what is hidden, and nothing else."""

from __future__ import annotations

import functools

import msgspec
import numpy as np
import pytest
import torch

from fedavg.gateway import Gateway
from tests.fedavg.spy import Private

DRAW = np.random.default_rng(0)
UPDATE = DRAW.normal(size=64).astype(np.float32)
LANES = DRAW.integers(2**40, 2**63, 24, dtype=np.uint64)
WEIGHT = 212 - 20481 / 2**16
WORD = int(WEIGHT * 2**16)


class Slotted:
    __slots__ = ("kept",)

    def __init__(self, kept):
        self.kept = kept


class Open:
    def __init__(self, kept):
        self.kept = kept

    def told(self):
        return 0


def closure(kept):
    return lambda: kept


def generator(kept):
    yield 0
    yield kept


def started(kept):
    made = generator(kept)
    next(made)
    return made


@pytest.fixture(scope="module")
def private():
    made = Private()
    made.array("update", UPDATE)
    made.array("update", UPDATE.astype(np.float64))
    made.array("lanes", LANES)
    made.number("weight", WEIGHT)
    made.word("word", WORD)
    return made


@pytest.mark.parametrize("start", range(5))
@pytest.mark.parametrize("pad", range(8))
def test_eight_elements_in_a_row_are_found_wherever_they_lie(private, start, pad):
    for name, values in (("update", UPDATE), ("lanes", LANES), ("update", UPDATE.astype(float))):
        data = bytes(pad) + values[start : start + 8].tobytes() + b"\1" * pad

        assert {name} == private.in_bytes(data)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("update", torch.from_numpy(UPDATE[3:11])),
        ("update", torch.nn.Parameter(torch.from_numpy(UPDATE.copy()))),
        ("update", UPDATE[5:].reshape(-1, 1)),
        ("update", UPDATE[:2].base[:1]),  # a view holds all of its base
        ("update", UPDATE[::-1][::-1]),
        ("update", UPDATE.tolist()),
        ("update", str(UPDATE.astype(float).tolist())),
        ("update", UPDATE[8:16].tobytes().hex()),
        ("lanes", memoryview(LANES.tobytes())[3:]),
        ("lanes", bytearray(LANES.tobytes())),
        ("lanes", tuple(LANES.tolist())),
        ("lanes", " ".join(map(str, LANES.tolist()))),
        ("weight", WEIGHT),
        ("weight", np.float32(WEIGHT)),
        ("weight", np.array([1.0, WEIGHT])),
        ("weight", torch.tensor([1.0, WEIGHT])),
        ("weight", np.array([None, WEIGHT], dtype=object)),
        ("weight", msgspec.msgpack.encode({"weight": WEIGHT})),
        ("weight", f'{{"weight": {WEIGHT}}}'),
        ("weight", {"g1": WEIGHT}),
        ("word", WORD),
        ("word", np.uint64(WORD)),
        ("word", np.array([0, WORD, 0], np.uint64)),
        ("word", msgspec.msgpack.encode([WORD])),
        ("word", f"w={WORD},"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_shape_of_it_is_found_in_every_place(private, name, value):
    for place in (
        lambda it: it,
        lambda it: [[it]],
        lambda it: {"of": {1: it}},
        Slotted,
        Open,
        closure,
        started,
        lambda it: functools.partial(print, it),
        lambda it: Open(it).told,
    ):
        assert {name} == private.in_objects([place(value)])


def test_what_is_nobodys_alone_is_not_found(private):
    masked = LANES + DRAW.integers(0, 2**63, len(LANES), dtype=np.uint64)
    rest = [
        UPDATE + np.float32(0.25),
        UPDATE[3:9:2].copy(),
        masked,
        masked.tobytes(),
        np.zeros(64),
        [0.0] * 64,
        WEIGHT + 100,
        int(WEIGHT),
        f"{WEIGHT:.2f}",
        str(UPDATE.mean()),
    ]

    assert set() == private.in_objects(rest)


def test_the_walk_ends_at_a_gateway(private):
    gateway = Gateway.__new__(Gateway)
    gateway.kept = UPDATE

    assert set() == private.in_objects([{"g1": gateway}, lambda: gateway])


def test_what_did_not_change_is_the_global_models():
    private = Private()
    private.array("update", UPDATE, mine=np.arange(64) >= 8)

    assert set() == private.in_bytes(UPDATE[:8].tobytes())
    assert {"update"} == private.in_bytes(UPDATE.tobytes())


def test_plain_numbers_are_nobodys():
    private = Private()
    private.number("weight", 212.0)
    private.word("word", 1000)

    assert (private.numbers, private.patterns) == ({}, {})
