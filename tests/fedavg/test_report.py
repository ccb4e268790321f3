"""The files of a run say what the run says, and the page stands alone."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest
import torch

from fedavg.comparison import Deviation
from fedavg.experiment import Report
from fedavg.report.files import report_json
from fedavg.report.history import history_csv
from fedavg.report.output import Output
from fedavg.report.page import report_html
from fedavg.settings import Settings
from fedavg.tasks import load
from fedavg.tasks.hospitals import write_hospitals
from secagg.protocol.audit import verify_record
from secagg.protocol.audit_file import load_record, load_roster
from secagg.protocol.events import GatewayDropped
from secagg.protocol.messages import DropReason
from tests.fedavg.runs import ADDITIVE, invoke, report_of
from tests.reading import HOSTILE, Page


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> tuple[Report, Path]:
    """A run of two rounds with its files."""
    place = tmp_path_factory.mktemp("run") / "deep" / "er"
    output = Output(place)
    report = report_of(
        Settings(task="threshold", gateways=6, rounds=2, vanish=1),
        on_round=output.round,
        on_record=output.record,
    )
    output.finish(report)
    return report, place


def test_the_directory_holds_what_it_should(written):
    report, place = written
    model = load(report.settings).build()
    model.load_state_dict(torch.load(place / "model.pt", weights_only=True))

    assert all(map(torch.equal, model.state_dict().values(), report.state.values()))
    files = {"report.json", "report.html", "history.csv", "history.jsonl", "model.pt"}
    assert files | {"audit"} == {path.name for path in place.iterdir()}
    assert {"roster.json", "round-0001.json", "round-0002.json"} == {
        path.name for path in (place / "audit").iterdir()
    }


def test_json_csv_and_lines_agree_with_the_report(written):
    report, place = written
    whole = json.loads((place / "report.json").read_text())
    lines = [json.loads(line) for line in (place / "history.jsonl").read_text().splitlines()]
    rows = list(csv.DictReader((place / "history.csv").read_text().splitlines()))

    assert whole["rounds"] == lines
    assert 6 == whole["plan"]["thresholds"]["gateways"] == report.plan.thresholds.gateways
    assert "threshold" == whole["settings"]["task"]
    for each, line, row in zip(report.rounds, lines, rows, strict=True):
        assert each.accuracy == line["accuracy"] == float(row["accuracy"])
        assert each.number == line["number"] == int(row["round"])
        assert list(each.included) == line["included"]
        assert len(each.included) == int(row["in_mean"])
        assert [cost.phase for cost in each.phases] == [cost["phase"] for cost in line["phases"]]
    assert list(report.comparison.history) == [float(row["plain_accuracy"]) for row in rows]


def test_audit_records_verify_with_the_roster_beside_them(written):
    report, place = written
    roster = load_roster((place / "audit" / "roster.json").read_bytes())
    for each in report.rounds:
        path = place / "audit" / f"round-{each.number:04}.json"
        record = load_record(path.read_bytes())

        assert len(each.included) == len(verify_record(record, roster))


def test_the_page_says_it_in_words(written):
    report, place = written
    page = Page((place / "report.html").read_bytes())

    assert 5 == page.tags.count("svg")
    assert {"table", "figcaption"} <= set(page.tags)
    assert f"{report.rounds[-1].accuracy:.1%}" in page.text
    assert report.plan.guarantees.hides in page.text
    assert "as it must be: within the stated" in page.text
    assert "secagg audit" in page.text


@pytest.mark.parametrize("scheme", ADDITIVE)
def test_the_page_of_a_run_with_an_additive_scheme(scheme):
    report = report_of(Settings(task="threshold", gateways=6, rounds=3, vanish=2, scheme=scheme))
    text = Page(report_html(report)).text

    assert f"with secure aggregation ({scheme})" in text
    assert f"Protected by {scheme}: {report.plan.layout}" in text
    assert report.plan.exact == ("the opened sum is exact" in text)
    assert report.plan.exact != ("the noise in the sums, which is drawn afresh" in text)
    assert "Every mean lay within its stated bound: off by" in text
    assert all(name in text for name in ("ell", "Numbers of a key", "set_up", "upload", "answer"))
    assert "Neighbours" not in text
    assert {"set_up", "upload", "answer", "mean"} == {
        cost.phase for each in report.rounds for cost in each.phases
    }


def test_page_json_and_csv_say_who_left_and_why(written):
    report, _ = written
    gone = GatewayDropped("g01", "masked_input", DropReason.ABORTED, HOSTILE)
    rounds = tuple(replace(each, dropped={"g01": gone}) for each in report.rounds)
    told, said = replace(report, rounds=rounds), f"g01 in masked_input (aborted: {HOSTILE})"
    kept = json.loads(report_json(told))["rounds"][0]["dropped"]["g01"]
    [row, *_] = csv.DictReader(history_csv(told).decode().splitlines())

    assert said in Page(report_html(told)).text
    assert said == row["dropped"]
    assert ("masked_input", HOSTILE) == (kept["phase"], kept["detail"])
    assert DropReason.ABORTED.value == kept["reason"]


def test_the_page_says_what_auto_chose_and_why(written):
    report, _ = written
    plan = replace(report.plan, reason=f"Because {HOSTILE}.")
    text = Page(report_html(replace(report, plan=plan))).text

    assert "Chosen by auto" not in Page(report_html(report)).text
    assert f"Chosen by auto. Because {HOSTILE}." in text


@pytest.mark.parametrize(
    ("plain", "said"),
    [
        (0.5, "They coincide: security cost no accuracy."),
        (0.475, "They differ most in round 1: 50.0% against 47.5%, 2 of 80 samples."),
    ],
)
def test_the_page_says_how_many_samples_a_difference_is(written, plain, said):
    report, _ = written
    rounds = tuple(replace(each, accuracy=0.5) for each in report.rounds)
    compared = replace(report.comparison, samples=80, history=(plain, 0.5))
    text = Page(report_html(replace(report, rounds=rounds, comparison=compared))).text

    assert said in text
    assert "The axis starts at 45%." in text


def test_equal_reports_give_equal_pages(written):
    report, _ = written

    assert report_html(report) == report_html(report)


def test_what_users_write_is_text_and_nothing_else(written):
    report, _ = written
    hostile = replace(
        report,
        settings=replace(
            report.settings, data=Path(HOSTILE), overrides={HOSTILE: {"optimiser": "adam"}}
        ),
    )

    assert HOSTILE in Page(report_html(hostile)).text
    assert HOSTILE in json.loads(report_json(hostile))["settings"]["overrides"]


def test_a_second_run_leaves_nothing_of_the_first(written, tmp_path):
    report, _ = written
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit" / "round-0009.json").write_text("of an earlier run")
    (tmp_path / "mine.txt").write_text("mine")
    Output(tmp_path).finish(report)

    assert not (tmp_path / "audit" / "round-0009.json").exists()
    assert "mine" == (tmp_path / "mine.txt").read_text()


def test_a_run_in_the_clear_has_a_page_too():
    report = report_of(Settings(task="threshold", gateways=3, rounds=1, scheme="plain"))

    assert "sees every update" in Page(report_html(report)).text


def test_a_bound_that_does_not_hold_is_the_headline(written):
    report, _ = written
    beyond = Deviation(largest=1.0, bound=1e-6)
    compared = replace(
        report.comparison,
        deviations=(report.comparison.deviations[0], beyond),
        within_bounds=False,
    )
    page = Page(report_html(replace(report, comparison=compared)))

    assert "BOUND EXCEEDED in 1 round: off by 1.0e+00" in page.text
    assert "BEYOND the stated 1.0e-06" in page.text


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (
            1e-6,
            "5.0e-07 at worst, where 1.0e-06 was stated; 1 round had none, for coordinates",
        ),
        (inf, "No mean had a bound, for coordinates were cut off: off by 5.0e-07 at worst."),
    ],
)
def test_a_mean_of_what_was_cut_off_has_no_bound(written, second, said):
    report, _ = written
    deviations = (Deviation(largest=1e-8, bound=inf), Deviation(largest=5e-7, bound=second))
    compared = replace(report.comparison, deviations=deviations)
    page = Page(report_html(replace(report, comparison=compared)))

    assert said in page.text
    cut = "2 rounds" if second == inf else "1 round"
    assert f"Largest error of a mean 5.0e-07 no bound in {cut}: coordinates were cut" in page.text


def test_crowds_are_counted_instead_of_drawn(written):
    report, _ = written
    names = tuple(f"g{number:02}" for number in range(1, 41))
    crowd = tuple(replace(each, asked=names) for each in report.rounds)
    page = Page(report_html(replace(report, rounds=crowd)))

    assert "Gateways that were dropped in each round, by phase." in page.text
    assert "Hollow" not in page.text


def test_patients_of_a_hostile_path_are_reported_too(tmp_path):
    place = tmp_path / "<img src=x onerror=alert(1)>&\"'"
    write_hospitals(place, 3, 0)
    done = invoke(
        *("run", "--task", "cancer", "--rounds", 1, "--data", place),
        *("--override", "g01:rate=0.01", "--output", tmp_path / "out"),
    )
    page = Page((tmp_path / "out" / "report.html").read_bytes())

    assert 0 == done.exit_code, done.output
    assert "img" not in page.tags
    assert str(place) in page.text
    assert "g01:rate=0.01" in page.text
    assert (
        str(place) == json.loads((tmp_path / "out" / "report.json").read_text())["settings"]["data"]
    )
