"""The byte formulas to the byte, the operation counts to the operation, the fit to known units."""

from __future__ import annotations

import pstats
from collections import Counter
from cProfile import Profile
from functools import lru_cache, partial
from pathlib import Path

import pytest

from protocol_sim import phase_costs, scale
from protocol_sim.large_parties import vanishing
from protocol_sim.model import costs, sizes, traffic, units
from protocol_sim.model.costs import Cost, Model
from protocol_sim.model.counts import gateway_counts, server_counts, survivors
from protocol_sim.model.traffic import Shape, exchanged, limits_of, shape_of, total
from secagg.canonical import encode
from secagg.protocol import prekeys
from secagg.protocol.certificate import Consistency
from secagg.schemes import scheme_of
from secagg.schemes.additive import Ckks, Lattice
from secagg.schemes.masks import Masks

PLAYED = [
    (Masks(), 10, 3000),
    (Masks(packing=1), 66, 100_000),
    (Lattice(), 12, 3000),
    (Lattice(modulus=2**40), 101, 500),
    (Ckks(ring_degree=4096), 12, 3000),
    (Ckks(), 66, 900),
]
"""Complete graph and circulant, whole and partial committee, ids of one to three digits, uploads
of one frame and of several."""


@lru_cache
def played(variant, gateways, coordinates):
    """A round in which everybody is there, and the public-key operations of its parties."""
    prekeys._verified.cache_clear()  # two schemes sign the same prekeys: counted in both
    profiles = {"watched": Profile(), "server": Profile()}
    timed = phase_costs.PhaseCosts.timed

    def profiling(self, phase, who, work):
        called = partial(profiles[who].runcall, work) if who in profiles else work
        return timed(self, phase, who, called)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(phase_costs.PhaseCosts, "timed", profiling)
        measured = scale.play(gateways, coordinates, 0.0, variant.name, seed=2, variant=variant)
    return measured, {who: operations(profile) for who, profile in profiles.items()}


def operations(profile):
    counts = Counter()
    for (file, _, function), (_, calls, *_) in pstats.Stats(profile).stats.items():
        if Path(file).name == "signing.py" and function in {"sign", "verify"}:
            counts[function] += calls
        if "method 'exchange' of" in function or (
            Path(file).name == "agreement.py" and function == "public_key"
        ):
            counts["agree"] += calls
    return dict(counts)


# -- bytes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("variant", "gateways", "coordinates"), PLAYED, ids=str)
def test_bytes_by_formula_are_those_of_sessions(variant, gateways, coordinates):
    phases = played(variant, gateways, coordinates)[0].phases

    found = exchanged(shape_of(variant.name, gateways, coordinates, variant=variant))

    assert [each.phase for each in found] == [each.phase for each in phases]
    assert [each.up for each in found] == pytest.approx([each.up for each in phases], abs=1e-6)
    assert [each.down for each in found] == pytest.approx([each.down for each in phases], abs=1e-6)


@pytest.mark.parametrize("name", ["masks", "lattice"])
def test_another_size_has_other_bytes(name):
    shapes = [shape_of(name, *size) for size in ((80, 1000), (81, 1000), (80, 1003))]

    whole = [tuple(total(exchanged(shape), up=up) for up in (True, False)) for shape in shapes]

    assert len(set(whole)) == 3


@pytest.mark.parametrize("count", [1, 9, 128, 129, 300, 70_000])
@pytest.mark.parametrize("first", [0, 5, 200])
def test_mean_sizes_of_numbers_and_names(count, first):
    if first >= count:
        return
    numbers = [len(encode((i,))) - 1 for i in range(first, count)]
    names = [len(encode((f"g{i}",))) - 1 for i in range(first, count)]

    assert sizes.mean_number(count, first) == pytest.approx(sum(numbers) / len(numbers))
    assert sizes.mean_name(count, first) == pytest.approx(sum(names) / len(names))


@pytest.mark.parametrize("size", [0, 255, 256, 65535, 65536])
def test_sizes_of_strings_and_arrays(size):
    assert sizes.blob(size) == len(encode((bytes(size),))) - 1
    assert sizes.items(size, 1) == len(encode((None,) * size))


def test_size_of_a_struct():
    body = Consistency(session=bytes(16), h3=bytes(32))

    assert len(encode(body)) == 1 + sizes.blob(16) + sizes.HASH


@pytest.mark.parametrize("scheme", [Masks(), Lattice()], ids=["masks", "lattice"])
@pytest.mark.parametrize("gateways", [70, 100, 333, 1000, 2047])
@pytest.mark.parametrize("limit", [None, 9])
def test_thresholds_above_the_largest_cohort_go_on_as_below(scheme, gateways, limit, monkeypatch):
    usual = limits_of(scheme, gateways, limit, limit)
    monkeypatch.setattr(traffic, "MAX_KEYS", 64)

    assert limits_of(scheme, gateways, limit, limit) == usual


# -- counted operations ----------------------------------------------------------------------------


