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
from typer.testing import CliRunner

from fedavg.commands import app
from fedavg.comparison import Deviation
from fedavg.experiment import Report, Settings, run
from fedavg.phases import ADDITIVE
from fedavg.report.canvas import _apart
from fedavg.report.files import check_directory
from fedavg.report.output import Output, report_json
from fedavg.report.page import report_html
from fedavg.tasks import write_hospitals
from secagg.errors import ConfigurationError
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
    assert "://" not in text
    assert "@import" not in text
    assert ("meta", "name", "viewport") in page.attributes
    assert f"{report.rounds[-1].accuracy:.1%}" in page.text
    assert report.guarantees.hides in " ".join(page.text.split())
    assert "secagg audit" in page.text


@pytest.mark.parametrize("scheme", ADDITIVE)
def test_the_page_of_a_run_with_an_additive_scheme(scheme):
    report = run(
        Settings(task="threshold", gateways=6, rounds=3, vanish=2, scheme=scheme),
        clock=time.perf_counter,
    )
    page = Page(report_html(report))
    text = " ".join(page.text.split())

    assert [] == page.open
    assert f"with secure aggregation ({scheme})" in text
    assert f"Protected by {scheme}: {report.layout}" in text
    assert report.exact == ("the opened sum is exact" in text)
    assert report.exact != ("the noise in the sums, which is drawn afresh" in text)
    assert "Every mean lay within its stated bound: off by" in text
    assert all(name in text for name in ("ell", "Numbers of a key", "set_up", "upload", "answer"))
    assert "Neighbours" not in text
    assert {"set_up", "upload", "answer", "mean"} == {
        cost.phase for each in report.rounds for cost in each.phases
    }


def test_the_page_says_what_auto_chose_and_why(written):
    report, _ = written
    text = report_html(replace(report, reason=f"Because {HOSTILE}."))

    assert "Chosen by auto" not in report_html(report)
    assert "Chosen by auto. Because" in text
    assert "<script" not in text


def test_ids_of_the_plots_do_not_collide(written):
    _, place = written
    ids = re.findall(r'\bid="([^"]+)"', (place / "report.html").read_text())

    assert len(ids) == len(set(ids))


def test_every_plot_is_described(written):
    _, place = written
    page = Page((place / "report.html").read_text())
    labelled = [tag for tag, name, value in page.attributes if name == "aria-label" and value]

    assert 5 == page.tags.count("svg") == labelled.count("svg")
    assert {"title", "h1", "main", "figcaption"} <= set(page.tags)


def test_letters_of_a_plot_are_legible_on_a_phone(written):
    """Of a screen 390 pixels wide, margins leave 348 to a picture."""
    _, place = written
    for svg in re.findall(r"<svg.*?</svg>", (place / "report.html").read_text(), re.DOTALL):
        width = float(re.search(r'viewBox="0 0 ([\d.]+)', svg)[1])
        sizes = [float(size) for size in re.findall(r"font(?:-size)?: ([\d.]+)px", svg)]

        assert sizes
        assert min(sizes) * 348 / width >= 11


def test_every_colour_of_a_plot_is_the_stylesheet_s(written):
    """Otherwise it would not follow from light to dark."""
    _, place = written
    text = (place / "report.html").read_text()
    drawn = "".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))
    named = set(re.findall(r"var\((--[a-z0-9-]+)\)", drawn))

    assert [] == re.findall(r"#[0-9a-f]{6}\b", drawn)
    assert all(2 <= text.count(f"{name}:") for name in named)


def test_equal_reports_give_equal_pages(written):
    report, _ = written

    assert report_html(report) == report_html(report)


def test_what_users_write_is_text_and_nothing_else(written):
    report, _ = written
    hostile = replace(
        report,
        settings=replace(
            report.settings, data=Path(HOSTILE), overrides={HOSTILE: {"optimiser": HOSTILE}}
        ),
    )
    text = report_html(hostile)
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


def test_a_run_in_the_clear_has_a_page_too():
    report = run(
        Settings(task="threshold", gateways=3, rounds=1, scheme="plain"), clock=time.perf_counter
    )
    page = Page(report_html(report))

    assert [] == page.open
    assert "sees every update" in page.text


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


def test_crowds_are_counted_instead_of_drawn(written):
    report, _ = written
    names = tuple(f"g{number:02}" for number in range(1, 41))
    crowd = tuple(replace(each, asked=names) for each in report.rounds)
    page = Page(report_html(replace(report, rounds=crowd)))

    assert "Gateways that vanished in each round, by phase." in page.text
    assert "Hollow" not in page.text


def test_overlapping_names_of_lines_are_moved_apart():
    assert pytest.approx([0.1, 0.4, 0.5, 0.6]) == _apart([0.1, 0.49, 0.5, 0.51], 0.1)
    assert pytest.approx([-0.05, 0.05]) == _apart([0.0, 0.0], 0.1)


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    loose = tmp_path / "loose"
    loose.symlink_to(tmp_path / "nowhere")
    for place in (Path("/proc/sys/run"), Path("/dev/null"), loose):
        with pytest.raises(ConfigurationError, match=r"name (another|a) directory"):
            check_directory(place)
    check_directory(tmp_path / "deep" / "er")

    assert [loose] == list(tmp_path.iterdir())


def test_patients_of_a_hostile_path_are_reported_too(tmp_path):
    place = tmp_path / "<img src=x onerror=alert(1)>&\"'"
    write_hospitals(place, 3, 0)
    done = CliRunner().invoke(
        app,
        [
            *("run", "--task", "cancer", "--rounds", "1", "--data", str(place)),
            *("--override", "g01:rate=0.01", "--output", str(tmp_path / "out")),
        ],
    )
    page = Page((tmp_path / "out" / "report.html").read_text())

    assert 0 == done.exit_code, done.output
    assert "img" not in page.tags
    assert str(place) in page.text
    assert "g01:rate=0.01" in page.text
    assert (
        str(place) == json.loads((tmp_path / "out" / "report.json").read_text())["settings"]["data"]
    )
