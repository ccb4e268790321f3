"""Which sums a lying server opens: the masks protocol as exact linear algebra.

The server shows every honest gateway its own transcript (h0), parameters (P), U2 and U3, or
silence; gateways answer as `Gateways` says, by docs/protocol.md#exchanges-of-masks (`Rules`) or as
real clients do (`real_gateways`); colluding ones hand over all they hold. What remains is a linear
system: one row for each honest upload, one unknown for each mask the server lacks.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

from secagg.params import Thresholds
from secagg.thresholds import neighbours

Set = frozenset[int]
Mask = tuple[Hashable, ...]
World = tuple[int, int]
"""(h0, P)."""


class Shown(NamedTuple):
    """What one honest gateway sees.

    Attributes:
        h0: which set of keys.
        params: which P.
        u2: dealers; None: it dealt its shares under h0, then was never asked for an upload.
        u3: the included; None: it uploaded and was never asked to sign (or refused to).
    """

    h0: int
    params: int
    u2: Set | None
    u3: Set | None

    @property
    def h2(self) -> tuple[int, int, Set | None]:
        """Transcript of keys, P and U2."""
        return self[:3]


Strategy = Sequence[Shown | None]
"""What each position sees; None: colluding."""


class Released(NamedTuple):
    """What one gateway's last answer holds, beside its own b.

    Attributes:
        seed_shares: peers of whose b it gives a share.
        edges: peers with which its edge secret is given.
        key_shares: peers of whose s it gives a share.
    """

    seed_shares: Set
    edges: Set
    key_shares: Set


class Gateways(Protocol):
    """How the honest gateways of a session behave."""

    @property
    def thresholds(self) -> Thresholds:
        """Thresholds of the session."""
        ...

    @property
    def neighbours(self) -> Sequence[Set]:
        """Neighbours of each position."""
        ...

    def views(self, i: int, worlds: Sequence[World], *, absent: bool = False) -> list[Shown]:
        """Everything that a gateway accepts in these worlds.

        Args:
            i: position of the gateway.
            worlds: that it may be in.
            absent: also what it sees that dealt its shares and was never asked for an upload.
        """
        ...

    def signs(self, i: int, shown: Strategy) -> bool:
        """Whether a gateway that was shown a U3 signs it, given what the others have uploaded."""
        ...

    def answers(self, i: int, shown: Strategy, signers: Set) -> Released | None:
        """What it releases when these can sign its h3; None: it refuses."""
        ...


@dataclass(frozen=True)
class Rules:
    """Gateways by docs/protocol.md#exchanges-of-masks, and the checks a control may switch off.

    Attributes:
        thresholds: of the session.
        header_check: every neighbour in U3 has uploaded under the gateway's own h2.
        dropout_check: no more than D are left out of U3.
    """

    thresholds: Thresholds
    header_check: bool = True
    dropout_check: bool = True

    @cached_property
    def neighbours(self) -> tuple[Set, ...]:
        """Neighbours of each position."""
        return tuple(neighbours(self.thresholds, i) for i in range(self.thresholds.gateways))

    @cached_property
    def least_u2(self) -> int:
        """Size of the smallest U2."""
        limits = self.thresholds
        return max(limits.min_included, limits.quorum, limits.share_threshold)

    @cached_property
    def least_u3(self) -> int:
        """Size of the smallest U3."""
        limits = self.thresholds
        few_dropped = limits.gateways - limits.max_dropouts if self.dropout_check else 0
        return max(limits.min_included, limits.quorum, few_dropped)

    def uploads(self, position: int, u2: Set) -> bool:
        """Whether a gateway uploads when it is shown this U2."""
        return position in u2 and len(u2) >= self.least_u2

    def accepts(self, position: int, u2: Set, u3: Set) -> bool:
        """Whether a gateway signs this U3 if all headers are right."""
        return position in u3 and u3 <= u2 and len(u3) >= self.least_u3

    def views(self, i: int, worlds: Sequence[World], *, absent: bool = False) -> list[Shown]:
        """See `Gateways`."""
        shown: list[Shown] = []
        for h0, params in worlds:
            for u2 in subsets(frozenset(range(self.thresholds.gateways))):
                if not self.uploads(i, u2):
                    continue
                shown.append(Shown(h0, params, u2, None))
                accepted = (u3 for u3 in subsets(u2) if self.accepts(i, u2, u3))
                shown.extend(Shown(h0, params, u2, u3) for u3 in accepted)
        return shown + (never_asked(worlds) if absent else [])

    def signs(self, i: int, shown: Strategy) -> bool:
        """See `Gateways`; the sets themselves are those that `accepts` allows."""
        view = view_of(shown, i)
        if not self.header_check or view.u3 is None:
            return view.u3 is not None
        # Headers are signed: the server cannot show one that its gateway did not send.
        others = (shown[j] for j in self.neighbours[i] & view.u3)
        return all(
            other is None or (other.u2 is not None and other.h2 == view.h2) for other in others
        )

    def answers(self, i: int, shown: Strategy, signers: Set) -> Released | None:
        """See `Gateways`."""
        view = view_of(shown, i)
        if view.u2 is None or view.u3 is None:
            return None
        if len(signers & view.u3) < self.thresholds.quorum:
            return None
        near, alive = self.neighbours[i], view.u3
        # Channel keys are salted with h0: a share dealt under another h0 does not open.
        opens = frozenset(
            j for j in near & view.u2 if (other := shown[j]) is None or other.h0 == view.h0
        )
        return Released(opens & alive, near & view.u2 - alive, opens - alive)


def subsets(members: Set) -> Iterator[Set]:
    """All of them, the empty one too."""
    for size in range(len(members) + 1):
        yield from map(frozenset, itertools.combinations(sorted(members), size))


def never_asked(worlds: Sequence[World]) -> list[Shown]:
    """What a gateway sees that dealt its shares in these worlds and was not asked for an upload."""
    return [Shown(h0, 0, None, None) for h0 in sorted({h0 for h0, _ in worlds})]


class Verdict(NamedTuple):
    """How one strategy ends.

    Attributes:
        answered: who released something.
        certified: the honest parts of the sets they released it for.
        sums: the sets whose sums are opened.
    """

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


def judge(gateways: Gateways, shown: Strategy, colluding: Set) -> Verdict:
    """Play one strategy to its end.

    Args:
        gateways: the honest ones.
        shown: for each position what it sees, as the gateways accept it; None: colluding.
        colluding: positions on the server's side.
    """
    views = {i: view for i, view in enumerate(shown) if view is not None}
    signed = {i for i, view in views.items() if view.u3 is not None and gateways.signs(i, shown)}
    answers: dict[int, Released] = {}
    for i in sorted(signed):
        signers = frozenset(j for j in signed if views[j] == views[i]) | colluding
        released = gateways.answers(i, shown, signers)
        if released is not None:
            answers[i] = released
    known = _known(gateways, views, answers, colluding)
    rows = {
        i: _unknown_masks(gateways.neighbours[i], i, view, known, colluding)
        for i, view in views.items()
        if view.u2 is not None and known.self_masks  # an own mask stands in one row only
    }
    sets = (views[i].u3 for i in answers)
    certified = {u3 - colluding for u3 in sets if u3 is not None}
    return Verdict(frozenset(answers), tuple(certified), open_sums(rows))


class _Known(NamedTuple):
    """Whose b and whose s are known, and the edge secrets handed over as such."""

    self_masks: Set
    mask_keys: Set
    edges: set[Mask]


def _known(
    gateways: Gateways, views: Mapping[int, Shown], answers: Mapping[int, Released], colluding: Set
) -> _Known:
    seed_shares = {i: len(gateways.neighbours[i] & colluding) for i in views}
    key_shares = dict(seed_shares)
    edges: set[Mask] = set()
    for i, released in answers.items():
        for j in released.seed_shares - colluding:
            seed_shares[j] += 1
        for j in released.key_shares - colluding:
            key_shares[j] += 1
        edges.update(_edge(i, j, views[i]) for j in released.edges - colluding)
    t = gateways.thresholds.share_threshold
    return _Known(
        frozenset(answers) | {i for i, shares in seed_shares.items() if shares >= t},
        frozenset(i for i, shares in key_shares.items() if shares >= t),
        edges,
    )


def _unknown_masks(near: Set, i: int, view: Shown, known: _Known, colluding: Set) -> list[Mask]:
    """What hides the upload of a gateway."""
    row: list[Mask] = [] if i in known.self_masks else [("self", i)]
    if i in known.mask_keys or view.u2 is None:
        return row
    edges = (_edge(i, j, view) for j in near & view.u2 - colluding - known.mask_keys)
    return row + [edge for edge in edges if edge not in known.edges]


def _edge(i: int, j: int, view: Shown) -> Mask:
    return min(i, j), max(i, j), view.h2


def view_of(shown: Strategy, i: int) -> Shown:
    """What one gateway sees in a strategy; a colluding one is shown nothing: ValueError."""
    view = shown[i]
    if view is None:
        raise ValueError(f"position {i} colludes: it is shown nothing")
    return view


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
    sums: list[Set] = []
    seen: set[int] = set()
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
