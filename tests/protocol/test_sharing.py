"""Whom the complaints remove, at every boundary of the rules."""

from __future__ import annotations

from functools import partial

import pytest

from secagg.protocol.sharing import judge
from secagg.thresholds import derive, neighbours

LIMITS = derive(7)  # C = 2, D = 2, t = 3


def verdict(complaints: dict[int, set[int]], live: set[int] | None = None):
    everybody = {i: frozenset(complaints.get(i, ())) for i in live or range(7)}
    return judge(everybody, thresholds=LIMITS, neighbours=partial(neighbours, LIMITS))


def test_silence_removes_nobody():
    assert (frozenset(), frozenset(), ()) == astuple(verdict({}))


def astuple(found):
    return found.holders, found.dealers, found.disputes


@pytest.mark.parametrize(("count", "removed"), [(2, False), (3, True)])
def test_a_holder_may_reject_c_dealers(count, removed):
    found = verdict({0: set(range(1, 1 + count))})

    assert removed == (0 in found.holders)
    assert frozenset() == found.dealers


@pytest.mark.parametrize(("count", "removed"), [(2, False), (3, True)])
def test_c_holders_may_reject_a_dealer(count, removed):
    found = verdict({i: {6} for i in range(count)})

    assert removed == (6 in found.dealers)
    assert frozenset() == found.holders


def test_what_a_removed_holder_said_does_not_count():
    found = verdict({0: {1, 2, 3}, 4: {1}, 5: {1}})

    assert frozenset({0}) == found.holders
    assert frozenset() == found.dealers
    assert ((4, 1), (5, 1)) == found.disputes


def test_disputes_name_holder_and_dealer():
    assert ((3, 2),) == verdict({3: {2}}).disputes


@pytest.mark.parametrize(
    ("complaints", "live", "dealers"),
    [
        # spare = 2: a dealer needs t + 1 = 4 good holders; six others less two are enough
        ({0: {6}, 1: {6}}, set(range(7)), frozenset()),
        # spare = 1: it needs t = 3; five others less two are enough
        ({0: {6}, 1: {6}}, {0, 1, 2, 3, 4, 6}, frozenset()),
        # spare = 0: nobody more may vanish, so nothing is asked of dealers
        ({0: {6}, 1: {6}}, {0, 1, 2, 3, 6}, frozenset()),
    ],
)
def test_default_thresholds_carry_c_bad_shares(complaints, live, dealers):
    assert dealers == verdict(complaints, live).dealers


def test_a_dealer_with_too_few_good_holders_goes():
    limits = derive(7, share_threshold=5)
    rejected = {i: frozenset({6} if i < 2 else ()) for i in range(7)}

    found = judge(rejected, thresholds=limits, neighbours=partial(neighbours, limits))

    # t + D - dropped - 1 = 6 good holders are needed, dealer 6 has four
    assert 6 in found.dealers
