"""Cheats that know nothing of what an answer means: bytes, signatures, steps, silence."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from protocol_sim.cheats.cheat import (
    ADDITIVE,
    EXACT,
    LARGE,
    MASKS,
    SMALL,
    Cheat,
    Expect,
    Make,
    Say,
    drops,
    on_answer,
    silent_once,
)
from protocol_sim.cheats.cheater import Cheater
from protocol_sim.play import Play
from secagg.canonical import encode
from secagg.crypto.labels import Label
from secagg.crypto.signing import SigningKey
from secagg.protocol.messages import Abort, Answer, Signed, sign_farewell
from secagg.protocol.steps import ABORT
from secagg.schemes.masks.messages import STEPS as MASKS_STEPS
from secagg.session.loopback import Frame, Passes
from secagg.wire import MAX_FRAME


@dataclass(frozen=True, slots=True)
class Place:
    """A step at which every gateway of a session answers.

    Attributes:
        schemes: that have it.
        step: its name.
        after: the next step, "" for none.
        gateways: that it takes.
    """

    schemes: tuple[str, ...]
    step: str
    after: str = ""
    gateways: int = SMALL

    @property
    def uploads(self) -> bool:
        """Its answer is the beginning of an upload: more is waited for."""
        return self.step in {"masked_input", "upload"}


def _chain(schemes: tuple[str, ...], *steps: str) -> Iterator[Place]:
    for step, after in zip(steps, (*steps[1:], ""), strict=True):
        yield Place(schemes, step, after)


PLACES: Final = (
    *_chain(MASKS, *(step.name for step in MASKS_STEPS)),
    *_chain(ADDITIVE, "set_up", "upload", "answer"),
    Place(("lattice",), "consistency", "answer", LARGE),
)
"""`answer_again` needs an accomplice, and has cheats of its own."""


# -- what is no answer -----------------------------------------------------------------------------


def _no_frame(_cheater: Cheater, _data: bytes, _answer: Answer) -> Iterable[bytes]:
    return (b"?",)


def _truncated(_cheater: Cheater, data: bytes, _answer: Answer) -> Iterable[bytes]:
    return (data[:-1],)


def _oversize(_cheater: Cheater, data: bytes, _answer: Answer) -> Iterable[bytes]:
    padded = data + bytes(MAX_FRAME)
    length = struct.pack("<I", len(padded) - 32)  # the length stands at 24 of 32 bytes
    return (padded[:24] + length + padded[28:],)


def _a_request(cheater: Cheater, _data: bytes, _answer: Answer) -> Iterable[bytes]:
    farewell = sign_farewell(cheater.key, cheater.session, "as if I led")
    return (cheater.codec.encode(farewell, cheater.session),)


def _no_body(cheater: Cheater, _data: bytes, answer: Answer) -> Iterable[bytes]:
    return (cheater.sign(answer.step, b"\x90"),)


def _body_and_more(cheater: Cheater, _data: bytes, answer: Answer) -> Iterable[bytes]:
    return (cheater.sign(answer.step, answer.signed.body + b"\0"),)


def _unsigned(cheater: Cheater, _data: bytes, answer: Answer) -> Iterable[bytes]:
    return (cheater.say(answer.step, Signed(body=answer.signed.body, signature=bytes(64))),)


def _other_label(cheater: Cheater, _data: bytes, answer: Answer) -> Iterable[bytes]:
    return (cheater.say(answer.step, cheater.signed(Label.SIGN_ROUND, answer.signed.body)),)


def _other_key(cheater: Cheater, _data: bytes, answer: Answer) -> Iterable[bytes]:
    label, key = cheater.steps[answer.step].label, SigningKey(bytes(range(32)))
    body = answer.signed.body
    return (cheater.say(answer.step, Signed(body=body, signature=key.sign(label, body))),)


def _unknown_step(cheater: Cheater, _data: bytes, answer: Answer) -> Iterable[bytes]:
    return (cheater.say("no such step", answer.signed),)


def _next_step(cheater: Cheater, _data: bytes, answer: Answer) -> Iterable[bytes]:
    names = list(cheater.steps)
    return (cheater.say(names[names.index(answer.step) + 1], answer.signed),)


def _farewell(cheater: Cheater, _data: bytes, _answer: Answer) -> Iterable[bytes]:
    body = encode(Abort(session=cheater.session, reason="no more"))
    return (cheater.say(ABORT, cheater.signed(Label.SIGN_ABORT, body)),)


def _foreign_farewell(cheater: Cheater, _data: bytes, _answer: Answer) -> Iterable[bytes]:
    """Under the wrong label, so that nobody else's message becomes a farewell."""
    body = encode(Abort(session=cheater.session, reason="no more"))
    return (cheater.say(ABORT, cheater.signed(Label.SIGN_ADVERTISE, body)),)


def _foreign_frame(_cheater: Cheater, data: bytes, _answer: Answer) -> Iterable[bytes]:
    return (data[:8] + bytes(16) + data[24:],)  # the session stands at 8


# -- what was said elsewhere or before -------------------------------------------------------------


def _beside(cheater: Cheater, _data: bytes, answer: Answer) -> Iterable[bytes]:
    return (cheater.say(answer.step, cheater.elsewhere(answer.step)),)


def _of_another_round(cheater: Cheater, _data: bytes, answer: Answer) -> Iterable[bytes]:
    # the round before, if there was one
    number = cheater.play.number - 1 or cheater.play.number + 1
    return (cheater.say(answer.step, cheater.elsewhere(answer.step, number=number)),)


