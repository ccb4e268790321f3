"""The formal model of the masked round (docs/formal/masks.pml), checked by spin in all its states.

    python -m protocol_sim.formal

spin turns the model into a program that visits every reachable state; a C compiler builds it. Both
run in a temporary folder. docs/formal.md says what the model leaves out.
"""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from secagg.errors import ConfigurationError
from secagg.params import Thresholds
from secagg.thresholds import derive

MODEL: Final = Path(__file__).parent.parent / "docs" / "formal" / "masks.pml"
COMPILE: Final = ("cc", "-O2", "-w", "-DSAFETY", "-DCOLLAPSE", "-DMEMLIM=4096", "-o", "pan")
"""Assertions only, no cycles; compressed states; 4 GiB at most."""
DEPTH: Final = 100_000
"""Longest path in steps of spin: the longest that was met has 2,558."""


@dataclass(frozen=True, slots=True)
class States:
    """What spin has seen.

    Attributes:
        stored: different states.
        transitions: steps between them, those to a known state among them.
        depth: of the longest path, in steps of spin.
        memory: MiB, 128 of them the hash table's.
        broken: the property that does not hold, as the model names it; "" if all hold.
        seconds: of a processor, for the search, without compiling.
        trail: what happened until it broke, a sentence each.
    """

    stored: int
    transitions: int
    depth: int
    memory: float
    broken: str
    seconds: float = 0.0
    trail: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """One search.

    Attributes:
        name: what is searched, or which rule is off.
        thresholds: of the session.
        sessions: sessions of one round that the orchestrator may run side by side, 1 or 2.
        keys: different h0 in a session, 1 to the number of honest gateways.
        params: different P in a session, likewise.
        switches: macros of the model that switch rules off.
        broken: the property that must break; "" if all must hold.
        changed: thresholds that no gateway accepts, by macro.
    """

    name: str
    thresholds: Thresholds
    sessions: int = 1
    keys: int = 3
    params: int = 3
    switches: tuple[str, ...] = ()
    broken: str = ""
    changed: Mapping[str, int] = field(default_factory=dict)

    @property
    def defines(self) -> dict[str, int]:
        """Macros for the model."""
        limits = self.thresholds
        numbers = {
            "N": limits.gateways,
            "C": limits.max_colluding,
            "D": limits.max_dropouts,
            "Q": limits.quorum,
            "T": limits.share_threshold,
            "LEAST": limits.min_included,
            "SESSIONS": self.sessions,
            "KEYS": self.keys,
            "PARAMS": self.params,
        }
        return numbers | dict(self.changed) | dict.fromkeys(self.switches, 1)


FOUR: Final = derive(4)
STRICT: Final = derive(4, max_dropouts=0, min_included=4)
"""n_min above q: the quorum alone does not keep a set large enough."""

HOLDS: Final = (
    Case("n = 3, two sessions", derive(3), sessions=2, keys=2, params=2),
    Case("n = 4", FOUR),
    Case("n = 4, largest t", derive(4, share_threshold=3)),
    Case("n = 4, n_min = 4", STRICT),
    Case("n = 4, two sessions", FOUR, sessions=2, keys=1, params=1),
    Case("n = 5, C = 2", derive(5, max_colluding=2)),
    Case("n = 5, C = 1, one P", derive(5), keys=4, params=1),
    Case("n = 5, C = 2, two sessions", derive(5, max_colluding=2), sessions=2, keys=1, params=1),
)
"""The protocol as it is: every property holds in every state."""

_SET = "one_certified_set"
_SUM = "only_the_agreed_sum"
CONTROLS: Final = (
    Case("a round comes to its end", FOUR, switches=("NOTHING_OPENS",), broken="nothing_opens"),
    Case("quorum q - 1", FOUR, changed={"Q": FOUR.quorum - 1}, broken=_SET),
    Case(
        "quorum q - 1: what opens",
        FOUR,
        switches=("SECRECY_ONLY",),
        changed={"Q": FOUR.quorum - 1},
        broken=_SUM,
    ),
    Case("t = C", FOUR, changed={"T": FOUR.max_colluding}, broken="never_both_secrets"),
    Case(
        "t = C: what opens",
        FOUR,
        switches=("SECRECY_ONLY",),
        changed={"T": FOUR.max_colluding},
        broken=_SUM,
    ),
    Case("no certificate", FOUR, switches=("NO_CERTIFICATE",), broken=_SUM),
    Case("a second answer", FOUR, switches=("TWO_ANSWERS",), broken=_SET),
    Case(
        "a second answer: what opens", FOUR, switches=("TWO_ANSWERS", "SECRECY_ONLY"), broken=_SUM
    ),
    Case(
        "no journal",
        FOUR,
        sessions=2,
        keys=1,
        params=1,
        switches=("TWO_UPLOADS",),
        broken="one_session_in_a_round",
    ),
    Case(
        "no journal: what opens",
        FOUR,
        sessions=2,
        keys=1,
        params=1,
        switches=("TWO_UPLOADS", "SECRECY_ONLY"),
        broken=_SUM,
    ),
    Case(
        "the journal compared at the announcement alone",
        FOUR,
        sessions=2,
        keys=1,
        params=1,
        switches=("EARLY_JOURNAL",),
        broken="one_session_in_a_round",
    ),
    Case(
        "the journal compared at the announcement alone: what opens",
        FOUR,
        sessions=2,
        keys=1,
        params=1,
        switches=("EARLY_JOURNAL", "SECRECY_ONLY"),
        broken=_SUM,
    ),
    Case(
        "claimed with the upload only",
        FOUR,
        sessions=2,
        keys=1,
        params=1,
        switches=("LATE_CLAIM",),
        broken="one_session_in_a_round",
    ),
    Case("sets without oneself", FOUR, switches=("NO_SELF",), broken="signer_is_included"),
    Case("sets of any size, n_min > q", STRICT, switches=("ANY_SIZE",), broken="enough_included"),
    Case("one key pair for both", FOUR, switches=("ONE_KEY",), broken="never_both_secrets"),
    Case("no self mask", FOUR, switches=("NO_SELF_MASK",), broken=_SUM),
    Case("neither headers nor subsets", FOUR, switches=("NO_HEADERS", "NO_SUBSET"), broken=_SUM),
)
"""One rule less, or wrong numbers: the search must find what breaks."""

