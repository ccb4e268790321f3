"""The documents: what they link to exists, and what code cites of them."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
import subprocess
import sys
import tomllib
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from typer.main import get_command

import secagg
from secagg import SecureAverage
from secagg.schemes import shared_key
from tests.command_lines import start
from tests.reading import DRY_RUN, LOOP, README

ROOT = Path(__file__).parents[1]
SOURCES = ("secagg", "fedavg", "protocol_sim", "benchmarks", "examples", "tests", "docs")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
PROTOCOL = ROOT / "docs" / "protocol.md"

PROSE = re.sub(r"```.*?```", "", README, flags=re.DOTALL)


def texts() -> dict[str, str]:
    """Everything that may cite a rule: code, models and pages, by path."""
    files = [path for top in SOURCES for path in ROOT.glob(f"{top}/**/*")]
    kinds = {".py", ".pml", ".md"}
    chosen = {path for path in files if path.suffix in kinds and "_build" not in path.parts}
    return {str(path.relative_to(ROOT)): path.read_text() for path in chosen | set(PAGES)}


@cache
def anchors(page: Path) -> frozenset[str]:
    """Names of the headings of a page, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return frozenset(re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings)


def test_every_rule_of_the_protocol_has_a_name_of_its_own():
    headings = re.findall(r"^#+ .+$", PROTOCOL.read_text(encoding="utf-8"), re.MULTILINE)

    assert len(headings) == len(anchors(PROTOCOL)) > 60


def test_every_rule_that_is_cited_exists():
    cited = {
        (name, anchor)
        for name, text in texts().items()
        for anchor in re.findall(r"docs/protocol\.md#([\w-]+)", text)
    }

    assert len(cited) > 20
    assert set() == {(name, anchor) for name, anchor in cited if anchor not in anchors(PROTOCOL)}


