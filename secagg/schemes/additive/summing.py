"""Adds uploads to one running sum, and takes them out again if they were kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO
from weakref import finalize

import numpy as np

from secagg.crypto.sealing import FrameMac
from secagg.protocol.staging import Span, Spool, Staging
from secagg.schemes.additive.rings import RingSum
from secagg.schemes.base import Words
from secagg.wire import VectorFrame


class Summing:
    """One round's sum. Complete uploads are added at once; the others are staged.

    Args:
        total: empty.
        spans: the frames of every upload.
        max_in_flight: uploads staged in memory.
        spool: opens a temporary file for each further one, and for each that is kept.
        keep: keep every upload, so that it can be taken out again.
    """

    def __init__(
        self,
        total: RingSum,
        spans: Sequence[Span],
        *,
        max_in_flight: int,
        spool: Spool,
        keep: bool,
    ) -> None:
        self.total = total
        self._staging = Staging(spans, max_in_flight=max_in_flight, spool=spool)
        self._spool = spool
        self._kept: dict[int, _Kept] | None = {} if keep else None

    @property
    def keeps(self) -> bool:
        """Whether an upload can be taken out again."""
        return self._kept is not None

    def expect(self, position: int, mac: FrameMac) -> None:
        """Expect the upload of a gateway."""
        self._staging.open(position, mac)

    def take_frame(self, position: int, frame: VectorFrame) -> bool:
        """Take a frame; True when the upload is complete with it, and in the sum.

        Raises:
            BadFrame: no upload is expected, the frame is not its next, or holds what is no part of
                an upload.
        """
        complete = self._staging.add(position, *frame)
        self.total.check(frame.words)
        if not complete:
            return False
        kept = None
        if self._kept is not None:
            kept = self._kept[position] = _Kept(self._spool())
        for span, part in self._staging.take(position):
            self.total.add(span[0], span[1], part)
            if kept is not None:
                kept.write(span, part)
        return True

    def take_out(self, position: int) -> None:
        """Subtract an upload that was kept."""
        for (vector, first, _), part in (self._kept or {})[position].read():
            self.total.subtract(vector, first, part)

    def discard(self, position: int) -> None:
        """Forget an upload that is not complete."""
        self._staging.discard(position)

    def close(self) -> None:
        """Close the files of kept uploads; staged ones go with their gateway."""
        for kept in (self._kept or {}).values():
            kept.close()


class _Kept:
    """An upload that may have to be taken out again, in a temporary file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        # also when the session is left half way and nobody closes anything
        self.close = finalize(self, file.close)
        self._spans: list[Span] = []

    def write(self, span: Span, words: Words) -> None:
        self._file.write(words.data)
        self._spans.append(span)

    def read(self) -> Iterator[tuple[Span, Words]]:
        self._file.seek(0)
        for span in self._spans:
            yield span, np.frombuffer(self._file.read(8 * span[2]), dtype="<u8")
