"""Real sessions in which somebody cheats: dealers, holders, and whoever has a prekey."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
from msgspec.structs import replace

from secagg import canonical, wire
from secagg.crypto.labels import Label
from secagg.crypto.packed import PRIME
from secagg.params import GatewayId, Struct
from secagg.protocol.events import PhaseClosed, SharesDisputed
from secagg.protocol.messages import COMMON, Answer, Signed
from secagg.protocol.prekeys import Prekey
from secagg.schemes.additive import Lattice
from secagg.schemes.additive import client as module
from secagg.schemes.additive.client import AdditiveClient
from secagg.schemes.additive.lattice import LatticeRing
from secagg.schemes.additive.messages import MESSAGES, STEPS, Dealing, KeySum, SetUp
from secagg.schemes.additive.shares import Channels
from secagg.session import ClientSession
from secagg.session.loopback import Frame
from secagg.wire import VECTOR, Codec, MessageTable
from tests.schemes.world import World

CODEC = Codec(MessageTable(dict(COMMON) | dict(MESSAGES)))
LABELS = {step.name: (step.answer, step.label) for step in STEPS}
SEVEN = range(7)
"""n = m = 7, C = D = 2: q = n_min = 5, t = 4, R = 5: one wrong sum of seven is corrected."""
LIAR = 2
OTHERS = set(SEVEN) - {LIAR}
Rows = np.ndarray
"""uint16[m, columns + 8]."""


def random_rows(rows: Rows) -> Rows:
    """Shares of nothing."""
    return np.random.default_rng(3).integers(0, PRIME, rows.shape, np.uint16)


def crooked(change: Callable[[Rows], Rows]) -> type[AdditiveClient]:
    """A gateway that seals other shares than its proof is about."""

    def deals(deal: Callable[..., Any], *args: Any) -> Any:
        honest = deal(*args)
        rows = change(honest.rows.copy()).astype(honest.rows.dtype)
        return SimpleNamespace(rows=rows, prove=honest.prove)

    return _with("deal", deals)


def deals_key(change: Callable[[Any], Any]) -> type[AdditiveClient]:
    """Good shares, with a good proof, of another key than the one it encrypts with."""
    return _with("deal", lambda deal, key, *rest: deal(change(key), *rest))


def seals(change: Callable[[tuple[bytes, ...]], tuple[bytes, ...]]) -> type[AdditiveClient]:
    """Other ciphertexts than its shares', with a proof that is made for them."""

    def channels(kind: type[Channels], *args: Any) -> Channels:
        class Sealing(kind):
            def seal(self, shares: Any, salt: bytes) -> tuple[bytes, ...]:
                return change(super().seal(shares, salt))

        return Sealing(*args)

    return _with("Channels", channels)


def _with(name: str, stand_in: Callable[..., Any]) -> type[AdditiveClient]:
    """A gateway that uses something of its own while it deals."""

    class Liar(AdditiveClient):
        def _deal(self, private: bytes) -> Signed:
            with patch.object(module, name, partial(stand_in, getattr(module, name))):
                return super()._deal(private)

    return Liar


def says(change: Callable[[Dealing], Dealing]) -> type[AdditiveClient]:
    """A gateway that changes its dealing once it is made."""

    class Says(AdditiveClient):
        def _deal(self, private: bytes) -> Signed:
            dealing = canonical.decode(Dealing, super()._deal(private).body)
            return self._sign(Label.SIGN_DEALING, change(dealing))

    return Says


@dataclass(frozen=True, slots=True)
class Speaks(Lattice):
    """The scheme, spoken by a client of another kind."""

    kind: type[AdditiveClient] = AdditiveClient

    def client(self, session: bytes, context: Any) -> AdditiveClient:
        return self.kind(session, context, self.name, LatticeRing)


@dataclass
class Cheats(World):
    """A session with liars.

    Attributes:
        kinds: clients of another kind.
        lies: (gateway, step) -> what it says instead, signed with its own key.
    """

    kinds: Mapping[int, type[AdditiveClient]] = field(default_factory=dict)
    lies: Mapping[tuple[int, str], Callable[[Any], Struct]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.passes = self.lie

    def client(self, i: int) -> ClientSession:
        if i not in self.kinds:
            return super().client(i)
        scheme, self.scheme = self.scheme, Speaks(kind=self.kinds[i])
        try:
            return super().client(i)
        finally:
            self.scheme = scheme

    def lie(self, frame: Frame) -> Iterable[bytes]:
        """A liar's own signed answer in the place of its client's."""
        if frame.up and wire.open(frame.data).type != VECTOR:
            answer = CODEC.decode(wire.open(frame.data))
            change = self.lies.get((frame.gateway, answer.step))
            if change is not None:
                kind, label = LABELS[answer.step]
                key = self.identities[frame.gateway].key
                body = canonical.decode(kind, answer.signed.body)
                if isinstance(body, SetUp):
                    prekey = change(canonical.decode(Prekey, body.prekey.body))
                    body = replace(body, prekey=Signed.make(key, Label.SIGN_PREKEY, prekey))
                else:
                    body = change(body)
                signed = body if isinstance(body, Signed) else Signed.make(key, label, body)
                said = Answer(step=answer.step, signed=signed)
                return [CODEC.encode(said, self.server.session)]
        return [frame.data]

    # -- outcome -----------------------------------------------------------------------------------

    @property
    def disputes(self) -> set[tuple[int, int]]:
        """(holder, dealer)."""
        return {(e.holder, e.dealer) for e in self.events if isinstance(e, SharesDisputed)}

    @property
    def phases_closed(self) -> dict[str, tuple[GatewayId, ...]]:
        """Who answered in each phase."""
        closed = (event for event in self.events if isinstance(event, PhaseClosed))
        return {event.phase: event.answered for event in closed}

    @property
    def phases(self) -> list[str]:
        return list(self.phases_closed)


def play(**options: Any) -> Cheats:
    return Cheats(options.pop("scheme", Lattice()), gateways=7, **options).play()


def of(answer: KeySum, **changes: Any) -> KeySum:
    return replace(answer, **changes)


def added(answer: KeySum, amount: int, columns: slice = slice(None)) -> KeySum:
    """A sum of shares that is wrong by an amount."""
    sums = np.frombuffer(answer.shares, "<u2").astype(np.int64)
    sums[columns] = (sums[columns] + amount) % PRIME
    return replace(answer, shares=sums.astype("<u2").tobytes())


def assert_exact(world: World, included: Iterable[int]) -> None:
    """The opened sum is that of these gateways: exactly, updates but for the announced noise."""
    included = sorted(included)
    opened, noise = world.opened, world.server.settings.carried.noise.bound

    assert tuple(included) == world.included
    assert "done" == world.server.phase
    assert sum(map(world.weight, included)) == world.server.result.total_weight
    for spec, expected, found in zip(
        world.settings.vectors, world.expected(included), opened, strict=True
    ):
        allowed = noise if spec.kind == "update" else 0
        assert max(map(abs, np.subtract(expected, found, dtype=object))) <= allowed, spec.name


def assert_nothing_opened(world: World) -> None:
    assert "aborted" == world.server.phase
    assert world.server._server.opened is None
