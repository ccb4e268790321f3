"""What the server decides beyond single lies, which are rows of `protocol_sim.cheats`.

Whatever somebody does, the round ends with the exact sum over the set that it names, or in an error
that says who is to blame where that can be proved: never in a wrong number.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from msgspec.structs import replace

from protocol_sim.leaks.additive import lagrange
from secagg import canonical, errors
from secagg.canonical import bitmap
from secagg.crypto.packed import PRIME
from secagg.protocol.audit import verify_record
from secagg.protocol.events import GatewayDropped
from secagg.protocol.messages import Answer, Signed
from secagg.protocol.prekeys import Prekey
from secagg.schemes.additive import Lattice
from secagg.session import Model
from tests.schemes.additive.cheats import (
    LIAR,
    OTHERS,
    SEVEN,
    Cheats,
    added,
    assert_exact,
    assert_nothing_opened,
    crooked,
    play,
    random_rows,
)
from tests.schemes.additive.test_prekeys import rounds
from tests.schemes.additive.test_vanishing import Spool

SIX = {"max_colluding": 6, "max_dropouts": 6}
"""Thresholds with which a committee of 24 is possible among 66."""


# -- single answers --------------------------------------------------------------------------------


def test_ciphertexts_that_are_all_too_long():
    def longer(dealing):
        return replace(dealing, ciphertexts=tuple(c + b"\0" for c in dealing.ciphertexts))

    assert {LIAR: "MALFORMED"} == play(lies={(LIAR, "upload"): longer}).dropped


def test_the_smallest_number_that_is_no_element():
    def lie(answer):
        return replace(answer, shares=PRIME.to_bytes(2, "little") + answer.shares[2:])

    assert {LIAR: "MALFORMED"} == play(lies={(LIAR, "answer"): lie}).dropped


def test_a_key_of_the_set_up_that_another_has_sent_ahead():
    taken = {}

    def without_three(_, setup):
        taken["key"] = canonical.decode(Prekey, setup[1].body).key
        return {i: signed for i, signed in setup.items() if i != 3}

    lies = {(3, "set_up"): lambda message: replace(message, key=taken["key"])}
    _, second = rounds(without_three, lies=lies)

    assert {3: "BAD_KEY"} == second.dropped


def test_signatures_on_another_transcript():
    lies = {
        (LIAR, "consistency"): lambda message: replace(message, h3=bytes(32)),
        (3, "consistency"): lambda message: replace(message, session=bytes(16)),
    }
    world = Cheats(Lattice(), gateways=65, lies=lies).play()

    assert {LIAR: "FOREIGN", 3: "FOREIGN"} == world.dropped


# -- where a round ends ----------------------------------------------------------------------------


def ended(world) -> errors.BelowThreshold:
    assert_nothing_opened(world)
    assert isinstance(world.aborted, errors.BelowThreshold)
    return world.aborted


def test_too_few_members_have_a_key():
    gone = dict.fromkeys(range(7), "set_up")
    world = Cheats(Lattice(committee=24), gateways=66, limits=SIX, vanish=gone).play()

    assert "set_up" == ended(world).phase


def test_more_than_d_outside_the_committee_vanish():
    gone = dict.fromkeys(range(50, 57), "upload")
    reason = ended(Cheats(Lattice(committee=24), gateways=66, limits=SIX, vanish=gone).play())

    assert (59, 60) == (reason.answered, reason.needed)


@pytest.mark.parametrize(("gone", "needed"), [(30, 36), (7, 59)], ids=["q", "R"])
def test_where_no_sum_could_open_nobody_is_asked_for_shares(gone, needed):
    vanish = dict.fromkeys(range(gone), "consistency")
    reason = ended(Cheats(Lattice(), gateways=65, vanish=vanish).play())

    assert ("consistency", 65 - gone, needed) == (reason.phase, reason.answered, reason.needed)


def test_requests_that_fit_into_no_frame():
    with pytest.raises(errors.ConfigurationError, match="lower D or n"):
        Cheats(Lattice(committee=19), gateways=300, limits=SIX)


# -- cheating dealers ------------------------------------------------------------------------------


def spoils(*members: int) -> Callable:
    """Another value in one column of some members' shares."""

    def change(rows):
        rows[list(members), 3] = (rows[list(members), 3].astype(np.int64) + 1) % PRIME
        return rows

    return change


