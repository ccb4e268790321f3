"""Which sums of keys a lying server opens: shares and answers as exact linear algebra over GF(p).

In one column of a dealing a gateway shares ell values of its key; member j's share is row j of a
matrix times (values, t random numbers). The server is told sums of such shares over sets it chose,
and its colluding members' own shares of everybody. What it knows is what is left of these rows once
the random numbers are eliminated. All columns are alike, so one column says everything.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.reed_solomon import PRIME

Set = frozenset[int]
Matrix = NDArray[np.int64]
Asked = tuple[Set | None, ...]
"""The set that each honest gateway has answered for; None: it has answered nothing."""


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
        colluding: positions.
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
    def points(self) -> list[int]:
        """Where a column has its values, then where it has its random numbers."""
        slots = [PRIME - 1 - i for i in range(self.packed)]
        return [*slots, *(self.members + 1 + i for i in range(self.random))]

    @cached_property
    def matrix(self) -> Matrix:
        """(m, R): a member's share of (values, random numbers)."""
        shares = [lagrange(self.points, member + 1) for member in range(self.members)]
        return np.array(shares, np.int64)

    def opened(self, shares: Mapping[int, Matrix]) -> Matrix:
        """int64[R, columns]: values and random numbers, out of the shares of R members."""
        members = [member + 1 for member in shares]
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
    def held(self) -> Matrix:
        """What the colluding members hold from the start."""
        pairs = itertools.product(sorted(self.colluding), self.honest)
        rows = [self.row(member, {dealer}) for member, dealer in pairs]
        return np.reshape(np.array(rows, np.int64), (-1, self.unknown + self.values))

    @property
    def values(self) -> int:
        """Values of all honest dealers in a column."""
        return len(self.honest) * self.packed

    def known(self, strategies: Sequence[Asked]) -> Matrix:
        """int64[strategies, equations, honest, ell]: the combinations of values that are open."""
        sets = sorted({asked for each in strategies for asked in each}, key=_order)
        place = {asked: at for at, asked in enumerate(sets)}
        answers = np.array(
            [[self.row(member, asked or ()) for asked in sets] for member in self.honest]
        )
        chosen = np.array([[place[asked] for asked in each] for each in strategies])
        asked = answers[np.arange(len(self.honest)), chosen]
        held = np.broadcast_to(self.held, (len(chosen), *self.held.shape))
        open_ = eliminate(np.concatenate([asked, held], axis=1), self.unknown)
        return open_.reshape(*open_.shape[:2], len(self.honest), self.packed)

    def judge(self, strategies: Sequence[Asked], smallest: int) -> Verdicts:
        """Play all strategies.

        Args:
            strategies: for each honest gateway the set that it has answered for.
            smallest: honest gateways in a sum that may be opened.
        """
        known = self.known(strategies)
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


def every_strategy(choices: Mapping[int, Collection[Set]]) -> Iterable[Asked]:
    """Every honest gateway answers for one of its sets, or for none."""
    return itertools.product(*([None, *sorted(choices[i], key=_order)] for i in sorted(choices)))


def _order(asked: Set | None) -> tuple[int, ...]:
    return () if asked is None else (len(asked), *sorted(asked))
