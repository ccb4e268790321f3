"""The orchestrator's disk, descriptors and memory: what fails has a name."""

from __future__ import annotations

import errno
import io
import subprocess
import sys
from collections.abc import Callable

import pytest

from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from secagg import Lattice, Masks, wire
from secagg.errors import BelowThreshold, StagingFailed
from secagg.protocol.messages import DropReason
from secagg.schemes.scheme import Scheme
from secagg.session.loopback import Frame

SCHEMES = pytest.mark.parametrize("scheme", [Masks(), Lattice()], ids=lambda scheme: scheme.name)


class Disk(io.BytesIO):
    """A file that holds so many bytes, and takes at most so many at once."""

    def __init__(self, room: int = 2**40, gulp: int = 2**40) -> None:
        super().__init__()
        self.room, self.gulp = room, gulp

    def write(self, data: memoryview) -> int:
        if self.tell() + len(data) > self.room:
            raise OSError(errno.ENOSPC, "No space left on device", "/var/tmp/secret-name")
        return super().write(data[: self.gulp])

    def read(self, size: int = -1) -> bytes:
        return super().read(min(size, self.gulp))


class Broken(Disk):
    def read(self, _size: int = -1) -> bytes:
        raise OSError(errno.EIO, "Input/output error")


class Forgetful(Disk):
    def read(self, _size: int = -1) -> bytes:
        return b""


class Altered(Disk):
    def read(self, size: int = -1) -> bytes:
        data = super().read(size)
        return data[:-1] + bytes([data[-1] ^ 1])


class Full(Disk):
    def write(self, _data: memoryview) -> int:
        return 0


class Unclosable(Disk):
    def close(self) -> None:
        super().close()
        raise OSError(errno.EIO, "Input/output error")


def no_descriptor() -> io.BytesIO:
    raise OSError(errno.EMFILE, "Too many open files")


def play(scheme: Scheme, **options: object) -> Exchange:
    """Five gateways upload side by side, nothing of it in memory."""
    usual = {"interleaved": True, "max_in_flight": 0}
    return Exchange(Parties(5, scheme), **usual | options).play()


@SCHEMES
def test_a_full_disk_drops_whom_it_has_no_room_for(scheme: Scheme) -> None:
    exchange = play(scheme, max_in_flight=4, spool=lambda: Disk(0))
    (drop,) = exchange.server.dropped.values()

    assert DropReason.STAGING is drop.reason
    assert "No space left on device" == drop.detail
    assert exchange.verdict.summed


@SCHEMES
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"spool": lambda: Disk(0)}, "No space left on device"),
        ({"spool": Full}, "nothing is written"),
        ({"spool": no_descriptor}, "Too many open files"),
        ({"spool_bytes": 100}, "spool_bytes=100 are used up"),
    ],
)
def test_no_room_at_all_ends_the_round_by_name(scheme: Scheme, options: dict, said: str) -> None:
    exchange = play(scheme, **options)
    error = exchange.aborted

    assert isinstance(error, BelowThreshold)
    assert said in str(error)
    assert "secret-name" not in str(error)
    assert {DropReason.STAGING} == {drop.reason for drop in error.dropped.values()}


@SCHEMES
@pytest.mark.parametrize("disk", [Broken, Forgetful, Altered])
def test_what_does_not_come_back_as_it_was_ends_the_round(
    scheme: Scheme, disk: Callable[[], Disk]
) -> None:
    exchange = play(scheme, spool=disk)

    assert isinstance(exchange.aborted, StagingFailed)
    assert "aborted" == exchange.server.phase


@SCHEMES
def test_a_file_may_take_and_give_a_little_at_a_time(scheme: Scheme) -> None:
    exchange = play(scheme, spool=lambda: Disk(gulp=100))

    assert exchange.cohort == exchange.verdict.summed


@SCHEMES
def test_a_file_that_does_not_close_is_nobodys_concern(scheme: Scheme) -> None:
    exchange = play(scheme, spool=Unclosable)

    assert exchange.cohort == exchange.verdict.summed


@SCHEMES
def test_places_are_used_again(scheme: Scheme) -> None:
    """One after the other: an upload that is in the sum gives its place back."""
    sent = [frame.data for frame in play(scheme).log if frame.up and frame.gateway == "g0"]
    room = sum(len(data) + 8 for data in sent if wire.open(data).type == wire.VECTOR)
    exchange = play(scheme, interleaved=False, spool_bytes=room)

    assert exchange.cohort == exchange.verdict.summed


@SCHEMES
@pytest.mark.parametrize("max_in_flight", [0, 9])
def test_a_receive_buffer_that_is_used_again_changes_no_sum(
    scheme: Scheme, max_in_flight: int
) -> None:
    buffer = bytearray(wire.MAX_FRAME)

    def passes(frame: Frame) -> list[memoryview]:
        if not frame.up:
            return [frame.data]
        buffer[:] = bytes(len(buffer))
        view = memoryview(buffer)[: len(frame.data)]
        view[:] = frame.data
        return [view]

    exchange = play(scheme, passes=passes, max_in_flight=max_in_flight)

    assert exchange.cohort == exchange.verdict.summed
    assert {} == exchange.dropped


MANY = """
import resource
from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
exchange = Exchange(Parties(40), interleaved=True, max_in_flight=2, keep_log=False)
exchange.play_until("masked_input")
used = len(__import__("os").listdir("/proc/self/fd"))
resource.setrlimit(resource.RLIMIT_NOFILE, (used + 20, used + 20))
assert exchange.play().verdict.summed == exchange.cohort
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_forty_uploads_side_by_side_need_no_more_than_twenty_descriptors() -> None:
    done = subprocess.run([sys.executable, "-c", MANY], capture_output=True, text=True, check=False)

    assert ("", 0) == (done.stderr, done.returncode)
