"""Defines every exception that the library raises on purpose.

A caller catches five:

- `ConfigurationError`: settings that cannot work; the message says which would.
- `EncodingError`: an update, weight or metric that does not fit; nothing is spent, mend it.
- `SessionAborted`: the round ended without a result; play another one.
- `RemoteProtocolError`: the other side broke the protocol; the subclass names the check.
- `WireError`: bytes that are not a frame of this protocol, or a file that is not a record.

`PrecisionWarning` is no error: the mean is right within its bound, and mostly noise.
`LocalProtocolError` is a mistake in the caller's own code. Anything else that leaves the core is a
bug of this library. No message contains a secret or a private value: messages name parties, keys,
fields and counts, because applications log them and send them as the reason of an abort.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

_NAMED: Final = 3
"""Gateways that the text of an error names; all others are counted."""
_TABLED: Final = 10
"""Keys of which a table shows the values; the cure has all of them."""


def printable(text: str) -> str:
    """A text as one line: what others say can neither begin another nor move the cursor."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def quoted(text: str) -> str:
    """What a peer gives as its reason: one line, no longer than a reader wants."""
    return printable(text[:200])[:200]


def shown(value: object) -> str:
    """A setting that is refused: of what may hold an update, the type alone."""
    if value is None or isinstance(value, str | bool | int | float | type):
        return quoted(repr(value))
    return f"of type {type(value).__name__}"


def install_hint(extra: str) -> str:
    """What brings an extra: from a clone, for no package index has this distribution."""
    return f"pip install '.[{extra}]' in a clone of the repository"


class PrecisionWarning(UserWarning):
    """A mean whose error is large beside what the round changed; says which setting cures it."""


class SecAggError(Exception):
    """Base of all errors of this library; the text is one line, however peers name things."""

    def __str__(self) -> str:
        return printable(self._text())

    def _text(self) -> str:
        return super().__str__()


class ConfigurationError(SecAggError, ValueError):
    """Settings that cannot work; the message says which would."""


@dataclass(frozen=True, slots=True)
class Beyond:
    """What lies beyond one bound: private, and no error prints it but `EncodingError.table`.

    Attributes:
        count: values beyond it.
        largest: the largest absolute one.
        bound: it.
    """

    count: int
    largest: float
    bound: float


class EncodingError(SecAggError, ValueError):
    """An update, weight or metric that cannot be encoded exactly as asked.

    Args:
        text: names keys and counts, never a value.
        beyond: what is too large, by key of the tree, or "weight".
        cure: settings under which it would encode, as a line of Python.
        key: what it is about, if not the worst of `beyond`.
        count: of values, likewise.

    Attributes:
        gateway: id of the gateway, once a session has told it.
        key: of the tree, "weight", or "metric NAME"; None where no key is to blame.
        count: values at that key that do not fit; 0 where it is not about values.
        largest: the largest absolute one of them; None where it is not beyond a bound.
    """

    def __init__(
        self,
        text: str,
        *,
        beyond: Mapping[str, Beyond] = MappingProxyType({}),
        cure: str = "",
        key: str | None = None,
        count: int = 0,
    ) -> None:
        super().__init__(text)
        order = sorted(beyond.items(), key=lambda item: -item[1].largest / item[1].bound)
        self.beyond = dict(order)
        self.cure = cure
        self.gateway: str | int | None = None
        self.key = next(iter(self.beyond), None) if key is None else key
        worst = self.beyond.get(str(self.key))
        self.count = worst.count if worst and not count else count
        self.largest = worst.largest if worst else None

    def _text(self) -> str:
        text = super()._text()
        return text if self.gateway is None else f"gateway {self.gateway!r}: {text}"

    def table(self) -> str:
        """The text, the largest values by key, and a ready cure: for the gateway's own screen."""
        rows = [
            f"{key!r}: {each.count} beyond {each.bound:.6g}, the largest {each.largest:.6g}"
            for key, each in [*self.beyond.items()][:_TABLED]
        ]
        more = [f"{len(self.beyond) - _TABLED} more"] if len(self.beyond) > _TABLED else []
        return "\n".join([str(self), *map(printable, rows + more + [self.cure])]).rstrip()


class LocalProtocolError(SecAggError):
    """The caller of this library broke its contract: wrong order, unknown id, reused object."""


class WireError(SecAggError):
    """Bytes that are not a frame of this protocol: truncated, oversize or non-canonical."""


class KeyAgreementError(SecAggError):
    """A public key that is not canonical, is of low order, or occurs twice."""


class SealError(SecAggError):
    """A ciphertext that does not open under its key and its context."""


class SharingError(SecAggError):
    """Shares that are malformed, too few, or do not lie on a polynomial of a valid secret."""


class RemoteProtocolError(SecAggError):
    """A peer's message that breaks the protocol; one subclass per check."""


class UnexpectedMessage(RemoteProtocolError):
    """A message that the receiving party does not wait for now."""


class ForeignSession(RemoteProtocolError):
    """A message of another session, roster, set of parameters or transcript."""


class BadSignature(RemoteProtocolError):
    """A signature that does not verify under the pinned identity."""


class UnsupportedParameters(RemoteProtocolError):
    """A version, suite, scheme or layout that is not in this party's own tables."""


class ThresholdMismatch(RemoteProtocolError):
    """Announced thresholds that differ from those this party computes itself."""


