"""Which sums a lying server opens: the rules of the masks protocol as exact linear algebra.

The server shows every honest gateway its own transcript (h0), parameters (P), U2 and U3, or
silence; gateways follow DESIGN section 5; colluding ones hand over all they hold. What remains is
a linear system: one row for each honest upload, one unknown for each mask the server lacks.
"""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

from secagg.params import Thresholds
from secagg.thresholds import neighbours

Set = frozenset[int]
Mask = tuple[Hashable, ...]


class Shown(NamedTuple):
    """What one honest gateway sees. u2 None: it dealt its shares under h0, then never uploaded.

    u3 None: it uploaded and was never asked to sign (or refused to).
    """

    h0: int
    params: int
    u2: Set | None
    u3: Set | None

    @property
    def h2(self) -> tuple[int, int, Set | None]:
        return self[:3]


@dataclass(frozen=True)
class Rules:
    """Thresholds, and the checks a control may switch off."""

    thresholds: Thresholds
    header_check: bool = True
    dropout_check: bool = True

    @cached_property
    def neighbours(self) -> tuple[Set, ...]:
        return tuple(neighbours(self.thresholds, i) for i in range(self.thresholds.gateways))

    @cached_property
    def least_u2(self) -> int:
        limits = self.thresholds
        return max(limits.min_included, limits.quorum, limits.share_threshold)

    @cached_property
    def least_u3(self) -> int:
        limits = self.thresholds
        few_dropped = limits.gateways - limits.max_dropouts if self.dropout_check else 0
        return max(limits.min_included, limits.quorum, few_dropped)

    def uploads(self, position: int, u2: Set) -> bool:
        return position in u2 and len(u2) >= self.least_u2

    def accepts(self, position: int, u2: Set, u3: Set) -> bool:
        return position in u3 and u3 <= u2 and len(u3) >= self.least_u3


class Verdict(NamedTuple):
    """Who released something, the set they released it for, the sets whose sums are opened."""

    answered: Set
    certified: tuple[Set, ...]
    sums: tuple[Set, ...]

    @property
    def leaks(self) -> bool:
        """Anything but one sum over two or more honest gateways: the published criterion."""
        return len(self.sums) > 1 or any(len(members) < 2 for members in self.sums)

    @property
    def breaks_promise(self) -> bool:
        """Anything but the sum over the honest members of the one certified set."""
        return len(self.certified) > 1 or any(sums not in self.certified for sums in self.sums)


def judge(rules: Rules, shown: Sequence[Shown | None], colluding: Set) -> Verdict:
    """Play one strategy to its end.

    Args:
        rules: of the gateways.
        shown: for each position what it sees, as the rules let it upload and sign; None: colluding.
        colluding: positions on the server's side.
    """
    honest = [i for i in range(len(shown)) if i not in colluding]
    signed = [i for i in honest if _signs(rules, shown, i, colluding)]
    answered = frozenset(i for i in signed if _certified(rules, shown, i, signed, colluding))
    self_masks, mask_keys, edges = _released(rules, shown, honest, answered, colluding)
    rows = {}
    for i in honest:
        if shown[i].u2 is None:
            continue
        row = [] if i in self_masks else [("self", i)]
        for j in rules.neighbours[i] & shown[i].u2 - colluding:
            edge = _edge(i, j, shown[i])
            if edge not in edges and i not in mask_keys and j not in mask_keys:
                row.append(edge)
        rows[i] = row
    certified = {shown[i].u3 - colluding for i in answered}
    return Verdict(answered, tuple(certified), open_sums(rows))


def _edge(i: int, j: int, view: Shown) -> Mask:
    return min(i, j), max(i, j), view.h2


def _signs(rules: Rules, shown: Sequence[Shown | None], i: int, colluding: Set) -> bool:
    view = shown[i]
    if view.u3 is None:
        return False
    if not rules.header_check:
        return True
    # Headers are signed: the server cannot show one that its gateway did not send.
    others = rules.neighbours[i] & view.u3 - colluding
    return all(shown[j].u2 is not None and shown[j].h2 == view.h2 for j in others)


