"""Defines what a leaf of a tree is: numpy arrays here, other frameworks by plug-ins."""

from __future__ import annotations

import importlib
import math
from collections.abc import Hashable
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from secagg.errors import EncodingError

FLOATS: Final = ("float16", "bfloat16", "float32", "float64")
INTEGERS: Final = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
)  # fmt: skip

PLUGINS: Final = {"torch": "secagg.adapters.torch"}
"""Module of the `ADAPTER` for leaves whose class lives in the top-level package of that name."""


class Flat(Protocol):
    """The coordinates of a leaf in C order; a slice of it is a numpy array, a view if possible."""

    def __getitem__(self, part: slice, /) -> NDArray[Any]: ...


class LeafAdapter(Protocol):
    """What a framework tells about its arrays, and how it makes new ones."""

    def dtype_name(self, leaf: Any) -> str:
        """One of `FLOATS` or `INTEGERS`; EncodingError for anything that is not a dense array."""
        ...

    def shape(self, leaf: Any) -> tuple[int, ...]:
        """Its shape."""
        ...

    def flat(self, leaf: Any) -> Flat:
        """Its coordinates, without a copy of the whole; bfloat16 is upcast to float32 by slice."""
        ...

    def storage_id(self, leaf: Any) -> Hashable:
        """Equal for leaves that are the same memory seen the same way: tied weights."""
        ...

    def like(self, leaf: Any, values: NDArray[Any]) -> Any:
        """A new leaf of the dtype, shape and device of `leaf`; may keep `values` as its memory."""
        ...


class NumpyAdapter:
    """Leaves of numpy itself."""

    def dtype_name(self, leaf: Any) -> str:
        """One of `FLOATS` or `INTEGERS`."""
        name = str(leaf.dtype.newbyteorder("=").name)
        if name not in FLOATS and name not in INTEGERS:
            raise EncodingError(
                f"dtype {leaf.dtype} is not averaged: use float16, float32, float64, integers, bool"
            )
        return name

    def shape(self, leaf: Any) -> tuple[int, ...]:
        """Its shape."""
        return tuple(leaf.shape)

    def flat(self, leaf: Any) -> Flat:
        """A 1-d view, or for strided arrays an iterator that copies the slice asked for."""
        flat: Flat = leaf.reshape(-1) if leaf.flags.c_contiguous else leaf.flat
        return flat

    def storage_id(self, leaf: Any) -> Hashable:
        """Address and layout."""
        return leaf.__array_interface__["data"][0], leaf.shape, leaf.strides, leaf.dtype.str

    def like(self, leaf: Any, values: NDArray[Any]) -> Any:
        """A C-ordered array."""
        return values.astype(leaf.dtype, copy=False).reshape(leaf.shape)


_NUMPY: Final = NumpyAdapter()


def adapter_of(leaf: Any) -> LeafAdapter | None:
    """The adapter for the class of a leaf, None for anything that is no array."""
    if isinstance(leaf, np.ma.MaskedArray):
        return None  # its mask would silently get lost
    if isinstance(leaf, np.ndarray):
        return _NUMPY
    for kind in type(leaf).__mro__:
        name = PLUGINS.get(kind.__module__.partition(".")[0])
        if name is not None:
            plugin: LeafAdapter = importlib.import_module(name).ADAPTER
            return plugin
    return None


def size_of(shape: tuple[int, ...]) -> int:
    """Coordinates of an array of that shape."""
    return math.prod(shape)
