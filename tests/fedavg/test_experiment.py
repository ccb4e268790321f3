"""Settings to report: who is asked, what is told, what is compared."""

from __future__ import annotations

import time
from dataclasses import fields, replace

import pytest

from fedavg.aggregation import server_optimiser
from fedavg.orchestrator import Orchestrator
from fedavg.phases import BEFORE, PHASES
from fedavg.plain import PlainAverage
from fedavg.prepared import prepare
from fedavg.rules import SERVER_OPTIMISERS
from fedavg.settings import Settings, absences, cohort
from fedavg.tasks import load
from secagg import Completed, Masks, PhaseClosed
from secagg.protocol.audit import verify_record
from secagg.thresholds import derive
from tests.fedavg.runs import NAMES, SAMPLED, report_of


def _plain(settings, server):
    task, clock = load(settings), time.perf_counter
    return Orchestrator(
        task.build(),
        task.gateways,
        task.holdout,
        average=PlainAverage(),
        clock=clock,
        server=server_optimiser(server),
    )


@pytest.fixture(scope="module")
def sampled():
    """A run with a sample, absences and a server that remembers, and what it told meanwhile."""
    told = []
    report = report_of(
        SAMPLED,
        on_round=lambda each: told.append(("round", each)),
        on_event=lambda event: told.append(("event", event)),
        on_record=lambda *record: told.append(("record", record)),
    )
    return report, told


# Who takes part.


def test_a_cohort_is_drawn_from_the_seed():
    settings = Settings(sample=4)
    drawn = [cohort(settings, NAMES, number) for number in range(1, 201)]

    assert drawn == [cohort(settings, NAMES, number) for number in range(1, 201)]
    assert drawn[0] != cohort(replace(settings, seed=1), NAMES, 1)
    assert {4} == {len(set(each)) for each in drawn}
    assert all(list(each) == sorted(each) for each in drawn)
    # 80 of 200 expected, with a standard deviation of 7: fixed draws, far from the tails.
    assert all(50 < sum(name in each for each in drawn) < 110 for name in NAMES)
    assert NAMES == cohort(Settings(), NAMES, 1)


def test_who_vanishes_is_among_the_asked():
    settings = Settings(sample=5, vanish=2)
    for number in range(1, 101):
        asked = cohort(settings, NAMES, number)

        assert set(absences(settings, asked, number)) < set(asked)


def test_rounds_ask_their_cohorts(sampled):
    report, _ = sampled
    names = tuple(f"g{number:02d}" for number in range(1, 10))

    assert [cohort(SAMPLED, names, n) for n in (1, 2, 3)] == [each.asked for each in report.rounds]
    assert len({each.asked for each in report.rounds}) > 1
    for each in report.rounds:
        missing = {n for n, gone in each.dropped.items() if gone.phase in BEFORE}
        assert absences(SAMPLED, each.asked, each.number).keys() == each.dropped.keys()
        assert set(each.asked) - missing == set(each.included)


def test_thresholds_are_of_the_sample_and_its_colluders_of_all(sampled):
    report, _ = sampled

    # C = (9 - 1) // 3 of nine gateways, not (7 - 1) // 3.
    assert derive(7, max_colluding=2) == report.plan.thresholds == prepare(SAMPLED).plan.thresholds
    assert 3 == prepare(Settings(sample=5)).settings.max_colluding
    assert 10 == prepare(Settings(gateways=100, sample=20)).settings.max_colluding
    assert 1 == prepare(Settings(sample=5, max_colluding=1)).settings.max_colluding
    assert Masks().guarantees(report.plan.thresholds) == report.plan.guarantees


def test_thresholds_that_are_asked_for_are_those_of_the_rounds():
    settings = Settings(
        task="threshold", gateways=8, rounds=1, max_colluding=2, max_dropouts=1, vanish=1
    )
    told = []
    report = report_of(settings, on_record=lambda _, record, __: told.append(record.announce))

    assert derive(8, max_colluding=2, max_dropouts=1) == report.plan.thresholds
    assert [report.plan.thresholds] == [each.params.thresholds for each in told]


# What is told.


def test_records_are_under_one_roster(sampled):
    _, told = sampled
    records = [what for kind, what in told if kind == "record"]
    rosters = {roster.hash() for _, _, roster in records}

    assert [1, 2, 3] == [number for number, _, _ in records]
    assert [1, 2, 3] == [record.announce.params.round for _, record, _ in records]
    assert 1 == len(rosters)
    assert 9 == len(records[0][2].members)
    for _, record, roster in records:
        verify_record(record, roster)


