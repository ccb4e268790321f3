"""Adds uploads to one running sum, and takes them out again if they were kept."""

from __future__ import annotations

from secagg.protocol.staging import Staging
from secagg.schemes.additive.rings import RingSum
from secagg.wire import VectorFrame


class Summing:
    """One round's sum. Complete uploads are added at once; the others are staged.

    Args:
        total: empty.
        staging: where uploads wait; one that keeps them lets them be taken out again.
    """

    def __init__(self, total: RingSum, staging: Staging) -> None:
        self.total = total
        self.staging = staging

    def take_frame(self, position: int, frame: VectorFrame) -> None:
        """Take a frame.

        Raises:
            Dropped: it is not authentic, is no part of an upload, or cannot be kept.
        """
        self.staging.add(position, frame)
        self.total.check(frame.words)

    def add_up(self, position: int) -> bool:
        """Add an upload if it is complete; whether it was.

        Raises:
            StagingFailed: it is lost.
        """
        if not self.staging.complete(position):
            return False
        for (vector, first, _), part in self.staging.take(position):
            self.total.add(vector, first, part)
        return True

    def take_out(self, position: int) -> None:
        """Subtract an upload that was kept.

        Raises:
            StagingFailed: it is lost.
        """
        for (vector, first, _), part in self.staging.take(position):
            self.total.subtract(vector, first, part)
