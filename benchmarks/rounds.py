"""Plays a round of the real sessions, gateways and server in turn, and times every call."""

from __future__ import annotations

import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from cProfile import Profile
from dataclasses import dataclass
from functools import lru_cache, partial
from types import MappingProxyType
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from benchmarks.timing import Clock, Samples
from secagg.crypto.signing import verify
from secagg.params import GatewayId, RoundParams, Thresholds
from secagg.protocol.events import UpdateDue
from secagg.protocol.identity import Identity, Roster
from secagg.protocol.journal import MemoryJournal
from secagg.protocol.messages import Signed
from secagg.protocol.policy import Policy
from secagg.schemes import BY_NAME, scheme_of
from secagg.schemes.scheme import Scheme
from secagg.session import ClientSession, Model, ServerSession, SessionSettings, UpdateEncoding
from secagg.session.loopback import Frame, Loopback, MakeUpload, Observer
from secagg.thresholds import derive, derive_committee
from secagg.workers import SERIAL, Workers

CLIP = 0.1
LARGEST = CLIP / 2
"""Largest coordinate of updates and of the base, so that differences stay within clip."""
LAYERS = 8
POLICY = Policy(min_colluding=1, require_model=False, repeat_model="allow")
TIMED = 10
"""Gateways that verify every signature themselves, and whose time is measured. The others, who in
one process would verify the same ones again for minutes, look the result up."""
LATE = {"consistency", "unmasking", "answer", "answer_again"}
"""Phases after the uploads, in which who did not upload is silent."""
Vector = NDArray[np.float32]
T = TypeVar("T")
Tree = Mapping[str, Vector]


@dataclass(frozen=True, slots=True)
class Case:
    """What is measured: n gateways and a model of d coordinates.

    Attributes:
        gateways: n.
        coordinates: d.
        vanished: gateways that deal their shares, send a header and never upload: all their masks
            stay in the sum. They stand at equal steps, so that no two are neighbours if they can
            help it: the most masks that so many can leave.
        repeats: rounds of each kind; the best counts.
        colluding: C, None for the default.
        dropouts: D, None for the default.
        scheme: its name.
        share_threshold: t of masks, None for the default.
        degree: k of masks, None for the default.
        committee: m of the additive schemes, None for the default.
        brief: one thread, no base, no footprint: for rounds that take a minute.
        layers: arrays of the model, of equal size.
    """

    gateways: int
    coordinates: int
    vanished: int
    repeats: int
    colluding: int | None = None
    dropouts: int | None = None
    scheme: str = "masks"
    share_threshold: int | None = None
    degree: int | None = None
    committee: int | None = None
    brief: bool = False
    layers: int = LAYERS

    @property
    def thresholds(self) -> Thresholds:
        """n, C, D and what follows."""
        if BY_NAME[self.scheme].family == "additive":
            return derive_committee(
                self.gateways,
                max_colluding=self.colluding,
                max_dropouts=self.dropouts,
                committee=self.committee,
            )
        return derive(
            self.gateways,
            max_colluding=self.colluding,
            max_dropouts=self.dropouts,
            share_threshold=self.share_threshold,
            degree=self.degree,
        )

    def __str__(self) -> str:
        limits = self.thresholds
        sharing = (
            f"m={limits.committee}, R={limits.share_threshold}, ell={limits.packed}"
            if limits.committee
            else f"k={limits.degree}, t={limits.share_threshold}"
        )
        return (
            f"{self.scheme}: n={self.gateways}, C={limits.max_colluding},"
            f" D={limits.max_dropouts}, {sharing}, d={self.coordinates:,},"
            f" {self.vanished} vanished"
        )


