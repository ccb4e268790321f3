"""Rounds of many gateways: exact, the same again, never all updates at once, cut into shards."""

from __future__ import annotations

import importlib.util
import sys
import weakref
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from protocol_sim import scale, shards
from protocol_sim.large_parties import (
    INPUT_BLOCK,
    TOP,
    LargeParties,
    MeasuredExchange,
    Part,
    vanishing,
)
from protocol_sim.model.traffic import shape_of
from secagg.errors import ConfigurationError
from secagg.fixed_point.encode import work_dtype
from secagg.fixed_point.layout import fraction_bits
from secagg.fixed_point.reference import unpack
from secagg.schemes import BY_NAME, scheme_of
from secagg.schemes.masks import Masks
from secagg.session.update import Update

NAMES = tuple(BY_NAME)


def crowded(scheme="masks", gateways=6, coordinates=20, **options):
    parties = LargeParties(gateways, scheme_of(scheme), seed=3, coordinates=coordinates)
    settings = parties.settings()
    return MeasuredExchange(parties, watched=["g0"], settings=settings, **options)


@pytest.mark.parametrize(
    ("scheme", "gateways", "dropout"),
    [(scheme, 10, 0.2) for scheme in NAMES] + [("masks", 66, 0.09), ("lattice", 66, 0.09)],
)
def test_the_sum_is_exact_whoever_vanishes(scheme, gateways, dropout):
    measured = scale.play(gateways, 3000, dropout, scheme, seed=1)

    vanish = vanishing(gateways, dropout, scheme_of(scheme), 1, measured.thresholds)
    assert (measured.verdict.outcome, measured.verdict.violation) == ("sum", "")
    assert measured.verdict.dropped.keys() <= vanish.keys()
    assert len(vanish) == round(dropout * gateways)
    assert len(measured.verdict.included) >= gateways - measured.thresholds.max_dropouts


def test_same_seed_same_transcript():
    first, again, other = (scale.play(8, 500, 0.2, "lattice", seed) for seed in (5, 5, 6))

    assert (again.transcript, again.sums) == (first.transcript, first.sums)
    assert other.transcript != first.transcript


@pytest.mark.deep
@pytest.mark.parametrize("scheme", ["masks", "lattice"])
def test_a_thousand_gateways_twice(scheme):
    first, again = (scale.play(1000, 100_000, 0.05, scheme, seed=1) for _ in range(2))

    assert (first.verdict.outcome, first.verdict.violation) == ("sum", "")
    assert len(first.verdict.included) >= 950
    assert (again.transcript, again.sums) == (first.transcript, first.sums)


def test_the_oracle_sees_one_unit_of_one_gateway():
    session = crowded().play()
    assert session.verdict.violation == ""
    units = session.parties.units

    def off(name):
        found = units(name)
        found[7] += name == "g4"
        return found

    session.parties.units = off

    assert "off by 1 units" in session.verdict.violation


@pytest.mark.parametrize("gateways", [3, 100])
@pytest.mark.parametrize("packing", [1, 2, 3])
def test_rounding_decides_nothing_about_the_inputs(packing, gateways):
    parties = LargeParties(gateways, Masks(packing=packing), seed=0, coordinates=999)
    settings = parties.settings()

    for name in ("g0", "g1", "g2"):
        lanes = {tuple(encoded(parties, settings, name, bytes([seed]) * 32)) for seed in range(3)}

        assert lanes == {tuple(parties.units(name).tolist())}
        assert 1 < np.abs(parties.units(name)).max() <= min(TOP, settings.vectors[0].limit)


@pytest.mark.parametrize("gateways", [3, 10, 64, 65, 300, 1000, 2000])
@pytest.mark.parametrize("packing", [1, 2, 3])
def test_inputs_lie_in_the_middle_of_their_step(packing, gateways):
    spec = shape_of("masks", gateways, 9, variant=Masks(packing=packing)).round.vectors[0]
    parties = LargeParties(7, Masks(packing=packing), seed=0, coordinates=9)
    parties.settings()
    parties._grid, parties.units = spec, lambda _name: np.arange(-TOP, TOP + 1)
    dtype, steps = work_dtype(spec), 2 ** fraction_bits(spec)

    for name in parties.ids:
        scaled = parties.update(name)["w"].astype(dtype) * dtype(
            parties.weight(name) * spec.scale * steps
        )

        assert (scaled.astype(np.int64) == steps * parties.units(name)).all()


def encoded(parties, settings, name, rounding):
    params = settings.round_params(None)
    fill = Update(
        params,
        len(settings.cohort),
        parties.update(name),
        weight=parties.weight(name),
        base=None,
        metrics=parties.metrics(name),
        rounding=rounding,
    ).source()
    words = np.empty(params.vectors[0].words, np.uint64)
    fill(0, 0, words)
    return unpack(params.vectors[0], words.tolist())[: params.vectors[0].length]


def test_inputs_off_the_grid_would_be_rounded():
    parties = LargeParties(5, Masks(), seed=0, coordinates=999)
    settings = parties.settings()
    step = 1 / (settings.vectors[0].scale * parties.weight("g1"))
    values = parties.update("g1")
    parties.update = lambda _name: values | {"w": values["w"] + np.float32(step / 2)}

    lanes = {tuple(encoded(parties, settings, "g1", bytes([seed]) * 32)) for seed in range(3)}

    assert len(lanes) == 3


