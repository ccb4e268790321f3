"""Opens the sum: finds the masks left in it, rebuilds what was not released, names liars.

Left in the sum over U3 are every member's own mask, and the pair masks between members of U3 and
the dead (U2 minus U3). Members that answer release both directly; shares are needed only for b_i of
members that do not answer, and for s_j of the dead where a member's edge secret is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from secagg.crypto.agreement import agree_each, public_key
from secagg.crypto.labels import Label
from secagg.crypto.prg_fast import SharedMasks
from secagg.crypto.shamir import combine_each
from secagg.errors import AggregateOutOfRange, BelowThreshold, InconsistentAnswers, SharingError
from secagg.params import GatewayId, RoundParams, SessionParams
from secagg.protocol.blame import Dropped
from secagg.protocol.messages import DropReason
from secagg.protocol.outcome import check_opened
from secagg.protocol.sharing import commit_secret, commit_share
from secagg.schemes.base import Opened, Words
from secagg.schemes.masks.keys import (
    edge_secret,
    mask_private,
    pair_key,
    self_key,
    sign,
    stream_starts,
)
from secagg.schemes.masks.messages import AdvertiseKeys, ShareKeys, Unmasking
from secagg.thresholds import neighbours
from secagg.workers import Workers

Edge = tuple[int, int]
"""(member of U3, dead neighbour)."""
Drop = Callable[[int, DropReason, str], None]
"""Takes (position, reason, detail)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """All the server holds when it opens the sum.

    Attributes:
        params: K.
        round: P.
        h2: transcript of keys, P and U2.
        keyed: U1.
        dealers: U2.
        included: U3.
        adverts: R0 by position.
        dealt: R1 by position.
        complaints: dealers whose shares a position rejected, for all that sent a header.
        answers: R4 by position.
    """

    params: SessionParams
    round: RoundParams
    h2: bytes
    keyed: frozenset[int]
    dealers: frozenset[int]
    included: frozenset[int]
    adverts: Mapping[int, AdvertiseKeys]
    dealt: Mapping[int, ShareKeys]
    complaints: Mapping[int, frozenset[int]]
    answers: Mapping[int, Unmasking] = field(repr=False)
    _holders: dict[int, dict[int, int]] = field(default_factory=dict, init=False, repr=False)

    def near(self, position: int) -> frozenset[int]:
        """Neighbours of a position."""
        return neighbours(self.params.thresholds, position)

    def alive(self, position: int) -> list[int]:
        """Neighbours in U3, in order."""
        return sorted(self.included & self.near(position))

    def dead(self, position: int) -> list[int]:
        """Neighbours in U2 but not in U3, in order."""
        return sorted((self.dealers - self.included) & self.near(position))

    def proved(self, dealer: int) -> bool:
        """More holders reject its shares than may lie."""
        rejected = sum(dealer in dealers for dealers in self.complaints.values())
        return rejected > self.params.thresholds.max_colluding

    def promised(self, dealer: int, holder: int) -> tuple[bytes, bytes]:
        """The dealer's commitments to the holder's shares of b and s."""
        if (places := self._holders.get(dealer)) is None:
            holders = sorted(self.keyed & self.near(dealer))
            places = self._holders[dealer] = {each: place for place, each in enumerate(holders)}
        return self.dealt[dealer].commitments[places[holder]]


def check_answer(recovery: Recovery, position: int, answer: Unmasking) -> None:
    """Hold a member's answer against what it promised in round 1; shares wait until one is needed.

    Raises:
        Dropped: a seed that is not the committed one, or a malformed answer.
    """
    alive, dead = recovery.alive(position), recovery.dead(position)
    lengths = len(answer.seed_shares), len(answer.edge_secrets), len(answer.key_shares)
    if lengths != (len(alive), len(dead), len(dead)):
        raise Dropped(DropReason.MALFORMED, "not one share for each neighbour")
    session = recovery.params.session
    commitment = commit_secret(Label.COMMIT_SEED, session, position, answer.seed)
    if commitment != recovery.dealt[position].seed_commitment:
        raise Dropped(DropReason.BAD_SEED, "own seed")


