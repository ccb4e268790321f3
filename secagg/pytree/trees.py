"""Flattens nested containers to an ordered table of keys and leaves, and nests them again."""

from __future__ import annotations

import copy
import re
from collections import ChainMap, OrderedDict, UserDict, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import numpy as np

from secagg.arguments import checked
from secagg.crypto.kdf import digest, digest_of
from secagg.crypto.labels import Label
from secagg.errors import EncodingError
from secagg.pytree.leaves import Flat, LeafAdapter, adapter_of, cure_of, size_of
from secagg.pytree.selection import Select, selection
from secagg.workers import SERIAL, Workers

T = TypeVar("T")
HASHED: Final = 2**18
"""Coordinates hashed at a time: a megabyte of float32. Part of what is hashed."""
STEP: Final = 2**16
"""Coordinates handled at a time where a pass needs a buffer of its own."""
DEPTH: Final = 100
"""Containers in containers: far above any model, far below Python's limit of calls."""
_ROW: Final = 2048
"""Bytes between two words that are summed together: neighbours may change by opposite steps."""
_METHODS: Final = ("__copy__", "__reduce__", "__reduce_ex__", "__setitem__", "update")
"""What copies a dict and writes to it."""


def flatten(tree: Any, select: Select = None) -> dict[str, Any]:
    """The leaves of nested mappings, lists and tuples under their dotted paths, in order.

    Leaves are numpy arrays, numbers, arrays of a framework with a plug-in (torch), and others that
    numpy reads as they are (jax). They are not copied.

    Args:
        tree: nested arrays.
        select: keys to keep; what it leaves out may be anything.

    Raises:
        ConfigurationError: a `select` of another type.
        EncodingError: no leaf at all, something that is neither container nor array, a dtype that
            cannot be averaged (object, complex, ...), two leaves with one path, a key that is no
            text, or a tree that contains itself.
    """
    return chosen(leaves_of(tree), select)


def leaves_of(tree: Any) -> list[tuple[str, Any]]:
    """Every leaf of a tree under its dotted path, in order, whatever it is.

    Raises:
        EncodingError: there is none, or the tree contains itself.
    """
    leaves = list(_walk(tree, ()))
    if not leaves:
        raise EncodingError("the tree has no arrays: there is nothing to average")
    return leaves


def chosen(leaves: Sequence[tuple[str, Any]], select: Select) -> dict[str, Any]:
    """Of all leaves of a tree those that are selected; each can be averaged.

    Raises:
        ConfigurationError, EncodingError: as for `flatten`.
    """
    takes_part = selection({key for key, _ in leaves}, select)
    table: dict[str, Any] = {}
    for key, leaf in leaves:
        if not takes_part(key):
            continue
        adapter_for(key, leaf)
        if key in table:
            raise EncodingError(f"two leaves are called {key!r}: rename one", key=key)
        if not key.isascii() and re.search("[\ud800-\udfff]", key):
            raise EncodingError(f"the key {key!r} has a lone surrogate, no character: rename it")
        table[key] = leaf
    return table


def adapter_for(key: str, leaf: Any) -> LeafAdapter:
    """The adapter of a leaf that can be averaged.

    Raises:
        EncodingError: it cannot; names the key.
    """
    adapter = _asked(key, leaf, lambda: adapter_of(leaf))
    if adapter is None:
        cure = cure_of(leaf)
        what = f"{called(key)} is a {type(leaf).__name__}, no array"
        raise EncodingError(f"{what}: {cure}" if cure else what, key=key)
    _asked(key, leaf, lambda: (adapter.dtype_name(leaf), adapter.shape(leaf)))
    return adapter


def adapter_again(key: str, leaf: Any) -> LeafAdapter:
    """The adapter of a leaf that `adapter_for` has checked: a model has hundreds of them."""
    return adapter_of(leaf) or adapter_for(key, leaf)


def flat_of(key: str, leaf: Any) -> Flat:
    """The coordinates of a leaf that `adapter_for` has checked.

    Raises:
        EncodingError: it does not show its values; names the key.
    """
    adapter = adapter_again(key, leaf)
    return _asked(key, leaf, lambda: adapter.flat(leaf))


def _asked(key: str, leaf: Any, question: Callable[[], T]) -> T:
    """What a leaf of any class tells; a foreign exception may hold its values."""
    try:
        return question()
    except EncodingError as error:
        raise EncodingError(f"{called(key)}: {error}", key=key) from None
    except Exception as error:  # noqa: BLE001 - whatever a foreign array raises
        kind = f"{type(leaf).__name__} that cannot be read ({type(error).__name__})"
        raise EncodingError(f"{called(key)} is a {kind}: pass a plain array", key=key) from None


def called(key: str) -> str:
    """A leaf in an error's sentence: its key, or "the tree" where the tree is one leaf."""
    return repr(key) if key else "the tree"


@checked()
def map_leaves(tree: Any, change: Callable[[str, Any], Any]) -> Any:
    """A new tree of the same containers with `change(key, leaf)` for each leaf.

    Lists, tuples and the dicts of Python keep their type, and what the type adds: order, default
    factory, the _metadata of a state_dict. Every other mapping becomes a dict.
    """
    return _map(tree, (), change)


