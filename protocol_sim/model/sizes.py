"""Computes sizes of canonical MessagePack (`secagg.canonical`), without making any."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from secagg.crypto.merkle import hidden_parts
from secagg.params import HASH_BYTES
from secagg.thresholds import MAX_GATEWAYS

HEADER: Final = 32
"""Bytes of the header of a frame (`secagg.wire`)."""
SIGNATURE: Final = 64
MAC: Final = 32
FIXED: Final = 15
"""Entries of an array, up to which its header is one byte."""


def blob(size: float) -> float:
    """Bytes of a byte string."""
    return size + (2 if size < 2**8 else 3 if size < 2**16 else 5)


def items(count: int, each: float) -> float:
    """Bytes of an array."""
    return (1 if count <= FIXED else 3 if count < 2**16 else 5) + count * each


def mean_number(count: int, first: int = 0) -> float:
    """Mean bytes of the integers `first` .. count - 1."""
    ends = [first, *(min(max(end, first), count) for end in (2**7, 2**8, 2**16, 2**32)), count]
    sizes = (1, 2, 3, 5, 9)
    whole = sum(
        size * (end - start) for size, start, end in zip(sizes, ends, ends[1:], strict=False)
    )
    return whole / (count - first)


def mean_name(count: int, first: int = 0) -> float:
    """Mean bytes of the ids "g0", "g1", ... as `Parties` has them."""
    ends = [10**digits for digits in range(1, len(str(count)) + 1)]
    whole, start = 0, first
    for digits, end in enumerate(ends, 1):
        stop = min(max(end, start), count)
        whole += (2 + digits) * (stop - start)  # a byte of length, the letter, the digits
        start = stop
    return whole / (count - first)


def signed(body: float, tag: int = SIGNATURE) -> float:
    """Bytes of `Signed`, by the size of its signature or MAC."""
    return 1 + blob(body) + blob(tag)


def answer(step: str, body: float, tag: int = SIGNATURE) -> float:
    """The frame of an `Answer`."""
    return HEADER + 1 + 1 + len(step) + signed(body, tag)


def bitmap(count: int) -> float:
    """Bytes of a set over so many gateways."""
    return blob((count + 7) // 8)


def mean_proof(count: int, shown: Callable[[int], Sequence[int]]) -> tuple[float, float]:
    """Mean number of hashes that prove the key messages that a gateway is shown, and their bytes.

    Args:
        count: gateways in the tree; of more than 2048, eight are looked at.
        shown: from a position to those that it is shown, rising.
    """
    places = range(0, count, 1 if count <= MAX_GATEWAYS else count // 8)
    numbers = [len(hidden_parts(count, shown(place))) for place in places]
    sizes = [items(number, HASH) for number in numbers]
    return sum(numbers) / len(places), sum(sizes) / len(places)


HASH: Final = blob(HASH_BYTES)
KEY: Final = blob(32)
