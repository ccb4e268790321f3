"""The page kit: text stays text, tables fit a phone."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from setuptools import build_meta

from secagg.pages.colours import PALETTE
from secagg.pages.kit import render, verdict
from secagg.pages.tables import Table, is_number, quantity
from tests.reading import HOSTILE, Page

ROOT = Path(__file__).parents[2]


def test_text_is_escaped_once_and_a_verdict_is_not_text():
    page = Page(render("secagg.pages", "base.html", title=HOSTILE, lead=verdict("<b>", good=True)))

    assert HOSTILE in page.text
    assert '<p class="lead"><span class="good">&lt;b&gt;</span></p>' in page.html


@pytest.mark.parametrize(
    ("cell", "expected"),
    [("-", True), ("", True), ("+1.5%", True), (7, True), ("g0", False), ("2.5 ms", True)],
)
def test_numbers_are_told_from_words(cell, expected):
    assert expected == is_number(cell)


def test_a_column_of_numbers_is_one_without_words():
    table = Table("", ("name", "n", "what"), [("1", 2, "x"), ("b", "3", "4")])

    assert [False, True, False] == table.numeric
    assert [False, True] == Table("", ("name", "n"), []).numeric


def test_lines_of_a_table_are_aligned_and_never_cut():
    table = Table("", ("name", "n", "bytes"), [("masks", 3, "16,777,216"), ("lattice", 10, "-")])

    assert [
        "name      n       bytes",
        "masks     3  16,777,216",
        "lattice  10           -",
    ] == list(table.lines())
    assert "| name | n | bytes |\n| --- | --- | --- |\n| masks | 3 |" in table.markdown()


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.0, "s", "0 ns"),
        (2.5e-3, "s", "2.5 ms"),
        (1800.0, "s", "1,800 s"),
        (7200.0, "s", "7,200 s"),
        (12, "B", "12 B"),
        (65_401, "B", "65.4 KB"),
        (3.2e13, "B", "32 TB"),
    ],
)
def test_quantities_have_the_unit_that_suits_them(value, unit, shown):
    assert shown == quantity(value, unit)


def _luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("ground", [0, 1])
def test_letters_and_lines_stand_out(ground):
    """WCAG 2.1: 4.5 for letters, 3 for lines."""
    palette = {name: pair[ground] for name, pair in PALETTE.items()}
    for below in ("card", "page", "band"):
        for ink in ("ink", "muted", "blue", "orange", "green", "red"):
            assert contrast(palette[ink], palette[below]) >= 4.5, (ink, below)
    for below in ("pale-blue", "pale-green", "pale-red"):
        assert contrast(palette["ink"], palette[below]) >= 4.5
    for line in ("purple", "yellow", "sky", "grey", "brown"):
        assert contrast(palette[line], palette["card"]) >= 3


def test_contrast_tells_grey_from_grey():
    assert 21 == pytest.approx(contrast("#000000", "#ffffff"))
    assert contrast("#888888", "#999999") < 4.5


# -- the package -----------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["jinja2", "matplotlib"])
def test_without_the_extra_the_error_says_what_to_install(missing):
    question = (
        f"import sys; sys.modules[{missing!r}] = None\nimport secagg.pages.kit, secagg.pages.plots"
    )
    done = subprocess.run(
        [sys.executable, "-c", question], capture_output=True, text=True, check=False, cwd=ROOT
    )

    assert f"ConfigurationError: pages need {missing}: pip install" in done.stderr


def test_pages_render_from_the_built_wheel(tmp_path, monkeypatch):
    """Templates and style sheets travel with the code."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "secagg", "fedavg", "protocol_sim"):
        (source / name).symlink_to(ROOT / name)
    monkeypatch.chdir(source)
    wheel = build_meta.build_wheel(str(tmp_path))
    with zipfile.ZipFile(tmp_path / wheel) as archive:
        archive.extractall(tmp_path / "unpacked")
        names = set(archive.namelist())
    page = (
        "import secagg.pages.kit as kit, sys\n"
        f"assert kit.__file__.startswith({str(tmp_path)!r}), kit.__file__\n"
        "sys.stdout.buffer.write(kit.render('secagg.pages', 'base.html', title='T', lead='L'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", page], capture_output=True, check=True, cwd=tmp_path / "unpacked"
    )

    assert "T L" in Page(done.stdout).text
    for package in ("secagg/pages", "fedavg/report", "protocol_sim"):
        for template in (ROOT / package / "templates").iterdir():
            assert f"{package}/templates/{template.name}" in names
