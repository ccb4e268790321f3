"""The files of a run say what the run says, and the page stands alone."""

from __future__ import annotations

import csv
import json
import re
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from fedavg.experiment import Report, Settings, run
from fedavg.report.output import Output, report_json
from fedavg.report.page import report_html
from fedavg.report.side_by_side import compare_html, write_files
from fedavg.variants import SideBySide, Variant
from secagg.protocol.audit import verify_record
from secagg.protocol.audit_file import load_record, load_roster

VOID = {"meta", "br", "hr", "img", "link", "path", "use", "rect", "line", "circle"}
HOSTILE = "<script>alert(1)</script>&\"'"


class Page(HTMLParser):
    """Checks that tags close, and collects text, links and labels."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert tag == self.open.pop()

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> tuple[Report, Path]:
    """A run of two rounds with its files."""
    place = tmp_path_factory.mktemp("run") / "deep" / "er"
    output = Output(place)
    report = run(
        Settings(task="threshold", gateways=6, rounds=2, vanish=1),
        clock=time.perf_counter,
        on_round=output.round,
        on_record=output.record,
    )
    output.finish(report)
    return report, place


def test_the_directory_holds_what_it_should(written):
    _, place = written

    assert {"report.json", "report.html", "history.csv", "history.jsonl", "audit"} == {
        path.name for path in place.iterdir()
    }
    assert {"roster.json", "round-0001.json", "round-0002.json"} == {
        path.name for path in (place / "audit").iterdir()
    }


def test_json_csv_and_lines_agree_with_the_report(written):
    report, place = written
    whole = json.loads((place / "report.json").read_text())
    lines = [json.loads(line) for line in (place / "history.jsonl").read_text().splitlines()]
    rows = list(csv.DictReader((place / "history.csv").read_text().splitlines()))

    assert whole["rounds"] == lines
    assert 6 == whole["thresholds"]["gateways"] == report.thresholds.gateways
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


def test_the_page_stands_alone_and_says_it_in_words(written):
    report, place = written
    text = (place / "report.html").read_text()
    page = Page(text)

    assert [] == page.open
    assert "script" not in page.tags
    assert {"svg", "table", "meta"} <= set(page.tags)
    assert page.tags.count("svg") >= 5
    links = [value for _, name, value in page.attributes if name in {"src", "href", "xlink:href"}]
    assert all(link.startswith("#") for link in links)
    assert "url(http" not in text
    assert "@import" not in text
    assert ("meta", "name", "viewport") in page.attributes
    assert f"{report.rounds[-1].accuracy:.1%}" in page.text
    assert report.guarantees.hides in " ".join(page.text.split())
    assert "secagg audit" in page.text


def test_ids_of_the_plots_do_not_collide(written):
    _, place = written
    ids = re.findall(r'\bid="([^"]+)"', (place / "report.html").read_text())

    assert len(ids) == len(set(ids))


def test_every_plot_is_described(written):
    _, place = written
    page = Page((place / "report.html").read_text())
    labelled = [tag for tag, name, value in page.attributes if name == "aria-label" and value]

    assert page.tags.count("svg") <= labelled.count("svg") + labelled.count("figure")


def test_equal_reports_give_equal_pages(written):
    report, _ = written

    assert report_html(report, ("roster.json",)) == report_html(report, ("roster.json",))


def test_what_users_write_is_text_and_nothing_else(written):
    report, _ = written
    hostile = replace(
        report,
        settings=replace(
            report.settings, data=Path(HOSTILE), overrides={HOSTILE: {"optimiser": HOSTILE}}
        ),
    )
    text = report_html(hostile, ("roster.json",))
    page = Page(text)

    assert "<script>" not in text
    assert "script" not in page.tags
    assert "alert(1)" in page.text
    assert HOSTILE in json.loads(report_json(hostile))["settings"]["overrides"]


def test_a_second_run_leaves_nothing_of_the_first(written, tmp_path):
    report, _ = written
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit" / "round-0009.json").write_text("of an earlier run")
    (tmp_path / "mine.txt").write_text("mine")
    Output(tmp_path).finish(report)

    assert not (tmp_path / "audit" / "round-0009.json").exists()
    assert "mine" == (tmp_path / "mine.txt").read_text()


def test_runs_side_by_side(written, tmp_path):
    report, _ = written
    best = report.rounds[-1].accuracy
    done = SideBySide(
        setting="optimiser",
        target=0.9,
        variants=tuple(Variant.of(name, report, 0.9) for name in ("sgd", HOSTILE)),
    )
    names = write_files(done, tmp_path)
    page = Page((tmp_path / "compare.html").read_text())
    content = json.loads((tmp_path / "compare.json").read_text())

    assert {"compare.html", "compare.json"} == set(names)
    assert [] == page.open
    assert "script" not in page.tags
    assert "svg" in page.tags
    assert ["sgd", HOSTILE] == [each["name"] for each in content["variants"]]
    assert best == content["variants"][0]["final_accuracy"]
    assert compare_html(done) == compare_html(done)


def test_a_run_in_the_clear_has_a_page_too():
    report = run(
        Settings(task="threshold", gateways=3, rounds=1, scheme="plain"), clock=time.perf_counter
    )
    page = Page(report_html(report, ()))

    assert [] == page.open
    assert "sees every update" in page.text
