"""Pictures: what they show is what happened, and they can be read in light and in dark."""

from __future__ import annotations

import io
import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from protocol_sim.attacks import PHASES as STEPS
from protocol_sim.dropouts import RATES, judged, measure, play
from protocol_sim.memory import Exchange
from protocol_sim.moments import Moment
from protocol_sim.network import Link
from protocol_sim.parties import Parties
from protocol_sim.pictures import curves, tables, terminal
from protocol_sim.pictures.curves import Curve
from protocol_sim.pictures.matrix import Ending, ending_of, folded, matrices
from protocol_sim.pictures.messages import Clock, messages, phases, sessions
from protocol_sim.pictures.timeline import timeline
from protocol_sim.scenario import Plan, Restart, Scenario
from protocol_sim.world import run
from tests.command_lines import Terminal
from tests.protocol_sim.test_report import cell

EVENTFUL = Scenario(
    gateways=6,
    deadline=5.0,
    seed=1,
    rounds=2,
    links={"g3": Link(latency=0.1, loss=0.2), "g5": Link(duplication=0.5)},
    plans={
        "g1": Plan(vanish="header"),
        "g2": Plan(away=((0.1, 0.6),)),
        "g4": Plan(restarts=(Restart(time=0.1),)),
    },
)


@pytest.fixture(scope="module")
def eventful():
    return run(EVENTFUL)


def drawn(plot):
    return ET.fromstring(plot.file)


def texts(plot):
    return {
        "".join(each.itertext()) for each in drawn(plot).iter("{http://www.w3.org/2000/svg}text")
    }


def screen(width=100):
    return Console(file=io.StringIO(), width=width)


# -- what a timeline is made of --------------------------------------------------------------------


def test_every_frame_is_an_arrow_for_each_time_it_was_heard(eventful):
    for moments in sessions(eventful):
        sent = [each for each in moments if each.kind.startswith("sent")]
        heard = [each for each in moments if each.kind.startswith("arrived")]
        lost = [each for each in moments if each.kind == "lost"]
        found = messages(moments)
        numbers = {each.detail for each in heard}

        assert len(heard) == sum(each.arrived is not None for each in found)
        assert len(sent) - len(numbers) == sum(each.arrived is None for each in found)
        assert len(lost) == sum(each.lost for each in found)
        assert all(each.arrived is None or each.sent < each.arrived for each in found)


def test_rounds_end_with_what_their_orchestrator_says(eventful):
    found = sessions(eventful)

    assert 2 == len(found)
    assert eventful.moments == tuple(moment for moments in found for moment in moments)
    assert {"completed", "aborted"} >= {moments[-1].kind for moments in found}


def test_phases_follow_one_another_in_the_order_of_the_scheme(eventful):
    for moments in sessions(eventful):
        found = phases(moments)

        assert ["advertise_keys", "share_keys", "masked_input", "consistency", "unmasking"][
            : len(found)
        ] == [each.name for each in found]
        assert all(a.end == b.begin for a, b in pairwise(found))


def test_an_aborted_round_shows_the_phase_it_was_aborted_in():
    moments = [Moment(0.0, "sent down", "g0", "upload", 1, "0"), Moment(2.0, "aborted", "", "")]

    assert ["upload"] == [each.name for each in phases(moments)]


def test_a_clock_cuts_long_waits_and_keeps_the_order():
    times = [0.1 * step for step in range(40)] + [100.0, 100.1, 5_000.0]
    clock = Clock(times)
    places = [clock(time) for time in times]

    assert (0.0, 1.0) == (places[0], pytest.approx(places[-1]))
    assert places == sorted(places)
    assert 0.07 == pytest.approx(max(b - a for a, b in pairwise(places)))
    assert 2 == len(clock.cuts)
    # what is left out and what is shown are the whole wait
    assert 4_899.9 == pytest.approx(clock.cuts[1][1], rel=1e-3)


def test_a_clock_without_long_waits_is_straight():
    clock = Clock([float(step) for step in range(40)])

    assert not clock.cuts
    assert 0.25 == pytest.approx(clock(39 / 4))
    assert (0.0, 1.0) == (clock(-5.0), clock(50.0))


@pytest.mark.parametrize("times", [[1.0], [1.0, 1.0], [0.0, 1e9]])
def test_a_clock_of_few_times(times):
    clock = Clock(times)

    assert all(0 <= clock(time) <= 1 for time in times)


# -- the pictures ----------------------------------------------------------------------------------


def test_a_timeline_names_parties_phases_and_what_went_wrong(eventful, plots):
    said = texts(plots[0])
    verdict = eventful.verdicts[-1]

    assert {"orchestrator", "g0", "g5", "advertise_keys", "masked_input"} <= said
    assert {"vanished", "dropped", "restarted", "deadline", "message up"} <= said
    assert {"sum" if verdict.outcome == "sum" else verdict.outcome} <= said
    assert {reason.lower() for _, reason in verdict.dropped.values()} <= said


def test_rounds_have_pictures_of_their_own(eventful, plots):
    first = timeline(eventful, 0)

    assert ("timeline-1", "timeline-2") == (first.name, plots[0].name)
    assert first.svg != plots[0].svg


