"""One round of an additive scheme opens one sum: every assignment of sets to members.

What matters is the floor on sets and the privacy threshold together (docs/protocol.md
#why-one-sum-opens). Without the floor, members who answer different sets are enough, and most of
all those whose points lie opposite each other: assignments are enumerated, never multisets of sets.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from protocol_sim.leaks.additive import Sharing, Tally, tally_all
from secagg.crypto.packed import PRIME
from secagg.thresholds import derive_committee


def shared(m: int, c: int, ell: int, colluding: frozenset[int]) -> Sharing:
    """The dealings that the thresholds allow, with so many values in a share."""
    limits = derive_committee(m, max_colluding=c, max_dropouts=m - (m + c) // 2 - ell)

    assert ell == limits.packed
    assert floor_of(m - c) == limits.quorum - c
    return Sharing(m, limits.packed, limits.share_threshold, colluding)


def floor_of(honest: int) -> int:
    """d, honest gateways in the smallest set."""
    return honest // 2 + 1


def one_sum(honest: int, least: int) -> Tally:
    """By hand: a sum opens if d members have answered one set, the others another or none."""
    sets = sum(math.comb(honest, size) for size in range(least, honest + 1))
    alike = range(floor_of(honest), honest + 1)
    opened = sets * sum(math.comb(honest, some) * sets ** (honest - some) for some in alike)
    return Tally((sets + 1) ** honest, opened, 0)


def case(m: int, c: int, *marks: pytest.MarkDecorator):
    return pytest.param(m, c, marks=marks, id=f"m={m}, C={c}")


SLOW = pytest.mark.slow


@pytest.mark.parametrize("ell", [1, 2])
@pytest.mark.parametrize(
    ("m", "c"),
    [case(4, 1), case(5, 2), case(6, 3), case(5, 1), case(6, 2), case(6, 1), case(7, 2, SLOW)],
)
def test_no_assignment_of_sets_opens_anything_but_one_sum(m, c, ell):
    """3 to 5 honest gateways, whoever colludes: 1,419,857 assignments at 5."""
    for colluding in map(frozenset, itertools.combinations(range(m), c)):
        expected = one_sum(m - c, floor_of(m - c))

        assert expected == tally_all(shared(m, c, ell, colluding), floor_of(m - c)), colluding


# -- controls: without the floor, or with a lower one ----------------------------------------------


@pytest.mark.parametrize(
    ("m", "last", "least", "leaks"),
    [(4, 3, 1, 36), (6, 5, 2, 2_250), (6, 4, 2, 2_100)],
)
def test_control_a_floor_lower_by_one_leaks(m, last, least, leaks):
    """More than one sum of so many gateways, at the same privacy threshold."""
    honest = m - 1
    found = tally_all(shared(m, 1, 1, frozenset({last})), least)

    assert floor_of(honest) - 1 == least
    assert leaks == found.leaks


def test_control_without_the_floor_mirrored_members_open_27_to_7():
    """m = 6, C = 0, t = 3: (x - 1)(x - 6), (x - 2)(x - 5), (x - 3)(x - 4) are dependent."""
    sharing = Sharing(members=6, packed=1, threshold=4, colluding=frozenset())
    both, one, two = frozenset({0, 1}), frozenset({0}), frozenset({1})
    strategy = (one, two, both, both, two, one)
    in_another_order = (one, one, both, both, two, two)
    verdicts = sharing.judge([strategy, in_another_order], smallest=1)
    told = [[[i in asked for i in range(6)] for asked in strategy]]
    [functional] = [row for row in sharing.known(np.array(told))[0, :, :, 0] if row.any()]

    assert [True, False] == verdicts.leaks.tolist()
    assert 27 * int(functional[1]) % PRIME == 7 * int(functional[0]) % PRIME != 0
    assert not functional[2:].any()


# -- the lemma that both halves of the proof rest on -----------------------------------------------


@st.composite
def views(draw):
    """A sharing, sets of at least d honest dealers, and who answered which; d answered alike."""
    honest, c, ell = draw(st.integers(3, 12)), draw(st.integers(0, 4)), draw(st.integers(1, 2))
    m, d = honest + c, floor_of(honest)
    colluding = draw(st.sets(st.integers(0, m - 1), min_size=c, max_size=c))
    members = st.sets(st.integers(0, honest - 1), min_size=d)
    sets = [set(), *draw(st.lists(members, min_size=1, max_size=3))]
    other = st.integers(0, len(sets) - 1)
    asked = [1] * d + draw(st.lists(other, min_size=honest - d, max_size=honest - d))
    told = [[i in sets[at] for i in range(honest)] for at in draw(st.permutations(asked))]
    threshold = min((m + c) // 2 + ell, m)
    packed = threshold - (m + c) // 2
    return Sharing(m, packed, threshold, frozenset(colluding)), np.array([told], np.int64)


def combination(rows: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """With coefficients many of which are zero."""
    weights = random.integers(1, PRIME, len(rows)) * random.integers(0, 2, len(rows))
    return weights @ rows % PRIME


@given(views(), st.integers(0, 2**32))
def test_any_two_learned_words_share_a_member(view, seed):
    """A word is where answers' weights do not cancel: of one dealer's shares, or of several."""
    sharing, told = view
    random = np.random.default_rng(seed)
    d = floor_of(len(sharing.honest))
    [words] = sharing.words(told)
    learned = []
    for _ in range(4):
        columns = combination(words, random)[:, np.newaxis] * told[0] % PRIME
        learned += [combination(columns.T, random), columns[:, random.integers(len(columns))]]
    supports = [word != 0 for word in learned if word.any()]
    event(f"{len(supports)} words")

    assert words.any()
    assert all(support.sum() >= d for support in supports)
    assert all((one & two).any() for one, two in itertools.combinations(supports, 2))
