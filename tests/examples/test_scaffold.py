from __future__ import annotations

from pathlib import Path

import pytest

from examples import scaffold
from examples.scaffold import Federation
from secagg.fixed_point import clip_of


def test_it_is_short():
    assert len(Path(scaffold.__file__).read_text(encoding="utf-8").splitlines()) < 100


def test_it_prints_both_and_is_ahead_where_data_is_uneven(capsys):
    scaffold.main(rounds=6)
    lines = [line.replace(",", "").split() for line in capsys.readouterr().out.splitlines()]
    ours, theirs = ([float(line[place]) for line in lines] for place in (3, 5))

    assert [f"{number}:" for number in range(1, 7)] == [line[1] for line in lines]
    assert ours[0] == theirs[0]
    assert ours[-1] > 0.75
    assert ours[-1] > theirs[-1] + 0.05


def test_the_control_of_the_server_is_the_mean_of_the_gateways():
    federation = Federation(controlled=True)
    for number, vanish in enumerate([{}, {3: "masked_input"}, {5: "unmasking"}], start=1):
        federation.round(number, vanish)
        sites = federation.sites
        for key, control in federation.control.items():
            mean = sum(site.control[key].double() for site in sites) / len(sites)

            # c itself is float32, and stays well below 1.
            assert (control.double() - mean).abs().max() <= federation.bound + number * 1e-7
    assert any(value.abs().max() > 0.01 for value in federation.control.values())


def test_without_controls_it_is_fedavg():
    federation = Federation(controlled=False)
    states = [
        {"train": site.train(federation.model.state_dict(), federation.control)["model"]}
        for site in Federation(controlled=False).sites
    ]
    federation.round(1)
    for key, value in federation.model.state_dict().items():
        mean = sum(state["train"][key].double() for state in states) / len(states)

        assert (value.double() - mean).abs().max() <= federation.bound + 1e-6
    assert all(not value.any() for site in federation.sites for value in site.control.values())


def test_model_and_control_have_a_clip_each():
    federation = Federation(controlled=True)
    tree = {"model": federation.model.state_dict(), "control": federation.control}
    vectors = federation.average.plan(tree, 10).vectors[:2]
    clips = [clip_of(vector, max_weight=1.0) for vector in vectors]

    # In the order of the clips that were given; encoding adds a little room.
    assert ["update/0", "update/1"] == [vector.name for vector in vectors]
    assert [2.0, 1.0] == pytest.approx(clips, rel=1e-3)