def test_equal_runs_give_equal_pictures(plots):
    assert plots[0].file == timeline(run(EVENTFUL)).file


@pytest.fixture(scope="module")
def plots(eventful):
    line = Curve("masks", ((10.0, 1e-3), (1e6, 9e3)), ((10.0, 2e-3), (100.0, 0.5)))
    return [
        timeline(eventful),
        curves.costs("costs", "Server", "s", [line]),
        curves.shares("rate", "Sums", [line], across="rate", caption="How."),
        curves.bars("bars", "Ends", [("sum", 3.0, "good"), ("<b>", 1.0, "")], caption="How."),
    ]


def test_no_picture_keeps_a_stand_in_or_an_address(plots):
    for plot in plots:
        assert not re.search(r"#0000[0-9a-f]{2}", plot.svg)
        assert "http" not in plot.svg
        assert "prefers-color-scheme: dark" in plot.file.decode()
        assert plot.alt
        assert drawn(plot).get("aria-label") == plot.alt


@pytest.mark.parametrize(
    ("changes", "ending"),
    [
        ({}, Ending.NAMED),
        ({"outcome": "sum", "expected": "sum"}, Ending.SUM),
        ({"released": 32}, Ending.BROKEN),
        ({"expected": "sum"}, Ending.BROKEN),
        ({"violation": "two sums of one round"}, Ending.BROKEN),
    ],
)
def test_a_cell_is_broken_whenever_it_is_not_fine(changes, ending):
    assert ending is ending_of(cell(**changes))


def test_a_matrix_has_the_phases_and_attacks_that_were_played():
    own, silence = cell(), cell(attack="silence", phase="unmasking")
    other = cell(scheme="ckks", phase="upload")
    masks, ckks = matrices([own, silence, other])

    assert (("masked_input", "unmasking"), ("upload",)) == (masks.phases, ckks.phases)
    assert (("own set", (own, None)), ("silence", (None, silence))) == masks.rows


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("sum", "sum"),
        ("advertise_keys", "advertise_\nkeys"),
        ("UnsupportedParameters", "Unsupported\nParameters"),
        ("NotASubset", "NotA\nSubset"),
        ("32 bytes", "32 bytes"),
    ],
)
def test_long_names_are_folded_where_their_words_meet(name, lines):
    assert lines == folded(name)


# -- in a terminal ---------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 120])
def test_lanes_fit_the_terminal(eventful, width):
    console = screen(width)
    terminal.show(console, eventful)
    lines = console.file.getvalue().splitlines()
    lanes = [line for line in lines if re.match(r"(orchestrator|g\d) +[-^vxXDR|!*]+$", line)]

    assert 2 * 7 == len(lanes)
    assert {width} == {len(line) for line in lanes}
    assert all(len(line) <= width for line in lines)


def test_lanes_tell_what_went_wrong(eventful):
    console = screen()
    terminal.show(console, eventful)
    said = console.file.getvalue()

    for moment in eventful.moments:
        if moment.kind in {"vanished", "dropped", "restarted", "deadline", "lost"}:
            assert re.search(rf"{moment.time:.3f} s .*{moment.kind}", said)
    assert "VIOLATION" not in said


@pytest.mark.parametrize(
    ("width", "phases", "shown"),
    [(90, 5, "Header"), (200, 5, "HeaderMismatch, Below"), (60, 1, "HeaderMismatch, Below")],
)
def test_the_matrix_of_a_terminal_folds_where_it_has_no_room(width, phases, shown):
    console = Console(file=Terminal(), width=width, color_system=None)
    tables.show(console, [cell(phase=phase) for phase in STEPS["masks"][:phases]])
    said = console.file.getvalue()

    assert all(len(line) <= width for line in said.splitlines())
    assert shown in said
    assert ("Header\n" in re.sub(" +\n", "\n", said)) == (width == 90)
    assert "lattice" not in said


def test_the_matrix_of_a_pipe_is_not_folded():
    console = screen(40)
    tables.show(console, [cell(phase=phase) for phase in STEPS["masks"]])

    assert 5 == console.file.getvalue().count("HeaderMismatch, BelowThreshold")


# -- rounds under rising dropout -------------------------------------------------------------------


def test_no_more_than_d_absences_leave_the_sum():
    rates = measure(["masks"], gateways=5, trials=2)

    assert len(RATES) == len(rates)
    assert all(not each.violations for each in rates)
    assert all(each.promised <= each.sums <= each.played for each in rates)
    assert rates[0].sums > rates[-1].sums


def test_a_sum_that_is_missing_is_a_violation():
    lossy = Exchange(Parties(5), passes=lambda frame: () if frame.up else (frame.data,)).play()
    found = judged("masks", 0.1, {(0, 0): play("masks", 5, 0.0, (0, 0)), (0, 1): lossy})

    assert (1, 2) == (found.sums, found.promised)
    (violation,) = found.violations

    assert (0, 1) == violation[0]
    assert violation[1].startswith("a sum was due, and it ended in BelowThreshold")