@pytest.mark.parametrize("scheme", NAMES)
def test_updates_are_made_when_they_are_due(scheme):
    session = crowded(scheme, gateways=12)
    made, alive = [], []

    def update(name):
        tree = LargeParties.update(session.parties, name)
        made.append(weakref.ref(tree["w"]))
        alive.append(sum(each() is not None for each in made))
        return tree

    session.parties.update = update

    session.play()

    assert session.verdict.violation == ""
    assert len(made) == 12
    assert max(alive) <= 2


def test_headers_have_their_deadline_before_uploads_are_made():
    def spool():
        raise AssertionError("an upload goes through a file")

    vanish = {"g1": "masked_input", "g2": "header"}
    session = crowded(gateways=9, vanish=vanish, spool=spool, max_in_flight=2)

    session.play()

    assert session.verdict.violation == ""
    assert session.dropped == {"g1": ("masked_input", "SILENT"), "g2": ("masked_input", "VANISHED")}


def test_more_than_may_vanish_is_refused():
    limits = Masks().thresholds(10)

    assert len(vanishing(10, 0.3, Masks(), 0, limits)) == 3
    with pytest.raises(ConfigurationError, match=r"0 to 3 \(D\)"):
        vanishing(10, 0.4, Masks(), 0, limits)


def test_every_point_is_drawn():
    limits = Masks().thresholds(64)

    drawn = {
        point for seed in range(9) for point in vanishing(64, 0.3, Masks(), seed, limits).values()
    }

    steps = {step.name for step in Masks.steps}
    assert drawn == steps | {"header", "half", "last"}


def test_figures_of_a_round():
    measured = scale.play(7, 300, 1 / 7, "masks", seed=2)

    *_, beside, phases = measured.section().parts

    assert [phase.phase for phase in measured.phases] == [step.name for step in Masks.steps]
    assert min(measured.server, measured.gateway, measured.everybody, measured.wall) > 0
    assert measured.up > 8 * 100 > 0 < measured.plain_server
    assert f"{measured.plain_server:.3f}" == beside.rows[1][2]
    assert [step.name for step in Masks.steps] == [name for name, *_ in phases.rows]


# -- shards ----------------------------------------------------------------------------------------

D = 3 * INPUT_BLOCK - 5


@pytest.mark.parametrize("scheme", ["masks", "lattice"])
def test_shards_give_the_same_sum(scheme):
    whole = scale.play(6, D, 1 / 6, scheme, seed=8)

    cut = [shards.play(6, D, 1 / 6, scheme, seed=8, shards=count) for count in (1, 2, 3)]

    assert [each.sum for each in cut] == [whole.sum] * 3
    assert cut[0] == replace(whole, **measured_anew(cut[0]))
    assert {each.verdict.included for each in cut} == {whole.verdict.included}
    assert [(each.coordinates, each.shards) for each in cut] == [(D, 1), (D, 2), (D, 3)]
    assert len({each.transcript for each in cut}) == 3
    assert cut[2].up > cut[1].up > cut[0].up


def measured_anew(measured):
    names = ("wall", "phases", "everybody", "plain_server", "plain_gateway")
    return {name: getattr(measured, name) for name in names}


def test_an_executor_plays_tasks_in_any_order():
    def backwards(tasks):
        return [task() for task in reversed(tasks)][::-1]

    here, there = (
        shards.play(5, D, 0.0, "masks", seed=8, shards=3, executor=executor)
        for executor in (shards.here, backwards)
    )

    assert (there.sum, there.transcript) == (here.sum, here.transcript)


def test_shards_in_another_order_or_over_other_sets_are_noticed():
    played = shards.here(
        [partial(scale.play, 5, D, seed=8, part=part) for part in shards.cut(D, 2)]
    )
    other = replace(played[1], verdict=replace(played[1].verdict, included=("g0", "g1", "g2")))
    wrong = replace(played[1], verdict=replace(played[1].verdict, violation="off"))

    assert shards.merged(played[::-1]).sum != shards.merged(played).sum
    assert "different sets" in shards.merged([played[0], other]).verdict.violation
    assert shards.merged([played[0], wrong]).verdict.violation == "off"


def test_parts_cover_the_coordinates():
    parts = shards.cut(D, 2)

    assert parts == (Part(1, 0, INPUT_BLOCK), Part(2, INPUT_BLOCK, D))
    for count in (0, 4):
        with pytest.raises(ConfigurationError, match="use 1 to 3"):
            shards.cut(D, count)


def test_inputs_of_a_part_are_those_of_the_whole():
    whole = LargeParties(4, Masks(), seed=0, coordinates=D)
    part = LargeParties(4, Masks(), seed=0, coordinates=D, part=Part(2, INPUT_BLOCK, D - 9))
    for parties in (whole, part):
        parties.settings()

    assert np.array_equal(part.units("g2"), whole.units("g2")[INPUT_BLOCK : D - 9])


def test_without_ray_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)

    with pytest.raises(ConfigurationError, match=r"pip install '\.\[ray\]'"):
        shards.on_ray([])


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra `ray`")
def test_ray_gives_the_same_sum():
    here, there = (
        shards.play(5, D, 0.2, "masks", seed=8, shards=2, executor=executor)
        for executor in (shards.here, shards.on_ray)
    )

    assert (there.sum, there.transcript) == (here.sum, here.transcript)
