"""The page of one round of a user's own loop."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from math import inf

import numpy as np
import pytest

from secagg import Lattice, Masks, SecureAverage
from secagg.pages import round_page
from secagg.pages.round import page_of
from tests.reading import Page

LATE = {"masks": "unmasking", "lattice": "answer"}
EARLY = {"masks": "share_keys", "lattice": "upload"}


def result_of(scheme):
    updates = {f"g{number}": {"w": np.full(5, 0.1 * number)} for number in range(6)}
    vanish = {"g1": LATE[scheme.name], "g4": EARLY[scheme.name]}
    return SecureAverage(clip=1.0, scheme=scheme).run(updates, vanish=vanish)


@pytest.fixture(scope="module", params=[Masks(), Lattice()], ids=lambda scheme: scheme.name)
def result(request):
    return result_of(request.param)


def test_the_page_says_who_is_in_the_mean_and_who_was_dropped(result, tmp_path):
    round_page(result.report, tmp_path / "round.html")
    text = Page((tmp_path / "round.html").read_bytes()).text

    assert [tmp_path / "round.html"] == list(tmp_path.iterdir())
    assert f"Round 1: the mean of {len(result.included)} of 6 gateways" in text
    assert f"{', '.join(result.included)}." in text
    assert {"g1", "g4"} == set(result.dropped)
    for name, each in result.dropped.items():
        kept = "yes: its upload was there" if name in result.included else "no"
        assert f"{name} {each.phase} {each.reason.name.lower()} {kept}" in text


def test_the_page_says_what_is_promised_and_what_it_cost(result):
    page, report = Page(page_of(result.report)), result.report
    promises = report.plan.guarantees

    assert all(each in page.text for each in (promises.hides, promises.survives))
    assert promises.not_promised in page.text
    assert f"Scheme {report.plan.scheme}: {report.plan.layout}" in page.text
    assert f"Largest possible error {report.error_bound:.1e}" in page.text
    assert f'<span class="whole">{report.error_bound:.1e}</span>' in page.html
    assert "Beyond a bound nothing" in page.text
    assert f"{report.plan.thresholds.quorum} Signatures needed" in page.text
    assert all(f"{each.phase} {each.answered} " in page.text for each in report.phases)
    assert 1 == page.tags.count("svg")
    assert "Audit record verifies" in page.text
    assert "secagg audit round-0001.json" in page.text


def test_equal_reports_give_equal_pages(result):
    assert page_of(result.report) == page_of(result.report)


def test_what_was_clipped_and_what_does_not_verify_is_seen(result):
    forged = replace(
        result.report,
        clamped={"coordinates": 4, "metric loss": 3},
        error_bound=inf,
        warnings=("pass clip=1",),
        roster=result_of(Masks()).report.roster,
    )
    page = Page(page_of(forged))

    assert "DOES NOT VERIFY" in page.text
    assert "The record of this round does not verify:" in page.text
    assert 'class="bad">7<' in page.html
    assert "4 coordinates, 3 metric loss" in page.text
    assert "Largest possible error no bound" in page.text
    assert "Too coarse pass clip=1" in page.text
    assert "Too coarse" not in Page(page_of(result.report)).text


def test_without_the_extra_the_rest_of_the_library_works():
    question = "import sys; sys.modules['jinja2'] = None; import secagg; from secagg import pages"
    subprocess.run([sys.executable, "-c", question], check=True)
