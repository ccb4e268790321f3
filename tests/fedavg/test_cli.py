from __future__ import annotations

import inspect
import json
import re
import signal
import subprocess
import sys

import pytest
from markupsafe import escape

from fedavg import experiment
from fedavg.gateway import Gateway
from fedavg.options import read_overrides, with_settings
from fedavg.phases import PHASES
from fedavg.rules import (
    CLIPPING,
    LOSSES,
    MAX_BATCH,
    MAX_RATE,
    MAX_ROUNDS,
    MAX_SEED,
    MAX_STEPS,
    OPTIMISERS,
    OVERRIDABLE,
    SCHEMES,
    SERVER_OPTIMISERS,
    SPLITS,
)
from fedavg.settings import HELP, Settings, absences
from fedavg.tasks import TASKS
from secagg.errors import ConfigurationError
from tests.fedavg.runs import invoke

OPTIONS = ["--override" if name == "overrides" else "--" + name.replace("_", "-") for name in HELP]
TINY = ["--task", "threshold", "--gateways", "4", "--rounds", "1"]
QUICK = ["run", "--task", "threshold", "--gateways", "6", "--rounds", "2"]


def test_without_a_terminal_a_run_prints_a_line_a_round():
    done = invoke(*QUICK, "--vanish", 1)
    lines = done.output.splitlines()

    assert 0 == done.exit_code, done.output
    assert "\x1b" not in done.output
    assert "round  alive  in mean  accuracy  MB up" in lines[0]
    assert [["1", "5"], ["2", "5"]] == [line.split()[:2] for line in lines[1:3]]
    assert all("(silent)" in line for line in lines[1:3])
    assert "Every mean lay within its stated bound" in done.output
    assert "Privacy begins where each gateway runs its own session" in done.output


@pytest.mark.parametrize(
    ("scheme", "said", "exact"),
    [
        ("plain", "whoever aggregates sees every update", False),
        ("lattice", r"Protected by lattice: Q = 2\^32", True),
        ("ckks", "Protected by ckks: ", False),
    ],
)
def test_a_scheme_its_exactness_and_its_bound_are_named(scheme, said, exact):
    done = invoke(*QUICK, "--scheme", scheme, "--vanish", 1)
    bound = r"Every mean lay within its stated bound: off by \S+ at worst, where \S+ was stated"

    assert (0, "") == (done.exit_code, done.stderr), done.output
    assert re.search(said, done.output)
    assert exact == ("the opened sum is exact" in done.output)
    assert (scheme != "plain") == bool(re.search(bound, done.output))


@pytest.mark.parametrize(
    ("command", "file"),
    [
        (("run", *TINY), "report.json"),
        (("compare", *TINY, "--schemes", "masks,plain"), "compare.json"),
    ],
)
def test_a_program_reads_json_and_quiet_is_quiet(command, file, tmp_path):
    loud = invoke(*command, "--json", "--output", tmp_path)
    quiet = invoke(*command, "--quiet")

    assert (tmp_path / file).read_text() == loud.stdout
    assert (0, "", "") == (quiet.exit_code, quiet.stdout, quiet.stderr)


def test_what_is_cut_off_is_counted():
    clip = ("--clip", 0.02, "--clipping", "saturate")
    done = invoke("run", *TINY, *clip)
    either = invoke("compare", *TINY, *clip, "--schemes", "masks,plain")

    assert (0, 0) == (done.exit_code, either.exit_code), done.output + either.output
    assert int(done.stdout.splitlines()[1].split()[8]) > 100
    assert "No mean had a bound, for coordinates were cut off" in done.stdout


def test_auto_says_what_it_chose_and_why():
    done = invoke(*QUICK, "--scheme", "auto")

    assert 0 == done.exit_code, done.output
    assert done.stderr.startswith("note: Masks: 12 keystreams for 6 gateways")
    assert "Protected by masks" in done.stdout
    assert "Chosen by auto. Masks: 12 keystreams for 6 gateways" in done.stdout


def test_absences_are_drawn_from_the_seed():
    names = [f"g{number}" for number in range(10)]
    drawn = [absences(Settings(vanish=3), names, number) for number in range(1, 101)]

    assert drawn == [absences(Settings(vanish=3), names, number) for number in range(1, 101)]
    assert drawn[0] != absences(Settings(vanish=3, seed=1), names, 1)
    assert {3} == {len(each) for each in drawn}
    assert set(names) == {name for each in drawn for name in each}
    assert set(PHASES) == {phase for each in drawn for phase in each.values()}


def test_tasks_are_listed():
    done = invoke("tasks")
    lines = done.output.splitlines()

    assert 0 == done.exit_code
    assert [*TASKS] == [line.split()[0] for line in lines[::2]]
    assert (
        "gateways 3 (at most 30); loss cross-entropy, bce, mse; split iid, dirichlet; reads files"
        in lines[-1]
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--task", "chess"], f"use {', '.join(TASKS)}"),
        (["--rate", "nan"], "above 0"),
        (["--server-rate", "-1"], "above 0"),
        (["--sample", "4"], "draw 5 or more"),
        (["--override", "g01"], "GATEWAY:NAME=VALUE"),
        (["--override", "g01:speed=3"], "rate, steps, batch, momentum, optimiser"),
        (["--override", "g99:rate=1"], "g01 to g10"),
        (["--data", "/nowhere"], "reads no files"),
        (["--rounds", "many"], "Invalid value for '--rounds'"),
        (["--scheme", "hope"], f"use one of {', '.join(SCHEMES)}"),
        (["--gateways", "101"], "takes 1 to 100"),
        (["--vanish", "4"], "use 0 to 3"),
        (["--max-colluding", "9"], "Nearest"),
        (["--clip", "0.001"], "a clip that fits"),
    ],
)
def test_bad_input_is_one_clear_line(arguments, said, tmp_path):
    place = tmp_path / "results"
    done = invoke("run", "--rounds", 1, *arguments, "--output", place)

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
    done = invoke(*QUICK, "--output", tmp_path / "file" / tail)

    assert 2 == done.exit_code
    assert "is a file: name a directory" in done.stderr
    assert "mine" == (tmp_path / "file").read_text()


