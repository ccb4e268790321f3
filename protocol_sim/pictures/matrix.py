"""Attacks x phases: what each attack led to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from protocol_sim.attacks.cells import Cell
from protocol_sim.attacks.expected import PHASES


class Ending(Enum):
    """What became of an attack."""

    NAMED = "named"
    SUM = "sum"
    BROKEN = "broken"


def ending_of(cell: Cell) -> Ending:
    """Whether a cell is as it must be, and how."""
    if not cell.fine:
        return Ending.BROKEN
    return Ending.SUM if cell.outcome == "sum" else Ending.NAMED


@dataclass(frozen=True, slots=True)
class Matrix:
    """The cells of one scheme.

    Attributes:
        scheme: name.
        phases: its columns in order; those without a cell are left out.
        rows: attack, and a cell for each column; None where there is nothing to attack.
    """

    scheme: str
    phases: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell | None, ...]], ...]


def matrices(cells: Sequence[Cell]) -> Iterator[Matrix]:
    """One for each scheme that was played; rows in the order they first appear."""
    for scheme, all_phases in PHASES.items():
        mine = {(each.attack, each.phase): each for each in cells if each.scheme == scheme}
        phases = tuple(phase for phase in all_phases if any(phase == at for _, at in mine))
        names = dict.fromkeys(attack for attack, _ in mine)
        rows = tuple((name, tuple(mine.get((name, phase)) for phase in phases)) for name in names)
        if rows:
            yield Matrix(scheme, phases, rows)


def words(name: str) -> list[str]:
    """Where a long name may be broken: HeaderMismatch, masked_input."""
    return re.findall(r"[A-Z]?[^A-Z_ ]+[_ ]?|[A-Z]", name)


def folded(name: str) -> str:
    """A name on two lines of about equal length, cut where its words meet."""
    parts = words(name)
    if len(parts) < 2 or len(name) < 9:
        return name
    cut = min(
        range(1, len(parts)),
        key=lambda at: max(len("".join(parts[:at])), len("".join(parts[at:]))),
    )
    return f"{''.join(parts[:cut]).strip()}\n{''.join(parts[cut:])}"
