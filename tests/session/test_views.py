"""A frame is bytes in one piece, whatever its items are called; anything else is no frame."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable

import numpy as np
import pytest

from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from secagg import session_of
from secagg.errors import WireError
from secagg.session.loopback import Frame

VIEWS: dict[str, Callable[[bytes], object]] = {
    "bytearray": bytearray,
    "signed": lambda data: memoryview(data).cast("b"),
    "characters": lambda data: memoryview(data).cast("c"),
    "ctypes": lambda data: ctypes.create_string_buffer(data, len(data)),
    "int8": lambda data: memoryview(np.frombuffer(data, np.int8)),
    "array": lambda data: array("b", data),
    "words": lambda data: memoryview(data).cast("Q" if len(data) % 8 == 0 else "B"),
    "two dimensions": lambda data: memoryview(np.frombuffer(data, np.uint8).reshape(1, -1)),
}
NO_FRAMES = ["text", None, 7, 1.5, ["a"], {}, memoryview(bytes(96))[::2], np.arange(64)[::2], ""]


@pytest.mark.parametrize("view", VIEWS)
def test_any_view_of_a_frame_is_that_frame(view: str) -> None:
    def passes(frame: Frame) -> list[object]:
        made = VIEWS[view](bytes(frame.data))
        sessions.add(session_of(made))
        return [made]

    sessions: set[bytes] = set()
    exchange = Exchange(Parties(5), passes=passes).play()

    assert {exchange.server.session} == sessions
    assert exchange.cohort == exchange.verdict.summed
    assert {} == exchange.dropped


@pytest.mark.parametrize("given", NO_FRAMES, ids=lambda given: type(given).__name__)
def test_what_is_no_bytes_is_no_frame(given: object) -> None:
    exchange = Exchange(Parties(5))
    exchange.send(exchange.start())

    with pytest.raises(WireError):
        session_of(given)
    with pytest.raises(WireError):
        exchange.clients["g1"].receive(given)
    list(exchange.server.receive("g1", given))

    assert [1] == list(exchange.server.ignored.values())
