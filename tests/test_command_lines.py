"""What the three command lines do alike: version, completion, help, and what an extra lacks."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

import pytest
from typer.testing import CliRunner

from secagg import __version__
from tests.command_lines import start

PROGRAMS = ("secagg", "fedavg", "protocol_sim")


@pytest.mark.parametrize(
    "module", [*PROGRAMS, "secagg.cli", "fedavg.commands", "protocol_sim.commands"]
)
def test_a_version_is_told(module):
    done = start(module, "--version")
    program = module.partition(".")[0]

    assert (0, f"{program} {__version__}\n", "") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_shell_learns_to_complete(program):
    # otherwise typer asks which shell its parent is
    done = start(
        program, "--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1"
    )

    assert (0, "") == (done.returncode, done.stderr)
    assert f"_{program.upper()}_COMPLETE=complete_bash" in done.stdout
    assert done.stdout.rstrip().endswith(f" {program}")


def test_a_shell_completes():
    words = {"COMP_WORDS": "secagg --ver", "COMP_CWORD": "1"}

    assert "--version\n" == start("secagg", _SECAGG_COMPLETE="complete_bash", **words).stdout


@pytest.mark.parametrize("module", ["secagg.cli", "fedavg.commands", "protocol_sim.commands"])
def test_no_command_is_a_question_for_help(module):
    bare, asked, wrong = (
        CliRunner().invoke(import_module(module).app, each) for each in ([], ["--help"], ["walk"])
    )

    assert (0, asked.output) == (bare.exit_code, bare.output)
    assert "Usage: " in bare.output
    assert (2, "error: No such command 'walk'.\n") == (wrong.exit_code, wrong.stderr)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_what_the_system_refuses_is_said_in_words():
    with Path("/dev/full").open("w") as full:
        done = start("secagg", "plan", "--gateways", 3, "--coordinates", 1, out=full)

    assert (1, "error: No space left on device\n") == (done.returncode, done.stderr)


def test_a_reader_that_leaves_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    done = start("secagg", "plan", "--gateways", 3, "--coordinates", 1, out=writing)
    os.close(writing)

    assert (1, "") == (done.returncode, done.stderr)


def test_a_command_has_no_version_of_its_own():
    done = start("fedavg", "run", "--version")

    assert (2, "error: --version stands alone: fedavg --version\n") == (
        done.returncode,
        done.stderr,
    )


@pytest.mark.parametrize(
    ("program", "extra", "missing", "arguments"),
    [
        ("secagg", "cli", "typer", ()),
        ("fedavg", "fedavg", "typer", ()),
        ("fedavg", "fedavg", "torch", ("run",)),
        ("protocol_sim", "sim", "typer", ()),
        ("protocol_sim", "sim", "matplotlib", ("run", "--gateways", 3, "--output", "{}")),
    ],
)
def test_a_missing_extra_is_named(program, extra, missing, arguments, tmp_path):
    given = [str(each).format(tmp_path) for each in arguments]
    done = start(program, *given, without=(missing,))
    said = f"error: {missing} is not installed: pip install '.[{extra}]' in a clone of the "

    assert (1, f"{said}repository\n") == (done.returncode, done.stderr)


def test_what_draws_nothing_needs_no_pictures():
    assert 0 == start("protocol_sim", "run", "--gateways", 3, without=("matplotlib",)).returncode


def test_help_needs_no_torch():
    done = start("fedavg", "run", "--help", without=("torch",))

    assert 0 == done.returncode
    assert "--optimiser" in done.stdout
