"""Defines what schemes are given from outside, what they plan, open and promise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.signing import verify as verify_signature
from secagg.fixed_point.layout import NO_NOISE, Noise
from secagg.params import (
    Entropy,
    GatewayId,
    Ring,
    Thresholds,
)
from secagg.protocol.identity import Cohort, Identity, Roster
from secagg.protocol.journal import Journal
from secagg.protocol.messages import Signed, Verify
from secagg.protocol.policy import Policy
from secagg.protocol.spool import Spool
from secagg.workers import SERIAL, Workers

SPOOL_BYTES: Final = 2**36
"""A thousand uploads of 20 million coordinates in lanes of 21 bits, and no full disk by mistake."""
Words = NDArray[np.uint64]
Fill = Callable[[int, int, Words], None]
"""(vector, first word, out): write the encoded words of one vector from `first word` on."""
Source = Callable[[], Fill]
"""Makes one `Fill` with buffers of its own for each thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientContext:
    """Everything a client machine is given from outside.

    Attributes:
        identity: own id and key.
        roster: pinned roster.
        policy: floors.
        journal: memory across sessions and restarts.
        rng: source of all secrets of the session.
        workers: threads for masking.
        verify: signature check.
    """

    identity: Identity
    roster: Roster
    policy: Policy
    journal: Journal
    rng: Entropy
    workers: Workers = SERIAL
    verify: Verify = field(default=verify_signature)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerContext:
    """Everything a server machine is given from outside.

    Attributes:
        identity: the orchestrator's key.
        cohort: gateways of this session by position.
        rng: source of the session's id and key.
        max_in_flight: uploads staged in memory.
        spool: opens one temporary file for all others.
        spool_bytes: that this file may have.
        workers: threads for unmasking.
        verify: signature check.
        setup: what `Server.setup` gave at the end of the last round.
    """

    identity: Identity
    cohort: Cohort
    rng: Entropy
    max_in_flight: int
    spool: Spool
    spool_bytes: int = SPOOL_BYTES
    workers: Workers = SERIAL
    verify: Verify = field(default=verify_signature)
    setup: Mapping[GatewayId, Signed] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UpdatePlan:
    """How a scheme carries updates, for given gateways, weights and precision.

    Attributes:
        lanes: lanes in a 64-bit word.
        limit: largest lane value of one gateway.
        text: the same in a sentence, with what is exact.
        ring: in additive schemes.
        noise: by which an opened update may differ from the exact fixed-point sum over all
            gateways, in lane units.
    """

    lanes: int
    limit: int
    text: str
    ring: Ring | None = None
    noise: Noise = NO_NOISE


@dataclass(frozen=True, slots=True)
class Opened:
    """What the server learns: the sum over the included set, and nothing else.

    Attributes:
        included: positions in the sum, U3.
        vectors: uint64 words of each vector of P, lanes still packed.
        total_units: sum of the weights in units (`fixed_point.unit_of`).
    """

    included: frozenset[int]
    vectors: Sequence[Words] = field(repr=False)
    total_units: int


@dataclass(frozen=True, slots=True)
class Guarantees:
    """What a scheme promises with given thresholds, in sentences a user may quote.

    Attributes:
        hides: what the orchestrator does not learn, and against whom.
        survives: dropouts.
        not_promised: what to use something else for.
    """

    hides: str
    survives: str
    not_promised: str


def hides(thresholds: Thresholds) -> str:
    """The sentence on what the orchestrator does not learn."""
    n, c = thresholds.gateways, thresholds.max_colluding
    colluding = "1 gateway is" if c == 1 else f"up to {c} gateways are"
    return (
        f"The orchestrator learns the sum over one agreed set of at least"
        f" {thresholds.min_included} of {n} gateways and nothing else about any of them,"
        f" even if it lies and {colluding} on its side."
    )


def survives(thresholds: Thresholds) -> str:
    """The sentence on dropouts."""
    n, d = thresholds.gateways, thresholds.max_dropouts
    if not d:
        return f"None of the {n} gateways may vanish: the round would end without a result."
    return f"Any {d} of {n} gateways may vanish at any moment."
