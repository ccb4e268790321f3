"""A certificate is q signatures of distinct included gateways on one h3, or it is refused."""

from __future__ import annotations

from typing import Any

import pytest

from protocol_sim.parties import Parties
from secagg import canonical
from secagg.crypto.labels import Label
from secagg.crypto.signing import verify
from secagg.errors import BadSignature, NoQuorum, SecAggError, WireError
from secagg.protocol.certificate import (
    Certificate,
    Consistency,
    make_certificate,
    sign_consistency,
    verify_certificate,
)
from secagg.protocol.identity import Cohort

PARTIES = Parties(7)
KEYS = [PARTIES.identities[name].key for name in PARTIES.ids]
COHORT = Cohort.of(PARTIES.roster, PARTIES.ids)
SESSION, H3 = b"s" * 16, b"3" * 32
INCLUDED = frozenset(range(6))
QUORUM = 5
HONEST = {i: sign_consistency(KEYS[i], SESSION, H3).signature for i in range(7)}


def made(*signers: int, **changes: bytes) -> Certificate:
    """Good signatures of these gateways; `changes` maps "g3" to another signature of it."""
    signatures = {i: changes.get(f"g{i}", HONEST[i]) for i in signers}
    return make_certificate(COHORT, signatures, len(signatures))


def check(certificate: Certificate, **changes: Any) -> None:
    options = {
        "cohort": COHORT,
        "session": SESSION,
        "h3": H3,
        "included": INCLUDED,
        "quorum": QUORUM,
        "verify": verify,
    } | changes
    verify_certificate(certificate, **options)


@pytest.mark.parametrize("signers", [range(5), range(1, 6), range(6)])
def test_a_quorum_or_more_is_enough(signers):
    check(made(*signers))


def test_what_is_signed_names_session_and_h3_under_its_own_label():
    body = canonical.encode(Consistency(session=SESSION, h3=H3))

    verify(KEYS[0].public, Label.SIGN_CONSISTENCY, body, HONEST[0])


def signed(i: int, *, session: bytes = SESSION, h3: bytes = H3) -> bytes:
    return sign_consistency(KEYS[i], session, h3).signature


HONEST_BODY = canonical.encode(Consistency(session=SESSION, h3=H3))
REFUSED: dict[str, tuple[Certificate, type[SecAggError]]] = {
    "one fewer than the quorum": (made(0, 1, 2, 3), NoQuorum),
    "nobody": (made(), NoQuorum),
    "a signer who is not included": (made(0, 1, 2, 3, 6), NoQuorum),
    "an outsider on top of a quorum": (made(*range(7)), NoQuorum),
    "a signature too many": (
        Certificate(signers=made(*range(5)).signers, signatures=tuple(HONEST.values())[:6]),
        NoQuorum,
    ),
    "a signature too few": (
        Certificate(signers=made(*range(5)).signers, signatures=made(*range(4)).signatures),
        NoQuorum,
    ),
    "one signature for all": (
        Certificate(signers=made(*range(5)).signers, signatures=(HONEST[0],) * 5),
        BadSignature,
    ),
    "signatures out of order": (
        Certificate(signers=made(*range(5)).signers, signatures=made(*range(5)).signatures[::-1]),
        BadSignature,
    ),
    "one on another h3": (made(*range(5), g2=signed(2, h3=b"4" * 32)), BadSignature),
    "one of another session": (made(*range(5), g2=signed(2, session=b"t" * 16)), BadSignature),
    "one of another gateway": (made(*range(5), g2=signed(6)), BadSignature),
    "one under another label": (
        made(*range(5), g2=KEYS[2].sign(Label.SIGN_HEADER, HONEST_BODY)),
        BadSignature,
    ),
    "the last one forged": (made(*range(6), g5=bytes(64)), BadSignature),
    "one of no size": (made(*range(5), g2=b""), BadSignature),
    "padding": (Certificate(signers=b"\xff", signatures=tuple(HONEST.values())), WireError),
    "another size of cohort": (
        Certificate(signers=b"\x1f\0", signatures=made(*range(5)).signatures),
        WireError,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_anything_else_is_refused(name):
    certificate, error = REFUSED[name]

    with pytest.raises(error):
        check(certificate)


def test_my_own_h3_counts_not_the_signers():
    with pytest.raises(BadSignature):
        check(made(*range(6)), h3=b"4" * 32)
