"""The command line: what it says, what it leaves behind, and with which exit code."""

from __future__ import annotations

import importlib.util
import io
import re
import signal
import sys
from dataclasses import replace

import pytest
from rich.console import Console
from typer.testing import CliRunner

from protocol_sim import attacks, command_runs, console, dropouts, world
from protocol_sim import sweep as sweeping
from protocol_sim.commands import app
from protocol_sim.dropouts import Rate
from protocol_sim.scenario import Scenario
from protocol_sim.scenarios import draw, of_figures

COMMANDS = ("run", "replay", "sweep", "attack", "papers")
NETWORK = {"rounds": 1, "deadline": 10.0, "latency": 0.05, "loss": 0.0}


def invoke(*arguments):
    return CliRunner().invoke(app, [str(each) for each in arguments])


def transcript(done):
    return re.search(r"^transcript ([0-9a-f]{64})$", done.stdout, re.MULTILINE)[1]


def staged(**changes):
    shape = {"scheme": "masks", "gateways": 6, "coordinates": 5, "dropout": 0.0, "seed": 0}
    return of_figures(**{**shape, **NETWORK, **changes})


# -- run and replay --------------------------------------------------------------------------------


def test_a_small_run_has_a_timeline():
    done = invoke("run", "--gateways", 5, "--dropout", 0.2, "--seed", 2)
    lines = done.stdout.splitlines()

    assert 0 == done.exit_code, done.output
    assert "masks, 5 gateways, 1,000 coordinates, seed 2, 10 s to answer" == lines[0]
    assert re.match(r"round 1: sum of (g\d(, )?){4}$", lines[1])
    assert ["orchestrator", "g0", "g1", "g2", "g3", "g4"] == [
        line.split()[0] for line in lines[3:9]
    ]
    assert "\x1b" not in done.output


def test_same_seed_same_transcript():
    arguments = ("run", "--gateways", 4, "--dimension", 10, "--latency", 0.1)
    first, again, other = (invoke(*arguments, "--seed", seed) for seed in (1, 1, 2))

    assert first.output == again.output
    assert transcript(first) != transcript(other)


def test_a_run_can_be_played_again_from_its_file(tmp_path):
    done = invoke("run", "--scheme", "lattice", "--loss", 0.05, "--seed", 8, "--output", tmp_path)
    again = invoke("replay", tmp_path / "scenario.json")

    assert {"report.html", "scenario.json", "timeline-1.svg"} == {
        each.name for each in tmp_path.iterdir()
    }
    assert f"written to {tmp_path}: report.html, timeline-1.svg, scenario.json" in done.stdout
    assert transcript(done) == transcript(again)


def test_a_schedule_of_a_sweep_can_be_played_again():
    done = invoke("replay", 5)

    assert 0 == done.exit_code, done.output
    assert world.run(draw(5)).transcript == transcript(done)


def test_many_gateways_are_measured_beside_a_round_in_the_clear():
    done, again = (invoke("run", "--gateways", 14, "--dimension", 20) for _ in range(2))

    assert 0 == done.exit_code, done.output
    assert re.search(r"^masks +\d", done.stdout, re.MULTILINE)
    assert re.search(r"^in the clear, float32 +\d", done.stdout, re.MULTILINE)
    assert transcript(done) == transcript(again)


def test_shards_of_a_round_give_the_same_sum():
    arguments = ("run", "--gateways", 4, "--dimension", 2**16 + 3)
    sums = [
        re.search(r"\bsum ([0-9a-f]{16})", invoke(*arguments, "--shards", shards).stdout)[1]
        for shards in (1, 2)
    ]

    assert sums[0] == sums[1]
    assert "use 1 to" in invoke(*arguments, "--shards", 10_000).stderr


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="ray is installed")
def test_a_missing_cluster_is_said_in_one_line():
    done = invoke("run", "--gateways", 4, "--ray")

    assert 2 == done.exit_code
    assert "take Ray: pip install" in done.stderr


