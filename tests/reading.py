"""A page as its reader has it: what must hold of every page, and its words; the README likewise."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "br", "hr", "img", "link", "wbr"}
HOSTILE = "<script>alert(1)</script>&\"'"
README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
LOOP, DRY_RUN, ONCE, GATEWAY, ORCHESTRATOR = re.findall(r"```python\n(.+?)```", README, re.DOTALL)
"""Every snippet of the README: who adds one, adds the test that runs it."""


class Page(HTMLParser):
    """A page that needs no other file, whose elements close in order and whose ids are its own."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.html = content.decode()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self._open: list[str] = []
        self._said: list[str] = []
        self.feed(self.html)
        self.close()
        self.text = " ".join(" ".join(self._said).split())
        self._check()

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert tag == self._open.pop()

    def handle_data(self, data):
        if "style" not in self._open:
            self._said.append(data)

    def values(self, *names: str) -> list[str]:
        return [value for _, name, value in self.attributes if name in names]

    def _check(self) -> None:
        ids, loads = self.values("id"), self.values("src", "href", "xlink:href")
        pictures = "".join(re.findall(r"<svg.*?</svg>", self.html, re.DOTALL))
        colours = set(re.findall(r"var\((--[a-z0-9-]+)\)", self.html))

        assert [] == self._open
        assert {"html", "title", "main", "h1"} <= set(self.tags)
        assert "script" not in self.tags
        assert ("meta", "name", "viewport") in self.attributes
        assert len(ids) == len(set(ids))
        assert {each for each in loads if each.startswith("#")} == set(loads)
        assert {each[1:] for each in loads} <= set(ids)
        assert "://" not in self.html.replace("http://www.w3.org", "")
        assert "@import" not in self.html
        assert "<span class=" not in self.text  # markup that was taken for text
        # otherwise it would not follow from light to dark
        assert [] == re.findall(r"#[0-9a-f]{6}\b", pictures)
        assert all(2 <= self.html.count(f"{colour}:") for colour in colours)
        described = [tag for tag, name, value in self.attributes if name == "aria-label" and value]
        assert self.tags.count("svg") == described.count("svg")
