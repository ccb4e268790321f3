"""What the variables of a server's equations stand for."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Unknown:
    """A mask, or a random number in a share, that the server lacks."""

    name: tuple[Hashable, ...]


@dataclass(frozen=True, slots=True)
class Input:
    """What an honest gateway puts into a round.

    Attributes:
        round: number of the round.
        gateway: its name.
        session: in additive schemes the inputs are keys, one in each session; b"" in masks.
        part: which value of a share.
    """

    round: int
    gateway: str
    session: bytes = b""
    part: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """An upload that the server has: not eliminated, it tells how a sum is computed.

    Attributes:
        session: of the upload.
        gateway: its sender.
        number: of the sender's uploads in that session.
    """

    session: bytes
    gateway: str
    number: int = 0


class Agreed(NamedTuple):
    """A set for which an honest gateway has released secrets.

    Attributes:
        round: number of the round.
        session: in which.
        members: names, U3.
        least: n_min.
    """

    round: int
    session: bytes
    members: frozenset[str]
    least: int
