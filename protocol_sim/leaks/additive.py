"""Which sums of keys a lying server opens: shares and answers as exact linear algebra over GF(p).

In one column of a dealing a gateway shares ell values of its key; member j's share is row j of a
matrix times (values, t random numbers). The server is told sums of such shares over sets it chose,
and its colluding members' own shares of everybody. What it knows is what is left of these rows once
the random numbers are eliminated. All columns are alike, so one column says everything.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.packed import Packing
from secagg.crypto.reed_solomon import PRIME

Set = frozenset[int]
Matrix = NDArray[np.int64]
Asked = tuple[Set | None, ...]
"""The set that each honest gateway has answered for; None: it has answered nothing."""
Views = NDArray[np.int64]
"""0 or 1[strategies, members, dealers], honest ones: whose shares are in each member's answer."""


def lagrange(points: Sequence[int], at: int, prime: int = PRIME) -> list[int]:
    """Weights with which values at `points` give the value at `at`; in Python integers."""
    weights = []
    for here in points:
        over = under = 1
        for other in points:
            if other != here:
                over = over * (at - other) % prime
                under = under * (here - other) % prime
        weights.append(over * pow(under, -1, prime) % prime)
    return weights


def eliminate(rows: Matrix, unknown: int, prime: int = PRIME) -> Matrix:
    """What systems of linear equations say without their first `unknown` columns.

    Args:
        rows: int64[systems, equations, columns], in 0 .. prime - 1.
        unknown: columns of the unknowns.
        prime: of the field.

    Returns:
        int64[systems, equations, columns - unknown]: rows that span the combinations in which every
        unknown cancels.
    """
    rows = rows.copy()
    systems = np.arange(len(rows))
    free = np.ones(rows.shape[:2], bool)
    for column in range(unknown):
        candidates = free & (rows[:, :, column] != 0)
        pivot = candidates.argmax(axis=1)
        found = candidates[systems, pivot]
        inverse = _power(rows[systems, pivot, column], prime - 2, prime)
        pivot_rows = rows[systems, pivot] * (inverse * found)[:, None] % prime
        free[systems, pivot] &= ~found
        factors = rows[:, :, column] * free
        rows = (rows - factors[:, :, None] * pivot_rows[:, None, :]) % prime
    return rows[:, :, unknown:] * free[:, :, None]


def _power(base: Matrix, exponent: int, prime: int) -> Matrix:
    result = np.ones_like(base)
    while exponent:
        if exponent & 1:
            result = result * base % prime
        base = base * base % prime
        exponent >>= 1
    return result


@dataclass(frozen=True)
class Sharing:
    """m members hold shares of everybody; the colluding ones are on the server's side.

    Attributes:
        members: m.
        packed: ell.
        threshold: R; t = R - ell.
        colluding: positions, at most R - ell.
    """

    members: int
    packed: int
    threshold: int
    colluding: Set

    @cached_property
    def honest(self) -> tuple[int, ...]:
        """Positions that do not collude."""
        return tuple(i for i in range(self.members) if i not in self.colluding)

    @property
    def random(self) -> int:
        """t, random numbers in a column."""
        return self.threshold - self.packed

    @cached_property
    def packing(self) -> Packing:
        """Where a column has its values, its random numbers and its shares."""
        return Packing(self.members, self.packed, self.threshold)

    @property
    def points(self) -> list[int]:
        """Where a column has its values, then where it has its random numbers."""
        return [int(place) for place in self.packing.places]

    @cached_property
    def matrix(self) -> Matrix:
        """(m, R): a member's share of (values, random numbers)."""
        shares = [lagrange(self.points, self.point(member)) for member in range(self.members)]
        return np.array(shares, np.int64)

    def opened(self, shares: Mapping[int, Matrix]) -> Matrix:
        """int64[R, columns]: values and random numbers, out of the shares of R members."""
        members = [self.point(member) for member in shares]
        weights = np.array([lagrange(members, point) for point in self.points], np.int64)
        opened: Matrix = weights @ np.array(list(shares.values())) % PRIME
        return opened

    def row(self, member: int, dealers: Collection[int]) -> Matrix:
        """Coefficients of a sum of shares: random numbers of each honest dealer, then values."""
        values, random = np.split(self.matrix[member], [self.packed])
        chosen = np.array([dealer in dealers for dealer in self.honest], np.int64)
        return np.concatenate([np.kron(chosen, random), np.kron(chosen, values)])

    @property
    def unknown(self) -> int:
        """Random numbers of all honest dealers in a column."""
        return len(self.honest) * self.random

    @cached_property
    def free(self) -> Matrix:
        """(honest, ell + R - ell - C): shares of honest members, up to what the server has anyway.

        A column is given by its values at any R points. With the colluding members' points among
        them, what these hold is known and drops out, whatever it is.
        """
        left = self.threshold - len(self.colluding)
        points = [*self.points[:left], *map(self.point, self.colluding)]
        shares = [lagrange(points, self.point(i))[:left] for i in self.honest]
        return np.array(shares, np.int64)

    def point(self, member: int) -> int:
        """Where a member's share lies."""
        return int(self.packing.points[member])

    @property
    def values(self) -> int:
        """Values of all honest dealers in a column."""
        return len(self.honest) * self.packed

    def known(self, views: Views) -> Matrix:
        """int64[views, equations, honest, ell]: the combinations of values that are open."""
        values, random = np.split(self.free, [self.packed], axis=1)
        rows = np.concatenate([_told(views, random), _told(views, values)], axis=2)
        open_ = eliminate(rows, views.shape[2] * random.shape[1])
        return open_.reshape(*open_.shape[:2], len(self.honest), self.packed)

    def words(self, views: Views) -> Matrix:
        """int64[views, words, honest]: weights on answers in which every random number cancels."""
        random = self.free[:, self.packed :]
        own = np.broadcast_to(np.eye(len(random), dtype=np.int64), (len(views), *[len(random)] * 2))
        rows = np.concatenate([_told(views, random), own], axis=2)
        return eliminate(rows, views.shape[2] * random.shape[1])

    def judge(self, strategies: Sequence[Asked], smallest: int) -> Verdicts:
        """Play all strategies.

        Args:
            strategies: for each honest gateway the set that it has answered for.
            smallest: honest gateways in a sum that may be opened.
        """
        told = [
            [[i in (asked or ()) for i in self.honest] for asked in each] for each in strategies
        ]
        return self.verdicts(np.array(told, np.int64), smallest)

    def verdicts(self, views: Views, smallest: int) -> Verdicts:
        """Whether all that is open, any combination of it too, is one sum over one set.

        Args:
            views: the strategies.
            smallest: as in `judge`.
        """
        known = self.known(views)
        opened: NDArray[np.bool_] = np.asarray(known.any(axis=(1, 2, 3)))
        innocent = np.logical_not(opened)
        for size in range(smallest, len(self.honest) + 1):
            for chosen in itertools.combinations(range(len(self.honest)), size):
                inside = known[:, :, list(chosen)]
                outside = np.delete(known, chosen, axis=2)
                alike = (inside == inside[:, :, :1]).all(axis=(1, 2, 3))
                innocent |= alike & ~outside.any(axis=(1, 2, 3))
        return Verdicts(opened, np.logical_not(innocent))


