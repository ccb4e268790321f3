"""One session with all its parties, deterministic: every byte follows from the seed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

import numpy as np

from secagg import wire
from secagg.crypto.signing import verify
from secagg.fixed_point.reference import unpack
from secagg.params import Entropy, Thresholds
from secagg.protocol.events import GatewayDropped
from secagg.protocol.identity import Identity, Roster
from secagg.protocol.journal import Journal, MemoryJournal
from secagg.protocol.messages import Signed
from secagg.protocol.policy import Policy
from secagg.protocol.spool import Spool
from secagg.protocol.steps import upload_index
from secagg.schemes.masks import Masks
from secagg.schemes.scheme import Scheme
from secagg.session import ClientSession, ServerSession, SessionSettings, UpdateEncoding
from secagg.session.loopback import Frame, Loopback, MakeUpload, Passes, unchanged
from secagg.session.server import temporary_file
from secagg.session.update import Update, rounding_key
from secagg.thresholds import derive
from secagg.wire import VECTOR
from secagg.workers import Workers

ROUNDING = b"the same numbers again"
MAX_WEIGHT = 8.0
VERIFY = lru_cache(1 << 14)(verify)
POLICY = Policy(min_colluding=1, require_model=False)
"""Many worlds say the same; what does not verify is not kept."""


def entropy(*name: object) -> Entropy:
    """A stream of bytes that follows from a name: cut as you like, the bytes stay the same."""
    blocks = (hashlib.sha256(f"{name} {at}".encode()).digest() for at in range(1 << 40))
    stream = (byte for block in blocks for byte in block)
    return lambda size: bytes(next(stream) for _ in range(size))


@dataclass
class World(Loopback):
    """Gateways 0 .. n - 1, at positions of the same numbers.

    `vanish` maps a gateway to the phase from which on it is silent, or to the number of frames that
    it sends before it falls silent. The seed names the parties, the session what they draw. `setup`
    and `spool` are the orchestrator's.
    """

    scheme: Scheme
    gateways: int = 4
    seed: str = "a"
    coordinates: int = 7
    threads: int = 1
    max_in_flight: int = 2
    interleaved: bool = False
    vanish: Mapping[int, str | int] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    round: int = 1
    session: str = ""
    journals: Mapping[int, Journal] | None = None
    setup: Mapping[int, Signed] = field(default_factory=dict)
    spool: Spool = temporary_file
    passes: Passes = unchanged
    shared: Any = None
    log: list[Frame] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ids = range(self.gateways)
        orchestrator = Identity.generate("orchestrator", entropy(self.seed, "orchestrator key"))
        identities = [Identity.generate(i, entropy(self.seed, "key", i)) for i in self.ids]
        self.identities = identities
        self.orchestrator = orchestrator
        self.roster = Roster.of(1, orchestrator, identities)
        self.workers = Workers(self.threads)
        self.settings = self._settings()
        server = ServerSession(
            self.settings,
            self.roster,
            orchestrator,
            rng=self.entropy("server"),
            workers=self.workers,
            max_in_flight=self.max_in_flight,
            spool=self.spool,
            setup=self.setup,
            policy=POLICY,
            verify=VERIFY,
        )
        clients = {i: self.client(i) for i in self.ids}
        self._sent = dict.fromkeys(self.ids, 0)
        super().__init__(
            server,
            clients,
            self.prepare,
            silent=self._silent,
            passes=self.passes,
            times_out=lambda _server: False,
        )

    def entropy(self, *name: object) -> Entropy:
        """What a party of this session draws."""
        return entropy(self.seed, self.session, *name)

    def client(self, i: int) -> ClientSession:
        return ClientSession(
            self.identities[i],
            self.roster,
            POLICY,
            MemoryJournal() if self.journals is None else self.journals[i],
            rng=self.entropy("client", i),
            workers=self.workers,
            schemes=(self.scheme,),
            verify=VERIFY,
        )

    def _settings(self) -> SessionSettings:
        # a precision that every layout reaches
        encoding = UpdateEncoding(
            clip=1.0, max_weight=MAX_WEIGHT, precision=1.0, metrics={"loss": 100.0}
        )
        return SessionSettings.of(
            self.scheme,
            encoding,
            self.update(0),
            self.ids,
            thresholds=self._thresholds(),
            number=self.round,
        )

    def _thresholds(self) -> Thresholds:
        if isinstance(self.scheme, Masks):  # `limits` may name what only a proof would change
            return derive(self.gateways, **self.limits)
        return self.scheme.thresholds(self.gateways, **self.limits)

    # -- inputs ------------------------------------------------------------------------------------

    def update(self, i: int) -> dict[str, Any]:
        if self.shared is not None:
            return self.shared
        # not numpy's generator, whose numbers may differ between versions: vectors are frozen
        drawn = hashlib.shake_128(f"update {i}".encode()).digest(4 * (self.coordinates + 3))
        numbers = np.frombuffer(drawn, "<i4")
        return {"w": numbers[3:] / 2**31, "steps": numbers[:3].astype(np.int64)}

    def weight(self, i: int) -> float:
        return 0.5 + i % 7

    def metrics(self, i: int) -> dict[str, float]:
        return {"loss": 0.25 * i - 1}

    def encoded(self, i: int) -> list[list[int]]:
        """The coordinates of a gateway's vectors as integers."""
        params = self.server._server.round
        update = Update(
            params,
            self.gateways,
            self.update(i),
            weight=self.weight(i),
            base=None,
            metrics=self.metrics(i),
            rounding=rounding_key(ROUNDING, i, b""),
        )
        fill, vectors = update.source(), []
        for v, spec in enumerate(params.vectors):
            words = np.empty(spec.words, np.uint64)
            fill(v, 0, words)
            vectors.append(unpack(spec, words.tolist())[: spec.length])
        return vectors

    def expected(self, included: Iterator[int]) -> list[list[int]]:
        """The integer oracle: what the sum over these gateways is."""
        return [[sum(c) for c in zip(*v)] for v in zip(*map(self.encoded, included))]  # noqa: B905

    # -- outcome -----------------------------------------------------------------------------------

    @property
    def opened_words(self) -> list[np.ndarray]:
        """The sum of each vector, lanes still packed."""
        return self.server._server.opened.vectors

    @property
    def opened(self) -> list[list[int]]:
        """The sums of the coordinates of each vector."""
        vectors = self.server._server.round.vectors
        return [
            unpack(spec, words.tolist())[: spec.length]
            for spec, words in zip(vectors, self.opened_words, strict=True)
        ]

    @property
    def included(self) -> tuple[int, ...]:
        return self.server.result.included

    @property
    def dropped(self) -> dict[int, str]:
        return {e.id: e.reason.name for e in self.events if isinstance(e, GatewayDropped)}

    def uploaded(self) -> dict[int, np.ndarray]:
        """All words that each gateway uploaded."""
        words = {i: [] for i in self.ids}
        for frame in self.log:
            if frame.up and wire.open(frame.data).type == VECTOR:
                words[frame.gateway].append(wire.open(frame.data).vector().words)
        return {i: np.concatenate(parts) for i, parts in words.items() if parts}

    # -- delivery ----------------------------------------------------------------------------------

    def play(self) -> World:
        """Run to the end."""
        self.run()
        return self

    def prepare(self, i: int) -> MakeUpload:
        update, weight, metrics = self.update(i), self.weight(i), self.metrics(i)
        upload = self.clients[i].upload
        return partial(upload, update, weight, metrics=metrics, rounding_seed=ROUNDING)

    def turn(self) -> None:
        """The next upload, or if they are interleaved the next frame of one."""
        if not self.interleaved:
            super().turn()
            return
        name = next(iter(self.uploads))
        if (frame := self.next_frame(name)) is not None:
            self.uploads[name] = self.uploads.pop(name)
            self.carry(frame)

    def carry(self, frame: Frame) -> None:
        """A frame arrives, unless its gateway is silent, and is noted."""
        frame = frame._replace(data=bytes(frame.data))
        if not self._silent(frame.gateway):
            self.log.append(frame)
        super().carry(frame)
        self._sent[frame.gateway] += frame.up

    def _silent(self, i: int) -> bool:
        since = self.vanish.get(i)
        if isinstance(since, int):
            return self._sent[i] >= since
        phases = [step.name for step in self.scheme.steps]
        now = self.server.phase
        return since is not None and now in phases[phases.index(since) :]


def phases(scheme: Scheme) -> tuple[str, ...]:
    """What a first round of few gateways goes through."""
    return tuple(step.name for step in scheme.steps_for(scheme.thresholds(4)))


def upload_phase(scheme: Scheme) -> int:
    """Which of the scheme's phases the upload belongs to."""
    return upload_index(scheme.steps_for(scheme.thresholds(4)))


@lru_cache
def block_words(scheme: Scheme) -> int:
    """Words that no frame tears apart."""
    ring = getattr(World(scheme).server._server, "_ring", None)
    return 1 if ring is None else ring.unit
