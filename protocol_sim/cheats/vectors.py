"""Cheats with the frames of an upload."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from protocol_sim.cheats.cheat import (
    ADDITIVE,
    EXACT,
    MASKS,
    Cheat,
    Expect,
    Make,
    drops,
    ends,
    on_answer,
    on_frames,
    silent_once,
    with_machine,
)
from protocol_sim.cheats.cheater import Cheater
from protocol_sim.cheats.dealers import additive_uploader, masks_uploader
from protocol_sim.play import Play
from secagg import wire
from secagg.protocol.messages import Answer
from secagg.session.loopback import Frame, Passes

GARBAGE: Final = 0x0123_4567_89AB_CDEF
"""A word that no encoder makes; below every prime of ckks in both of its planes."""
WHERE: Final = {"first": 0, "middle": 2, "last": -1}
"""Frames of an upload; it has four or more."""


FrameChange = Callable[[Cheater, bytes], Iterable[bytes]]
"""Takes the cheater and an honest frame; gives what leaves instead."""


def at(where: str, change: FrameChange) -> Make:
    """One frame of an upload is another.

    Args:
        where: which, of `WHERE`.
        change: what becomes of it.
    """

    def say(cheater: Cheater, data: bytes, number: int) -> Iterable[bytes]:
        return change(cheater, data) if number == WHERE[where] % cheater.frames else (data,)

    return on_frames(say)


def _truncated(_cheater: Cheater, data: bytes) -> Iterable[bytes]:
    return (data[:-1],)


def _forged_tag(_cheater: Cheater, data: bytes) -> Iterable[bytes]:
    return (data[:-1] + bytes([data[-1] ^ 1]),)


def _forged_words(_cheater: Cheater, data: bytes) -> Iterable[bytes]:
    return (data[:40] + bytes([data[40] ^ 1]) + data[41:],)  # words begin at 40


def _forged_number(_cheater: Cheater, data: bytes) -> Iterable[bytes]:
    return (data[:32] + bytes([data[32] ^ 64]) + data[33:],)  # the number stands at 32


def _left_out(_cheater: Cheater, _data: bytes) -> Iterable[bytes]:
    return ()


def _longer(cheater: Cheater, data: bytes) -> Iterable[bytes]:
    parts = wire.open(data).vector()
    return (cheater.frame(parts.sequence, len(parts.words) + 1),)


def _shorter(cheater: Cheater, data: bytes) -> Iterable[bytes]:
    parts = wire.open(data).vector()
    words = len(parts.words)
    # one word is the least that a frame holds: such a vector can only be too long
    return (cheater.frame(parts.sequence, words - 1 if words > 1 else 2),)


def _far(cheater: Cheater, data: bytes) -> Iterable[bytes]:
    return cheater.frame(2**31, len(wire.open(data).vector().words)), data


def _again(_cheater: Cheater, data: bytes) -> Iterable[bytes]:
    return data, data


def _otherwise_again(cheater: Cheater, data: bytes) -> Iterable[bytes]:
    return data, cheater.filled(data, GARBAGE)


def _beside(cheater: Cheater, data: bytes) -> Iterable[bytes]:
    number = wire.open(data).vector().sequence
    elsewhere = cheater.frames_elsewhere()[number]
    # its session would have a router pass it by
    return (data[:24] + elsewhere[24:],)


BROKEN: Final[tuple[tuple[str, str, FrameChange, str], ...]] = (
    ("truncated", "Leaves a frame's last byte out.", _truncated, "MALFORMED"),
    ("forged tag", "Sends a frame with another tag.", _forged_tag, "BAD_FRAME"),
    ("forged words", "Changes a word under the tag.", _forged_words, "BAD_FRAME"),
    ("forged number", "Gives a frame another number.", _forged_number, "BAD_FRAME"),
    ("left out", "Leaves a frame out.", _left_out, "VANISHED"),
    ("longer", "Sends a vector longer than announced.", _longer, "BAD_FRAME"),
    ("shorter", "Sends a vector shorter than announced.", _shorter, "BAD_FRAME"),
    ("far ahead", "Sends a frame of a far later number first.", _far, "BAD_FRAME"),
    ("again", "Sends a frame twice.", _again, ""),
    ("again, otherwise", "Sends a frame again with other words.", _otherwise_again, "BAD_FRAME"),
    ("said beside", "Sends a frame of a session beside.", _beside, "BAD_FRAME"),
)
"""(what, sentence, change, reason)."""


def _expected(what: str, where: str, reason: str) -> Expect:
    if what == "again, otherwise" and where == "last":
        return EXACT  # the upload is complete, and in the sum
    return drops(reason) if reason else EXACT


def _broken(schemes: tuple[str, ...], step: str) -> Iterator[Cheat]:
    for what, sentence, change, reason in BROKEN:
        for where in WHERE:
            name, expect = f"{where} frame {what}", _expected(what, where, reason)
            yield Cheat(schemes, step, name, sentence, at(where, change), expect)


# -- whole uploads ---------------------------------------------------------------------------------


def swapped(play: Play, name: str) -> Passes:
    """Sends the second frame before the first."""
    held: list[bytes] = []

    def say(_cheater: Cheater, data: bytes, number: int) -> Iterable[bytes]:
        if number == 0:
            held[:] = [data]
            return ()
        return (data, *held) if number == 1 else (data,)

    return on_frames(say)(play, name)


def twice(play: Play, name: str) -> Passes:
    """Sends the whole upload again once it is complete."""
    sent: list[bytes] = []

    def say(cheater: Cheater, data: bytes, number: int) -> Iterable[bytes]:
        sent.append(data)
        return (data,) if number < cheater.frames - 1 else (data, *sent)

    return on_frames(say)(play, name)


def another(play: Play, name: str) -> Passes:
    """Begins a second upload half way through the first."""

    def say(cheater: Cheater, data: bytes, number: int) -> Iterable[bytes]:
        words = len(wire.open(data).vector().words)
        return (data, cheater.frame(0, words)) if number == 2 else (data,)

    return on_frames(say)(play, name)


def garbage(*, spared: int) -> Make:
    """Sends authentic frames of words that no encoder makes, but for the last so many."""

    def say(cheater: Cheater, data: bytes, number: int) -> Iterable[bytes]:
        return (cheater.filled(data, GARBAGE) if number < cheater.frames - spared else data,)

    return on_frames(say)


def no_residues(play: Play, name: str) -> Passes:
    """Sends authentic frames of numbers that are no residues where those have a prime."""
    return on_frames(lambda cheater, data, _number: (cheater.filled(data, 2**64 - 1),))(play, name)


def silent_after(number: int) -> Make:
    """Sends the header and so many frames, then nothing."""

    def begins(cheater: Cheater, frame: Frame) -> bool:
        at = cheater.number(frame)
        return at is not None and at >= number

    return silent_once(begins)


def without_header(step: str) -> Make:
    """Sends the frames of an upload, not its header."""

    def say(_cheater: Cheater, _data: bytes, _answer: Answer) -> Iterable[bytes]:
        return ()

    return on_answer(step, say)


def _whole(schemes: tuple[str, ...], step: str) -> Iterator[Cheat]:
    rows: tuple[tuple[str, str, Make, Expect], ...] = (
        ("frames swapped", "Sends the second frame first.", swapped, EXACT),
        ("two uploads", "Sends its upload again once it is complete.", twice, EXACT),
        ("second upload", "Begins again half way.", another, drops("BAD_FRAME")),
        ("no header", "Uploads without a header.", without_header(step), drops("SILENT")),
        ("only a header", "Is silent after its header.", silent_after(0), drops("VANISHED")),
        ("half an upload", "Is silent half way.", silent_after(2), drops("VANISHED")),
    )
    for what, sentence, make, expect in rows:
        yield Cheat(schemes, step, what, sentence, make, expect)
    for what, spared in (("garbage", 0), ("garbage but for the check words", 1)):
        yield Cheat(
            schemes,
            step,
            what,
            "Uploads words that no encoder makes.",
            garbage(spared=spared),
            ends("AggregateOutOfRange"),
            unnamed=True,
        )
    yield from _numbers(schemes, step)


NUMBERS: Final = (
    ("check word", "Uploads a check word that is not zero.", "check", 2**30),
    ("huge weight", "Uploads a weight beyond its cap.", "weight", 2**40),
    ("negative weight", "Uploads a weight below zero.", "weight", 2**64 - 2**40),
    ("huge metric", "Uploads a metric beyond its bound.", "metrics", 2**63 - 1),
)
"""(what, sentence, vector, first word)."""


def _numbers(schemes: tuple[str, ...], step: str) -> Iterator[Cheat]:
    """Well-made uploads of numbers that no encoder makes."""
    uploader = masks_uploader if schemes == MASKS else additive_uploader
    for what, sentence, vector, word in NUMBERS:
        make, found = with_machine(uploader(vector, word)), ends("AggregateOutOfRange")
        yield Cheat(schemes, step, what, sentence, make, found, unnamed=True)


def vectors() -> tuple[Cheat, ...]:
    """All of them."""
    rings = Cheat(
        ("ckks",),
        "upload",
        "no residues",
        "Uploads numbers beyond the prime of the ring.",
        no_residues,
        drops("BAD_FRAME"),
    )
    places = ((MASKS, "masked_input"), (ADDITIVE, "upload"))
    each = [
        row
        for schemes, step in places
        for source in (_broken, _whole)
        for row in source(schemes, step)
    ]
    return (*each, rings)
