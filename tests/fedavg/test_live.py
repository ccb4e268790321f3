"""What a run looks like in a terminal, and what it leaves when it is done."""

from __future__ import annotations

import io
import re
import time

import pytest
from rich.console import Console
from typer.testing import CliRunner

from fedavg.commands import app
from fedavg.experiment import Settings, run
from fedavg.live import Bar, Rows
from secagg import GatewayDropped, PhaseClosed
from secagg.protocol.messages import DropReason


class Terminal(io.StringIO):
    def isatty(self):
        return True


def console(width, *, terminal=True):
    file = Terminal() if terminal else io.StringIO()
    colours = "standard" if terminal else None
    return Console(file=file, width=width, force_terminal=terminal, color_system=colours)


def plain(text):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "\n")


@pytest.fixture(scope="module")
def rounds():
    return run(
        Settings(task="threshold", gateways=6, rounds=2, vanish=2), clock=time.perf_counter
    ).rounds


@pytest.mark.parametrize("width", [80, 100, 160])
def test_no_row_is_folded(width, rounds):
    screen = console(width)
    for each in rounds:
        Rows(screen).show(each)
    lines = [line for line in plain(screen.file.getvalue()).splitlines() if line.strip()]
    rows = [line for line in lines if re.match(r"\s+[12]\s", line)]

    assert 2 == len(rows)
    assert all(len(line) <= width for line in lines)
    assert "vanished" in "\n".join(lines)


def test_without_a_terminal_a_round_is_one_line(rounds):
    screen = console(80, terminal=False)
    table = Rows(screen)
    for each in rounds:
        table.show(each)
    lines = screen.file.getvalue().splitlines()

    assert 3 == len(lines)
    assert "\x1b" not in screen.file.getvalue()
    assert all(name in lines[1] for name in rounds[0].vanished)


def test_the_bar_says_which_phase_is_open():
    screen = console(80)
    with Bar(screen, 2) as bar:
        bar.event(PhaseClosed("advertise_keys", ("g01", "g02")))
    shown = plain(screen.file.getvalue())

    assert "share_keys is open" in shown
    assert "2 answered advertise_keys" in shown
    assert "0/2" in shown


def test_the_bar_counts_rounds(rounds):
    screen = console(80)
    with Bar(screen, 2) as bar:
        bar.event(GatewayDropped("g03", "share_keys", DropReason.SILENT))
        bar.round(rounds[0])

    assert "1/2" in plain(screen.file.getvalue())


def test_nothing_moves_in_a_pipe(rounds):
    screen = console(80, terminal=False)
    with Bar(screen, 2) as bar:
        bar.event(PhaseClosed("advertise_keys", ("g01",)))
        bar.round(rounds[0])

    assert "" == screen.file.getvalue()


def test_variants_are_compared_row_by_row(tmp_path):
    done = CliRunner().invoke(
        app,
        [
            *("compare", "--task", "threshold", "--gateways", "4", "--rounds", "2"),
            *("--optimisers", "sgd,adam", "--output", str(tmp_path)),
        ],
    )
    lines = done.output.splitlines()

    assert 0 == done.exit_code, done.output
    assert ["optimiser", "final", "best", "to", "90%"] == lines[0].split()[:5]
    assert ["sgd", "adam"] == [line.split()[0] for line in lines[1:3]]
    assert {"compare.html", "compare.json"} == {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "exactly one of --optimisers, --servers, --schemes, --losses"),
        (["--losses", "mse", "--schemes", "masks"], "exactly one of"),
        (["--servers", "fedavg,nadam"], "fedavg, fedavgm, fedadam, fedyogi"),
        (["--losses", "mse,mse"], "mse"),
        (["--losses", "mse", "--target", "2"], "target"),
    ],
)
def test_a_comparison_that_cannot_be_is_one_line(arguments, said):
    done = CliRunner().invoke(app, ["compare", "--rounds", "1", *arguments])

    assert 2 == done.exit_code
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert 1 == done.stderr.count("\n")
