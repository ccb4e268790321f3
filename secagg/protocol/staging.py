"""Stages uploads on their way in: they are handed on when authentic and complete.

Frames of a gateway that vanishes half way must not be in the sum, so an upload is staged until its
last frame: `max_in_flight` of them in memory, more in one spool file. Every frame has its place, so
they may come in any order, and again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg import canonical
from secagg.crypto.kdf import derive_key
from secagg.crypto.labels import Label
from secagg.crypto.sealing import FrameMac
from secagg.errors import SealError, StagingFailed
from secagg.protocol.blame import Dropped, Unproven
from secagg.protocol.messages import DropReason
from secagg.protocol.spool import Places, Spool

Words = NDArray[np.uint64]
Span = tuple[int, int, int]
"""(vector, first word, words) of one frame."""
FrameParts = tuple[int, memoryview, Words, bytes]
"""(number, all under the tag, words, tag): a `wire.VectorFrame`."""
_LEAD: Final = 64
"""Room for what stands under the tag before the words."""


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


class BadFrame(Dropped):
    """An authentic frame that is no part of its upload."""

    def __init__(self, detail: str) -> None:
        super().__init__(DropReason.BAD_FRAME, detail)


class BadTag(BadFrame, Unproven):
    """A frame that is not authentic: anybody may have made it."""


class Upload:
    """One gateway's upload.

    Args:
        spans: the frames it consists of.
        offsets: where each lies in a place of the spool file, and where the last one ends.
        mac: its authenticator.
    """

    def __init__(self, spans: Sequence[Span], offsets: Sequence[int], mac: FrameMac) -> None:
        self._spans, self._offsets, self._mac = spans, offsets, mac
        self._tags: dict[int, bytes] = {}
        self._sizes: dict[int, int] = {}
        self._words: dict[int, Words] = {}
        self._places: Places | None = None
        self._place = 0

    @property
    def begun(self) -> bool:
        """At least one frame is here."""
        return bool(self._tags)

    @property
    def complete(self) -> bool:
        """All frames are here."""
        return len(self._tags) == len(self._spans)

    def use(self, places: Places) -> None:
        """Write the frames to a file instead of keeping them in memory.

        Raises:
            OSError: it has no place left.
        """
        self._place = places.take()
        self._places = places

    def lacks(self, frame: FrameParts) -> bool:
        """Whether an authentic frame is not here yet; the same one again changes nothing.

        Raises:
            BadTag: not authentic.
            BadFrame: authentic, but no frame of this upload, or a second version of one.
        """
        sequence, region, words, tag = frame
        try:
            self._mac.verify(sequence, region, tag)
        except SealError:
            raise BadTag(f"frame {sequence} is not authentic") from None
        if (before := self._tags.get(sequence)) is not None:
            if before != tag:
                raise BadFrame(f"frame {sequence} in two versions")
            return False
        if sequence >= len(self._spans):
            raise BadFrame(f"frame {sequence} of {len(self._spans)}")
        if words.size != self._spans[sequence][2]:
            raise BadFrame(f"frame {sequence} has {words.size} words")
        return True

    def keep(self, frame: FrameParts) -> None:
        """Keep a frame that is lacking; its words are kept as they are.

        Raises:
            OSError: it cannot be written.
        """
        sequence, region, words, tag = frame
        if self._places is None:
            self._words[sequence] = words
        else:
            self._places.write(self._place, self._offsets[sequence], region)
        self._tags[sequence], self._sizes[sequence] = tag, len(region)

    def drain(self) -> Iterator[tuple[Span, Words]]:
        """The words of a complete upload, frame by frame; memory is given back as they go.

        Raises:
            StagingFailed: the spool does not give back what was written.
        """
        # the last frame first: it is still in a cache
        for sequence in reversed(range(len(self._spans))):
            yield self._spans[sequence], self._taken(sequence)

    def _taken(self, sequence: int) -> Words:
        if self._places is None:
            return self._words.pop(sequence)
        size = self._sizes[sequence]
        try:
            region = self._places.read(self._place, self._offsets[sequence], size)
            # what is summed is what was authenticated: a file is out of our hands in between
            self._mac.verify(sequence, region, self._tags[sequence])
        except (OSError, SealError) as error:
            raise StagingFailed(f"a staged upload is lost: {_cause(error)}") from None
        words = self._spans[sequence][2]
        return np.frombuffer(region, "<u8", words, size - 8 * words)

    def discard(self) -> None:
        """Give the storage back."""
        self._words.clear()
        if self._places is not None:
            self._places.give_back(self._place)


class Staging:
    """All uploads on their way in.

    Args:
        spans: the frames of every upload.
        mac: makes the authenticator of a position's frames.
        max_in_flight: uploads kept in memory.
        spool: opens the file for all others.
        spool_bytes: that the file may have.
        keep: every upload goes to the file and stays there, to be read again.
    """

    def __init__(
        self,
        spans: Sequence[Span],
        mac: Callable[[int], FrameMac],
        *,
        max_in_flight: int,
        spool: Spool,
        spool_bytes: int,
        keep: bool = False,
    ) -> None:
        self._spans = spans
        self._offsets = (0, *accumulate(8 * words + _LEAD for _, _, words in spans))
        self._mac = mac
        self._places = Places(spool, self._offsets[-1], spool_bytes)
        self._most_in_memory = 0 if keep else max_in_flight
        self._in_memory: set[int] = set()
        self._uploads: dict[int, Upload] = {}
        self.keeps = keep

    def add(self, position: int, frame: FrameParts) -> None:
        """Take a frame; where its upload is kept is decided when the first one comes.

        Raises:
            Dropped: the frame is not authentic, is no part of the upload, or cannot be kept.
        """
        upload = self._uploads.get(position)
        if upload is None:
            upload = Upload(self._spans, self._offsets, self._mac(position))
            self._uploads[position] = upload
        if not upload.lacks(frame):
            return
        try:
            if not upload.begun:
                self._choose(position, upload)
            upload.keep(frame)
        except OSError as error:
            raise Dropped(DropReason.STAGING, _cause(error)) from None

    def _choose(self, position: int, upload: Upload) -> None:
        if len(self._in_memory) < self._most_in_memory:
            self._in_memory.add(position)
        else:
            upload.use(self._places)

    def complete(self, position: int) -> bool:
        """Whether all frames of an upload are here."""
        return position in self._uploads and self._uploads[position].complete

    def take(self, position: int) -> Iterator[tuple[Span, Words]]:
        """Hand on a complete upload, frame by frame; again and again, if it is kept.

        Raises:
            StagingFailed: it is lost; some of it may have been handed on.
        """
        yield from self._uploads[position].drain()
        if not self.keeps:
            self.discard(position)

    def discard(self, position: int) -> None:
        """Forget an upload, unless it is complete and to be kept."""
        if position in self._uploads and not (self.keeps and self.complete(position)):
            self._in_memory.discard(position)
            self._uploads.pop(position).discard()

    def close(self) -> None:
        """Forget everything and close the file."""
        self._uploads.clear()
        self._places.close()


def _cause(error: Exception) -> str:
    """What went wrong, without the paths of this machine."""
    return getattr(error, "strerror", None) or str(error)
