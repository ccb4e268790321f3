"""Makes and verifies audit records: what was announced, who took part, who certified it.

It holds no key, share, mask or vector. With the roster alone anybody can verify that the parameters
were the orchestrator's, that the sets shrink, that every included gateway masked under them, and
that a quorum signed. It does not prove that the published mean is the sum (SECURITY.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Final, NamedTuple, TypeVar

from secagg import canonical, thresholds
from secagg.arguments import checked
from secagg.crypto.agreement import check_public_key
from secagg.crypto.labels import Label
from secagg.crypto.signing import verify as verify_signature
from secagg.errors import (
    AuditFailure,
    ConfigurationError,
    KeyAgreementError,
    RemoteProtocolError,
    WireError,
)
from secagg.params import SUITES, VERSION, RoundParams, SessionParams, Struct
from secagg.protocol.certificate import Certificate, verify_certificate
from secagg.protocol.events import GatewayDropped
from secagg.protocol.identity import Cohort, Roster
from secagg.protocol.messages import DropReason, Signed, UploadHeader, Verify
from secagg.protocol.transcript import (
    included_hash,
    keys_hash,
    round_hash,
    session_hash,
    shares_hash,
)
from secagg.protocol.vectors import check_vectors

T = TypeVar("T")


class DropRecord(Struct, frozen=True):
    """One gateway the server went on without."""

    position: int
    phase: str
    reason: str


class SessionEntry(Struct, frozen=True):
    """K to be read, and the orchestrator's signature on its canonical bytes."""

    params: SessionParams
    signature: bytes


class RoundEntry(Struct, frozen=True):
    """P to be read, and the orchestrator's signature on its canonical bytes."""

    params: RoundParams
    signature: bytes


class AuditRecord(Struct, frozen=True):
    """One round.

    Attributes:
        announce: signed K.
        round: signed P.
        keys: bitmap U1.
        key_hashes: H(R0) by position in U1.
        dealers: bitmap U2.
        included: bitmap U3.
        headers: signed upload headers by position in U3.
        certificate: a quorum's signatures on h3.
        dropped: who stopped answering, when, and why. The server's word.
    """

    announce: SessionEntry
    round: RoundEntry
    keys: bytes
    key_hashes: tuple[bytes, ...]
    dealers: bytes
    included: bytes
    headers: tuple[Signed, ...]
    certificate: Certificate
    dropped: tuple[DropRecord, ...]

    def __repr__(self) -> str:
        return f"AuditRecord(round {self.announce.params.round})"


def drop_records(cohort: Cohort, dropped: Iterable[GatewayDropped]) -> tuple[DropRecord, ...]:
    """What the server did without, in the form of the record."""
    return tuple(
        DropRecord(position=cohort.position(each.id), phase=each.phase, reason=each.reason.name)
        for each in dropped
    )


@dataclass(frozen=True, slots=True)
class Inspection:
    """What of a record verifies.

    Attributes:
        cohort: of the session; None if the record's cannot be read.
        present: positions in U1; empty if the set cannot be read, as below.
        dealers: positions in U2.
        included: positions in U3.
        faults: what does not verify, each in a sentence; empty for a good record.
    """

    cohort: Cohort | None
    present: frozenset[int]
    dealers: frozenset[int]
    included: frozenset[int]
    faults: tuple[str, ...]


@checked()
def verify_record(
    record: AuditRecord, roster: Roster, verify: Verify = verify_signature
) -> frozenset[int]:
    """Verify a record offline.

    Returns:
        Cohort positions of the gateways in the sum.

    Raises:
        AuditFailure: naming the first part that does not verify.
    """
    inspection = inspect_record(record, roster, verify)
    if inspection.faults:
        raise AuditFailure(inspection.faults[0])
    return inspection.included


@checked()
def inspect_record(
    record: AuditRecord, roster: Roster, verify: Verify = verify_signature
) -> Inspection:
    """Check every part of a record that can be checked by itself, and list what does not verify."""
    check = _Checks(verify)
    cohort = _check_parameters(check, record, roster)
    if cohort is None:
        return Inspection(None, _NOBODY, _NOBODY, _NOBODY, tuple(check.faults))
    sets = _check_sets(check, record, cohort)
    transcript = _transcript(check, record, cohort, sets)
    _check_headers(check, record, cohort, sets.included, transcript)
    _check_certificate(check, record, cohort, sets.included, transcript)
    _check_dropped(check, record, cohort)
    present, dealers, included = (each or _NOBODY for each in sets)
    return Inspection(cohort, present, dealers, included, tuple(check.faults))


_NOBODY: Final[frozenset[int]] = frozenset()
_PHASE: Final = re.compile(r"[a-z_]{1,40}")


class _Sets(NamedTuple):
    """U1, U2, U3; None in the place of a set that cannot be read."""

    keys: frozenset[int] | None
    dealers: frozenset[int] | None
    included: frozenset[int] | None


class _Checks:
    """Collects what does not verify."""

    def __init__(self, verify: Verify) -> None:
        self.verify = verify
        self.faults: list[str] = []

    def fault(self, what: str) -> None:
        self.faults.append(what)

    def attempt(self, part: str, work: Callable[[], T]) -> T | None:
        """The result, or None and a fault."""
        try:
            return work()
        except (RemoteProtocolError, WireError, KeyAgreementError, ConfigurationError) as error:
            self.fault(f"{part}: {error}")
            return None

    def signed(
        self, part: str, key: bytes, label: Label, message: Struct, signature: bytes
    ) -> None:
        self.attempt(part, lambda: self.verify(key, label, canonical.encode(message), signature))