class PolicyViolation(RemoteProtocolError):
    """Parameters that this party's own policy refuses.

    Args:
        name: of the parameter, as much as the peer is told: not what this party would accept.
        announced: what the peer announced.
        accepted, cure: what this party accepts, and how to get there; in no text but the table.
    """

    def __init__(
        self, name: str, announced: object = None, accepted: object = None, cure: str = ""
    ) -> None:
        super().__init__(name)
        self.name, self.announced, self.accepted, self.cure = name, announced, accepted, cure

    def _text(self) -> str:
        return f"the policy of this gateway refuses {self.name}"

    def table(self) -> str:
        """The text, both numbers and the cure: for the gateway's own screen."""
        both = f"announced {self.announced}, accepted {self.accepted}"
        cure = self.cure or "announce what is accepted, or change the policy of this gateway"
        rows = [] if self.announced is None else [printable(both), cure]
        return "\n".join([str(self), *rows])


class StaleRound(RemoteProtocolError):
    """A round at or below one this party has already uploaded in."""


class NotInCohort(RemoteProtocolError):
    """A session whose cohort does not contain this party."""


class ModelMismatch(RemoteProtocolError):
    """A model hash that is not that of the model trained on here, or was used before."""


class OwnMessageAltered(RemoteProtocolError):
    """This party's own message came back changed or not at all."""


class NotASubset(RemoteProtocolError):
    """A set of participants that is no subset of the set before it, or is malformed."""


class SelfMissing(RemoteProtocolError):
    """A set of participants that leaves this party out, yet asks it for an answer."""


class BelowFloor(RemoteProtocolError):
    """A set of participants smaller than the thresholds of the session allow."""


class TooManyDropped(RemoteProtocolError):
    """More participants left out than the sharing graph tolerates."""


class BadPublicKey(RemoteProtocolError):
    """An advertised key that is not canonical, is of low order, or repeats another."""


class TooFewPrekeys(RemoteProtocolError):
    """Fewer members of the committee have a key for this round than are needed to open a sum."""


class HeaderMismatch(RemoteProtocolError):
    """A neighbour that uploaded under another transcript than this party's."""


class NoQuorum(RemoteProtocolError):
    """Fewer valid signatures of distinct included participants than the quorum."""


class SecondQuestion(RemoteProtocolError):
    """A second, different request for an answer that is given only once."""


class StateLost(RemoteProtocolError):
    """A request that continues a session whose secrets this party no longer holds."""


class AuditFailure(RemoteProtocolError):
    """An audit record that does not verify; the message names the part."""


class SessionAborted(SecAggError):
    """The round ended without a result; there is never a partial sum."""


class BelowThreshold(SessionAborted):
    """Too few gateways answered.

    Args:
        answered: how many did.
        needed: how many the thresholds ask for.
        phase: where the round ended.
        asked: how many there are, if everybody is asked.

    Attributes:
        dropped: id -> `GatewayDropped` of everybody whom the session went on without.
    """

    def __init__(self, answered: int, needed: int, phase: str = "", *, asked: int = 0) -> None:
        super().__init__(answered, needed, phase)
        self.answered = answered
        self.needed = needed
        self.phase = phase
        self.asked = asked
        self.dropped: Mapping[str | int, Any] = {}

    def _text(self) -> str:
        who = f"{self.answered} of {self.asked}" if self.asked else f"{self.answered} gateways"
        where = f" in phase {self.phase}" if self.phase else ""
        # who said why stands before who was silent
        lost = sorted(self.dropped.values(), key=lambda each: not each.detail)
        # a gateway's own words must not pass for what another is dropped for
        said = [(each.detail or each.reason.name.lower()).replace(";", ",") for each in lost]
        why = [f"{each.id}: {text}" for each, text in zip(lost[:_NAMED], said, strict=False)]
        more = [f"{len(lost) - _NAMED} more"] if len(lost) > _NAMED else []
        return "; ".join([f"{who} answered{where}, {self.needed} are needed", *why, *more])


class AbortedByPeer(SessionAborted):
    """The other side ended the session; its reason is quoted, not believed."""


class AggregateOutOfRange(SessionAborted):
    """The opened sum fails its range or check words: some upload was garbage."""


class BadDealing(SessionAborted):
    """Dealers gave members shares that do not open or contradict their proof, and too few are left.

    Args:
        dealers: ids that more members complain about than may lie: their fault is proved.
        disputes: (member, dealer) of every complaint; one of the two lies.
    """

    def __init__(
        self, dealers: tuple[str | int, ...], disputes: tuple[tuple[str | int, str | int], ...]
    ) -> None:
        super().__init__(dealers, disputes)
        self.dealers = dealers
        self.disputes = disputes

    def _text(self) -> str:
        proved = ", ".join(map(str, self.dealers)) or "nobody's fault is proved"
        pairs = ", ".join(f"{member} of {dealer}" for member, dealer in self.disputes)
        return f"bad shares ({proved}): complaints by {pairs}"


class StagingFailed(SessionAborted):
    """An upload that was staged outside memory did not come back as it was written."""


class InconsistentAnswers(SessionAborted):
    """Answers that contradict one another.

    Args:
        culprits: ids of the gateways whose fault is proved, possibly empty.
        detail: what does not fit.
    """

    def __init__(self, detail: str, culprits: tuple[str | int, ...] = ()) -> None:
        super().__init__(detail, culprits)
        self.detail = detail
        self.culprits = culprits

    def _text(self) -> str:
        named = ", ".join(map(str, self.culprits)) or "nobody can be named"
        return f"{self.detail} ({named})"
