"""The two scripts: a loop, and the same loop made secure."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from fedavg import train, train_secure


def test_at_most_five_lines_make_the_loop_secure():
    plain, secure = (Path(m.__file__).read_text().splitlines() for m in (train, train_secure))
    changes = [line[0] for line in difflib.ndiff(plain, secure) if line[0] in "+-"]

    assert 1 <= changes.count("+") <= 5
    assert 1 <= changes.count("-") <= 5


@pytest.mark.parametrize("script", [train, train_secure])
def test_it_runs(script, capsys):
    script.main(rounds=2)
    last = capsys.readouterr().out.splitlines()[-1]

    assert last.startswith("round  2: 0.9")
