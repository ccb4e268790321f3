"""Wrong values for any argument: of every type, of every shape, and good ones with one fault."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import enum
import fractions
import pathlib
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

import numpy as np
import pytest

MARKS = ("718281", "141592", "577215", "302585", "s3cr3t")
"""Digits of every private value: no error shows them."""
UPDATE, WEIGHT, METRIC, BASE = 0.718281828, 3.141592653, 0.577215664, 0.230258509
"""Private values; `BASE` is printed as 0.2302585."""


class Colour(enum.Enum):
    RED = 1


class Pair(NamedTuple):
    one: Any
    two: Any


@dataclass
class Data:
    w: Any = 1


class Text(str):
    __slots__ = ()


class Whole(int):
    pass


class Empty:
    """Has every attribute and answers None."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


class Arrayed:
    """An array of another library."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.full(3, UPDATE, np.float32)


class Backwards(collections.UserDict):
    """Iterates over something that is not its keys."""

    def __iter__(self) -> Iterator[Any]:
        return iter([("w", 1)])


class Lost(dict):
    """Has keys and not their values."""

    def __getitem__(self, key: Any) -> Any:
        raise KeyError(key)


def _cycle() -> list[Any]:
    inner: list[Any] = []
    inner.append(inner)
    return inner


def _deep() -> Any:
    inner: Any = np.zeros(1)
    for _ in range(3000):
        inner = [inner]
    return inner


NUMBERS = (
    None, True, False, 0, 1, -1, 2, 3, 7, 64, 2**31, 2**63, 2**70, -(2**70), 10**400, 0.0, -0.0,
    0.5, 1.5, -2.0, 1e-300, 1e300, UPDATE, float("nan"), float("inf"), -float("inf"), 1j,
    decimal.Decimal("0.5"), decimal.Decimal("NaN"), fractions.Fraction(1, 3), Whole(4), Colour.RED,
    np.float32(0.5), np.float64(2), np.float16(1), np.longdouble(1), np.int64(3), np.uint8(5),
    np.bool_(True), np.complex64(1), np.datetime64("2020-01-01"), np.str_("x"), np.bytes_(b"x"),
)  # fmt: skip
SMALL: tuple[Callable[[], Any], ...] = (
    lambda: "", lambda: "x", lambda: "g1", lambda: "*", lambda: "[", lambda: "s3cr3t",
    lambda: "a\nb", lambda: "\ud800", lambda: "x" * 5000, lambda: "0.5", lambda: Text("w"),
    lambda: b"", lambda: b"x", lambda: bytes(16), lambda: bytes(32), lambda: bytearray(32),
    lambda: memoryview(bytes(32)), lambda: memoryview(bytes(32)).cast("I"), list, tuple, dict,
    set, frozenset, lambda: [1], lambda: [None], lambda: ["w"], lambda: (1, 2, 3), lambda: {"w"},
    lambda: {1: 2}, lambda: {"w": None}, lambda: {"w": 1.0}, lambda: {None: 1}, lambda: {(1,): 1},
    lambda: {b"w": 1.0}, lambda: {np.int64(1): 1.0}, lambda: [[1, 2], [3]], lambda: range(3),
    lambda: iter([1]), lambda: (each for each in "ab"), lambda: zip("a", "b", strict=True),
    object, lambda: object, lambda: int, lambda: dict, lambda: np.float32, lambda: np,
    lambda: len, lambda: lambda *_: None,
    lambda: NotImplemented, lambda: ..., lambda: Pair(1, 2), Data, lambda: Data,
    Empty, Arrayed, lambda: ValueError("x"), lambda: dt.date.min,
    lambda: pathlib.Path("x"), lambda: slice(3), lambda: types.SimpleNamespace(w=1),
    lambda: collections.OrderedDict(w=1), lambda: collections.defaultdict(list),
    lambda: collections.Counter("w"), lambda: collections.deque([1]), lambda: Backwards(w=1),
    lambda: Lost(w=1), lambda: types.MappingProxyType({"w": 1}), _cycle, _deep,
)  # fmt: skip
ARRAYS: tuple[Callable[[], Any], ...] = (
    lambda: np.array(UPDATE), lambda: np.zeros(0, np.float32), lambda: np.full(3, UPDATE),
    lambda: np.full((2, 3), UPDATE, np.float32), lambda: np.zeros((2, 0, 3)),
    lambda: np.array([None, 1]), lambda: np.array(["s3cr3t"]), lambda: np.array([b"s3cr3t"]),
    lambda: np.array([1j]), lambda: np.array(["2020-01-01"], "datetime64[D]"),
    lambda: np.zeros(3, "i4,f4"), lambda: np.ma.masked_array([UPDATE] * 3, [1, 0, 0]),
    lambda: np.full((2, 3), UPDATE, ">f4"), lambda: np.zeros(3, np.longdouble),
    lambda: np.array([2**63 - 1, -(2**63)]), lambda: np.array([2**64 - 1], np.uint64),
    lambda: np.array([np.nan] * 3), lambda: np.array([np.inf] * 3), lambda: np.recarray(3, "f4"),
    lambda: np.array(["s3cr3t"], np.dtypes.StringDType()), lambda: np.zeros(3, "V4"),
)  # fmt: skip
LOOKS: tuple[Callable[[Any], Any], ...] = (
    lambda array: array.astype(np.float16), lambda array: array.astype(np.float64),
    lambda array: array.astype(np.int32), lambda array: array.astype(bool),
    lambda array: array.astype(object), lambda array: array.astype(complex),
    lambda array: array.astype(str), lambda array: array[..., None],
    lambda array: array[..., ::-1] if array.ndim else array, lambda array: array.T,
    lambda array: array.reshape(-1), lambda array: array[:0] if array.ndim else array,
    np.asfortranarray, lambda array: array.astype(array.dtype.newbyteorder()),
    lambda array: np.broadcast_to(array, (2, *array.shape)), lambda array: array.tolist(),
    np.ma.masked_array, lambda array: array.view(np.matrix)
    if array.ndim == 2 else array, lambda array: memoryview(np.ascontiguousarray(array)),
    lambda array: array * np.asarray(3, array.dtype), lambda array: array * array.dtype.type(0),
    lambda array: _with(array, np.nan), lambda array: _with(array, -np.inf),
)  # fmt: skip
"""The same array, seen otherwise or changed."""
TENSORS: tuple[Callable[[Any], Any], ...] = (
    lambda tensor: tensor, lambda tensor: tensor.double().requires_grad_(),
    lambda tensor: tensor.to("meta"), lambda tensor: tensor.to_sparse(),
    lambda tensor: tensor.bfloat16(), lambda tensor: tensor.t() if tensor.ndim == 2 else tensor,
    lambda tensor: tensor.expand(2, *tensor.shape), lambda tensor: tensor.bool(),
)  # fmt: skip


def tensor(array: Any, rng: Random) -> Any:
    """The array in torch."""
    torch = pytest.importorskip("torch")
    return rng.choice(TENSORS)(torch.from_numpy(np.ascontiguousarray(array.astype(np.float32))))


def _with(array: Any, value: float) -> Any:
    if array.dtype.kind != "f" or not array.size:
        return array
    changed = array.copy()
    changed.flat[-1] = value
    return changed


def anything(rng: Random) -> Any:
    """A value of any type."""
    if rng.random() < 0.35:
        return rng.choice(NUMBERS)
    return rng.choice(SMALL if rng.random() < 0.75 else ARRAYS)()


def _name(rng: Random, like: Any) -> Any:
    """Something that can be a key."""
    return rng.choice([0, 1, -1, 2**70, True, None, "", "x", "w", "a.b", b"w", (1,), 1.5, "\ud800",
                       np.int64(1), np.str_("w"), Text("w"), f"{like}", "s" * 300])  # fmt: skip


def spoilt(value: Any, rng: Random) -> Any:
    """Another value in its place, or one like it with a fault somewhere inside."""
    inside = isinstance(value, Mapping | list | tuple) and len(value) > 0
    if inside and not hasattr(value, "_fields") and rng.random() < 0.8:
        return _inside(value, rng)
    if isinstance(value, np.ndarray) and value.dtype.kind != "O" and rng.random() < 0.6:
        return tensor(value, rng) if rng.random() < 0.1 else rng.choice(LOOKS)(value)
    return anything(rng)


def _inside(value: Any, rng: Random) -> Any:
    items = list(value.items()) if isinstance(value, Mapping) else list(enumerate(value))
    place = rng.randrange(len(items))
    name, child = items[place]
    what = rng.random()
    if what < 0.7:
        items[place] = name, spoilt(child, rng)
    elif what < 0.8:
        del items[place]
    elif what < 0.9:
        items[place] = _name(rng, name), child
    else:
        items.insert(place, (_name(rng, name), anything(rng) if rng.random() < 0.5 else child))
    if isinstance(value, Mapping):
        return dict(items)
    return type(value)([child for _, child in items])
