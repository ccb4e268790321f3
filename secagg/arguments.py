"""Holds what a caller passes against the annotations, before any of it is used.

A wrong type is told by its name, never by its value: who passes an update for a setting must not
find it in a log. What counts as the annotated type becomes it: an integer of numpy is an `int` from
here on, a list of ids a tuple, and a bool is no number.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from functools import cache, wraps
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import (
    Any,
    Final,
    Literal,
    ParamSpec,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec
import numpy as np

from secagg.errors import ConfigurationError, shown

P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C", bound=type)

_BYTES: Final = (bytes, bytearray, memoryview)
_WORDS: Final = {
    float: ("a number", "numbers"),
    int: ("a whole number", "whole numbers"),
    bool: ("True or False", "True and False"),
    str: ("a text", "texts"),
    bytes: ("bytes", "bytes"),
    NoneType: ("None", "None"),
}
"""How a type is called, once and several times."""
_UNFIT: Final = object()


def checked(**cures: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorates a function whose arguments are to be of the annotated types.

    Args:
        cures: what to say for an argument of another type, in place of its annotation.

    Raises (by the decorated function):
        ConfigurationError: naming the argument, its type, and what it takes.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        names = tuple(inspect.signature(function).parameters)

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            kinds = _kinds(function)
            first = [_argument(*pair, kinds, cures) for pair in zip(names, args, strict=False)]
            others = {n: _argument(n, value, kinds, cures) for n, value in kwargs.items()}
            # what are too many is for Python to refuse
            return function(*first, *args[len(first) :], **others)  # type: ignore[arg-type]

        return call

    return decorate


def checked_methods(kind: C) -> C:
    """Decorates a class: `checked` for its constructor and its public methods."""
    for name, method in list(vars(kind).items()):
        if inspect.isfunction(method) and (name == "__init__" or not name.startswith("_")):
            setattr(kind, name, checked()(method))
    return kind


def check_fields(value: Any, **cures: str) -> None:
    """Hold every field of a dataclass or struct against its annotation, and put it in its form.

    Args:
        value: not yet handed out, though it may be frozen.
        cures: as in `checked`, by field.

    Raises:
        ConfigurationError: as in `checked`.
    """
    struct = isinstance(value, msgspec.Struct)
    put = msgspec.structs.force_setattr if struct else object.__setattr__
    kinds = _kinds(value.__class__)
    for name in value.__struct_fields__ if struct else [each.name for each in fields(value)]:
        given = getattr(value, name)
        taken = _argument(name, given, kinds, cures)
        if taken is not given:
            put(value, name, taken)


@cache
def _kinds(annotated: Any) -> dict[str, tuple[Any, frozenset[type]]]:
    """By name, where not anything goes: the annotation, and which types are taken as they are.

    Called late: files that import one another have all their names by the first call only.
    """
    hints = get_type_hints(annotated).items()
    return {name: (kind, _as_is(kind)) for name, kind in hints if kind is not Any}


@cache
def _as_is(kind: Any) -> frozenset[type]:
    return frozenset(part for part in _several(kind) if isinstance(part, type))


def _argument(
    name: str,
    value: Any,
    kinds: Mapping[str, tuple[Any, frozenset[type]]],
    cures: Mapping[str, str],
) -> Any:
    if name not in kinds or type(value) in kinds[name][1]:
        return value
    whole = kinds[name][0]
    taken = _fitting(value, whole)
    if taken is _UNFIT:
        where, given, kind = _innermost(name, value, whole)
        cure = cures.get(name) or f"it takes {_in_words(kind)}"
        raise ConfigurationError(f"{where} is {_shown(given, kind)}: {cure}")
    return taken


def _fitting(value: Any, kind: Any) -> Any:
    """The value in the form of its annotation, or `_UNFIT`."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin in {Union, UnionType}:
        fitting = (_fitting(value, part) for part in parts)
        return next((each for each in fitting if each is not _UNFIT), _UNFIT)
    if origin is Literal:
        return value if isinstance(value, str) and value in parts else _UNFIT
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(value, *parts)
    if origin is not None and issubclass(origin, Iterable):
        return _items(value, parts[0])
    return _of_class(value, origin or kind)


