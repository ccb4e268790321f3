"""Defines what a leaf of a tree is: arrays and numbers here, other frameworks by plug-ins."""

from __future__ import annotations

import importlib
import math
from collections.abc import Hashable
from functools import lru_cache
from operator import index
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from secagg.errors import EncodingError

FLOATS: Final = ("float16", "bfloat16", "float32", "float64")
INTEGERS: Final = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
)  # fmt: skip

PLUGINS: Final = {"torch": "secagg.adapters.torch"}
"""Module of `ADAPTER` and `KIND`, by the top-level package that the class of a leaf lives in."""


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
        """Its coordinates, without a copy of the whole; bfloat16 is upcast to float32 by slice.

        Raises:
            EncodingError: it shows its shape, but not its values.
        """
        ...

    def storage_id(self, leaf: Any) -> Hashable:
        """Equal for leaves that are the same memory seen the same way: tied weights."""
        ...

    def memory(self, leaf: Any) -> tuple[str, int, int] | None:
        """Where its bytes lie: device, first, one past the last. None where nobody may write."""
        ...

    def like(self, leaf: Any, values: NDArray[Any]) -> Any:
        """A new leaf of the dtype, shape and device of `leaf`; may keep `values` as its memory."""
        ...


class _Wide:
    """Coordinates of bfloat16, which buffers do not know: upcast by slice."""

    def __init__(self, flat: Flat) -> None:
        self._flat = flat

    def __getitem__(self, part: slice, /) -> NDArray[Any]:
        return self._flat[part].astype(np.float32)


class NumpyAdapter:
    """Leaves of numpy itself."""

    def dtype_name(self, leaf: Any) -> str:
        """One of `FLOATS` or `INTEGERS`."""
        name = str(leaf.dtype.name)
        if name not in FLOATS and name not in INTEGERS:
            raise EncodingError(
                f"dtype {leaf.dtype} is not averaged: use float16, float32, float64, integers, bool"
            )
        return name

    def shape(self, leaf: Any) -> tuple[int, ...]:
        """Its shape."""
        return tuple(map(index, leaf.shape))

    def flat(self, leaf: Any) -> Flat:
        """A 1-d view, or for strided arrays an iterator that copies the slice asked for."""
        plain = np.asarray(leaf)  # a memmap, say, as the array that it is
        flat: Flat = plain.reshape(-1) if plain.flags.c_contiguous else plain.flat
        return _Wide(flat) if plain.dtype.name == "bfloat16" else flat

    def storage_id(self, leaf: Any) -> Hashable:
        """Address and layout."""
        return leaf.__array_interface__["data"][0], leaf.shape, leaf.strides, leaf.dtype.str

    def memory(self, leaf: Any) -> tuple[str, int, int] | None:
        """From the lowest to the highest coordinate, strides in between included."""
        if not isinstance(leaf, np.ndarray) or not _written(leaf):
            return None
        return "cpu", *np.lib.array_utils.byte_bounds(leaf)

    def like(self, leaf: Any, values: NDArray[Any]) -> Any:
        """A C-ordered array."""
        return values.astype(leaf.dtype, copy=False).reshape(leaf.shape)


def _written(array: np.ndarray[Any, Any]) -> bool:
    """Whether somebody may write to it: a view that nobody may write to shows what others do."""
    if array.flags.writeable:
        return True
    return isinstance(array.base, np.ndarray) and _written(array.base)


class ScalarAdapter(NumpyAdapter):
    """Numbers of Python and of numpy: leaves without dimensions, whose mean is such a number."""

    def dtype_name(self, leaf: Any) -> str:
        """As numpy has it; integers of Python are int64."""
        if isinstance(leaf, np.generic):
            return super().dtype_name(leaf)
        if isinstance(leaf, float):
            return "float64"
        if not -(2**63) <= leaf < 2**63:
            raise EncodingError("an integer of more than 64 bits is not averaged: use a float")
        return "bool" if isinstance(leaf, bool) else "int64"

    def shape(self, _leaf: Any) -> tuple[int, ...]:
        """No dimensions."""
        return ()

    def flat(self, leaf: Any) -> Flat:
        """One coordinate."""
        dtype = leaf.dtype if isinstance(leaf, np.generic) else self.dtype_name(leaf)
        return super().flat(np.asarray(leaf, dtype))

    def storage_id(self, _leaf: Any) -> Hashable:
        """Equal to none: small integers of Python are one object wherever they stand."""
        return object()

    def like(self, leaf: Any, values: NDArray[Any]) -> Any:
        """A number: of Python, or of numpy with the dtype of `leaf`."""
        if isinstance(leaf, np.generic):
            return values.reshape(()).astype(leaf.dtype)[()]
        return values.reshape(()).item()


