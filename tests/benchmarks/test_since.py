"""The comparison with an earlier commit."""

from __future__ import annotations

import pytest

from benchmarks.rounds import Case
from benchmarks.since import HERE, HIDDEN, LINES, Compared, Side, played, shown, started

CASE = Case(4, 3_000, 1, repeats=1)
NOW, THEN = Side("now"), Side("then")


def test_a_process_plays_rounds_of_its_tree():
    with started(HERE, hidden=True) as worker:
        whole = played(worker, CASE, 1, based=False)
        with_base = [played(worker, CASE, 2, based=True) for _ in range(2)][-1]

    assert whole["server"] == whole["server set-up"] + whole["server after set-up"] < whole["round"]
    assert with_base["gateway"] == with_base["gateway upload"] + with_base["model hash"]
    assert "OPENSSL_ia32cap" in HIDDEN


def test_a_process_that_ends_is_named(tmp_path):
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks/__init__.py").write_text("raise SystemExit")
    with pytest.raises(SystemExit, match="has ended"), started(tmp_path, hidden=False) as worker:
        played(worker, CASE, 1, based=False)


@pytest.mark.parametrize(
    ("against", "then", "now"),
    [("plain", 6, 3), ("then", 1, 0.5), ("ns", 4e9 / 3_000, 2e9 / 3_000)],
)
def test_a_figure_is_a_ratio_of_one_run(against, then, now):
    line = Compared("server", CASE, "server", against, (now, now / 2))
    seconds = {
        (side, threads): {"server": spent, "plain": spent / ratio}
        for threads in (1, 2)
        for side, spent, ratio in ((THEN, 4.0, 4), (NOW, 2.0, 3))
    }
    text, record = shown(line, seconds)

    assert {"then": then, "now": pytest.approx(now), "at_most": now} == record["1 threads"]
    assert 1 == text.count("!")


def test_hidden_is_held_against_not_hidden_of_the_same_tree():
    line = next(line for line in LINES if line.against == "open")
    seconds = {(Side("now", hidden), 1): {"round": 3.0 if hidden else 2.0} for hidden in (0, 1)}

    assert [(tree, hidden) for hidden in (False, True) for tree in ("then", "now")] == line.sides
    assert 1.5 == line.value(seconds, "now", 1)
