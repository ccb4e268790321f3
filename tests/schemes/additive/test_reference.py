"""The machines say what the reference says, byte for byte, and open the same sum."""

from __future__ import annotations

import numpy as np
import pytest

from secagg import Lattice
from secagg.errors import BelowThreshold
from secagg.schemes.additive.lattice.ring import LatticeRing
from secagg.schemes.additive.reference import run_additive
from secagg.session.update import Update, rounding_key
from tests.schemes.test_reference import said
from tests.schemes.world import ROUNDING, World

DEGREE = 2048
SESSIONS = [
    (Lattice(), 3, 2100, {}),
    (Lattice(modulus=2**40), 3, 7, {}),
    (Lattice(), 4, 7, {1: "upload"}),
    (Lattice(), 6, 7, {4: "set_up", 0: "answer"}),
]
ABORTED = [
    (4, {0: "set_up", 1: "set_up"}),
    (4, {0: "upload", 1: "answer"}),
]


def encoding_of(world) -> LatticeRing:
    return world.server._server._ring


def messages(world, i) -> list[list[int]]:
    """Delta x_i: coefficients by block, before anything hides them."""
    params, blocks = world.server._server.round, encoding_of(world)._blocks
    fill = Update(
        params,
        world.gateways,
        world.update(i),
        weight=world.weight(i),
        base=None,
        metrics=world.metrics(i),
        rounding=rounding_key(ROUNDING, i, b""),
    ).source()
    found = []
    for vector, words in enumerate(blocks.words):
        for run in blocks.runs(vector, 0, words):
            values = run.rows_of(np.zeros(16 * DEGREE, blocks.residues.dtype))
            noise = np.zeros(values.shape, np.int8)
            scratch = np.empty(16 * DEGREE, np.uint64)
            run.lift.write(fill, vector, run.first, values, noise, scratch)
            found += [[*row, *[0] * (DEGREE - len(row))] for row in values.tolist()]
    return found


def uploads(world, words) -> list[list[int]]:
    """Coefficients on the wire by block; of the last of a vector, those that carry something."""
    blocks, found = encoding_of(world)._blocks, []
    modulus = world.server._server.round.ring.moduli[0]
    starts = np.concatenate([[0], np.cumsum(blocks.words)])
    for vector, count in enumerate(blocks.words):
        mine = words[starts[vector] : starts[vector + 1]]
        for run in blocks.runs(vector, 0, count):
            values = run.rows_of(np.zeros(16 * DEGREE, blocks.residues.dtype))
            blocks.residues.load(mine[run.wire], values)
            found += [[value % modulus for value in row] for row in values.tolist()]
    return found


def reference(world):
    server = world.server._server
    return run_additive(
        server.params,
        server.round,
        [identity.key for identity in world.identities],
        list(world.ids),
        [world.entropy("client", i) for i in world.ids],
        [messages(world, i) for i in world.ids],
        world.vanish,
    )


@pytest.mark.parametrize(("scheme", "n", "coordinates", "vanish"), SESSIONS, ids=str)
def test_machines_are_the_reference(scheme, n, coordinates, vanish):
    world = World(scheme, n, vanish=vanish, coordinates=coordinates).play()
    expected = reference(world)

    assert expected.included == list(world.included)
    assert world.expected(world.included) == world.opened
    answered = said(world)
    assert {step for step, _ in answered} == {"set_up", "upload", "answer"}
    assert {key: expected.said[key] for key in answered} == answered
    assert {key for key in expected.said if key[0] == "answer"} <= answered.keys()
    for i, words in world.uploaded().items():
        for block, theirs in zip(uploads(world, words), expected.uploads[i], strict=True):
            assert theirs[: len(block)] == block
    _check_what_is_left(world, expected)


def _check_what_is_left(world, expected):
    """The sum of the messages, and noise that is small and not nothing."""
    q = world.server._server.round.ring.moduli[0]
    sums = [
        [sum(column) for column in zip(*blocks, strict=True)]
        for blocks in zip(*(messages(world, i) for i in expected.included), strict=True)
    ]
    noise = [
        (left - message + q // 2) % q - q // 2
        for block, exact in zip(expected.opened, sums, strict=True)
        for left, message in zip(block, exact, strict=True)
    ]
    most = 16 * len(expected.included)

    assert 0 < max(map(abs, noise)) <= most
    assert 0 < max(map(abs, expected.key)) <= most


@pytest.mark.parametrize(("n", "vanish"), ABORTED, ids=str)
def test_machines_end_where_the_reference_ends(n, vanish):
    world = World(Lattice(), n, vanish=vanish).play()
    with pytest.raises(BelowThreshold) as expected:
        reference(world)

    assert expected.value.args == world.aborted.args
