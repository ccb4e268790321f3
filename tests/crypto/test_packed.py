"""Packed shares: what they open, what they hide, and that a dealing proof holds a dealer to it."""

from __future__ import annotations

import hashlib
from itertools import combinations
from struct import iter_unpack

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.crypto.packed import (
    PROOF_COLUMNS,
    Packing,
    challenge,
    check_row,
    deal,
    evaluate,
    evaluate_each,
    reconstruct,
    sum_rows,
    uniform,
)
from secagg.crypto.reed_solomon import PRIME, lagrange
from secagg.errors import ConfigurationError, LocalProtocolError, SharingError
from tests.schemes.world import entropy

DIGEST = bytes(range(32))
PACKINGS = [Packing(3, 1, 3), Packing(4, 1, 3), Packing(6, 2, 5), Packing(9, 3, 7)]


def secret_of(length=23, seed=0, bound=16):
    return np.random.default_rng(seed).integers(-bound, bound + 1, length)


def dealt_of(packing, length=23, seed=0):
    return deal(secret_of(length, seed), packing, entropy("dealer", seed))


def secret_rows(dealt):
    return dealt.rows[:, :-PROOF_COLUMNS]


# -- the definition, in Python integers and with nothing of the library ----------------------------


def drawn_by_hand(count, rng):
    kept = []
    while len(kept) < count:
        words = iter_unpack("<H", rng(2 * (count - len(kept))))
        kept += [word for (word,) in words if word < 65521]
    return kept


