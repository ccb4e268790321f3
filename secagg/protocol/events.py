"""Defines the events by which a session tells its driver what happened."""

from __future__ import annotations

from dataclasses import dataclass, field

from secagg.errors import SecAggError
from secagg.params import GatewayId, RoundParams
from secagg.protocol.messages import DropReason

ORCHESTRATOR = None
"""Receiver of everything a gateway sends."""


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes for one receiver: a gateway id, or None for the orchestrator."""

    to: GatewayId | None
    frame: bytes | bytearray = field(repr=False)


@dataclass(frozen=True, slots=True)
class UpdateDue:
    """The gateway is asked for its update: call `upload`."""

    params: RoundParams = field(repr=False)


@dataclass(frozen=True, slots=True)
class PhaseClosed:
    """A phase ended with these answers."""

    phase: str
    answered: tuple[GatewayId, ...]


@dataclass(frozen=True, slots=True)
class GatewayDropped:
    """The server goes on without a gateway.

    Attributes:
        id: which.
        phase: in which phase.
        reason: why.
        detail: what exactly, in one line; never contains a secret. Of a gateway that ended the
            session itself these are its own words, quoted and not believed.
    """

    id: GatewayId
    phase: str
    reason: DropReason
    detail: str = ""

    def __str__(self) -> str:
        why = self.reason.name.lower() + (f": {self.detail}" if self.detail else "")
        return f"{self.id} in {self.phase} ({why})"


@dataclass(frozen=True, slots=True)
class Ignored:
    """Something came in a sender's name that does not verify: it says nothing about the sender.

    Said once for each sender, cause and phase; `ServerSession.ignored` counts.

    Attributes:
        sender: in whose name it came.
        why: what it was, in a few fixed words.
        phase: when.
    """

    sender: GatewayId
    why: str
    phase: str


@dataclass(frozen=True, slots=True)
class SharesDisputed:
    """A holder rejects the share of a dealer: one of the two lies, nobody can tell which."""

    holder: GatewayId
    dealer: GatewayId


@dataclass(frozen=True, slots=True)
class Imprecise:
    """The error of some keys' means is large beside what the round changed in them.

    Of leaves that share one array in the template and differ in an update nothing is known.

    Attributes:
        keys: of the tree, the worst first.
        relative_error: the largest of theirs: rms error over rms of the step; infinite where
            a step of any size would be lost.
        cure: a setting of the orchestrator that makes it small, as Python; "" if none is known.
        detail: all of it in one line.
    """

    keys: tuple[str, ...]
    relative_error: float
    cure: str
    detail: str

    def __str__(self) -> str:
        return self.detail


@dataclass(frozen=True, slots=True)
class Completed:
    """The session reached its end."""


@dataclass(frozen=True, slots=True)
class Aborted:
    """The session ended without a result; secrets are erased."""

    reason: SecAggError


Event = (
    Send
    | UpdateDue
    | PhaseClosed
    | GatewayDropped
    | Ignored
    | SharesDisputed
    | Imprecise
    | Completed
    | Aborted
)
