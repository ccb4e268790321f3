"""Which gateways the network or their own process has put out of a session.

Counted from what arrives, never from what the server says of anybody: an oracle that took the
server's word would excuse a server that drops everybody.
"""

from __future__ import annotations

from collections import defaultdict, deque

from protocol_sim.play import Play
from secagg import wire
from secagg.errors import WireError
from secagg.session.loopback import Frame
from secagg.wire import VECTOR

Way = tuple[str, bool]
"""(gateway, up)."""


class Attendance:
    """What is under way in one session, and who has failed to deliver: told to `play.absent`.

    A gateway counts as absent from the moment at which something else than its next frame, or than
    the orchestrator's next to it, has arrived, or a deadline has found something of it missing.

    Args:
        play: the session.
    """

    def __init__(self, play: Play) -> None:
        self._play = play
        self._under_way: defaultdict[Way, deque[bytes]] = defaultdict(deque)
        self._here: defaultdict[Way, set[bytes]] = defaultdict(set)
        self._last: dict[Way, bytes] = {}

    def leaves(self, frame: Frame) -> None:
        """A party has made a frame; one that it makes again is the same frame."""
        way = frame.gateway, frame.up
        if frame.data not in self._under_way[way] and frame.data not in self._here[way]:
            self._under_way[way].append(frame.data)

    def arrives(self, frame: Frame) -> None:
        """Bytes are at the end of their way."""
        way, data = (frame.gateway, frame.up), frame.data
        if self._under_way[way] and self._under_way[way][0] == data:
            self._here[way].add(self._under_way[way].popleft())
            self._last[way] = data
        # a message may arrive as often as it likes, a frame of an upload again before the next one
        elif data not in self._here[way] or (_of_upload(data) and data != self._last[way]):
            self._absent(frame.gateway, "other frames arrive than were sent")

    def deadline(self) -> None:
        """Time is up for whatever is under way; while headers are missing, for messages only."""
        headers_only = bool(self._play.server.headers_missing)
        for name in self._play.cohort:
            missing = [*self._under_way[name, False], *self._under_way[name, True]]
            uploading = name in self._play.uploads
            if headers_only:
                missing, uploading = [data for data in missing if not _of_upload(data)], False
            if missing or uploading:
                self._absent(name, f"late in {self._play.server.phase}")

    def _absent(self, name: str, why: str) -> None:
        self._play.absent.setdefault(name, why)


def _of_upload(data: bytes) -> bool:
    try:
        return wire.open(data).type == VECTOR
    except WireError:
        return False