def test_a_bad_share_in_the_proofs_columns_is_rejected():
    def change(rows):
        rows[4, -1] = (int(rows[4, -1]) + 1) % PRIME
        return rows

    world = play(kinds={LIAR: crooked(change)})

    assert_exact(world, SEVEN)
    assert {(4, LIAR)} == world.disputes
    assert {} == world.dropped


def test_two_bad_dealers_are_both_left_out():
    kind = crooked(random_rows)
    world = play(kinds={2: kind, 4: kind}, scheme=Lattice(keep_uploads=True))

    assert_exact(world, {0, 1, 3, 5, 6})
    assert {2: "BAD_DEALER", 4: "BAD_DEALER"} == world.dropped


def test_a_bad_dealer_and_one_that_vanishes():
    world = play(
        kinds={LIAR: crooked(random_rows)}, vanish={5: "upload"}, scheme=Lattice(keep_uploads=True)
    )

    assert_exact(world, {0, 1, 3, 4, 6})
    assert {LIAR: "BAD_DEALER", 5: "SILENT"} == world.dropped


def test_who_rejects_another_dealer_too_is_not_asked_again():
    """It could not answer about the set without the proved dealer only."""
    kinds = {LIAR: crooked(random_rows), 3: crooked(spoils(0))}
    world = play(kinds=kinds, scheme=Lattice(keep_uploads=True))

    assert_exact(world, OTHERS)
    assert {LIAR: "BAD_DEALER"} == world.dropped
    assert (0, 3) in world.disputes
    assert OTHERS - {0} == set(world.phases_closed["answer_again"])


def test_pairs_are_named_when_nobodys_fault_is_proved():
    """Two bad dealers, two victims each: fewer than R answer, nobody has more than C complaints."""
    world = play(kinds={2: crooked(spoils(0, 1)), 3: crooked(spoils(4, 5))})

    assert_nothing_opened(world)
    assert isinstance(world.aborted, errors.BadDealing)
    assert () == world.aborted.dealers
    assert {(0, 2), (1, 2), (4, 3), (5, 3)} == set(world.aborted.disputes)


def test_sixty_four_gateways_outlive_a_bad_dealer():
    kinds = {LIAR: crooked(random_rows)}
    world = Cheats(Lattice(keep_uploads=True), gateways=64, kinds=kinds).play()

    assert_exact(world, set(range(64)) - {LIAR})
    assert ["set_up", "upload", "answer", "answer_again"] == world.phases


def test_above_sixty_four_a_bad_dealer_ends_the_round_whatever_is_kept():
    kinds = {LIAR: crooked(random_rows)}
    world = Cheats(Lattice(keep_uploads=True), gateways=65, kinds=kinds).play()

    assert_nothing_opened(world)
    assert isinstance(world.aborted, errors.BadDealing)
    assert (LIAR,) == world.aborted.dealers
    assert f"bad shares ({LIAR}): complaints by " in str(world.aborted)


def test_a_dealer_proved_guilty_is_named_also_where_its_round_opens():
    """n = 6, C = 1, D = 2: two reject it, and the other four can open the sum with it."""

    def spoil(rows):
        rows[[0, 1]] ^= 1
        return rows

    world = Cheats(Lattice(), gateways=6, kinds={4: crooked(spoil)}).play()

    assert_exact(world, set(range(6)))
    assert {4: "BAD_DEALER"} == world.dropped


def test_above_sixty_four_nothing_is_kept_for_a_question_that_is_never_asked():
    spool = Spool()
    world = Cheats(Lattice(keep_uploads=True), gateways=65, spool=spool, max_in_flight=65).play()

    assert_exact(world, set(range(65)))
    assert [] == spool.files


# -- cheating holders ------------------------------------------------------------------------------


def complains(*dealers: int) -> Callable:
    bits = bitmap(dealers, len(SEVEN))
    return lambda m: replace(m, complaints=bits, shares=b"", consistency=b"")