@pytest.mark.parametrize(("variant", "gateways", "coordinates"), PLAYED, ids=str)
def test_public_key_operations_are_those_of_sessions(variant, gateways, coordinates):
    counted = played(variant, gateways, coordinates)[1]
    shape = shape_of(variant.name, gateways, coordinates, variant=variant)

    for who, count, parties in (
        ("watched", gateway_counts(shape), scale.WATCHED),
        ("server", server_counts(shape), 1),
    ):
        expected = {each: parties * count[each] for each in ("sign", "verify", "agree")}
        assert counted[who] == pytest.approx(expected)


@pytest.mark.parametrize("name", ["masks", "lattice"])
def test_who_is_left_in_the_mean(name):
    scheme, dropout = scheme_of(name), 0.1
    gone = [vanishing(100, dropout, scheme, seed, scheme.thresholds(100)) for seed in range(200)]
    places = [point for each in gone for point in each.values()]
    after = {"consistency", "unmasking", "answer"}

    left = survivors(name, dropout)

    expected = 1 - dropout * sum(point not in after for point in places) / len(places)
    assert left.included == pytest.approx(expected, abs=0.01)
    assert left.answered == pytest.approx(1 - dropout)
    assert left.dealt >= left.included >= left.answered


# -- seconds ---------------------------------------------------------------------------------------

WANTED = ("record", "message")
KNOWN = {"sign": 2e-5, "verify": 7e-5}
COUNTS = [
    {"sign": 5, "verify": v, "record": r, "message": 5} for v, r in ((9, 4), (30, 9), (70, 50))
]


def test_the_fit_finds_what_records_and_messages_cost():
    costs_ = KNOWN | {"record": 3e-6, "message": 1e-4}
    seconds = [sum(count[name] * costs_[name] for name in count) for count in COUNTS]

    assert costs._fitted(WANTED, KNOWN, COUNTS, seconds) == pytest.approx(costs_)


def test_a_unit_is_never_negative():
    costs_ = KNOWN | {"record": -3e-6, "message": 1e-3}
    seconds = [sum(count[name] * costs_[name] for name in count) for count in COUNTS]

    found = costs._fitted(WANTED, KNOWN, COUNTS, seconds)

    assert found["record"] == 0
    assert found["message"] > 0


@pytest.mark.parametrize("name", ["masks", "lattice", "ckks"])
def test_a_model_has_every_unit_that_is_counted(name):
    model = costs.calibrate(name, gateways=(5, 9), repeats=1)
    shape = shape_of(name, 100, 5000)

    assert gateway_counts(shape).keys() <= model.gateway.keys()
    assert server_counts(shape).keys() <= model.server.keys()
    assert min(*model.gateway.values(), *model.server.values()) >= 0
    parts = model.parts(shape, 0.05).values()
    cost = model.cost(shape, 0.05)
    assert sum(gateway for gateway, _ in parts) == pytest.approx(cost.gateway)
    assert sum(server for _, server in parts) == pytest.approx(cost.server)


def test_units_are_measured_once_each():
    assert units.measure("masks", repeats=1).keys() == {
        "sign", "verify", "agree", "coordinate", "word", "entry", "stream", "field",
    }  # fmt: skip


def flat_model(name):
    shape = shape_of(name, 100, 5000)
    each = dict.fromkeys([*gateway_counts(shape), *server_counts(shape)], 1e-6)
    return Model(name, each, each)


@pytest.mark.parametrize("name", ["masks", "lattice", "ckks"])
@pytest.mark.parametrize("limit", [None, 100])
def test_curves_rise_up_to_a_million(name, limit):
    curve = costs.curve(flat_model(name), 100_000, 0.05, limit=limit)

    assert curve.gateways[-1] == 10**6
    assert len(curve.costs) == len(curve.gateways) >= 4
    for part in ("server", "down"):
        values = [getattr(cost, part) for cost in curve.costs]
        assert values == sorted(values)


def test_fixed_limits_keep_a_gateway_small():
    fixed = costs.curve(flat_model("masks"), 100_000, limit=100).costs[-1]
    growing = costs.curve(flat_model("masks"), 100_000).costs[-1]

    assert fixed.up < 2 * 8 * 100_000 < growing.up


def test_errors_are_relative_to_what_was_measured():
    compared = costs.Compared(9, Cost(2.0, 0.5, 100, 80), Cost(1.0, 0.6, 100, 80))

    assert [compared.error(name) for name in ("server", "gateway", "up")] == pytest.approx(
        [-0.5, 0.2, 0]
    )


def test_a_report_stands_beside_what_ran():
    model = costs.calibrate("masks", gateways=(5, 9), repeats=1)
    rounds = [scale.play(n, 800, 0.1) for n in (10, 20)]
    curves = tuple(costs.curve(model, 800, 0.1, limit=limit) for limit in (None, 100))
    found = costs.Report(model, 800, 0.1, costs.compare(model, rounds), curves)

    _, _, *formulas = found.section().parts

    assert [each.gateways for each in found.compared] == [10, 20]
    assert all(abs(each.error("up")) < 0.05 for each in found.compared)
    assert [each.rows[-1][0] for each in formulas[1::2]] == ["1,000,000"] * 2
    assert "C = D = 100" in formulas[2]
    assert isinstance(shape_of("masks", 10, 800), Shape)