def _certified(
    rules: Rules, shown: Sequence[Shown | None], i: int, signed: Iterable[int], colluding: Set
) -> bool:
    view = shown[i]
    signatures = sum(shown[j] == view for j in signed) + len(colluding & view.u3)
    return signatures >= rules.thresholds.quorum


def _released(
    rules: Rules,
    shown: Sequence[Shown | None],
    honest: Iterable[int],
    answered: Set,
    colluding: Set,
) -> tuple[Set, Set, set[Mask]]:
    """Whose b and whose s are known, and the edge secrets handed over as such."""
    b_shares = {i: len(rules.neighbours[i] & colluding) for i in honest}
    s_shares = dict(b_shares)
    edges = set()
    for i in answered:
        view = shown[i]
        for j in rules.neighbours[i] & view.u2 - colluding:
            # Channel keys are salted with h0: a share dealt under another h0 does not open.
            opens = shown[j].h0 == view.h0
            if j in view.u3:
                b_shares[j] += opens
            else:
                s_shares[j] += opens
                edges.add(_edge(i, j, view))
    t = rules.thresholds.share_threshold
    self_masks = answered | {i for i in honest if b_shares[i] >= t}
    return self_masks, frozenset(i for i in honest if s_shares[i] >= t), edges


def open_sums(rows: Mapping[int, Sequence[Mask]]) -> tuple[Set, ...]:
    """A basis of the combinations of inputs in which no unknown mask is left.

    A mask stands in one row, or in two with opposite signs. So a combination frees itself of it
    only by leaving its one row out, or by weighing both rows alike: what can be opened is spanned
    by the sums over whole components of rows, linked by common masks, none of which holds a mask
    that stands in one row only. This holds over Z mod 2^64 as over the rationals.

    Args:
        rows: unknown masks in the upload of each gateway.
    """
    holders = defaultdict(list)
    for i, row in rows.items():
        for mask in row:
            holders[mask].append(i)
    sums, seen = [], set()
    for first in rows:
        if first in seen:
            continue
        component, queue, closed = {first}, [first], True
        while queue:
            for mask in rows[queue.pop()]:
                closed &= len(holders[mask]) == 2
                new = [i for i in holders[mask] if i not in component]
                component.update(new)
                queue.extend(new)
        seen |= component
        if closed:
            sums.append(frozenset(component))
    return tuple(sums)


def open_combinations(rows: Mapping[int, Sequence[Mask]]) -> list[dict[int, Fraction]]:
    """The same space by elimination over the rationals: the slow twin of `open_sums`."""
    system = []
    for i, row in rows.items():
        # The lower position adds an edge mask, the higher subtracts it.
        signs = {mask: Fraction(-1 if i == mask[1] else 1) for mask in row}
        system.append((signs, {i: Fraction(1)}))
    while pivot := next((row for row in system if row[0]), None):
        mask = next(iter(pivot[0]))
        system.remove(pivot)
        system = [_without(mask, row, pivot) if mask in row[0] else row for row in system]
    return [inputs for _, inputs in system]


def _without(mask: Mask, row: tuple[dict, dict], pivot: tuple[dict, dict]) -> tuple[dict, dict]:
    factor = row[0][mask] / pivot[0][mask]
    sides = []
    for ours, theirs in zip(row, pivot, strict=True):
        left = {key: ours.get(key, 0) - factor * theirs.get(key, 0) for key in ours | theirs}
        sides.append({key: value for key, value in left.items() if value})
    return sides[0], sides[1]