def test_what_must_never_happen_ends_with_exit_code_1(monkeypatch):
    real = world.run

    def broken(scenario):
        done = real(scenario)
        wrong = (replace(each, violation="a wrong sum") for each in done.verdicts)
        return replace(done, verdicts=tuple(wrong))

    monkeypatch.setattr(world, "run", broken)
    done = invoke("run", "--gateways", 3)

    assert 1 == done.exit_code
    assert "VIOLATION: a wrong sum" in done.stdout


def test_the_stage_keeps_to_its_figures():
    scenario = staged(gateways=12, dropout=0.25, loss=0.5, latency=0.2)
    gone = [plan for plan in scenario.plans.values() if plan.vanish is not None]

    assert 3 == len(gone)
    assert {0.5} == {link.loss for link in scenario.links.values()}
    assert all(0.1 <= link.latency <= 0.3 for link in scenario.links.values())
    assert Scenario.loads(scenario.dumps()) == scenario


@pytest.mark.parametrize("trace", ["diurnal", "charging", "churn"])
def test_a_day_of_absences_passes_in_a_run(trace):
    scenario = staged(trace=trace, rounds=2)
    times = [time for plan in scenario.plans.values() for pair in plan.away for time in pair]

    assert times
    assert 20.0 >= max(times) > 1.0


# -- sweep -----------------------------------------------------------------------------------------


def test_a_sweep_prints_figures_and_exits_with_0():
    done = invoke("sweep", 5, "--seed", 40)

    assert 0 == done.exit_code, done.output
    assert re.search(
        r"^5 schedules, 0 violations, [\d.]+ s, \d+ a second$", done.stdout, re.MULTILINE
    )
    assert "protocol_sim replay" not in done.stdout


def test_a_sweep_names_the_command_that_plays_a_violation_again(monkeypatch):
    real = sweeping.run

    def broken(scenario):
        if scenario.seed == 41:
            raise ValueError("no sum")
        return real(scenario)

    monkeypatch.setattr(sweeping, "run", broken)
    done = invoke("sweep", 3, "--seed", 40)

    assert 1 == done.exit_code
    assert "3 schedules, 1 violations" in done.stdout
    assert "seed 41: ValueError in broken" in done.stdout
    assert "\n  protocol_sim replay 41\n" in done.stdout


@pytest.mark.parametrize(("violations", "code"), [((), 0), ((((0, 0), "no sum"),), 1)])
def test_a_sweep_with_a_page_looks_at_rates_too(tmp_path, monkeypatch, violations, code):
    rate = Rate("masks", 8, 0.1, 2, 1, 1, violations)
    monkeypatch.setattr(dropouts, "measure", lambda *_, **__: [rate])
    done = invoke("sweep", 2, "--output", tmp_path)

    assert code == done.exit_code, done.output
    assert "dropout.svg" in done.stdout
    assert (tmp_path / "report.html").exists()


def test_a_bar_moves_in_a_terminal_and_is_silent_elsewhere():
    said = []
    for forced in (True, False):
        screen = Console(file=io.StringIO(), width=80, force_terminal=forced)
        with console.progress(screen, "schedules", 2) as advance:
            advance(1, "0 violations")
        said.append(screen.file.getvalue())

    assert "schedules" in said[0]
    assert "1/2" in said[0]
    assert "" == said[1].strip()


# -- attack ----------------------------------------------------------------------------------------


def test_one_attack_against_every_scheme_that_has_the_phase(tmp_path):
    done = invoke("attack", "--name", "left out", "--phase", "answer", "--output", tmp_path)

    assert 0 == done.exit_code, done.output
    assert 2 == len(re.findall(r"^ left out .*SelfMissing", done.stdout, re.MULTILINE))
    assert "not as they must be, 0 secret bytes released" in done.stdout
    assert {"report.html"} == {each.name for each in tmp_path.iterdir()}


def test_one_cell():
    done = invoke("attack", "--name", "thinned", "--scheme", "masks", "--phase", "consistency")

    assert 0 == done.exit_code, done.output
    assert "1 cells, 0 not as they must be" in done.stdout
    assert re.search(r"^ thinned +BelowFloor *$", done.stdout, re.MULTILINE)


