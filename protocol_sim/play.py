"""One session of all its parties, real to the last byte; whoever carries its frames is the network.

`memory` carries frames at once, in an order of the caller's choice; `world` takes its time, loses
some and has deadlines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from protocol_sim.parties import POLICY, ROUNDING, VERIFY, Parties
from protocol_sim.randomness import entropy
from secagg.errors import BadSignature, ForeignSession, LocalProtocolError, SecAggError, WireError
from secagg.fixed_point.reference import unpack
from secagg.params import GatewayId
from secagg.protocol.bounds import Bounds
from secagg.protocol.events import Aborted, GatewayDropped, Send
from secagg.protocol.messages import Signed, Signer
from secagg.protocol.spool import Spool
from secagg.protocol.steps import Step
from secagg.schemes.base import SPOOL_BYTES
from secagg.session import ClientSession, Model, ServerSession, SessionSettings
from secagg.session.loopback import Frame, Loopback, MakeUpload
from secagg.session.server import temporary_file
from secagg.wire import session_of
from secagg.workers import SERIAL, Workers


class Play(Loopback):
    """One session.

    Args:
        parties: everybody.
        number: of the round.
        name: makes the randomness of this session differ from that of another.
        cohort: names; everybody by default.
        settings: instead of `parties.settings(number, cohort, model=model)`.
        model: that updates are made on.
        setup: of the last round's session.
        client: makes a gateway's session; `parties.client` by default.
        max_in_flight, spool, spool_bytes, workers: as of `ServerSession`.
        network: options of `Loopback`.

    Attributes:
        refused: who raised what at bytes that are no frame of the session.
        absent: gateway -> why the session has to do without it, by whoever carries its frames.
    """

    def __init__(
        self,
        parties: Parties,
        number: int = 1,
        *,
        name: object = "",
        cohort: Iterable[str] | None = None,
        settings: SessionSettings | None = None,
        model: Model | None = None,
        setup: Mapping[GatewayId, Signed] | None = None,
        client: Callable[[str], ClientSession] | None = None,
        max_in_flight: int = 2,
        spool: Spool = temporary_file,
        spool_bytes: int = SPOOL_BYTES,
        workers: Workers = SERIAL,
        **network: Any,
    ) -> None:
        self.parties = parties
        self.number = number
        self.name = name
        self.model = model
        self.cohort = tuple(cohort or parties.ids)
        self.settings = settings or parties.settings(number, self.cohort, model=model)
        server = ServerSession(
            self.settings,
            parties.roster,
            parties.orchestrator,
            rng=entropy(parties.seed, "server", number, name),
            max_in_flight=max_in_flight,
            spool=spool,
            spool_bytes=spool_bytes,
            setup=setup or {},
            workers=workers,
            policy=msgspec.structs.replace(POLICY, bounds={self.settings.purpose: Bounds()}),
            verify=VERIFY,
        )
        make = client or (lambda each: parties.client(each, number, name))
        clients = {each: make(each) for each in self.cohort}
        self.refused: list[tuple[str, SecAggError]] = []
        self.absent: dict[str, str] = {}
        super().__init__(server, clients, self.prepare, **network)

    def deliver(self, frame: Frame) -> list[Frame]:
        """Bytes arrive at the end of their way; what they lead to.

        What is no frame of this session is not the server's business (a router's), and a gateway
        that refuses bytes without a change is noted in `refused`.
        """
        if frame.up and self.foreign(frame.data):
            return []
        return super().deliver(frame)

    def arrive(self, name: str, data: bytes) -> list[Frame]:
        """Bytes reach a gateway."""
        try:
            return super().arrive(name, data)
        except (WireError, ForeignSession, BadSignature, LocalProtocolError) as error:
            self.refused.append((name, error))
            return []

    def next_frame(self, name: str) -> Frame | None:
        """Make the next frame of an upload; None at its end."""
        frame = super().next_frame(name)
        return None if frame is None else frame._replace(data=bytes(frame.data))

    def upload(self, name: str) -> Iterator[Send]:
        """The frames of a gateway's upload, which is begun at once."""
        return self.prepare(name)()

    def prepare(self, name: str) -> MakeUpload:
        """What makes the frames of a gateway's upload."""
        return partial(
            self.clients[name].upload,
            self.parties.update(name),
            self.parties.weight(name),
            base=self.model,
            metrics=self.parties.metrics(name),
            rounding_seed=ROUNDING,
        )

    def signer(self, name: str, step: Step) -> Signer:
        """What makes an answer a gateway's: its identity, or the key it shares with the server.

        That key goes with the gateway's secrets, so it is taken from the server while that has it.
        """
        machine: Any = self.server._server  # noqa: SLF001 - as above
        identity = self.parties.identities[name].key
        if not step.mac:
            return identity
        mac: Signer = machine._macs.get(machine._cohort.position(name), identity)  # noqa: SLF001
        return mac

    def restart(self, name: str, life: object, **options: Any) -> None:
        """The gateway's process dies and comes back with its journal and fresh randomness.

        Args:
            name: of the gateway.
            life: which one: another than before.
            options: of `Parties.client`, such as an older `journal`.
        """
        self.uploads.pop(name, None)
        self.absent.setdefault(name, "its process died")
        self.clients[name] = self.parties.client(name, self.number, self.name, life, **options)

    def foreign(self, data: bytes) -> bool:
        """Whether a router gives these bytes to another session; what is no frame comes here."""
        try:
            return session_of(data) != self.server.session
        except WireError:
            return False

    # -- outcome -----------------------------------------------------------------------------------

    @property
    def dropped(self) -> dict[str, tuple[str, str]]:
        """Gateway -> (phase, reason)."""
        drops = (event for event in self.events if isinstance(event, GatewayDropped))
        return {str(event.id): (event.phase, event.reason.name) for event in drops}

    def failed(self, name: str) -> SecAggError | None:
        """Why a gateway's session ended, if it did."""
        events = self.client_events[name]
        return next((event.reason for event in events if isinstance(event, Aborted)), None)

    @property
    def included(self) -> tuple[str, ...]:
        """Gateways in the sum."""
        return tuple(str(each) for each in self.server.result.included)

    @property
    def opened(self) -> list[NDArray[np.object_]]:
        """Summed coordinates of every vector, out of the words the server opened."""
        machine = self.server._server  # noqa: SLF001 - the oracle looks at words, not at floats
        if machine.opened is None:
            raise LocalProtocolError("no sum is open")
        return [
            np.array(unpack(spec, words.tolist())[: spec.length], object)
            for spec, words in zip(machine.round.vectors, machine.opened.vectors, strict=True)
        ]
