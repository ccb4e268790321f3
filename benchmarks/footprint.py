"""Measures the memory that a gateway and the server need at most beyond their vectors."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping

from benchmarks.memory import MIB, Peak
from benchmarks.rounds import Round, World

ALLOWANCE = 32 * MIB
"""Buffers of a chunk, keys, interpreter."""
MAX_IN_FLIGHT = 2
"""The default of `ServerSession`."""

Record = Mapping[str, float | None]


def footprint(world: World) -> Mapping[str, Record]:
    """MiB of a gateway that streams its upload, of one that collects it, and of the server.

    The server gets the uploads of all survivors at once, a frame of each in turn, so that all but
    `MAX_IN_FLIGHT` of them go to spool files. Frames count as its memory, as does the mean.
    """
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        play = Round(world)
        play.set_up()
        held = tracemalloc.get_traced_memory()[0] - before
        upload = 8 * sum(vector.words for vector in play.server.settings.vectors)
        streaming, collecting = world.survivors[:2]
        uploads: dict[int, list[bytes | bytearray | memoryview]] = {streaming: []}
        sent = bytearray(b"-") * (upload + MIB)  # touched before it is looked at
        with Peak() as streamed:
            place = 0
            for frame in play.upload(streaming):
                part = memoryview(sent)[place : place + len(frame)]
                part[:] = frame
                uploads[streaming].append(part)
                place += len(frame)
        with Peak() as collected:
            uploads[collecting] = list(play.upload(collecting))
        for name in world.survivors[2:]:
            uploads[name] = list(play.upload(name))
        with Peak() as peak:
            for frames in zip(*uploads.values(), strict=True):
                for name, part in zip(uploads, frames, strict=True):
                    play.receive(name, bytearray(part))
            play.open()
    finally:
        tracemalloc.stop()
    peak.traced += held  # keys, and the sum that waits for the first upload
    return {
        "gateway, frames sent as they come": _record(streamed, ALLOWANCE),
        "gateway, frames collected": _record(collected, upload + ALLOWANCE),
        "server": _record(peak, (1 + MAX_IN_FLIGHT) * upload + ALLOWANCE),
    }


def _record(peak: Peak, limit: int) -> Record:
    return {
        "traced_mib": peak.traced / MIB,
        "resident_mib": None if peak.resident is None else peak.resident / MIB,
        "limit_mib": limit / MIB,
    }