def values_by_hand(secret, packing, rng):
    """Place -> values of all columns and of the 8 masks there."""
    m, ell, t = packing.members, packing.packed, packing.threshold - packing.packed
    columns = -(-len(secret) // ell)
    padded = [value % 65521 for value in secret] + [0] * (ell * columns - len(secret))
    anchors, masks = drawn_by_hand(t * columns, rng), drawn_by_hand((ell + t) * 8, rng)
    places = [65520 - i for i in range(ell)] + [m + 1 + i for i in range(t)]
    rows = [(padded + anchors)[columns * i : columns * (i + 1)] for i in range(ell + t)]
    return {x: rows[i] + masks[8 * i : 8 * (i + 1)] for i, x in enumerate(places)}


def interpolated_by_hand(values, x):
    """Of a table place -> numbers, the numbers at x."""
    result = [0] * len(next(iter(values.values())))
    for place, numbers in values.items():
        factor = 1
        for other in values:
            if other != place:
                factor = factor * (x - other) * pow(place - other, -1, 65521) % 65521
        result = [(r + factor * v) % 65521 for r, v in zip(result, numbers, strict=True)]
    return result


def challenge_by_hand(oracle, digest, columns):
    stream = hashlib.shake_128(oracle.labelled(b"xof-dealing", [digest])).digest(32 * columns)
    kept = [word for (word,) in iter_unpack("<H", stream) if word < 65521]
    return [kept[columns * c : columns * (c + 1)] for c in range(8)]


@st.composite
def dealings(draw):
    members = draw(st.integers(2, 8))
    threshold = draw(st.integers(2, members))
    packing = Packing(members, draw(st.integers(1, threshold - 1)), threshold)
    return packing, draw(st.lists(st.integers(-(2**15), 2**15), min_size=1, max_size=9))


@given(dealings(), st.binary(max_size=4))
def test_rows_and_proof_are_the_integer_oracle_s(oracle, dealing, seed):
    packing, secret = dealing
    dealt = deal(np.array(secret, np.int64), packing, oracle.entropy(seed))
    proof = dealt.prove(DIGEST)
    values = values_by_hand(secret, packing, oracle.entropy(seed))
    rho = challenge_by_hand(oracle, DIGEST, packing.columns(len(secret)))
    proved = {
        x: [
            (numbers[c - 8] + sum(r * f for r, f in zip(rho[c], numbers[:-8], strict=True))) % 65521
            for c in range(8)
        ]
        for x, numbers in values.items()
    }
    points = range(1, packing.members + 1)

    assert [interpolated_by_hand(values, x) for x in points] == dealt.rows.tolist()
    assert [*proved.values()] == proof.T.tolist()
    assert [interpolated_by_hand(proved, x) for x in points] == evaluate(proof, packing).tolist()


@pytest.mark.parametrize("columns", [1, 30, 2048])
def test_challenge_is_the_oracle_s(oracle, columns):
    assert challenge_by_hand(oracle, DIGEST, columns) == challenge(DIGEST, columns).tolist()


# -- what rows open and hide -----------------------------------------------------------------------


@pytest.mark.parametrize("packing", PACKINGS, ids=str)
def test_any_threshold_members_open_the_secret(packing):
    dealt = dealt_of(packing)
    for chosen in combinations(range(packing.members), packing.threshold):
        opened = reconstruct(chosen, secret_rows(dealt)[list(chosen)], packing, 23)

        assert (opened.secret == secret_of()).all()
        assert () == opened.liars


@pytest.mark.parametrize("packing", PACKINGS, ids=str)
def test_fewer_open_nothing(packing):
    few = list(range(packing.threshold - 1))
    with pytest.raises(SharingError, match="are needed"):
        reconstruct(few, secret_rows(dealt_of(packing))[few], packing, 23)


@pytest.mark.parametrize("packing", PACKINGS, ids=str)
def test_as_many_as_the_privacy_threshold_know_nothing(packing):
    """Whatever the secret, some anchors explain what they hold: the map from anchors is onto."""
    hidden = packing.threshold - packing.packed
    matrix = lagrange(packing.places, packing.points)
    for chosen in combinations(range(packing.members), hidden):
        square = matrix[list(chosen), packing.packed :]

        assert _determinant(square.tolist()) != 0


def _determinant(matrix):
    """By elimination modulo p."""
    rows, value = [row[:] for row in matrix], 1
    for at in range(len(rows)):
        pivot = next((r for r in range(at, len(rows)) if rows[r][at]), None)
        if pivot is None:
            return 0
        if pivot != at:
            rows[at], rows[pivot], value = rows[pivot], rows[at], -value
        value = value * rows[at][at] % PRIME
        for below in rows[at + 1 :]:
            factor = below[at] * pow(rows[at][at], -1, PRIME)
            below[at:] = [
                (b - factor * a) % PRIME for a, b in zip(rows[at][at:], below[at:], strict=True)
            ]
    return value


@settings(deadline=None)
@given(st.data())
def test_sums_of_rows_open_the_sum_of_secrets(data):
    members = data.draw(st.integers(3, 12))
    threshold = data.draw(st.integers(2, members))
    packing = Packing(members, data.draw(st.integers(1, threshold - 1)), threshold)
    length = data.draw(st.integers(1, 40))
    dealers = data.draw(st.integers(1, 5))
    rows = np.stack([dealt_of(packing, length, seed).rows for seed in range(dealers)])
    chosen = data.draw(st.permutations(range(members)))[
        : data.draw(st.integers(threshold, members))
    ]
    sums = np.stack([sum_rows(rows[:, member]) for member in chosen])
    total = sum(secret_of(length, seed) for seed in range(dealers))

    assert (reconstruct(chosen, sums, packing, length).secret == total).all()


def test_the_largest_sums_of_keys_are_exact():
    packing = Packing(5, 1, 4)
    for sign in (1, -1):
        secret = np.full(8, sign * 16 * 2047)
        dealt = deal(secret, packing, entropy("largest"))

        assert (reconstruct(range(5), secret_rows(dealt), packing, 8).secret == secret).all()


def test_the_largest_values_of_either_sign_open():
    packing = Packing(4, 1, 3)
    secret = np.array([PRIME // 2, -(PRIME // 2), 0])
    dealt = deal(secret, packing, entropy("either sign"))

    assert secret.tolist() == reconstruct(range(4), secret_rows(dealt), packing, 3).secret.tolist()


def test_liars_are_named_by_position():
    packing = Packing(12, 2, 6)
    positions = [11, 3, 4, 0, 9, 7, 5, 1, 10]
    sums = secret_rows(dealt_of(packing))[positions]
    sums[2, 0] ^= 1
    sums[8, 3] ^= 1
    with pytest.raises(SharingError):  # 9 rows for R = 6 tell one apart
        reconstruct(positions, sums, packing, 23)
    sums[8, 3] ^= 1
    opened = reconstruct(positions, sums, packing, 23)

    assert (4,) == opened.liars
    assert (opened.secret == secret_of()).all()


def test_values_where_the_padding_is_are_refused():
    packing = Packing(4, 2, 4)
    dealt = deal(secret_of(24), packing, entropy("longer"))
    with pytest.raises(SharingError, match="padding"):
        reconstruct(range(4), secret_rows(dealt), packing, 23)


@pytest.mark.parametrize("positions", [[0, 1, 1], [0, 1, 4], [-1, 0, 1]], ids=str)
def test_positions_are_distinct_members(positions):
    packing = Packing(4, 1, 3)
    with pytest.raises(LocalProtocolError, match="distinct"):
        reconstruct(positions, np.zeros((3, 23), np.uint16), packing, 23)


@pytest.mark.parametrize(
    "sums",
    [
        np.zeros((3, 22), np.uint16),
        np.zeros((4, 23), np.uint16),
        np.full((3, 23), PRIME, np.uint16),
    ],
    ids=["columns", "rows", "no element"],
)
def test_rows_of_another_form_are_refused(sums):
    with pytest.raises(SharingError, match="not one row"):
        reconstruct([0, 1, 2], sums, Packing(4, 1, 3), 23)


@pytest.mark.parametrize("numbers", [(3, 0, 3), (3, 3, 3), (3, 1, 4), (2049, 1, 4)], ids=str)
def test_packings_that_cannot_work(numbers):
    with pytest.raises(ConfigurationError, match="values < shares <= members"):
        Packing(*numbers)


def test_sizes():
    packing = Packing(640, 70, 440)

    assert (30, 76) == (packing.columns(2048), packing.row_bytes(2048))


# -- the proof -------------------------------------------------------------------------------------


@pytest.mark.parametrize("packing", PACKINGS, ids=str)
def test_honest_rows_fit_their_proof(packing):
    dealt = dealt_of(packing)
    values = evaluate(dealt.prove(DIGEST), packing)

    assert all(check_row(row, DIGEST, said) for row, said in zip(dealt.rows, values, strict=True))


def test_a_row_that_differs_anywhere_does_not():
    packing = Packing(6, 2, 5)
    dealt = dealt_of(packing)
    values = evaluate(dealt.prove(DIGEST), packing)
    for at in range(dealt.rows.shape[1]):
        row = dealt.rows[3].copy()
        row[at] = (int(row[at]) + 1) % PRIME

        assert not check_row(row, DIGEST, values[3])


@pytest.mark.parametrize("member", range(4))
def test_one_row_off_the_polynomials_fits_no_proof_of_the_others(member):
    """The dealer proves what R members hold, and gives one more something else."""
    packing = Packing(4, 1, 3)
    dealt = dealt_of(packing)
    dealt.rows[member, 0] = (int(dealt.rows[member, 0]) + 1) % PRIME
    values = evaluate(dealt.prove(DIGEST), packing)
    fitting = [check_row(row, DIGEST, said) for row, said in zip(dealt.rows, values, strict=True)]

    assert [other != member for other in range(4)] == fitting


def test_an_error_that_one_combination_hides_shows_in_the_others():
    """Eight independent combinations: what a dealer fits to one is not fitted to the rest."""
    packing = Packing(4, 1, 3)
    dealt = dealt_of(packing)
    values = evaluate(dealt.prove(DIGEST), packing)
    for combination in range(PROOF_COLUMNS):
        first, second = challenge(DIGEST, 23)[combination, :2].tolist()
        row = dealt.rows[0].astype(np.int64)
        row[0] += 1
        row[1] -= first * pow(second, -1, PRIME)

        assert not check_row((row % PRIME).astype(np.uint16), DIGEST, values[0])


def test_another_digest_is_another_challenge():
    packing = Packing(4, 1, 3)
    dealt = dealt_of(packing)
    values = evaluate(dealt.prove(DIGEST), packing)

    assert not check_row(dealt.rows[0], DIGEST[::-1], values[0])


def test_numbers_that_are_no_elements_do_not_fit():
    """p is zero in the field: two spellings of one row would be two sums in the end."""
    packing = Packing(4, 1, 3)
    dealt = deal(np.zeros(3, np.int64), packing, bytes)
    values = evaluate(dealt.prove(DIGEST), packing)
    assert check_row(dealt.rows[0], DIGEST, values[0])
    assert not dealt.rows[0].any()
    for at in range(dealt.rows.shape[1]):
        row = dealt.rows[0].copy()
        row[at] = PRIME

        assert not check_row(row, DIGEST, values[0])


def test_the_challenge_is_frozen():
    rho = challenge(DIGEST, 3)

    assert (PROOF_COLUMNS, 3) == rho.shape
    assert FROZEN == rho[0].tolist()
    assert int(challenge(DIGEST, 2048).max()) < PRIME


FROZEN = [8242, 58142, 51284]


def test_proofs_of_many_dealers():
    packing = Packing(6, 2, 5)
    proofs = np.stack([dealt_of(packing, seed=seed).prove(DIGEST) for seed in range(3)])
    each = evaluate_each(proofs, packing)

    assert (3, 6, PROOF_COLUMNS) == each.shape
    for proof, values in zip(proofs, each, strict=True):
        assert (values == evaluate(proof, packing)).all()


def test_a_proof_alone_says_nothing():
    """Its columns are uniform, whatever is shared: no element is seen more often than by chance."""
    packing = Packing(40, 2, 40)
    proofs = [
        deal(np.zeros(4, np.int64), packing, entropy(seed)).prove(DIGEST) for seed in range(40)
    ]
    counts, _ = np.histogram(np.stack(proofs), bins=8, range=(0, PRIME))

    assert np.abs(counts - 1600).max() < 6 * 1600**0.5


# -- randomness ------------------------------------------------------------------------------------


def test_no_dealing_repeats_and_a_stream_decides_it():
    packing = Packing(4, 1, 3)
    first, same = (deal(secret_of(), packing, entropy("one")) for _ in range(2))
    other = deal(secret_of(), packing, entropy("another"))

    assert (first.rows == same.rows).all()
    assert not (first.rows == other.rows).any(axis=0).all()


def test_words_that_are_no_elements_are_drawn_again():
    words = iter([b"\xff\xff" * 2 + b"\x01\x00", b"\xf1\xff\x02\x00", b"\x03\x00"])

    assert [1, 2, 3] == uniform(3, lambda _: next(words)).tolist()


def test_elements_are_uniform():
    drawn = uniform(200_000, entropy("uniform"))
    counts, _ = np.histogram(drawn, bins=16, range=(0, PRIME))

    assert 0 <= drawn.min() <= drawn.max() < PRIME
    assert np.abs(counts - 12_500).max() < 6 * 12_500**0.5


def test_a_dealing_shows_nothing_when_printed():
    assert "Dealt(4 rows)" == repr(dealt_of(Packing(4, 1, 3)))
    opened = reconstruct(range(4), secret_rows(dealt_of(Packing(4, 1, 3))), Packing(4, 1, 3), 23)
    assert "secret" not in repr(opened)