def _twice(_cheater: Cheater, data: bytes, _answer: Answer) -> Iterable[bytes]:
    return data, data


def _in_two_ways(cheater: Cheater, data: bytes, answer: Answer) -> Iterable[bytes]:
    return data, _other(cheater, answer)


def _other(cheater: Cheater, answer: Answer) -> bytes:
    """A second answer to the same question, as well signed as the first."""
    body, name = cheater.body(answer), _SAYS[answer.step]
    changed = getattr(body, name)
    changed = bytes([changed[0] ^ 1]) + changed[1:]
    return cheater.sign(answer.step, replace(body, **{name: changed}))


_SAYS: Final = {
    "advertise_keys": "mask_key",
    "share_keys": "seed_commitment",
    "masked_input": "complaints",
    "consistency": "h3",
    "unmasking": "seed",
    "set_up": "proof",
    "upload": "salt",
    "answer": "shares",
}
"""A field of each answer that may be one thing or another."""


def _in_another_way_later(step: str) -> Make:
    """Another answer to the step before, when this one is answered."""

    def make(play: Play, name: str) -> Passes:
        cheater, said = Cheater(play, name), list[Answer]()

        def hook(frame: Frame) -> Iterable[bytes]:
            answer = cheater.answer(frame)
            if answer is None:
                return (frame.data,)
            said.append(answer)
            if answer.step != step:
                return (frame.data,)
            return _other(cheater, said[-2]), frame.data

        return hook

    return make


# -- silence ---------------------------------------------------------------------------------------


def silent_from(step: str) -> Make:
    """A cheater that says nothing from its answer to a step on."""

    def begins(cheater: Cheater, frame: Frame) -> bool:
        answer = cheater.answer(frame)
        return answer is not None and answer.step == step

    return silent_once(begins)


# -- the table -------------------------------------------------------------------------------------

WORDS: Final[tuple[tuple[str, str, Say, str], ...]] = (
    ("no frame", "Sends a byte that is no frame.", _no_frame, "MALFORMED"),
    ("truncated frame", "Leaves the last byte out.", _truncated, "MALFORMED"),
    ("oversize frame", "Sends a frame larger than any may be.", _oversize, "MALFORMED"),
    ("a request", "Sends what only an orchestrator sends.", _a_request, "MALFORMED"),
    ("no body", "Signs bytes that are no answer.", _no_body, "MALFORMED"),
    ("body and more", "Signs its answer and a byte behind it.", _body_and_more, "MALFORMED"),
    ("no signature", "Sends zeros for a signature.", _unsigned, "BAD_SIGNATURE"),
    ("other label", "Signs for another purpose.", _other_label, "BAD_SIGNATURE"),
    ("other key", "Signs with a key that is not its own.", _other_key, "BAD_SIGNATURE"),
    ("unknown step", "Answers a step that does not exist.", _unknown_step, "UNEXPECTED"),
    ("next step", "Answers a step that is not open yet.", _next_step, "UNEXPECTED"),
    ("farewell", "Leaves the session.", _farewell, "ABORTED"),
    ("bad farewell", "Leaves, signed for another use.", _foreign_farewell, "BAD_SIGNATURE"),
    ("foreign frame", "Names another session in its frame.", _foreign_frame, "SILENT"),
)
"""(what, sentence, say, reason)."""


def _words() -> Iterator[Cheat]:
    for place in PLACES:
        for what, sentence, say, reason in WORDS:
            if what == "next step" and not place.after:
                continue
            yield _cheat(place, what, sentence, on_answer(place.step, say), drops(reason))


def _repetitions() -> Iterator[Cheat]:
    for place in PLACES:
        second = drops("EQUIVOCATED") if place.uploads else EXACT
        make = on_answer(place.step, _twice)
        yield _cheat(place, "twice", "Sends its answer twice.", make, EXACT)
        make = on_answer(place.step, _in_two_ways)
        yield _cheat(place, "two answers", "Sends another answer at once.", make, second)
        # large sessions take their time, and where they differ is their own step
        if place.gateways == SMALL:
            yield from _replays(place)


def _replays(place: Place) -> Iterator[Cheat]:
    make = on_answer(place.step, _beside)
    # a MAC is under a key of its own session
    old = drops("BAD_SIGNATURE" if place.step in _MACS else "FOREIGN")
    yield _cheat(place, "said beside", "Repeats its answer of a session beside.", make, old)
    make = on_answer(place.step, _of_another_round)
    yield _cheat(place, "said before", "Repeats its answer of another round.", make, old)
    first = place.step in {"advertise_keys", "set_up"}
    if not first:
        make = _in_another_way_later(place.step)
        # a signature on another set is one of another transcript
        second = drops("FOREIGN" if place.step == "unmasking" else "EQUIVOCATED")
        yield _cheat(place, "late answer", "Answers the step before once more.", make, second)


_MACS: Final = {step.name for step in MASKS_STEPS if step.mac}


def _silences() -> Iterator[Cheat]:
    for place in PLACES:
        make = silent_from(place.step)
        yield _cheat(place, "silence", "Says nothing more.", make, drops("SILENT"))


def _cheat(place: Place, what: str, sentence: str, make: Make, expect: Expect) -> Cheat:
    schemes, step, n = place.schemes, place.step, place.gateways
    return Cheat(schemes, step, what, sentence, make, expect, gateways=n)


def envelopes() -> tuple[Cheat, ...]:
    """All of them."""
    sources: tuple[Callable[[], Iterator[Cheat]], ...] = (_words, _repetitions, _silences)
    return tuple(cheat for source in sources for cheat in source())
