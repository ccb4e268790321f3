"""Cheating holders in real sessions: false complaints, wrong sums, answers of another form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from protocol_sim.leaks.additive import lagrange
from secagg import errors
from secagg.crypto.labels import Label
from secagg.crypto.packed import PRIME, PROOF_COLUMNS
from secagg.encoding import bitmap
from secagg.protocol.messages import Signed
from secagg.schemes.additive import Lattice
from tests.schemes.additive.cheats import (
    LIAR,
    OTHERS,
    SEVEN,
    Cheats,
    added,
    assert_exact,
    assert_nothing_opened,
    crooked,
    of,
    play,
    random_rows,
)


def complains(*dealers: int) -> Callable:
    bits = bitmap(dealers, len(SEVEN))
    return lambda m: of(m, complaints=bits, shares=b"", consistency=b"")


def test_a_false_complaint_costs_its_holders_answer_only():
    world = play(lies={(LIAR, "answer"): complains(4)})

    assert_exact(world, SEVEN)
    assert {(LIAR, 4)} == world.disputes
    assert {} == world.dropped


def test_complaints_about_more_than_c_dealers_name_the_holder():
    world = play(lies={(LIAR, "answer"): complains(1, 4, 5)})

    assert_exact(world, SEVEN)
    assert set() == world.disputes
    assert {LIAR: "BAD_HOLDER"} == world.dropped


def test_c_holders_prove_nothing_against_an_honest_dealer():
    lies = {(holder, "answer"): complains(0) for holder in (2, 3)}
    world = play(lies=lies, scheme=Lattice(keep_uploads=True))

    assert_exact(world, SEVEN)
    assert {(2, 0), (3, 0)} == world.disputes
    assert {} == world.dropped


def test_false_complaints_and_a_vanished_member_beyond_d_end_the_round_with_pairs():
    lies = {(holder, "answer"): complains(0) for holder in (2, 3)}
    world = play(lies=lies, vanish={6: "answer"})

    assert_nothing_opened(world)
    assert isinstance(world.aborted, errors.BadDealing)
    assert () == world.aborted.dealers
    assert {(2, 0), (3, 0)} == set(world.aborted.disputes)


WRONG = {
    "one column": lambda m: added(m, 1, slice(7, 8)),
    "every column": lambda m: added(m, 1),
    "zeros": lambda m: of(m, shares=bytes(len(m.shares))),
}


@pytest.mark.parametrize("lie", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_sum_is_corrected_and_its_sender_named(lie):
    world = play(lies={(LIAR, "answer"): lie})

    assert_exact(world, SEVEN)
    assert {LIAR: "CONTRADICTED"} == world.dropped


def test_as_many_liars_as_the_code_corrects_are_named():
    """n = 10, C = 1, D = 4: R = 6 of ten sums, of which two may be wrong."""
    lies = {(liar, "answer"): lambda m: added(m, 9) for liar in (0, 7)}
    limits = {"max_colluding": 1, "max_dropouts": 4}
    world = Cheats(Lattice(), gateways=10, limits=limits, lies=lies).play()

    assert_exact(world, range(10))
    assert {0: "CONTRADICTED", 7: "CONTRADICTED"} == world.dropped


@pytest.mark.parametrize(("liars", "vanish"), [((0, 4), {}), ((3,), {6: "answer"})])
def test_more_liars_than_the_code_corrects_end_the_round(liars, vanish):
    """Two of seven; one of six: noticed, and nobody can be named."""
    lies = {(liar, "answer"): lambda m: added(m, 1, slice(3, 9)) for liar in liars}
    world = play(lies=lies, vanish=vanish)

    assert_nothing_opened(world)
    assert isinstance(world.aborted, errors.InconsistentAnswers)
    assert () == world.aborted.culprits


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


@dataclass
class BadAnswer:
    """A KeySum that drops its sender."""

    change: Callable = field(repr=False)
    reason: str


BAD_ANSWERS = {
    "a sum too short": BadAnswer(lambda m: of(m, shares=m.shares[2:]), "MALFORMED"),
    "the proof's columns too": BadAnswer(
        lambda m: of(m, shares=m.shares + bytes(2 * PROOF_COLUMNS)), "MALFORMED"
    ),
    "beyond the field": BadAnswer(lambda m: of(m, shares=b"\xff" * len(m.shares)), "MALFORMED"),
    "neither sum nor complaint": BadAnswer(lambda m: of(m, shares=b""), "MALFORMED"),
    "sum and complaint": BadAnswer(lambda m: of(m, complaints=b"\x02"), "MALFORMED"),
    "a complaint about itself": BadAnswer(complains(LIAR), "MALFORMED"),
    "of another set": BadAnswer(lambda m: of(m, h3=bytes(32)), "FOREIGN"),
    "of another position": BadAnswer(lambda m: of(m, position=3), "FOREIGN"),
    "no signature on the set": BadAnswer(lambda m: of(m, consistency=bytes(64)), "BAD_SIGNATURE"),
}


@pytest.mark.parametrize("bad", BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
def test_an_answer_of_another_form_drops_its_sender(bad):
    world = play(lies={(LIAR, "answer"): bad.change})

    assert_exact(world, SEVEN)
    assert {LIAR: bad.reason} == world.dropped


def test_an_answer_signed_by_another_drops_its_sender():
    world = play()
    stranger = world.identities[3].key

    def lie(answer):
        return Signed.make(stranger, Label.SIGN_ANSWER, answer)

    world = play(lies={(LIAR, "answer"): lie})

    assert_exact(world, SEVEN)
    assert {LIAR: "BAD_SIGNATURE"} == world.dropped


def test_complaints_are_not_taken_back_the_second_time():
    """Asked again without the bad dealer, a holder complains once more."""
    world = play(
        kinds={LIAR: crooked(random_rows)},
        lies={(4, "answer_again"): complains(0)},
        scheme=Lattice(keep_uploads=True),
    )

    assert_exact(world, OTHERS)
    assert {LIAR: "BAD_DEALER", 4: "MALFORMED"} == world.dropped