SPARE: Final = (
    Case("headers not compared", FOUR, switches=("NO_HEADERS",)),
    Case("U3 no subset of U2", FOUR, switches=("NO_SUBSET",)),
    Case("shares open under any h0", FOUR, switches=("ANY_KEYS",)),
    Case("sets of any size, n_min = q", FOUR, switches=("ANY_SIZE",)),
)
"""One rule less, and nothing breaks here: another does its work (docs/formal.md says which)."""


def check(model: Path, defines: Mapping[str, int]) -> States:
    """Visit every state of a model, or as many as it takes to break a property.

    Args:
        model: Promela source.
        defines: macros of the model.

    Raises:
        ConfigurationError: spin or the C compiler is missing.
        RuntimeError: a tool fails, or the search did not get through.
    """
    for tool, package in (("spin", "spin"), ("cc", "gcc")):
        if shutil.which(tool) is None:
            raise ConfigurationError(
                f"{tool} is not installed: on Debian, apt-get install {package}"
            )
    macros = [f"-D{name}={value}" for name, value in defines.items()]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(model, folder / model.name)
        _run(folder, "spin", "-a", *macros, model.name)
        _run(folder, *COMPILE, "pan.c")
        before = _seconds()
        found = parse(_run(folder, "./pan", "-n", f"-m{DEPTH}"))
        found = replace(found, seconds=_seconds() - before)
        if not found.broken:
            return found
        replayed = _run(folder, "spin", "-t", *macros, model.name, fails=True)
    lines = [line.strip() for line in replayed.splitlines()]
    trail = tuple(line for line in lines if line.startswith("session "))
    return replace(found, trail=trail)


def _seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run(folder: Path, *command: str, fails: bool = False) -> str:
    done = subprocess.run(  # noqa: S603 - a fixed command, no shell
        command, cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode and not fails:
        raise RuntimeError(f"{command[0]} failed: {(done.stderr or done.stdout)[-2000:]}")
    return done.stdout


def parse(output: str) -> States:
    """Read the report of a search.

    Args:
        output: what the program that spin wrote has printed.

    Returns:
        All but seconds and trail.

    Raises:
        RuntimeError: the search ended early without a broken property (memory, depth, a deadlock
            of the model), so it says nothing.
    """
    broken = re.search(r"assertion violated \(?(\w+)", output)
    incomplete = "not completed" in output or "too small" in output or "errors: 0" not in output
    if broken is None and incomplete:
        raise RuntimeError(f"the search did not get through: {output[-2000:]}")
    return States(
        stored=int(_number(r"(\d+) states, stored", output)),
        transitions=int(_number(r"(\d+) transitions", output)),
        depth=int(_number(r"depth reached (\d+)", output)),
        memory=_number(r"([\d.e+]+)\s+total actual memory", output),
        broken="" if broken is None else broken[1],
    )


def _number(pattern: str, output: str) -> float:
    found = re.search(pattern, output)
    if found is None:
        raise RuntimeError(f"no {pattern!r} in the report of the search: {output[-2000:]}")
    return float(found[1])


def row(case: Case, found: States) -> str:
    """One line of the tables in docs/formal.md."""
    rest = f"{found.depth:,} | {found.memory:,.0f} | {found.seconds:.1f}"
    return f"| {case.name} | {found.broken or 'all hold'} | {found.stored:,} | {rest} |"


def rows() -> Iterator[str]:
    """Search every case.

    Yields:
        The lines of the table, as they are found.

    Raises:
        AssertionError: a case ends otherwise than it must.
    """
    yield "| case | result | states | depth | MiB | CPU seconds |"
    yield "|---|---|---|---|---|---|"
    for case in (*HOLDS, *CONTROLS, *SPARE):
        found = check(MODEL, case.defines)
        yield row(case, found)
        if found.broken != case.broken:
            trail = "\n".join(found.trail)
            raise AssertionError(f"{case.name}: expected {case.broken or 'no error'}\n{trail}")


def main() -> None:
    """Print the table; each line as soon as it is known."""
    for line in rows():
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
