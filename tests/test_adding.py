"""A new scheme is named in three files and a new task in two: everything else finds them there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fedavg
import secagg

pytestmark = pytest.mark.xdist_group("adding")
SCHEME = {
    "secagg/schemes/toy.py": '''"""Masks with a name of their own."""

from secagg.schemes.masks import Masks
from secagg.schemes.masks.client import MasksClient


class ToyClient(MasksClient):
    def __init__(self, session, context):
        super().__init__(session, context)
        self._scheme = "toy"


class Toy(Masks):
    name = "toy"
    best_for = "showing what a scheme needs"

    def client(self, session, context):
        return ToyClient(session, context)
''',
    "secagg/schemes/__init__.py": {
        "import Masks\n": "import Masks\nfrom secagg.schemes.toy import Toy\n",
        "(Masks, Lattice, Ckks)": "(Masks, Lattice, Ckks, Toy)",
    },
    "secagg/__init__.py": {
        "import Masks\n": "import Masks\nfrom secagg.schemes.toy import Toy\n",
        '"UpdateDue",\n': '"Toy",\n    "UpdateDue",\n',
    },
}
TASK = {
    "fedavg/tasks/toy.py": '''"""The threshold task with a name of its own."""

from fedavg.tasks.threshold import THRESHOLD

TOY = THRESHOLD._replace(summary="a toy")
''',
    "fedavg/tasks/__init__.py": {"TASKS: Final = {\n": 'TASKS: Final = {\n    "toy": "toy.TOY",\n'},
}


@pytest.fixture(scope="module")
def house(tmp_path_factory) -> Path:
    """A copy of the products with a scheme and a task more."""
    place = tmp_path_factory.mktemp("house")
    for package in (secagg, fedavg):
        source = Path(package.__file__).parent
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, place / source.name, ignore=ignored)
    for name, made in (SCHEME | TASK).items():
        if isinstance(made, str):
            (place / name).write_text(made)
            continue
        text = (place / name).read_text()
        for before, after in made.items():
            assert 1 == text.count(before), f"{before!r} in {name}"
            text = text.replace(before, after)
        (place / name).write_text(text)
    return place


def python(house: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        check=False,
        cwd=house,
        env=os.environ | {"PYTHONPATH": str(house)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def test_a_scheme_is_named_in_three_files_and_a_task_in_two():
    assert 3 == len(SCHEME)
    assert 2 == len(TASK)


def test_a_new_scheme_is_planned(house):
    plan = ("-m", "secagg", "plan")
    asked = ("--gateways", "5", "--coordinates", "100", "--scheme")

    masks, toy = (python(house, *plan, *asked, name) for name in ("masks", "toy"))
    assert masks == toy.replace("scheme             toy", "scheme             masks")
    assert "toy" in python(house, *plan, "--help")


ROUND = """
import os
from functools import partial

import numpy as np

import secagg
from secagg import ClientSession, Identity, MemoryJournal, Policy, Roster, SecureAverage
from secagg.session.loopback import Loopback

states = {i: {"w": np.full(2, i / 5)} for i in range(4)}
average = SecureAverage(clip=1.0, scheme=secagg.Toy())
print(np.round(average.run(states).mean["w"], 1))

orchestrator, *gateways = [Identity.generate(i, os.urandom) for i in ("server", *states)]
roster = Roster.of(1, orchestrator, gateways)
settings = average.params(list(states), states[0], round=1)
server = secagg.ServerSession(settings, roster, orchestrator)
policy = Policy(require_model=False)
clients = {each.id: ClientSession(each, roster, policy, MemoryJournal()) for each in gateways}
loop = Loopback(server, clients, lambda name: partial(clients[name].upload, states[name]))
loop.run()
print(np.round(server.result.mean(states[0])["w"], 1))
"""


def test_a_new_scheme_averages_and_every_gateway_speaks_it(house):
    assert 2 * "[0.3 0.3]\n" == python(house, "-c", ROUND)


def test_a_new_scheme_and_a_new_task_train(house):
    said = python(house, "-m", "fedavg", "run", "--scheme", "toy", "--task", "toy", "--rounds", "1")

    assert "toy" in said
