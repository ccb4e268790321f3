"""What a person sees who prints an object: short, readable, nothing private and no model."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

import secagg
from secagg import Federation, MemoryJournal, Model, SecureAverage, SQLiteJournal, Workers
from secagg.cli import app
from secagg.params import NO_MODEL
from tests.arguments.calls import ROSTER, base, clients, finished, tree, updates
from tests.arguments.values import MARKS


def result():
    return finished()[1]


SHOWN = {
    "Plan": (lambda: result().report.plan, "Plan(masks, 3 gateways, 11 coordinates)"),
    "Report": (lambda: result().report, "Report(round 1, masks)"),
    "Result": (result, "Result(3 arrays, of 3 of 3 gateways)"),
    "AuditRecord": (lambda: result().report.audit, "AuditRecord(round 1)"),
    "SecureAverage": (
        lambda: SecureAverage(clip=1),
        "SecureAverage(clip=1.0, scheme=Masks(packing=None, neighbours=None))",
    ),
    "ServerSession": (lambda: finished()[0], "ServerSession(round 1, done, 3 gateways)"),
    "ClientSession": (lambda: clients()["g1"], "ClientSession('g1', new)"),
    "SessionSettings": (
        lambda: finished()[0].settings,
        "SessionSettings(round 1, masks, 3 gateways)",
    ),
    "Aggregate": (lambda: finished()[0].result, "Aggregate(3 of 3 gateways)"),
    "Roster": (lambda: ROSTER, "Roster(epoch 1, 3 gateways)"),
    "Federation": (
        lambda: Federation(roster=ROSTER, round=4),
        "Federation(Roster(epoch 1, 3 gateways), round 4)",
    ),
    "Model": (lambda: Model(None), f"Model({NO_MODEL.hex()[:16]})"),
    "Workers": (lambda: Workers(2), "Workers(2)"),
    "MemoryJournal": (MemoryJournal, "MemoryJournal()"),
}


@pytest.mark.parametrize("name", SHOWN)
def test_an_object_is_shown_in_one_line(name):
    make, text = SHOWN[name]
    made = make()

    assert text == repr(made)
    assert not [mark for mark in MARKS if mark in f"{made}"]


def test_a_journal_shows_its_file(tmp_path):
    with SQLiteJournal(tmp_path / "j", create=True) as journal:
        assert repr(journal) == "SQLiteJournal('j')"


def test_a_result_says_who_is_in_it_and_who_is_not():
    names = range(9)
    given = {name: tree() for name in names}
    average = SecureAverage(clip=1.0, max_weight=4, clipping="saturate")
    given[2]["layer"]["b"][0] = 5.0
    told = {name: {"loss": 0.5} for name in names}
    round_ = average.run(given, base=base(), metrics=told, vanish={3: "masked_input"})

    assert str(round_).splitlines()[:5] == [
        "mean               3 arrays, of 8 of 9 gateways",
        "total weight       8",
        "metric loss        4",
        "dropped            3 in masked_input (silent)",
        "round              1, masks",
    ]
    assert "beyond a bound     1 coordinates" in str(round_.report)
    assert str(round_).endswith(str(round_.report).split("\n", 1)[1])


def test_a_lattice_plan_says_who_holds_the_shares():
    planned = SecureAverage(clip=1.0, scheme=secagg.Lattice()).plan({"w": updates()["g1"]}, 100)

    assert "committee m        93" in str(planned)
    assert "integers           up to" in str(planned)


def test_a_plan_is_the_table_of_the_command():
    done = CliRunner().invoke(app, ["plan", "--gateways", "10", "--coordinates", "5"])
    planned = SecureAverage(clip=1.0).plan({"update": base()["layer"]["b"].repeat(2)[:5]}, 10)

    assert str(planned) == done.output.rstrip("\n")
