from __future__ import annotations

import json
import sys
import time
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from fedavg import cli, experiment, report
from fedavg.commands import app
from fedavg.experiment import Settings, absences, check
from fedavg.plain import PHASES
from secagg.errors import ConfigurationError

QUICK = ["run", "--task", "threshold", "--gateways", "6", "--rounds", "2"]


def _invoke(*arguments):
    return CliRunner().invoke(app, [str(each) for each in arguments])


def _numbers(done):
    return [
        (each.accuracy, each.included, each.vanished, each.error_bound) for each in done.rounds
    ], done.comparison


def test_a_run_prints_rounds_and_writes_a_report(tmp_path):
    done = _invoke(*QUICK, "--vanish", 2, "--output", tmp_path / "deep" / "er")
    written = json.loads((tmp_path / "deep" / "er" / "report.json").read_text())
    lines = done.output.splitlines()

    assert 0 == done.exit_code, done.output
    assert ["report.json"] == [path.name for path in (tmp_path / "deep" / "er").iterdir()]
    assert "\x1b" not in done.output
    assert ["round", "alive"] == lines[0].split()[:2]
    assert [["1", "4"], ["2", "4"]] == [line.split()[:2] for line in lines[1:3]]
    assert "every round within its bound" in done.output
    assert {"settings", "rounds", "comparison", "seconds"} == set(written)
    assert "threshold" == written["settings"]["task"]
    assert [1, 2] == [each["number"] for each in written["rounds"]]
    for each, line in zip(written["rounds"], lines[1:3], strict=True):
        assert f"{each['accuracy']:.3f}" == line.split()[3]
        for name, (phase, _) in each["vanished"].items():
            assert f"{name} in {phase}" in line
    assert written["comparison"]["within_bounds"] is True


def test_plain_runs_too():
    done = _invoke(*QUICK, "--scheme", "plain", "--vanish", 1)

    assert 0 == done.exit_code, done.output
    assert "whoever aggregates sees every update" in done.output


def test_equal_settings_give_equal_numbers():
    settings = Settings(task="threshold", gateways=5, rounds=2, vanish=1, seed=7)
    first, same, other = (
        experiment.run(each, clock=time.perf_counter)
        for each in (settings, settings, replace(settings, seed=8))
    )

    assert _numbers(first) == _numbers(same)
    assert _numbers(first) != _numbers(other)


def test_absences_are_drawn_from_the_seed():
    names = [f"g{number}" for number in range(10)]
    drawn = [absences(Settings(vanish=3), names, number) for number in range(1, 101)]

    assert drawn == [absences(Settings(vanish=3), names, number) for number in range(1, 101)]
    assert drawn[0] != absences(Settings(vanish=3, seed=1), names, 1)
    assert {3} == {len(each) for each in drawn}
    assert set(names) == {name for each in drawn for name in each}
    assert set(PHASES) == {phase for each in drawn for phase in each.values()}


def test_tasks_are_listed():
    done = _invoke("tasks")

    assert 0 == done.exit_code
    assert ["threshold", "digits", "digits-cnn"] == [
        line.split()[0] for line in done.output.splitlines()
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--task", "chess"], "use threshold, digits, digits-cnn"),
        (["--scheme", "hope"], "use masks or plain"),
        (["--gateways", "0"], "takes 1 to 100"),
        (["--gateways", "2"], "3 or more"),
        (["--gateways", "65"], "64"),
        (["--rounds", "0"], "takes 1 to 10000"),
        (["--vanish", "4"], "use 0 to 3"),
        (["--vanish", "-1"], "use 0 to 3"),
        (["--gateways", "3", "--vanish", "1"], "use 0 to 0"),
        (["--scheme", "plain", "--vanish", "10"], "use 0 to 9"),
        (["--max-colluding", "9"], "Nearest"),
        (["--max-dropouts", "8"], "Nearest"),
        (["--clip", "-1"], "clip"),
        (["--clip", "0.001"], "use a larger clip"),
    ],
)
def test_bad_input_is_one_clear_line(arguments, said, tmp_path):
    place = tmp_path / "results"
    done = _invoke("run", "--rounds", 1, *arguments, "--output", place)

    assert 2 == done.exit_code, done.output
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert 1 == done.stderr.count("\n")
    assert "" == done.stdout
    assert not place.exists()


@pytest.mark.parametrize("tail", ["", "below"])
def test_a_file_in_the_way_is_found_before_the_work(tail, tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "run", None)
    (tmp_path / "file").write_text("mine")
    done = _invoke(*QUICK, "--output", tmp_path / "file" / tail)

    assert 2 == done.exit_code
    assert "is a file: name a directory" in done.stderr
    assert "mine" == (tmp_path / "file").read_text()


def test_an_interrupted_report_leaves_the_old_one(tmp_path, monkeypatch):
    (tmp_path / "report.json").write_text("old")

    def full(_):
        raise OSError("disk full")

    monkeypatch.setattr(report.os, "fsync", full)
    done = _invoke(*QUICK, "--output", tmp_path)

    assert 1 == done.exit_code
    assert "error: disk full" in done.stderr
    assert ["report.json"] == [path.name for path in tmp_path.iterdir()]
    assert "old" == (tmp_path / "report.json").read_text()


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "typer", None)
    monkeypatch.delitem(sys.modules, "fedavg.commands")
    with pytest.raises(SystemExit) as left:
        cli.main()

    assert "error: typer is not installed: pip install 'secagg[fedavg]'" == left.value.code


def test_check_accepts_the_defaults():
    check(Settings())
    with pytest.raises(ConfigurationError):
        check(Settings(rounds=10_001))
