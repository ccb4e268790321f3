"""Records what reaches gateways and what leaves them, over any number of sessions.

A `Recorder` stands between a session and its gateways (`passes=recorder.around(hook)`), or is given
each message by a test. It keeps what really reached a gateway and what really left it, whatever a
hook makes of a frame in between, and the keys of gateways that collude.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from protocol_sim.play import Play
from secagg import canonical, wire
from secagg.crypto.agreement import public_key
from secagg.errors import SecAggError
from secagg.params import Struct
from secagg.protocol.messages import COMMON, Answer, Signed
from secagg.schemes.additive.messages import MESSAGES as ADDITIVE
from secagg.schemes.masks.client import MasksClient
from secagg.schemes.masks.messages import MESSAGES as MASKS
from secagg.session import ClientSession
from secagg.session.loopback import Frame, Passes
from secagg.wire import VECTOR, Codec, MessageTable

T = TypeVar("T", bound=Struct)
CODEC: Final = Codec(MessageTable(dict(COMMON) | dict(MASKS) | dict(ADDITIVE)))


class Line(NamedTuple):
    """What passes between the server and one gateway in one session."""

    session: bytes
    gateway: str


class Recorder:
    """What a server has sent and received.

    Attributes:
        shown: requests that reached a gateway, in order.
        said: signed answers that left it, by line and step.
        frames: the words of its upload, frame by frame, with the number of answers before them.
        keys: public X25519 key -> private key, of whoever gave it away.
    """

    def __init__(self) -> None:
        self.shown: dict[Line, list[Struct]] = defaultdict(list)
        self.said: dict[Line, list[tuple[str, Signed]]] = defaultdict(list)
        self.frames: dict[Line, list[NDArray[np.uint64]]] = defaultdict(list)
        self.keys: dict[str, dict[bytes, bytes]] = defaultdict(dict)
        self.play: Play | None = None

    def around(self, passes: Passes = lambda frame: (frame.data,)) -> Passes:
        """A hook that does what `passes` does and listens."""

        def hook(frame: Frame) -> Iterator[bytes]:
            if frame.up:
                self.up(frame.gateway, frame.data)
                self._take_keys(frame.gateway)
            for data in passes(frame):
                if not frame.up:
                    self.down(frame.gateway, data)
                yield data

        return hook

    def down(self, gateway: str, data: bytes) -> None:
        """A frame reaches a gateway."""
        try:
            envelope = wire.open(data)
            message = CODEC.decode(envelope)
        except SecAggError:  # it reads no more in it than this
            return
        self.add_request(envelope.session, gateway, message)

    def add_request(self, session: bytes, gateway: str, message: Struct) -> None:
        """A request reaches a gateway."""
        self.shown[Line(session, gateway)].append(message)

    def up(self, gateway: str, data: bytes) -> None:
        """A frame leaves a gateway."""
        envelope = wire.open(data)
        line = Line(envelope.session, gateway)
        if envelope.type == VECTOR:
            self.frames[line].append(envelope.vector().words.copy())
            return
        message = CODEC.decode(envelope)
        if isinstance(message, Answer):
            self.add_answer(line.session, gateway, message.step, message.signed)

    def add_answer(self, session: bytes, gateway: str, step: str, signed: Signed) -> None:
        """An answer leaves a gateway; a repetition says nothing new."""
        said = self.said[Line(session, gateway)]
        if (step, signed) not in said:
            said.append((step, signed))

    def give_keys(self, gateway: str, privates: Iterable[bytes]) -> None:
        """A gateway gives away X25519 keys: what it knows, should it collude."""
        self.keys[gateway].update({public_key(private): private for private in privates})

    def _take_keys(self, gateway: str) -> None:
        if self.play is not None:
            self.give_keys(gateway, secrets_of(self.play, gateway))

    def lines(self) -> list[Line]:
        """All of them."""
        return sorted(self.shown.keys() | self.said.keys())

    def requests(self, line: Line, kind: type[T]) -> list[T]:
        """The requests of one kind that reached a gateway."""
        return [message for message in self.shown[line] if isinstance(message, kind)]

    def answers(self, line: Line, step: str, kind: type[T]) -> list[T]:
        """The bodies of a gateway's answers to a step."""
        return [
            canonical.decode(kind, signed.body) for name, signed in self.said[line] if name == step
        ]


def secrets_of(play: Play, gateway: str) -> list[bytes]:
    """The private keys that a gateway holds right now, out of its journal and its session."""
    parties, number = play.parties, play.number
    roster, journal = parties.roster.hash(), parties.journals[gateway]
    found = [journal.prekey(roster, number), journal.prekey(roster, number + 1)]
    return [key for key in found if key] + _of_masks(play.clients[gateway])


def _of_masks(session: ClientSession) -> list[bytes]:
    client = session._client  # noqa: SLF001 - a colluding gateway tells all
    if not isinstance(client, MasksClient):
        return []
    secrets = client._secrets  # noqa: SLF001 - likewise
    return [secrets[name].reveal() for name in ("channel", "mask") if name in secrets]
