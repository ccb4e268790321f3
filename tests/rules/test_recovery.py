"""Whether the server can finish: every pattern of vanishing gateways and bad shares.

A gateway vanishes at a phase when that phase's message is the first it does not send.
docs/protocol.md#rebuilding: an answering gateway releases its own b and its edges with the dead;
shares are needed for the b of a member of U3 that does not answer, and for the s of a dead one
with such a neighbour.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.params import Thresholds
from secagg.thresholds import derive, neighbours

KEYS, SHARES, UPLOAD, SIGN, ANSWER, NEVER = range(6)


@dataclass(frozen=True)
class Round:
    """Who got how far. `bad[j]` hold an unusable share of dealer j and complained about it."""

    thresholds: Thresholds
    vanished: tuple[int, ...]  # the phase of each gateway
    bad: tuple[frozenset[int], ...]
    leave_out: bool = True  # docs/protocol.md#complaints is applied

    def sent(self, phase: int) -> frozenset[int]:
        return frozenset(i for i, last in enumerate(self.vanished) if last > phase)

    def near(self, position: int) -> frozenset[int]:
        return neighbours(self.thresholds, position)

    def left_out(self) -> frozenset[int]:
        """Dealers kept out of U3: proved faulty, or beyond recovery if D vanish."""
        if not self.leave_out:
            return frozenset()
        limits, live = self.thresholds, self.sent(UPLOAD)
        spare = limits.max_dropouts - (limits.gateways - len(live))
        good = {j: len((self.near(j) & live) - self.bad[j]) for j in live}
        few = {j for j in live if good[j] < limits.share_threshold + spare - 1}
        return live & self.proved() | (few if spare >= 1 else frozenset())

    def failure(self) -> str | None:
        """What is missing for the exact sum over all that uploaded; None: nothing."""
        u3, limits = self.sent(UPLOAD) - self.left_out(), self.thresholds
        if len(u3) < max(limits.min_included, limits.gateways - limits.max_dropouts):
            return "too few uploads"
        if len(self.sent(SIGN) & u3) < limits.quorum:
            return "no quorum"
        return "too few shares" if self.missed() else None

    def missed(self) -> frozenset[int]:
        """Dealers whose b or s is needed and has too few good shares."""
        u2, answered = self.sent(SHARES), self.sent(ANSWER)
        u3 = self.sent(UPLOAD) - self.left_out()
        wanted = u3 - answered
        wanted |= {j for j in u2 - u3 if not self.near(j) & u3 <= answered}
        good = {j: (self.near(j) & answered & u3) - self.bad[j] for j in wanted}
        return frozenset(j for j in wanted if len(good[j]) < self.thresholds.share_threshold)

    def proved(self) -> frozenset[int]:
        """Dealers of whom more than C others complain: one of those is honest."""
        live, c = self.sent(UPLOAD), self.thresholds.max_colluding
        return frozenset(j for j, bad in enumerate(self.bad) if len(self.near(j) & live & bad) > c)


def symmetric_patterns(n, count):
    """`count` vanishing gateways of a complete graph: who they are makes no difference."""
    for phases in itertools.combinations_with_replacement(range(NEVER), count):
        yield phases + (NEVER,) * (n - count)


def all_patterns(n, count):
    for who in itertools.combinations(range(n), count):
        for phases in itertools.product(range(NEVER), repeat=count):
            vanished = [NEVER] * n
            for position, phase in zip(who, phases, strict=True):
                vanished[position] = phase
            yield tuple(vanished)


def worst_bad(thresholds, vanished, count):
    """Bad shares of every dealer, with those that live longest: only their shares are ever used."""
    lasting = sorted(range(len(vanished)), key=lambda i: -vanished[i])
    holders = ([i for i in lasting if i in neighbours(thresholds, j)] for j in range(len(vanished)))
    return tuple(frozenset(near[:count]) for near in holders)


def failures(thresholds, count, *, patterns=symmetric_patterns, bad=None, leave_out=True):
    """Why rounds fail, over all patterns of `count` vanishing gateways, C bad shares per dealer."""
    bad = thresholds.max_colluding if bad is None else bad
    found = Counter()
    for vanished in patterns(thresholds.gateways, count):
        bad_shares = worst_bad(thresholds, vanished, bad)
        found[Round(thresholds, vanished, bad_shares, leave_out).failure()] += 1
    del found[None]
    return found


# Default C, every D that it leaves, default t.
SETTINGS = [
    derive(n, max_dropouts=d) for n in range(3, 13) for d in range(derive(n).max_dropouts + 1)
]


@pytest.mark.parametrize("thresholds", SETTINGS, ids=lambda x: f"{x.gateways}-{x.max_dropouts}")
@pytest.mark.parametrize("leave_out", [True, False])
def test_the_default_threshold_survives_d_vanishing_and_c_bad_shares(thresholds, leave_out):
    for count in range(thresholds.max_dropouts + 1):
        assert failures(thresholds, count, leave_out=leave_out) == {}


@pytest.mark.parametrize("thresholds", SETTINGS, ids=lambda x: f"{x.gateways}-{x.max_dropouts}")
def test_nobody_is_left_out_for_c_bad_shares(thresholds):
    for count in range(thresholds.max_dropouts + 1):
        for vanished in symmetric_patterns(thresholds.gateways, count):
            bad = worst_bad(thresholds, vanished, thresholds.max_colluding)

            assert Round(thresholds, vanished, bad).left_out() == frozenset()


@pytest.mark.parametrize("n", [3, 4, 5, 6, 7])
def test_who_vanishes_makes_no_difference_in_the_complete_graph(n):
    thresholds = derive(n)
    for count in range(thresholds.max_dropouts + 1):
        assert failures(thresholds, count, patterns=all_patterns) == {}


@pytest.mark.parametrize("n", [4, 5])
def test_where_the_bad_shares_lie_makes_no_difference(n):
    thresholds = derive(n)
    assert thresholds.max_colluding == 1
    one_bad = [[frozenset({i}) for i in neighbours(thresholds, j)] for j in range(n)]
    for vanished in symmetric_patterns(n, thresholds.max_dropouts):
        for bad in itertools.product(*one_bad):
            assert Round(thresholds, vanished, bad).failure() is None


@st.composite
def rounds(draw):
    """D gateways vanish or deal badly or both; of the others' shares C are said to be bad."""
    thresholds = draw(st.sampled_from(SETTINGS))
    n = thresholds.gateways
    positions = st.sampled_from(range(n))
    faulty = draw(st.sets(positions, max_size=thresholds.max_dropouts))
    vanished = [draw(st.integers(KEYS, NEVER)) if i in faulty else NEVER for i in range(n)]
    bad = [
        draw(st.frozensets(positions, max_size=n if i in faulty else thresholds.max_colluding))
        for i in range(n)
    ]
    return Round(thresholds, tuple(vanished), tuple(bad))