def test_the_law_is_in_the_repository():
    """Rules were once those of a design document that readers of the code did not have."""
    cites = re.compile(r"\b(DESIGN|CRYPTO_REVIEW|FAULTS|RULES)(\.md| [A-Z]\b| section)")

    assert [] == [name for name, text in texts().items() if cites.search(text)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    wrong = []
    for link in links:
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        known = re.match(r"[a-z]+:", link) or (
            target.exists() and (not anchor or anchor in anchors(target))
        )
        wrong += [] if known else [link]

    assert [] == wrong


def test_the_names_of_the_glossary_are_those_of_the_code():
    code = "\n".join(text for name, text in texts().items() if name.startswith("secagg/"))
    files = "\n".join(name for name in texts() if name.startswith("secagg/"))
    glossary = (ROOT / "GLOSSARY.md").read_text(encoding="utf-8")
    names = set(re.findall(r"`((?:[\w/]+\.py)|\w+(?:\.\w+)*)`", glossary)) - {
        "secagg",
        "protocol_sim",
    }
    words = {(name, part) for name in names if "/" not in name for part in name.split(".")}
    missing = {name for name, part in words if not re.search(rf"\b{part}\b", code + files)}

    assert len(names) > 40
    assert set() == missing | {name for name in names if "/" in name and name not in files}


class Learner:
    """A model and a gateway in one: each round of training adds its step."""

    def __init__(self, name, step=0.0):
        self.id = name
        self.step = step
        self.state = {"w": np.zeros(3, np.float32)}

    def train(self, state):
        return {"w": state["w"] + np.float32(self.step)}

    def state_dict(self):
        return self.state

    def load_state_dict(self, state):
        self.state = state


def test_the_loop_of_the_readme_runs_as_it_is_written(tmp_path, monkeypatch):
    model, gateways = Learner("model"), [Learner(i, i / 10) for i in range(4)]
    names = {"model": model, "gateways": gateways, "counts": dict.fromkeys(range(4), 100)}
    names["rounds"] = 2
    exec(LOOP, names)
    exec("import secagg.pages", names)
    monkeypatch.chdir(tmp_path)
    for expression in re.findall(r"`((?:result|average|secagg)\.[^`.]+[^`]*)`", PROSE):
        if "..." not in expression:
            eval(expression, names)

    assert model.state["w"] == pytest.approx(np.full(3, 0.3), abs=1e-3)
    assert ["round.html"] == [path.name for path in tmp_path.iterdir()]


def test_a_dry_run_prints_the_call_that_serves_the_loop(capsys):
    gateways = [Learner(i, i / 10) for i in range(4)]
    names = {"model": Learner("model"), "gateways": gateways, "counts": dict.fromkeys(range(4), 7)}
    exec(DRY_RUN, names)
    average = eval(capsys.readouterr().out, {"SecureAverage": SecureAverage})
    result = average.run(names["updates"], names["counts"], base=names["model"].state_dict())

    assert () == result.report.warnings
    assert max(result.report.relative_error.values()) <= 0.01


def test_the_table_of_errors_is_what_the_plan_says():
    rows = re.findall(r"^\| (\d+) \| (\S+) \| (\S+) \| (\S+) \|$", README, re.MULTILINE)
    model = {"w": np.zeros(10**6, np.float32)}
    plans = [SecureAverage(clip=1.0).plan(model, int(gateways)) for gateways, *_ in rows]
    found = [(p.rms_error, p.error_bound, p.upload_bytes / 1e6) for p in plans]
    finer = SecureAverage(clip=1.0, precision=2**-20).plan(model, 10)

    assert 3 == len(rows)
    assert "2^-20 takes 4." in README.replace("\n", " ")
    assert 4.0 == round(finer.upload_bytes / 1e6, 2)
    assert [tuple(map(float, row[1:])) for row in rows] == [
        (float(f"{rms:.1e}"), float(f"{most:.1e}"), round(size, 2)) for rms, most, size in found
    ]


def test_the_names_in_the_readme_are_those_of_the_package():
    modules = [secagg, secagg.errors, secagg.schemes, shared_key]
    public = {name: value for each in modules for name, value in vars(each).items()}
    calls = [value for value in public.values() if inspect.isclass(value)]
    calls += [method for each in calls for method in vars(each).values() if callable(method)]
    taken = {name for each in calls for name in getattr(each, "__annotations__", {})}
    code = " ".join(re.findall(r"`([^`]+)`", PROSE))
    classes = set(re.findall(r"\b[A-Z][a-z]+\w*\b", code)) - {"None", "False", "True"}
    arguments = set(re.findall(r"\b(\w+)=(?!=)", code))

    assert len(classes) > 15
    assert set() == classes - public.keys()
    assert len(arguments) > 5
    assert set() == arguments - taken


EVERYDAY = {
    "counts",
    "dropouts",
    "epoch",
    "ignored",
    "included",
    "key",
    "member",
    "name",
    "ring",
    "round",
    "server",
    "setup",
    "simulator",
    "step",
    "unit",
    "vouched",
    "weight",
}
"""Words of the glossary that the README uses as everybody does."""


def test_the_readme_links_each_word_of_the_glossary_where_it_first_stands():
    glossary = (ROOT / "GLOSSARY.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (?:\w+ \| )?([a-zA-Z][a-zA-Z ,-]{2,}) \| ", glossary, re.MULTILINE)
    words = {word for row in rows for word in row.split(", ") if len(word) > 2} - EVERYDAY
    prose = re.sub(r"(\[?)`[^`\n]+`", lambda code: code[0] if code[1] else "", PROSE)
    prose = " ".join(prose.split())
    late = set()
    for word in words:
        linked = re.search(rf"\[`?{word}s?`?\]\(GLOSSARY", prose, re.IGNORECASE)
        bare = re.search(rf"(?<![\w`/.-]){word}s?(?![\w`])", prose, re.IGNORECASE)
        if bare and (linked is None or bare.start() < linked.start()):
            late.add(word)

    assert len(words) > 40
    assert set() == late


APPS = {
    "secagg": "secagg.cli",
    "fedavg": "fedavg.commands",
    "protocol_sim": "protocol_sim.commands",
}
LINE = re.compile(rf"^(?:\$ )?((?:{'|'.join(APPS)}) [a-z].*)$", re.MULTILINE)


def test_commands_are_spelt_as_the_programs_take_them():
    lines = [line for page in PAGES for line in LINE.findall(page.read_text(encoding="utf-8"))]

    assert len(lines) >= 10
    for line in lines:
        program, name, *words = shlex.split(line)
        get_command(import_module(APPS[program]).app).commands[name].make_context(name, words)


@pytest.mark.slow
def test_every_command_of_the_readme_ends_well(tmp_path):
    lines = [shlex.split(line) for line in LINE.findall(README)]

    assert len(lines) >= 5
    for program, *words in lines:
        done = start(program, *words, folder=tmp_path)

        assert (0, "") == (done.returncode, done.stderr)


def test_the_table_of_extras_is_that_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    table = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## Extras")[1]
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| .+? \| (.+?) \|$", table, re.MULTILINE)
    wanted = {
        extra: re.findall(
            r"[a-z][\w-]*", " ".join(re.sub("secagg|[<>=].*", "", each) for each in needs)
        )
        for extra, needs in project["optional-dependencies"].items()
    }

    assert wanted == {extra: packages.split(", ") for extra, packages, _ in rows}
    assert all(test == "all" or (ROOT / test.strip("`")).exists() for *_, test in rows)


def test_no_docstring_has_bars_around_a_word():
    """docutils takes |x| for a substitution: the reference would not build."""
    barred = re.compile(r"(?<![|\w])\|[^|\s][^|]*\|(?![|\w])")
    wrong = [
        f"{path}: {found[0]}"
        for path in sorted((ROOT / "secagg").glob("**/*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if (found := barred.search(str(node.value.value)))
    ]

    assert [] == wrong


@pytest.mark.slow
def test_the_pages_build_without_a_warning_and_ask_no_foreign_host(tmp_path):
    pytest.importorskip("sphinx")
    options = ["-W", "--keep-going", "-q", "-c", "docs"]
    command = [sys.executable, "-m", "sphinx", *options, ".", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert (0, "") == (built.returncode, built.stderr)
    assert (tmp_path / "docs" / "reference.html").exists()
