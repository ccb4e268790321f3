"""The key rounds of the next session ride beside the last rounds of this one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from secagg.errors import LocalProtocolError, StaleRound
from secagg.protocol.events import Aborted
from secagg.protocol.transcript import retry_hash
from secagg.schemes.masks import Masks
from secagg.session import Model

STEPS = tuple(step.name for step in Masks.steps)
MODEL = Model({"w": np.zeros(7), "steps": np.zeros(3, np.int64)})
"""That it is all zero is what the oracle of the sums wants; it has a hash like any other."""


def there_and_back(*sessions: Exchange) -> None:
    """One way down and one way up, for all sessions in the same envelopes."""
    phases = [session.server.phase for session in sessions]
    for session, phase in zip(sessions, phases, strict=True):
        while session.running and session.server.phase == phase:
            if not session.step():
                session.deadline()


@pytest.mark.parametrize("vanish", [{}, {"g3": "half"}, {"g0": "unmasking"}])
def test_three_exchanges_in_a_steady_round(vanish: dict[str, str]) -> None:
    parties, rounds, exchanges = Parties(5), 4, 0
    sessions = [Exchange(parties, number=number, vanish=vanish) for number in range(1, rounds + 2)]
    sessions[0].play_until(STEPS[0])
    for _ in STEPS[:2]:
        there_and_back(sessions[0])
        exchanges += 1
    for now, following in pairwise(sessions):
        assert "masked_input" == now.server.phase
        following.play_until(STEPS[0])
        there_and_back(now, following)  # upload beside keys
        there_and_back(now, following)  # consistency beside shares
        there_and_back(now)  # unmasking
        exchanges += 3

        assert "done" == now.server.phase
        assert now.verdict.summed
        assert set(vanish) == set(now.dropped)
    assert 2 + 3 * rounds == exchanges


@pytest.mark.parametrize("first", [0, 1])
def test_sessions_side_by_side_share_nothing(first: int) -> None:
    """Frame by frame in turns; uploads come in the order of the rounds."""
    parties = Parties(4)
    sessions = [Exchange(parties, number=number).play_until(STEPS[0]) for number in (1, 2)]
    turn = first
    while any(session.running for session in sessions):
        session = sessions[turn]
        if session.running and not session.step():
            session.deadline()
        # round 2 waits with its uploads until round 1 is through
        turn = 1 - turn if sessions[1 - turn].running else turn
        if sessions[1].server.phase == "masked_input" and sessions[0].running:
            turn = 0

    for session in sessions:
        assert session.verdict.summed
        assert {} == session.dropped
    assert sessions[0].server.session != sessions[1].server.session
    np.testing.assert_equal(sessions[0].opened, sessions[1].opened)


def test_a_round_that_was_overtaken_gets_no_upload() -> None:
    """Whoever takes part in round 2 never uploads in round 1 again."""
    parties = Parties(4)
    early = Exchange(parties, number=1).play_until("masked_input")
    late = Exchange(parties, number=2).play()
    assert late.verdict.summed
    request = next(f for f in early.pending if f.gateway == "g0")
    early.pending.remove(request)
    early.arrive("g0", request.data)
    (ended,) = early.client_events["g0"]

    assert isinstance(ended, Aborted)
    assert isinstance(ended.reason, StaleRound)
    assert {} == early.uploads


def overlapped(parties: Parties) -> tuple[Exchange, Exchange]:
    """Two sessions; the second has run its key rounds up to the last share of one gateway."""
    first, second = (Exchange(parties, number=number).play_until(STEPS[0]) for number in (1, 2))
    for session in (first, second):
        there_and_back(session)
    return first, second


@pytest.mark.parametrize("retry", [False, True])
def test_a_model_that_comes_late_is_announced_and_checked(*, retry: bool) -> None:
    parties = Parties(5)
    first, second = overlapped(parties)
    first.play()
    assert "share_keys" == second.server.phase
    second.server.use_model(MODEL, retry=retry)
    second.model = MODEL
    second.play()

    assert first.verdict.summed
    assert second.verdict.summed
    announced = retry_hash(MODEL.hash, 2) if retry else MODEL.hash
    assert announced == second.server._server.round.model
    assert 1 == parties.journals["g0"].model_used("train", MODEL.hash)


@pytest.mark.parametrize("phase", STEPS[2:])
def test_a_model_that_comes_too_late_is_refused(phase: str) -> None:
    exchange = Exchange(Parties(4)).play_until(phase)

    with pytest.raises(LocalProtocolError, match="the model is announced"):
        exchange.server.use_model(None)