def open_sum(
    recovery: Recovery,
    words: Words,
    *,
    drop: Drop,
    ids: Sequence[GatewayId],
    workers: Workers,
) -> Opened:
    """Take every remaining mask off, in place.

    Args:
        recovery: what the server holds.
        words: the masked sum over U3, laid out as the streams of the masks; unmasked on return.
        drop: called with (position, reason, detail) for a member that released a lie.
        ids: gateway ids by position, for errors.
        workers: threads.

    Raises:
        BelowThreshold: too few good shares of a needed secret.
        InconsistentAnswers: good shares of a wrong secret: its dealer is named.
        AggregateOutOfRange: an upload was garbage.
    """
    seeds = _seeds(recovery, drop, ids)
    edges, missing = _released_edges(recovery)
    if missing:
        edges |= _rebuilt_edges(recovery, missing, drop, ids)
    vectors = split_words(words, recovery.round)
    masks = SharedMasks(list(_mask_keys(recovery, seeds, edges)), len(words), workers=workers)
    # The check vector is two words: masks that are wrong show there before the long vectors are
    # touched, and a liar about an edge is found by rebuilding the dead side of it.
    check = vectors[-1].copy()
    masks.add(check, stream_starts(recovery.round.vectors)[-2])
    if check.any():
        edges = _without_lies(recovery, edges, drop, ids)
        masks = SharedMasks(list(_mask_keys(recovery, seeds, edges)), len(words), workers=workers)
    masks.add(words, 0)
    total = check_opened(
        recovery.round,
        vectors,
        len(recovery.included),
        gateways=recovery.params.thresholds.gateways,
        workers=workers,
    )
    return Opened(recovery.included, vectors, total)


def split_words(words: Words, params: RoundParams) -> list[Words]:
    """One view for each vector of a sum that is laid out as the streams of the masks."""
    starts = stream_starts(params.vectors)
    return [
        words[start : start + vector.words]
        for start, vector in zip(starts[:-1], params.vectors, strict=True)
    ]


def _mask_keys(
    recovery: Recovery, seeds: Mapping[int, bytes], edges: Mapping[Edge, bytes]
) -> Iterator[tuple[int, bytes]]:
    """(sign, key) of everything to be taken off."""
    for position, seed in seeds.items():
        yield -1, self_key(seed, h2=recovery.h2, position=position)
    for (member, dead), edge in edges.items():
        yield -sign(member, dead), pair_key(edge, h2=recovery.h2)


def _seeds(recovery: Recovery, drop: Drop, ids: Sequence[GatewayId]) -> dict[int, bytes]:
    """b_i of every member of U3: its own word, or t shares."""
    seeds = {position: answer.seed for position, answer in recovery.answers.items()}
    silent = recovery.included - seeds.keys()
    released = (
        (holder, dealer, share)
        for holder, answer in recovery.answers.items()
        if not silent.isdisjoint(recovery.near(holder))
        for dealer, share in zip(recovery.alive(holder), answer.seed_shares, strict=True)
    )
    shares = _good_shares(recovery, silent, released, Label.COMMIT_SEED_SHARE, drop)
    rebuilt = _combine(recovery, shares, ids)
    for dealer, seed in rebuilt.items():
        made = commit_secret(Label.COMMIT_SEED, recovery.params.session, dealer, seed)
        if made != recovery.dealt[dealer].seed_commitment:
            raise InconsistentAnswers("shares of another seed than the committed", (ids[dealer],))
    return seeds | rebuilt


def _released_edges(recovery: Recovery) -> tuple[dict[Edge, bytes], list[Edge]]:
    """M_ij as the members of U3 released it, and the edges whose member does not answer."""
    edges: dict[Edge, bytes] = {}
    missing: list[Edge] = []
    for member in sorted(recovery.included):
        answer = recovery.answers.get(member)
        dead = recovery.dead(member)
        if answer is None:
            missing.extend((member, peer) for peer in dead)
        else:
            pairs = zip(dead, answer.edge_secrets, strict=True)
            edges.update({(member, peer): edge for peer, edge in pairs})
    return edges, missing


