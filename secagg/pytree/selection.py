"""Reads patterns of keys: which keys take part, and which entry of a table decides for a key.

A name goes before patterns: keys may hold brackets (`enc[0].w`), which patterns read otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from fnmatch import fnmatchcase
from typing import Final

from secagg.errors import ConfigurationError

Select = str | Collection[str] | Callable[[str], bool] | None
"""Keys to average: a name or pattern (as of fnmatch), several of them, or a question; None: all."""
SELECT_CURE: Final = "use names or patterns of keys, or a function of the key"
"""What to say where something else is given."""


def selection(keys: Collection[str], select: Select) -> Callable[[str], bool]:
    """The question whether a key takes part.

    Args:
        keys: of the whole tree: an entry that is one of them selects that key alone.
        select: what to average.

    Raises:
        ConfigurationError: neither patterns nor a function.
    """
    if select is None:
        return lambda _key: True
    if callable(select):
        return lambda key: bool(select(key))
    entries = patterns_of(select)
    names = frozenset(keys).intersection(entries)
    patterns = [each for each in entries if each not in names]
    return lambda key: key in names or any(fnmatchcase(key, each) for each in patterns)


def patterns_of(select: str | Collection[str]) -> tuple[str, ...]:
    """The entries of a `select` that is no function.

    Raises:
        ConfigurationError: something else than names and patterns.
    """
    given: object = select
    single = isinstance(given, str) or not isinstance(given, Collection)
    try:
        entries: tuple[object, ...] = (given,) if single else tuple(select)
    except TypeError:  # an array of no dimension says that it is a collection
        entries = (given,)
    for each in entries:
        if not isinstance(each, str):
            raise ConfigurationError(f"select has a {type(each).__name__}: {SELECT_CURE}")
    return tuple(each for each in entries if isinstance(each, str))


def deciding(key: str, entries: Iterable[str]) -> str | None:
    """The entry that decides for a key: its own name, else the first pattern that matches it.

    An entry is read alike whatever other keys there are, so that a gateway's bound of one key does
    not depend on the keys that an orchestrator announces beside it.
    """
    in_order = list(entries)
    if key in in_order:
        return key
    return next((each for each in in_order if fnmatchcase(key, each)), None)
