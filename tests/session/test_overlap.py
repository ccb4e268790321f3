"""The key rounds of the next session ride beside the last rounds of this one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from secagg.errors import LocalProtocolError, ModelMismatch, StaleRound
from secagg.session import Model
from tests.session.harness import STEPS, Parties, World, assert_exact

MODEL = Model({"w": np.zeros(7), "steps": np.zeros(3, np.int64)})
"""That it is all zero is what the oracle of the sums wants; it has a hash like any other."""


def exchange(*worlds: World) -> None:
    """One way down and one way up, for all sessions in the same envelopes."""
    phases = [world.server.phase for world in worlds]
    for world, phase in zip(worlds, phases, strict=True):
        while world.running and world.server.phase == phase:
            if not world.step():
                world.advance()


@pytest.mark.parametrize("vanish", [{}, {"g3": "half"}, {"g0": "unmasking"}])
def test_three_exchanges_in_a_steady_round(vanish: dict[str, str]) -> None:
    parties, rounds, exchanges = Parties(5), 4, 0
    worlds = [World(parties, number=number, vanish=vanish) for number in range(1, rounds + 2)]
    worlds[0].start()
    for _ in STEPS[:2]:
        exchange(worlds[0])
        exchanges += 1
    for now, following in pairwise(worlds):
        assert "masked_input" == now.server.phase
        following.start()
        exchange(now, following)  # upload beside keys
        exchange(now, following)  # consistency beside shares
        exchange(now)  # unmasking
        exchanges += 3

        assert "done" == now.server.phase
        assert_exact(now)
        assert set(vanish) == set(now.dropped)
    assert 2 + 3 * rounds == exchanges


@pytest.mark.parametrize("first", [0, 1])
def test_sessions_side_by_side_share_nothing(first: int) -> None:
    """Frame by frame in turns; uploads come in the order of the rounds."""
    parties = Parties(4)
    worlds = [World(parties, number=1), World(parties, number=2)]
    for world in worlds:
        world.start()
    turn = first
    while any(world.running for world in worlds):
        world = worlds[turn]
        if world.running and not world.step():
            world.advance()
        # round 2 waits with its uploads until round 1 is through
        turn = 1 - turn if worlds[1 - turn].running else turn
        if worlds[1].server.phase == "masked_input" and worlds[0].running:
            turn = 0

    for world in worlds:
        assert_exact(world)
        assert {} == world.dropped
    assert worlds[0].server.session != worlds[1].server.session
    assert worlds[0].opened == worlds[1].opened


def test_a_round_that_was_overtaken_gets_no_upload() -> None:
    """Whoever has uploaded in round 2 never does in round 1 again."""
    parties = Parties(4)
    early = World(parties, number=1).play_until("masked_input")
    late = World(parties, number=2).play()
    assert_exact(late)
    request = next(f for f in early.pending if f.gateway == "g0")
    early.pending.remove(request)
    with pytest.raises(StaleRound, match="already uploaded in round 2"):
        early.arrive("g0", request.data)


def overlapped(parties: Parties) -> tuple[World, World]:
    """Two sessions; the second has run its key rounds up to the last share of one gateway."""
    first, second = World(parties, number=1), World(parties, number=2)
    first.start()
    second.start()
    for world in (first, second):
        exchange(world)
    return first, second


def test_a_model_that_comes_late_is_announced_and_checked() -> None:
    parties = Parties(5)
    first, second = overlapped(parties)
    first.play()
    assert "share_keys" == second.server.phase
    second.server.use_model(MODEL)
    second.model = MODEL
    second.play()

    assert_exact(first)
    assert_exact(second)
    assert MODEL.hash == second.server._server.round.model


def test_without_the_new_model_gateways_that_trained_on_it_refuse() -> None:
    parties = Parties(5)
    first, second = overlapped(parties)
    first.play()
    second.model = MODEL
    with pytest.raises(ModelMismatch):
        second.play()


@pytest.mark.parametrize("phase", STEPS[2:])
def test_a_model_that_comes_too_late_is_refused(phase: str) -> None:
    world = World(Parties(4)).play_until(phase)

    with pytest.raises(LocalProtocolError, match="the model is announced"):
        world.server.use_model(None)
