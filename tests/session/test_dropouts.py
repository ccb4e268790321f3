"""Every subset of gateways that vanish at every point: the exact sum, or BelowThreshold."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping

import pytest

from protocol_sim.memory import Exchange, points
from protocol_sim.parties import Parties
from secagg.errors import BelowThreshold
from secagg.params import Thresholds
from secagg.schemes.masks import Masks
from secagg.thresholds import derive

POINTS = tuple(points(Masks(), derive(4), frames=4))
STEPS = tuple(step.name for step in Masks.steps)
PHASE_OF = dict(zip(POINTS, POINTS, strict=True)) | dict.fromkeys(
    ("header", "half", "last"), "masked_input"
)
WHEN = ("advertise_keys", "share_keys", "masked_input", "half", "consistency", "unmasking")
"""Points in pairs; "header" and "last" differ from "half" only in the number of frames."""


def patterns(gateways: int, most: int, points: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """All ways in which at most that many of the gateways vanish."""
    ids = Parties(gateways).ids
    for count in range(most + 1):
        for gone in itertools.combinations(ids, count):
            for when in itertools.product(points, repeat=count):
                yield dict(zip(gone, when, strict=True))


def predicted(
    limits: Thresholds, ids: tuple[str, ...], vanish: Mapping[str, str]
) -> tuple[tuple[str, ...] | None, tuple[int, int, str] | None]:
    """The included set, or what BelowThreshold says: docs/protocol.md#exchanges-of-masks retold."""
    sharing = max(limits.min_included, limits.quorum, limits.share_threshold)
    including = max(limits.min_included, limits.quorum, limits.gateways - limits.max_dropouts)
    floors = (sharing, sharing, including, limits.quorum, 0)
    alive, included = set(ids), set()
    for phase, floor in zip(STEPS, floors, strict=True):
        alive -= {name for name, point in vanish.items() if PHASE_OF[point] == phase}
        if len(alive) < floor:
            return None, (len(alive), floor, phase)
        if phase == "masked_input":
            included = set(alive)
    if alive != included and len(alive) < limits.share_threshold:
        return None, (len(alive), limits.share_threshold, "unmasking")
    return tuple(name for name in ids if name in included), None


def check(gateways: int, vanish: Mapping[str, str], **how: object) -> None:
    exchange = Exchange(Parties(gateways), vanish=vanish, **how).play()
    limits = exchange.settings.thresholds
    included, below = predicted(limits, exchange.cohort, vanish)

    assert [] == exchange.refused
    if included is not None:
        phases = {name: phase for name, (phase, _) in exchange.dropped.items()}
        assert {name: PHASE_OF[point] for name, point in vanish.items()} == phases
        assert exchange.verdict.summed
        assert included == exchange.included
    else:
        assert len(vanish) > limits.max_dropouts
        error = exchange.aborted
        assert isinstance(error, BelowThreshold)
        assert below == (error.answered, error.needed, error.phase)
        assert exchange.server._server.opened is None
    for name in set(exchange.cohort) - set(vanish):
        assert {} == exchange.clients[name]._client._secrets


@pytest.mark.parametrize("gateways", [3, 4, 5])
def test_each_subset_up_to_one_too_many_at_each_point(gateways: int) -> None:
    """n = 3: all subsets; n = 4, 5: all of up to D + 1 gateways."""
    most = 3 if gateways == 3 else derive(gateways).max_dropouts + 1
    for vanish in patterns(gateways, most, WHEN):
        check(gateways, vanish)


@pytest.mark.parametrize("gateways", [4, 5, 7])
def test_a_single_gateway_at_the_points_inside_its_upload(gateways: int) -> None:
    for vanish in patterns(gateways, 1, POINTS):
        check(gateways, vanish)


@pytest.mark.parametrize("gateways", [4, 5, 7])
def test_many_at_once(gateways: int) -> None:
    """Fixed draws out of all subsets of more than D gateways."""
    draw = random.Random(gateways)
    ids = Parties(gateways).ids
    for _ in range(40):
        gone = draw.sample(ids, draw.randint(derive(gateways).max_dropouts + 1, gateways))
        check(gateways, {name: draw.choice(POINTS) for name in gone})


def test_all_that_may_vanish_do_for_seven() -> None:
    draw = random.Random(0)
    limits = derive(7)
    for when in itertools.combinations_with_replacement(WHEN, limits.max_dropouts):
        gone = draw.sample(Parties(7).ids, limits.max_dropouts)
        check(7, dict(zip(gone, when, strict=True)))


@pytest.mark.deep
@pytest.mark.parametrize("gateways", [4, 5])
def test_each_subset_at_each_point(gateways: int) -> None:
    for vanish in patterns(gateways, gateways, WHEN):
        check(gateways, vanish)


@pytest.mark.parametrize("order", [0, -1])
@pytest.mark.parametrize("interleaved", [False, True])
def test_dropouts_in_other_orders_of_delivery(*, order: int, interleaved: bool) -> None:
    for vanish in patterns(4, 1, POINTS):
        check(4, vanish, order=order, interleaved=interleaved, max_in_flight=1)


def test_wider_thresholds_survive_more() -> None:
    """C = 1 leaves D = 3 of 9."""
    parties = Parties(9)
    limits = {"max_colluding": 1, "max_dropouts": 3}
    vanish = {"g0": "half", "g4": "consistency", "g8": "unmasking"}
    exchange = Exchange(parties, settings=parties.settings(limits=limits), vanish=vanish).play()

    assert exchange.verdict.summed
    assert tuple(f"g{i}" for i in range(1, 9)) == exchange.included