class ForeignAdapter(NumpyAdapter):
    """Arrays of other packages that numpy can read (jax, say); their mean is an array of numpy."""

    def dtype_name(self, leaf: Any) -> str:
        """One of `FLOATS` or `INTEGERS`."""
        try:
            dtype = np.dtype(leaf.dtype)
        except TypeError:
            raise EncodingError(
                f"numpy has no dtype {leaf.dtype}: pass a numpy array of it"
            ) from None
        return super().dtype_name(np.empty(0, dtype))

    def flat(self, leaf: Any) -> Flat:
        """Read by `numpy.asarray`, without a copy where the package can."""
        array = np.asarray(leaf)
        if (array.shape, array.dtype) != (self.shape(leaf), np.dtype(leaf.dtype)):
            raise EncodingError("numpy reads it as another shape or dtype: pass a numpy array")
        return super().flat(array)

    def storage_id(self, leaf: Any) -> Hashable:
        """The object: where its memory is, it does not tell."""
        return id(leaf)

    def memory(self, leaf: Any) -> tuple[str, int, int] | None:
        """The object, unless its values cannot be changed: an unchanged array is one then."""
        # not by the address: what numpy reads may be a copy; a variable of Keras has new values
        written = np.asarray(leaf).flags.writeable or hasattr(leaf, "assign")
        return ("object", id(leaf), id(leaf) + 1) if written else None

    def like(self, leaf: Any, values: NDArray[Any]) -> Any:
        """A C-ordered array of numpy."""
        return values.astype(np.dtype(leaf.dtype), copy=False).reshape(self.shape(leaf))


_NUMPY: Final = NumpyAdapter()
_SCALAR: Final = ScalarAdapter()
_FOREIGN: Final = ForeignAdapter()


def adapter_of(leaf: Any) -> LeafAdapter | None:
    """The adapter for the class of a leaf, None for anything that is no array or number.

    None too for arrays with an arithmetic of their own (units, masks, finite fields, labelled
    rows, `numpy.matrix`): the mean of their bare numbers would be something else.
    """
    kind = type(leaf)
    if isinstance(leaf, np.ndarray):
        own = kind.__array_ufunc__ is not np.ndarray.__array_ufunc__
        return None if own or isinstance(leaf, (np.ma.MaskedArray, np.matrix)) else _NUMPY
    if isinstance(leaf, (bool, int, float, np.generic)):
        return _SCALAR
    if (plugin := _plugin_of(kind)) is not None:  # type: ignore[arg-type] # classes are hashable
        return plugin
    plain = hasattr(kind, "__array__") and not hasattr(kind, "__array_ufunc__")
    return _FOREIGN if plain and hasattr(leaf, "dtype") and hasattr(leaf, "shape") else None


@lru_cache(maxsize=64)
def _plugin_of(kind: type[object]) -> LeafAdapter | None:
    for each in kind.__mro__:
        name = PLUGINS.get(each.__module__.partition(".")[0])
        if name is not None:
            plugin = importlib.import_module(name)
            if issubclass(kind, plugin.KIND):
                adapter: LeafAdapter = plugin.ADAPTER
                return adapter
    return None


def whole_numbers(values: NDArray[Any]) -> NDArray[Any]:
    """As int64, or as Python's integers where a sum or difference of two could leave int64."""
    if values.dtype.itemsize == np.dtype(np.int64).itemsize:
        largest = max(int(values.max()), -int(values.min()))
        if largest > 2**62:
            return values.astype(object)
    return values.astype(np.int64)


def size_of(shape: tuple[int, ...]) -> int:
    """Coordinates of an array of that shape."""
    return math.prod(shape)


_CURES: Final = (
    ("state_dict", "pass its state_dict()"),
    ("trainable_variables", "pass its get_weights()"),
    ("filled", "its mask would get lost: pass its filled(value)"),
    ("toarray", "it is sparse: pass its toarray()"),
    ("to_numpy", "its labels would get lost: pass its to_numpy()"),
    ("to_value", "its unit would get lost: pass its to_value() in one unit for all"),
    ("__dataclass_fields__", "pass dataclasses.asdict() of it"),
    (
        "__array_ufunc__",
        "it has an arithmetic of its own: pass a plain numpy array of what is to be averaged",
    ),
    ("__array__", "pass numpy.asarray() of it"),
    ("__float__", "pass float() of it"),
    ("__iter__", "pass a list or a mapping"),
)
"""What to do with an object whose class has such an attribute; the first decides."""


def is_model(update: Any) -> bool:
    """Whether it is a Module of torch or a model of Keras: it can be called, and trains nothing."""
    return hasattr(type(update), "state_dict") or hasattr(type(update), "trainable_variables")


def cure_of(leaf: Any) -> str:
    """What to pass instead of something that is no leaf; "" where nothing is known."""
    if leaf is None or isinstance(leaf, (str, bytes)):
        return "leave its key out, here or by select="
    return next((cure for name, cure in _CURES if hasattr(type(leaf), name)), "")