def _mapping(value: Any, key: Any, item: Any) -> Any:
    pairs = _pairs(value) if isinstance(value, Mapping) else None
    if pairs is None:
        return _UNFIT
    taken = [(_fitting(name, key), _fitting(each, item)) for name, each in pairs]
    return _UNFIT if any(_UNFIT is each for pair in taken for each in pair) else dict(taken)


def _pairs(value: Mapping[Any, Any]) -> list[tuple[Any, Any]] | None:
    try:
        return list(value.items())
    except Exception:  # noqa: BLE001 - whatever a mapping of another library raises when it is read
        return None


def _items(value: Any, item: Any) -> Any:
    # a text or bytes would be taken letter by letter
    if isinstance(value, (str, *_BYTES)) or not isinstance(value, Iterable):
        return _UNFIT
    plain = _as_is(item)
    try:
        taken = tuple(each if type(each) in plain else _fitting(each, item) for each in value)
    except TypeError:  # an array of no dimension says that it is iterable
        return _UNFIT
    return _UNFIT if any(each is _UNFIT for each in taken) else taken


def _of_class(value: Any, kind: Any) -> Any:
    if kind is Any or isinstance(kind, TypeVar):
        return value
    if kind in {int, float}:
        return _number(value, kind)
    if kind is Callable:
        return value if callable(value) else _UNFIT
    if getattr(kind, "_is_protocol", False):
        methods = [name for name in vars(kind) if not name.startswith("_")]
        there = all(callable(getattr(value, name, None)) for name in methods)
        there &= not isinstance(value, type)
        return value if there else _UNFIT
    if kind is bytes and isinstance(value, _BYTES):
        return value if type(value) is bytes else bytes(value)
    if kind is bool and isinstance(value, np.bool_):
        return bool(value)
    if not isinstance(value, kind):
        return _UNFIT
    return str.__str__(value) if kind is str and type(value) is not str else value


def _number(value: Any, kind: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, Integral if kind is int else Real):
        return _UNFIT
    try:
        return kind(value)
    except OverflowError:  # an int beyond all floats
        return -math.inf if value < 0 else math.inf


def _innermost(name: str, value: Any, kind: Any) -> tuple[str, Any, Any]:
    """The item of a table or sequence that does not fit, else the whole."""
    for part in _several(kind):
        parts, items = get_args(part), _named_items(name, value, get_origin(part))
        for inner, each, place in items:
            if _fitting(each, parts[place]) is _UNFIT:
                return _innermost(inner, each, parts[place])
    return name, value, kind


def _several(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in {Union, UnionType} else (kind,)


def _named_items(name: str, value: Any, origin: Any) -> Iterator[tuple[str, Any, int]]:
    """What an item is called, it, and which argument of the annotation it is of."""
    if not isinstance(origin, type):
        return
    if issubclass(origin, Mapping) and isinstance(value, Mapping):
        for key, each in _pairs(value) or ():
            yield f"a key of {name}", key, 0
            yield f"{name} of {key!r:.40}", each, 1
    elif issubclass(origin, Iterable) and isinstance(value, list | tuple):
        for place, each in enumerate(value):
            yield f"{name}[{place}]", each, 0


def _shown(value: Any, kind: Any) -> str:
    # where bytes are asked for, a text or a number may be a secret all the same
    secret = bytes in _several(kind)
    return f"of type {type(value).__name__}" if secret else shown(value)


def _in_words(kind: Any, *, several: bool = False) -> str:
    origin, parts = get_origin(kind), get_args(kind)
    named = origin or kind
    if origin in {Union, UnionType}:
        return " or ".join(_in_words(part, several=several) for part in parts)
    if origin is Literal:
        return " or ".join(map(repr, parts))
    if named is Callable:
        return "a function"
    if origin is not None and issubclass(origin, Mapping):
        whole = f"a mapping of {_in_words(parts[1], several=True)} by name"
        return "mappings" if several else whole
    if origin is not None and issubclass(origin, Iterable):
        return f"a sequence of {_in_words(parts[0], several=True)}"
    name: str = named.__name__
    return _WORDS.get(named, (_a(name), name))[several]


def _a(name: str) -> str:
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"
