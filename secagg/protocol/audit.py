"""The audit record of a round: what was announced, who took part, who certified it.

It holds no key, share, mask or vector. With the roster alone anybody can verify that the parameters
were the orchestrator's, that the sets shrink, that every included gateway masked under them, and
that a quorum signed. It does not prove that the published mean is the sum (SECURITY.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from secagg import encoding, thresholds
from secagg.crypto.labels import Label
from secagg.crypto.signing import verify as verify_signature
from secagg.errors import AuditFailure, RemoteProtocolError, WireError
from secagg.params import Struct
from secagg.protocol.certificate import Certificate, verify_certificate
from secagg.protocol.identity import Cohort, Roster
from secagg.protocol.messages import Announce, Signed, SignedRound, UploadHeader, Verify
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
        dropped: who is missing, and why. The server's word.
    """

    announce: Announce
    round: SignedRound
    keys: bytes
    key_hashes: tuple[bytes, ...]
    dealers: bytes
    included: bytes
    headers: tuple[Signed, ...]
    certificate: Certificate
    dropped: tuple[DropRecord, ...]


@dataclass(frozen=True, slots=True)
class Inspection:
    """What of a record verifies.

    Attributes:
        cohort: of the session; None if the record's cannot be read.
        present: positions in U1.
        dealers: positions in U2.
        included: positions in U3.
        faults: what does not verify, each in a sentence; empty for a good record.
    """

    cohort: Cohort | None
    present: frozenset[int]
    dealers: frozenset[int]
    included: frozenset[int]
    faults: tuple[str, ...]


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


def inspect_record(
    record: AuditRecord, roster: Roster, verify: Verify = verify_signature
) -> Inspection:
    """Check every part of a record that can be checked by itself, and list what does not verify."""
    check = _Checks(verify)
    cohort = _check_parameters(check, record, roster)
    if cohort is None:
        return Inspection(None, _NOBODY, _NOBODY, _NOBODY, tuple(check.faults))
    bitmaps = (("keys", record.keys), ("dealers", record.dealers), ("included", record.included))
    present, dealers, included = (check.positions(cohort, bits, name) for name, bits in bitmaps)
    limits = record.announce.params.thresholds
    if not included <= dealers <= present or len(record.key_hashes) != len(present):
        check.fault("the sets of participants do not shrink")
    elif len(included) < limits.min_included or len(cohort) - len(included) > limits.max_dropouts:
        check.fault("fewer included gateways than the thresholds allow")
    else:
        _check_signatures(check, record, cohort, (present, dealers, included))
    return Inspection(cohort, present, dealers, included, tuple(check.faults))


_NOBODY: Final[frozenset[int]] = frozenset()


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
        except (RemoteProtocolError, WireError) as error:
            self.fault(f"{part}: {error}")
            return None

    def positions(self, cohort: Cohort, bitmap: bytes, name: str) -> frozenset[int]:
        return self.attempt(name, lambda: cohort.set_of(bitmap)) or _NOBODY

    def signed(
        self, part: str, key: bytes, label: Label, message: Struct, signature: bytes
    ) -> None:
        self.attempt(part, lambda: self.verify(key, label, encoding.encode(message), signature))


def _check_parameters(check: _Checks, record: AuditRecord, roster: Roster) -> Cohort | None:
    announce, signed, key = record.announce, record.round, roster.orchestrator
    session, limits = announce.params, announce.params.thresholds
    check.signed("session parameters", key, Label.SIGN_SESSION, announce.params, announce.signature)
    check.signed("round parameters", key, Label.SIGN_ROUND, signed.params, signed.signature)
    check.attempt("session parameters", lambda: thresholds.verify(limits))
    if session.roster != roster.hash():
        check.fault("the record is of another roster")
    cohort = check.attempt("session parameters", lambda: Cohort(roster, session.cohort))
    fits = cohort is None or limits.gateways == len(cohort)
    if not fits:
        check.fault("thresholds and cohort differ in size")
    check.attempt("round parameters", lambda: check_vectors(signed.params, limits.gateways))
    if signed.params.session_params != session_hash(session):
        check.fault("session and round parameters do not belong together")
    return cohort if fits else None


def _check_signatures(
    check: _Checks,
    record: AuditRecord,
    cohort: Cohort,
    sets: tuple[frozenset[int], frozenset[int], frozenset[int]],
) -> None:
    """Every included gateway's header and the certificate, all on the transcript of the record."""
    present, dealers, included = sets
    session = record.announce.params
    hashes = dict(zip(sorted(present), record.key_hashes, strict=True))
    h0 = keys_hash(session_hash(session), len(cohort), hashes)
    h2 = shares_hash(h0, round_hash(record.round.params), len(cohort), dealers)
    if len(record.headers) != len(included):
        check.fault("not one upload header for each included gateway")
    else:
        for position, signed in zip(sorted(included), record.headers, strict=True):
            _check_header(check, cohort, position, signed, (h0, h2))
    check.attempt(
        "certificate",
        lambda: verify_certificate(
            record.certificate,
            cohort=cohort,
            session=session.session,
            h3=included_hash(h0, h2, len(cohort), included),
            included=included,
            quorum=session.thresholds.quorum,
            verify=check.verify,
        ),
    )


def _check_header(
    check: _Checks, cohort: Cohort, position: int, signed: Signed, transcript: tuple[bytes, bytes]
) -> None:
    part, key = f"upload header of {cohort.ids[position]!r}", cohort.key(position)
    header = check.attempt(
        part, lambda: signed.open(UploadHeader, key, Label.SIGN_HEADER, check.verify)
    )
    if header and (header.position, header.h0, header.h2) != (position, *transcript):
        check.fault(f"{part} is of another transcript")
