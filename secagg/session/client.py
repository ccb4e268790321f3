"""A gateway's session: takes frames, gives events, has no socket."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from secagg import wire
from secagg.arguments import checked
from secagg.crypto.labels import Label
from secagg.crypto.signing import verify as verify_signature
from secagg.errors import (
    AbortedByPeer,
    ConfigurationError,
    EncodingError,
    ForeignSession,
    LocalProtocolError,
    RemoteProtocolError,
    SecAggError,
    UnexpectedMessage,
    UnsupportedParameters,
    WireError,
    quoted,
)
from secagg.guards import NeverCopied, OneProcess
from secagg.params import Entropy, Struct
from secagg.protocol.events import ORCHESTRATOR, Aborted, Completed, Event, Send, UpdateDue
from secagg.protocol.identity import Identity, Roster
from secagg.protocol.journal import Journal
from secagg.protocol.messages import COMMON, Abort, Announce, Answer, Farewell, Signed, Verify
from secagg.protocol.policy import Policy
from secagg.protocol.steps import ABORT
from secagg.pytree import Select
from secagg.schemes import BY_NAME
from secagg.schemes.base import ClientContext
from secagg.schemes.client import Client
from secagg.schemes.scheme import Scheme
from secagg.session.outbox import Outbox
from secagg.session.update import Model, Update, rounding_key
from secagg.wire import Codec, MessageTable
from secagg.workers import SERIAL, Workers

T = TypeVar("T")
SCHEMES: tuple[Scheme, ...] = tuple(scheme() for scheme in BY_NAME.values())
"""What a gateway speaks when its caller does not say."""


class ClientSession(NeverCopied):
    """One gateway in one session; feed it the orchestrator's frames, send what it yields.

    Args:
        identity: own id and long-term key.
        roster: pinned roster.
        policy: floors for everything the orchestrator announces.
        journal: one for all sessions of this gateway, on disk if the process may restart: it is
            what keeps a round from being uploaded twice.
        rng: source of the session's secrets.
        workers: threads for encoding and masking.
        schemes: what this gateway speaks.
        verify: signature check; only a simulator that plays everybody passes a memoising one.

    Raises:
        ConfigurationError: arguments of other types.

    Raises (by `receive`):
        WireError, ForeignSession: bytes that are no frame of this session; nothing is changed.

    Raises (by every method):
        LocalProtocolError: in a forked process, which has a copy of the session's secrets.
    """

    @checked(journal="open SQLiteJournal(path), or MemoryJournal()")
    def __init__(
        self,
        identity: Identity,
        roster: Roster,
        policy: Policy,
        journal: Journal,
        *,
        rng: Entropy = os.urandom,
        workers: Workers = SERIAL,
        schemes: Sequence[Scheme] = SCHEMES,
        verify: Verify = verify_signature,
    ) -> None:
        if not schemes:
            raise ConfigurationError("schemes are empty: this gateway would speak none")
        self._context = ClientContext(
            identity=identity,
            roster=roster,
            policy=policy,
            journal=journal,
            rng=rng,
            workers=workers,
            verify=verify,
        )
        self._schemes = {scheme.name: scheme for scheme in schemes}
        every = {code: kind for s in schemes for code, kind in s.messages.items()}
        self._codec = Codec(MessageTable(dict(COMMON) | every))
        self._scheme: Scheme | None = None
        self._client: Client | None = None
        self._session: bytes | None = None
        self._process = OneProcess("this session")
        self._over = False
        self._asked = False
        self._completed = False
        self._outbox = Outbox()

    def __repr__(self) -> str:
        state = "over" if self._over else "open" if self._session else "new"
        return f"ClientSession({self._context.identity.id!r}, {state})"

    def receive(self, frame: bytes | bytearray | memoryview) -> Iterator[Event]:
        """Take one frame of the orchestrator.

        Returns:
            `Send` with an answer, `UpdateDue` when `upload` is to be called, `Completed`, or
            `Aborted` with the named check that failed. What a loop leaves comes first
            in what the next call returns.

        Raises:
            WireError: not a frame of this protocol; the session is as it was.
            ForeignSession: a frame of another session; likewise.
            BadSignature: a farewell that is not the orchestrator's; likewise.
            LocalProtocolError: the session is over.
        """
        self._process.check()
        envelope = wire.open(frame)
        session = envelope.session
        if self._session not in {None, session}:
            raise ForeignSession("this frame belongs to another session")
        message = self._codec.decode(envelope)
        if self._over:
            raise LocalProtocolError("this session is over: make a new one for the next round")
        if isinstance(message, Farewell):
            return self._said(self._told_off(message, session))
        return self._said(self._answer(message, session))

    def _said(self, events: Sequence[Event]) -> Iterator[Event]:
        return self._outbox.put(events, sum(isinstance(event, Send) for event in events))

    def _told_off(self, farewell: Farewell, session: bytes) -> list[Event]:
        if self._session is None:  # a replayed one must not end what has not begun
            return []
        key = self._context.roster.orchestrator
        abort = farewell.open(Abort, key, Label.SIGN_ABORT, self._context.verify)
        if abort.session != session:
            raise ForeignSession("a farewell to another session")
        return [self._fail(AbortedByPeer(quoted(abort.reason)))]

    def _answer(self, message: Struct, session: bytes) -> list[Event]:
        if not any(_step(scheme, message) for scheme in self._schemes.values()):
            raise WireError(f"a gateway is never sent {type(message).__name__}")
        try:
            client, name = self._client_for(message, session)
            signed = client.receive(message)
        except SecAggError as error:
            # of what it has done a peer may hear; a text about this machine is not for others
            told = isinstance(error, RemoteProtocolError | WireError)
            name = type(error).__name__
            farewell = self._farewell(f"{name}: {error}" if told else name, session)
            return [farewell, self._fail(error)]
        self._session = session
        events: list[Event] = [self._send(name, signed, session)]
        if client.round is not None and client.upload_due and not self._asked:
            self._asked = True
            events.append(UpdateDue(client.round))
        if client.done and not self._completed:
            self._completed = True
            events.append(Completed())
        return events

    def _client_for(self, message: Struct, session: bytes) -> tuple[Client, str]:
        """The machine, and the step that is asked; the first message decides the scheme.

        After a restart that may be no announcement: the machine repeats what the journal holds, and
        refuses everything else, since its secrets are gone. Schemes that share their messages do
        that alike.
        """
        if self._client is None or self._scheme is None:
            self._scheme = self._scheme_of(message, session)
            self._client = self._scheme.client(session, self._context)
        name = _step(self._scheme, message)
        if name is None:
            raise UnexpectedMessage(f"{self._scheme.name} knows no {type(message).__name__}")
        return self._client, name

    def _scheme_of(self, message: Struct, session: bytes) -> Scheme:
        announce = message if isinstance(message, Announce) else getattr(message, "announce", None)
        if not isinstance(announce, Announce):
            return next(each for each in self._schemes.values() if _step(each, message))
        params = announce.claimed  # a small thing; the scheme verifies it before it counts
        if params.session != session:
            raise UnsupportedParameters("the announced session is not that of its frame")
        name = params.scheme
        if name not in self._schemes:
            raise UnsupportedParameters(f"scheme {name!r} is not spoken here")
        return self._schemes[name]

    def upload(
        self,
        update: Any,
        weight: float = 1.0,
        *,
        base: Any = None,
        metrics: Mapping[str, float] | None = None,
        rounding_seed: bytes | None = None,
        select: Select = None,
    ) -> Iterator[Send]:
        """Encode, mask, and yield the frames of the upload, each when it is asked for.

        Everything is checked before the first frame is made, which spends the round.

        Args:
            update: what the gateway trained, a tree like the announced one.
            weight: in (0, max_weight].
            base: the global model it was trained from, a tree or a `Model`; of the keys that
                `select` leaves out it may hold this gateway's own values.
            metrics: numbers to be summed, as announced.
            rounding_seed: makes the rounding reproducible; None draws it fresh.
            select: keys that are averaged, as the orchestrator's; None for all.

        Raises:
            EncodingError: naming gateway, keys and counts; nothing is spent, call again. Its
                `table` has the values: for this machine's own screen, not for a log.
            LocalProtocolError: no upload is due.
            ModelMismatch, StaleRound: the session is over on this side; the second, and a model
                used too often, by the first frame; a base that changed meanwhile, by the last.
        """
        self._process.check()
        client = self._client
        if client is None or client.round is None or not client.upload_due:
            raise LocalProtocolError("no upload is due: wait for UpdateDue, and upload once")
        announced, identity = client.round, self._context.identity
        try:
            model = Model.averaged(base, announced.leaves, self._context.workers)
            prepared = Update(
                announced,
                client.params.thresholds.gateways,
                update,
                weight=weight,
                base=model.tree,
                metrics=metrics,
                rounding=rounding_key(rounding_seed, identity.id, self._context.rng(32)),
                select=select,
                clips=client.clips,
                admit=lambda: self._ending(lambda: client.check_model(announced, model.hash)),
            )
        except EncodingError as error:
            error.gateway = identity.id
            raise
        frames = self._ending(lambda: client.upload(prepared.source, model.hash))
        return self._sends(client, frames, model)

    def _sends(self, client: Client, frames: Iterator[bytearray], model: Model) -> Iterator[Send]:
        while (frame := self._ending(lambda: next(frames, None))) is not None:
            if client.handed_over:  # the last one: without it nothing that was sent counts
                self._ending(model.check)
            yield Send(ORCHESTRATOR, frame)

    def _ending(self, work: Callable[[], T]) -> T:
        """What raises here ends the session."""
        try:
            return work()
        except SecAggError as error:
            self._fail(error)
            raise

    @checked()
    def abort(self, reason: str | SecAggError) -> Iterator[Event]:
        """Leave the session: erase the secrets and tell the orchestrator.

        Args:
            reason: in words that it may hear; of an error it hears the class.

        Raises:
            LocalProtocolError: there is no session to leave.
        """
        self._process.check()
        if self._session is None or self._over:
            raise LocalProtocolError("there is no session to leave")
        if isinstance(reason, str):
            error: SecAggError = LocalProtocolError(reason)
            told = f"{type(error).__name__}: {reason}"
        else:
            error, told = reason, type(reason).__name__
        return self._said([self._farewell(told, self._session), self._fail(error)])

    def _fail(self, error: SecAggError) -> Aborted:
        self._over = True
        if self._client is not None:
            self._client.abort(error)
        return Aborted(error)

    def _farewell(self, reason: str, session: bytes) -> Send:
        message = Abort(session=session, reason=quoted(reason))
        signed = Signed.make(self._context.identity.key, Label.SIGN_ABORT, message)
        return self._send(ABORT, signed, session)

    def _send(self, name: str, signed: Signed, session: bytes) -> Send:
        return Send(ORCHESTRATOR, self._codec.encode(Answer(step=name, signed=signed), session))


def _step(scheme: Scheme, message: Struct) -> str | None:
    """The step of a scheme that a message asks for."""
    return next((step.name for step in scheme.steps if step.request is type(message)), None)
