"""Attacks on rounds: an earlier one again, the same one once more, two of one number at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from protocol_sim.attacks.attack import Attack, Stage, before
from protocol_sim.attacks.attacker import Attacker, CannotAttack, Hook, replace
from protocol_sim.attacks.ledger import AnswerLedger
from protocol_sim.attacks.requests import items, swapped
from protocol_sim.attacks.traffic import farewell
from secagg.params import Struct
from secagg.protocol.messages import Announce
from secagg.schemes.additive.messages import AnswerRequest, UploadRequest
from secagg.schemes.masks.messages import (
    ConsistencyRequest,
    MaskedInputRequest,
    ShareKeysRequest,
    UnmaskingRequest,
)
from secagg.session.loopback import Frame

# -- an earlier round ------------------------------------------------------------------------------


def _old_frame(attacker: Attacker, _message: Any) -> bytes:
    return attacker.from_past(attacker.phase)


def _old_content(attacker: Attacker, message: Any) -> Struct:
    """What was signed or sealed then, in a request of now."""
    old = attacker.old(attacker.phase)
    match message:
        case Announce():
            return attacker.announce(old.claimed)
        case MaskedInputRequest() | UploadRequest():
            return replace(message, round=old.round)
        case ShareKeysRequest():
            return _old_item(attacker, message, old, "adverts", attacker.me)
        case ConsistencyRequest():
            return _old_item(attacker, message, old, "headers", attacker.place(attacker.spare))
        case UnmaskingRequest():
            return UnmaskingRequest(certificate=old.certificate)
        case AnswerRequest():
            return swapped(attacker, message, "shares", items(attacker, old, "shares"))
        case _:
            raise CannotAttack("nothing in it is of one round only")


def _old_item(attacker: Attacker, message: Any, old: Any, name: str, place: int) -> Struct:
    known = items(attacker, old, name)
    if place not in known:
        raise CannotAttack(f"{name} of the earlier round has nothing of position {place}")
    return swapped(attacker, message, name, {place: known[place]})


# -- more sessions ---------------------------------------------------------------------------------


def _once_more(attacker: Attacker) -> Hook:
    """The session is called off; then another one of the same round, without one gateway."""
    over = False

    def again() -> None:
        others = [name for name in attacker.play.cohort if name != attacker.spare]
        attacker.sessions.append(_session(attacker, "once more", others))

    def hook(frame: Frame) -> list[bytes]:
        nonlocal over
        if frame.up:
            return [frame.data]
        over = over or frame.step == attacker.phase
        return [attacker.frame(farewell(attacker, None))] if over else [frame.data]

    attacker.then = again
    return hook


def _parallel(attacker: Attacker) -> Hook:
    """In the middle of one session, another one of the same round, from beginning to end."""

    def hook(frame: Frame) -> list[bytes]:
        if not frame.up and frame.step == attacker.phase and not attacker.sessions:
            attacker.sessions.append(_session(attacker, "parallel", attacker.play.cohort))
        return [frame.data]

    return hook


def _session(attacker: Attacker, name: str, cohort: Iterable[str]) -> AnswerLedger:
    play = attacker.play
    settings = play.parties.settings(play.number, cohort, limits=None)
    other = AnswerLedger(play.parties, play.number, name=name, cohort=cohort, settings=settings)
    for each in (play, other):  # a gateway takes part in one of them
        each.absent |= dict.fromkeys(each.cohort, "another session of the same round")
    return other.play()


ROUNDS: Final = (
    Attack(
        "old round",
        "The victim is asked what it was asked in an earlier round.",
        before(_old_frame),
        stage=Stage(past=True),
    ),
    Attack(
        "old content",
        "What was signed or sealed in an earlier round comes in a request of this one.",
        before(_old_content),
        stage=Stage(past=True),
    ),
    Attack(
        "once more",
        "The session is said to have failed in this phase, and the round is played once"
        " more without one gateway.",
        _once_more,
        sessions=True,
    ),
    Attack(
        "parallel",
        "In the middle of this phase, another session of the same round is played.",
        _parallel,
        sessions=True,
    ),
)
