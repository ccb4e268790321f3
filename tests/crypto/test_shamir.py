from __future__ import annotations

import itertools
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import errors
from secagg.crypto import shamir
from secagg.crypto.shamir import PRIME, check_share, combine, combine_each, split

VECTOR_FILE = "shamir.json"
secrets32 = st.binary(min_size=32, max_size=32)


def perform(operation, oracle):
    if operation["operation"] == "combine":
        shares = {
            int(i): [bytes.fromhex(one) for one in row] for i, row in operation["shares"].items()
        }
        return [secret.hex() for secret in combine(shares, operation["threshold"])]
    holders = operation["holders"]
    holders = range(holders) if isinstance(holders, int) else holders
    rng = oracle.entropy(bytes.fromhex(operation["seed"]))
    secrets = [bytes.fromhex(secret) for secret in operation["secrets"]]
    shares = split(secrets, operation["threshold"], holders, rng)
    return [[one.hex() for one in row] for row in shares]


def test_frozen_vector(operation, oracle):
    if not operation["success"]:
        with pytest.raises(getattr(errors, operation["error"])):
            perform(operation, oracle)
        return

    assert operation["expected"] == perform(operation, oracle)


@st.composite
def sharings(draw):
    holders = draw(st.lists(st.integers(0, PRIME - 2), min_size=1, max_size=8, unique=True))
    threshold = draw(st.integers(1, len(holders)))
    return draw(st.lists(secrets32, min_size=1, max_size=3)), threshold, holders


@given(sharings(), st.binary(max_size=4))
def test_split_is_the_integer_oracle(oracle, sharing, seed):
    secrets, threshold, holders = sharing
    expected = oracle.split(secrets, threshold, holders, oracle.entropy(seed))

    assert expected == split(secrets, threshold, holders, oracle.entropy(seed))


@given(sharings(), st.randoms(use_true_random=False))
def test_any_threshold_of_shares_open_the_secrets(oracle, sharing, random):
    secrets, threshold, holders = sharing
    table = dict(zip(holders, split(secrets, threshold, holders, os.urandom), strict=True))
    chosen = {i: table[i] for i in random.sample(holders, random.randint(threshold, len(holders)))}

    assert secrets == combine(chosen, threshold)
    if len(chosen) == threshold:
        assert secrets == oracle.combine(chosen)


@given(sharings(), st.randoms(use_true_random=False))
def test_secrets_with_holders_of_their_own_open_together(sharing, random):
    secrets, threshold, holders = sharing
    rows = split(secrets, threshold, holders, os.urandom)
    tables = []
    for secret in range(len(secrets)):
        chosen = random.sample(range(len(holders)), random.randint(threshold, len(holders)))
        tables.append({holders[at]: rows[at][secret] for at in chosen})

    assert secrets == combine_each(tables, threshold)


def test_a_table_with_too_few_shares_or_a_bad_one_is_refused():
    rows = split([bytes(32)], 2, range(3), os.urandom)
    good = {i: row[0] for i, row in enumerate(rows)}

    with pytest.raises(errors.SharingError, match="1 positions hold shares, 2 are needed"):
        combine_each([good, {0: good[0]}], 2)
    with pytest.raises(errors.SharingError, match="exactly 39 bytes"):
        combine_each([good, good | {0: b""}], 2)
    with pytest.raises(errors.LocalProtocolError, match="positions lie in"):
        combine_each([good, {-1: good[0], **good}], 2)
    with pytest.raises(errors.LocalProtocolError, match="threshold is 0"):
        combine_each([good], 0)


