from __future__ import annotations

import itertools
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.errors import ConfigurationError, LocalProtocolError, ThresholdMismatch
from secagg.params import MAX_COMPLETE, Thresholds
from secagg.thresholds import derive, neighbours, quorum, verify_thresholds

# n: C, D, t, q, n_min. The default t is max(C + 1, n - D - C).
DEFAULTS = {
    3: (1, 0, 2, 3, 3),
    4: (1, 1, 2, 3, 3),
    5: (1, 1, 3, 4, 4),
    6: (1, 2, 3, 4, 4),
    7: (2, 2, 3, 5, 5),
    8: (2, 2, 4, 6, 6),
    9: (2, 3, 4, 6, 6),
    10: (3, 3, 4, 7, 7),
    11: (3, 3, 5, 8, 8),
    12: (3, 4, 5, 8, 8),
    63: (20, 21, 22, 42, 42),
    64: (21, 21, 22, 43, 43),
}
# n: C, D, t, q, n_min, k. Above 64 C = D = n // 10 and k is the least even number above C + D.
SPARSE = {
    65: (6, 6, 7, 36, 36, 14),
    100: (10, 10, 11, 56, 56, 22),
    999: (99, 99, 100, 550, 550, 200),
    1000: (100, 100, 101, 551, 551, 202),
    2048: (204, 204, 205, 1127, 1127, 410),
}


def thresholds(n, c, d, t, q, least, k):
    return Thresholds(
        gateways=n,
        max_colluding=c,
        max_dropouts=d,
        share_threshold=t,
        quorum=q,
        min_included=least,
        degree=k,
    )


def may_run(n, c, d, t, q, least, k):
    """docs/protocol.md#thresholds, written a second time: the ranges a client accepts."""
    return (
        3 <= n <= 2048
        and 1 <= c < t <= k - d + 1 <= k + 1
        and q == (n + c) // 2 + 1
        and max(c + 2, q) <= least <= n - d
        and (k == n - 1 or (n > 64 and k % 2 == 0 and c + d + 1 <= k < n))
    )


def may_run_masks(limits):
    *numbers, committee, packed = msgspec.structs.astuple(limits)
    return (committee, packed) == (0, 1) and may_run(*numbers)


@pytest.mark.parametrize("n", [*DEFAULTS, *SPARSE])
def test_defaults(n):
    numbers = SPARSE[n] if n in SPARSE else (*DEFAULTS[n], n - 1)

    assert derive(n) == thresholds(n, *numbers)
    verify_thresholds(derive(n))


