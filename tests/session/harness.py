"""An in-memory network: a real server, real gateways, and whatever goes wrong between them.

`Parties` are who they are over many sessions (keys, journals, roster); a `World` is one session of
theirs. Every byte follows from the seed.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from secagg.crypto.signing import verify
from secagg.errors import ForeignSession, LocalProtocolError, SecAggError, WireError
from secagg.fixed_point.reference import unpack
from secagg.params import Entropy, MetricSpec, RoundParams
from secagg.protocol.events import Aborted, Event, GatewayDropped, Send, UpdateDue
from secagg.protocol.identity import Identity, Roster
from secagg.protocol.journal import Journal, MemoryJournal
from secagg.protocol.policy import Policy
from secagg.schemes.masks import Masks
from secagg.session import ClientSession, Encoding, Model, ServerSession, SessionSettings
from secagg.session.server import temporary_file
from secagg.session.settings import layout, plan_of
from secagg.session.update import Update, rounding_key
from secagg.thresholds import derive
from secagg.wire import frame_spans, session_of

STEPS = ("advertise_keys", "share_keys", "masked_input", "consistency", "unmasking")
POINTS = (
    "advertise_keys",
    "share_keys",
    "masked_input",
    "header",
    "half",
    "last",
    "consistency",
    "unmasking",
)
"""Where a gateway falls silent: before its answer to a step, or inside its upload: once the header
is out, half way through the frames, before the last frame."""
ROUNDING = b"the same numbers again"
MAX_WEIGHT = 8.0
METRICS = (MetricSpec(name="loss", bound=100.0),)
VERIFY = lru_cache(1 << 15)(verify)
"""Everybody checks the same signatures, and so do many worlds; what does not verify is not kept."""


def entropy(*name: object) -> Entropy:
    """A stream of bytes that follows from a name and from how it is cut."""
    calls = itertools.count()
    return lambda size: hashlib.shake_256(repr((name, next(calls))).encode()).digest(size)


def update(place: int, coordinates: int = 7) -> dict[str, Any]:
    """What the gateway at this place of the roster trained."""
    rng = np.random.default_rng(place)
    return {"w": rng.uniform(-1, 1, coordinates), "steps": rng.integers(-(10**6), 10**6, 3)}


def weight(place: int) -> float:
    return 0.5 + place % 7


def metrics(place: int) -> dict[str, float]:
    return {"loss": 0.25 * (place % 400) - 1}


class Parties:
    """Identities, journals and the roster of the gateways "g0", "g1", ..."""

    def __init__(self, gateways: int, *, seed: str = "a", epoch: int = 1) -> None:
        self.seed = seed
        self.ids = tuple(f"g{place}" for place in range(gateways))
        self.place = {name: place for place, name in enumerate(self.ids)}
        self.orchestrator = Identity.generate("orchestrator", entropy(seed, "orchestrator"))
        self.identities = {name: Identity.generate(name, entropy(seed, name)) for name in self.ids}
        self.journals: dict[str, Journal] = {name: MemoryJournal() for name in self.ids}
        self.roster = Roster.of(epoch, self.orchestrator, self.identities.values())

    def client(self, name: str, *salt: object, **options: Any) -> ClientSession:
        """A session of this gateway; `salt` makes its randomness another."""
        return ClientSession(
            self.identities[name],
            options.pop("roster", self.roster),
            options.pop("policy", Policy(min_colluding=1)),
            self.journals[name],
            rng=entropy(self.seed, name, *salt),
            verify=VERIFY,
            **options,
        )

    def settings(
        self,
        number: int = 1,
        cohort: Iterable[str] | None = None,
        *,
        template: Any = None,
        model: Model | None = None,
        limits: Mapping[str, int] | None = None,
    ) -> SessionSettings:
        ids = tuple(cohort or self.ids)
        encoding = Encoding(clip=1.0, max_weight=MAX_WEIGHT, metrics={"loss": METRICS[0].bound})
        leaves, vectors = layout(
            template or update(0),
            encoding,
            gateways=len(ids),
            plan=plan_of(Masks(), encoding, len(ids)),
        )
        return SessionSettings(
            scheme=Masks(),
            round=number,
            cohort=ids,
            thresholds=derive(len(ids), **(limits or {})),
            model=(model or Model(None)).hash,
            leaves=leaves,
            vectors=vectors,
            max_weight=MAX_WEIGHT,
            metrics=METRICS,
        )


class Frame(NamedTuple):
    """Bytes on their way; `step` is the server's phase when they were sent."""

    gateway: str
    up: bool
    step: str
    data: bytes


