"""What a scheme is to the sessions: steps, a client, a server, and what it promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.signing import verify as verify_signature
from secagg.errors import SecAggError
from secagg.fixed_point import NO_NOISE, Noise
from secagg.params import (
    Entropy,
    GatewayId,
    Ring,
    RoundParams,
    SessionParams,
    Struct,
    Thresholds,
)
from secagg.protocol.audit import AuditRecord
from secagg.protocol.identity import Cohort, Identity, Roster
from secagg.protocol.journal import Journal
from secagg.protocol.machine import ServerMachine, Step
from secagg.protocol.messages import Signed, Verify
from secagg.protocol.policy import Policy
from secagg.protocol.uploads import Spool
from secagg.wire import Span
from secagg.workers import SERIAL, Workers

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
        spool: opens a temporary file for each further one.
        workers: threads for unmasking.
        verify: signature check.
        setup: what `SchemeServer.setup` gave at the end of the last round.
    """

    identity: Identity
    cohort: Cohort
    rng: Entropy
    max_in_flight: int
    spool: Spool
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
        total_units: sum of the weights in units of 2^-16.
    """

    included: frozenset[int]
    vectors: Sequence[Words] = field(repr=False)
    total_units: int


class SchemeClient(Protocol):
    """One gateway in one session."""

    round: RoundParams | None

    @property
    def upload_due(self) -> bool:
        """The round is accepted and nothing of the upload has left."""
        ...

    @property
    def done(self) -> bool:
        """Everything is answered, or the session has failed; the secrets are gone."""
        ...

    def receive(self, request: Struct) -> Signed:
        """Answer one request, or raise the check that fails."""

    def upload(self, source: Source, model: bytes) -> Iterator[bytearray]:
        """Check the model, spend the round, then yield the frames one after the other."""

    def abort(self, reason: SecAggError) -> None:
        """Erase the secrets; answer nothing more."""


class SchemeServer(Protocol):
    """The orchestrator in one session."""

    params: SessionParams
    round: RoundParams
    machine: ServerMachine
    opened: Opened | None

    @property
    def round_announced(self) -> bool:
        """P is out."""
        ...

    @property
    def headers_missing(self) -> frozenset[int]:
        """Positions whose upload header is not there, while the verdict waits for it."""
        ...

    @property
    def setup(self) -> Mapping[GatewayId, Signed]:
        """What gateways have sent ahead for the next round: fewer exchanges there."""
        ...

    def start(self) -> None:
        """Open the first phase."""

    def receive(self, position: int, name: str, signed: Signed) -> None:
        """Take one signed answer."""

    def advance(self) -> None:
        """Close the open phase."""

    def receive_frame(
        self, position: int, sequence: int, region: memoryview, words: Words, tag: bytes
    ) -> None:
        """Take one frame of an upload."""

    def audit(self) -> AuditRecord:
        """What everybody can verify afterwards."""


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


class Scheme(Protocol):
    """A way to open a sum and nothing else."""

    name: ClassVar[str]
    steps: ClassVar[tuple[Step, ...]]
    messages: ClassVar[Mapping[int, type[Struct]]]

    def plan_update(self, gateways: int, max_weight: float, precision: float) -> UpdatePlan:
        """The leanest layout that reaches `precision` (`fixed_point.choose_lanes`)."""
        ...

    def spans(self, params: RoundParams, gateways: int) -> tuple[Span, ...]:
        """The frames of an upload, vector by vector."""
        ...

    def thresholds(
        self,
        gateways: int,
        *,
        max_colluding: int | None = None,
        max_dropouts: int | None = None,
    ) -> Thresholds:
        """n, C, D and what follows from them; None leaves C or D to the scheme."""
        ...

    def client(self, session: bytes, context: ClientContext) -> SchemeClient:
        """A gateway's machine, ready for the announcement (or, restarted, for a repetition)."""

    def server(
        self,
        params: Callable[[bytes], SessionParams],
        round_params: Callable[[SessionParams], RoundParams],
        context: ServerContext,
    ) -> SchemeServer:
        """A machine ready to start; `params` takes the 32-byte X25519 key of the session."""

    def guarantees(self, thresholds: Thresholds) -> Guarantees:
        """What this scheme promises."""
