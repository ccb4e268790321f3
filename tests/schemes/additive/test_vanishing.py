"""Members of the committee that fall silent: D of them anywhere, one more by name."""

from __future__ import annotations

import itertools
import tempfile

import numpy as np
import pytest

from secagg import errors
from secagg.crypto.packed import PRIME
from secagg.schemes.additive import Lattice
from tests.schemes.additive.cheats import (
    SEVEN,
    assert_exact,
    assert_nothing_opened,
    crooked,
    play,
)

HEADER_ONLY = 2
"""Frames it sends: the prekey, the dealing, and nothing of the vectors."""
HALF = 3
POINTS = ("set_up", "upload", HEADER_ONLY, HALF, "answer")
BEFORE = {"set_up": "SILENT", "upload": "SILENT", HEADER_ONLY: "VANISHED", HALF: "VANISHED"}
"""Why it is dropped, and so is not in the sum."""


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("gone", [*itertools.combinations((0, 3, 6), 2), (5,)], ids=str)
def test_any_d_members_may_vanish_at_once(gone, point):
    world = play(vanish=dict.fromkeys(gone, point))

    assert_exact(world, set(SEVEN) - set(gone) if point in BEFORE else SEVEN)
    assert dict.fromkeys(gone, BEFORE.get(point, "SILENT")) == world.dropped


@pytest.mark.parametrize("points", [*itertools.product(POINTS, repeat=2)], ids=str)
def test_any_d_members_may_vanish_one_after_the_other(points):
    vanish = dict(zip((1, 4), points, strict=True))
    world = play(vanish=vanish)
    out = {i for i, point in vanish.items() if point in BEFORE}

    assert_exact(world, set(SEVEN) - out)
    assert vanish.keys() == world.dropped.keys()


@pytest.mark.parametrize("point", POINTS)
def test_one_more_ends_the_round_with_its_phase(point):
    world = play(vanish=dict.fromkeys((0, 3, 6), point))

    assert_nothing_opened(world)
    assert isinstance(world.aborted, errors.BelowThreshold)
    assert (4, 5) == (world.aborted.answered, world.aborted.needed)
    assert (point if isinstance(point, str) else "upload") == world.aborted.phase


@pytest.mark.parametrize("gone", range(6))
def test_a_member_that_vanishes_when_asked_again_is_one_too_few(gone):
    """Six complain, R = 5 of them answer: one may be silent, two may not."""
    kind = crooked(lambda rows: (rows.astype(np.int64) + 1) % PRIME)
    scheme = Lattice(keep_uploads=True)
    others = [i for i in SEVEN if i != gone and i != 6]
    alive = play(vanish={gone: "answer_again"}, kinds={6: kind}, scheme=scheme)
    ended = play(
        vanish=dict.fromkeys((gone, others[0]), "answer_again"), kinds={6: kind}, scheme=scheme
    )

    assert_exact(alive, set(SEVEN) - {6})
    assert {gone: "SILENT", 6: "BAD_DEALER"} == alive.dropped
    assert_nothing_opened(ended)
    assert isinstance(ended.aborted, errors.BelowThreshold)
    assert "answer_again" == ended.aborted.phase


# -- files -----------------------------------------------------------------------------------------


class Spool:
    """Opens files, and remembers them."""

    def __init__(self):
        self.files = []

    def __call__(self):
        self.files.append(tempfile.TemporaryFile())  # noqa: SIM115 - whoever asked for it closes it
        return self.files[-1]

    @property
    def open(self):
        return sum(not file.closed for file in self.files)


ENDS = {
    "exact": {},
    "bad dealer left out": {"kinds": {2: crooked(lambda rows: rows ^ 1)}},
    "bad dealer ends the round": {"kinds": {2: crooked(lambda rows: _spoilt(rows, 0, 1, 3))}},
    "too few answers": {"vanish": dict.fromkeys((0, 3, 6), "answer")},
    "too few uploads": {"vanish": dict.fromkeys((0, 3, 6), HALF)},
    "a dealer that vanishes half way": {"vanish": {4: HALF}},
}


def _spoilt(rows, *members):
    rows[list(members), 0] ^= 1
    return rows


@pytest.mark.parametrize("options", ENDS.values(), ids=ENDS.keys())
@pytest.mark.parametrize("in_flight", [1, 7])
def test_kept_uploads_are_closed_however_the_round_ends(options, in_flight):
    spool = Spool()
    world = play(
        scheme=Lattice(keep_uploads=True),
        spool=spool,
        max_in_flight=in_flight,
        interleaved=True,
        **options,
    )

    assert world.server.phase in {"done", "aborted"}
    assert spool.files
    assert 0 == spool.open