def _check_parameters(check: _Checks, record: AuditRecord, roster: Roster) -> Cohort | None:
    announce, signed, key = record.announce, record.round, roster.orchestrator
    session, limits = announce.params, announce.params.thresholds
    check.signed("session parameters", key, Label.SIGN_SESSION, announce.params, announce.signature)
    check.signed("round parameters", key, Label.SIGN_ROUND, signed.params, signed.signature)
    if session.version != VERSION or session.suite not in SUITES:
        check.fault(f"session parameters: version {session.version}, suite {session.suite}")
    check.attempt("session parameters", lambda: check_public_key(session.orchestrator_key))
    check.attempt("session parameters", lambda: thresholds.verify_thresholds(limits))
    if session.roster != roster.hash():
        check.fault("the record is of another roster")
    cohort = check.attempt("session parameters", lambda: Cohort(roster, session.cohort))
    fits = cohort is None or limits.gateways == len(cohort)
    if not fits:
        check.fault("thresholds and cohort differ in size")
    check.attempt("round parameters", lambda: check_vectors(signed.params, limits))
    if signed.params.session_params != session_hash(session):
        check.fault("session and round parameters do not belong together")
    return cohort if fits else None


def _check_sets(check: _Checks, record: AuditRecord, cohort: Cohort) -> _Sets:
    """U1, U2 and U3 can be read, shrink, and are as large as the thresholds ask."""

    def read(name: str) -> frozenset[int] | None:
        return check.attempt(name, lambda: cohort.set_of(getattr(record, name)))

    sets = _Sets(*map(read, _Sets._fields))
    for (outer, before), (inner, after) in pairwise(zip(_Sets._fields, sets, strict=True)):
        if before is not None and after is not None and (new := after - before):
            names = ", ".join(repr(cohort.ids[position]) for position in sorted(new))
            check.fault(f"the sets do not shrink: {names} in {inner}, not in {outer}")
    if sets.included is not None:
        limits, size = record.announce.params.thresholds, len(sets.included)
        if size < limits.min_included:
            check.fault(f"included: {size} gateways, n_min is {limits.min_included}")
        if len(cohort) - size > limits.max_dropouts:
            missing = f"{len(cohort) - size} of {len(cohort)} missing"
            check.fault(f"included: {missing}, D is {limits.max_dropouts}")
    return sets


def _transcript(
    check: _Checks, record: AuditRecord, cohort: Cohort, sets: _Sets
) -> tuple[bytes, bytes] | None:
    """h0 and h2 as the record has them; None if a part of them cannot be read."""
    if sets.keys is None:
        return None
    if len(record.key_hashes) != len(sets.keys):
        check.fault(f"key_hashes: {len(record.key_hashes)} for {len(sets.keys)} gateways in keys")
        return None
    if sets.dealers is None:
        return None
    hashes = dict(zip(sorted(sets.keys), record.key_hashes, strict=True))
    h0 = keys_hash(session_hash(record.announce.params), len(cohort), hashes)
    return h0, shares_hash(h0, round_hash(record.round.params), len(cohort), sets.dealers)


def _check_headers(
    check: _Checks,
    record: AuditRecord,
    cohort: Cohort,
    included: frozenset[int] | None,
    transcript: tuple[bytes, bytes] | None,
) -> None:
    """Every included gateway signed a header; under the transcript of the record, if there is one.

    Without one the signatures are checked all the same, and a fault has been noted before.
    """
    if included is None:
        return
    if len(record.headers) != len(included):
        check.fault(f"headers: {len(record.headers)} for {len(included)} included gateways")
        return
    for position, signed in zip(sorted(included), record.headers, strict=True):
        part, key = f"upload header of {cohort.ids[position]!r}", cohort.key(position)
        opened = partial(signed.open, UploadHeader, key, Label.SIGN_HEADER, check.verify)
        header = check.attempt(part, opened)
        if header is None:
            continue
        seen = (header.h0, header.h2)
        if header.position != position or seen != (transcript or seen):
            check.fault(f"{part} is of another transcript")


def _check_certificate(
    check: _Checks,
    record: AuditRecord,
    cohort: Cohort,
    included: frozenset[int] | None,
    transcript: tuple[bytes, bytes] | None,
) -> None:
    """A quorum signed this very set; what they signed cannot be computed without a transcript."""
    if included is None or transcript is None:
        return
    owners = {cohort.key(position): name for position, name in enumerate(cohort.ids)}

    def noted(key: bytes, label: Label, body: bytes, signature: bytes) -> None:
        """Goes on after a bad signature, so that all of them are named."""
        part = f"certificate, signature of {owners[key]!r}"
        check.attempt(part, lambda: check.verify(key, label, body, signature))

    session = record.announce.params
    check.attempt(
        "certificate",
        lambda: verify_certificate(
            record.certificate,
            cohort=cohort,
            session=session.session,
            h3=included_hash(*transcript, len(cohort), included),
            included=included,
            quorum=session.thresholds.quorum,
            verify=noted,
        ),
    )


def _check_dropped(check: _Checks, record: AuditRecord, cohort: Cohort) -> None:
    """The server's word: its form at least, so that nothing else can be written there."""
    seen: set[int] = set()
    for index, each in enumerate(record.dropped):
        known = each.reason in DropReason.__members__ and _PHASE.fullmatch(each.phase)
        if each.position in seen or not (known and 0 <= each.position < len(cohort)):
            check.fault(f"dropped[{index}]: no gateway, phase and reason, or one named twice")
        seen.add(each.position)
