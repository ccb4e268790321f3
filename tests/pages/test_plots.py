"""Pictures: equal drawings are equal bytes, ids are their own, letters can be read on a phone."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from secagg.pages.colours import BLUE, RED
from secagg.pages.plots import _apart, plot


def draw(axes):
    axes.plot([1, 2, 3], color=BLUE, marker="o")
    axes.fill_between([0, 1], [1, 2], color=RED, hatch="//")
    axes.set_title('id="x" url(#y) #000010 <b>')


def test_equal_drawings_are_equal_bytes():
    assert plot("a", "A", draw, alt="a") == plot("a", "A", draw, alt="a")


def test_two_pictures_of_one_page_share_no_id_and_find_their_own():
    ids = []
    for name in ("gateway", "gateway-n"):
        svg = plot(name, "A", draw, alt="a").svg
        own = re.findall(r' id="([^"]+)"', svg)
        used = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', re.sub(r">[^<]+<", "><", svg))

        assert {one or other for one, other in used} <= set(own)
        assert used
        ids += own
    assert len(ids) == len(set(ids))


def test_what_a_picture_says_is_text():
    svg = plot("a", "A", draw, alt='"<b>"').svg

    assert 'id="x" url(#y) #000010 &lt;b&gt;' in svg
    assert 'aria-label="&quot;&lt;b&gt;&quot;"' in svg


def test_a_picture_is_a_file_by_itself():
    content = plot("a", "A", draw, alt="a").file.decode()

    assert ET.fromstring(content).tag.endswith("svg")
    assert "prefers-color-scheme: dark" in content
    assert set(re.findall(r"var\((--[a-z-]+)\)", content)) <= set(
        re.findall(r"(--[a-z-]+):", content)
    )
    assert not re.search(r"\d{4}-\d\d-\d\d|matplotlib\.org", content)


def test_letters_are_legible_on_a_phone():
    """Of a screen 390 pixels wide, margins leave 336 to a picture."""
    svg = plot("a", "A", draw, alt="a").svg
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', svg)[1])
    sizes = [float(size) for size in re.findall(r"font(?:-size)?: ([\d.]+)px", svg)]

    assert min(sizes) * 336 / width >= 11


def test_overlapping_names_of_lines_are_moved_apart():
    assert pytest.approx([0.1, 0.4, 0.5, 0.6]) == _apart([0.1, 0.49, 0.5, 0.51], 0.1)
    assert pytest.approx([-0.05, 0.05]) == _apart([0.0, 0.0], 0.1)
