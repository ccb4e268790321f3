"""Can chosen dropouts cut the sharing graph? What is left hanging by itself opens by itself.

The masks between two members of U3 that answer stay in the sum of the whole; the server knows the
edges of colluding and of dead gateways. So it opens the sum of every connected component of the
honest members of U3, and one component is all that it may get.
"""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol_sim.leaks.masks import Rules, Shown, judge
from secagg.params import Thresholds
from secagg.thresholds import derive, neighbours, quorum


def components(thresholds: Thresholds, left: frozenset[int]) -> list[frozenset[int]]:
    """The connected components of the graph among the positions that are left."""
    found, seen = [], set()
    for first in sorted(left):
        if first in seen:
            continue
        component, queue = {first}, [first]
        while queue:
            new = (neighbours(thresholds, queue.pop()) & left) - component
            component |= new
            queue.extend(new)
        seen |= component
        found.append(frozenset(component))
    return found


def around(thresholds: Thresholds, start: int, length: int) -> list[int]:
    """The k positions whose removal cuts an arc off: k / 2 on either side of it."""
    n, reach = thresholds.gateways, thresholds.degree // 2
    before = [(start - step) % n for step in range(1, reach + 1)]
    after = [(start + length - 1 + step) % n for step in range(1, reach + 1)]
    # those nearest to the arc first, from both sides in turn
    return [position for pair in zip(before, after, strict=True) for position in pair]


def is_cut(thresholds: Thresholds, start: int, length: int, removed: int) -> bool:
    gone = around(thresholds, start, length)[:removed]
    left = frozenset(range(thresholds.gateways)) - frozenset(gone)
    return len(components(thresholds, left)) > 1


def feasible(n):
    """C and D from one to as many as n gateways bear, in a few steps each."""
    for c in sorted({1, n // 20, n // 10, n // 4, n // 3}):
        most = max(0, n - max(quorum(n, c), c + 2))
        for d in sorted({0, 1, n // 20, n // 10, most}):
            if 1 <= c and d <= most:
                yield derive(n, max_colluding=c, max_dropouts=d)


GRID = [thresholds for n in (65, 66, 80, 99, 100, 151) for thresholds in feasible(n)]
# A thinner circulant must exist, and leave an arc of two positions to be cut off.
CUTTABLE = [x for x in GRID if 2 <= x.max_colluding + x.max_dropouts <= x.gateways - 4]


@pytest.mark.parametrize(
    "thresholds", GRID, ids=lambda x: f"{x.gateways}-{x.max_colluding}-{x.max_dropouts}"
)
def test_no_arc_can_be_cut_off_by_the_colluding_and_the_vanished(thresholds):
    removed = thresholds.max_colluding + thresholds.max_dropouts
    n = thresholds.gateways
    for length in range(1, n - removed):
        # the graph looks alike from everywhere: one start would do, two guard the arithmetic
        for start in (0, n - 3):
            assert not is_cut(thresholds, start, length, removed)


@pytest.mark.parametrize(
    "thresholds", CUTTABLE, ids=lambda x: f"{x.gateways}-{x.max_colluding}-{x.max_dropouts}"
)
def test_control_an_arc_is_cut_off_when_the_degree_is_below_c_plus_d_plus_one(thresholds):
    removed = thresholds.max_colluding + thresholds.max_dropouts
    thin = msgspec.structs.replace(thresholds, degree=removed - removed % 2)

    assert is_cut(thin, 5, 1, removed)
    assert is_cut(thin, 0, 2, removed)


@given(st.sampled_from(GRID), st.randoms(use_true_random=False))
def test_no_choice_of_the_missing_cuts_the_graph(thresholds, draw):
    """Anywhere, not only around an arc: some at random, some around an arc, some at equal steps."""
    n = thresholds.gateways
    removed = thresholds.max_colluding + thresholds.max_dropouts
    step = draw.randint(1, n - 1)
    arc = around(thresholds, draw.randrange(n), draw.randint(1, n // 2))
    regular = [(draw.randrange(n) + i * step) % n for i in range(n)]
    everywhere = draw.sample(range(n), n)
    order = dict.fromkeys(
        [*arc[: draw.randint(0, len(arc))], *regular[: removed // 2], *everywhere]
    )
    gone = frozenset([*order][:removed])

    assert len(components(thresholds, frozenset(range(n)) - gone)) == 1


# -- what a cut would be worth, by the rules the gateways follow -----------------------------------


def cut_game(thresholds, length):
    """The server declares D of the k around an arc dead, and C of them collude; all rules kept."""
    n, c, d = thresholds.gateways, thresholds.max_colluding, thresholds.max_dropouts
    gone = around(thresholds, 0, length)[: c + d]
    colluding, dead = frozenset(gone[:c]), frozenset(gone[c:])
    everyone = frozenset(range(n))
    answering = Shown(0, 0, everyone, everyone - dead)
    waiting = Shown(0, 0, everyone, None)
    shown = [None if i in colluding else waiting if i in dead else answering for i in range(n)]
    return judge(Rules(thresholds), shown, colluding)


@pytest.mark.parametrize("length", [1, 2, 5])
@pytest.mark.parametrize("n", [65, 100])
def test_the_whole_sum_opens_and_nothing_else(n, length):
    thresholds = derive(n)
    verdict = cut_game(thresholds, length)
    gone = around(thresholds, 0, length)[: thresholds.max_colluding + thresholds.max_dropouts]

    assert verdict.sums == (frozenset(range(n)) - frozenset(gone),)
    assert not verdict.leaks


@pytest.mark.parametrize("length", [1, 2, 5])
@pytest.mark.parametrize("n", [65, 100])
def test_control_the_arc_opens_by_itself_when_the_degree_is_c_plus_d(n, length):
    good = derive(n)
    removed = good.max_colluding + good.max_dropouts
    verdict = cut_game(msgspec.structs.replace(good, degree=removed), length)

    assert frozenset(range(length)) in verdict.sums
    assert verdict.leaks


def test_control_the_drawn_schedules_find_a_cut_where_there_is_one():
    """The generator of the test above, on a graph that can be cut: it must."""
    thin = msgspec.structs.replace(derive(65), degree=12)
    draw = random.Random(0)
    found = 0
    for _ in range(50):
        gone = around(thin, draw.randrange(65), draw.randint(1, 32))
        found += len(components(thin, frozenset(range(65)) - frozenset(gone))) > 1

    assert found == 50
