"""Late, repeated and reordered frames change nothing, or cost one gateway."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest

from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from secagg import wire
from secagg.errors import LocalProtocolError
from secagg.protocol.steps import upload_index
from secagg.schemes.additive import Lattice
from secagg.schemes.masks import Masks
from secagg.schemes.scheme import Scheme
from secagg.session.loopback import Frame
from secagg.wire import VECTOR

STEPS = tuple(step.name for step in Masks.steps)
BEFORE_THE_SUM = STEPS[:3]


def everybody_but(exchange: Exchange, *names: str) -> tuple[str, ...]:
    return tuple(name for name in exchange.cohort if name not in names)


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_what_comes_after_its_phase_is_too_late(*, step: str, up: bool, interleaved: bool) -> None:
    def late(frame: Frame) -> bool:
        return frame.gateway == "g1" and frame.up == up and frame.step == step

    exchange = Exchange(Parties(5), late=late, interleaved=interleaved).play()
    gone = ("g1",) if step in BEFORE_THE_SUM else ()

    assert exchange.verdict.summed
    assert everybody_but(exchange, *gone) == exchange.included
    assert {"g1": (step, "SILENT")} == exchange.dropped


def test_an_upload_whose_last_frame_is_late_is_left_out_whole() -> None:
    vectors = {}

    def late(frame: Frame) -> bool:
        if frame.gateway != "g3" or not frame.up or wire.open(frame.data).type != VECTOR:
            return False
        vectors[bytes(frame.data)] = None
        return len(vectors) == 6

    exchange = Exchange(Parties(5), late=late).play()

    assert exchange.verdict.summed
    assert {"g3": ("masked_input", "VANISHED")} == exchange.dropped
    assert everybody_but(exchange, "g3") == exchange.included


def test_all_earlier_answers_again_change_nothing() -> None:
    before: list[Frame] = []

    def passes(frame: Frame) -> tuple[bytes, ...]:
        if not frame.up or wire.open(frame.data).type == VECTOR:
            return (frame.data,)
        before.append(frame)
        return tuple(f.data for f in before if f.gateway == frame.gateway)

    exchange = Exchange(Parties(4), passes=passes).play()

    assert exchange.verdict.summed
    assert {} == exchange.dropped


@pytest.mark.parametrize("order", [0, -1])
@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("max_in_flight", [1, 2, 9])
def test_uploads_side_by_side(*, max_in_flight: int, interleaved: bool, order: int) -> None:
    files: list[io.BytesIO] = []

    def spool() -> io.BytesIO:
        files.append(io.BytesIO())
        return files[-1]

    exchange = Exchange(
        Parties(5), order=order, interleaved=interleaved, max_in_flight=max_in_flight, spool=spool
    ).play()

    assert exchange.verdict.summed
    assert (1 if interleaved and max_in_flight < 5 else 0) == len(files)
    assert all(file.closed for file in files)


@pytest.mark.parametrize("point", ["half", "last"])
def test_a_spooled_upload_that_breaks_off_gives_its_file_back(point: str) -> None:
    files: list[io.BytesIO] = []

    def spool() -> io.BytesIO:
        files.append(io.BytesIO())
        return files[-1]

    exchange = Exchange(
        Parties(5), interleaved=True, max_in_flight=1, spool=spool, vanish={"g4": point}
    ).play()

    assert exchange.verdict.summed
    assert {"g4": ("masked_input", "VANISHED")} == exchange.dropped
    assert 1 == len(files)
    assert all(file.closed for file in files)


def test_frames_after_the_end_change_nothing() -> None:
    exchange = Exchange(Parties(4)).play()
    opened = exchange.opened
    for frame in list(exchange.log):
        if frame.up:
            assert [] == list(exchange.server.receive(frame.gateway, frame.data))
        else:
            # a gateway that is done repeats itself: the server may have lost the answer
            for event in exchange.clients[frame.gateway].receive(frame.data):
                assert any(event.frame == up.data for up in exchange.log if up.up)

    assert [] == list(exchange.server.receive("g1", b"?", vouched=True))
    assert {} == exchange.server.ignored
    np.testing.assert_equal(exchange.opened, opened)
    with pytest.raises(LocalProtocolError, match="nothing to advance"):
        list(exchange.server.advance())


def never(_server: object) -> bool:
    return False


def rearranged(frames: list[bytes]) -> Iterator[list[bytes]]:
    """Orders in which a network may deliver the frames of an upload, its header first."""
    header, *rest = frames
    yield [header, *reversed(rest)]
    yield [header, rest[1], rest[0], *rest[2:]]
    yield [*rest, header]
    yield [rest[0], header, *rest[1:], rest[0]]
    yield [header, *(each for part in rest for each in (rest[0], part, part))]


@pytest.mark.parametrize("which", range(5))
@pytest.mark.parametrize("scheme", [Masks(), Lattice(), Lattice(keep_uploads=True)])
@pytest.mark.parametrize("max_in_flight", [0, 2])
def test_frames_come_in_any_order_and_again(which: int, scheme: Scheme, max_in_flight: int) -> None:
    sent: list[bytes] = []
    upload = scheme.steps[upload_index(scheme.steps)].name
    log = Exchange(Parties(5, scheme)).play().log
    whole = sum(frame.up and frame.gateway == "g2" and frame.step == upload for frame in log)

    def passes(frame: Frame) -> list[bytes]:
        if not (frame.up and frame.gateway == "g2" and frame.step == upload):
            return [frame.data]
        sent.append(frame.data)
        return list(rearranged(sent))[which] if len(sent) == whole else []

    exchange = Exchange(
        Parties(5, scheme), passes=passes, max_in_flight=max_in_flight, times_out=never
    ).play()

    assert exchange.cohort == exchange.verdict.summed
    assert {} == exchange.dropped
    assert {} == exchange.server.ignored
