"""What a run looks like while it runs: in terminals of several widths, and without one."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from fedavg.live import Bar, Rows
from fedavg.report.totals import amount
from fedavg.settings import Settings
from secagg import GatewayDropped, PhaseClosed
from secagg.protocol.messages import DropReason
from secagg.schemes import scheme_of
from secagg.thresholds import derive_committee
from tests.command_lines import Terminal
from tests.fedavg.runs import ADDITIVE, report_of


def console(width, *, terminal=True, **settings):
    file = Terminal() if terminal else io.StringIO()
    colours = "standard" if terminal else None
    settings = {"force_terminal": terminal, "color_system": colours, **settings}
    return Console(file=file, width=width, **settings)


def plain(text):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "\n")


@pytest.fixture(scope="module")
def rounds():
    return report_of(Settings(task="threshold", gateways=6, rounds=2, vanish=2)).rounds


@pytest.mark.parametrize("width", [80, 100, 125, 160])
def test_no_row_is_folded(width, rounds):
    screen = console(width)
    table = Rows(screen)
    for each in rounds:
        table.show(each)
    lines = [line for line in plain(screen.file.getvalue()).splitlines() if line.strip()]
    rows = [line for line in lines if re.match(r"\s+[12]\s", line)]
    names = [name for each in rounds for name in each.dropped]

    assert 2 == len(rows)
    assert all(len(line) <= width for line in lines)
    assert names == re.findall(r"(g\d+) in ", " ".join(lines))
    assert (width > 125) == (3 == len(lines))


def test_a_crowd_of_the_vanished_keeps_its_indent(rounds):
    screen = console(80)
    crowd = {
        name: GatewayDropped(name, "masked_input", DropReason.SILENT)
        for name in (f"g{number:02}" for number in range(10, 30))
    }
    Rows(screen).show(replace(rounds[0], dropped=crowd))
    below = plain(screen.file.getvalue()).splitlines()[2:]

    assert 5 < len(below)
    assert {7} == {len(line) - len(line.lstrip()) for line in below}


def test_columns_are_stable(rounds):
    screen = console(80, terminal=False)
    table = Rows(screen)
    for each in (rounds[0], replace(rounds[1], number=9999, phases=(), clipped=1234567)):
        table.show(each)
    lines = screen.file.getvalue().splitlines()

    assert 1 == len(
        {
            line.index(ending) + len(ending)
            for line, ending in zip(lines, ("clipped", "      0", "1234567"), strict=True)
        }
    )
    assert ["-", "-"] == lines[2].split()[6:8]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "-"),
        (0, "0.000"),
        (9.8765, "9.877"),
        (98.76, "98.76"),
        (987.6, "987.6"),
        (12345.6, "12346"),
    ],
)
def test_amounts_fit_five_characters(value, written):
    assert written == amount(value)


def test_colours_are_left_out_where_nobody_wants_them(rounds, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    screen = console(80)
    with Bar(screen, 2) as bar:
        bar.round(rounds[0])

    # 30 to 49 and 90 to 107 are colours; bold and dim are not.
    assert [] == re.findall(r"\x1b\[(?:\d+;)*(?:[34]\d|9\d|10\d)[;m]", screen.file.getvalue())


@pytest.mark.parametrize(
    ("forced", "escapes"),
    [
        ({}, r"\x1b|\r"),
        # colours are allowed then, movements are not
        (
            {"force_terminal": True, "color_system": "standard"},
            r"\x1b\[[0-9;?]*[A-LN-Za-ln-z]|\r",
        ),
    ],
)
def test_in_a_pipe_a_round_is_one_line_and_nothing_moves(forced, escapes, rounds):
    screen = console(80, terminal=False, **forced)
    table = Rows(screen)
    with Bar(screen, 2) as bar:
        bar.event(PhaseClosed("advertise_keys", ("g01",)))
        for each in rounds:
            table.show(each)
            bar.round(each)
    lines = screen.file.getvalue().splitlines()

    assert 3 == len(lines)
    assert all(name in lines[1] for name in rounds[0].dropped)
    assert [] == re.findall(escapes, screen.file.getvalue())


REFUSED = GatewayDropped("g03", "upload", DropReason.ABORTED, "PolicyViolation: clip")


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (PhaseClosed("advertise_keys", ("g01", "g02")), "share_keys is open"),
        (PhaseClosed("advertise_keys", ("g01", "g02")), "2 answered advertise_keys"),
        (PhaseClosed("advertise_keys", ("g01", "g02")), "0/2"),
        (REFUSED, "dropped: g03 in upload (aborted: PolicyViolation: clip)"),
        (1, "1/2"),
        (2, "adam, the same rounds in the clear"),
    ],
)
def test_the_bar_says_what_happens(told, said, rounds):
    screen = console(120)
    with Bar(screen, 2, "adam, ") as bar:
        if isinstance(told, int):
            bar.round(rounds[told - 1])
        else:
            bar.event(told)

    assert said in plain(screen.file.getvalue())


@pytest.mark.parametrize("scheme", ADDITIVE)
def test_the_bar_knows_the_phases_of_additive_schemes(scheme, rounds):
    steps, said = scheme_of(scheme).steps_for(derive_committee(5)), []
    phases = tuple(step.name for step in steps)
    steps = ("set_up", "upload", "answer", rounds[0], "upload", rounds[1], "answer_again")
    with Bar(console(80), 3, "", phases) as bar:
        for step in steps:
            if isinstance(step, str):
                bar.event(PhaseClosed(step, ("g01",)))
            else:
                bar.round(step)
            said.append(bar._live.get_renderable().renderables[0].plain.partition(" is open")[0])

    # a round is expected to begin as the one before
    assert [
        "round 1: upload",
        "round 1: answer",
        "round 1: mean",
        "round 2: set_up",
        "round 2: answer",
        "round 3: upload",
        "round 3: mean",
    ] == said
