"""What single gateways made, and a search for it in everything the orchestrator's side holds.

The boundary: one process plays everybody, so the orchestrator has promises that reach the gateways.
The walk stops at what runs on a gateway's machine in a federation (`Gateway`, `ClientSession`, its
machine) and goes through all else: attributes, slots, containers, closures, arrays and their bases,
tensors, bytes. Classes, modules and the globals of functions are the program, not its state; the
locals of functions that are still running are the simulation, whose loop plays both sides.

A value is found as what it is and as the bytes of it: arrays as any run of 7 elements or more in
float32, float64 or words of lanes (windows of 4 do not overlap, so 7 in a row hold one), also out
of lists, printed numbers and hexadecimal; weights and metrics as floats of 8 bytes in either byte
order, as encoded words in 8 bytes or as msgpack writes them, as numbers, and in print.
"""

from __future__ import annotations

import gc
import re
import struct
import types
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from fedavg.gateway import Gateway
from secagg.schemes.additive.client import AdditiveClient
from secagg.schemes.masks.client import MasksClient
from secagg.session import ClientSession

WINDOW = 4
"""Elements: 16 bytes of float32 are not found by chance."""
HEAD = 8
"""Bytes of a pattern that are looked up in one go."""
SMALL = 4096
"""Elements: arrays up to this size are searched for single numbers too."""
PLAIN = 2**21
"""Smaller words are everywhere, a limb of a share is one; times a power of two they still are."""
GATEWAYS = (Gateway, ClientSession, MasksClient, AdditiveClient)
ENDS = (*GATEWAYS, type, types.ModuleType, types.BuiltinFunctionType, types.FrameType)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
_HEX = re.compile(r"(?:[0-9a-f]{2}){16,}")


