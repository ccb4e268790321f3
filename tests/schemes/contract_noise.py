"""What every scheme must do with bytes that are not what they should be.

A part of contract.py, which see.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from secagg.errors import ForeignSession, WireError
from secagg.protocol.events import SharesDisputed
from secagg.protocol.steps import upload_index
from secagg.schemes.scheme import Scheme
from secagg.session.loopback import Frame
from secagg.wire import new_vector_frame
from tests.schemes.contract import assert_right
from tests.schemes.world import World


def _garbled(frame: bytes) -> list[bytes]:
    """Not this frame: cut, lengthened, of another protocol, version, type, length or session."""
    foreign = bytearray(frame)
    foreign[8] ^= 1
    reserved = bytearray(frame)
    reserved[28] ^= 1
    return [
        *(frame[:size] for size in (0, 31, 32, len(frame) // 2, len(frame) - 1)),
        frame + b"\0",
        b"sagg" + frame[4:],
        frame[:4] + b"\xff" + frame[5:],
        frame[:6] + b"\xff" + frame[7:],
        bytes(reserved),
        bytes(foreign),
    ]


def a_client_is_deaf_to_what_is_no_frame_of_its_session(scheme: Scheme) -> None:
    world = World(scheme)

    def noisy(frame: Frame) -> Iterator[bytes]:
        if not frame.up:
            first = frame.data == next(f for f in world.log if f.gateway == frame.gateway).data
            # the first frame names the session: nothing is foreign to it yet
            for noise in _garbled(frame.data)[: -1 if first else None]:
                with pytest.raises((WireError, ForeignSession)):
                    list(world.clients[frame.gateway].receive(noise))
        yield frame.data

    world.passes = noisy

    assert World(scheme).play().log == world.play().log
    assert_right(world)


def a_server_drops_whoever_sends_what_is_no_frame(scheme: Scheme) -> None:
    sent = [frame.data for frame in World(scheme).play().log if frame[:2] == (1, True)]
    for right, noise in ((data, noise) for data in sent for noise in _garbled(data)[:-1]):
        world = World(scheme)

        def broken(frame: Frame, data: bytes = right, noise: bytes = noise) -> Iterator[bytes]:
            yield noise if frame.data == data else frame.data

        world.passes = broken
        world.play()

        assert {1: "MALFORMED"} == world.dropped
        assert_right(world)


def a_server_ignores_another_session_and_strangers(scheme: Scheme) -> None:
    world = World(scheme)

    def misrouted(frame: Frame) -> Iterator[bytes]:
        if frame.up:
            foreign = _garbled(frame.data)[-1]
            list(world.server.receive(frame.gateway, foreign, vouched=True))
            list(world.server.receive("a stranger", frame.data))
        yield frame.data

    world.passes = misrouted

    assert World(scheme).play().log == world.play().log


def a_frame_of_an_upload_outside_its_phase_is_nothing(scheme: Scheme) -> None:
    """A late copy must not cost its gateway its place, an early one must not stop the server."""
    world = World(scheme)
    upload = scheme.steps[upload_index(scheme.steps)].name

    def untimely(frame: Frame) -> Iterator[bytes]:
        if frame.up and world.server.phase != upload:
            stray, _ = new_vector_frame(world.server.session, 0, 1)
            assert [] == list(world.server.receive(frame.gateway, bytes(stray)))
        yield frame.data

    world.passes = untimely

    assert World(scheme).play().log == world.play().log
    assert_right(world)


def a_flipped_byte_costs_its_gateway_at_most(scheme: Scheme) -> None:
    """Whatever is flipped on whichever way: the round is right, and nobody else is dropped."""
    frames = [frame for frame in World(scheme).play().log if frame.gateway == 1]
    disputes = 0
    for frame in frames:
        payload = range(32, len(frame.data))
        for at in {*payload[1 :: len(payload) // 4], payload[-3]}:
            wrong = bytearray(frame.data)
            wrong[at] ^= 0x10
            world = World(scheme)

            def flipped(
                passing: Frame, frame: Frame = frame, wrong: bytes = bytes(wrong), world=world
            ) -> Iterator[bytes]:
                if passing != frame:
                    yield passing.data
                    return
                if frame.up:
                    yield wrong
                    return
                with contextlib.suppress(WireError, ForeignSession):
                    world.send(world.arrive(1, wrong))

            world.passes = flipped
            world.play()

            disputed = any(isinstance(event, SharesDisputed) for event in world.events)
            disputes += disputed
            assert {1} == set(world.dropped) or (disputed and not frame.up)
            assert_right(world)
    # what somebody else has dealt is not the fault of who receives it
    assert disputes > 0


def anothers_message_is_nobodys(scheme: Scheme) -> None:
    """Gateway 1 sends as its own what gateway 2 sends at that moment."""
    rounds = len([f for f in World(scheme).play().log if f[:2] == (1, True)])
    for at in range(rounds):
        world = World(scheme)
        sent: dict[int, list[bytes]] = {1: [], 2: []}
        model = World(scheme).play()
        for frame in model.log:
            if frame.up and frame.gateway in sent:
                sent[frame.gateway].append(frame.data)

        def stolen(passing: Frame, at: int = at, sent=sent) -> Iterator[bytes]:
            yield sent[2][at] if passing.data == sent[1][at] else passing.data

        world.passes = stolen
        world.play()

        assert {1} == set(world.dropped)
        assert_right(world)


CHECKS = [
    a_client_is_deaf_to_what_is_no_frame_of_its_session,
    a_server_drops_whoever_sends_what_is_no_frame,
    a_server_ignores_another_session_and_strangers,
    a_frame_of_an_upload_outside_its_phase_is_nothing,
    a_flipped_byte_costs_its_gateway_at_most,
    anothers_message_is_nobodys,
]
