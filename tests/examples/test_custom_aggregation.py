from __future__ import annotations

import numpy as np
import pytest
import torch

from examples import custom_aggregation
from examples.custom_aggregation import within

STATE = {"w": torch.tensor([1.0, 2.0]), "n": torch.tensor(3)}
SUMS = {"w": np.array([6.0, 8.0]), "n": np.array(4.0)}


@pytest.mark.parametrize(("radius", "part"), [(10.0, 1.0), (5.0, 1.0), (1.0, 0.2)])
def test_a_step_ends_at_the_radius(radius, part):
    after = within(radius, SUMS, 2.0, STATE)

    # The mean is (3, 4) away: a distance of 5.
    assert [1 + 3 * part, 2 + 4 * part] == pytest.approx(after["w"].tolist())
    assert 5 == after["n"].item()


def test_no_step_is_no_error():
    after = within(1.0, {"w": np.zeros(2), "n": np.array(0.0)}, 2.0, STATE)

    assert STATE["w"].equal(after["w"])


def test_it_trains_within_its_radius_and_every_run_prints_the_same(capsys, monkeypatch):
    states = []
    monkeypatch.setattr(
        custom_aggregation, "within", lambda *given: states.append(within(*given)) or states[-1]
    )
    for rounds in (3, 1):
        custom_aggregation.main(rounds, radius=2.0)
    lines = capsys.readouterr().out.splitlines()
    moved = [float(line.split()[-1]) for line in lines]
    accuracy = [float(line.split()[2].rstrip(",")) for line in lines]

    assert max(moved) <= 2.0
    assert accuracy[2] > 0.85
    assert lines[0] == lines[3]
    assert all(value.equal(states[0][key]) for key, value in states[3].items())
