"""Plays sessions in virtual time: frames take a while, gateways come and go, deadlines pass."""

from __future__ import annotations

import hashlib
import heapq
import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, Final

from protocol_sim.attacks import Attacker, attack_of
from protocol_sim.attendance import Attendance
from protocol_sim.cheats import CHEATS, Cheat, judge_run, random_cheat
from protocol_sim.memory import points
from protocol_sim.moments import Moment, Run
from protocol_sim.network import Link, Way
from protocol_sim.oracle import Verdict
from protocol_sim.parties import Parties
from protocol_sim.play import Play
from protocol_sim.randomness import dice
from protocol_sim.scenario import Plan, Scenario
from secagg.errors import SecAggError
from secagg.protocol.events import Aborted, Completed, GatewayDropped, PhaseClosed
from secagg.protocol.journal import Journal
from secagg.schemes import scheme_of
from secagg.session.loopback import Frame, Passes

MAX_EVENTS: Final = 200_000
"""Events of one run: enough for every scenario, an end for one that would go on for ever."""


def run(scenario: Scenario) -> Run:
    """Play a scenario to its end.

    Args:
        scenario: what is played.
    """
    return World(scenario).run()


class World:
    """The clock, the network and the parties of one run.

    Args:
        scenario: what is played.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.now = 0.0
        self.moments: list[Moment] = []
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._transcript = hashlib.sha256()
        self.parties = Parties(
            scenario.gateways,
            scheme_of(scenario.scheme),
            seed=scenario.seed,
            coordinates=scenario.coordinates,
        )
        self._backups: dict[str, Journal] = {
            name: self.parties.snapshot(name) for name in scenario.names
        }
        self._restored: set[str] = set()
        self._ways = {
            (name, up): Way(scenario.links.get(name, Link()), dice("way", scenario.seed, name, up))
            for name in scenario.names
            for up in (True, False)
        }
        for name in scenario.names:
            for index, restart in enumerate(self._plan(name).restarts):
                self._at(restart.time, partial(self._restart, name, index, stale=restart.stale))

    def run(self) -> Run:
        """All rounds."""
        verdicts: list[Verdict] = []
        setup: Any = {}
        for number in range(1, self.scenario.rounds + 1):
            verdict, setup = self._round(number, setup)
            verdicts.append(verdict)
            self._transcript.update(repr(verdict).encode())
        return Run(
            self.scenario,
            tuple(verdicts),
            self._transcript.hexdigest(),
            tuple(self.moments),
            self.now,
        )

    # -- a round -----------------------------------------------------------------------------------

    def _round(self, number: int, setup: Any) -> tuple[Verdict, Any]:
        self.play = Play(self.parties, number, setup=setup, vouched=False)
        self._attendance = Attendance(self.play)
        self.play.absent |= dict.fromkeys(self._restored, "its journal is a backup")
        self._sent = dict.fromkeys(self.scenario.names, 0)
        self._asked: dict[str, Frame] = {}
        self._seen = 0
        last = number == self.scenario.rounds
        self._allowed = self._silences() if last else {}
        self._cast = self._cheaters() if last else {}
        self._hooks = self._hostile() if last else []
        self._emit(self._made(self.play.start()))
        self._deadline()
        for _ in range(MAX_EVENTS):
            if not self.play.running:
                break
            self._next()
        return self._judge(), self.play.server.setup

    def _judge(self) -> Verdict:
        """What must come of it, and if gateways cheat, who may be blamed for it."""
        outcome = judge_run(self.play, self._cast)
        return replace(outcome.verdict, violation=outcome.violation)

    def _cheaters(self) -> dict[str, Cheat]:
        scenario = self.scenario
        return {
            name: random_cheat((scenario.seed, name), scenario.scheme)
            if plan.cheat == "random"
            else CHEATS[plan.cheat]
            for name, plan in scenario.plans.items()
            if plan.cheat
        }

    def _hostile(self) -> list[Passes]:
        """What happens to frames before they are sent."""
        hooks = [cheat.make(self.play, name) for name, cheat in self._cast.items()]
        attack = self.scenario.attack
        if attack is not None:
            attacker = Attacker(
                self.play, phase=attack.phase, victim=attack.victim, send=self._emit
            )
            hooks.append(attacker.around(attack_of(attack.name).make(attacker)))
        return hooks

    def _silences(self) -> dict[str, int]:
        scenario, settings = self.scenario, self.play.settings
        spans = settings.scheme.spans(settings.round_params(None), scenario.gateways)
        places = points(settings.scheme, settings.thresholds, len(spans))
        return {
            name: places[plan.vanish] if isinstance(plan.vanish, str) else plan.vanish
            for name, plan in scenario.plans.items()
            if plan.vanish is not None
        }

    def _next(self) -> None:
        time, _, action = heapq.heappop(self._queue)
        self.now = max(self.now, time)
        action()
        self._note_events()

    def _at(self, time: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (time, next(self._numbers), action))

    def _deadline(self) -> None:
        """Wait for what is waited for now; then go on without, unless something has changed."""
        play, waiting = self.play, self._waiting

        def due() -> None:
            if self.play is play and self._waiting == waiting:
                self._note("deadline", step=play.server.phase)
                self._attendance.deadline()
                self._emit(self._made(play.advance()))
                if play.running:
                    self._deadline()

        self._at(self.now + self.scenario.deadline, due)

    @property
    def _waiting(self) -> tuple[str, bool]:
        """The phase, and whether headers are waited for: they have a deadline of their own."""
        return self.play.server.phase, bool(self.play.server.headers_missing)

    # -- frames ------------------------------------------------------------------------------------

    def _emit(self, frames: Iterable[Frame]) -> None:
        """Send frames, each on its gateway's way."""
        phase = self.play.server.phase
        for frame in frames:
            if frame.up and self._silent(frame.gateway):
                continue
            if frame.up:
                self._sent[frame.gateway] += 1
                if self._silent(frame.gateway):
                    self._note("vanished", frame.gateway, step=phase)
            for data in self._passed(frame):
                passed = frame._replace(data=data)
                if not frame.up:
                    self._asked[frame.gateway] = passed
                self._send(passed)

    def _passed(self, frame: Frame) -> list[bytes]:
        """What is sent instead of a frame."""
        frames = [frame.data]
        for hook in self._hooks:
            frames = [made for data in frames for made in hook(frame._replace(data=data))]
        return frames

    def _send(self, frame: Frame) -> None:
        number, direction = str(next(self._numbers)), "up" if frame.up else "down"
        self._note(f"sent {direction}", frame.gateway, frame.step, len(frame.data), number)
        lost = True
        for arrival in self._ways[frame.gateway, frame.up].carry(self.now, frame.data):
            lost = False
            carried = frame._replace(data=arrival.data)
            time = arrival.time
            if not frame.up:
                time = self._back(frame.gateway, time)
            if time < math.inf:
                self._at(time, partial(self._arrive, self.play, carried, number))
        if lost:
            self._note("lost", frame.gateway, frame.step, len(frame.data), number)

    def _arrive(self, play: Play, frame: Frame, number: str) -> None:
        if self.play is not play or (not frame.up and self._silent(frame.gateway)):
            return
        direction = "up" if frame.up else "down"
        self._note(f"arrived {direction}", frame.gateway, frame.step, len(frame.data), number)
        self._transcript.update(f"{self.now} {direction} {frame.gateway} ".encode() + frame.data)
        waiting, frames = self._waiting, self._delivered(frame)
        if frame.up:
            self._emit(frames)
        else:
            answer = partial(self._answer, self.play, frame.gateway, frames)
            self._at(self.now + self._plan(frame.gateway).slow, answer)
        if self.play.running and self._waiting != waiting:
            self._deadline()

    def _made(self, frames: list[Frame]) -> list[Frame]:
        for frame in frames:
            self._attendance.leaves(frame)
        return frames

    def _delivered(self, frame: Frame) -> list[Frame]:
        self._attendance.arrives(frame)
        try:
            return self._made(self.play.deliver(frame))
        except SecAggError as error:  # a gateway that was lied to does not upload
            self.play.client_events[frame.gateway].append(Aborted(error))
            return []

    def _answer(self, play: Play, name: str, frames: list[Frame]) -> None:
        """A gateway has thought: its answer, then its upload, a frame at a time."""
        if self.play is play:
            self._emit(frames)
            self._upload(play, name)

    def _upload(self, play: Play, name: str) -> None:
        if self.play is not play or name not in play.uploads or self._silent(name):
            return
        frame = play.next_frame(name)
        if frame is not None:
            self._emit(self._made([frame]))
            self._at(self._ways[name, True].free, partial(self._upload, play, name))

    # -- gateways ----------------------------------------------------------------------------------

    def _plan(self, name: str) -> Plan:
        return self.scenario.plans.get(name, Plan())

    def _silent(self, name: str) -> bool:
        return self._sent[name] >= self._allowed.get(name, math.inf)

    def _back(self, name: str, time: float) -> float:
        """When a gateway finds what arrives at `time`."""
        for begin, end in self._plan(name).away:
            if begin <= time < end:
                return end
        return time

    def _restart(self, name: str, life: int, *, stale: bool) -> None:
        """The process comes back, and the transport delivers once more what it was asked last."""
        self._note("restarted", name, self.play.server.phase, detail="stale" if stale else "")
        options = {"journal": self._backups[name]} if stale else {}
        self.play.restart(name, (life, stale), **options)
        if stale:
            self._restored.add(name)
            self.parties.journals[name] = self._backups[name]
            self._backups[name] = self.parties.snapshot(name)
        if name in self._asked and not self._silent(name):
            self._send(self._asked[name])

    # -- notes -------------------------------------------------------------------------------------

    def _note(
        self, kind: str, gateway: str = "", step: str = "", size: int = 0, detail: str = ""
    ) -> None:
        self.moments.append(Moment(self.now, kind, gateway, step, size, detail))

    def _note_events(self) -> None:
        """What the server has told since the last look."""
        for event in self.play.events[self._seen :]:
            match event:
                case PhaseClosed(phase=phase):
                    self._note("phase closed", step=phase)
                case GatewayDropped(id=name, phase=phase, reason=reason):
                    self._note("dropped", str(name), phase, detail=reason.name)
                case Completed():
                    self._note("completed")
                case Aborted(reason=error):
                    self._note("aborted", detail=type(error).__name__)
                case _:
                    continue
        self._seen = len(self.play.events)
