"""The oracle itself: against every value of every random number, and against real dealings."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol_sim.leaks.additive import Sharing, eliminate
from protocol_sim.randomness import entropy
from secagg.crypto.packed import PRIME, PROOF_COLUMNS, Packing, challenge, deal, sum_rows

FIVE = 5
"""A field in which all values of three unknowns can be written down."""


# -- elimination -----------------------------------------------------------------------------------


@st.composite
def systems(draw):
    """Equations over three unknowns and two secrets, mod 5."""
    entries = st.integers(0, FIVE - 1)
    row = st.lists(entries, min_size=5, max_size=5)
    return np.array(draw(st.lists(row, min_size=1, max_size=4)), np.int64)


def views(rows):
    """For each value of the two secrets everything that may be seen, over all unknowns."""
    unknowns = np.array(list(itertools.product(range(FIVE), repeat=3))).T
    return {
        secret: frozenset(map(tuple, (rows @ _stacked(unknowns, secret) % FIVE).T))
        for secret in itertools.product(range(FIVE), repeat=2)
    }


def _stacked(unknowns, secret):
    return np.vstack([unknowns, *(np.full(unknowns.shape[1], value) for value in secret)])


@given(systems())
def test_what_is_left_decides_what_is_seen(rows):
    """Two secrets look alike exactly if every combination that is left has one value at both."""
    [left] = eliminate(rows[None], 3, FIVE)
    seen = views(rows)
    for one, two in itertools.combinations(seen, 2):
        same = not (left @ (np.array(one) - np.array(two)) % FIVE).any()

        assert same == (seen[one] == seen[two])


@given(systems(), systems())
def test_systems_side_by_side_do_not_mix(one, two):
    size = max(len(one), len(two))
    pair = [np.pad(rows, ((0, size - len(rows)), (0, 0))) for rows in (one, two)]
    both = eliminate(np.array(pair), 3, FIVE)

    for rows, together in zip(pair, both, strict=True):
        np.testing.assert_array_equal(eliminate(rows[None], 3, FIVE)[0], together)


def test_elimination_is_exact_at_the_largest_entries():
    rows = np.full((1, 4, 6), PRIME - 1)
    rows[0, :, :3] = np.random.default_rng(1).integers(0, PRIME, (4, 3))
    [left] = eliminate(rows, 3)
    used = [row for row in left if row.any()]

    # four equations, three unknowns: one combination, weights of which the secrets have in common
    assert 1 == len(used)
    assert 1 == len(set(used[0]))


# -- the model against real dealings ---------------------------------------------------------------

PACKINGS = [(4, 1, 3), (4, 2, 4), (5, 1, 4), (5, 2, 5), (6, 3, 6), (10, 1, 7)]
"""m, ell, R."""


def dealt_by(packing, name=0):
    rng = np.random.default_rng(name)
    secret = rng.integers(-16, 17, 23)
    return secret, deal(secret, Packing(*packing), entropy("dealer", name))


@pytest.mark.parametrize("packing", PACKINGS, ids=str)
def test_shares_are_the_models(packing):
    """Whatever R members hold gives the values at the slots, and all others' shares."""
    members, ell, threshold = packing
    secret, dealt = dealt_by(packing)
    sharing = Sharing(members, ell, threshold, frozenset())
    rows = dealt.rows.astype(np.int64)[:, :-PROOF_COLUMNS]
    padding = [0] * (-len(secret) % ell)
    for chosen in itertools.combinations(range(members), threshold):
        inside = sharing.opened({member: rows[member] for member in chosen})

        assert sorted([*secret % PRIME, *padding]) == sorted(inside[:ell].ravel())
        np.testing.assert_array_equal(sharing.matrix @ inside % PRIME, rows)