def only_a_proved_dealer_with_another_fault_ends(played):
    assert played.failure() in {None, "too few shares"}
    assert played.missed() <= played.proved()
    if played.missed():
        assert played.sent(UPLOAD) - played.sent(ANSWER) - played.proved()


@given(rounds())
def test_d_faults_end_a_round_only_where_a_proved_dealer_meets_another_fault(played):
    only_a_proved_dealer_with_another_fault_ends(played)


@pytest.mark.parametrize("until", [UPLOAD, NEVER])
def test_a_bad_dealer_can_end_a_round_together_with_a_late_dropout_and_is_named(until):
    vanished = (NEVER, NEVER, NEVER, SIGN, NEVER, until, NEVER)
    bad = [frozenset()] * 7
    bad[5] = frozenset({0, 1, 2})
    played = Round(derive(7), vanished, tuple(bad))

    # Only 5 and 3 know their edge secret: 3 is gone, 5 is out of U3 and dealt too few good shares.
    assert played.failure() == "too few shares"
    assert played.missed() == played.proved() == {5}


def test_control_a_bad_dealer_that_is_not_left_out_ends_a_round_alone():
    vanished = (NEVER,) * 6 + (ANSWER,)
    bad = (frozenset(),) * 6 + (frozenset(range(4)),)
    kept = Round(derive(7), vanished, bad, leave_out=False)

    only_a_proved_dealer_with_another_fault_ends(Round(derive(7), vanished, bad))
    assert kept.missed() == {6}
    with pytest.raises(AssertionError):
        only_a_proved_dealer_with_another_fault_ends(kept)


# Controls: the numbers are the best there are, so the tests above can fail.


@pytest.mark.parametrize("n", range(3, 13))
def test_control_one_more_vanishing_fails(n):
    thresholds = derive(n)
    found = failures(thresholds, thresholds.max_dropouts + 1)

    assert set(found) == {"too few uploads", "no quorum", "too few shares"}


# With D = 0, at n = 3, no share is ever needed: there is nothing for a higher threshold to break.
@pytest.mark.parametrize("n", range(4, 13))
def test_control_a_threshold_one_higher_fails(n):
    good = derive(n)
    higher = msgspec.structs.replace(good, share_threshold=good.share_threshold + 1)

    assert set(failures(higher, good.max_dropouts, leave_out=False)) == {"too few shares"}
    # The rule that leaves dealers out says so before their secret is missed.
    assert set(failures(higher, good.max_dropouts)) == {"too few uploads"}


@pytest.mark.parametrize("n", range(3, 13))
def test_control_one_more_bad_share_per_dealer_fails(n):
    thresholds = derive(n)
    bad = thresholds.max_colluding + 1

    assert set(failures(thresholds, 0, bad=bad)) == {"too few uploads"}
