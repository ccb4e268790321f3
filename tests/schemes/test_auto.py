"""The choice between masks and the lattice: one inequality, and a sentence with its numbers."""

from __future__ import annotations

import re

import pytest

from secagg.errors import ConfigurationError
from secagg.schemes.additive import Lattice
from secagg.schemes.auto import VANISHING, WORTH, choose, keystreams
from secagg.schemes.masks import Masks
from secagg.thresholds import derive, share_bytes

MILLION = 10**6


@pytest.mark.parametrize(
    ("gateways", "neighbours", "vanished", "needed"),
    [
        (3, 2, 0, 3 + 3),
        (10, 9, 1, 10 + 9 + 9),
        (30, 29, 3, 30 + 27 + 3 * 27),
        # a circle: positions 0, 10, ... vanish, each among the 22 neighbours of two others
        (100, 22, 10, 23 + 90 + 10 * 20),
        (65, 14, 6, 15 + 59 + 6 * 14),
    ],
)
def test_keystreams_are_those_of_a_round(gateways, neighbours, vanished, needed):
    limits = derive(gateways)

    assert neighbours == limits.degree
    assert vanished == min(limits.max_dropouts, gateways // VANISHING)
    assert needed == keystreams(limits)


@pytest.mark.parametrize(
    ("gateways", "dropouts", "scheme"),
    [
        (3, None, "masks"),
        (29, None, "masks"),
        (30, None, "lattice"),
        (55, 0, "masks"),
        (56, 0, "lattice"),
        (65, None, "lattice"),
        (2047, None, "lattice"),
    ],
)
def test_the_lattice_is_taken_where_masks_need_more_than_it_is_worth(gateways, dropouts, scheme):
    choice = choose(gateways, MILLION, max_dropouts=dropouts)
    needed = keystreams(derive(gateways, max_dropouts=dropouts))

    assert scheme == choice.scheme.name
    assert (needed > WORTH) == (scheme == "lattice")
    assert f"{needed} keystreams for {gateways} gateways" in choice.reason
    assert f"worth {WORTH}" in choice.reason
    assert 1 == len(re.findall(r"\.(?=\s|$)", choice.reason))


def test_the_size_of_the_model_is_in_the_sentence_alone():
    small, large = choose(100, 0), choose(100, 10 * MILLION)

    assert small.scheme == large.scheme == Lattice()
    assert "40 MB instead of 26.7 MB" in large.reason
    shared = Lattice().thresholds(100)
    key = share_bytes(shared.committee, shared.share_threshold, shared.packed)
    assert f"{key / 1e6:.3g} MB instead of 0 MB" in small.reason


@pytest.mark.parametrize(
    ("gateways", "settings", "said"),
    [
        (200, {"precision": 2.0**-30}, "the nearest possible is"),
        (2048, {}, "additive schemes take 2047 at most"),
    ],
)
def test_masks_stay_where_the_lattice_cannot_serve(gateways, settings, said):
    choice = choose(gateways, MILLION, **settings)

    assert Masks() == choice.scheme
    assert keystreams(derive(gateways)) > WORTH
    assert said in choice.reason


def test_c_and_d_reach_both_schemes():
    few, many = (choose(40, MILLION, max_colluding=1, max_dropouts=d).scheme for d in (0, 3))

    assert (Masks(), Lattice()) == (few, many)


@pytest.mark.parametrize("settings", [{"max_colluding": 39}, {"max_dropouts": 30}])
def test_what_no_scheme_can_is_refused_and_what_would_work_is_named(settings):
    with pytest.raises(ConfigurationError, match="Nearest that do"):
        choose(40, MILLION, **settings)
