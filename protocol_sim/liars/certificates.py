"""Lies about who agreed, and about what gateways have dealt, masked and sealed."""

from __future__ import annotations

from typing import Any, Final

from protocol_sim.liars.behaviour import Behaviour, Stage, before, instead
from protocol_sim.liars.liar import CannotLie, Liar, Lie, replace
from protocol_sim.liars.requests import NO_SEAL, NO_SHARE, bits, items, swapped
from secagg.crypto.labels import Label
from secagg.encoding import decode
from secagg.params import Struct
from secagg.protocol.certificate import Certificate, sign_consistency
from secagg.protocol.messages import UploadHeader
from secagg.schemes.additive.messages import AnswerRequest
from secagg.schemes.masks.messages import ConsistencyRequest, MaskedInputRequest
from secagg.session.loopback import Frame

ADDITIVE: Final = frozenset({"additive"})
"""Additive schemes have certificates above 64 gateways only."""


# -- certificates ----------------------------------------------------------------------------------


def _certificate(message: Any) -> Certificate:
    certificate = getattr(message, "certificate", None)
    if not isinstance(certificate, Certificate):
        raise CannotLie("no certificate in this request")
    return certificate


def _certified(message: Any, **changes: Any) -> Struct:
    request: Struct = replace(message, certificate=replace(_certificate(message), **changes))
    return request


def _below_quorum(liar: Liar, message: Any) -> Struct:
    """One good signature less."""
    certificate = _certificate(message)
    signers = _signers(liar, certificate)[:-1]
    return _certified(message, signers=bits(liar, signers), signatures=certificate.signatures[:-1])


