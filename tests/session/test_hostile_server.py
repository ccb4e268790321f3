"""A lying server against real gateways: an honest prefix, then anything at all."""

from __future__ import annotations

from collections.abc import Collection

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from protocol_sim.parties import Parties
from secagg import wire
from secagg.errors import ForeignSession, LocalProtocolError, StaleRound, WireError
from secagg.protocol.events import Aborted, Completed, Send, UpdateDue
from secagg.schemes.masks import Masks
from secagg.wire import session_of
from tests.session.deceit import CODEC, Deceit, View
from tests.strategies import flipped, machine_settings, subsets

STEPS = tuple(step.name for step in Masks.steps)
GATEWAYS = st.integers(0, 3)
SESSIONS = st.sampled_from([0, 0, 0, 1])
"""Two sessions of one round; the attacks are mostly inside the first."""
FRAMES = 5


class LyingServer(RuleBasedStateMachine):
    """Four gateways, one of them the server's own: t = 2, q = n_min = 3, D = 1."""

    def __init__(self) -> None:
        super().__init__()
        self.parties = Parties(4)
        self.answers: dict[tuple[int, int, str], set[bytes]] = {}
        self.uploads: dict[int, list[int]] = {}
        self.asked: list[tuple[int, int, bytes]] = []

    @initialize(
        corrupt=GATEWAYS,
        prefix=st.sampled_from(STEPS[1:]),
        other=st.sampled_from(STEPS[:3]),
    )
    def honest_prefix(self, corrupt: int, prefix: str, other: str) -> None:
        self.corrupt = corrupt
        self.honest = [p for p in range(4) if p != corrupt]
        self.sessions = [Deceit(self.parties, corrupt, name) for name in range(2)]
        self.lives = {(s, p): 0 for s in range(2) for p in self.honest}
        self.clients = {(s, p): self.sessions[s].client(p) for s, p in self.lives}
        for s, end in ((1, other), (0, prefix)):
            for step in STEPS[: STEPS.index(end)]:
                for p in self.honest:
                    self.ask(s, p, step, range(4))

    # -- what the server may do --------------------------------------------------------------------

    def ask(self, s: int, position: int, step: str, shown: Collection[int]) -> None:
        self.deliver(s, position, self.sessions[s].request(position, step, shown))

    def deliver(self, s: int, position: int, frame: bytes) -> None:
        if position == self.corrupt:
            return
        self.asked.append((s, position, frame))
        try:
            events = list(self.clients[s, position].receive(frame))
        except (WireError, ForeignSession, LocalProtocolError):
            return
        for event in events:
            if isinstance(event, Send):
                self.learn(position, frame, event)
            elif isinstance(event, UpdateDue):
                self.upload(s, position, FRAMES)
            else:
                assert isinstance(event, (Aborted, Completed))

    def learn(self, position: int, request: bytes, send: Send) -> None:
        """A session that has answered nothing yet takes its name from the first frame."""
        name = session_of(send.frame)
        answer = CODEC.decode(wire.open(send.frame))
        if answer.step == "abort":
            return
        s = next(s for s, session in enumerate(self.sessions) if session.session == name)
        self.sessions[s].take(position, request, answer)
        self.answers.setdefault((s, position, answer.step), set()).add(bytes(send.frame))

    def ask_next(self, s: int, position: int, shown: Collection[int] | None) -> None:
        """The step that this gateway has not answered; None shows it what follows from its view."""
        done = {step for (a, p, step) in self.answers if (a, p) == (s, position)}
        step = next((step for step in STEPS if step not in done), STEPS[-1])
        view = self.sessions[s].views[position]
        natural = {"masked_input": view.adverts, "consistency": view.u2}.get(step, range(4))
        self.ask(s, position, step, natural if shown is None else shown)

    @rule(s=SESSIONS, position=GATEWAYS, shown=subsets(4))
    def the_next_request(self, s: int, position: int, shown: frozenset[int]) -> None:
        self.ask_next(s, position, shown)

    @rule(s=SESSIONS, shown=subsets(4), onward=st.integers(0, 4))
    def the_next_request_to_all(self, s: int, shown: frozenset[int], onward: int) -> None:
        self.to_all(s, (shown,) * 4, onward)

    @rule(s=SESSIONS, shown=st.tuples(*[subsets(4)] * 4), onward=st.integers(0, 4))
    def another_request_to_each(
        self, s: int, shown: tuple[frozenset[int], ...], onward: int
    ) -> None:
        self.to_all(s, tuple(each | {p} for p, each in enumerate(shown)), onward)

    def to_all(self, s: int, shown: tuple[frozenset[int], ...], onward: int) -> None:
        """One step of the server's choice, then as if nothing had happened."""
        for sets in (shown, *[(None,) * 4] * onward):
            for position in self.honest:
                self.ask_next(s, position, sets[position])

    @rule(s=SESSIONS, position=GATEWAYS, step=st.sampled_from(STEPS), shown=subsets(4))
    def any_request(self, s: int, position: int, step: str, shown: frozenset[int]) -> None:
        self.ask(s, position, step, shown)

    @rule(at=st.integers(0, 200))
    def a_replay(self, at: int) -> None:
        if self.asked:
            self.deliver(*self.asked[-1 - at % len(self.asked)])

    @rule(at=st.integers(0, 200), s=SESSIONS, position=GATEWAYS)
    def the_request_of_another(self, at: int, s: int, position: int) -> None:
        if self.asked:
            self.deliver(s, position, self.asked[-1 - at % len(self.asked)][2])

    @rule(at=st.integers(0, 200), data=st.data())
    def a_request_with_a_flipped_bit(self, at: int, data: st.DataObject) -> None:
        if self.asked:
            s, position, frame = self.asked[-1 - at % len(self.asked)]
            changed = data.draw(flipped(frame))
            for session in self.sessions:
                session.shown[changed] = session.shown.get(frame, View())
            self.deliver(s, position, changed)

    @rule(s=SESSIONS, position=GATEWAYS, again=st.booleans(), shown=subsets(4))
    def a_restart(self, *, s: int, position: int, again: bool, shown: frozenset[int]) -> None:
        """The process dies, comes back with its journal, and is asked the same or something new."""
        if position == self.corrupt:
            return
        self.lives[s, position] += 1
        self.clients[s, position] = self.sessions[s].client(position, self.lives[s, position])
        if again:
            for asked in [each for each in self.asked if each[:2] == (s, position)]:
                self.deliver(*asked)
        else:
            for step in STEPS:
                self.ask(s, position, step, shown | {position})

    @rule(s=SESSIONS, position=GATEWAYS, frames=st.integers(0, FRAMES))
    def upload(self, s: int, position: int, frames: int) -> None:
        """The gateway's own application uploads, or tries to once more."""
        if position == self.corrupt:
            return
        name = self.parties.ids[position]
        try:
            sends = self.clients[s, position].upload(
                self.parties.update(name),
                self.parties.weight(name),
                metrics=self.parties.metrics(name),
            )
            for _ in range(frames):
                if next(sends, None) is not None:
                    self.uploads.setdefault(position, []).append(s)
        except (LocalProtocolError, StaleRound):
            return

    # -- what must hold whatever it does -----------------------------------------------------------

    @invariant()
    def one_answer_to_each_step_from_the_first_share_on(self) -> None:
        for (_, _, step), bodies in self.answers.items():
            assert step == "advertise_keys" or len(bodies) == 1

    @invariant()
    def one_upload_in_a_round(self) -> None:
        for frames in self.uploads.values():
            assert len(set(frames)) == 1
            assert len(frames) <= FRAMES

    @invariant()
    def never_both_secrets_of_one_gateway(self) -> None:
        for session in getattr(self, "sessions", ()):
            seeds, keys = session.opened()
            assert not seeds & keys

    @invariant()
    def one_certified_set(self) -> None:
        for session in getattr(self, "sessions", ()):
            assert len({answer.h3 for _, answer in session.unmasked.values()}) <= 1

    @invariant()
    def who_unmasks_is_included_and_has_uploaded(self) -> None:
        for s, session in enumerate(getattr(self, "sessions", ())):
            for position, (view, _) in session.unmasked.items():
                assert position in view.u3
                assert len(view.u3) >= session.limits.min_included
                assert [s] * FRAMES == self.uploads.get(position)

    def teardown(self) -> None:
        """A gateway that has failed or ended holds no secret."""
        for client in getattr(self, "clients", {}).values():
            machine = client._client
            if machine is not None and machine.done:
                assert {} == machine._secrets == machine._edges == machine._held


TestLyingServer = LyingServer.TestCase
TestLyingServer.settings = machine_settings(examples=150, steps=14)
