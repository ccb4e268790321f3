"""Pages: whole by themselves, well formed, true to what was played."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol_sim import report
from protocol_sim.attacks import Cell
from protocol_sim.dropouts import Rate
from protocol_sim.model import costs
from protocol_sim.model.costs import Compared, Cost, Model
from protocol_sim.model.measuring import Figures, figures
from protocol_sim.scenario import Scenario
from protocol_sim.scenarios import draw
from protocol_sim.sweep import Tally, sweep
from protocol_sim.world import run
from secagg.errors import ConfigurationError
from secagg.pages.tables import Section, Table
from tests.reading import Page

HOSTILE = '<script>alert("x")</script>'


@pytest.fixture(scope="module")
def played():
    return run(Scenario(gateways=4, rounds=2, seed=3))


@pytest.fixture(scope="module")
def tally():
    return sweep(6)


def cell(**changes):
    fields = {
        "attack": "own set",
        "scheme": "masks",
        "phase": "masked_input",
        "outcome": "HeaderMismatch, BelowThreshold",
        "expected": "HeaderMismatch, BelowThreshold",
        "noticed": "consistency",
        "released": 0,
        "protected": 64,
        "verdicts": ("sum",),
        "violation": "",
    }
    return Cell(**{**fields, **changes})


RATES = (Rate("masks", 8, 0.1, 20, 19, 18, ()), Rate("masks", 8, 0.2, 20, 12, 11, ()))


@pytest.fixture(scope="module")
def model():
    cost = Cost(server=0.1, gateway=0.01, up=1e4, down=2e4)
    model = Model("masks", _Units(), _Units())
    lines = (costs.curve(model, 100, gateways=(100, 1000, 10**6)),)
    return costs.Report(model, 100, 0.05, (Compared(100, cost, cost),), lines)


class _Units(dict):
    def __missing__(self, name):
        return 1e-6

    def __contains__(self, name):
        return True


@pytest.fixture(scope="module")
def pages(played, tally, model):
    measured = figures(14, 50, 0.1, "lattice", 1, cost_model=False)
    return {
        "session": report.session(played),
        "large": report.large(measured),
        "model": report.large(Figures(None, model)),
        "attacks": report.attacks(
            [cell(), cell(scheme="ckks", phase="upload", outcome="sum", expected="sum")]
        ),
        "swept": report.swept(tally, 0, 1.5, RATES),
        "papers": report.papers(
            [Section("One", "A word.", Table("Of it", ("a", "b"), [("x", 1)]))]
        ),
    }


def test_every_picture_is_a_file_too(pages):
    for files in pages.values():
        svgs = [name for name in files if name.endswith(".svg")]

        assert len(svgs) == Page(files["report.html"]).tags.count("svg")
        assert all(files[name].startswith(b"<svg ") for name in svgs)


def test_equal_runs_leave_equal_files(played, pages):
    assert pages["session"] == report.session(run(played.scenario))


def test_a_session_says_how_it_ended_and_how_to_play_it_again(played, pages):
    files = pages["session"]
    text = Page(files["report.html"]).text

    assert "masks: 4 gateways, 2 rounds" in text
    assert "protocol_sim replay scenario.json" in text
    assert played.transcript in text
    assert played.scenario == Scenario.loads(files["scenario.json"].decode())
    assert {"timeline-1.svg", "timeline-2.svg"} < set(files)


def test_a_violation_cannot_be_overlooked(played):
    broken = replace(played.verdicts[0], violation=f"off by 3 units {HOSTILE}")
    page = Page(report.session(replace(played, verdicts=(broken, broken)))["report.html"])

    assert f"off by 3 units {HOSTILE}" in page.text
    assert 'class="bad">sum<' in page.html


def test_dropped_gateways_are_listed():
    done = next(each for each in map(run, map(draw, range(20))) if each.verdicts[-1].dropped)
    text = Page(report.session(done)["report.html"]).text
    dropped = done.verdicts[-1].dropped

    assert all(
        name in text and reason.lower().replace("_", " ") in text
        for name, (_, reason) in dropped.items()
    )


def test_a_large_round_stands_beside_one_in_the_clear(pages):
    text = Page(pages["large"]["report.html"]).text

    assert "lattice: 14 gateways, 50 coordinates" in text
    assert "exact sum" in text
    assert "in the clear" in text


def test_the_model_draws_costs_against_gateways_and_dropout(pages):
    assert {"server.svg", "gateway.svg", "up.svg", "down.svg", "server-dropout.svg"} < set(
        pages["model"]
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"released": 32}, "32 B"),
        ({"violation": "two sums of one round"}, "two sums of one round"),
        ({"outcome": "sum"}, "expected HeaderMismatch"),
    ],
)
def test_a_cell_that_is_not_fine_is_told(changes, said):
    page = Page(report.attacks([cell(), cell(phase="unmasking", **changes)])["report.html"])

    assert said in page.text
    assert "1 of 2 NOT as they must be" in page.text
    assert 1 == page.html.count('<td class="broken">')


def test_a_matrix_says_what_is_good(pages):
    page = Page(pages["attacks"]["report.html"])

    assert "all 2 as they must be" in page.text
    assert "none as it must be" in page.text
    assert "own set Header Mismatch" in page.text
    assert "own set sum" in page.text
    assert "unmasking" not in page.text


def test_what_a_attack_does_is_explained(pages):
    from protocol_sim.attacks import attack_of

    assert attack_of("own set").sentence in Page(pages["attacks"]["report.html"]).text


def test_a_sweep_names_the_command_for_each_violation(tally):
    broken = Tally(tally.played, tally.outcomes, tally.drops, [(4, f"off {HOSTILE}")])
    rate = replace(RATES[0], violations=(((0, 7), "BelowThreshold although 1 of 8 vanished"),))
    text = Page(report.swept(broken, 0, 1.5, (rate, RATES[1]))["report.html"]).text

    assert f"off {HOSTILE}" in text
    assert "protocol_sim replay 4" in text
    assert "dropouts.play('masks', 8, 0.1, (0, 7))" in text
    assert "Violations 2 of what must never happen" in text


def test_a_sweep_without_violations_says_so(tally, pages):
    text = Page(pages["swept"]["report.html"]).text

    assert not tally.violations
    assert "Violations none as it must be" in text
    assert "Play it again" not in text


# -- the figures behind a large round --------------------------------------------------------------


@pytest.mark.parametrize(
    ("gateways", "cost_model", "message"),
    [(2049, False, "--cost-model says"), (10**6 + 1, True, "ends at 1,000,000")],
)
def test_no_more_gateways_than_can_be_told(gateways, cost_model, message):
    with pytest.raises(ConfigurationError, match=message):
        figures(gateways, 10, 0.0, "masks", 0, cost_model=cost_model)
