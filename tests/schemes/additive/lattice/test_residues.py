from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.schemes.additive.lattice.plan import MODULI
from secagg.schemes.additive.lattice.residues import Residues

SMALL, LARGE = MODULI
RINGS = st.sampled_from(MODULI)


def stored(residues, numbers):
    words = np.empty(residues.words(len(numbers)), np.uint64)
    row = np.zeros((1, residues.coefficients(len(words))), residues.dtype)
    row[0, : len(numbers)] = numbers
    residues.store(row, words)
    return words


def loaded(residues, words, count, modulus):
    row = np.zeros((1, residues.coefficients(len(words))), residues.dtype)
    residues.load(words, row)
    return [int(number) % modulus for number in row[0][:count]]


def numbers_of(data, modulus, count):
    edges = st.sampled_from([0, 1, -1, 2**31 - 1, -(2**31), modulus // 2 - 1, -modulus // 2])
    each = edges | st.integers(-modulus // 2, modulus // 2 - 1)
    return data.draw(st.lists(each, min_size=count, max_size=count))


@given(modulus=RINGS, count=st.integers(1, 20), data=st.data())
def test_sums_and_differences_are_modulo_q(modulus, count, data):
    residues = Residues(modulus)
    left, right = numbers_of(data, modulus, count), numbers_of(data, modulus, count)
    total = stored(residues, left)
    residues.add(total, stored(residues, right))
    difference = stored(residues, left)
    residues.subtract(difference, stored(residues, right))

    added = [(a + b) % modulus for a, b in zip(left, right, strict=True)]
    subtracted = [(a - b) % modulus for a, b in zip(left, right, strict=True)]

    assert added == loaded(residues, total, count, modulus)
    assert subtracted == loaded(residues, difference, count, modulus)


@pytest.mark.parametrize("modulus", [SMALL, LARGE])
def test_full_rows_and_a_rest_are_added_like_each_alone(modulus):
    residues = Residues(modulus)
    rng = np.random.default_rng(0)
    size = 3 * residues.unit + residues.words(24)
    total, more = rng.integers(0, 2**64, (2, size), np.uint64)
    alone = total.copy()
    for start in range(0, size, residues.unit):
        part = slice(start, start + residues.unit)
        residues.add(alone[part], more[part])
    together = total.copy()
    residues.add(together, more)

    np.testing.assert_array_equal(alone, together)
    residues.subtract(together, more)
    np.testing.assert_array_equal(total, together)


@given(modulus=RINGS, data=st.data())
def test_ranges(modulus, data):
    residues = Residues(modulus)
    numbers = numbers_of(data, modulus, 8)
    shifted = numbers if modulus == SMALL else [number + 5 * modulus for number in numbers]
    values = np.array([shifted], residues.dtype)
    positive = residues.positive(values.copy())
    residues.centre(values)

    assert numbers == values[0].tolist()
    assert [number % modulus for number in numbers] == positive[0].tolist()


@pytest.mark.parametrize(("modulus", "unit"), [(SMALL, 1024), (LARGE, 1280)])
def test_sizes(modulus, unit):
    residues = Residues(modulus)

    assert unit == residues.unit == residues.words(2048)
    assert all(residues.coefficients(residues.words(k)) == k for k in range(8, 2049, 8))
    assert residues.words(1) == residues.words(8) == unit // 256


def test_the_upper_bytes_follow_the_lower_words_of_a_row():
    residues = Residues(LARGE)
    words = stored(residues, [k + (100 + k << 32) for k in range(8)])
    raw = words.astype("<u8").tobytes()

    assert list(range(8)) == np.frombuffer(raw[:32], "<u4").tolist()
    assert list(range(100, 108)) == list(raw[32:])
