"""The orchestrator's session: takes frames, gives events, has no socket."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from types import MappingProxyType
from typing import Any, BinaryIO, Final, cast

from secagg import wire
from secagg.arguments import checked
from secagg.crypto.signing import verify as verify_signature
from secagg.errors import ConfigurationError, LocalProtocolError, SessionAborted, WireError, shown
from secagg.guards import NeverCopied, OneProcess
from secagg.params import (
    SESSION_BYTES,
    Entropy,
    GatewayId,
    RoundParams,
    SessionParams,
    Struct,
)
from secagg.protocol.audit import AuditRecord
from secagg.protocol.events import Aborted, Completed, Event, GatewayDropped, Ignored, Send
from secagg.protocol.identity import Cohort, Identity, Roster
from secagg.protocol.messages import COMMON, Answer, DropReason, Signed, Verify, sign_farewell
from secagg.protocol.policy import Policy
from secagg.protocol.spool import Spool
from secagg.schemes.base import SPOOL_BYTES, ServerContext
from secagg.session.outbox import Outbox
from secagg.session.result import Aggregate
from secagg.session.settings import SessionSettings
from secagg.session.update import Model
from secagg.wire import VECTOR, Codec, MessageTable
from secagg.workers import SERIAL, Workers

_MOST_STRANGERS: Final = 1024

Setup = Mapping[GatewayId, Signed]
"""Signed one-time keys by gateway, for one round under one roster."""


def temporary_file() -> BinaryIO:
    """An unnamed file that vanishes with its last handle; masked words only are written to it."""
    # unbuffered: a full disk is noticed by the write that fills it
    return cast("BinaryIO", tempfile.TemporaryFile(buffering=0))


class ServerSession(NeverCopied):
    """The orchestrator in one session; feed it the gateways' frames, send what it yields.

    Args:
        settings: what is aggregated, and how.
        roster: pinned roster; its orchestrator key must be `identity`'s.
        identity: the orchestrator's.
        rng: source of the session's id and key.
        workers: threads for unmasking and decoding.
        max_in_flight: unfinished uploads kept in memory.
        spool: opens the file in which all others wait; one descriptor a session.
        spool_bytes: that this file may have. Whoever finds no place in it is dropped (`STAGING`).
        setup: `setup` of the session of the round before, if there was one: gateways that have sent
            a key ahead are not asked for one.
        policy: that of the gateways, if they have been given one: what it refuses is refused here.
        verify: signature check; only a simulator that plays everybody passes a memoising one.

    Raises:
        ConfigurationError: the cohort is not in the roster, its gateways would refuse the round, or
            arguments of other types.
        LocalProtocolError: the identity is not the roster's orchestrator.

    Raises (by every method):
        LocalProtocolError: in a forked process, which has the same session and one file with it.
    """

    @checked()
    def __init__(
        self,
        settings: SessionSettings,
        roster: Roster,
        identity: Identity,
        *,
        rng: Entropy = os.urandom,
        workers: Workers = SERIAL,
        max_in_flight: int = 2,
        spool: Spool = temporary_file,
        spool_bytes: int = SPOOL_BYTES,
        setup: Setup = MappingProxyType({}),
        policy: Policy | None = None,
        verify: Verify = verify_signature,
    ) -> None:
        if max_in_flight < 0 or spool_bytes < 0:
            raise ConfigurationError(
                f"max_in_flight is {max_in_flight} and spool_bytes {spool_bytes}: 0 is the least"
            )
        if identity.key.public != roster.orchestrator:
            raise LocalProtocolError("this identity is not the orchestrator of the roster")
        settings.check_policy(roster, policy)
        self.settings = settings
        self.roster = roster
        self._identity = identity
        self.session = rng(SESSION_BYTES)
        self._cohort = Cohort.of(roster, settings.cohort)
        self._workers = workers
        self._server = settings.scheme.server(
            lambda key: settings.session_params(roster, self.session, key),
            self._round_params,
            ServerContext(
                identity=identity,
                cohort=self._cohort,
                rng=rng,
                max_in_flight=max_in_flight,
                spool=spool,
                spool_bytes=spool_bytes,
                workers=workers,
                verify=verify,
                setup=setup,
            ),
        )
        self._machine = self._server.machine
        self._codec = Codec(MessageTable(dict(COMMON) | dict(settings.scheme.messages)))
        self._result: Aggregate | None = None
        self._strangers: set[GatewayId] = set()
        self._asked: set[int] = set()
        self._outbox = Outbox()
        self._process = OneProcess("this session")

    def __repr__(self) -> str:
        gateways = len(self._cohort)
        return f"ServerSession(round {self.settings.round}, {self.phase}, {gateways} gateways)"

    def use_model(self, base: Any, *, retry: bool = False) -> None:
        """Name the model that the updates are made on, if it was not known before.

        The key rounds name no model, so those of round r + 1 may run beside the last rounds of
        round r, whose mean is the model: three exchanges a round instead of five.

        Args:
            base: a tree or a `Model`, as the gateways give to `upload`.
            retry: a round on it has failed after uploads had begun (`SessionSettings`).

        Raises:
            LocalProtocolError: the shares are dealt, and P is announced.
        """
        self._process.check()
        if self._server.round_announced:
            raise LocalProtocolError(f"the model is announced: the session is {self.phase}")
        model = Model.averaged(base, self.settings.leaves, self._workers).hash
        self.settings = replace(self.settings, model=model, retry=retry)

    @property
    def setup(self) -> Setup:
        """What gateways have sent ahead for the next round: public, to be handed to its session.

        Of a round that failed too; what does not serve a later session is passed over there.
        """
        return MappingProxyType(dict(self._server.setup))

    @property
    def phase(self) -> str:
        """Name of the open phase, "ready", "done" or "aborted"."""
        return self._machine.phase

    @property
    def waiting_for(self) -> tuple[GatewayId, ...]:
        """Gateways that owe an answer in the open phase."""
        return tuple(self._cohort.ids[place] for place in sorted(self._machine.waiting_for))

    @property
    def dropped(self) -> dict[GatewayId, GatewayDropped]:
        """Whom the session goes on without, and why; who answered the upload still counts."""
        return {event.id: event for event in self._machine.dropped.values()}

    @property
    def headers_missing(self) -> tuple[GatewayId, ...]:
        """Gateways whose upload header is not there yet, in the upload phase.

        A header comes at once, before the long upload; while one is missing, uploads are staged
        instead of summed. `advance` then ends the wait for headers alone: give it a deadline of its
        own, shorter than that of the uploads.
        """
        return tuple(self._cohort.ids[place] for place in sorted(self._server.headers_missing))

    @property
    def result(self) -> Aggregate:
        """The opened sum.

        Raises:
            LocalProtocolError: there is none (yet).
        """
        if self._result is None:
            raise LocalProtocolError(f"no result: the session is {self.phase}")
        return self._result

    @property
    def audit(self) -> AuditRecord:
        """Record of the round, verifiable with the roster alone (`protocol.audit`).

        Raises:
            LocalProtocolError: the included set is not certified (yet).
        """
        return self._server.audit()

    def start(self) -> Iterator[Event]:
        """Announce the session to the cohort.

        Raises:
            LocalProtocolError: started before.
        """
        self._process.check()
        self._server.start()
        return self._events(None)

    def receive(
        self,
        sender: GatewayId,
        frame: bytes | bytearray | memoryview,
        *,
        vouched: bool = False,
    ) -> Iterator[Event]:
        """Take one frame; none that comes in raises.

        What does not verify is ignored, counted and said once as `Ignored`: it may be anybody's.
        What verifies and is wrong drops its sender and nobody else.

        Args:
            sender: id under which it came.
            frame: contiguous bytes; all but `bytes` are copied, because what is summed later must
                be what is verified now.
            vouched: the link has authenticated the sender and keeps order (mutual TLS, say): what
                does not verify is then the sender's fault and drops it by name at once, so that a
                wrong key file is seen. A frame of another session is ignored all the same.

        Returns:
            Events; the frames to send are made as they are asked for. What a loop leaves comes
            first in what the next call returns.

        Raises:
            ConfigurationError: `vouched` is neither True nor False, which is the caller's word.
        """
        self._process.check()
        link: object = vouched
        if not isinstance(link, bool):
            raise ConfigurationError(f"vouched is {shown(link)}: it takes True or False")
        given: object = sender  # of whatever the driver reads it from
        if not isinstance(given, str | Integral) or sender not in self._cohort:
            self._ignore_stranger(sender if isinstance(given, str | int) else shown(given))
            return self._events(None)
        position = self._cohort.position(sender)
        try:
            self._take(position, frame, vouched=vouched)
        except SessionAborted as error:
            return self._events(error)
        return self._events(None)

    def _take(self, position: int, frame: bytes | bytearray | memoryview, *, vouched: bool) -> None:
        try:
            envelope = wire.open(frame)
            if not isinstance(frame, bytes):
                envelope = wire.open(bytes(envelope.frame))
            if envelope.session != self.session:
                # late, or of a session beside: nobody's fault
                self._machine.refuse(
                    position, DropReason.FOREIGN, "another session's", vouched=False
                )
                return
            message = None if envelope.type == VECTOR else self._codec.decode(envelope)
            if message is None:
                self._server.receive_frame(position, envelope.vector(), vouched=vouched)
            elif isinstance(message, Answer):
                self._server.receive(position, message.step, message.signed, vouched=vouched)
            else:
                raise WireError(f"a gateway never sends {type(message).__name__}")
        except WireError as error:
            self._machine.refuse(position, DropReason.MALFORMED, str(error), vouched=vouched)
            self._machine.close_if_complete()

    def _ignore_stranger(self, sender: GatewayId) -> None:
        # names cost their sender nothing: no more of them are kept than gateways
        if sender in self._strangers or len(self._strangers) < _MOST_STRANGERS:
            self._strangers.add(sender)
            self._machine.ignore(sender, "takes no part in this session")

    @property
    def ignored(self) -> Mapping[Ignored, int]:
        """How often what did not verify came, by sender, cause and phase."""
        return MappingProxyType(self._machine.ignored)

    def advance(self) -> Iterator[Event]:
        """Time is up: close the open phase without those who still owe an answer.

        While `headers_missing` names somebody, only they are dropped and the uploads go on.

        Raises:
            LocalProtocolError: no phase is open, or frames wait to be sent: who was asked nothing
                owes no answer.
        """
        self._process.check()
        if self._outbox.frames:
            raise LocalProtocolError(
                f"{self._outbox.frames} frames wait to be sent: iterate over what start(),"
                " receive() and advance() return"
            )
        try:
            self._server.advance()
        except SessionAborted as error:
            return self._events(error)
        return self._events(None)

    def _round_params(self, params: SessionParams) -> RoundParams:
        return self.settings.round_params(params)  # of the settings as they are by then

    def _events(self, aborted: SessionAborted | None) -> Iterator[Event]:
        events, requests = self._machine.take()
        opened = self._server.opened
        if opened is not None and self._result is None:
            self._result = Aggregate(
                self._server.round,
                self._cohort.ids,
                opened,
                self.settings.carried.noise,
                self._workers,
                self.settings.model,
                self.settings.warn_above,
            )
            events.append(Completed())
        if aborted is not None:
            if self._machine.phase != "aborted":  # a spool that failed outside the end of a phase
                self._machine.abort(aborted)
            farewell = sign_farewell(self._identity.key, self.session, type(aborted).__name__)
            # who was asked nothing has no session that could end
            live = self._asked - self._machine.dropped.keys()
            requests = dict.fromkeys(sorted(live), farewell)
            events.append(Aborted(aborted))
        self._asked.update(requests)
        return self._outbox.put(self._lazily(events, requests), len(requests))

    def _lazily(self, events: Sequence[Event], requests: Mapping[int, Struct]) -> Iterator[Event]:
        yield from events
        last, frame = None, b""
        for position, message in requests.items():
            if message is not last:  # an announcement, say, is encoded once for everybody
                last, frame = message, self._codec.encode(message, self.session)
            yield Send(self._cohort.ids[position], frame)
