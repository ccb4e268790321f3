"""The frames of an upload: made chunk by chunk, tagged, handed out in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from secagg import wire
from secagg.crypto.sealing import FrameMac
from secagg.schemes.base import Fill, Source
from secagg.workers import Workers


def tagged_frames(
    source: Source,
    spans: Sequence[wire.Span],
    *,
    session: bytes,
    mac: FrameMac,
    workers: Workers,
) -> Iterator[tuple[bytearray, bool]]:
    """The frames of one upload in order, and whether each is the last.

    As many frames are made at a time as there are threads; memory is O(frame) each.

    Args:
        source: gives every thread what writes the protected words of a span.
        spans: of the frames.
        session: session id.
        mac: tags the frames.
        workers: threads.
    """
    threads: dict[int, Fill] = {}
    for start in range(0, len(spans), workers.threads):
        batch = spans[start : start + workers.threads]
        frames: dict[int, bytearray] = {}

        def work(first: int, last: int) -> None:
            fill = threads.get(first) or source()
            threads[first] = fill
            for index in range(first, last):
                sequence, span = start + index, batch[index]  # noqa: B023 - run() has ended
                frame, words = wire.new_vector_frame(session, sequence, span.words)
                fill(span.vector, span.first_word, words)
                frames[index] = frame  # noqa: B023 - likewise

        workers.run(work, len(batch))
        for index in range(len(batch)):
            frame = frames.pop(index)
            untagged = memoryview(frame)[: -wire.TAG_BYTES]
            frame[-wire.TAG_BYTES :] = mac.tag(start + index, untagged)
            yield frame, start + index == len(spans) - 1
