"""Sealing, committing, and the rules for dealers and holders against a slow statement of them."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.crypto.labels import Label
from secagg.errors import SealError
from secagg.params import Thresholds
from secagg.protocol.sharing import (
    Verdict,
    channel_key,
    commit_secret,
    commit_share,
    judge,
    open_share,
    seal_share,
)
from secagg.thresholds import derive, neighbours

ROUTE: dict[str, Any] = {"session": b"s" * 16, "sender": 1, "receiver": 2}
CHANGES = [{"session": b"t" * 16}, {"sender": 2, "receiver": 1}, {"sender": 3}, {"receiver": 3}]


def key(shared: bytes = b"dh" * 16, salt: bytes = b"0" * 32, **changes: Any) -> bytes:
    return channel_key(shared, salt=salt, **(ROUTE | changes))


def test_a_share_opens_for_its_holder():
    sealed = seal_share(key(), b"share", **ROUTE)

    assert b"share" == open_share(key(), sealed, **ROUTE)


def test_each_direction_transcript_and_pair_has_its_own_key():
    keys = [key(), key(b"d2" * 16), key(salt=b"1" * 32), *(key(**change) for change in CHANGES)]

    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("change", CHANGES)
def test_a_share_does_not_open_on_another_route(change):
    sealed = seal_share(key(), b"share", **ROUTE)

    with pytest.raises(SealError):
        open_share(key(), sealed, **(ROUTE | change))  # right key, wrong associated data
    with pytest.raises(SealError):
        open_share(key(**change), sealed, **ROUTE)


@pytest.mark.parametrize("place", range(21))
def test_a_changed_ciphertext_does_not_open(place):
    sealed = bytearray(seal_share(key(), b"share", **ROUTE))
    sealed[place] ^= 1

    with pytest.raises(SealError):
        open_share(key(), bytes(sealed), **ROUTE)


def test_a_commitment_binds_label_session_dealer_holder_and_share():
    label, session = Label.COMMIT_SEED_SHARE, ROUTE["session"]
    commitments = [
        commit_share(label, session, 1, 2, b"share"),
        commit_share(Label.COMMIT_KEY_SHARE, session, 1, 2, b"share"),
        commit_share(label, b"t" * 16, 1, 2, b"share"),
        commit_share(label, session, 2, 1, b"share"),
        commit_share(label, session, 1, 3, b"share"),
        commit_share(label, session, 1, 2, b"Share"),
        commit_secret(Label.COMMIT_SEED, session, 1, b"share"),
        commit_secret(Label.COMMIT_SEED, session, 2, b"share"),
        commit_secret(Label.COMMIT_SEED, b"t" * 16, 1, b"share"),
        commit_secret(Label.COMMIT_SEED, session, 1, b"Share"),
    ]

    assert len(commitments) == len(set(commitments))


# -- the rules, one by one ------------------------------------------------------------------------


def verdict(complaints: dict[int, set[int]], limits: Thresholds, gone: int = 0) -> Verdict:
    """What the complaints of all but the `gone` highest positions lead to."""
    live = range(limits.gateways - gone)
    everybody = {i: frozenset(complaints.get(i, ())) for i in live}
    return judge(everybody, thresholds=limits, neighbours=partial(neighbours, limits))


@pytest.mark.parametrize("gateways", [4, 5, 7, 10, 13])
def test_c_is_the_boundary_for_holders_and_for_dealers(gateways):
    limits = derive(gateways)
    c = limits.max_colluding

    assert frozenset() == verdict({0: set(range(1, 1 + c))}, limits).holders
    assert frozenset({0}) == verdict({0: set(range(1, 2 + c))}, limits).holders
    accused = {i: {gateways - 1} for i in range(c)}
    assert frozenset() == verdict(accused, limits).dealers
    assert frozenset({gateways - 1}) == verdict(accused | {c: {gateways - 1}}, limits).dealers


def test_what_a_removed_holder_said_does_not_count():
    found = verdict({0: {1, 2, 3}, 4: {1}, 5: {1}}, derive(7))

    assert frozenset({0}) == found.holders
    assert frozenset() == found.dealers
    assert ((4, 1), (5, 1)) == found.disputes


def test_more_than_c_holders_prove_a_dealer_also_when_nobody_more_may_vanish():
    found = verdict({i: {4} for i in range(3)}, derive(7), gone=2)

    assert frozenset({4}) == found.dealers


def test_a_proved_dealer_disputes_nothing():
    found = verdict({0: {6}, 1: {6}, 2: {6}, 6: {3}}, derive(7))

    assert frozenset({6}) == found.dealers
    assert () == found.disputes


@pytest.mark.parametrize(
    ("t", "gone", "rejections", "left_out"),
    # n = 10, C = 3, D = 3: good = 9 - gone - rejections, needed t + 3 - gone - 1
    [
        (4, 0, 3, False),  # 6 of 6 needed: the default t survives C bad shares
        (5, 0, 2, False),  # 7 of 7
        (5, 0, 3, True),  # 6 of 7
        (7, 0, 0, False),  # 9 of 9: the largest t leaves no room for a bad share
        (7, 0, 1, True),  # 8 of 9
        (7, 1, 0, False),  # 8 of 8
        (7, 1, 1, True),  # 7 of 8
        (7, 2, 1, True),  # 6 of 7: one more may vanish
        (7, 3, 1, False),  # nobody may vanish any more: no share will be needed
        (7, 3, 3, False),
    ],
)
def test_a_dealer_needs_t_good_holders_after_d_have_gone(t, gone, rejections, left_out):
    limits = derive(10, share_threshold=t)
    found = verdict({i: {6} for i in range(rejections)}, limits, gone)

    assert left_out == (6 in found.dealers)


def test_the_poorest_dealer_goes_first_and_then_the_others_are_counted_again():
    """Without dealer 9 nobody needs as many: 0 stays although it, too, was one short."""
    limits = derive(10, share_threshold=6)  # 8 good holders of 9 are needed
    found = verdict({1: {9, 0}, 2: {9}}, limits)

    assert frozenset({9}) == found.dealers
    assert ((1, 0), (1, 9), (2, 9)) == found.disputes


def test_no_verdict_over_nobody():
    assert Verdict(frozenset(), frozenset(), ()) == verdict({}, derive(5), gone=5)


@given(st.data())
def test_c_liars_never_remove_an_honest_holder_nor_prove_an_honest_dealer(data):
    limits = derive(data.draw(st.sampled_from([4, 7, 10])))
    n, c = limits.gateways, limits.max_colluding
    liars = data.draw(st.sets(st.integers(0, n - 1), max_size=c))
    said: dict[int, set[int]] = {}
    for i in range(n):
        others = sorted(set(range(n)) - {i}) if i in liars else sorted(liars - {i})
        if others:
            said[i] = data.draw(st.sets(st.sampled_from(others)))
    found = verdict(said, limits)

    # the default t carries C false complaints about anybody
    assert found.holders | found.dealers <= liars
    assert all(holder in liars or dealer in liars for holder, dealer in found.disputes)
