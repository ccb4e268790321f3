from __future__ import annotations

from pathlib import Path

from examples import network
from tests.command_lines import start


def test_a_round_over_processes_outlives_the_death_of_one():
    done = start("examples.network", folder=Path(network.__file__).parents[1])

    assert (0, "") == (done.returncode, done.stderr)
    assert "g3 in masked_input (vanished)\n" in done.stdout
    assert "[0.1 0.1 0.1] of ('g0', 'g1', 'g2')\n" in done.stdout


def test_it_is_read_at_a_glance():
    assert len(Path(network.__file__).read_text(encoding="utf-8").splitlines()) <= 70
