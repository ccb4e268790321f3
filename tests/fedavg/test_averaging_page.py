"""docs/averaging.md: its form, and what it says a user could do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from fedavg.plain import weighted_mean
from fedavg.settings import Settings
from secagg import SecureAverage
from secagg.schemes.auto import VANISHING, WORTH, choose

PAGE = Path(__file__).parents[2] / "docs" / "averaging.md"


def test_every_section_says_symptom_what_is_done_and_what_to_do():
    _, *sections = PAGE.read_text(encoding="utf-8").split("\n## ")

    assert 14 == len(sections)
    for section in sections:
        assert ["Symptom", "Here", "Do"] == re.findall(r"^- \*\*(\w+)\*\*", section, re.MULTILINE)


def test_options_it_names_are_settings():
    options = set(re.findall(r"--([a-z]+)", PAGE.read_text(encoding="utf-8"))) - {"override"}

    assert {"server", "split", "alpha", "scheme"} == options <= set(Settings.__slots__)


def test_the_rule_of_auto_is_that_of_the_code():
    text = " ".join(PAGE.read_text(encoding="utf-8").split())

    assert f"at most {WORTH} keystreams" in text
    assert f"one gateway in {('ten', '?')[VANISHING != 10]} vanishing" in text
    few, many = (choose(n, 10**6).scheme.name for n in (29, 30))
    assert ("masks", "lattice") == (few, many)
    assert "from 30 gateways on" in text


def test_what_is_not_selected_keeps_the_value_of_the_base():
    base = {"w": torch.ones(2), "bn.running_var": torch.full((2,), 27.0)}
    updates = {
        n: {"w": torch.full((2,), 1.0 + n), "bn.running_var": torch.zeros(2)} for n in range(3)
    }
    mean = (
        SecureAverage(clip=3.0, select=lambda key: "running" not in key)
        .run(updates, base=base)
        .mean
    )

    assert [27.0, 27.0] == mean["bn.running_var"].tolist()
    assert [2.0, 2.0] == pytest.approx(mean["w"].tolist(), abs=1e-3)


def test_fednova_is_three_lines():
    draw = torch.Generator().manual_seed(0)
    base = {"w": torch.zeros(4)}
    steps, weights = {0: 2, 1: 5, 2: 50}, {0: 1.0, 1: 3.0, 2: 2.0}
    states = {i: {"w": t * torch.rand(4, generator=draw)} for i, t in steps.items()}
    updates = {i: {"w": base["w"] + (states[i]["w"] - base["w"]) / steps[i]} for i in steps}
    result = SecureAverage(clip=1.0, max_weight=4).run(
        updates, weights, base=base, metrics={i: {"work": weights[i] * steps[i]} for i in steps}
    )
    work = result.metrics["work"] / result.total_weight
    moved = base["w"] + work * (result.mean["w"] - base["w"])

    # Wang et al. 2020: tau_eff * sum p_i d_i, d_i the change over t_i, tau_eff = sum p_i t_i.
    share = {i: weight / 6 for i, weight in weights.items()}
    effective = sum(share[i] * steps[i] for i in steps)
    expected = effective * sum(share[i] * states[i]["w"] / steps[i] for i in steps)
    assert expected.tolist() == pytest.approx(moved.tolist(), abs=effective * 1e-3)
    # Plain FedAvg goes elsewhere.
    assert not torch.allclose(weighted_mean(states, weights, base)["w"], moved, rtol=0.05)
