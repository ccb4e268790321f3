"""The audit record of a round: what was announced, who took part, who certified it.

It holds no key, share, mask or vector. With the roster alone anybody can verify that the parameters
were the orchestrator's, that the sets shrink, that every included gateway masked under them, and
that a quorum signed. It does not prove that the published mean is the sum (SECURITY.md).
"""

from __future__ import annotations

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


def verify_record(
    record: AuditRecord, roster: Roster, verify: Verify = verify_signature
) -> frozenset[int]:
    """Verify a record offline.

    Returns:
        Cohort positions of the gateways in the sum.

    Raises:
        AuditFailure: naming the part that does not verify.
    """
    cohort = _verify_parameters(record, roster, verify)
    session, limits = record.announce.params, record.announce.params.thresholds
    present = _positions(cohort, record.keys, "keys")
    dealers = _positions(cohort, record.dealers, "dealers")
    included = _positions(cohort, record.included, "included")
    if not included <= dealers <= present or len(record.key_hashes) != len(present):
        raise AuditFailure("the sets of participants do not shrink")
    if len(included) < limits.min_included or len(cohort) - len(included) > limits.max_dropouts:
        raise AuditFailure("fewer included gateways than the thresholds allow")
    hashes = dict(zip(sorted(present), record.key_hashes, strict=True))
    h0 = keys_hash(session_hash(session), len(cohort), hashes)
    h2 = shares_hash(h0, round_hash(record.round.params), len(cohort), dealers)
    _verify_headers(record, cohort, included, (h0, h2), verify)
    h3 = included_hash(h0, h2, len(cohort), included)
    try:
        verify_certificate(
            record.certificate,
            cohort=cohort,
            session=session.session,
            h3=h3,
            included=included,
            quorum=limits.quorum,
            verify=verify,
        )
    except (RemoteProtocolError, WireError) as error:
        raise AuditFailure(f"certificate: {error}") from None
    return included


def _verify_parameters(record: AuditRecord, roster: Roster, verify: Verify) -> Cohort:
    announce, signed = record.announce, record.round
    try:
        encoded = encoding.encode(announce.params)
        verify(roster.orchestrator, Label.SIGN_SESSION, encoded, announce.signature)
        encoded = encoding.encode(signed.params)
        verify(roster.orchestrator, Label.SIGN_ROUND, encoded, signed.signature)
        thresholds.verify(announce.params.thresholds)
        cohort = Cohort(roster, announce.params.cohort)
        check_vectors(signed.params, announce.params.thresholds.gateways)
    except (RemoteProtocolError, WireError) as error:
        raise AuditFailure(f"parameters: {error}") from None
    if announce.params.roster != roster.hash():
        raise AuditFailure("the record is of another roster")
    if announce.params.thresholds.gateways != len(cohort):
        raise AuditFailure("thresholds and cohort differ in size")
    if signed.params.session_params != session_hash(announce.params):
        raise AuditFailure("session and round parameters do not belong together")
    return cohort


def _positions(cohort: Cohort, bitmap: bytes, name: str) -> frozenset[int]:
    try:
        return cohort.set_of(bitmap)
    except WireError as error:
        raise AuditFailure(f"{name}: {error}") from None


def _verify_headers(
    record: AuditRecord,
    cohort: Cohort,
    included: frozenset[int],
    transcript: tuple[bytes, bytes],
    verify: Verify,
) -> None:
    if len(record.headers) != len(included):
        raise AuditFailure("not one upload header for each included gateway")
    for position, signed in zip(sorted(included), record.headers, strict=True):
        name = cohort.ids[position]
        try:
            header = signed.open(UploadHeader, cohort.key(position), Label.SIGN_HEADER, verify)
        except (RemoteProtocolError, WireError) as error:
            raise AuditFailure(f"upload header of {name!r}: {error}") from None
        if (header.position, header.h0, header.h2) != (position, *transcript):
            raise AuditFailure(f"upload header of {name!r} is of another transcript")
