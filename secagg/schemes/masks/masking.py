"""From an encoded update to the frames of an upload: encode, mask and tag, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from secagg import wire
from secagg.crypto.prg_fast import MaskAdder
from secagg.crypto.sealing import FrameMac
from secagg.params import VectorSpec
from secagg.schemes.base import Fill, Source, Words
from secagg.schemes.masks.keys import stream_starts
from secagg.workers import Workers

Keys = Sequence[tuple[int, bytes]]
"""(sign, 16-byte key) of every mask."""
Masker = Callable[[Keys], MaskAdder]
"""Makes the mask generator of an upload; a device engine may take the place of `MaskAdder`."""


def masked_frames(
    source: Source,
    vectors: Sequence[VectorSpec],
    keys: Keys,
    *,
    session: bytes,
    mac: FrameMac,
    masker: Masker,
    workers: Workers,
) -> Iterator[tuple[bytearray, bool]]:
    """The frames of one upload in order, and whether each is the last.

    As many frames are made at a time as there are threads; memory is O(frame) each.

    Args:
        source: gives every thread an encoder of its own.
        vectors: of P.
        keys: of the masks.
        session: session id.
        mac: tags the frames.
        masker: called once for every thread.
        workers: threads.
    """
    starts = stream_starts(vectors)
    spans = wire.frame_spans([vector.words for vector in vectors])
    threads: dict[int, _Thread] = {}
    for start in range(0, len(spans), workers.threads):
        batch = spans[start : start + workers.threads]
        frames: dict[int, bytearray] = {}

        def work(first: int, last: int) -> None:
            thread = threads.get(first) or _Thread(source(), masker(keys), starts)
            threads[first] = thread
            for index in range(first, last):
                sequence, span = start + index, batch[index]  # noqa: B023 - run() has ended
                frame, words = wire.new_vector_frame(session, sequence, span.words)
                thread.write(span.vector, span.first_word, words)
                frames[index] = frame  # noqa: B023 - likewise

        workers.run(work, len(batch))
        for index in range(len(batch)):
            frame = frames.pop(index)
            untagged = memoryview(frame)[: -wire.TAG_BYTES]
            frame[-wire.TAG_BYTES :] = mac.tag(start + index, untagged)
            yield frame, start + index == len(spans) - 1


class _Thread:
    """One thread's encoder and mask generator; buffers are reused from frame to frame."""

    def __init__(self, fill: Fill, adder: MaskAdder, starts: Sequence[int]) -> None:
        self._fill = fill
        self._adder = adder
        self._starts = starts

    def write(self, vector: int, first_word: int, out: Words) -> None:
        self._fill(vector, first_word, out)
        self._adder.add(out, self._starts[vector] + first_word)