def held(tree: Any) -> Any:
    """A tree of the same leaves whose containers nobody else holds.

    What a mapping makes when it is asked (a file of `numpy.load`) is read once, and what cannot be
    built again is known before a round, which must not be lost in a container.

    Raises:
        EncodingError: containers that cannot be built again, or a tree that contains itself.
    """
    try:
        return map_leaves(tree, lambda _key, leaf: leaf)
    except EncodingError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a foreign container raises
        kind = type(error).__name__
        raise EncodingError(
            f"a container of the tree cannot be built again ({kind}): pass dicts"
        ) from None


def model_hash(tree: Any, workers: Workers = SERIAL) -> bytes:
    """32-byte hash of keys, dtypes, shapes and values of every leaf; containers do not enter.

    Equal for the same values in numpy or torch, on any device or byte order. The values are hashed
    in chunks of `HASHED` coordinates, which threads share, and the hashes of a leaf's chunks with
    its description.

    Args:
        tree: nested arrays.
        workers: threads.

    Raises:
        EncodingError: as for `flatten`.
    """
    leaves = {key: (adapter_again(key, leaf), leaf) for key, leaf in flatten(tree).items()}
    shapes = {key: adapter.shape(leaf) for key, (adapter, leaf) in leaves.items()}
    flat = {key: flat_of(key, leaf) for key, (_, leaf) in leaves.items()}
    chunks = [
        (key, start, min(start + HASHED, size_of(shape)))
        for key, shape in shapes.items()
        for start in range(0, size_of(shape), HASHED)
    ]
    # long and short ones in turn for each thread
    chunks.sort(key=lambda chunk: chunk[2] - chunk[1], reverse=True)
    turns = [chunks[thread :: workers.threads] for thread in range(workers.threads)]
    dealt = [chunk for turn in turns for chunk in turn]
    found: dict[tuple[str, int], bytes] = {}

    def work(first: int, last: int) -> None:
        for key, start, end in dealt[first:last]:
            part = flat[key][start:end]
            values = np.ascontiguousarray(part, part.dtype.newbyteorder("<"))
            found[key, start] = digest_of(Label.HASH_CHUNK, values.data)

    workers.run(work, len(chunks))
    parts: list[bytes] = []
    for key, (adapter, leaf) in leaves.items():
        described = f"{adapter.dtype_name(leaf)}{list(shapes[key])}"
        hashes = [found[key, start] for start in range(0, size_of(shapes[key]), HASHED)]
        parts += [key.encode(), described.encode(), b"".join(hashes)]
    return digest(Label.HASH_MODEL, *parts)


def bit_sums(leaves: Mapping[str, Any]) -> bytes:
    """Sums of the bits of every leaf: they change with it, by accident though not by intent.

    A twentieth of the time of `model_hash`, for whoever compares a tree with itself.

    Args:
        leaves: by key.

    Raises:
        EncodingError: as for `flatten`.
    """
    sums: list[bytes] = []
    for key, leaf in leaves.items():
        flat, size = flat_of(key, leaf), size_of(adapter_for(key, leaf).shape(leaf))
        for start in range(0, size, HASHED):
            part = np.ascontiguousarray(flat[start : min(start + HASHED, size)]).view(np.uint8)
            rows = part[: len(part) - len(part) % _ROW].view(np.uint64).reshape(-1, _ROW // 8)
            sums += [rows.sum(axis=0, dtype=np.uint64).tobytes(), part[rows.nbytes :].tobytes()]
    return b"".join(sums)


def _children(node: Any, path: tuple[str, ...]) -> list[tuple[Any, str, Any]] | None:
    """Of a container (key, name, child): iterating over a mapping may give something else."""
    if hasattr(type(node), "toarray") or not isinstance(node, (Mapping, list, tuple)):
        return None  # a sparse matrix is no container, even if its class is a dict of its entries
    if len(path) == DEPTH:
        start = ".".join(path[:3])
        raise EncodingError(f"{start!r} goes on for {DEPTH} levels: does the tree contain itself?")
    try:
        items = node.items() if isinstance(node, Mapping) else enumerate(node)
        return [(key, str(key), child) for key, child in items]
    except Exception as error:  # noqa: BLE001 - whatever a foreign container raises
        where = repr(".".join(path)) if path else "the tree"
        kinds = f"{type(node).__name__} that raises {type(error).__name__}"
        raise EncodingError(f"{where} is a {kinds} when it is read: pass a dict") from None


def _walk(node: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    children = _children(node, path)
    if children is None:
        yield ".".join(path), node
        return
    for _, name, child in children:
        yield from _walk(child, (*path, name))


def _map(node: Any, path: tuple[str, ...], change: Callable[[str, Any], Any]) -> Any:
    children = _children(node, path)
    if children is None:
        return change(".".join(path), node)
    items = [(key, _map(child, (*path, name), change)) for key, name, child in children]
    if isinstance(node, Mapping):
        if not _copies(node):
            return dict(items)
        container: Any = copy.copy(node)
        container.update(items)
        return container
    values = [value for _, value in items]
    return values if isinstance(node, list) else getattr(type(node), "_make", tuple)(values)


def _copies(node: Mapping[Any, Any]) -> bool:
    """Whether a shallow copy has items of its own, and no method that does more than Python's.

    The copy of a mapping over some store writes to that store.
    """
    kind = type(node)
    if kind is UserDict or kind is ChainMap:
        held: Any = node.data if isinstance(node, UserDict) else node.maps[0]  # type: ignore[attr-defined]
        return type(held) is dict
    for known in (OrderedDict, defaultdict, dict):
        if issubclass(kind, known):
            return all(getattr(kind, name, None) is getattr(known, name, None) for name in _METHODS)
    return False
