"""What a lying orchestrator has: its key, a gateway on its side, and all that passes by."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from protocol_sim.memory import Exchange
from protocol_sim.play import Play
from secagg import wire
from secagg.crypto.labels import Label
from secagg.errors import WireError
from secagg.params import SessionParams, Struct
from secagg.protocol.messages import (
    COMMON,
    Announce,
    Answer,
    Farewell,
    Signed,
    sign_round,
    sign_session,
)
from secagg.schemes import BY_NAME
from secagg.session.loopback import Frame, Passes
from secagg.wire import VECTOR, Codec, MessageTable

Hook = Passes
"""Makes of a frame that passes by the bytes that arrive in its place."""

FAMILIES: Final = {
    name: each.family for name, each in BY_NAME.items() if each.family in {"masks", "additive"}
}
"""The schemes whose messages the attacks know."""
replace: Final = msgspec.structs.replace


class CannotAttack(Exception):
    """What this attack would be made of has not passed by, or is not what it looks for."""


class Attacker:
    """The orchestrator's dishonest half: it sits between an honest session and its gateways.

    Args:
        play: the session.
        phase: whose requests it changes.
        victim: gateway that it attacks.
        send: puts frames of its own under way.
        past: a session of an earlier round of the same parties.

    Attributes:
        play, phase, victim, past: as given.
        colluder: gateway whose keys it holds.
        spare: honest gateway that it hides from the victim.
        said: every answer that has passed by, by gateway and step.
        asked: every request of the honest session, likewise.
        view: the positions that the victim was shown last.
        sessions: what it has played besides.
        then: what it does once the session is over.
    """

    def __init__(
        self,
        play: Play,
        *,
        phase: str,
        victim: str,
        send: Callable[[Iterable[Frame]], None],
        past: Exchange | None = None,
    ) -> None:
        self.play, self.phase, self.victim, self.past = play, phase, victim, past
        self._send = send
        self._names = sorted(play.cohort, key=play.parties.place.__getitem__)
        others = [name for name in self._names if name != victim]
        self.spare, self.colluder = others[0], others[-1]
        self.said: dict[tuple[str, str], Signed] = {}
        self.asked: dict[tuple[str, str], Struct] = {}
        self.view: frozenset[int] = frozenset()
        self.sessions: list[Exchange] = []
        self.then: Callable[[], object] = lambda: None
        self._own: set[tuple[str, bytes]] = set()
        scheme = play.settings.scheme
        self.family = scheme.family
        self.steps = tuple(step.name for step in scheme.steps)
        self.limits = play.settings.thresholds
        self._codec = Codec(MessageTable(dict(COMMON) | dict(scheme.messages)))

    # -- positions ---------------------------------------------------------------------------------

    @property
    def everybody(self) -> range:
        """All positions."""
        return range(len(self._names))

    @property
    def me(self) -> int:
        """The victim's position."""
        return self.place(self.victim)

    def place(self, name: str) -> int:
        """Position of a gateway."""
        return self._names.index(name)

    def name(self, position: int) -> str:
        """The reverse."""
        return self._names[position]

    # -- messages ----------------------------------------------------------------------------------

    def around(self, hook: Hook) -> Passes:
        """An attack as a hook of a network: notes what passes by, leaves its own frames alone."""

        def passes(frame: Frame) -> Iterable[bytes]:
            if not frame.up and (frame.gateway, frame.data) in self._own:
                return (frame.data,)
            self._note(frame)
            return attempt(hook, frame)

        return passes

    def _note(self, frame: Frame) -> None:
        try:
            envelope = wire.open(frame.data)
            if envelope.type == VECTOR or envelope.session != self.play.server.session:
                return
            message = self._codec.decode(envelope)
        except WireError:
            return
        if isinstance(message, Answer):
            self.said.setdefault((frame.gateway, message.step), message.signed)
        elif not isinstance(message, Farewell):
            self.asked.setdefault((frame.gateway, frame.step), message)

    def open(self, data: bytes) -> Any:
        """A message of this session.

        Raises:
            CannotAttack: it is none.
        """
        try:
            envelope = wire.open(data)
            if envelope.session == self.play.server.session:
                return self._codec.decode(envelope)
        except WireError as error:
            raise CannotAttack(str(error)) from None
        raise CannotAttack("a frame of another session")

    def frame(self, message: Struct) -> bytes:
        """The bytes of a message."""
        return self._codec.encode(message, self.play.server.session)

    def ask(self, message: Struct) -> None:
        """Send the victim a request that the honest session knows nothing of."""
        data = self.frame(message)
        self._own.add((self.victim, data))
        self._send([Frame(self.victim, False, self.play.server.phase, data)])

    def answer_of(self, name: str, step: str) -> Signed:
        """A gateway's answer to a step.

        Raises:
            CannotAttack: it has not passed by.
        """
        if (name, step) not in self.said:
            raise CannotAttack(f"{name} has not answered {step}")
        return self.said[name, step]

    def from_past(self, step: str) -> bytes:
        """The frame that the victim was asked this with in the earlier round.

        Raises:
            CannotAttack: it was not.
        """
        log = self.past.log if self.past else []
        for frame in log:
            if (frame.gateway, frame.up, frame.step) == (self.victim, False, step):
                return frame.data
        raise CannotAttack(f"no {step} of an earlier round")

    def old(self, step: str) -> Any:
        """The message in it."""
        return self._codec.decode(wire.open(self.from_past(step)))

    # -- signatures --------------------------------------------------------------------------------

    def announce(self, params: SessionParams) -> Announce:
        """K with the orchestrator's signature."""
        return sign_session(self.play.parties.orchestrator.key, params)

    def with_session(self, message: Any, **changes: Any) -> Struct:
        """A request with another K, signed anew.

        Raises:
            CannotAttack: there is no K in it.
        """
        if isinstance(message, Announce):
            return self.announce(replace(message.claimed, **changes))
        if not hasattr(message, "announce"):
            raise CannotAttack("no K in this request")
        announce = self.with_session(message.announce, **changes)
        request: Struct = replace(message, announce=announce)
        return request

    def with_round(self, message: Any, **changes: Any) -> Struct:
        """A request with another P, signed anew.

        Raises:
            CannotAttack: there is no P in it.
        """
        if not hasattr(message, "round"):
            raise CannotAttack("no P in this request")
        params = replace(message.round.claimed, **changes)
        signed = sign_round(self.play.parties.orchestrator.key, params)
        request: Struct = replace(message, round=signed)
        return request

    def by_colluder(self, label: Label, message: Struct) -> Signed:
        """What the gateway on its side signs."""
        return Signed.make(self.play.parties.identities[self.colluder].key, label, message)


def attempt(hook: Hook, frame: Frame) -> list[bytes]:
    """What arrives: the frame itself where the attack cannot be told."""
    try:
        return list(hook(frame))
    except (CannotAttack, WireError, LookupError):
        # another attack has left no message to change, or somebody it needs has vanished
        return [frame.data]
