"""n, C, D -> m, R, ell of the additive schemes (docs/protocol.md#committee)."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import Ckks, Lattice, Masks
from secagg.errors import ConfigurationError, ThresholdMismatch
from secagg.params import MAX_COMPLETE, Thresholds
from secagg.thresholds import (
    USUAL_SHARE_BYTES,
    derive,
    derive_committee,
    share_bytes,
    verify_thresholds,
)

# n: C, D, m, R, ell, n_min
DEFAULTS = {
    3: (1, 0, 3, 3, 1, 3),
    4: (1, 1, 4, 3, 1, 3),
    10: (3, 3, 10, 7, 1, 7),
    16: (5, 4, 16, 12, 2, 11),
    64: (21, 17, 64, 47, 5, 43),
    65: (6, 6, 65, 59, 24, 36),
    100: (10, 10, 93, 83, 32, 56),
    1000: (100, 100, 527, 427, 114, 551),
    2047: (204, 204, 927, 723, 158, 1126),
}


def may_run(limits):
    """docs/protocol.md#committee, written a second time."""
    n, c, d = limits.gateways, limits.max_colluding, limits.max_dropouts
    m, least, threshold = limits.committee, limits.share_threshold, limits.packed
    privacy = least - threshold
    return (
        3 <= n <= 2047
        and c >= 1
        and d >= 0
        and limits.degree == 0
        and limits.quorum == (n + c) // 2 + 1
        and max(c + 2, limits.quorum) <= limits.min_included <= n - d
        and (m == n or (MAX_COMPLETE < n and 1 <= m < n))
        and limits.packed >= 1
        and least == m - d
        and privacy == (m + c) // 2
    )


@pytest.mark.parametrize("n", DEFAULTS)
def test_defaults(n):
    limits = derive_committee(n)

    assert DEFAULTS[n] == (
        limits.max_colluding,
        limits.max_dropouts,
        limits.committee,
        limits.share_threshold,
        limits.packed,
        limits.min_included,
    )
    assert may_run(limits)
    verify_thresholds(limits)


@pytest.mark.parametrize("n", range(3, 13))
def test_small_cohorts_bear_as_many_dropouts_as_with_masks(n):
    assert derive(n).max_dropouts == derive_committee(n).max_dropouts


@pytest.mark.parametrize("n", [*range(3, 131), 500, 1000, 2047])
def test_the_usual_shares_fit(n):
    limits = derive_committee(n)
    size = share_bytes(limits.committee, limits.share_threshold, limits.packed)

    assert size <= USUAL_SHARE_BYTES
    if n <= MAX_COMPLETE and limits.max_dropouts < derive(n).max_dropouts:
        more = derive_committee(n, max_dropouts=limits.max_dropouts + 1)
        assert share_bytes(more.committee, more.share_threshold, more.packed) > USUAL_SHARE_BYTES


def test_the_usual_committee_has_the_smallest_shares():
    usual = derive_committee(300)
    sizes = []
    for m in range(91, 301):
        limits = derive_committee(300, committee=m)
        sizes.append(share_bytes(m, limits.share_threshold, limits.packed))

    assert min(sizes) == share_bytes(usual.committee, usual.share_threshold, usual.packed)
    assert (usual.max_colluding, usual.max_dropouts) == (30, 30)


@given(n=st.integers(2, 90), c=st.integers(-1, 60), d=st.integers(-1, 60))
def test_exactly_the_feasible_combinations(n, c, d):
    feasible = n >= 3 and c >= 1 and d >= 0 and max(c + 2, (n + c) // 2 + 1) <= n - d
    try:
        limits = derive_committee(n, max_colluding=c, max_dropouts=d)
    except ConfigurationError:
        limits = None

    assert (limits is not None) == feasible
    if limits is not None:
        assert may_run(limits)
        verify_thresholds(limits)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"gateways": 10, "committee": 9}, "everybody is a member"),
        ({"gateways": 100, "committee": 30}, "committee is 30: it takes 31 to 100"),
        ({"gateways": 100, "committee": 101}, "committee is 101"),
        ({"gateways": 100, "committee": "all"}, "whole number"),
        ({"gateways": 10, "max_colluding": 5, "max_dropouts": 4}, "cannot work"),
        ({"gateways": 10, "min_included": 6}, "min_included is 6: it takes 7 to 7"),
        ({"gateways": 2}, "2 gateways: it takes 3 or more"),
        ({"gateways": 2048}, "additive schemes take 2047 at most"),
    ],
)
def test_what_cannot_work_is_named(given, message):
    with pytest.raises(ConfigurationError, match=message):
        derive_committee(**given)


@pytest.mark.parametrize("n", [3, 5, 10, 64, 65, 100])
def test_verify_refuses_every_single_field_change(n):
    good = derive_committee(n)
    free = {"max_colluding", "min_included", "gateways"} | ({"committee"} if n > 64 else set())
    for name in Thresholds.__struct_fields__:
        for value in range(-1, 110):
            changed = msgspec.structs.replace(good, **{name: value})
            if may_run(changed):
                assert name in free or value == getattr(good, name)
                verify_thresholds(changed)
            else:
                with pytest.raises(ThresholdMismatch):
                    verify_thresholds(changed)


def test_a_round_of_an_additive_scheme_has_a_certificate_step_above_the_complete_graph():
    for scheme in (Lattice(), Ckks()):
        for n, steps in (
            (MAX_COMPLETE, ("set_up", "upload", "answer")),
            (MAX_COMPLETE + 1, ("set_up", "upload", "consistency", "answer")),
        ):
            limits = scheme.thresholds(n)

            assert (n > MAX_COMPLETE) == limits.certified
            assert steps == tuple(step.name for step in scheme.steps_for(limits))


@pytest.mark.parametrize("n", [3, MAX_COMPLETE, MAX_COMPLETE + 1])
def test_masks_certify_every_set(n):
    assert derive(n).certified
    assert Masks.steps == Masks().steps_for(derive(n))
