"""Compares this tree with an earlier commit: `python -m benchmarks.since [--commit C] [--quick]`.

Each tree runs in processes of its own, on top of its own `benchmarks.rounds`; rounds of both take
turns, best of several, plaintext in the same run. CPU time on one thread, wall time on two. The
earlier tree is checked out from the repository into a temporary folder. About ten minutes and 4 GB.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from subprocess import PIPE, Popen, run
from typing import Literal, NamedTuple

from benchmarks.measuring import parser_of, write
from benchmarks.rounds import Case

HERE = Path(__file__).parents[1]
COMMIT = "e31763f"
HIDDEN = {"OPENSSL_ia32cap": ":~0x20000010000"}
"""OpenSSL sees neither AVX-512 nor VAES: a machine as most are."""
THREADS = (1, 2)
Tree = Literal["then", "now"]
TREES: tuple[Tree, ...] = ("then", "now")


class Side(NamedTuple):
    """A process: which tree, and whether AVX-512 is hidden from it."""

    tree: Tree
    hidden: bool = False


Seconds = Mapping[tuple[Side, int], Mapping[str, float]]
"""Best seconds by side and threads, then by name."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A line of the table.

    Attributes:
        text: what is measured.
        case: rounds in which.
        what: name of the measurement.
        against: what it is divided by: "plain" (the same work in both: the best counts), "then",
            coordinates ("ns"), or the same where AVX-512 is not hidden ("open").
        at_most: the aim on one thread, and on two.
    """

    text: str
    case: Case
    what: str
    against: Literal["plain", "then", "ns", "open"]
    at_most: tuple[float | None, float | None]

    @property
    def sides(self) -> list[Side]:
        """Processes that it takes."""
        hidden = [False, True] if self.against == "open" else [False]
        return [Side(tree, each) for each in hidden for tree in TREES]

    def value(self, seconds: Seconds, tree: Tree, threads: int) -> float:
        """The figure."""
        found = seconds[Side(tree, self.against == "open"), threads][self.what]
        if self.against == "ns":
            return found / self.case.coordinates * 1e9
        if self.against == "plain":
            return found / min(seconds[Side(each), threads]["plain"] for each in TREES)
        return found / seconds[Side("then" if self.against == "then" else tree), threads][self.what]


HUNDRED = Case(100, 1_000_000, 10, repeats=5, colluding=9, dropouts=10)
THOUSAND = Case(1_000, 100_000, 50, repeats=2, colluding=50, dropouts=50)
CKKS = Case(10, 1_000_000, 1, repeats=3, scheme="ckks")
FIVE = Case(5, 10_000_000, 1, repeats=5)
TEN = Case(10, 1_000_000, 1, repeats=5)
LINES = (
    Compared("server, whole round / plaintext", HUNDRED, "server", "plain", (6.2, 4.5)),
    Compared("server after set-up / plaintext", THOUSAND, "server after set-up", "plain", (24, 15)),
    Compared("key rounds of the server / then", THOUSAND, "server set-up", "then", (0.60, 0.45)),
    Compared("gateway / then", CKKS, "gateway", "then", (0.35, None)),
    Compared("server / then", CKKS, "server after set-up", "then", (0.5, None)),
    Compared("gateway with base and its hash, ns", FIVE, "gateway", "ns", (4.6, 3.4)),
    Compared("round, AVX-512 hidden / not", TEN, "round", "open", (1.5, None)),
)
QUICK = {
    HUNDRED: Case(70, 3_000, 2, repeats=1),
    THOUSAND: Case(80, 1_000, 2, repeats=1),
    CKKS: Case(4, 3_000, 1, repeats=1, scheme="ckks"),
    FIVE: Case(4, 30_000, 1, repeats=1),
    TEN: Case(5, 30_000, 1, repeats=1),
}


def started(folder: Path, *, hidden: bool) -> Popen[str]:
    """A process that plays rounds of one tree."""
    return Popen(
        [sys.executable, "-P", HERE / "benchmarks" / "since_worker.py"],
        env=os.environ | (HIDDEN if hidden else {}) | {"PYTHONPATH": str(folder)},
        stdin=PIPE,
        stdout=PIPE,
        text=True,
    )


def played(worker: Popen[str], case: Case, threads: int, *, based: bool) -> Mapping[str, float]:
    """Seconds of one round."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    order = {"case": asdict(case), "threads": threads, "based": based}
    with suppress(BrokenPipeError):
        print(json.dumps(order), file=worker.stdin, flush=True)
    if not (answer := worker.stdout.readline()):
        raise SystemExit("a process that plays rounds has ended; its error stands above")
    found: Mapping[str, float] = json.loads(answer)
    return found


@contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """The tree of a commit, for as long as it is needed."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        git = ["git", "-C", str(HERE), "worktree"]
        run([*git, "add", "--quiet", "--detach", str(tree), commit], check=True)
        try:
            yield tree
        finally:
            run([*git, "remove", "--force", str(tree)], check=True)


def sides_of(lines: Sequence[Compared]) -> list[Side]:
    """Each process once."""
    return list(dict.fromkeys(side for line in lines for side in line.sides))


def measured(case: Case, lines: Sequence[Compared], workers: Mapping[Side, Popen[str]]) -> Seconds:
    """All rounds of a case, sides in turn and in the other order every second time."""
    sides = sides_of(lines)
    based = any(line.against == "ns" for line in lines)
    best: dict[tuple[Side, int], dict[str, float]] = {}
    for turn, threads in itertools.product(range(case.repeats), THREADS):
        for side in sides if turn % 2 else sides[::-1]:
            found = played(workers[side], case, threads, based=based)
            known = best.setdefault((side, threads), dict(found))
            known.update({name: min(known[name], value) for name, value in found.items()})
    return best


def shown(line: Compared, seconds: Seconds) -> tuple[str, Mapping[str, object]]:
    """A line as text, and for a file."""
    text, figures = f"{line.text:<36} {line.case.scheme:<7} {line.case.gateways:>5}", {}
    text += f" {line.case.coordinates:>11,}"
    for threads, aim in zip(THREADS, line.at_most, strict=True):
        then, now = (line.value(seconds, tree, threads) for tree in TREES)
        mark = "-" if aim is None else f"{aim:g}{'' if now <= aim else ' !'}"
        text += f" {then:>8.2f} {now:>8.2f} {mark:>8}"
        figures[f"{threads} threads"] = {"then": then, "now": now, "at_most": aim}
    return text, {"what": line.text, "case": str(line.case), **figures}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write DIR/since.json."""
    parser = parser_of("since", str(__doc__))
    parser.add_argument("--commit", default=COMMIT, help="what to compare with")
    options = parser.parse_args(arguments)
    lines = [replace(x, case=QUICK[x.case]) for x in LINES] if options.quick else LINES
    heads = ["then", "now", "at most", "then (2)", "now (2)", "at most"]
    print(f"{'':<36} {'scheme':<7} {'n':>5} {'d':>11}", *(f"{head:>8}" for head in heads))
    records = []
    with checkout(options.commit) as then, ExitStack() as stack:
        folders = {"then": then, "now": HERE}
        workers = {
            side: stack.enter_context(started(folders[side.tree], hidden=side.hidden))
            for side in sides_of(lines)
        }
        for case in dict.fromkeys(line.case for line in lines):
            of_case = [line for line in lines if line.case == case]
            seconds = measured(case, of_case, workers)
            for line in of_case:
                text, record = shown(line, seconds)
                print(text, flush=True)
                records.append(record)
    write(options.output, "since", commit=options.commit, lines=records)


if __name__ == "__main__":
    main()