def test_c_holders_prove_nothing_against_an_honest_dealer():
    lies = {(holder, "answer"): complains(0) for holder in (2, 3)}
    world = play(lies=lies, scheme=Lattice(keep_uploads=True))

    assert_exact(world, SEVEN)
    assert {(2, 0), (3, 0)} == world.disputes
    assert {} == world.dropped


def test_as_many_liars_as_the_code_corrects_are_named():
    """n = 10, C = 1, D = 4: R = 6 of ten sums, of which two may be wrong."""
    lies = {(liar, "answer"): lambda m: added(m, 9) for liar in (0, 7)}
    limits = {"max_colluding": 1, "max_dropouts": 4}
    world = Cheats(Lattice(), gateways=10, limits=limits, lies=lies).play()

    assert_exact(world, range(10))
    assert {0: "CONTRADICTED", 7: "CONTRADICTED"} == world.dropped


@pytest.mark.parametrize("amount", [1, 7, 40_000])
def test_without_a_sum_to_spare_a_wrong_one_opens_no_number(amount):
    """R sums only: any of them fits, but not with the uploads."""
    lies = {(LIAR, "answer"): lambda m: added(m, amount, slice(0, 1))}
    world = play(lies=lies, vanish={5: "answer", 6: "answer"})

    assert_nothing_opened(world)
    assert isinstance(world.aborted, (errors.InconsistentAnswers, errors.AggregateOutOfRange))


def test_a_key_moved_within_its_bounds_fails_the_check_words():
    """A liar among just R members can move each coefficient as it likes, and stay in range."""
    moved = added_to_key(members=(0, 1, 2, 3, 4), liar=LIAR, amount=1)
    world = play(lies={(LIAR, "answer"): moved}, vanish={5: "answer", 6: "answer"})

    assert_nothing_opened(world)
    assert isinstance(world.aborted, errors.AggregateOutOfRange)


def added_to_key(members, liar, amount):
    """Shifts the liar's sum so that the first coefficient of the key comes out by `amount` more."""
    weights = lagrange([member + 1 for member in members], PRIME - 1)
    weight = weights[members.index(liar)]
    return lambda m: added(m, amount * pow(weight, -1, PRIME) % PRIME, slice(0, 1))


# -- what is left of a round ----------------------------------------------------------------------


def test_what_a_gateway_calls_its_answer_is_quoted_and_cut():
    world = Cheats(Lattice(), gateways=7)
    honest = world.lie
    signed = Signed(body=b"", signature=b"")
    answer = Answer(step="x\n" * 100_000, signed=signed)

    def passes(frame):
        if frame.up and frame.gateway == LIAR and world.server.phase == "answer":
            codec = world.server._codec
            return [codec.encode(answer, world.server.session)]
        return honest(frame)

    world.passes = passes
    world.play()
    (detail,) = (event.detail for event in world.events if isinstance(event, GatewayDropped))

    assert len(detail) < 100
    assert "\n" not in detail


def test_a_round_that_was_asked_again_has_signatures_on_its_last_set_only():
    world = play(kinds={LIAR: crooked(random_rows)}, scheme=Lattice(keep_uploads=True))

    assert_exact(world, OTHERS)
    assert OTHERS == verify_record(world.server.audit, world.roster)


def test_garbage_that_ends_the_round_closes_kept_uploads():
    spool = Spool()
    world = Cheats(Lattice(keep_uploads=True), gateways=7, spool=spool)
    honest = world.lie

    def passes(frame):
        answers = frame.up and world.server.phase == "answer"
        return [b"garbage"] if answers and frame.gateway in {0, 3, 6} else honest(frame)

    world.passes = passes
    world.play()

    assert_nothing_opened(world)
    assert 0 == spool.open


def test_the_model_is_the_one_of_the_moment_it_is_announced():
    world = Cheats(Lattice(), gateways=4)
    base = {"w": np.zeros(7)}
    world.server.use_model(base)
    with pytest.raises(errors.ModelMismatch):  # the gateways of this world train on none
        world.play()

    assert Model.of(base).hash == world.server._server.round.model
