"""Cheating dealers in real sessions: each with its named outcome.

Whatever somebody does, the round ends with the exact sum over the set that it names, or in an error
that says who is to blame where that can be proved: never in a wrong number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from msgspec.structs import replace

from secagg import errors
from secagg.crypto.packed import PRIME
from secagg.params import Kind
from secagg.schemes.additive import Lattice
from secagg.schemes.additive.client import AdditiveClient
from secagg.schemes.base import Fill, Source, Words
from tests.schemes.additive.cheats import (
    LIAR,
    OTHERS,
    SEVEN,
    assert_exact,
    assert_nothing_opened,
    crooked,
    deals_key,
    play,
    random_rows,
    says,
    seals,
)


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

    assert_exact(world, OTHERS)
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


def uploads(vector: Kind, word: int) -> type:
    """A number that no encoder makes in the first word of a vector, well encrypted."""

    class Uploads(AdditiveClient):
        def upload(self, source: Source, model: bytes) -> Iterator[bytearray]:
            [(place, _)] = self.round.of_kind(vector)

            def lying() -> Fill:
                fill = source()

                def put(at: int, first: int, out: Words) -> None:
                    fill(at, first, out)
                    if at == place and first == 0:
                        out[0] = word

                return put

            return super().upload(lying, model)

    return Uploads


@pytest.mark.parametrize(
    ("vector", "word"),
    [("check", 1), ("weight", 2**40), ("metrics", 2**62), ("weight", 2**64 - 2**40)],
)
def test_garbage_inside_an_upload_is_noticed(vector, word):
    """Only the sum is visible, so that nobody can be named."""
    world = play(kinds={LIAR: uploads(vector, word)})

    assert_nothing_opened(world)
    assert isinstance(world.aborted, errors.AggregateOutOfRange)


MALFORMED = {
    "a salt too short": lambda m: replace(m, salt=m.salt[1:]),
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

    assert_exact(world, OTHERS)
    assert {LIAR: "MALFORMED"} == world.dropped
