"""Defines what a server's stages raise about the sender of an answer or a frame."""

from __future__ import annotations

from collections.abc import Mapping

from secagg.errors import BadSignature, ForeignSession, SecAggError, WireError
from secagg.protocol.messages import DropReason


class Dropped(Exception):
    """Raised by a stage: this sender is dropped, the session goes on."""

    def __init__(self, reason: DropReason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


class Unproven(Dropped):
    """Not authentic, or not of this transcript: another may have sent or replayed it.

    It is ignored, unless the link vouches for the sender.
    """


REASONS: Mapping[type[SecAggError], DropReason] = {
    BadSignature: DropReason.BAD_SIGNATURE,
    WireError: DropReason.MALFORMED,
    ForeignSession: DropReason.FOREIGN,
}