@pytest.mark.parametrize("n", range(65, 2049, 31))
def test_every_sparse_default_has_room_for_the_vanished_and_for_liars(n):
    derived = derive(n)
    c, d, t, k = (
        derived.max_colluding,
        derived.max_dropouts,
        derived.share_threshold,
        derived.degree,
    )

    verify_thresholds(derived)
    assert (n // 10, n // 10) == (c, d)
    assert k in {c + d + 1, c + d + 2}
    # the holders of a dealer's shares but for D - 1 vanished and C liars
    assert t <= k - (d - 1) - c or t == c + 1


@pytest.mark.parametrize("n", range(3, MAX_COMPLETE + 1))
def test_every_default_is_accepted_and_leaves_no_dropout_unused(n):
    derived = derive(n)

    verify_thresholds(derived)
    assert derived.max_colluding == max(1, (n - 1) // 3)
    assert derived.quorum == derived.min_included == n - derived.max_dropouts
    assert derived.share_threshold > derived.max_colluding


@pytest.mark.parametrize(
    ("given_settings", "expected"),
    [
        ({"max_colluding": 2}, (10, 2, 3, 5, 7, 7, 9)),
        ({"max_dropouts": 1}, (10, 3, 1, 6, 7, 7, 9)),
        ({"max_colluding": 8}, (10, 8, 0, 9, 10, 10, 9)),
        ({"max_colluding": 7, "max_dropouts": 1}, (10, 7, 1, 8, 9, 9, 9)),
        ({"share_threshold": 7}, (10, 3, 3, 7, 7, 7, 9)),
        ({"max_dropouts": 0, "min_included": 9}, (10, 3, 0, 7, 7, 9, 9)),
        ({"degree": 9}, (10, 3, 3, 4, 7, 7, 9)),
        ({"gateways": 100, "max_colluding": 9, "max_dropouts": 10}, (100, 9, 10, 10, 55, 55, 20)),
        (
            {"gateways": 100, "max_colluding": 33, "max_dropouts": 10},
            (100, 33, 10, 34, 67, 67, 44),
        ),
        (
            {"gateways": 100, "max_colluding": 33, "max_dropouts": 10, "share_threshold": 35},
            (100, 33, 10, 35, 67, 67, 44),
        ),
        ({"gateways": 100, "degree": 40}, (100, 10, 10, 21, 56, 56, 40)),
        ({"gateways": 100, "degree": 99}, (100, 10, 10, 80, 56, 56, 99)),
        # no even number below n - 1 is large enough: everybody is everybody's neighbour
        ({"gateways": 66, "max_colluding": 64}, (66, 64, 0, 65, 66, 66, 65)),
    ],
)
def test_what_is_given_is_kept_and_the_rest_follows(given_settings, expected):
    assert derive(**{"gateways": 10} | given_settings) == thresholds(*expected)


@pytest.mark.parametrize(
    ("n", "settings", "named"),
    [
        (2, {}, "3 or more"),
        (0, {}, "3 or more"),
        (2049, {}, "2049 gateways: it takes 3 or more, and at most 2048"),
        (10, {"degree": 4}, "4 neighbours: up to 64 gateways everybody is everybody's neighbour"),
        (100, {"degree": 20}, "20 neighbours: it takes an even number from 22"),
        (100, {"degree": 23}, "23 neighbours: it takes an even number from 22"),
        (100, {"degree": 100}, "or 99 for the complete graph"),
        (100, {"share_threshold": 10}, "share_threshold is 10: it takes 11 to 13"),
        (100, {"share_threshold": 14}, "share_threshold is 14: it takes 11 to 13"),
        (100, {"degree": 2.0}, "degree is 2.0: it takes a whole number"),
        (10, {"max_dropouts": 0.1}, "max_dropouts is 0.1: it takes a whole number"),
        (10, {"share_threshold": 3}, "share_threshold is 3: it takes 4 to 7"),
        (10, {"share_threshold": 8}, "share_threshold is 8: it takes 4 to 7"),
        (10, {"min_included": 6}, "min_included is 6: it takes 7 to 7"),
        (10, {"min_included": 8}, "min_included is 8: it takes 7 to 7"),
    ],
)
def test_a_number_out_of_range_is_named_with_its_range(n, settings, named):
    with pytest.raises(ConfigurationError, match=re.escape(named)):
        derive(n, **settings)


@pytest.mark.parametrize(
    ("n", "settings", "named"),
    [
        (3, {"max_dropouts": 1}, ["n=3 C=1 D=0", "n=4 C=1 D=1"]),
        (4, {"max_colluding": 2, "max_dropouts": 1}, ["n=4 C=2 D=0", "n=4 C=1 D=1", "n=5 C=2 D=1"]),
        (10, {"max_dropouts": 4}, ["n=10 C=3 D=3", "n=10 C=1 D=4", "n=12 C=3 D=4"]),
        (4, {"max_colluding": 3}, ["n=4 C=2 D=0", "n=5 C=3 D=0"]),
        (10, {"max_colluding": 0}, ["n=10 C=1 D=4"]),
        (10, {"max_dropouts": -1}, ["n=10 C=3 D=0"]),
        (64, {"max_colluding": 40, "max_dropouts": 30}, ["n=64 C=40 D=11", "n=64 C=3 D=30"]),
        (10, {"max_colluding": 99, "max_dropouts": 99}, ["n=10 C=8 D=0", "n=10 C=1 D=4"]),
    ],
)
def test_an_infeasible_combination_names_feasible_ones(n, settings, named):
    with pytest.raises(ConfigurationError) as caught:
        derive(n, **settings)

    message = str(caught.value)
    for setting in named:
        assert setting in message
    triples = re.findall(r"n=(\d+) C=(\d+) D=(\d+)", message)
    assert triples
    for size, colluding, dropouts in triples:
        derive(int(size), max_colluding=int(colluding), max_dropouts=int(dropouts))


@given(
    n=st.integers(3, 80),
    c=st.integers(-1, 82),
    d=st.integers(-1, 82),
)
def test_derive_takes_exactly_the_feasible_combinations(n, c, d):
    feasible = any(
        may_run(n, c, d, t, (n + c) // 2 + 1, least, n - 1)
        for t in (c + 1, n - d)
        for least in range(n + 1)
    )
    try:
        derived = derive(n, max_colluding=c, max_dropouts=d)
    except ConfigurationError:
        derived = None

    assert (derived is not None) == feasible
    if derived is not None:
        assert may_run_masks(derived)


@pytest.mark.parametrize("n", [3, 4, 5, 7, 10, 12, 63, 64, 65, 66])
def test_verify_refuses_every_single_field_change(n):
    good = derive(n)
    for name in Thresholds.__struct_fields__:
        for value in range(-1, 70):
            changed = msgspec.structs.replace(good, **{name: value})
            allowed = may_run_masks(changed)
            if allowed:
                # C, D, t, n_min and a sparse k may be chosen within their ranges, nothing else.
                free = {"max_colluding", "max_dropouts", "share_threshold", "min_included"}
                # n itself is held against the cohort
                free |= {"degree", "gateways"} if n > 64 else set()

                assert name in free or value == getattr(good, name)
                verify_thresholds(changed)
            else:
                with pytest.raises(ThresholdMismatch):
                    verify_thresholds(changed)


def test_verify_says_which_number_differs():
    changed = msgspec.structs.replace(derive(10), quorum=6)

    with pytest.raises(ThresholdMismatch, match="announced quorum is 6, computed is 7"):
        verify_thresholds(changed)


@given(st.tuples(*[st.integers(-(2**63), 2**63)] * 7) | st.tuples(*[st.integers(-1, 13)] * 7))
def test_verify_accepts_nothing_but_the_ranges(numbers):
    try:
        verify_thresholds(thresholds(*numbers))
        accepted = True
    except ThresholdMismatch:
        accepted = False

    assert accepted == may_run(*numbers)


def test_verify_accepts_exactly_the_ranges_at_four_gateways():
    accepted = []
    for numbers in itertools.product(range(5), repeat=5):
        try:
            verify_thresholds(thresholds(4, *numbers, 3))
            accepted.append(numbers)
        except ThresholdMismatch:
            pass

    assert accepted == [
        numbers for numbers in itertools.product(range(5), repeat=5) if may_run(4, *numbers, 3)
    ]
    assert (1, 1, 2, 3, 3) in accepted


@pytest.mark.parametrize("n", range(3, MAX_COMPLETE + 1))
def test_two_quorums_share_more_than_the_colluding(n):
    for c in range(1, n - 1):
        q = quorum(n, c)

        assert 2 * q - n > c >= 2 * (q - 1) - n


@pytest.mark.parametrize("n", [3, 4, 9, 64])
def test_in_the_complete_graph_all_others_are_neighbours(n):
    for position in range(n):
        assert neighbours(derive(n), position) == frozenset(range(n)) - {position}


def test_a_circulant_links_the_nearest_on_either_side():
    circulant = msgspec.structs.replace(derive(10), degree=4)

    assert neighbours(circulant, 0) == {8, 9, 1, 2}
    assert neighbours(circulant, 5) == {3, 4, 6, 7}


@pytest.mark.parametrize("position", [-1, 4])
def test_a_position_outside_the_cohort_is_the_callers_mistake(position):
    with pytest.raises(LocalProtocolError, match="it takes 0 to 3"):
        neighbours(derive(4), position)
