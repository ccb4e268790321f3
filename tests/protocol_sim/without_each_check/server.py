"""Checks of the server: what gateways, or the network in their name, do to a round without."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from io import BytesIO

from msgspec.structs import replace

from protocol_sim.cheats.cheat import on_frames
from protocol_sim.cheats.cheater import Cheater
from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from secagg import canonical
from secagg.crypto.labels import Label
from secagg.protocol.messages import Abort, Answer, Farewell, Signed, sign_farewell
from secagg.schemes.additive import Lattice
from secagg.schemes.masks import Masks
from secagg.schemes.masks.messages import ShareKeys
from secagg.schemes.scheme import Scheme
from secagg.session.loopback import Frame
from tests.protocol_sim.without_each_check.endings import NO_NAME
from tests.protocol_sim.without_each_check.rows import BROKEN, UNNAMED, Row
from tests.session.deceit import CODEC
from tests.session.test_ignored import VICTIM, answer_in, wire_of

BLAME = "what the network says in a gateway's name costs the gateway nothing"
ENDED = "the network does not end a session in the orchestrator's name"
NUMBER = "the exact sum or a named error, never a wrong number"
Says = Callable[[Frame, Answer], Iterable[Answer]]
"""Takes a frame of the victim and the answer in it; gives what arrives instead."""


def delivered(says: Says, *, vouched: bool = False, parties: Parties | None = None) -> str:
    """How a round ends in which the victim's answers arrive otherwise."""

    def passes(frame: Frame) -> Iterable[bytes]:
        answer = answer_in(frame) if frame.up and frame.gateway == VICTIM else None
        return [frame.data] if answer is None else [wire_of(frame, x) for x in says(frame, answer)]

    return ended(Exchange(parties or Parties(5), passes=passes, vouched=vouched))


def ended(exchange: Exchange) -> str:
    try:
        exchange.play()
    except Exception:  # noqa: BLE001 - what has no name is what is looked for
        return NO_NAME
    if VICTIM in exchange.dropped:
        return f"dropped: {exchange.dropped[VICTIM][1]}"
    if exchange.aborted is None and exchange.verdict.violation:
        return "wrong"
    return exchange.verdict.outcome


def unsigned_farewell() -> str:
    gone = Signed(body=canonical.encode(Abort(session=bytes(16), reason="")), signature=bytes(64))

    def says(frame: Frame, answer: Answer) -> list[Answer]:
        body = canonical.encode(Abort(session=frame.data[8:24], reason=""))
        return [Answer(step="abort", signed=replace(gone, body=body)), answer]

    return delivered(says)


def farewell_to_another() -> str:
    """Well signed, of a session beside."""
    parties = Parties(5)
    farewell = Abort(session=bytes(16), reason="no more")
    gone = Signed.make(parties.identities[VICTIM].key, Label.SIGN_ABORT, farewell)
    return delivered(lambda _, answer: [Answer(step="abort", signed=gone), answer], parties=parties)


def beside(step: str, scheme: Scheme | None) -> Answer:
    """The victim's answer of a session beside."""
    log = Exchange(Parties(5, scheme), name="beside").play().log
    answers = (answer_in(frame) for frame in log if frame.up and frame.gateway == VICTIM)
    return next(answer for answer in answers if answer is not None and answer.step == step)


def answer_of_another(step: str, *, first: bool = True, scheme: Scheme | None = None) -> str:
    other = beside(step, scheme)

    def says(_: Frame, answer: Answer) -> list[Answer]:
        both = [other, answer] if first else [answer, other]
        return both if answer.step == step else [answer]

    return delivered(says, parties=Parties(5, scheme))


def two_answers() -> str:
    """Two signed headers."""
    parties = Parties(5)

    def says(_: Frame, answer: Answer) -> list[Answer]:
        if answer.step != "masked_input":
            return [answer]
        (step,) = (each for each in Masks().steps if each.name == answer.step)
        body = replace(canonical.decode(step.answer, answer.signed.body), complaints=b"\x01")
        other = Signed.make(parties.identities[VICTIM].key, Label.SIGN_HEADER, body)
        return [answer, replace(answer, signed=other)]

    return delivered(says, parties=parties)


def farewell() -> str:
    """A gateway leaves, and is not waited for."""
    parties = Parties(5)

    def says(frame: Frame, answer: Answer) -> list[Answer]:
        leaves = Abort(session=bytes(frame.data[8:24]), reason="no more")
        gone = Signed.make(parties.identities[VICTIM].key, Label.SIGN_ABORT, leaves)
        return [Answer(step="abort", signed=gone)] if answer.step == "share_keys" else [answer]

    return delivered(says, parties=parties)


def told_off(make: Callable[[Parties, bytes], Farewell], phase: str = "masked_input") -> str:
    """The network tells the victim that its session is over, before a request of the server."""
    parties = Parties(5)

    def passes(frame: Frame) -> list[bytes]:
        if frame.up or frame.gateway != VICTIM or frame.step != phase:
            return [frame.data]
        session = bytes(frame.data[8:24])
        return [CODEC.encode(make(parties, session), session), frame.data]

    return ended(Exchange(parties, passes=passes))


def unsigned_end(_: Parties, session: bytes) -> Farewell:
    body = canonical.encode(Abort(session=session, reason=""))
    return Farewell(body=body, signature=bytes(64))


def end_of_another(parties: Parties, _: bytes) -> Farewell:
    return sign_farewell(parties.orchestrator.key, bytes(16), "")