def test_events_are_told_before_the_round_ends(sampled):
    _, told = sampled
    ends = [place for place, (kind, _) in enumerate(told) if kind == "round"]
    events = [what for kind, what in told[: ends[0]] if kind == "event"]

    assert list(PHASES) == [each.phase for each in events if isinstance(each, PhaseClosed)]
    assert isinstance(events[-1], Completed)
    assert 3 == sum(isinstance(what, Completed) for _, what in told)
    assert ["record", "round"] == [kind for kind, _ in told[-2:]]


def test_nothing_is_told_of_a_protocol_in_the_clear():
    told = []
    settings = replace(SAMPLED, scheme="plain", sample=4, rounds=1)
    report = report_of(settings, on_event=told.append, on_record=lambda *each: told.append(each))

    assert [] == told
    assert report.plan is None
    assert 4 == len(report.rounds[0].asked)
    assert report.comparison.accuracy == report.comparison.plain_accuracy


# What is compared.


def test_equal_settings_give_equal_numbers(sampled):
    def numbers(report):
        return [replace(each, seconds={}, phases=()) for each in report.rounds], report.comparison

    first, _ = sampled

    assert numbers(first) == numbers(report_of(SAMPLED))
    assert numbers(first) != numbers(report_of(replace(SAMPLED, seed=4)))


def test_the_plain_run_has_the_same_cohorts_and_a_server_of_its_own(sampled):
    report, _ = sampled
    plain = _plain(Settings("threshold", gateways=9, seed=3), "fedyogi")
    for each in report.rounds:
        plain.round(asked=each.included)

    assert tuple(each.accuracy for each in plain.history) == report.comparison.history
    assert report.comparison.history[-1] == report.comparison.plain_accuracy
    assert report.rounds[-1].accuracy == report.comparison.accuracy
    assert report.comparison.accuracy == pytest.approx(report.comparison.plain_accuracy, abs=0.01)
    assert 3 == len(report.comparison.deviations)
    assert report.comparison.within_bounds
    assert all(0 < each.largest for each in report.comparison.deviations)


@pytest.mark.parametrize(
    "settings",
    [
        SAMPLED,
        Settings("digits-cnn", gateways=4, rounds=1, overrides={"g01": {"optimiser": "adam"}}),
    ],
)
def test_a_report_says_what_was_left_open_and_runs_again_from_it(settings):
    report = report_of(settings)
    own = [each.name for each in fields(Settings) if getattr(report.settings, each.name) is None]
    again = report_of(report.settings)

    assert [] == [name for name in own if name not in {"sample", "data", "alpha"}]
    assert report.settings == again.settings
    assert [each.accuracy for each in report.rounds] == [each.accuracy for each in again.rounds]
    assert report.comparison == again.comparison
    assert {"secagg", "python", "numpy", "torch", "scikit-learn"} == report.versions.keys()


# What the settings reach.


def _accuracies(**settings):
    report = report_of(Settings(task="threshold", gateways=4, rounds=2, **settings))
    return [(each.accuracy, each.loss) for each in report.rounds]


def test_every_setting_of_training_arrives():
    usual = _accuracies()
    changes = [
        {"loss": "mse"},
        {"optimiser": "adam"},
        {"rate": 0.05},
        {"steps": 5},
        {"batch": 5},
        {"overrides": {"g02": {"rate": 0.01}}},
        {"server": "fedadam"},
        {"server_rate": 0.5},
    ]

    assert [] == [change for change in changes if usual == _accuracies(**change)]


def test_splits_and_the_number_of_gateways_arrive():
    even = report_of(Settings(task="cancer", rounds=1))
    skewed = report_of(Settings(task="cancer", rounds=1, split="dirichlet", alpha=0.1))

    assert ("g01", "g02", "g03") == even.rounds[0].asked
    assert even.rounds[0].loss != skewed.rounds[0].loss


@pytest.mark.parametrize("server", SERVER_OPTIMISERS)
def test_every_server_learns_the_threshold_securely(server):
    report = report_of(Settings(task="threshold", gateways=5, rounds=5, vanish=1, server=server))

    assert report.comparison.accuracy >= 0.9
    assert report.comparison.within_bounds
    assert report.comparison.accuracy == pytest.approx(report.comparison.plain_accuracy, abs=0.01)


@pytest.mark.parametrize("server", SERVER_OPTIMISERS[1:])
def test_every_server_learns_digits(server):
    orchestrator = _plain(Settings("digits"), server)
    for _ in range(6):
        last = orchestrator.round()

    assert last.accuracy >= 0.9
