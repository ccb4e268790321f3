"""Does what the commands of `protocol_sim` ask: plays, prints, and leaves a report behind."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from protocol_sim.console import progress, write
from secagg.console import say
from secagg.errors import ConfigurationError

if TYPE_CHECKING:
    from protocol_sim.attacks import Cell
    from protocol_sim.dropouts import Rate
    from protocol_sim.scenario import Scenario
    from protocol_sim.sweep import Tally


def scenario(played: Scenario, output: Path | None) -> bool:
    """Play a scenario and print its timeline.

    Args:
        played: it.
        output: directory for the report.

    Returns:
        Whether something happened that must never happen.
    """
    from protocol_sim import world
    from protocol_sim.pictures import terminal

    done = world.run(played)
    console = Console()
    say(console, _summary(played))
    terminal.show(console, done)
    say(console, f"transcript {done.transcript}")
    if output is not None:
        from protocol_sim import report

        write(console, output, report.session(done))
    return bool(done.violation)


def _summary(played: Scenario) -> str:
    return (
        f"{played.scheme}, {played.gateways} gateways, {played.coordinates:,} coordinates, "
        f"seed {played.seed}, {played.deadline:g} s to answer"
    )


def figures(
    gateways: int,
    dimension: int,
    dropout: float,
    scheme: str,
    seed: int,
    output: Path | None,
    *,
    cost_model: bool,
    shards: int,
    ray: bool,
) -> bool:
    """Measure a round of many gateways and print the figures.

    Args:
        gateways: n.
        dimension: d.
        dropout: share of the gateways that vanish.
        scheme: name.
        seed: decides everything but the seconds.
        output: directory for the report.
        cost_model: whether it is asked for.
        shards: parts that the coordinates are cut into.
        ray: play them on Ray's workers.

    Returns:
        Whether something happened that must never happen.
    """
    from protocol_sim.model import measuring
    from protocol_sim.pictures import document

    console = Console()
    with console.status("") as status:
        found = measuring.figures(
            gateways,
            dimension,
            dropout,
            scheme,
            seed,
            cost_model=cost_model,
            shards=shards,
            ray=ray,
            on_step=status.update,
        )
    if found.round is not None:
        document.show(console, found.round.section())
        say(console, f"transcript {found.round.transcript}")
    if found.model is not None:
        document.show(console, found.model.section())
    if output is not None:
        from protocol_sim import report

        write(console, output, report.large(found))
    return found.round is not None and bool(found.round.verdict.violation)


def schedules(count: int, seed: int, processes: int, output: Path | None) -> bool:
    """Play random schedules and print what became of them.

    Args:
        count: how many.
        seed: of the first.
        processes: that share the work.
        output: directory for the report.

    Returns:
        Whether something happened that must never happen.
    """
    from protocol_sim import sweep as sweeping

    console, began = Console(), time.perf_counter()
    with progress(console, "schedules", count) as advance:
        tally = sweeping.sweep(
            count,
            seed,
            processes=processes,
            on_progress=lambda so_far: advance(so_far.played, _found(so_far)),
        )
    seconds = time.perf_counter() - began
    _tell(console, tally, seconds)
    broken = bool(tally.violations)
    if output is not None:
        from protocol_sim import report

        rates = _rates(console, seed)
        write(console, output, report.swept(tally, seed, seconds, rates))
        broken = broken or any(rate.violations for rate in rates)
    return broken


def _found(tally: Tally) -> str:
    return f"{len(tally.violations)} violations"


def _tell(console: Console, tally: Tally, seconds: float) -> None:
    from protocol_sim.sweep import command

    schemes = sorted({scheme for scheme, _ in tally.outcomes})
    for scheme in schemes:
        mine = {end: count for (of, end), count in tally.outcomes.items() if of == scheme}
        ends = sorted(mine, key=lambda end: (end != "sum", -mine[end]))
        say(console, f"{scheme:8} " + ", ".join(f"{end} {mine[end]:,}" for end in ends))
    if tally.drops:
        drops = ", ".join(f"{why.lower()} {count:,}" for why, count in tally.drops.most_common())
        say(console, f"dropped  {drops}")
    pace = f"{seconds:.1f} s, {tally.played / seconds:.0f} a second"
    style = "bold red" if tally.violations else "bold green"
    say(console, f"{tally.played:,} schedules, {_found(tally)}, {pace}", style)
    for number, what in tally.violations:
        say(console, f"seed {number}: {what}", "red")
        say(console, f"  {command(number)}")


def _rates(console: Console, seed: int) -> list[Rate]:
    from protocol_sim import dropouts
    from secagg.schemes import BY_NAME

    with progress(console, "dropout rates", len(BY_NAME) * len(dropouts.RATES)) as advance:
        steps = itertools.count(1)
        return dropouts.measure(
            list(BY_NAME), seed=seed, on_progress=lambda: advance(next(steps), "real sessions")
        )


def attack_cells(
    attack: str | None, scheme: str | None, phase: str | None, seed: int, output: Path | None
) -> bool:
    """Play the matrix, or a part of it, and print it.

    Args:
        attack: name; all of them by default.
        scheme: likewise.
        phase: likewise.
        seed: of every cell.
        output: directory for the report.

    Returns:
        Whether a cell is not as it must be.

    Raises:
        ConfigurationError: there is no such cell.
    """
    from protocol_sim.pictures import tables

    console = Console()
    cells = _cells(console, attack, scheme, phase, seed)
    tables.show(console, cells)
    bad = [cell for cell in cells if not cell.fine]
    ended = f"{len(cells)} cells, {len(bad)} not as they must be, "
    ended += f"{sum(cell.released for cell in cells)} secret bytes released"
    say(console, ended, "bold red" if bad else "bold green")
    for cell in bad:
        place = f"--name {cell.attack!r} --scheme {cell.scheme} --phase {cell.phase}"
        say(console, f"{cell.outcome} instead of {cell.expected} {cell.violation}", "red")
        say(console, f"  protocol_sim attack {place} --seed {seed}")
    if output is not None:
        from protocol_sim import report

        write(console, output, report.attacks(cells))
    return bool(bad)


def _cells(
    console: Console, attack: str | None, scheme: str | None, phase: str | None, seed: int
) -> list[Cell]:
    from protocol_sim import attacks
    from secagg.schemes import scheme_of

    rows = attacks.ATTACKS if attack is None else (attacks.attack_of(attack),)
    schemes = tuple(attacks.PHASES) if scheme is None else (scheme_of(scheme).name,)
    wanted = [
        at
        for name in schemes
        for each in rows
        for at in attacks.phases_of(each.name, name)
        if phase in {None, at}
    ]
    if not wanted:
        known = ", ".join(dict.fromkeys(at for name in schemes for at in attacks.PHASES[name]))
        raise ConfigurationError(f"nothing to attack there: phases are {known}")
    with progress(console, "cells", len(wanted)) as advance:
        steps = itertools.count(1)
        return attacks.matrix(
            rows,
            schemes,
            wanted,
            seed=seed,
            on_cell=lambda cell: advance(next(steps), f"{cell.attack}, {cell.scheme}"),
        )


def literature(output: Path | None) -> None:
    """Print the papers' tables.

    Args:
        output: directory for the report.
    """
    from protocol_sim.model.papers import tables
    from protocol_sim.pictures import document

    console = Console()
    with console.status("real sessions of all schemes"):
        sections = tables().sections()
    for each in sections:
        document.show(console, each)
    if output is not None:
        from protocol_sim import report

        write(console, output, report.papers(sections))
