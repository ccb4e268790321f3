"""Judges the committee's answers and finds the sum of the keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from secagg.crypto.packed import Packing, Row, reconstruct
from secagg.crypto.reed_solomon import PRIME
from secagg.errors import BadDealing, BelowThreshold, InconsistentAnswers, SharingError
from secagg.params import GatewayId, Thresholds
from secagg.protocol.blame import Dropped
from secagg.protocol.messages import DropReason
from secagg.schemes.additive.rings import Key, RoundRing


def field_elements(data: bytes, count: int) -> Row:
    """Field elements out of a message; anything else drops its sender."""
    values = np.frombuffer(data, "<u2") if len(data) == 2 * count else None
    if values is None or int(values.max()) >= PRIME:
        raise Dropped(DropReason.MALFORMED, f"not {count} field elements")
    return values


@dataclass(frozen=True, slots=True)
class Complaints:
    """What the complaints of one question say (docs/protocol.md#bad-dealings).

    Attributes:
        holders: complain about more than C dealers, and at most C dealers are corrupt.
        dealers: more than C members complain, so that one of them is honest.
        disputes: every (member, dealer).
        satisfied: members whose complaints are all about `dealers`: they can answer without those.
    """

    holders: frozenset[int]
    dealers: frozenset[int]
    disputes: tuple[tuple[int, int], ...]
    satisfied: frozenset[int]


def weigh(complaints: Mapping[int, frozenset[int]], colluding: int) -> Complaints:
    """Judge who complained.

    Args:
        complaints: member -> dealers whose shares it rejects, not empty.
        colluding: C.
    """
    holders = frozenset(i for i, dealers in complaints.items() if len(dealers) > colluding)
    heard = {i: dealers for i, dealers in complaints.items() if i not in holders}
    accused = frozenset().union(*heard.values())
    dealers = frozenset(
        dealer
        for dealer in accused
        if sum(dealer in rejected for rejected in heard.values()) > colluding
    )
    return Complaints(
        holders=holders,
        dealers=dealers,
        disputes=tuple((i, dealer) for i in sorted(heard) for dealer in sorted(heard[i])),
        satisfied=frozenset(i for i, rejected in heard.items() if rejected <= dealers) - dealers,
    )


def too_few(
    answered: int, limits: Thresholds, found: Complaints, ids: Sequence[GatewayId]
) -> BadDealing | BelowThreshold:
    """Why the round ends when fewer than R members have given a sum."""
    if not found.disputes:
        return BelowThreshold(answered, limits.share_threshold, "answer", asked=limits.committee)
    return BadDealing(
        tuple(ids[dealer] for dealer in sorted(found.dealers)),
        tuple((ids[member], ids[dealer]) for member, dealer in found.disputes),
    )


def total_key(
    answers: Mapping[int, Row],
    *,
    packing: Packing,
    ring: RoundRing,
    included: int,
) -> tuple[Key, tuple[int, ...]]:
    """The sum of the keys over the included set, and the members whose answers are wrong.

    Args:
        answers: member -> sum of its shares, R or more of them.
        packing: m, ell, R.
        ring: knows how large an honest sum can be.
        included: gateways in the sum.

    Raises:
        InconsistentAnswers: more wrong answers than the code corrects, or a sum of keys that
            honest gateways cannot have.
    """
    members = sorted(answers)
    sums = np.stack([answers[member] for member in members])
    try:
        decoded = reconstruct(members, sums, packing, ring.coefficients)
    except SharingError as error:
        raise InconsistentAnswers(
            f"the committee's answers contradict one another: {error}"
        ) from None
    if not ring.check_secret(decoded.secret, included):
        raise InconsistentAnswers("the sum of the keys is larger than honest keys can make it")
    return decoded.secret, decoded.liars
