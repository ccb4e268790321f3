"""A gateway that cheats in one session: its keys, its place in the cohort, its own machine."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final, cast

import msgspec

from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from protocol_sim.play import Play
from secagg import canonical, wire
from secagg.crypto.labels import Label
from secagg.crypto.sealing import FrameMac
from secagg.crypto.signing import SigningKey
from secagg.errors import WireError
from secagg.params import SessionParams, Struct, Thresholds
from secagg.protocol.identity import Cohort
from secagg.protocol.messages import COMMON, Answer, Signed, Signer
from secagg.protocol.steps import Step
from secagg.schemes.base import ClientContext
from secagg.schemes.client import Client
from secagg.schemes.scheme import Scheme
from secagg.session.loopback import Frame
from secagg.wire import TAG_BYTES, VECTOR, Codec, MessageTable, new_vector_frame

SHADOWS: Final = 64
"""Sessions beside the one that is played, kept: many cheaters repeat what was said in them."""


class Cheater:
    """A gateway that cheats in one session: it reads its own answers and signs others.

    Args:
        play: the session.
        name: of the cheater.

    Attributes:
        key: signs for it.
        position: in the cohort.
    """

    def __init__(self, play: Play, name: str) -> None:
        self.play = play
        self.name = name
        self.key: SigningKey = play.parties.identities[name].key
        self.cohort = Cohort.of(play.parties.roster, play.settings.cohort)
        self.position = self.cohort.position(name)

    @property
    def scheme(self) -> Scheme:
        """Scheme of the session."""
        return self.play.settings.scheme

    @property
    def limits(self) -> Thresholds:
        """Thresholds of the session."""
        return self.play.settings.thresholds

    @property
    def session(self) -> bytes:
        """Its id."""
        return self.play.server.session

    @property
    def params(self) -> SessionParams:
        """K, as it was announced."""
        return self.play.server._server.params  # noqa: SLF001 - public, and told to everybody

    @cached_property
    def steps(self) -> dict[str, Step]:
        """Steps of the scheme, by name."""
        return {step.name: step for step in self.scheme.steps}

    @cached_property
    def codec(self) -> Codec:
        """Codec of the scheme's messages."""
        return Codec(MessageTable(dict(COMMON) | dict(self.scheme.messages)))

    @cached_property
    def frames(self) -> int:
        """Vector frames of an upload."""
        params = self.play.settings.round_params(None)
        return len(self.scheme.spans(params, len(self.cohort)))

    def others(self, count: int) -> frozenset[int]:
        """The last so many positions but the cheater's own."""
        places = [place for place in range(len(self.cohort)) if place != self.position]
        return frozenset(places[-count:])

    @property
    def most(self) -> int:
        """C."""
        return self.limits.max_colluding

    # -- reading and speaking ----------------------------------------------------------------------

    def answer(self, frame: Frame) -> Answer | None:
        """The cheater's own answer to a step in a frame, None for any other frame."""
        if not frame.up or frame.gateway != self.name:
            return None
        try:
            message = self.codec.decode(wire.open(frame.data))
        except WireError:  # a vector frame, or one that the network has damaged
            return None
        return message if isinstance(message, Answer) and message.step in self.steps else None

    def number(self, frame: Frame) -> int | None:
        """The number of one of the cheater's own vector frames, None for any other frame."""
        if not frame.up or frame.gateway != self.name:
            return None
        try:
            return wire.open(frame.data).vector().sequence
        except WireError:
            return None

    def body(self, answer: Answer) -> Any:
        """What was signed; None if another cheat has made it unreadable."""
        try:
            return canonical.decode(self.steps[answer.step].answer, answer.signed.body)
        except WireError:
            return None

    def signed(self, label: Label, body: Struct | bytes, by: Signer | None = None) -> Signed:
        """A body of its own under its own key, past the checks that an honest sender runs."""
        raw = body if isinstance(body, bytes) else msgspec.msgpack.encode(body)
        return Signed(body=raw, signature=(by or self.key).sign(label, raw))

    def sign(self, step: str, body: Struct | bytes) -> bytes:
        """The frame of a well-signed answer."""
        kind = self.steps[step]
        return self.say(step, self.signed(kind.label, body, self.play.signer(self.name, kind)))

    def say(self, step: str, signed: Signed) -> bytes:
        """The frame of an answer."""
        return self.codec.encode(Answer(step=step, signed=signed), self.session)

    # -- its own machine ---------------------------------------------------------------------------

    @property
    def machine(self) -> Any:
        """The scheme's client in it, once the session has begun."""
        return self.play.clients[self.name]._client  # noqa: SLF001 - it is its own

    def become(self, kind: type) -> None:
        """Replace the machine, before the session begins, by one of another kind."""
        scheme = self.scheme
        extra = (scheme.name, type(scheme).ring) if hasattr(scheme, "ring") else ()

        def client(session: bytes, context: ClientContext) -> Client:
            return cast("Client", kind(session, context, *extra))

        spoken = cast("Scheme", _Spoken(scheme.name, scheme.steps, scheme.messages, client))
        self.play.clients[self.name] = self.play.parties.client(
            self.name, self.play.number, self.play.name, schemes=(spoken,)
        )

    def frame(self, number: int, words: int, fill: int = 0) -> bytes:
        """An authentic vector frame.

        Args:
            number: of the frame.
            words: in it.
            fill: what every word is.
        """
        frame, space = new_vector_frame(self.session, number, words)
        space[:] = fill
        frame[-TAG_BYTES:] = self._tag(number, bytes(memoryview(frame)[:-TAG_BYTES]))
        return bytes(frame)

    def filled(self, data: bytes, fill: int) -> bytes:
        """A frame like another one, every word of it something else, and authentic."""
        parts = wire.open(data).vector()
        return self.frame(parts.sequence, len(parts.words), fill)

    def _tag(self, number: int, region: bytes) -> bytes:
        mac: FrameMac = self.machine._frame_mac()  # noqa: SLF001 - its own
        return mac.tag(number, region)

    # -- what it has said elsewhere ----------------------------------------------------------------

    def elsewhere(self, step: str, *, number: int | None = None) -> Signed:
        """What it signed for the same step in a session beside this one.

        Args:
            step: name.
            number: of that session's round; this one's by default.
        """
        return self._shadow(number)[0][step]

    def frames_elsewhere(self) -> tuple[bytes, ...]:
        """The vector frames that it sent in a session of the same round beside this one."""
        return self._shadow(None)[1]

    def _shadow(self, number: int | None) -> tuple[dict[str, Signed], tuple[bytes, ...]]:
        parties = self.play.parties
        said = _said(
            cast("Hashable", self.scheme),
            len(parties.ids),
            parties.seed,
            parties.coordinates,
            self.play.number if number is None else number,
        )
        mine = [wire.open(data) for name, data in said if name == self.name]
        messages = [self.codec.decode(each) for each in mine if each.type != VECTOR]
        signed = {each.step: each.signed for each in messages if isinstance(each, Answer)}
        return signed, tuple(bytes(each.frame) for each in mine if each.type == VECTOR)


@Scheme.register
@dataclass(frozen=True, slots=True)
class _Spoken:
    """A scheme as a cheater speaks it: all that a `ClientSession` asks of one."""

    name: str
    steps: object
    messages: object
    client: object


@lru_cache(SHADOWS)
def _said(
    scheme: Hashable, gateways: int, seed: object, coordinates: int, number: int
) -> tuple[tuple[str, bytes], ...]:
    """Everybody's frames of an honest session of the same parties, with journals of its own."""
    parties = Parties(gateways, cast("Scheme", scheme), seed=seed, coordinates=coordinates)
    exchange = Exchange(parties, number, name="elsewhere").play()
    return tuple((frame.gateway, frame.data) for frame in exchange.log if frame.up)
