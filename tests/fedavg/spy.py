"""What single gateways made, and a search for it in everything the orchestrator's side holds.

The boundary: one process plays everybody, so the orchestrator has promises that reach the gateways.
The search stops at what a gateway is (`Gateway`, `ClientSession`, its machine) and goes through all
else: attributes, slots, containers, closures, arrays, tensors, bytes.
"""

from __future__ import annotations

import gc
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from fedavg.gateway import Gateway
from secagg.schemes.masks.client import MasksClient
from secagg.session import ClientSession

WINDOW = 32
"""Bytes of a private array that give it away: 8 float32, 4 float64, 4 words."""
GATEWAYS = (Gateway, ClientSession, MasksClient)
ENDS = (*GATEWAYS, type, types.ModuleType, types.BuiltinFunctionType, types.FrameType)


@dataclass
class Private:
    """Everything that may not be seen, as it is collected."""

    arrays: dict[bytes, str] = field(default_factory=dict)
    numbers: dict[float, str] = field(default_factory=dict)

    def array(self, name: str, values: np.ndarray) -> None:
        """Windows of an array; constant stretches (zeros, say) give nothing away."""
        data, size = np.ascontiguousarray(values).ravel(), values.dtype.itemsize
        step = WINDOW // size
        for start in range(0, len(data) - step + 1, step):
            window = data[start : start + step]
            if len(np.unique(window)) == step and np.all(window != 0):
                self.arrays[window.tobytes()] = name

    def number(self, name: str, value: float) -> None:
        """Small whole numbers are everywhere; others are somebody's."""
        if value != int(value):
            self.numbers[value] = name

    def in_bytes(self, data: bytes) -> set[str]:
        return {name for window, name in self.arrays.items() if window in data}

    def in_text(self, text: str) -> set[str]:
        """Numbers as they are printed, in full."""
        return {name for value, name in self.numbers.items() if repr(value) in text}

    def in_objects(self, roots: Iterable[Any]) -> set[str]:
        found: set[str] = set()
        for value in reachable(roots):
            if isinstance(value, float) and value in self.numbers:
                found.add(self.numbers[value])
            elif (data := raw(value)) is not None:
                found |= self.in_bytes(data)
            elif isinstance(value, str):
                found |= self.in_text(value)
        return found


def raw(value: Any) -> bytes | None:
    """The bytes behind a buffer."""
    if isinstance(value, torch.Tensor):
        return value.detach().contiguous().numpy().tobytes()
    if isinstance(value, np.ndarray):
        return value.tobytes() if value.dtype != object else None
    if isinstance(value, memoryview | bytearray | bytes):
        return bytes(value)
    return None


def reachable(roots: Iterable[Any]) -> Iterator[Any]:
    """Every object that can be reached, each once; gateways are the end of it."""
    seen: dict[int, Any] = {}
    queue = list(roots)
    while queue:
        value = queue.pop()
        if id(value) in seen or isinstance(value, ENDS):
            continue
        seen[id(value)] = value
        yield value
        queue.extend(inside(value))


def inside(value: Any) -> Iterable[Any]:
    if isinstance(value, types.FunctionType):  # its globals are the program, not its state
        return (*(value.__closure__ or ()), *(value.__defaults__ or ()))
    if isinstance(value, np.ndarray):
        return () if value.base is None else (value.base,)
    slots = (
        getattr(value, name)
        for kind in type(value).__mro__
        for name in getattr(kind, "__slots__", ())
        if isinstance(name, str) and hasattr(value, name)
    )
    return (*gc.get_referents(value), *slots)