@pytest.mark.parametrize(("n", "threshold"), [(64, 64), (100, 67), (2100, 2048)])
def test_exact_at_the_sizes_where_rounding_would_begin(oracle, n, threshold):
    # All-ones draws are the largest elements below p: the largest sums that can occur.
    largest = (PRIME - 1).to_bytes(3, "little")
    secret = b"\xff" * 32
    rows = split([secret], threshold, range(n), lambda size: largest * (size // 3))
    x = n
    coefficients = [PRIME - 1] * (threshold - 1)
    powers = [pow(x, k, PRIME) for k in range(1, threshold)]
    tail = sum(c * power for c, power in zip(coefficients, powers, strict=True))
    expected = [(limb + tail) % PRIME for limb in shamir._limbs(secret)]

    assert oracle.share(expected) == rows[-1][0]
    assert [secret] == combine(dict(enumerate(rows)), threshold)
    assert [secret] == combine_each([{i: row[0] for i, row in enumerate(rows)}], threshold)


def test_product_is_exact_at_its_bound():
    left = np.full((2, shamir.MAX_THRESHOLD), PRIME - 1)
    right = np.full((shamir.MAX_THRESHOLD, 3), PRIME - 1)
    right[0, 0] = 1
    expected = [[((shamir.MAX_THRESHOLD - 1) + PRIME - 1) % PRIME] + [shamir.MAX_THRESHOLD] * 2] * 2

    assert shamir.MAX_THRESHOLD * (PRIME - 1) ** 2 < 2**53
    assert expected == shamir._product(left, right).tolist()


def test_products_in_parts_are_the_whole(monkeypatch):
    rng = np.random.default_rng(3)
    left, right = rng.integers(0, PRIME, (5, 7)), rng.integers(0, PRIME, (7, 29))
    expected = left.astype(object) @ right.astype(object) % PRIME
    for bound in (1, 70, 350, 10**6):
        monkeypatch.setattr(shamir, "_SERIAL_PRODUCT", bound)

        np.testing.assert_array_equal(expected, shamir._product(left, right))


def test_prime_is_the_largest_below_2_to_21():
    def is_prime(n):
        return all(n % d for d in range(2, int(n**0.5) + 1))

    assert max(n for n in range(2**21 - 40, 2**21) if is_prime(n)) == PRIME


def test_out_of_range_draws_are_rejected_and_drawn_again():
    answers = [
        b"\xff\xff\x1f" + b"\x01\x00\x00" + b"\xf7\xff\xff",  # 2^21-1, 1, p (upper bits masked)
        b"\xf6\xff\x1f" + b"\x00\x00\xe0",  # p - 1, 0
    ]
    sizes = []

    def rng(size):
        sizes.append(size)
        return answers.pop(0)

    assert shamir._random_elements(3, rng).tolist() == [1, PRIME - 1, 0]
    assert sizes == [9, 6]


def test_coefficients_are_uniform():
    # Chi-square with 64 cells of equal width over 2^17 draws: fixed seed, so no false alarm; the
    # 99.9999% quantile for 63 degrees of freedom is 129.
    rng = np.random.default_rng(5)
    drawn = shamir._random_elements(1 << 17, rng.bytes)
    counts = np.bincount(drawn * 64 // PRIME, minlength=64)
    expected = (1 << 17) / 64

    assert ((counts - expected) ** 2 / expected).sum() < 129
    assert 0 <= drawn.min() <= drawn.max() < PRIME


# Perfect secrecy, exhaustively on a small field: every secret gives each tuple of threshold - 1
# shares equally often, because the map from coefficients to shares is a bijection.
@pytest.mark.parametrize("limb", [0, 1, 6])
def test_below_threshold_shares_say_nothing(limb):
    p, positions = 7, (1, 3)
    seen = [
        tuple((limb + a * x + b * x * x) % p for x in positions)
        for a, b in itertools.product(range(p), repeat=2)
    ]

    assert p * p == len(set(seen))


@given(secrets32)
def test_threshold_of_one_hands_out_the_secret_without_randomness(secret):
    def rng(_):
        raise AssertionError

    assert [secret] == combine({4: split([secret], 1, [4, 7], rng)[1]}, 1)


def test_fewer_holders_than_the_threshold_never_open_the_secret():
    # so few may be left to share with; then the dealer's own word is what opens the sum
    rows = dict(enumerate(split([bytes(32)], 4, range(3), os.urandom)))

    assert [1, 1, 1] == [len(row) for row in rows.values()]
    with pytest.raises(errors.SharingError, match="4 are needed"):
        combine(rows, 4)


def test_no_secrets():
    assert split([], 2, [0, 1], os.urandom) == [[], []]
    assert combine({0: [], 1: []}, 2) == []
    assert combine_each([], 2) == []


def test_lowest_positions_are_used_and_no_others_looked_at():
    secret = os.urandom(32)
    rows = dict(enumerate(split([secret], 2, range(4), os.urandom)))
    rows[3] = [b"garbage"]

    assert [secret] == combine(dict(reversed(rows.items())), 2)


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_share_of_another_polynomial_gives_another_secret_or_an_error(position):
    secret = bytes(32)
    rows = dict(enumerate(split([secret], 3, range(3), os.urandom)))
    wrong = bytearray(rows[position][0])
    wrong[0] ^= 1
    rows[position] = [bytes(wrong)]
    try:
        assert [secret] != combine(rows, 3)
    except errors.SharingError as error:
        assert "polynomial" in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    "share",
    [
        b"",
        bytes(38),
        bytes(40),
        PRIME.to_bytes(3, "little") + bytes(36),
        bytes(36) + PRIME.to_bytes(3, "little"),
        bytes(36) + b"\xff\xff\xff",
        bytes(18) + b"\xf7\xff\x1f" + bytes(18),
    ],
)
def test_malformed_share(share):
    with pytest.raises(errors.SharingError, match="malformed"):
        check_share(share)


@pytest.mark.parametrize("share", [bytes(39), (PRIME - 1).to_bytes(3, "little") * 13])
def test_well_formed_share(share):
    check_share(share)


@pytest.mark.parametrize("secret", [bytes(31), bytes(33)])
def test_errors_say_nothing_of_the_secret(secret):
    with pytest.raises(errors.LocalProtocolError) as caught:
        split([b"\x42" * len(secret)], 2, [0, 1], os.urandom)

    assert "42" not in str(caught.value)
    assert "B" not in str(caught.value)


@pytest.mark.parametrize("place", range(13))
@pytest.mark.parametrize(
    ("value", "right"), [(PRIME - 1, True), (PRIME, False), (2**24 - 1, False)]
)
def test_every_element_of_a_share_is_below_the_prime(place, value, right):
    share = bytes(3 * place) + value.to_bytes(3, "little") + bytes(36 - 3 * place)
    if right:
        check_share(share)
    else:
        with pytest.raises(errors.SharingError):
            check_share(share)