def test_a_cell_that_is_not_as_it_must_be_is_named(monkeypatch):
    real = attacks.matrix

    def broken(*arguments, **options):
        cells = real(*arguments, **options)
        return [type(cell)(**{**_fields(cell), "expected": "sum"}) for cell in cells]

    monkeypatch.setattr(attacks, "matrix", broken)
    done = invoke("attack", "--name", "thinned", "--scheme", "masks", "--phase", "consistency")

    assert 1 == done.exit_code
    assert "BelowFloor instead of sum" in done.stdout
    assert (
        "  protocol_sim attack --name 'thinned' --scheme masks --phase consistency --seed 0\n"
        in done.stdout
    )


def _fields(cell):
    return {name: getattr(cell, name) for name in cell.__dataclass_fields__}


# -- papers ----------------------------------------------------------------------------------------


def test_papers_prints_every_table(tmp_path):
    done = invoke("papers", "--output", tmp_path)

    assert 0 == done.exit_code, done.output
    assert re.search(r"^1,024 +1,048,576 .* 1\.73 ", done.stdout, re.MULTILINE)
    assert re.search(r"^masks .*sessions$", done.stdout, re.MULTILINE)
    assert (tmp_path / "report.html").exists()


# -- help and errors -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name):
    done = invoke(name, "--help")

    assert 0 == done.exit_code
    assert name in invoke("--help").output
    options = re.findall(
        r"^│ (?:\*  +)?--?[a-z-]+ +(?:<\w+>)? +(\S.*?) *│$", done.output, re.MULTILINE
    )
    assert options
    assert all(options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "--scheme", "x"), "scheme is 'x': use one of masks, lattice, ckks"),
        (("run", "--gateways", "2"), "gateways"),
        (("run", "--deadline", "0"), "deadline"),
        (("run", "--dropout", "0.9"), "may vanish"),
        (("run", "--dropout", "nan"), "dropout is nan: use a share"),
        (("run", "--gateways", "20", "--dropout", "inf"), "dropout is inf: use a share"),
        (("run", "--gateways", "20", "--dimension", "0"), "0 is not in the range x>=1"),
        (("run", "--latency", "nan"), "latency nan, "),
        (("run", "--trace", "x"), "trace is 'x': use diurnal, charging, churn"),
        (("run", "--gateways", "20", "--loss", "0.1"), "--loss and --trace"),
        (("run", "--gateways", "3000"), "--cost-model says"),
        (("run", "--bogus"), "--bogus"),
        (("sweep", "0"), "0 is not in the range x>=1"),
        (("attack", "--name", "x"), "name is 'x': use own set"),
        (("attack", "--scheme", "masks", "--phase", "upload"), "phases are advertise_keys"),
        (("replay", "-1"), "No such option"),
        (("replay", "foo"), "no schedule 'foo' (No such file or directory): give a seed or a"),
        (("replay", "."), "no schedule '.' (Is a directory): give a seed"),
        (("replay", sys.executable), "(not text): give a seed"),
        (("bogus",), "No such command 'bogus'"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(arguments, message):
    done = invoke(*arguments)

    assert 2 == done.exit_code
    assert "" == done.stdout
    assert re.match(r"error: .*\n$", done.stderr)
    assert message in done.stderr


def test_a_file_that_is_no_scenario_is_refused(tmp_path):
    (tmp_path / "scenario.json").write_text('{"scheme": 3}')

    assert "no scenario" in invoke("replay", tmp_path / "scenario.json").stderr


def test_a_place_that_cannot_hold_a_report_is_refused_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(command_runs, "scenario", lambda *_: pytest.fail("too late"))
    done = invoke("run", "--output", tmp_path / "file")

    assert 2 == done.exit_code
    assert "name a directory" in done.stderr


def test_an_interrupted_run_ends_like_one(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(command_runs, "scenario", interrupted)
    done = invoke("run")

    assert 128 + signal.SIGINT == done.exit_code
    assert "interrupted\n" == done.stderr