@dataclass
class World:
    """One session of all its parties.

    Attributes:
        vanish: gateway -> point from which on it neither hears nor speaks.
        order: place in the list of frames under way that is delivered next; frames of one gateway
            in one direction never overtake one another.
        interleaved: the uploads of all gateways run side by side.
        passes: what arrives instead of a frame.
        late: frames that arrive only once their phase was closed.
    """

    parties: Parties
    number: int = 1
    cohort: tuple[str, ...] = ()
    settings: SessionSettings | None = None
    vanish: Mapping[str, str] = field(default_factory=dict)
    order: int = 0
    interleaved: bool = False
    max_in_flight: int = 2
    spool: Callable[[], Any] = temporary_file
    passes: Callable[[Frame], Iterable[bytes]] = lambda frame: (frame.data,)
    late: Callable[[Frame], bool] = lambda _frame: False
    keep_log: bool = True
    model: Model | None = None
    log: list[Frame] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    refused: list[tuple[str, SecAggError]] = field(default_factory=list)

    def __post_init__(self) -> None:
        parties = self.parties
        self.cohort = self.cohort or parties.ids
        if self.settings is None:
            self.settings = parties.settings(self.number, self.cohort, model=self.model)
        self.server = ServerSession(
            self.settings,
            parties.roster,
            parties.orchestrator,
            rng=entropy(parties.seed, "server", self.number),
            max_in_flight=self.max_in_flight,
            spool=self.spool,
            verify=VERIFY,
        )
        self.clients = {name: parties.client(name, self.number) for name in self.cohort}
        self.client_events: dict[str, list[Event]] = {name: [] for name in self.cohort}
        self.sent = dict.fromkeys(self.cohort, 0)
        self.pending: list[Frame] = []
        self.held: list[Frame] = []
        self.uploads: dict[str, Iterator[Send]] = {}
        spans = len(frame_spans([vector.words for vector in self.settings.vectors]))
        counts = (0, 1, 2, 3, 3 + spans // 2, 3 + spans - 1, 3 + spans, 4 + spans)
        allowed = dict(zip(POINTS, counts, strict=True))
        self.allowed = {name: allowed[point] for name, point in self.vanish.items()}

    # -- delivery ----------------------------------------------------------------------------------

    def play(self) -> World:
        """Run to the end; whoever is silent costs a deadline."""
        if self.server.phase == "ready":
            self.start()
        while self.running:
            if not self.step():
                self.advance()
        while self.step():
            pass
        return self

    def start(self) -> None:
        self.collect(self.server.start())

    def play_until(self, phase: str) -> World:
        """Run until the server has opened this phase; its requests are still under way."""
        if self.server.phase == "ready":
            self.start()
        while self.running and self.server.phase != phase:
            if not self.step():
                self.advance()
        return self

    @property
    def running(self) -> bool:
        return self.server.phase not in {"done", "aborted"}

    def advance(self) -> None:
        """A deadline, and then what comes too late."""
        self.collect(self.server.advance())
        self.pending += self.held
        self.held = []

    def step(self) -> bool:
        """Deliver one frame or make one frame of an upload; False when nothing moves."""
        if self.pending:
            chosen = self.pending[self.order]
            line = (frame for frame in self.pending if frame[:2] == chosen[:2])
            frame = next(line)
            self.pending.remove(frame)
            self._deliver(frame)
            return True
        if not self.uploads:
            return False
        name = list(self.uploads)[self.order]
        frames = self.uploads.pop(name)
        if (send := next(frames, None)) is not None:
            # the next turn is another's, or this one's again
            rest = {name: frames}
            first = self.interleaved == (self.order == 0)
            self.uploads = self.uploads | rest if first else rest | self.uploads
            self.to_server(name, send)
        return True

    def _deliver(self, frame: Frame) -> None:
        if self.late(frame) and self.server.phase == frame.step and self.running:
            self.held.append(frame)
            return
        if not frame.up and self.silent(frame.gateway):
            return
        if self.keep_log:
            self.log.append(frame)
        for data in self.passes(frame):
            if not frame.up:
                self.arrive(frame.gateway, data)
            elif not self.foreign(data):
                self.collect(self.server.receive(frame.gateway, data))

    def foreign(self, data: bytes) -> bool:
        """Whether the router gives these bytes to another session; what is no frame comes here."""
        try:
            return session_of(data) != self.server.session
        except WireError:
            return False

    def arrive(self, name: str, data: bytes) -> None:
        """Bytes reach a gateway."""
        try:
            events = self.clients[name].receive(data)
        except (WireError, ForeignSession, LocalProtocolError) as error:
            self.refused.append((name, error))
            return
        for event in events:
            self.client_events[name].append(event)
            if isinstance(event, Send):
                self.to_server(name, event)
            elif isinstance(event, UpdateDue):
                self.uploads[name] = self.upload(name)

    def upload(self, name: str) -> Iterator[Send]:
        place = self.parties.place[name]
        return self.clients[name].upload(
            update(place),
            weight(place),
            base=self.model,
            metrics=metrics(place),
            rounding_seed=ROUNDING,
        )

    def silent(self, name: str) -> bool:
        return name in self.allowed and self.sent[name] >= self.allowed[name]

    def to_server(self, name: str, send: Send) -> None:
        if not self.silent(name):
            self.sent[name] += 1
            self.pending.append(Frame(name, up=True, step=self.server.phase, data=send.frame))

    def collect(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, Send):
                self.pending.append(
                    Frame(event.to, up=False, step=self.server.phase, data=event.frame)
                )
            else:
                self.events.append(event)

    # -- outcome -----------------------------------------------------------------------------------

    @property
    def dropped(self) -> dict[str, tuple[str, str]]:
        """gateway -> (phase, reason)."""
        drops = (event for event in self.events if isinstance(event, GatewayDropped))
        return {event.id: (event.phase, event.reason.name) for event in drops}

    @property
    def aborted(self) -> SecAggError | None:
        return next((event.reason for event in self.events if isinstance(event, Aborted)), None)

    @property
    def opened(self) -> list[list[int]]:
        """Summed coordinates of every vector, out of the words the server opened."""
        server = self.server._server
        return [
            unpack(spec, words.tolist())[: spec.length]
            for spec, words in zip(server.round.vectors, server.opened.vectors, strict=True)
        ]

    def expected(self, included: Iterable[str]) -> list[list[int]]:
        """The oracle: the sum over these gateways in Python integers."""
        blank = self.server._server.round.replace(session_params=bytes(32))
        each = [coordinates(blank, name, self.parties.place[name]) for name in included]
        return [[sum(lane) for lane in zip(*v, strict=True)] for v in zip(*each, strict=True)]


@lru_cache(4096)
def coordinates(params: RoundParams, name: str, place: int) -> tuple[tuple[int, ...], ...]:
    """One gateway's coordinates of every vector as integers."""
    encoded = Update(
        params,
        update(place),
        weight=weight(place),
        base=None,
        metrics=metrics(place),
        rounding=rounding_key(ROUNDING, name, b""),
    )
    fill, vectors = encoded.source(), []
    for index, spec in enumerate(params.vectors):
        words = np.empty(spec.words, np.uint64)
        fill(index, 0, words)
        vectors.append(tuple(unpack(spec, words.tolist())[: spec.length]))
    return tuple(vectors)


def assert_exact(world: World) -> None:
    """The opened sum is that of the included gateways, who are as many as promised."""
    included = world.server.result.included
    limits = world.settings.thresholds

    assert len(included) >= max(limits.min_included, limits.gateways - limits.max_dropouts)
    assert world.expected(included) == world.opened
    assert "done" == world.server.phase
    assert world.aborted is None
