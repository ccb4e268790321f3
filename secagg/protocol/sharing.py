"""Seals shares, commits to them, and judges the complaints of holders about dealers.

A share is opaque bytes here, so that every scheme deals by the same rules
(docs/protocol.md#complaints).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from secagg import canonical
from secagg.crypto.kdf import derive_key, digest
from secagg.crypto.labels import Label
from secagg.crypto.sealing import open_sealed, seal
from secagg.params import Thresholds


def channel_key(shared: bytes, *, salt: bytes, session: bytes, sender: int, receiver: int) -> bytes:
    """32-byte key of one direction of one channel: used for exactly one message.

    Args:
        shared: Diffie-Hellman secret of the two one-session keys.
        salt: h0, so that both ends saw the same keys of everybody.
        session: session id.
        sender: position.
        receiver: position.
    """
    return derive_key(
        shared, salt=salt, label=Label.KDF_CHANNEL, context=_route(session, sender, receiver)
    )


def seal_share(key: bytes, share: bytes, *, session: bytes, sender: int, receiver: int) -> bytes:
    """Encrypt a share for its holder."""
    return seal(key, share, canonical.framed(*_route(session, sender, receiver)))


def open_share(
    key: bytes, ciphertext: bytes, *, session: bytes, sender: int, receiver: int
) -> bytes:
    """Decrypt a share.

    Raises:
        SealError: it was not sealed under this key for this route.
    """
    return open_sealed(key, ciphertext, canonical.framed(*_route(session, sender, receiver)))


def commit_share(label: Label, session: bytes, dealer: int, holder: int, share: bytes) -> bytes:
    """32-byte commitment to one share. Hiding: a share has over 250 bits of entropy by itself."""
    return digest(label, *_route(session, dealer, holder), share)


def commit_secret(label: Label, session: bytes, dealer: int, secret: bytes) -> bytes:
    """32-byte commitment to a secret of 32 random bytes."""
    return digest(label, session, canonical.u64(dealer), secret)


def _route(session: bytes, sender: int, receiver: int) -> tuple[bytes, bytes, bytes]:
    return session, canonical.u64(sender), canonical.u64(receiver)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who must go, and which pairs contradict each other.

    Attributes:
        holders: complain about more than C dealers, and at most C dealers are corrupt.
        dealers: more than C holders complain, or too few hold good shares.
        disputes: (holder, dealer) pairs in which one of the two lies.
    """

    holders: frozenset[int]
    dealers: frozenset[int]
    disputes: tuple[tuple[int, int], ...]


def judge(
    complaints: Mapping[int, frozenset[int]],
    *,
    thresholds: Thresholds,
    neighbours: Callable[[int], frozenset[int]],
) -> Verdict:
    """Apply docs/protocol.md#complaints to the complaints of all live gateways.

    Args:
        complaints: live position -> dealers whose share it rejects.
        thresholds: n, C, D, t.
        neighbours: the sharing graph.
    """
    colluding = thresholds.max_colluding
    holders = frozenset(i for i, dealers in complaints.items() if len(dealers) > colluding)
    live = set(complaints) - holders
    rejected: dict[int, set[int]] = {dealer: set() for dealer in live}
    for holder in live:
        for dealer in complaints[holder] & live:
            rejected[dealer].add(holder)
    dealers = {dealer for dealer in live if len(rejected[dealer]) > colluding}
    live -= dealers
    unproved = set(live)
    while (poor := _poorest(live, rejected, thresholds, neighbours)) is not None:
        dealers.add(poor)
        live.discard(poor)
    # also with dealers that had to go for want of good holders: their accusers may be the liars
    disputes = tuple(
        (holder, dealer)
        for dealer in sorted(unproved)
        for holder in sorted(rejected[dealer] & unproved)
    )
    return Verdict(holders, frozenset(dealers), disputes)


def _poorest(
    live: set[int],
    rejected: Mapping[int, AbstractSet[int]],
    thresholds: Thresholds,
    neighbours: Callable[[int], frozenset[int]],
) -> int | None:
    """The live dealer with the fewest good holders, if they are too few to lose D more.

    If a gateway vanishes from here on, a dealer's secret needs t shares from those that remain. One
    more that vanishes lowers both sides by one, so the rule holds for the rest of the round.
    """
    spare = thresholds.max_dropouts - (thresholds.gateways - len(live))
    if spare < 1:
        return None
    good = {dealer: len((neighbours(dealer) & live) - rejected[dealer]) for dealer in live}
    dealer = min(good, key=lambda position: (good[position], position), default=None)
    if dealer is None or good[dealer] >= thresholds.share_threshold + spare - 1:
        return None
    return dealer
