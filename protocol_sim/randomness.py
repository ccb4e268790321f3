"""Bytes and decisions that follow from names: the same names, the same world."""

from __future__ import annotations

import hashlib
import random

from secagg.params import Entropy


def entropy(*name: object) -> Entropy:
    """A stream of bytes that follows from a name: cut as you like, the bytes stay the same."""
    whole = hashlib.shake_128(repr(name).encode())
    buffer, place = b"", 0

    def draw(size: int) -> bytes:
        nonlocal buffer, place
        place += size
        if place > len(buffer):
            buffer = whole.digest(2 * place)
        return buffer[place - size : place]

    return draw


def dice(*name: object) -> random.Random:
    """Decisions of a simulation; nothing secret is drawn from it."""
    return random.Random(repr(name))