@dataclass
class Private:
    """Everything that may not be seen, as it is collected.

    Attributes:
        patterns: bytes -> whose; all of at least `HEAD` bytes.
        numbers: weights and metrics -> whose, floats and encoded words.
    """

    patterns: dict[bytes, str] = field(default_factory=dict)
    numbers: dict[float, str] = field(default_factory=dict)
    _short: dict[bytes, str] = field(default_factory=dict)
    _by_head: dict[int, list[bytes]] = field(default_factory=dict)
    _heads: np.ndarray | None = None

    def array(self, name: str, values: np.ndarray, mine: np.ndarray | None = None) -> None:
        """Windows of an array.

        Args:
            name: of the gateway and what it is.
            values: floats, or words of lanes.
            mine: which elements are the gateway's alone; all of them if not given.
        """
        data = np.ascontiguousarray(values).ravel()
        own = np.ones(len(data), bool) if mine is None else mine.ravel()
        for start in range(0, len(data) - WINDOW + 1, WINDOW):
            part = slice(start, start + WINDOW)
            window = data[part]
            # constant stretches (zeros, say) give nothing away
            if own[part].all() and window.all() and len(np.unique(window)) == WINDOW:
                self._pattern(window.tobytes(), name)

    def number(self, name: str, value: float) -> None:
        """A weight or metric. Small whole numbers are everywhere; others are somebody's."""
        if value == int(value):
            return
        self.numbers[value] = name
        self.numbers[float(np.float32(value))] = name
        self._pattern(struct.pack("<d", value), name)
        self._pattern(struct.pack(">d", value), name)

    def word(self, name: str, value: int) -> None:
        """A weight or metric as it is encoded, before the mask."""
        if value < PLAIN * (value & -value) or value == 0:
            return
        self.numbers[value] = name
        self._pattern(struct.pack("<Q", value), name)
        self._pattern(struct.pack(">Q", value), name)
        if value < 2**32:
            self._short[b"\xce" + struct.pack(">I", value)] = name

    def _pattern(self, data: bytes, name: str) -> None:
        if data not in self.patterns:
            self.patterns[data] = name
            self._by_head.setdefault(int.from_bytes(data[:HEAD], "little"), []).append(data)
            self._heads = None

    def in_bytes(self, data: bytes) -> set[str]:
        found = {name for pattern, name in self._short.items() if pattern in data}
        if len(data) < HEAD or not self.patterns:
            return found
        if self._heads is None:
            self._heads = np.array(sorted(self._by_head), np.uint64)
        # the 8 bytes at every place, aligned or not
        words = np.ndarray(len(data) - HEAD + 1, "<u8", data, strides=(1,))
        places = self._heads.searchsorted(words)
        hits = self._heads.take(places, mode="clip") == words
        for place in np.flatnonzero(hits):
            for pattern in self._by_head[int(words[place])]:
                if data.startswith(pattern, place):
                    found.add(self.patterns[pattern])
        return found

    def in_numbers(self, values: Sequence[Any]) -> set[str]:
        """Plain numbers, one behind the other."""
        found = {self.numbers[value] for value in values if value in self.numbers}
        if len(values) >= WINDOW:
            for kind in (np.float32, np.float64):
                with np.errstate(over="ignore"):
                    found |= self.in_bytes(np.array(values, kind).tobytes())
            whole = [value for value in values if isinstance(value, int) and 0 <= value < 2**64]
            found |= self.in_bytes(np.array(whole, np.uint64).tobytes())
        return found

    def in_text(self, text: str) -> set[str]:
        """Numbers as they are printed, in full, and bytes in hexadecimal."""
        printed = _NUMBER.findall(text)
        found = self.in_numbers([float(each) for each in printed])
        found |= self.in_numbers([int(each) for each in printed if each.isdigit()])
        for digits in _HEX.findall(text):
            found |= self.in_bytes(bytes.fromhex(digits))
        return found

    def in_objects(self, roots: Iterable[Any]) -> set[str]:
        found: set[str] = set()
        for value in reachable(roots):
            if isinstance(value, np.generic):
                found |= self.in_numbers([value.item()])
            elif isinstance(value, float | int):
                found |= self.in_numbers([value])
            elif isinstance(value, list | tuple) and all(type(v) in {float, int} for v in value):
                found |= self.in_numbers(value)
            elif isinstance(value, str):
                found |= self.in_text(value)
            elif (array := as_array(value)) is not None:
                found |= self.in_bytes(array.tobytes())
                if array.dtype != np.uint8 and array.size <= SMALL:
                    elements = array.ravel().tolist()
                    found |= {self.numbers[each] for each in elements if each in self.numbers}
        return found


def as_array(value: Any) -> np.ndarray | None:
    """What is behind a buffer, as an array."""
    if isinstance(value, torch.Tensor):
        return value.detach().contiguous().numpy()
    if isinstance(value, np.ndarray):
        return None if value.dtype == object else value
    if isinstance(value, memoryview | bytearray | bytes):
        return np.frombuffer(bytes(value), np.uint8)
    return None


def reachable(roots: Iterable[Any]) -> Iterator[Any]:
    """Every object that can be reached, each once; gateways are the end of it."""
    seen: dict[int, Any] = {}
    queue = list(roots)
    while queue:
        value = queue.pop()
        if id(value) in seen or isinstance(
            value, (*ENDS, Private)
        ):  # nor into what is searched for
            continue
        seen[id(value)] = value
        yield value
        queue.extend(inside(value))


def inside(value: Any) -> Iterable[Any]:
    if isinstance(value, types.FunctionType):  # its globals are the program, not its state
        defaults = (value.__defaults__ or (), value.__kwdefaults__ or {})
        return (*(value.__closure__ or ()), *defaults, value.__dict__)
    if isinstance(value, np.ndarray):
        parts = value.ravel().tolist() if value.dtype == object else []
        return (*parts, value.base)
    slots = (
        getattr(value, name)
        for kind in type(value).__mro__
        for name in getattr(kind, "__slots__", ())
        if isinstance(name, str) and hasattr(value, name)
    )
    return (*gc.get_referents(value), *slots)
