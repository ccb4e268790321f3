"""Attacks on who agreed, and about what gateways have dealt, masked and sealed."""

from __future__ import annotations

from typing import Any, Final

from protocol_sim.attacks.attack import Attack, Stage, before, instead
from protocol_sim.attacks.attacker import Attacker, CannotAttack, Hook, replace
from protocol_sim.attacks.requests import NO_SEAL, NO_SHARE, bits, items, swapped
from secagg.canonical import decode
from secagg.crypto.labels import Label
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
        raise CannotAttack("no certificate in this request")
    return certificate


def _certified(message: Any, **changes: Any) -> Struct:
    request: Struct = replace(message, certificate=replace(_certificate(message), **changes))
    return request


def _below_quorum(attacker: Attacker, message: Any) -> Struct:
    """One good signature less."""
    certificate = _certificate(message)
    signers = _signers(attacker, certificate)[:-1]
    return _certified(
        message, signers=bits(attacker, signers), signatures=certificate.signatures[:-1]
    )


def _signers(attacker: Attacker, certificate: Certificate) -> list[int]:
    return [
        place for place in attacker.everybody if certificate.signers[place // 8] >> place % 8 & 1
    ]


def _twice(_: Attacker, message: Any) -> Struct:
    """A quorum of signatures, one of them two times."""
    first, *others = _certificate(message).signatures
    return _certified(message, signatures=(first, first, *others))


def _forged(_: Attacker, message: Any) -> Struct:
    first, *others = _certificate(message).signatures
    return _certified(message, signatures=(first[:-1] + bytes([first[-1] ^ 1]), *others))


def _of_another_set(attacker: Attacker, message: Any) -> Struct:
    """The colluding gateway signs another h3 among the honest signatures."""
    certificate = _certificate(message)
    signers = _signers(attacker, certificate)
    session = attacker.play.server.session
    key = attacker.play.parties.identities[attacker.colluder].key
    places = sorted({*signers[:-1], attacker.place(attacker.colluder)})
    mine = sign_consistency(key, session, bytes(32)).signature
    return _certified(
        message, signers=bits(attacker, places), signatures=(*certificate.signatures[:-1], mine)
    )


def _outsider(attacker: Attacker, message: Any) -> Struct:
    """Somebody signs who is not in the set."""
    certificate = _certificate(message)
    signers = _signers(attacker, certificate)
    outside = attacker.place(attacker.spare)
    if outside in signers:
        raise CannotAttack("everybody is in the set")
    others = [place for place in signers if place != attacker.me][: len(signers) - 1]
    return _certified(
        message,
        signers=bits(attacker, {outside, *others}),
        signatures=(bytes(64), *certificate.signatures[1:]),
    )


def _none(_: Attacker, message: Any) -> Struct:
    if not isinstance(message, AnswerRequest) or message.certificate is None:
        raise CannotAttack("no certificate that could be missing")
    return replace(message, certificate=None)


def _asked_outside(attacker: Attacker) -> Hook:
    """A gateway that is no member of the committee is asked for shares."""
    asked: set[str] = set()

    def hook(frame: Frame) -> list[bytes]:
        if not frame.up and frame.step == attacker.phase and not asked:
            asked.add(frame.gateway)
            request = attacker.open(frame.data)
            if isinstance(request, AnswerRequest):
                attacker.ask(request)
        return [frame.data]

    return hook


# -- what gateways have sent -----------------------------------------------------------------------


def _sealed(message: Any) -> tuple[str, Struct]:
    if isinstance(message, MaskedInputRequest):
        return "shares", NO_SEAL
    if isinstance(message, AnswerRequest):
        return "shares", NO_SHARE
    raise CannotAttack("no shares in this request")


def _garbage(attacker: Attacker, message: Any) -> Struct:
    """No share opens."""
    name, nothing = _sealed(message)
    return swapped(attacker, message, name, dict.fromkeys(items(attacker, message, name), nothing))


def _one_garbage(attacker: Attacker, message: Any) -> Struct:
    """One dealer's does not."""
    name, nothing = _sealed(message)
    return swapped(attacker, message, name, {attacker.place(attacker.spare): nothing})


def _header(attacker: Attacker, message: Any, **changes: Any) -> Struct:
    """The colluding gateway's header is another."""
    if not isinstance(message, ConsistencyRequest):
        raise CannotAttack("no headers in this request")
    place = attacker.place(attacker.colluder)
    if place not in items(attacker, message, "headers"):
        raise CannotAttack("the colluding gateway is no neighbour")
    honest = decode(UploadHeader, items(attacker, message, "headers")[place].body)
    signed = attacker.by_colluder(Label.SIGN_HEADER, replace(honest, **changes))
    return swapped(attacker, message, "headers", {place: signed})


def _foreign_header(attacker: Attacker, message: Any) -> Struct:
    """An honest gateway's header, signed by the colluding one."""
    if not isinstance(message, ConsistencyRequest):
        raise CannotAttack("no headers in this request")
    place = attacker.place(attacker.spare)
    honest = decode(UploadHeader, items(attacker, message, "headers")[place].body)
    signed = attacker.by_colluder(Label.SIGN_HEADER, honest)
    return swapped(attacker, message, "headers", {place: signed})


def _crossed(attacker: Attacker, _message: Any) -> Struct:
    """What another gateway was asked, word for word."""
    if (attacker.spare, attacker.phase) not in attacker.asked:
        raise CannotAttack("the other has not been asked yet")
    return attacker.asked[attacker.spare, attacker.phase]


CERTIFICATES: Final = (
    Attack(
        "below the quorum",
        "The certificate lacks one signature.",
        before(_below_quorum),
        large=ADDITIVE,
    ),
    Attack(
        "signature twice",
        "The certificate counts one signature two times.",
        before(_twice),
        large=ADDITIVE,
    ),
    Attack(
        "forged signature",
        "A signature of the certificate does not verify.",
        before(_forged),
        large=ADDITIVE,
    ),
    Attack(
        "another set's signature",
        "The certificate holds the colluding gateway's signature on another set.",
        before(_of_another_set),
        large=ADDITIVE,
    ),
    Attack(
        "signer from outside",
        "A gateway that is not in U3 is among the signers.",
        before(_outsider),
        stage=Stage(absent=True),
        large=ADDITIVE,
    ),
    Attack("no certificate", "Nobody has certified the set.", before(_none), large=ADDITIVE),
    Attack(
        "asked outside",
        "A gateway outside the committee is asked for shares.",
        _asked_outside,
        stage=Stage(victim=-1),
        large=ADDITIVE,
    ),
    Attack("garbage shares", "No share that reaches the victim opens.", instead(_garbage)),
    Attack(
        "one garbage share",
        "The share of one honest dealer does not open at the victim.",
        instead(_one_garbage),
    ),
    Attack(
        "crossed request",
        "The victim gets the request that was made for another gateway.",
        instead(_crossed),
    ),
    Attack(
        "header of another h0",
        "The colluding gateway signs a header of another h0.",
        before(lambda attacker, message: _header(attacker, message, h0=bytes(32))),
    ),
    Attack(
        "header of another h2",
        "The colluding gateway signs a header of another h2.",
        before(lambda attacker, message: _header(attacker, message, h2=bytes(32))),
    ),
    Attack(
        "header of another position",
        "The colluding gateway signs a header of another position.",
        before(lambda attacker, message: _header(attacker, message, position=attacker.me)),
    ),
    Attack(
        "foreign header",
        "An honest gateway's header is signed by the colluding one.",
        before(_foreign_header),
    ),
)
