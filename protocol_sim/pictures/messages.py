"""What a timeline shows: the messages of one session, its phases, and a clock that skips waits."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from protocol_sim.moments import Moment, Run

ENDS: Final = frozenset({"completed", "aborted"})
_OVER: Final = frozenset({"", "done", "aborted"})
"""What the step is called once the session has ended."""
_LONGEST: Final = 0.07
"""Share of a timeline that one wait may take; what is longer is cut."""


@dataclass(frozen=True, slots=True)
class Message:
    """A frame on its way.

    Attributes:
        gateway: at one end.
        up: to the orchestrator.
        step: the phase in which it was sent.
        sent: seconds.
        arrived: seconds; None if nobody heard it.
        lost: on the way.
        size: bytes.
    """

    gateway: str
    up: bool
    step: str
    sent: float
    arrived: float | None
    lost: bool
    size: int


@dataclass(frozen=True, slots=True)
class Phase:
    """Time between two steps of the orchestrator.

    Attributes:
        name: of the step.
        begin: seconds.
        end: seconds.
    """

    name: str
    begin: float
    end: float


def sessions(run: Run) -> list[tuple[Moment, ...]]:
    """The moments of each round; a round ends with what its orchestrator says of it."""
    rounds: list[list[Moment]] = [[]]
    for moment in run.moments:
        rounds[-1].append(moment)
        if moment.kind in ENDS and not moment.gateway:
            rounds.append([])
    return [tuple(each) for each in rounds if each]


def messages(moments: Sequence[Moment]) -> list[Message]:
    """Each frame once for each time it arrived, or once if it did not."""
    sent = {each.detail: each for each in moments if each.kind in {"sent up", "sent down"}}
    lost = {each.detail for each in moments if each.kind == "lost"}
    found: list[Message] = []
    heard: set[str] = set()
    for moment in moments:
        if moment.kind in {"arrived up", "arrived down"} and moment.detail in sent:
            heard.add(moment.detail)
            found.append(_message(sent[moment.detail], moment.time, lost=False))
    missing = (each for number, each in sent.items() if number not in heard)
    found += [_message(each, None, lost=each.detail in lost) for each in missing]
    return sorted(found, key=lambda each: (each.sent, each.gateway))


def _message(sent: Moment, arrived: float | None, *, lost: bool) -> Message:
    up = sent.kind == "sent up"
    return Message(sent.gateway, up, sent.step, sent.time, arrived, lost, sent.size)


def phases(moments: Sequence[Moment]) -> list[Phase]:
    """The phases, from the first moment to the last, cut where one was closed."""
    found: list[Phase] = []
    begin = moments[0].time
    for moment in moments:
        if moment.kind == "phase closed":
            found.append(Phase(moment.step, begin, moment.time))
            begin = moment.time
    open_last = [each.step for each in moments if each.time >= begin and each.step not in _OVER]
    if moments[-1].kind == "aborted" and open_last:
        found.append(Phase(open_last[-1], begin, moments[-1].time))
    return found


class Clock:
    """Places of times on a line of length 1, on which no wait is longer than its share.

    Args:
        times: seconds, at least one.

    Attributes:
        cuts: (place, seconds left out) of every wait that was shortened to less than half.
    """

    def __init__(self, times: Sequence[float]) -> None:
        self._times = sorted(set(times))
        gaps = [b - a for a, b in zip(self._times, self._times[1:], strict=False)]
        longest = _longest(gaps)
        total = sum(min(gap, longest) for gap in gaps) or 1.0
        self._places = [0.0]
        self.cuts: list[tuple[float, float]] = []
        for gap in gaps:
            step = min(gap, longest) / total
            if gap > 2 * longest:
                self.cuts.append((self._places[-1] + step / 2, gap - longest))
            self._places.append(min(self._places[-1] + step, 1.0))

    def __call__(self, time: float) -> float:
        """Place of a time between the first and the last; outside, that of the nearer end."""
        index = bisect_right(self._times, time) - 1
        if index < 0:
            return 0.0
        if index >= len(self._times) - 1:
            return self._places[-1]
        begin, end = self._times[index : index + 2]
        share = (time - begin) / (end - begin)
        return self._places[index] + share * (self._places[index + 1] - self._places[index])

    def ticks(self, count: int) -> Iterator[tuple[float, float]]:
        """(place, seconds) of times that lie about 1/count apart on the line."""
        last = -1.0
        for time, place in zip(self._times, self._places, strict=True):
            if place >= last + 1 / count:
                last = place
                yield place, time


def _longest(gaps: Sequence[float]) -> float:
    """The longest wait that takes no more than its share once all longer ones are cut to it."""
    ordered = sorted(gaps)
    if len(ordered) * _LONGEST <= 1:
        return max(ordered, default=0.0)
    below = 0.0
    for index, gap in enumerate(ordered):
        cut = len(ordered) - index
        # All from here on cut to `longest`: longest = share * (below + cut * longest).
        if cut * _LONGEST < 1:
            longest = _LONGEST * below / (1 - cut * _LONGEST)
            if longest <= gap:
                return longest
        below += gap
    return ordered[-1]
