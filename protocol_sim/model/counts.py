"""How often a round does what costs time: signatures, agreements, keystream, products, records.

Formulas, like those of `traffic`, without a largest cohort; `tests/protocol_sim/test_costs.py`
holds the public-key operations against a profile of real sessions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from protocol_sim.model.traffic import Shape, hashes
from secagg.crypto.shamir import LIMBS
from secagg.schemes import BY_NAME
from secagg.thresholds import PROOF_COLUMNS

Counts = Mapping[str, float]
"""Operation -> how often:

    sign, verify    signatures made and checked
    agree           X25519 exchanges, and public keys
    stream          bytes of keystream, made and added
    coordinate      numbers checked and encoded, or range-checked after opening
    word            64-bit words of uploads, tagged or verified and copied or added
    block           products in the ring, with their noise
    field           terms of sums over a prime field, in dealing and opening
    value           numbers of a row checked against its dealing's proof
    sealed          bytes of sealed rows hashed and carried
    entry           a hash of the gateways that are not shown, proved, carried or hashed
    record          shares or keys of one neighbour, dealer or member: made, sealed, opened, relayed
    message         messages that one party handles
"""

MASKS_POINTS: Final = 8
ADDITIVE_POINTS: Final = 6
"""Places where `large_parties.vanishing` lets gateways vanish: steps, three inside the upload."""


@dataclass(frozen=True, slots=True)
class Survivors:
    """What vanishing at all points alike leaves, in the mean.

    Attributes:
        dealt: share of the gateways that dealt their shares or sent a key.
        included: share in the sum.
        answered: share there at the end.
    """

    dealt: float
    included: float
    answered: float


def survivors(scheme: str, dropout: float) -> Survivors:
    """Who is left.

    Args:
        scheme: name.
        dropout: share of the gateways that vanish.
    """
    if BY_NAME[scheme].family == "masks":
        lost = dropout / MASKS_POINTS
        return Survivors(1 - 2 * lost, 1 - 6 * lost, 1 - 8 * lost)
    lost = dropout / ADDITIVE_POINTS
    return Survivors(1 - lost, 1 - 5 * lost, 1 - 6 * lost)


def gateway_counts(shape: Shape, dropout: float = 0.0) -> Counts:
    """Counts of a gateway that takes part to the end, in additive schemes a committee member."""
    left = survivors(shape.scheme, dropout)
    if not shape.limits.committee:
        return _masks_gateway(shape, left)
    return _additive_gateway(shape, left)


def server_counts(shape: Shape, dropout: float = 0.0) -> Counts:
    """Counts of the server, from its first message until the sum is open."""
    left = survivors(shape.scheme, dropout)
    if not shape.limits.committee:
        return _masks_server(shape, left)
    return _additive_server(shape, left)


def _masks_gateway(shape: Shape, left: Survivors) -> Counts:
    limits = shape.limits
    k = limits.degree
    return {
        "sign": 3,  # its keys, its header, the set: the server alone reads the rest, under a MAC
        # K, P, the keys and headers of the neighbours, its own key, the quorum
        "verify": 2 + (k + 1) + k * left.included + limits.quorum,
        # a channel and a mask for each neighbour, two public keys, the server with both and again
        "agree": k + k * left.dealt + 5,
        "field": 2 * LIMBS * k * limits.share_threshold,
        "stream": 8 * shape.words * (1 + k * left.dealt),
        "coordinate": shape.coordinates,
        "word": shape.words,
        "entry": hashes(shape)[0],
        "record": k,
        "message": 5,
    }


def _masks_server(shape: Shape, left: Survivors) -> Counts:
    n, limits = shape.gateways, shape.limits
    k = limits.degree
    dead = n * (left.dealt - left.included)
    masks = n * left.included + dead * k * left.included
    rebuilt = n * (left.included - left.answered)
    return {
        "sign": 1,
        "verify": n * (1 + 2 * left.included),
        "agree": n,
        "field": rebuilt * limits.share_threshold * LIMBS,
        "stream": 8 * shape.words * masks,
        "coordinate": shape.coordinates,
        "word": n * left.included * shape.words,
        "entry": n * hashes(shape)[0],
        "record": n * k,
        "message": 5 * n,
    }


def _additive_gateway(shape: Shape, left: Survivors) -> Counts:
    n, limits = shape.gateways, shape.limits
    m, dealers = limits.committee, n * left.included
    columns = -(-shape.key // limits.packed)
    certified = limits.quorum if shape.limits.certified else 0
    return {
        # a prekey for this round and the next, each made twice; offer, header, dealing, set, answer
        "sign": 9,
        # K, P, the keys of the committee and of the other dealers, the quorum
        "verify": 2 + m * left.dealt + (n - m) * left.included + certified,
        # a channel to each member, one from each other dealer, the server twice, public keys
        "agree": m + (n - m) * left.included + 5,
        "field": m * limits.share_threshold * (columns + PROOF_COLUMNS),
        "value": dealers * PROOF_COLUMNS * columns,
        "sealed": (m + dealers) * shape.sealed,
        "coordinate": shape.coordinates,
        "word": shape.words,
        "block": shape.blocks,
        "entry": hashes(shape)[0],
        "record": m + dealers,
        "message": 4,
    }


def _additive_server(shape: Shape, left: Survivors) -> Counts:
    n, limits = shape.gateways, shape.limits
    m, dealers = limits.committee, n * left.included
    threshold, columns = limits.share_threshold, -(-shape.key // limits.packed)
    opening = threshold * (limits.packed * columns + m)
    return {
        "sign": 1,
        # prekeys of both rounds, the offer of one, dealings, headers, the set, answers
        "verify": n * (2 + 4 * left.dealt) + m * left.answered,
        "agree": n * left.dealt,
        "field": dealers * m * threshold * PROOF_COLUMNS + opening,
        "sealed": dealers * m * shape.sealed,
        "coordinate": shape.coordinates,
        "word": dealers * shape.words,
        "block": shape.blocks,
        "entry": n * hashes(shape)[0],
        "record": dealers * m,
        "message": 4 * n,
    }