class World:
    """Identities, updates, settings and one-time keys that many rounds share."""

    def __init__(self, case: Case) -> None:
        random = np.random.default_rng(0)
        self.case = case
        self.ids = tuple(range(case.gateways))
        self.vanished = frozenset(i * case.gateways // case.vanished for i in range(case.vanished))
        self.survivors = tuple(name for name in self.ids if name not in self.vanished)
        self.timed = self.survivors[:TIMED]
        self.verify = lru_cache(maxsize=None)(verify)
        self.orchestrator = Identity.generate("orchestrator", os.urandom)
        self.identities = [Identity.generate(name, os.urandom) for name in self.ids]
        self.journals = [MemoryJournal() for _ in self.ids]
        self.roster = Roster.of(1, self.orchestrator, self.identities)
        self.updates = {name: _update(random, case.coordinates) for name in self.survivors}
        self.base = Model(tree(_update(random, case.coordinates), case.layers))
        self.template = tree(self.updates[self.survivors[0]], case.layers)
        self.scheme: Scheme = scheme_of(case.scheme)
        self.setup: Mapping[GatewayId, Signed] = {}
        self._rounds = 0

    def settings(self, base: Model | None) -> SessionSettings:
        """A new round."""
        self._rounds += 1
        return SessionSettings.of(
            self.scheme,
            UpdateEncoding(clip=CLIP),
            self.template,
            self.ids,
            thresholds=self.case.thresholds,
            model=Model.of(base).hash,
            number=self._rounds,
        )


class Meter(Observer):
    """Adds up seconds of every party, None for the server, and bytes of every gateway.

    Args:
        clock: seconds.
        profiles: what these parties do is recorded here; not to be timed as well.
    """

    def __init__(self, clock: Clock, profiles: Mapping[GatewayId | None, Profile]) -> None:
        self._clock = clock
        self._profiles = profiles
        self.seconds: defaultdict[GatewayId | None, float] = defaultdict(float)
        self.bytes_up: Counter[GatewayId] = Counter()
        self.bytes_down: Counter[GatewayId] = Counter()

    def call(self, _phase: str, party: GatewayId | None, work: Callable[[], T]) -> T:
        """Do the work of one party, and add its seconds."""
        profile = self._profiles.get(party)
        start = self._clock()
        result = work() if profile is None else profile.runcall(work)
        self.seconds[party] += self._clock() - start
        return result

    def frame(self, frame: Frame) -> None:
        """Add the bytes of a frame."""
        (self.bytes_up if frame.up else self.bytes_down)[frame.gateway] += len(frame.data)


class Round:
    """One session; call `set_up`, `uploads`, `deliver`, `open` in this order.

    Args:
        world: who takes part.
        base: the model that updates are relative to.
        workers: threads of everybody.
        clock: seconds.
        samples: measurements are added here, under names that start with "gateway" or "server".
        profiles: of `Meter`.
    """

    def __init__(
        self,
        world: World,
        base: Model | None = None,
        workers: Workers = SERIAL,
        clock: Clock = time.process_time,
        samples: Samples | None = None,
        profiles: Mapping[GatewayId | None, Profile] = MappingProxyType({}),
    ) -> None:
        self._world = world
        self._base = base
        self._samples = samples or Samples()
        self._meter = Meter(clock, profiles)
        settings = world.settings(base)
        self.server = self._meter.call(
            "",
            None,
            lambda: ServerSession(
                settings,
                world.roster,
                world.orchestrator,
                workers=workers,
                setup=world.setup,
                policy=POLICY,
            ),
        )
        clients = {
            name: ClientSession(
                world.identities[name],
                world.roster,
                POLICY,
                world.journals[name],
                workers=workers,
                schemes=(world.scheme,),
                verify=verify if name in world.timed else world.verify,
            )
            for name in world.ids
        }
        self._loop = Loopback(
            self.server, clients, self._prepare, silent=self._silent, observer=self._meter
        )
        self.bytes_up, self.bytes_down = self._meter.bytes_up, self._meter.bytes_down

    def set_up(self) -> None:
        """Key rounds: until every survivor is asked for its upload; the vanished stop there."""
        self._loop.send(self._loop.start())
        self._loop.settle()
        self._sample_gateways("gateway set-up")
        self._sample("server set-up", None)
        self._world.setup = self.server.setup

    @property
    def params(self) -> RoundParams:
        """P, as the survivors were told."""
        events = self._loop.client_events[self._world.survivors[0]]
        return next(event.params for event in events if isinstance(event, UpdateDue))

    def uploads(self) -> dict[int, list[bytes]]:
        """Every survivor's upload; each frame is copied away and dropped, as if it were sent."""
        return {name: [bytes(f) for f in self.upload(name)] for name in self._world.survivors}

    def deliver(self, uploads: Mapping[int, Sequence[bytes]]) -> None:
        """All uploads to the server, one after the other.

        A frame is copied before it is handed over, as a network does, and the copies outlive the
        upload: the server is charged neither for reading memory nobody has touched for long nor
        for giving back what the transport has allocated.
        """
        for name, frames in uploads.items():
            kept: list[bytes] = []
            for frame in frames:
                kept.append(b"".join((frame[:1], frame[1:])))
                self.receive(name, kept[-1])

    def upload(self, name: int) -> Iterator[bytes | bytearray]:
        """One gateway's frames; the time it takes to make them is kept."""
        while (frame := self._loop.next_frame(name)) is not None:
            self._meter.frame(frame)
            yield frame.data
        self._sample("gateway upload", name)

    def _prepare(self, name: int) -> MakeUpload:
        update = tree(self._world.updates[name], self._world.case.layers)
        return partial(self._loop.clients[name].upload, update, base=self._base)

    def receive(self, sender: int, frame: bytes | bytearray) -> None:
        """One frame to the server."""
        data = cast("bytes", frame)
        self._loop.send(self._loop.deliver(Frame(sender, up=True, step="", data=data)))

    def open(self) -> Tree:
        """Time is up for the vanished; the last exchanges, and the mean."""
        self._sample("server receiving", None)
        if self._world.vanished:  # otherwise the phase has closed by itself
            self._loop.deadline()
        self._loop.settle()
        self._sample_gateways("gateway last exchanges")
        self._sample("server unmasking", None)
        self._world.setup = self.server.setup
        result: Tree = self._meter.call(
            "", None, lambda: self.server.result.mean(self._world.template, self._base)
        )
        self._sample("server mean", None)
        return result

    def _silent(self, name: int) -> bool:
        return self.server.phase in LATE and name not in self._world.survivors

    def _sample(self, what: str, party: GatewayId | None) -> None:
        self._samples.add(what, self._meter.seconds.pop(party, 0.0))

    def _sample_gateways(self, what: str) -> None:
        """Keep the seconds of those who verify every signature themselves, and no others."""
        for name in self._world.survivors:
            seconds = self._meter.seconds.pop(name, 0.0)  # whoever holds no shares is not asked
            if name in self._world.timed:
                self._samples.add(what, seconds)


def tree(vector: Vector, layers: int = LAYERS) -> Tree:
    """A model of several leaves over one vector, without a copy."""
    return {f"layer{i}": part for i, part in enumerate(np.array_split(vector, layers))}


def flat(model: Tree) -> Vector:
    """The leaves as one vector."""
    return np.concatenate(list(model.values()))


def _update(random: np.random.Generator, coordinates: int) -> Vector:
    update = random.standard_normal(coordinates, dtype=np.float32)
    update *= np.float32(0.01)
    return np.clip(update, -LARGEST, LARGEST, out=update)
