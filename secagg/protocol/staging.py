"""Stages uploads on their way in: they are handed on when authentic, in order and complete.

Frames of a gateway that vanishes half way must not be in the sum, so an upload is staged until its
last frame: `max_in_flight` of them in memory, more in spool files. Frames are kept as they came, so
staging copies nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from secagg import canonical
from secagg.crypto.kdf import derive_key
from secagg.crypto.labels import Label
from secagg.crypto.sealing import FrameMac
from secagg.errors import SealError

Words = NDArray[np.uint64]
Span = tuple[int, int, int]
"""(vector, first word, words) of one frame."""
Spool = Callable[[], BinaryIO]


def frame_mac(shared: bytes, *, salt: bytes, session: bytes, position: int) -> FrameMac:
    """The authenticator of one gateway's frames.

    Args:
        shared: Diffie-Hellman secret of the gateway's and the orchestrator's session keys.
        salt: h0.
        session: session id.
        position: the gateway's.
    """
    context = (session, canonical.u64(position))
    key = derive_key(shared, salt=salt, label=Label.KDF_UPLOAD_MAC, context=context, length=16)
    return FrameMac(key)


class BadFrame(Exception):
    """An authentic frame that is no part of its upload."""


class BadTag(BadFrame):
    """A frame that is not authentic: anybody may have made it."""


class Upload:
    """One gateway's upload.

    Args:
        spans: the frames it consists of.
        mac: its authenticator.
    """

    def __init__(self, spans: Sequence[Span], mac: FrameMac) -> None:
        self._spans = spans
        self._mac = mac
        self._spool: BinaryIO | None = None
        self._frames: list[Words] = []
        self._received = 0
        self._last = b""

    @property
    def begun(self) -> bool:
        """At least one frame is here."""
        return self._received > 0

    @property
    def in_memory(self) -> bool:
        """It occupies one of the `max_in_flight` places."""
        return self.begun and self._spool is None

    @property
    def complete(self) -> bool:
        """All frames are here."""
        return self._received == len(self._spans)

    def use(self, spool: BinaryIO) -> None:
        """Write the frames to this file instead of keeping them in memory."""
        self._spool = spool

    def add(self, sequence: int, region: memoryview, words: Words, tag: bytes) -> None:
        """Take the next frame. A repetition of the last frame is ignored.

        Args:
            sequence: number of the frame in the upload.
            region: the bytes under the tag: everything of the frame before it.
            words: the frame's words, a view of `region` that is kept.
            tag: 16 bytes.

        Raises:
            BadFrame: not authentic, not the next one, or of another length.
        """
        try:
            self._mac.verify(sequence, region, tag)
        except SealError:
            raise BadTag(f"frame {sequence} is not authentic") from None
        if sequence == self._received - 1 and tag == self._last:
            return
        if sequence != self._received or self.complete:
            raise BadFrame(f"frame {sequence} instead of {self._received}")
        if words.size != self._spans[sequence][2]:
            raise BadFrame(f"frame {sequence} has {words.size} words")
        if self._spool is None:
            self._frames.append(words)
        else:
            self._spool.write(words.data)
        self._received += 1
        self._last = tag

    def drain(self) -> Iterator[tuple[Span, Words]]:
        """The words of a complete upload, frame by frame; the storage is given back as they go."""
        if self._spool is None:
            # the last frame first: it is still in a cache
            frames, self._frames = self._frames, []
            for span in reversed(self._spans):
                yield span, frames.pop()
            return
        with self._spool as file:
            file.seek(0)
            for span in self._spans:
                yield span, np.frombuffer(file.read(8 * span[2]), dtype="<u8")

    def discard(self) -> None:
        """Give the storage back."""
        self._frames.clear()
        if self._spool is not None:
            self._spool.close()


class Staging:
    """All uploads on their way in.

    Args:
        spans: the frames of every upload.
        max_in_flight: uploads kept in memory.
        spool: opens a temporary binary file for each further upload.
    """

    def __init__(self, spans: Sequence[Span], *, max_in_flight: int, spool: Spool) -> None:
        self._spans = spans
        self._max_in_flight = max_in_flight
        self._spool = spool
        self._uploads: dict[int, Upload] = {}
        self._in_memory: set[int] = set()

    def open(self, position: int, mac: FrameMac) -> None:
        """Expect the upload of a gateway; storage is chosen when its first frame comes."""
        self._uploads[position] = Upload(self._spans, mac)

    def add(
        self, position: int, sequence: int, region: memoryview, words: Words, tag: bytes
    ) -> bool:
        """Take a frame; True when the upload is complete with it.

        Raises:
            BadFrame: no upload is open, or the frame is not its next.
        """
        upload = self._uploads.get(position)
        if upload is None:
            raise BadFrame("an upload without a header")
        fresh = not upload.begun
        if fresh and len(self._in_memory) >= self._max_in_flight:
            upload.use(self._spool())
        upload.add(sequence, region, words, tag)
        if fresh and upload.in_memory:
            self._in_memory.add(position)
        return upload.complete

    def take(self, position: int) -> Iterator[tuple[Span, Words]]:
        """Hand on a complete upload."""
        self._in_memory.discard(position)
        return self._uploads.pop(position).drain()

    def discard(self, position: int) -> None:
        """Forget an upload."""
        self._in_memory.discard(position)
        upload = self._uploads.pop(position, None)
        if upload is not None:
            upload.discard()
