"""Defines what a cheat is: one thing that a gateway does wrong, where, and what comes of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from msgspec.structs import replace

from protocol_sim.cheats.cheater import Cheater
from protocol_sim.play import Play
from secagg.protocol.messages import Answer
from secagg.schemes import BY_NAME
from secagg.session.loopback import Frame, Passes

MASKS: Final = tuple(name for name, each in BY_NAME.items() if each.family == "masks")
ADDITIVE: Final = tuple(name for name, each in BY_NAME.items() if each.family == "additive")
EVERY: Final = MASKS + ADDITIVE
SMALL: Final = 7
"""Gateways of most cells: C = D = 2 in every scheme; t = 3 in masks, R = 5 in the others."""
LARGE: Final = 65
"""Above 64 gateways, additive rounds have one step more."""

Make = Callable[[Play, str], Passes]
"""Takes the session, before it starts, and the cheater; gives what becomes of its frames."""
Say = Callable[[Cheater, bytes, Answer], Iterable[bytes]]
"""Takes the cheater, an honest frame and the answer in it; gives what leaves instead."""
Change = Callable[[Any, Cheater], Any]
"""Takes the honest body of an answer; gives the one (a struct) that is signed instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect:
    """How a session with cheaters ends.

    Attributes:
        outcome: "sum", or the name of the error.
        dropped: `DropReason` of every cheater; "" where none is dropped.
        phase: of the drop; "" for the cheat's own step.
        blamed: the error names a cheater.
        disputed: pairs of a cheater and somebody else are reported.
        wronged: honest gateways that are dropped all the same, which is documented.
    """

    outcome: str = "sum"
    dropped: str = ""
    phase: str = ""
    blamed: bool = False
    disputed: bool = False
    wronged: tuple[str, ...] = ()


ONE: Final = bytes(31) + b"\1"
"""32 bytes that nobody has made."""
ALL: Final = 2**11
"""As many as there can be."""
EXACT: Final = Expect()
"""As if nothing had happened."""


def drops(reason: str, phase: str = "") -> Expect:
    """The cheaters are dropped, and the others' sum is exact."""
    return Expect(dropped=reason, phase=phase)


FOREIGN: Final = drops("FOREIGN")
MALFORMED: Final = drops("MALFORMED")
BAD_KEY: Final = drops("BAD_KEY")


def ends(outcome: str, **more: Any) -> Expect:
    """The round ends in this error."""
    return Expect(outcome=outcome, **more)


@dataclass(frozen=True, slots=True)
class Cheat:
    """One thing that a gateway does wrong.

    Attributes:
        schemes: where it can be done.
        step: at which it is done.
        what: is done, in a few words.
        sentence: what the cheater does.
        make: puts a cheater into a session.
        expect: what comes of one cheater.
        together: what comes of C cheaters, if that is something else.
        missing: points (`memory.points`) at which honest gateways vanish besides, one each.
        accomplice: name of the cheat that another colluding gateway plays; the last one of C.
        keeps: the orchestrator keeps uploads (additive schemes).
        unnamed: may end the round in an error that names nobody, or wrong an honest gateway:
            garbage inside an upload, or more liars than the code corrects.
        gateways: of the session in which the expectations hold.
    """

    schemes: tuple[str, ...]
    step: str
    what: str
    sentence: str
    make: Make = dataclasses.field(repr=False)
    expect: Expect = EXACT
    _: dataclasses.KW_ONLY
    together: Expect | None = None
    missing: tuple[str, ...] = ()
    accomplice: str = ""
    keeps: bool = False
    unnamed: bool = False
    gateways: int = SMALL

    @property
    def name(self) -> str:
        """The step and what is done at it: unique."""
        where = self.step if self.gateways == SMALL else f"{self.step} of {self.gateways}"
        return f"{where}: {self.what}"

    def expected(self, cheaters: int) -> Expect:
        """What comes of so many cheaters that all do this."""
        return self.expect if cheaters == 1 or self.together is None else self.together


def altered(
    schemes: tuple[str, ...],
    step: str,
    what: str,
    sentence: str,
    change: Change,
    expect: Expect,
    **more: Any,
) -> Cheat:
    """A row about an answer whose body is changed before it is signed; the rest as of `Cheat`."""
    return Cheat(schemes, step, what, sentence, altering(step, change), expect, **more)


def field(**fields: Any) -> Change:
    """Some fields are something else."""
    return lambda body, _cheater: replace(body, **fields)


def next_position(body: Any, _cheater: Cheater) -> Any:
    """As if it were the next gateway."""
    return replace(body, position=body.position + 1)


# -- hooks -----------------------------------------------------------------------------------------


def on_answer(step: str, say: Say) -> Make:
    """A cheater that says something else in the place of its answer to one step."""

    def make(play: Play, name: str) -> Passes:
        cheater = Cheater(play, name)

        def hook(frame: Frame) -> Iterable[bytes]:
            answer = cheater.answer(frame)
            if answer is None or answer.step != step:
                return (frame.data,)
            return say(cheater, frame.data, answer)

        return hook

    return make


def altering(step: str, change: Change) -> Make:
    """A cheater that changes the body of its answer to one step, and signs that."""

    def say(cheater: Cheater, data: bytes, answer: Answer) -> Iterable[bytes]:
        body = cheater.body(answer)
        return (data,) if body is None else (cheater.sign(step, change(body, cheater)),)

    return on_answer(step, say)


def on_frames(say: Callable[[Cheater, bytes, int], Iterable[bytes]]) -> Make:
    """A cheater that sends other vector frames.

    Args:
        say: takes the cheater, an honest frame and its number; gives what leaves instead.
    """

    def make(play: Play, name: str) -> Passes:
        cheater = Cheater(play, name)

        def hook(frame: Frame) -> Iterable[bytes]:
            number = cheater.number(frame)
            return (frame.data,) if number is None else say(cheater, frame.data, number)

        return hook

    return make


def silent_once(begins: Callable[[Cheater, Frame], bool]) -> Make:
    """A cheater that says nothing any more, from one of its frames on."""

    def make(play: Play, name: str) -> Passes:
        cheater, over = Cheater(play, name), False

        def hook(frame: Frame) -> Iterable[bytes]:
            nonlocal over
            over = over or begins(cheater, frame)
            return () if over and frame.up and frame.gateway == name else (frame.data,)

        return hook

    return make


def with_machine(kind: type, make: Make | None = None) -> Make:
    """A cheater whose machine is another kind of client.

    Args:
        kind: of the machine, a subclass of the scheme's own.
        make: what it does besides.
    """

    def both(play: Play, name: str) -> Passes:
        Cheater(play, name).become(kind)
        return make(play, name) if make is not None else honestly

    return both


def honestly(frame: Frame) -> Iterable[bytes]:
    """The hook of who changes nothing."""
    return (frame.data,)


def then(first: Make, second: Make) -> Make:
    """A cheater that does both: what the first says passes through the second."""

    def make(play: Play, name: str) -> Passes:
        one, other = first(play, name), second(play, name)

        def hook(frame: Frame) -> Iterable[bytes]:
            for data in one(frame):
                yield from other(frame._replace(data=data))

        return hook

    return make
