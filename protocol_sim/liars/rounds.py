"""Lies about rounds: an earlier one again, the same one once more, two of one number at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from protocol_sim.liars.behaviour import Behaviour, Stage, before
from protocol_sim.liars.liar import CannotLie, Liar, Lie, replace
from protocol_sim.liars.requests import items, swapped
from protocol_sim.liars.told import Told
from protocol_sim.liars.traffic import farewell
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


def _old_frame(liar: Liar, _message: Any) -> bytes:
    return liar.from_past(liar.phase)


def _old_content(liar: Liar, message: Any) -> Struct:
    """What was signed or sealed then, in a request of now."""
    old = liar.old(liar.phase)
    match message:
        case Announce():
            return liar.announce(old.params)
        case MaskedInputRequest() | UploadRequest():
            return replace(message, round=old.round)
        case ShareKeysRequest():
            return _old_item(liar, message, old, "adverts", liar.me)
        case ConsistencyRequest():
            return _old_item(liar, message, old, "headers", liar.place(liar.spare))
        case UnmaskingRequest():
            return UnmaskingRequest(certificate=old.certificate)
        case AnswerRequest():
            return swapped(liar, message, "shares", items(liar, old, "shares"))
        case _:
            raise CannotLie("nothing in it is of one round only")


def _old_item(liar: Liar, message: Any, old: Any, name: str, place: int) -> Struct:
    known = items(liar, old, name)
    if place not in known:
        raise CannotLie(f"{name} of the earlier round has nothing of position {place}")
    return swapped(liar, message, name, {place: known[place]})


# -- more sessions ---------------------------------------------------------------------------------


def _once_more(liar: Liar) -> Lie:
    """The session is called off; then another one of the same round, without one gateway."""
    over = False

    def again() -> None:
        others = [name for name in liar.play.cohort if name != liar.spare]
        liar.sessions.append(_session(liar, "once more", others))

    def lie(frame: Frame) -> list[bytes]:
        nonlocal over
        if frame.up:
            return [frame.data]
        over = over or frame.step == liar.phase
        return [liar.frame(farewell(liar, None))] if over else [frame.data]

    liar.then = again
    return lie


def _parallel(liar: Liar) -> Lie:
    """In the middle of one session, another one of the same round, from beginning to end."""

    def lie(frame: Frame) -> list[bytes]:
        if not frame.up and frame.step == liar.phase and not liar.sessions:
            liar.sessions.append(_session(liar, "parallel", liar.play.cohort))
        return [frame.data]

    return lie


def _session(liar: Liar, name: str, cohort: Iterable[str]) -> Told:
    play = liar.play
    settings = play.parties.settings(play.number, cohort, limits=None)
    other = Told(play.parties, play.number, name=name, cohort=cohort, settings=settings)
    for each in (play, other):  # a gateway takes part in one of them
        each.absent |= dict.fromkeys(each.cohort, "another session of the same round")
    return other.play()


ROUNDS: Final = (
    Behaviour(
        "old round",
        "The victim is asked what it was asked in an earlier round.",
        before(_old_frame),
        stage=Stage(past=True),
    ),
    Behaviour(
        "old content",
        "What was signed or sealed in an earlier round comes in a request of this one.",
        before(_old_content),
        stage=Stage(past=True),
    ),
    Behaviour(
        "once more",
        "The session is said to have failed in this phase, and the round is played once"
        " more without one gateway.",
        _once_more,
        sessions=True,
    ),
    Behaviour(
        "parallel",
        "In the middle of this phase, another session of the same round is played.",
        _parallel,
        sessions=True,
    ),
)
