"""Cheating dealers, holders and prekeys in real sessions: each with its named outcome.

Whatever somebody does, the round ends with the exact sum over the set that it names, or in an error
that says who is to blame where that can be proved: never in a wrong number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from secagg.crypto.packed import PRIME, PROOF_COLUMNS

from secagg import errors
from secagg.crypto.labels import Label
from secagg.encoding import bitmap
from secagg.protocol.messages import Signed
from secagg.schemes.additive import Lattice
from tests.schemes.additive.cheats import (
    Cheats,
    added,
    assert_exact,
    assert_nothing_opened,
    crooked,
    deals_key,
    of,
    says,
    seals,
)
from tests.schemes.additive.leaks import lagrange

SEVEN = range(7)
"""n = m = 7, C = D = 2: q = n_min = 5, t = 4, R = 5: one wrong sum of seven is corrected."""
LIAR = 2


# -- dealers ---------------------------------------------------------------------------------------


def spoils(*members: int) -> Callable:
    """Another value in one column of some members' shares."""

    def change(rows):
        rows[list(members), 3] = (rows[list(members), 3].astype(np.int64) + 1) % PRIME
        return rows

    return change


def off_polynomial(rows):
    """Shares of a polynomial of a higher degree: any R of them give another key."""
    points = np.arange(1, len(rows) + 1, dtype=np.int64)
    bump = np.ones_like(points)
    for _ in range(6):  # x^6, where R = 5 values determine a polynomial
        bump = bump * points % PRIME
    rows[:, 5] = (rows[:, 5] + bump) % PRIME
    return rows


def random_rows(rows):
    return np.random.default_rng(3).integers(0, PRIME, rows.shape, np.uint16)


def others_swapped(rows):
    """Everybody gets the share of the next member: all on one polynomial, none at its place."""
    return np.roll(rows, 1, axis=0)


def bad_in_proof(rows):
    rows[4, -1] = (int(rows[4, -1]) + 1) % PRIME
    return rows


def wrong_proof(dealing):
    proof = np.frombuffer(dealing.proof, "<u2").astype(np.int64)
    proof[0] = (proof[0] + 1) % PRIME
    return replace(dealing, proof=proof.astype("<u2").tobytes())


def garbled(*places: int) -> Callable:
    """Some ciphertexts do not open."""
    return lambda sealed: tuple(
        bytes(len(each)) if place in places else each for place, each in enumerate(sealed)
    )


def swapped(sealed):
    first, second, *others = sealed
    return second, first, *others


def resealed(dealing):
    """One ciphertext changed once the proof was made."""
    return replace(dealing, ciphertexts=garbled(0)(dealing.ciphertexts))


def play(**options: Any) -> Cheats:
    return Cheats(options.pop("scheme", Lattice()), gateways=7, **options).play()


FEW = {
    "one bad share": (crooked(spoils(5)), {5}),
    "two bad shares": (crooked(spoils(0, 6)), {0, 6}),
    "one bad share in the proof's columns": (crooked(bad_in_proof), {4}),
    "one ciphertext that does not open": (seals(garbled(0)), {0}),
    "two ciphertexts in each other's place": (seals(swapped), {0, 1}),
}


@pytest.mark.parametrize(("kind", "cheated"), FEW.values(), ids=FEW.keys())
def test_up_to_d_members_without_a_good_share_count_as_absent(kind, cheated):
    """The others' sums open the key all the same: the dealer's update is in, and its own loss."""
    world = play(kinds={LIAR: kind})

    assert_exact(world, SEVEN)
    assert {(member, LIAR) for member in cheated} == world.disputes
    assert {} == world.dropped


OTHERS = set(SEVEN) - {LIAR}
MANY = {
    "three bad shares": (crooked(spoils(0, 1, 3)), {0, 1, 3}),
    "all bad": (crooked(random_rows), OTHERS),
    "off the polynomial": (crooked(off_polynomial), OTHERS),
    "in each other's place": (crooked(others_swapped), OTHERS),
    "wrong proof": (says(wrong_proof), OTHERS),
    "proof of other ciphertexts": (says(resealed), OTHERS),
    "no ciphertext opens": (seals(garbled(*range(6))), OTHERS),
}
ALL = {name: kind for name, (kind, cheated) in MANY.items() if cheated == OTHERS}


