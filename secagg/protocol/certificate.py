"""Makes and verifies certificates: q signatures of included gateways on one transcript hash.

q = floor((n + C) / 2) + 1, and an honest client signs once: two certificates for different sets
would need 2q > n + C signatures, so one session has at most one certified (h0, U2, U3).

Gateways check one before they answer in masks, and in additive schemes above 64 gateways. Below, an
additive round is certified by its answers, for the audit record alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from secagg import canonical
from secagg.crypto.labels import Label
from secagg.crypto.signing import SigningKey
from secagg.errors import NoQuorum
from secagg.params import Struct
from secagg.protocol.identity import Cohort
from secagg.protocol.messages import Signed, Verify


class Consistency(Struct, frozen=True):
    """What an included client signs: the same bytes for every client that saw the same things."""

    session: bytes
    h3: bytes


class Certificate(Struct, frozen=True):
    """Bitmap of the signers and their signatures in order of position."""

    signers: bytes
    signatures: tuple[bytes, ...]


def sign_consistency(key: SigningKey, session: bytes, h3: bytes) -> Signed:
    """One client's share of the certificate."""
    return Signed.make(key, Label.SIGN_CONSISTENCY, Consistency(session=session, h3=h3))


def verify_consistency(
    key: bytes, signature: bytes, *, session: bytes, h3: bytes, verify: Verify
) -> None:
    """Check one client's share of the certificate where it travels without its body.

    Raises:
        BadSignature: it is not this client's, or on something else.
    """
    body = canonical.encode(Consistency(session=session, h3=h3))
    verify(key, Label.SIGN_CONSISTENCY, body, signature)


def make_certificate(cohort: Cohort, signatures: Mapping[int, bytes], quorum: int) -> Certificate:
    """The certificate out of position -> signature: the first `quorum` of them.

    That is what it takes; every further signature would cost every gateway a check.
    """
    signers = sorted(signatures)[:quorum]
    return Certificate(
        signers=cohort.bits(signers), signatures=tuple(signatures[place] for place in signers)
    )


def verify_certificate(
    certificate: Certificate,
    *,
    cohort: Cohort,
    session: bytes,
    h3: bytes,
    included: frozenset[int],
    quorum: int,
    verify: Verify,
) -> None:
    """Check that a quorum of distinct included members signed *this* h3.

    Raises:
        NoQuorum: too few signers, a signer that is not included, or not one signature each.
        BadSignature: one of the signatures does not verify.
        WireError: the bitmap does not fit the cohort.
    """
    signers = cohort.set_of(certificate.signers)
    if not signers <= included:
        raise NoQuorum("a signer is not among the included gateways")
    if len(signers) != len(certificate.signatures):
        raise NoQuorum(f"{len(certificate.signatures)} signatures for {len(signers)} signers")
    if len(signers) < quorum:
        raise NoQuorum(f"{len(signers)} signatures, the quorum is {quorum}")
    body = canonical.encode(Consistency(session=session, h3=h3))
    for position, signature in zip(sorted(signers), certificate.signatures, strict=True):
        verify(cohort.key(position), Label.SIGN_CONSISTENCY, body, signature)