def _signers(liar: Liar, certificate: Certificate) -> list[int]:
    return [place for place in liar.everybody if certificate.signers[place // 8] >> place % 8 & 1]


def _twice(_: Liar, message: Any) -> Struct:
    """A quorum of signatures, one of them two times."""
    first, *others = _certificate(message).signatures
    return _certified(message, signatures=(first, first, *others))


def _forged(_: Liar, message: Any) -> Struct:
    first, *others = _certificate(message).signatures
    return _certified(message, signatures=(first[:-1] + bytes([first[-1] ^ 1]), *others))


def _of_another_set(liar: Liar, message: Any) -> Struct:
    """The colluding gateway signs another h3 among the honest signatures."""
    certificate = _certificate(message)
    signers = _signers(liar, certificate)
    session = liar.play.server.session
    key = liar.play.parties.identities[liar.colluder].key
    places = sorted({*signers[:-1], liar.place(liar.colluder)})
    mine = sign_consistency(key, session, bytes(32)).signature
    return _certified(
        message, signers=bits(liar, places), signatures=(*certificate.signatures[:-1], mine)
    )


def _outsider(liar: Liar, message: Any) -> Struct:
    """Somebody signs who is not in the set."""
    certificate = _certificate(message)
    signers = _signers(liar, certificate)
    outside = liar.place(liar.spare)
    if outside in signers:
        raise CannotLie("everybody is in the set")
    others = [place for place in signers if place != liar.me][: len(signers) - 1]
    return _certified(
        message,
        signers=bits(liar, {outside, *others}),
        signatures=(bytes(64), *certificate.signatures[1:]),
    )


def _none(_: Liar, message: Any) -> Struct:
    if not isinstance(message, AnswerRequest) or message.certificate is None:
        raise CannotLie("no certificate that could be missing")
    return replace(message, certificate=None)


def _asked_outside(liar: Liar) -> Lie:
    """A gateway that is no member of the committee is asked for shares."""
    asked: set[str] = set()

    def lie(frame: Frame) -> list[bytes]:
        if not frame.up and frame.step == liar.phase and not asked:
            asked.add(frame.gateway)
            request = liar.open(frame.data)
            if isinstance(request, AnswerRequest):
                liar.ask(request)
        return [frame.data]

    return lie


# -- what gateways have sent -----------------------------------------------------------------------


def _sealed(message: Any) -> tuple[str, Struct]:
    if isinstance(message, MaskedInputRequest):
        return "shares", NO_SEAL
    if isinstance(message, AnswerRequest):
        return "shares", NO_SHARE
    raise CannotLie("no shares in this request")


def _garbage(liar: Liar, message: Any) -> Struct:
    """No share opens."""
    name, nothing = _sealed(message)
    return swapped(liar, message, name, dict.fromkeys(items(liar, message, name), nothing))


def _one_garbage(liar: Liar, message: Any) -> Struct:
    """One dealer's does not."""
    name, nothing = _sealed(message)
    return swapped(liar, message, name, {liar.place(liar.spare): nothing})


def _header(liar: Liar, message: Any, **changes: Any) -> Struct:
    """The colluding gateway's header is another."""
    if not isinstance(message, ConsistencyRequest):
        raise CannotLie("no headers in this request")
    place = liar.place(liar.colluder)
    if place not in items(liar, message, "headers"):
        raise CannotLie("the colluding gateway is no neighbour")
    honest = decode(UploadHeader, items(liar, message, "headers")[place].body)
    signed = liar.by_colluder(Label.SIGN_HEADER, replace(honest, **changes))
    return swapped(liar, message, "headers", {place: signed})


def _foreign_header(liar: Liar, message: Any) -> Struct:
    """An honest gateway's header, signed by the colluding one."""
    if not isinstance(message, ConsistencyRequest):
        raise CannotLie("no headers in this request")
    place = liar.place(liar.spare)
    honest = decode(UploadHeader, items(liar, message, "headers")[place].body)
    signed = liar.by_colluder(Label.SIGN_HEADER, honest)
    return swapped(liar, message, "headers", {place: signed})


def _crossed(liar: Liar, _message: Any) -> Struct:
    """What another gateway was asked, word for word."""
    if (liar.spare, liar.phase) not in liar.asked:
        raise CannotLie("the other has not been asked yet")
    return liar.asked[liar.spare, liar.phase]


CERTIFICATES: Final = (
    Behaviour(
        "below the quorum",
        "The certificate lacks one signature.",
        before(_below_quorum),
        large=ADDITIVE,
    ),
    Behaviour(
        "signature twice",
        "The certificate counts one signature two times.",
        before(_twice),
        large=ADDITIVE,
    ),
    Behaviour(
        "forged signature",
        "A signature of the certificate does not verify.",
        before(_forged),
        large=ADDITIVE,
    ),
    Behaviour(
        "another set's signature",
        "The certificate holds the colluding gateway's signature on another set.",
        before(_of_another_set),
        large=ADDITIVE,
    ),
    Behaviour(
        "signer from outside",
        "A gateway that is not in U3 is among the signers.",
        before(_outsider),
        stage=Stage(absent=True),
        large=ADDITIVE,
    ),
    Behaviour("no certificate", "Nobody has certified the set.", before(_none), large=ADDITIVE),
    Behaviour(
        "asked outside",
        "A gateway outside the committee is asked for shares.",
        _asked_outside,
        stage=Stage(victim=-1),
        large=ADDITIVE,
    ),
    Behaviour("garbage shares", "No share that reaches the victim opens.", instead(_garbage)),
    Behaviour(
        "one garbage share",
        "The share of one honest dealer does not open at the victim.",
        instead(_one_garbage),
    ),
    Behaviour(
        "crossed request",
        "The victim gets the request that was made for another gateway.",
        instead(_crossed),
    ),
    Behaviour(
        "header of another h0",
        "The colluding gateway signs a header of another h0.",
        before(lambda liar, message: _header(liar, message, h0=bytes(32))),
    ),
    Behaviour(
        "header of another h2",
        "The colluding gateway signs a header of another h2.",
        before(lambda liar, message: _header(liar, message, h2=bytes(32))),
    ),
    Behaviour(
        "header of another position",
        "The colluding gateway signs a header of another position.",
        before(lambda liar, message: _header(liar, message, position=liar.me)),
    ),
    Behaviour(
        "foreign header",
        "An honest gateway's header is signed by the colluding one.",
        before(_foreign_header),
    ),
)
