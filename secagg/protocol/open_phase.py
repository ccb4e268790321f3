"""Holds what a server knows of the phase that is open."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from secagg.protocol.messages import Signed

MOST_HELD: Final = 2**16
"""Bytes of an answer that waits unverified; keys, signatures and sums of shares are shorter."""


@dataclass(slots=True)
class Held:
    """An answer that is here and not verified yet."""

    name: str
    signed: Signed
    vouched: bool


@dataclass(slots=True)
class OpenPhase:
    """Who owes an answer, who gave one, what is still to be verified, and what was ignored."""

    index: int = -1
    waiting: set[int] = field(default_factory=set)
    answered: set[int] = field(default_factory=set)
    held: dict[int, Held] = field(default_factory=dict)
    ignored: Counter[int] = field(default_factory=Counter)