def _good_shares(
    recovery: Recovery,
    dealers: Collection[int],
    released: Iterable[tuple[int, int, bytes]],
    label: Label,
    drop: Drop,
) -> dict[int, dict[int, bytes]]:
    """As many shares that keep their commitment as open a secret, by dealer and holder.

    Only shares that are needed are looked at: n * k commitments would cost more than the masks of a
    small model. One that differs without an earlier complaint is its holder's fault.
    """
    session, threshold = recovery.params.session, recovery.params.thresholds.share_threshold
    shares: dict[int, dict[int, bytes]] = {dealer: {} for dealer in sorted(dealers)}
    which = 0 if label is Label.COMMIT_SEED_SHARE else 1
    for holder, dealer, share in released:
        good = shares.get(dealer)
        if good is None or len(good) == threshold or dealer in recovery.complaints[holder]:
            continue
        made = commit_share(label, session, dealer, holder, share)
        if made == recovery.promised(dealer, holder)[which]:
            good[holder] = share
        else:
            drop(holder, DropReason.BAD_SHARE, f"of dealer {dealer}")
    return shares


def _rebuilt_edges(
    recovery: Recovery, wanted: Sequence[Edge], drop: Drop, ids: Sequence[GatewayId]
) -> dict[Edge, bytes]:
    """M_ij computed from the dead side, whose s_j is rebuilt from shares."""
    released = (
        (holder, dealer, share)
        for holder, answer in recovery.answers.items()
        for dealer, share in zip(recovery.dead(holder), answer.key_shares, strict=True)
    )
    dead_ends = {dead for _, dead in wanted}
    shares = _good_shares(recovery, dead_ends, released, Label.COMMIT_KEY_SHARE, drop)
    session = recovery.adverts[wanted[0][0]].session
    privates = {}
    for dealer, key_seed in _combine(recovery, shares, ids).items():
        privates[dealer] = mask_private(key_seed, session)
        if public_key(privates[dealer]) != recovery.adverts[dealer].mask_key:
            raise InconsistentAnswers("shares of another key than advertised", (ids[dealer],))
    edges: dict[Edge, bytes] = {}
    for dead, private in privates.items():
        members = [member for member, other in wanted if other == dead]
        keys = (recovery.adverts[member].mask_key for member in members)
        for member, shared in zip(members, agree_each(private, keys), strict=True):
            edges[member, dead] = edge_secret(shared, h2=recovery.h2, ends=(member, dead))
    return edges


def _combine(
    recovery: Recovery, shares: Mapping[int, Mapping[int, bytes]], ids: Sequence[GatewayId]
) -> dict[int, bytes]:
    """Rebuild the secret of every dealer, all at once."""
    threshold = recovery.params.thresholds.share_threshold
    for dealer, by_holder in shares.items():
        if len(by_holder) < threshold:
            if recovery.proved(dealer):
                raise InconsistentAnswers("a secret was dealt in bad shares", (ids[dealer],))
            raise BelowThreshold(len(by_holder), threshold, "unmasking")
    try:
        return dict(zip(shares, combine_each(list(shares.values()), threshold), strict=True))
    except SharingError as error:
        culprits = tuple(
            ids[dealer] for dealer, table in shares.items() if not _sound(table, threshold)
        )
        raise InconsistentAnswers(str(error), culprits) from None


def _sound(by_holder: Mapping[int, bytes], threshold: int) -> bool:
    try:
        combine_each([by_holder], threshold)
    except SharingError:
        return False
    return True


def _without_lies(
    recovery: Recovery,
    edges: Mapping[Edge, bytes],
    drop: Drop,
    ids: Sequence[GatewayId],
) -> dict[Edge, bytes]:
    """Rebuild every edge from its dead side and name the members that released another one."""
    if not edges:
        raise AggregateOutOfRange("the check words are not zero and no edge can be blamed")
    try:
        rebuilt = _rebuilt_edges(recovery, list(edges), drop, ids)
    except BelowThreshold:
        raise AggregateOutOfRange(
            "the check words are not zero, and too few shares are left to find out why"
        ) from None
    for edge, secret in rebuilt.items():
        if secret != edges[edge]:
            drop(edge[0], DropReason.BAD_EDGE, f"with dead neighbour {edge[1]}")
    return rebuilt
