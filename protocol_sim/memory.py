"""Carries frames without time: they arrive at once, in an order of the caller's choice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

from protocol_sim.oracle import Verdict, judge
from protocol_sim.parties import Parties
from protocol_sim.play import Play
from secagg.params import Thresholds
from secagg.protocol.steps import upload_index
from secagg.schemes.scheme import Scheme
from secagg.session import ServerSession
from secagg.session.loopback import Frame, Passes, unchanged


def points(scheme: Scheme, limits: Thresholds, frames: int) -> dict[str, int]:
    """Where a gateway can fall silent in a first round: name -> frames that it sends before.

    Before its answer to a step (the step's name); once the header of its upload is out ("header"),
    half way through the frames ("half"), before the last of them ("last").

    Args:
        scheme: of the round.
        limits: of the round.
        frames: of an upload, besides its header.
    """
    taken = scheme.steps_for(limits)
    steps, upload = [step.name for step in taken], upload_index(taken)
    before = {step: at for at, step in enumerate(steps[: upload + 1])}
    inside = {"header": upload + 1, "half": upload + 1 + frames // 2, "last": upload + frames}
    after = {step: upload + 1 + frames + at for at, step in enumerate(steps[upload + 1 :])}
    return before | inside | after


class Exchange(Play):
    """A session whose frames arrive at once.

    Args:
        parties: everybody.
        number: of the round.
        vanish: gateway -> point (`points`) from which on it neither hears nor speaks, or the number
            of frames that it sends before.
        order: place in the list of frames under way that is delivered next; frames of one gateway
            in one direction never overtake one another.
        interleaved: the uploads of all gateways run side by side.
        passes: what arrives instead of a frame.
        late: frames that arrive only once their phase was closed.
        times_out: as of `Loopback`; here it waits for the headers too.
        keep_log: keep every frame in `log`.
        options: of `Play`.
    """

    def __init__(
        self,
        parties: Parties,
        number: int = 1,
        *,
        vanish: Mapping[str, str | int] | None = None,
        order: int = 0,
        interleaved: bool = False,
        passes: Passes = unchanged,
        late: Callable[[Frame], bool] = lambda _frame: False,
        times_out: Callable[[ServerSession], bool] = lambda _server: False,
        keep_log: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(parties, number, passes=passes, times_out=times_out, **options)
        self.order, self.interleaved = order, interleaved
        self.late, self.keep_log = late, keep_log
        self.log: list[Frame] = []
        self.held: list[Frame] = []
        self.sent = dict.fromkeys(self.cohort, 0)
        params = self.settings.round_params(None)
        frames = len(self.settings.scheme.spans(params, len(self.cohort)))
        self.points = points(self.settings.scheme, self.settings.thresholds, frames)
        self.allowed = {
            name: since if isinstance(since, int) else self.points[since]
            for name, since in (vanish or {}).items()
        }

    def play(self) -> Self:
        """Run to the end; whoever is silent costs a deadline."""
        self.run()
        while self.step():
            pass
        return self

    def play_until(self, phase: str) -> Self:
        """Run until the server has opened this phase; its requests are still under way."""
        self.run(until=phase)
        return self

    def deadline(self) -> None:
        """A deadline, and then what comes too late."""
        super().deadline()
        self.pending += self.held
        self.held = []

    def pick(self) -> Frame:
        """Take the frame that arrives next."""
        chosen = self.pending[self.order]
        frame = next(each for each in self.pending if each[:2] == chosen[:2])
        self.pending.remove(frame)
        return frame

    def turn(self) -> None:
        """Make the next frame of an upload."""
        name = list(self.uploads)[self.order]
        frame = self.next_frame(name)
        if frame is not None:
            # the next turn is another's, or this one's again
            rest = {name: self.uploads.pop(name)}
            behind = self.interleaved == (self.order == 0)
            self.uploads = self.uploads | rest if behind else rest | self.uploads
            self.send([frame])

    def send(self, frames: Iterable[Frame]) -> None:
        """Put frames under way; a silent gateway's are lost."""
        for frame in frames:
            if frame.up:
                if self.silent(frame.gateway):
                    self.absent.setdefault(frame.gateway, "vanished")
                    continue
                self.sent[frame.gateway] += 1
            self.pending.append(frame)

    def silent(self, name: str) -> bool:
        """Whether a gateway has vanished."""
        return name in self.allowed and self.sent[name] >= self.allowed[name]

    def carry(self, frame: Frame) -> None:
        """A frame arrives, unless it is late or its gateway has vanished."""
        if self.late(frame) and self.server.phase == frame.step and self.running:
            self.held.append(frame)
            self.absent.setdefault(frame.gateway, f"late in {frame.step}")
            return
        if not frame.up and self.silent(frame.gateway):
            self.absent.setdefault(frame.gateway, "vanished")
            return
        if self.keep_log:
            self.log.append(frame)
        self._observer.frame(frame)
        passed = list(self.passes(frame))
        if not frame.up and passed != [frame.data]:
            self.absent.setdefault(frame.gateway, "other frames arrive than were sent")
        for data in passed:
            self.send(self.deliver(frame._replace(data=data)))

    @property
    def verdict(self) -> Verdict:
        """How it ended."""
        return judge(self)