@pytest.mark.parametrize(("kind", "cheated"), MANY.values(), ids=MANY.keys())
def test_a_dealer_that_more_than_c_reject_is_proved_guilty(kind, cheated):
    world = play(kinds={LIAR: kind})

    assert_nothing_opened(world)
    assert isinstance(world.aborted, errors.BadDealing)
    assert (LIAR,) == world.aborted.dealers
    assert {(member, LIAR) for member in cheated} == set(world.aborted.disputes)


@pytest.mark.parametrize("kind", ALL.values(), ids=ALL.keys())
def test_with_kept_uploads_the_round_goes_on_without_it(kind):
    """R members have only complained, and can still answer."""
    world = play(kinds={LIAR: kind}, scheme=Lattice(keep_uploads=True))

    assert_exact(world, set(SEVEN) - {LIAR})
    assert {LIAR: "BAD_DEALER"} == world.dropped
    assert "answer_again" == world.phases[-1]


def test_with_kept_uploads_too_few_complainers_end_the_round():
    """Those that did not complain have given their one answer."""
    world = play(kinds={LIAR: crooked(spoils(0, 1, 3))}, scheme=Lattice(keep_uploads=True))

    assert_nothing_opened(world)
    assert isinstance(world.aborted, errors.BadDealing)
    assert (LIAR,) == world.aborted.dealers


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


def test_pairs_are_named_when_nobodys_fault_is_proved():
    """Two bad dealers, two victims each: fewer than R answer, nobody has more than C complaints."""
    world = play(kinds={2: crooked(spoils(0, 1)), 3: crooked(spoils(4, 5))})

    assert_nothing_opened(world)
    assert isinstance(world.aborted, errors.BadDealing)
    assert () == world.aborted.dealers
    assert {(0, 2), (1, 2), (4, 3), (5, 3)} == set(world.aborted.disputes)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda key: np.roll(key, 1), errors.AggregateOutOfRange),
        (lambda key: key + 1, errors.AggregateOutOfRange),
        (lambda key: key + 20_000, errors.InconsistentAnswers),
    ],
    ids=["another small key", "off by one", "a large key"],
)
def test_good_shares_of_another_key_open_no_number(change, error):
    world = play(kinds={LIAR: deals_key(change)})

    assert_nothing_opened(world)
    assert isinstance(world.aborted, error)
    assert () == getattr(world.aborted, "culprits", ())


MALFORMED = {
    "a ciphertext too few": lambda m: replace(m, ciphertexts=m.ciphertexts[1:]),
    "a ciphertext too many": lambda m: replace(m, ciphertexts=m.ciphertexts * 2),
    "a longer ciphertext": lambda m: replace(
        m, ciphertexts=(m.ciphertexts[0] + b"\0", *m.ciphertexts[1:])
    ),
    "a proof of another size": lambda m: replace(m, proof=m.proof[2:]),
    "a proof beyond the field": lambda m: replace(m, proof=b"\xff" * len(m.proof)),
}


@pytest.mark.parametrize("change", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_dealing_of_another_form_drops_its_dealer(change):
    world = play(lies={(LIAR, "upload"): change})

    assert_exact(world, set(SEVEN) - {LIAR})
    assert {LIAR: "MALFORMED"} == world.dropped


# -- holders ---------------------------------------------------------------------------------------


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
    assert {LIAR: "BAD_SHARE"} == world.dropped


def test_as_many_liars_as_the_code_corrects_are_named():
    """n = 10, C = 1, D = 4: R = 6 of ten sums, of which two may be wrong."""
    lies = {(liar, "answer"): lambda m: added(m, 9) for liar in (0, 7)}
    limits = {"max_colluding": 1, "max_dropouts": 4}
    world = Cheats(Lattice(), gateways=10, limits=limits, lies=lies).play()

    assert_exact(world, range(10))
    assert {0: "BAD_SHARE", 7: "BAD_SHARE"} == world.dropped


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

    assert_exact(world, set(SEVEN) - {LIAR})
    assert {LIAR: "BAD_DEALER", 4: "MALFORMED"} == world.dropped
