"""The matrix of attacks and phases as the tables of docs/attacks.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from protocol_sim.attacks.attacker import FAMILIES
from protocol_sim.attacks.catalogue import ATTACKS
from protocol_sim.attacks.cells import Cell
from protocol_sim.attacks.expected import PHASES, expected, phases_of
from secagg.errors import ConfigurationError

BEGIN: Final = "<!-- attacks -->"
END: Final = "<!-- /attacks -->"


class Promised(NamedTuple):
    """A cell of which only is known how it must end."""

    attack: str
    scheme: str
    phase: str
    outcome: str


def promised() -> list[Promised]:
    """All cells, as `expected.TABLE` has them."""
    return [
        Promised(each.name, scheme, phase, expected(each.name, scheme, phase))
        for scheme in PHASES
        for each in ATTACKS
        for phase in phases_of(each.name, scheme)
    ]


def markdown(cells: Iterable[Promised | Cell]) -> str:
    """The tables between the markers of docs/attacks.md, markers included.

    Schemes with the same messages share a table; where they end differently, both ends stand in
    the cell.

    Args:
        cells: played or promised, of any attacks and schemes.
    """
    found: dict[tuple[str, str, str], list[str]] = {}
    schemes: dict[str, list[str]] = {}
    for cell in cells:
        family = FAMILIES[cell.scheme]
        outcomes = found.setdefault((family, cell.attack, cell.phase), [])
        if cell.outcome not in outcomes:
            outcomes.append(cell.outcome)
        spoken = schemes.setdefault(family, [])
        if cell.scheme not in spoken:
            spoken.append(cell.scheme)
    names = {name for _, name, _ in found}
    rows = [each for each in ATTACKS if each.name in names]
    parts = [BEGIN]
    for family, spoken in schemes.items():
        parts += ["", *_table(family, spoken, [each.name for each in rows], found)]
    parts += ["", *(f"- **{each.name}**: {each.sentence}" for each in rows), "", END]
    return "\n".join(parts)


def _table(
    family: str,
    schemes: list[str],
    attacks: list[str],
    found: dict[tuple[str, str, str], list[str]],
) -> Iterator[str]:
    phases = PHASES[schemes[0]]
    yield _line([" and ".join(schemes), *phases])
    yield _line(["---"] * (len(phases) + 1))
    for name in attacks:
        outcomes = [" or ".join(found.get((family, name, phase), [])) for phase in phases]
        if any(outcomes):
            yield _line([name, *(f"`{each}`" if each[:1].isupper() else each for each in outcomes)])


def _line(entries: Iterable[str]) -> str:
    return f"| {' | '.join(entries)} |"


def inserted(page: str, tables: str) -> str:
    """A page with the tables in place of those between its markers.

    Args:
        page: Markdown with both markers.
        tables: from `markdown`.

    Raises:
        ConfigurationError: the page has not both markers once.
    """
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(END) < page.index(BEGIN):
        raise ConfigurationError(f"the page needs {BEGIN} and then {END}, each once")
    before, rest = page.split(BEGIN)
    return before + tables + rest.split(END)[1]