def views(
    rules: Rules, position: int, worlds: Iterable[tuple[int, int]], *, absent: bool
) -> list[Shown]:
    """Everything the server may show one gateway and have it upload, over (h0, P) in `worlds`."""
    n = rules.thresholds.gateways
    shown = []
    for h0, params in worlds:
        for u2 in _subsets(frozenset(range(n))):
            if not rules.uploads(position, u2):
                continue
            shown.append(Shown(h0, params, u2, None))
            accepted = (u3 for u3 in _subsets(u2) if rules.accepts(position, u2, u3))
            shown.extend(Shown(h0, params, u2, u3) for u3 in accepted)
    if absent:
        shown.extend(Shown(h0, 0, None, None) for h0 in sorted({h0 for h0, _ in worlds}))
    return shown


def _subsets(members: Set) -> Iterator[Set]:
    for size in range(len(members) + 1):
        yield from map(frozenset, itertools.combinations(sorted(members), size))


def every_strategy(
    rules: Rules, worlds: Sequence[tuple[int, int]], *, absent: bool = False
) -> Iterator[tuple[tuple[Shown | None, ...], Set]]:
    """All strategies, the last C positions colluding: the complete graph looks alike from each."""
    n, c = rules.thresholds.gateways, rules.thresholds.max_colluding
    options = [views(rules, i, worlds, absent=absent) for i in range(n - c)]
    colluding = frozenset(range(n - c, n))
    for shown in itertools.product(*options):
        yield shown + (None,) * c, colluding


def some_strategies(
    rules: Rules, count: int, seed: int
) -> Iterator[tuple[tuple[Shown | None, ...], Set]]:
    """Random strategies: one to three worlds, dropouts at random or cutting an arc of the graph."""
    rng = random.Random(seed)
    limits = rules.thresholds
    for _ in range(count):
        colluding = frozenset(rng.sample(range(limits.gateways), limits.max_colluding))
        worlds = [_world(rules, rng) for _ in range(rng.randint(1, 3))]
        shown = [
            None if i in colluding else _shown(rules, rng, i, worlds)
            for i in range(limits.gateways)
        ]
        yield tuple(shown), colluding


def _world(rules: Rules, rng: random.Random) -> Shown:
    everyone = frozenset(range(rules.thresholds.gateways))
    u2 = _thinned(rules, rng, everyone, rules.least_u2)
    u3 = _thinned(rules, rng, u2, rules.least_u3)
    return Shown(int(rng.random() < 0.2), rng.randint(0, 1), u2, u3)


def _thinned(rules: Rules, rng: random.Random, members: Set, least: int) -> Set:
    room = len(members) - least
    if room <= 0:
        return members
    if rng.random() < 0.5:
        return members - set(rng.sample(sorted(members), rng.randint(0, room)))
    n = rules.thresholds.gateways
    start = rng.randrange(n)
    arc = {(start + step) % n for step in range(rng.randint(1, 2))}
    around = set().union(*(rules.neighbours[i] for i in arc)) - arc & members
    return members - set(rng.sample(sorted(around), min(len(around), room)))


def _shown(rules: Rules, rng: random.Random, position: int, worlds: Sequence[Shown]) -> Shown:
    world = worlds[0] if rng.random() < 0.75 else rng.choice(worlds)
    if not rules.uploads(position, world.u2):
        elsewhere = [other for other in worlds if rules.uploads(position, other.u2)]
        if not elsewhere:
            return Shown(world.h0, world.params, None, None)
        world = rng.choice(elsewhere)
    asked = rules.accepts(position, world.u2, world.u3) and rng.random() < 0.95
    return world if asked else world._replace(u3=None)


class Tally(NamedTuple):
    """Strategies played, with an answer, with a sum opened, leaking, breaking the promise."""

    played: int
    answered: int
    opened: int
    leaks: int
    broken: int


def tally(rules: Rules, strategies: Iterable[tuple[Sequence[Shown | None], Set]]) -> Tally:
    """Judge them all."""
    played = answered = opened = leaks = broken = 0
    for shown, colluding in strategies:
        verdict = judge(rules, shown, colluding)
        played += 1
        answered += bool(verdict.answered)
        opened += bool(verdict.sums)
        leaks += verdict.leaks
        broken += verdict.breaks_promise
    return Tally(played, answered, opened, leaks, broken)
