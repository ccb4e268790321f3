"""Runs that differ in one setting, side by side."""

from __future__ import annotations

import json

import pytest

from fedavg.report.side_by_side import compare_html
from fedavg.settings import AXES, Settings
from fedavg.variants import SideBySide, Variant, planned
from tests.fedavg.runs import invoke
from tests.reading import HOSTILE, Page

QUICK = ("compare", "--task", "threshold", "--gateways", "4", "--rounds", "2")


def _variant(name, *accuracy, target=0.9, reason="", warnings=()):
    reached = [number for number, each in enumerate(accuracy, start=1) if each >= target]
    return Variant(
        name=name,
        settings=Settings(task="threshold"),
        scheme="masks",
        reason=reason,
        warnings=warnings,
        accuracy=accuracy,
        final_accuracy=accuracy[-1],
        best_accuracy=max(accuracy),
        rounds_to_target=min(reached, default=None),
        seconds=1.0,
        bytes_up=1000,
        bytes_down=2000,
    )


def _page(*variants):
    return Page(compare_html(SideBySide("optimiser", 0.9, variants, {})))


def test_table_files_and_page_agree(tmp_path):
    done = invoke(*QUICK, "--optimisers", "sgd, adam", "--target", 0.99, "--output", tmp_path / "a")
    lines = done.output.splitlines()
    content = json.loads((tmp_path / "a" / "compare.json").read_text())
    page = (tmp_path / "a" / "compare.html").read_text()

    assert 0 == done.exit_code, done.output
    assert "\x1b" not in done.output
    assert ["optimiser", "final", "best", "to", "99%", "seconds", "MB", "up", "MB", "down"] == (
        lines[0].split()
    )
    assert {"compare.html", "compare.json"} == {path.name for path in (tmp_path / "a").iterdir()}
    assert ("optimiser", 0.99) == (content["setting"], content["target"])
    assert {"secagg", "python", "numpy", "torch", "scikit-learn"} == {*content["versions"]}
    for name, line, each in zip(("sgd", "adam"), lines[1:3], content["variants"], strict=True):
        final, best, reached, _, up, down = line.split()[1:]

        assert name == line.split()[0] == each["name"] == each["settings"]["optimiser"]
        assert 2 == len(each["accuracy"])
        assert f"{each['accuracy'][-1]:.3f}" == final == f"{each['final_accuracy']:.3f}"
        assert f"{max(each['accuracy']):.3f}" == best
        assert "-" == reached
        assert each["rounds_to_target"] is None
        assert [f"{each[key] / 1e6:.3f}" for key in ("bytes_up", "bytes_down")] == [up, down]
        assert final in page


def test_schemes_stand_side_by_side(tmp_path):
    names = ["masks", "lattice", "ckks", "auto", "plain"]
    done = invoke(*QUICK, "--schemes", ",".join(names), "--target", 0.6, "--output", tmp_path)
    lines = [line.split() for line in done.output.splitlines()[1:6]]
    masks, lattice, ckks, auto, plain = lines
    page = (tmp_path / "compare.html").read_text()
    written = json.loads((tmp_path / "compare.json").read_text())["variants"]

    assert 0 == done.exit_code, done.output
    assert names == [line[0] for line in lines]
    assert masks[1:3] == auto[1:3]
    assert masks[3].isdigit()
    assert float(ckks[5]) > float(lattice[5]) > float(masks[5]) > float(plain[5])
    assert [*names[:3], "masks", "plain"] == [each["scheme"] for each in written]
    assert "auto: Masks: 8 keystreams for 4 gateways" in page


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "use exactly one of --optimisers, --servers, --schemes, --losses"),
        (["--losses", "mse,bce", "--schemes", "masks,plain"], "exactly one of"),
        (["--optimisers", "sgd"], "name two or more different ones"),
        (["--optimisers", "sgd,,adam"], "optimiser '': use one of sgd, adam, adagrad"),
        (["--losses", "mse,mse"], "name two or more different ones"),
        (["--servers", "fedavg,nadam"], "fedavg, fedavgm, fedadam, fedyogi"),
        (["--optimisers", "sgd,lion"], "sgd, adam, adagrad"),
        (["--schemes", "masks,hope"], "masks, lattice, ckks, auto, plain"),
        (["--losses", "mse,hinge"], "cross-entropy, bce, mse"),
        (["--optimisers", "sgd,adam", "--target", "0"], "above 0, at most 1"),
        (["--optimisers", "sgd,adam", "--target", "nan"], "above 0, at most 1"),
        (["--optimisers", "sgd,adam", "--target", "most"], "Invalid value for '--target'"),
        (["--optimisers", "sgd,adam", "--rounds", "0"], "1 to 10000"),
        (["--schemes", "masks,plain", "--scheme", "ckks"], "scheme ckks: it is what varies"),
        (["--optimisers", "sgd,adam", "--output", "/dev/null"], "is a file: name a directory"),
    ],
)
def test_a_comparison_that_cannot_be_is_one_line(arguments, said):
    done = invoke(*QUICK, *arguments)

    assert 2 == done.exit_code
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert 1 == done.stderr.count("\n")
    assert "" == done.stdout


def test_every_axis_varies_a_setting():
    for axis, setting in AXES.items():
        values = {"loss": "mse,bce", "optimiser": "sgd,adam", "scheme": "masks,plain"}
        values["server"] = "fedavg,fedyogi"
        varied, runs = planned(Settings(task="threshold"), {axis: values[setting]}, 0.9)

        assert setting == varied
        assert values[setting].split(",") == [
            getattr(each.settings, setting) for each in runs.values()
        ]


def test_the_page_names_the_best_and_the_first():
    page = _page(_variant("slow", 0.5, 0.6, 0.98), _variant("quick", 0.5, 0.91, 0.92))
    text = page.text

    assert 1 == page.tags.count("svg")
    assert "threshold: 2 optimisers compared" in text
    assert "Highest final accuracy slow 98.0%" in text
    assert "First to 90% quick in round 2" in text
    assert "Between best and worst 6.0 percentage points" in text


def test_the_page_names_nobody_where_all_are_alike():
    text = _page(_variant("one", 0.5, 0.8), _variant("other", 0.6, 0.8)).text

    assert "Highest final accuracy all the same 80.0%" in text
    assert "First to 90% none not in these rounds" in text
    assert "Least sent all the same 1 KB" in text
    text = _page(_variant("one", 0.91, 0.95), _variant("other", 0.92, 0.96)).text

    assert "First to 90% all the same in round 1" in text


def test_names_are_text():
    many = [_variant(f"{HOSTILE}{number}", 0.5, 0.8) for number in range(9)]
    page = _page(*many)

    assert all(each.name in page.text for each in many)
    assert page.html == _page(*many).html