@pytest.mark.parametrize("packing", PACKINGS, ids=str)
def test_t_members_know_nothing_and_one_more_does(packing):
    members, ell, threshold = packing
    t = threshold - ell
    values, random = np.split(Sharing(members, ell, threshold, frozenset()).matrix, [ell], axis=1)
    for size, opens in ((t, False), (t + 1, True)):
        for chosen in map(list, itertools.combinations(range(members), size)):
            held = np.hstack([random[chosen], values[chosen]])

            assert opens == eliminate(held[None], t).any()


def test_a_full_round_opens_its_sum_and_no_more():
    sharing = Sharing(4, 1, 3, frozenset({3}))
    everybody = frozenset({0, 1, 2})
    [known] = sharing.known(np.ones((1, 3, 3), np.int64))
    used = known[known.any(axis=(1, 2)), :, 0]

    assert len(used) > 0
    assert (used == used[:, :1]).all()
    assert ([True], [False]) == tuple(map(list, sharing.judge([(everybody,) * 3], 2)))


def test_a_sum_over_too_few_is_a_leak():
    sharing = Sharing(4, 1, 3, frozenset({3}))
    alone = (frozenset({0}),) * 3

    assert not sharing.judge([alone], smallest=1).leaks.any()
    assert sharing.judge([alone], smallest=2).leaks.all()


# -- the dealing proof -----------------------------------------------------------------------------

T, ELL, R = 2, 1, 3
HONEST = (0, 1, 2)


def with_proofs(told, *, proofs=True, proof_columns_too=False):
    """What a server knows of one column and one column of the proof; member 3 colludes.

    Unknown of each honest dealer: R values of r, t random numbers of f. Published: g = r + rho f at
    R points, with a rho of each dealer's own.
    """
    sharing = Sharing(4, ELL, R, frozenset({3}))
    shares = sharing.matrix
    rho = {i: int(challenge(bytes([i]) * 32, 1)[0, 0]) for i in HONEST}

    def row(member, f=None, r=None):
        """Coefficients of sum f_i f_i(x) + sum r_i r_i(x)."""
        values, random = np.split(shares[member], [ELL])
        f, r = f or {}, r or {}
        masks = [r.get(i, 0) * shares[member] for i in HONEST]
        hidden = [f.get(i, 0) * random for i in HONEST]
        secret = [f.get(i, 0) * values for i in HONEST]
        return np.concatenate([*masks, *hidden, *secret]) % PRIME

    rows = [row(3, f={i: 1}) for i in HONEST] + [row(3, r={i: 1}) for i in HONEST]
    if proofs:
        rows += [row(member, f={i: rho[i]}, r={i: 1}) for i in HONEST for member in range(R)]
    for member, included in zip(HONEST, told, strict=True):
        ones = dict.fromkeys(included, 1)
        rows.append(row(member, f=ones))
        if proof_columns_too:
            rows.append(row(member, r=ones))
    [left] = eliminate(np.array([rows]), len(HONEST) * (R + T))
    return left[left.any(axis=1)]


ALL = frozenset(HONEST)
PAIR = frozenset({0, 1})


@pytest.mark.parametrize(
    "told", [(ALL, ALL, ALL), (PAIR, PAIR, ALL), (PAIR, ALL, frozenset({1, 2}))], ids=str
)
def test_proofs_open_nothing(told):
    without, proved = with_proofs(told, proofs=False), with_proofs(told)

    assert bool(len(without)) == bool(len(proved))
    assert all(len(set(row[row != 0])) == 1 for row in proved)


def test_control_sums_of_the_proofs_columns_open_other_combinations():
    """sum g - sum r = sum rho_i f_i, weighed otherwise than sum f_i: so those columns stay home."""
    told = (ALL, ALL, ALL)
    left, more = with_proofs(told), with_proofs(told, proof_columns_too=True)

    assert all(len(set(row)) == 1 for row in left)
    assert any(len(set(row)) > 1 for row in more)


def test_sums_leave_the_proofs_columns_out():
    _, dealt = dealt_by((4, 1, 3))

    assert dealt.rows.shape[1] - PROOF_COLUMNS == len(sum_rows(dealt.rows[:2]))
