"""Arithmetic over GF(65521) against Python integers, and decoding up to what can be told apart."""

from __future__ import annotations

from itertools import combinations
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.crypto import reed_solomon
from secagg.crypto.reed_solomon import PRIME, decode_rows, inverse, lagrange, product
from secagg.errors import SharingError


def word(points, threshold, columns, seed=0):
    """Values of random polynomials of degree below `threshold`."""
    rng = np.random.default_rng(seed)
    coefficients = rng.integers(0, PRIME, (threshold, columns)).tolist()
    return np.array(
        [
            [
                sum(c[j] * int(x) ** d for d, c in enumerate(coefficients)) % PRIME
                for j in range(columns)
            ]
            for x in points
        ],
        np.int64,
    )


def spoiled(received, rows, seed=1):
    """Rows that differ in one column each."""
    rng = np.random.default_rng(seed)
    wrong = received.copy()
    for row in rows:
        wrong[row, rng.integers(received.shape[1])] += rng.integers(1, PRIME)
    return wrong % PRIME


def test_prime():
    assert all(PRIME % divisor for divisor in range(2, 256))
    assert 256**2 > PRIME


def test_products_are_exact_at_the_maxima():
    left = np.full((3, 2048), PRIME - 1, np.int64)
    right = np.full((2048, 5), PRIME - 1, np.int64)

    assert (product(left, right) == 2048 * (PRIME - 1) ** 2 % PRIME).all()


@given(st.integers(1, 5), st.integers(1, 300), st.integers(1, 40), st.integers(0, 99))
def test_products_are_python_s(rows, inner, columns, seed):
    rng = np.random.default_rng(seed)
    left, right = rng.integers(0, PRIME, (rows, inner)), rng.integers(0, PRIME, (inner, columns))
    exact = left.astype(object) @ right.astype(object) % PRIME

    assert (product(left, right) == exact).all()


def test_products_larger_than_one_piece():
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, PRIME, (7, 600)), rng.integers(0, PRIME, (600, 500))

    assert (product(left, right) == left.astype(object) @ right.astype(object) % PRIME).all()


def test_every_inverse():
    values = np.arange(1, PRIME)

    assert (values * inverse(values) % PRIME == 1).all()


@given(st.sets(st.integers(0, PRIME - 1), min_size=2, max_size=9), st.data())
def test_interpolation_is_lagranges(points, data):
    known = sorted(points)
    cut = data.draw(st.integers(1, len(known) - 1))
    known, wanted = known[:cut], known[cut:]
    expected = [
        [prod((z - x) * pow(y - x, -1, PRIME) for x in known if x != y) % PRIME for y in known]
        for z in wanted
    ]

    assert lagrange(np.array(known), np.array(wanted)).tolist() == expected


@pytest.mark.parametrize(("count", "threshold"), [(3, 3), (5, 3), (7, 3), (8, 5), (12, 5)])
def test_every_set_of_few_wrong_rows_is_found(count, threshold):
    points = np.arange(1, count + 1)
    right = word(points, threshold, 3)
    for errors in range((count - threshold) // 2 + 1):
        for rows in combinations(range(count), errors):
            good, base = decode_rows(points, spoiled(right, rows), threshold)

            assert {*np.flatnonzero(~good)} == {*rows}
            assert threshold == len(base)
            assert good[base].all()


@pytest.mark.parametrize(("count", "threshold"), [(4, 3), (5, 3), (8, 5), (9, 4)])
def test_one_wrong_row_more_is_refused(count, threshold):
    points = np.arange(1, count + 1)
    right = word(points, threshold, 4)
    for rows in combinations(range(count), (count - threshold) // 2 + 1):
        with pytest.raises(SharingError, match=r"rows are wrong|tell apart"):
            decode_rows(points, spoiled(right, rows), threshold)


def test_without_a_row_to_spare_nothing_can_be_noticed():
    points = np.arange(1, 5)
    good, _ = decode_rows(points, spoiled(word(points, 4, 2), [1]), 4)

    assert good.all()


def test_too_few_rows():
    points = np.arange(1, 4)
    with pytest.raises(SharingError, match="3 rows, 4 are needed"):
        decode_rows(points, word(points, 3, 2), 4)


def test_wrong_rows_that_are_wrong_in_different_columns():
    """No one column shows all of them."""
    points = np.arange(1, 12)
    right = word(points, 5, 3)
    wrong = right.copy()
    for row in range(3):
        wrong[row, row] = (wrong[row, row] + 1) % PRIME
    good, _ = decode_rows(points, wrong, 5)

    assert [0, 1, 2] == np.flatnonzero(~good).tolist()


def test_liars_who_agree_on_another_word():
    """All of them on one polynomial: still fewer than can be told apart."""
    points = np.arange(1, 12)
    right, other = word(points, 5, 2, seed=0), word(points, 5, 2, seed=5)
    wrong = right.copy()
    wrong[[1, 4, 9]] = other[[1, 4, 9]]
    good, _ = decode_rows(points, wrong, 5)

    assert [1, 4, 9] == np.flatnonzero(~good).tolist()


def test_as_large_as_a_committee():
    points = np.random.default_rng(3).permutation(np.arange(1, 1025))[:640]
    coefficients = np.random.default_rng(4).integers(0, PRIME, (440, 30))
    powers = np.ones((640, 440), np.int64)
    for degree in range(1, 440):
        powers[:, degree] = powers[:, degree - 1] * points % PRIME
    right = product(powers, coefficients)
    rows = np.random.default_rng(5).permutation(640)[:100]
    good, _ = decode_rows(points, spoiled(right, rows), 440)

    assert sorted(rows) == np.flatnonzero(~good).tolist()


def test_a_wrong_row_that_no_probe_shows_is_noticed_all_the_same(monkeypatch):
    monkeypatch.setattr(reed_solomon, "_probes", lambda received: np.zeros((8, len(received)), int))
    points = np.arange(1, 8)
    with pytest.raises(SharingError, match="more than 2 of 7 rows are wrong"):
        decode_rows(points, spoiled(word(points, 3, 2), [4]), 3)


def test_wrong_rows_that_probes_show_one_by_one_are_counted_together(monkeypatch):
    """Each is within the bound where it shows; both are not."""
    monkeypatch.setattr(reed_solomon, "_probes", lambda received: received.T)
    points = np.arange(1, 7)
    wrong = word(points, 3, 2)
    wrong[[0, 1], [0, 1]] = (wrong[[0, 1], [0, 1]] + 1) % PRIME
    with pytest.raises(SharingError, match="more than 1 of 6 rows are wrong"):
        decode_rows(points, wrong, 3)


def test_probes_follow_from_the_rows_themselves():
    """Combinations known beforehand could be lied around."""
    received = word(np.arange(1, 8), 3, 2)
    probes = reed_solomon._probes(received)

    assert (8, 7) == probes.shape
    assert (probes == reed_solomon._probes(received)).all()
    assert (2 * probes % PRIME != reed_solomon._probes(2 * received % PRIME)).any()