def test_an_interrupted_run_keeps_what_is_known(tmp_path, monkeypatch):
    """Ctrl-C in the second round: the first is in the history, with its audit record."""
    train, rounds = Gateway.train, []

    def interrupted(self, state, number):
        rounds.append(number)
        if number == 2:
            raise KeyboardInterrupt
        return train(self, state, number)

    monkeypatch.setattr(Gateway, "train", interrupted)
    done = invoke(*QUICK, "--output", tmp_path / "out")

    assert 130 == done.exit_code
    assert [1] == [
        json.loads(line)["number"]
        for line in (tmp_path / "out" / "history.jsonl").read_text().splitlines()
    ]
    assert (tmp_path / "out" / "audit" / "round-0001.json").exists()


def test_ctrl_c_ends_a_real_process_with_whole_lines(tmp_path):
    command = [sys.executable, "-m", "fedavg", "run", "--task", "threshold", "--gateways", "3"]
    process = subprocess.Popen(
        [*command, "--rounds", "10000", "--output", tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a suite that runs in the background ignores Ctrl-C, and its children inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    heading, first = process.stdout.readline(), process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    history = (tmp_path / "history.jsonl").read_text()
    numbers = [json.loads(line)["number"] for line in history.splitlines()]

    assert heading.startswith("round  alive")
    assert first.split()[:3] == ["1", "3", "3"]
    assert 130 == process.returncode
    assert "Traceback" not in complaint
    assert f"rounds that ended are in {tmp_path}\ninterrupted\n" in complaint
    assert list(range(1, len(numbers) + 1)) == numbers
    assert history.endswith("\n")
    assert {"history.jsonl", "audit"} == {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("command", [(), ("run",), ("compare",), ("tasks",)])
def test_help_explains_itself(command):
    done = invoke(*command, "--help")

    assert 0 == done.exit_code
    assert "Usage" in done.output
    if command in {("run",), ("compare",)}:
        for option in OPTIONS:
            assert option in done.output


def test_defaults_of_the_options_are_those_of_the_settings():
    given = []
    command = with_settings(given.append)
    options = inspect.signature(command).parameters.values()
    command(**{each.name: each.default for each in options})

    assert [Settings()] == given


@pytest.mark.parametrize(
    ("option", "allowed"),
    [
        ("task", TASKS),
        ("loss", LOSSES),
        ("optimiser", OPTIMISERS),
        ("split", SPLITS),
        ("server", SERVER_OPTIMISERS),
        ("scheme", SCHEMES),
        ("clipping", CLIPPING),
        ("overrides", OVERRIDABLE),
        ("rounds", [str(MAX_ROUNDS)]),
        ("seed", [str(MAX_SEED)]),
        ("steps", [str(MAX_STEPS)]),
        ("batch", [str(MAX_BATCH)]),
        ("rate", [f"{MAX_RATE:g}"]),
    ],
)
def test_help_names_every_allowed_value(option, allowed):
    said, _ = HELP[option]

    assert [] == [value for value in allowed if not re.search(rf"\b{value}\b", said)]
    assert said.endswith(".")


def test_overrides_add_up():
    given = ["g01:rate=0.05", "g01:steps=3", "g02:optimiser=adam"]

    assert {"g01": {"rate": 0.05, "steps": 3}, "g02": {"optimiser": "adam"}} == (
        read_overrides(given)
    )
    with pytest.raises(ConfigurationError, match="g01 has another rate already"):
        read_overrides(["g01:rate=0.05", "g01:rate=0.1"])


def test_a_mean_that_is_too_coarse_is_told_once_with_its_cure(tmp_path):
    coarse = ("--clip", 10_000, "--output", tmp_path)
    said = r"the rms error is 1\d\.\d% of the mean step in '0\.weight', .*: pass clip=\d+ or "
    done = invoke(*QUICK, *coarse)
    page = (tmp_path / "report.html").read_text()
    [warned] = json.loads((tmp_path / "report.json").read_text())["rounds"][0]["warnings"]
    compared = invoke("compare", *TINY, *coarse, "--schemes", "masks,plain")

    assert (0, 0) == (done.exit_code, compared.exit_code), done.output + compared.output
    assert re.fullmatch(f"warning: {said}.*\n", done.stderr)
    assert f"warning: {warned} (and so 1 of the rounds after it)\n" == done.stderr
    assert f"Warning: {escape(warned)}" in page
    assert re.fullmatch(f"warning: masks: {said}.*\n", compared.stderr)
    assert "masks: the rms error is 1" in (tmp_path / "compare.html").read_text()


def test_three_gateways_are_warned():
    done = invoke("run", "--task", "threshold", "--gateways", 3, "--rounds", 1)

    assert 0 == done.exit_code
    assert done.stderr.startswith("note: Three gateways survive no dropout")
