"""Runs with the additive schemes: the same gateways, phases of their own, and what is exact."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedavg.phases import BEFORE, PHASES, sides
from fedavg.settings import Settings, absences
from secagg import Lattice, PhaseClosed
from secagg.protocol.audit import verify_record
from secagg.protocol.messages import DropReason
from secagg.session.result import Aggregate
from secagg.thresholds import derive_committee
from tests.fedavg.runs import ADDITIVE, NAMES, SAMPLED, report_of


@pytest.fixture(scope="module")
def masked():
    """A run with masks."""
    return report_of(SAMPLED)


@pytest.fixture(scope="module", params=ADDITIVE)
def encrypted(request):
    """The same run with an additive scheme, and what it told meanwhile."""
    told = []
    report = report_of(
        replace(SAMPLED, scheme=request.param),
        on_event=lambda event: told.append(("event", event)),
        on_record=lambda *record: told.append(("record", record)),
    )
    return report, told


def test_additive_schemes_take_the_same_gateways_into_the_mean(masked, encrypted):
    report, _ = encrypted
    pairs = list(zip(masked.rounds, report.rounds, strict=True))

    assert all(one.asked == other.asked for one, other in pairs)
    assert all(one.included == other.included for one, other in pairs)
    assert all(one.dropped.keys() == other.dropped.keys() for one, other in pairs)
    assert masked.comparison.history == report.comparison.history
    assert masked.comparison.accuracy == pytest.approx(report.comparison.accuracy, abs=0.01)
    assert report.comparison.within_bounds
    assert derive_committee(7, max_colluding=2) == report.plan.thresholds


def test_a_scheme_is_said_to_be_exact_where_it_is(masked, encrypted):
    report, _ = encrypted
    scheme, plan = report.settings.scheme, report.plan

    assert ("masks", "", True) == (masked.scheme, masked.plan.reason, masked.plan.exact)
    assert (scheme, "", scheme == "lattice") == (plan.scheme, plan.reason, plan.exact)
    assert plan.exact == ("the opened sum is exact" in plan.layout)
    assert max(each.error_bound for each in report.rounds) < min(
        each.error_bound for each in masked.rounds
    )


def test_rounds_of_additive_schemes_have_their_phases_and_records(encrypted):
    report, told = encrypted
    closed = [each.phase for kind, each in told if kind == "event" and hasattr(each, "answered")]
    # other gateways are asked in each round: some of them have sent no key ahead
    known = {gone.phase for each in report.rounds for gone in each.dropped.values()}

    assert 3 * ["set_up", "upload", "answer"] == closed
    assert {"set_up", "upload", "answer"} >= known
    for _, record, roster in (record for kind, record in told if kind == "record"):
        verify_record(record, roster)


@pytest.mark.parametrize("phase", PHASES)
def test_every_phase_has_its_counterpart(phase):
    settings = Settings(vanish=1)
    name, number = next(
        (next(iter(drawn)), number)
        for number in range(1, 1000)
        if [phase] == list((drawn := absences(settings, NAMES, number)).values())
    )
    for limits in (derive_committee(5), derive_committee(65)):
        steps = Lattice().steps_for(limits)
        drawn = absences(settings, NAMES, number, steps)

        assert {name} == set(drawn)
        assert drawn[name] in sides(steps)[phase not in BEFORE]


@pytest.mark.parametrize("scheme", ADDITIVE)
@pytest.mark.parametrize(
    ("task", "least"), [("threshold", 0.85), ("digits", 0.6), ("cancer", 0.85)]
)
def test_tasks_learn_with_additive_schemes_as_in_the_clear(task, least, scheme):
    gone = 0 if task == "cancer" else 2
    report = report_of(Settings(task=task, rounds=3, vanish=gone, scheme=scheme))

    assert report.comparison.accuracy >= least
    assert report.comparison.accuracy == pytest.approx(report.comparison.plain_accuracy, abs=0.01)
    assert report.comparison.within_bounds


def test_noise_is_all_that_differs_between_equal_runs_with_ckks():
    settings = Settings(task="threshold", gateways=5, rounds=2, vanish=1, seed=7, scheme="ckks")
    first, second = report_of(settings), report_of(settings)

    for one, other in zip(first.rounds, second.rounds, strict=True):
        assert one.included == other.included
        assert one.dropped == other.dropped
        assert one.accuracy == pytest.approx(other.accuracy, abs=0.01)
    for report in (first, second):
        assert not report.plan.exact
        assert report.comparison.within_bounds
        assert all(0 < each.largest for each in report.comparison.deviations)


def test_a_mean_beyond_its_bound_is_noticed(monkeypatch):
    """Noise a thousand times as large as stated."""
    mean = Aggregate.rebuilt

    def noisy(self, *given):
        made = mean(self, *given)
        return {key: value + 1000 * self.error.bound for key, value in made.items()}

    monkeypatch.setattr(Aggregate, "rebuilt", noisy)
    report = report_of(Settings(task="threshold", gateways=4, rounds=1, scheme="ckks"))

    assert not report.comparison.within_bounds


def test_gateways_vanish_in_every_phase_of_ckks():
    settings = replace(SAMPLED, rounds=6, vanish=2, seed=2, steps=5, scheme="ckks")
    report = report_of(settings)  # others are asked in each round, so that every round has a set-up
    lost = [gone for each in report.rounds for gone in each.dropped.values()]

    assert {"set_up", "upload", "answer"} == {gone.phase for gone in lost}
    assert {DropReason.SILENT} == {gone.reason for gone in lost}
    assert 12 == len(lost)
    assert report.comparison.within_bounds


@pytest.mark.parametrize(("asked", "taken"), [("auto", "lattice"), ("ckks", "ckks")])
def test_above_64_gateways_a_quorum_certifies_and_auto_takes_the_lattice(asked, taken):
    told = []
    report = report_of(
        Settings(task="threshold", gateways=66, rounds=2, steps=1, vanish=6, scheme=asked),
        on_event=told.append,
    )
    closed = [each.phase for each in told if isinstance(each, PhaseClosed)]

    assert taken == report.scheme
    assert (asked == "auto") == ("keystreams for 66 gateways" in report.plan.reason)
    assert ["set_up", "upload", "consistency", "answer"] == closed[:4]
    assert report.comparison.within_bounds
    assert 6 == len(report.rounds[0].dropped)