def untagged_shares() -> str:
    """Garbage for everybody, in the victim's name."""

    def says(_: Frame, answer: Answer) -> list[Answer]:
        if answer.step != "share_keys":
            return [answer]
        dealt = canonical.decode(ShareKeys, answer.signed.body)
        garbage = replace(dealt, ciphertexts=tuple(map(bytes, map(len, dealt.ciphertexts))))
        signed = Signed(body=canonical.encode(garbage), signature=bytes(32))
        return [replace(answer, signed=signed), answer]

    return delivered(says)


def step_nobody_knows() -> str:
    """Well signed, as a farewell."""
    parties = Parties(5)
    body = canonical.encode(Abort(session=bytes(16), reason=""))
    signature = parties.identities[VICTIM].key.sign(Label.SIGN_ABORT, body)
    said = Answer(step="dance", signed=Signed(body=body, signature=signature))
    return delivered(lambda _, answer: [said, answer], parties=parties)


def frames(change: Callable[[Cheater, bytes], Iterable[bytes]], *, vouched: bool = False) -> str:
    """The victim's first frame arrives otherwise."""

    def say(cheater: Cheater, data: bytes, number: int) -> Iterable[bytes]:
        return change(cheater, data) if number == 0 else (data,)

    exchange = Exchange(Parties(5), vouched=vouched)
    exchange.passes = on_frames(say)(exchange, VICTIM)
    return ended(exchange)


def forged_frame() -> str:
    """The network, not the victim, sends a frame of another content first."""
    return frames(lambda _, data: (data[:40] + bytes([data[40] ^ 1]) + data[41:], data))


def two_versions() -> str:
    return frames(lambda cheater, data: (data, cheater.filled(data, 1)))


def number_beyond() -> str:
    return frames(lambda cheater, data: (cheater.frame(2**31, 1), data))


def shorter_frame() -> str:
    return frames(lambda cheater, _: (cheater.frame(0, 1),))


class OneBit(BytesIO):
    """A file whose first frame comes back with another word."""

    def read(self, size: int | None = -1) -> bytes:
        first, data = self.tell() == 0, super().read(size)
        return data[:-8] + bytes([data[-8] ^ first]) + data[-7:]


def altered_file() -> str:
    return ended(Exchange(Parties(5), interleaved=True, max_in_flight=0, spool=OneBit))


ROWS = [
    Row(
        "ServerMachine._conclude: fault is not None",
        BROKEN,
        unsigned_farewell,
        "sum",
        "dropped: ABORTED",
        BLAME,
    ),
    Row("ServerMachine._fault: said.name", BROKEN, step_nobody_knows, "sum", NO_NAME, UNNAMED),
    Row(
        "ServerMachine._fault: check(",
        BROKEN,
        untagged_shares,
        "sum",
        "dropped: BAD_DEALER",
        BLAME,
    ),
    Row(
        "ServerMachine._fault: self._verify",
        BROKEN,
        unsigned_farewell,
        "sum",
        "dropped: ABORTED",
        BLAME,
    ),
    Row(
        "ServerMachine._use: (seen",
        BROKEN,
        two_answers,
        "dropped: EQUIVOCATED",
        "sum",
        "two signed answers to one question are proof, and their sender is dropped",
    ),
    Row(
        "ServerMachine._use: self._checked",
        BROKEN,
        partial(answer_of_another, "masked_input", first=False),
        "sum",
        "dropped: EQUIVOCATED",
        BLAME,
    ),
    Row(
        "ServerMachine._use: isinstance(body, Abort)",
        BROKEN,
        farewell,
        "dropped: ABORTED",
        NO_NAME,
        UNNAMED,
    ),
    Row(
        "ServerMachine._checked: self._stages",
        BROKEN,
        partial(answer_of_another, "advertise_keys"),
        "sum",
        "dropped: ABORTED",
        BLAME,
    ),
    Row(
        "ServerMachine._checked: body.session",
        BROKEN,
        farewell_to_another,
        "sum",
        "dropped: ABORTED",
        BLAME,
    ),
    Row(
        "Server._check_header",
        BROKEN,
        partial(answer_of_another, "masked_input"),
        "sum",
        "dropped: EQUIVOCATED",
        BLAME,
    ),
    Row(
        "Server._check_transcript",
        BROKEN,
        partial(answer_of_another, "answer", scheme=Lattice()),
        "sum",
        "dropped: EQUIVOCATED",
        BLAME,
    ),
    Row(
        "Server._check_consistency",
        BROKEN,
        partial(answer_of_another, "consistency"),
        "sum",
        "dropped: ABORTED",
        BLAME,
    ),
    Row(
        "ClientSession._told_off: farewell.open",
        BROKEN,
        partial(told_off, unsigned_end),
        "sum",
        "dropped: SILENT",
        ENDED,
    ),
    Row(
        "ClientSession._told_off: abort.session",
        BROKEN,
        partial(told_off, end_of_another),
        "sum",
        "dropped: SILENT",
        ENDED,
    ),
    Row("Upload.lacks: self._mac", BROKEN, forged_frame, "sum", "wrong", NUMBER),
    Row(
        "Upload.lacks: before != tag",
        BROKEN,
        two_versions,
        "dropped: BAD_FRAME",
        "sum",
        "two authentic versions of a frame are proof, and their sender is dropped",
    ),
    Row("Upload.lacks: sequence", BROKEN, number_beyond, "dropped: BAD_FRAME", NO_NAME, UNNAMED),
    Row(
        "Upload.lacks: words",
        BROKEN,
        shorter_frame,
        "dropped: BAD_FRAME",
        "AggregateOutOfRange",
        "a bad frame costs its sender, not the round",
    ),
    Row(
        "Upload._taken: self._mac",
        BROKEN,
        altered_file,
        "StagingFailed",
        "wrong",
        NUMBER,
    ),
]