class Verdicts(NamedTuple):
    """bool[strategies].

    Attributes:
        opened: something about the honest keys is known.
        leaks: it is more than multiples of one sum over one set of enough honest gateways.
    """

    opened: NDArray[np.bool_]
    leaks: NDArray[np.bool_]


class Tally(NamedTuple):
    """Strategies played, with anything opened, leaking."""

    played: int
    opened: int
    leaks: int


def tally(sharing: Sharing, strategies: Iterable[Asked], smallest: int, batch: int = 4096) -> Tally:
    """Judge them all, `batch` at a time."""
    played = opened = leaks = 0
    waiting = iter(strategies)
    while some := list(itertools.islice(waiting, batch)):
        verdicts = sharing.judge(some, smallest)
        played += len(some)
        opened += int(verdicts.opened.sum())
        leaks += int(verdicts.leaks.sum())
    return Tally(played, opened, leaks)


def every_assignment(honest: int, least: int) -> tuple[Views, NDArray[np.int64]]:
    """Every assignment of sets, or of none, to honest members, once up to the dealers' names.

    Members are not alike, they stand at different points: assignments that differ only in who
    answered which set say different things, and mirror images of each other can say most. Dealers
    are alike: what follows by renaming them from one view leaks as it does.

    Args:
        honest: members, and dealers.
        least: dealers in a set.

    Returns:
        Views, and for how many assignments each stands.
    """
    answered = range(1 << honest)  # by which members the sets that hold a dealer were
    columns = np.array([*itertools.combinations_with_replacement(answered, honest)])
    views = columns[:, np.newaxis] >> np.arange(honest)[:, np.newaxis] & 1
    sizes = views.sum(axis=2)
    kept = ((sizes == 0) | (sizes >= least)).all(axis=1)
    columns, counts = columns[kept], np.full(kept.sum(), math.factorial(honest))
    alike = np.ones_like(counts)
    for before, column in itertools.pairwise(columns.T):
        alike = np.where(before == column, alike + 1, 1)
        counts //= alike
    return views[kept], counts


def tally_all(sharing: Sharing, least: int, batch: int = 8192) -> Tally:
    """Judge every assignment of sets of at least so many honest dealers."""
    views, counts = every_assignment(len(sharing.honest), least)
    opened = leaks = 0
    for at in range(0, len(views), batch):
        verdicts, stands = sharing.verdicts(views[at : at + batch], least), counts[at : at + batch]
        opened += int(stands[verdicts.opened].sum())
        leaks += int(stands[verdicts.leaks].sum())
    return Tally(int(counts.sum()), opened, leaks)


def every_strategy(choices: Mapping[int, Collection[Set]]) -> Iterable[Asked]:
    """Every honest gateway answers for one of its sets, or for none."""
    return itertools.product(*([None, *sorted(choices[i], key=_order)] for i in sorted(choices)))


def _told(views: Views, shares: Matrix) -> Matrix:
    """Each answer's coefficients: of each dealer's numbers, if it is in the set."""
    spread = views[..., np.newaxis] * shares[:, np.newaxis]
    return spread.reshape(*views.shape[:2], -1)


def _order(asked: Set | None) -> tuple[int, ...]:
    return () if asked is None else (len(asked), *sorted(asked))
