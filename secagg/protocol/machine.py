"""Enforces the order of messages by one table per scheme, which both roles read.

A scheme lists its `Step`s. A client may answer them in that order, each once; a server opens them
in that order and closes each when all have answered or the driver says that time is up. What a
scheme adds is what an answer means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from secagg import canonical
from secagg.crypto.kdf import digest
from secagg.crypto.labels import Label
from secagg.errors import (
    BadSignature,
    BelowThreshold,
    ForeignSession,
    LocalProtocolError,
    SecAggError,
    SecondQuestion,
    SessionAborted,
    StateLost,
    UnexpectedMessage,
    WireError,
    printable,
)
from secagg.params import Struct
from secagg.protocol.events import Event, GatewayDropped, PhaseClosed
from secagg.protocol.identity import Cohort
from secagg.protocol.journal import Entry, Journal
from secagg.protocol.messages import Abort, DropReason, Signed, Verify
from secagg.protocol.steps import ABORT, Stage, Step


class ClientMachine:
    """A client's side of the table.

    Args:
        steps: the scheme's exchanges in order.
        handlers: step name -> function from the request to the signed answer.
        session: session id, the journal's key.
        journal: what this client has answered before, across restarts.
        erase: called once when the session is over, however it ends.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        handlers: Mapping[str, Callable[[Any], Signed]],
        *,
        session: bytes,
        journal: Journal,
        erase: Callable[[], None],
    ) -> None:
        self._order = tuple(steps)
        self._steps = {step.request: (index, step) for index, step in enumerate(steps)}
        self._handlers = handlers
        self._session = session
        self._journal = journal
        self._erase = erase
        self._next = 0
        self._finishing = False
        self._answers: dict[str, Entry] = {}
        self.failure: SecAggError | None = None

    @property
    def done(self) -> bool:
        """Nothing is left to answer."""
        return self._next == len(self._order)

    def finish(self) -> None:
        """What is answered now is the last: the steps that are left are not for this client."""
        self._finishing = True

    def receive(self, request: Struct) -> Signed:
        """Answer a request; an identical repetition gets the identical bytes.

        Raises:
            LocalProtocolError: the session is over on this side.
            UnexpectedMessage, SecondQuestion, StateLost: order, repetition, restart.
            SecAggError: whatever the scheme's checks raise. The machine fails closed on all but
                the first: secrets are erased and nothing is ever answered again.
        """
        if self.failure is not None:
            raise LocalProtocolError("this session has failed on this side: start another round")
        try:
            return self._receive(request)
        except SecAggError as error:
            self.fail(error)
            raise
        except BaseException:  # a journal's disk, say: fail closed all the same
            self.fail(LocalProtocolError("an answer could not be finished"))
            raise

    def fail(self, error: SecAggError) -> None:
        """End the session on this side and erase its secrets."""
        self.failure = error
        self._erase()

    def _receive(self, request: Struct) -> Signed:
        if type(request) not in self._steps:
            raise UnexpectedMessage(f"a client is never sent {type(request).__name__}")
        index, step = self._steps[type(request)]
        asked = digest(Label.HASH_REQUEST, step.name.encode(), canonical.encode(request))
        before = self._answers.get(step.name) or self._journal.get(self._session, step.name)
        if before is not None:
            if before.request != asked:
                raise SecondQuestion(f"{step.name} was answered for another request")
            return canonical.decode(Signed, before.answer)
        if not self._reaches(index):
            if self._next == 0:
                raise StateLost(f"{step.name} asked of a client that has just started")
            raise UnexpectedMessage(f"{step.name} asked out of order")
        answer = self._handlers[step.name](request)
        entry = Entry(request=asked, answer=canonical.encode(answer))
        if step.durable:
            self._journal.put(self._session, step.name, entry.request, entry.answer)
        self._answers[step.name] = entry
        self._next = len(self._order) if self._finishing else index + 1
        if self.done:
            self._erase()
        return answer

    def _reaches(self, index: int) -> bool:
        """Whether a step is the next, but for optional ones in between."""
        skipped = self._order[self._next : index]
        return index >= self._next and all(step.optional for step in skipped)


class Dropped(Exception):
    """Raised by a stage: this sender is dropped, the session goes on."""

    def __init__(self, reason: DropReason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


REASONS: Mapping[type[SecAggError], DropReason] = {
    BadSignature: DropReason.BAD_SIGNATURE,
    WireError: DropReason.MALFORMED,
    ForeignSession: DropReason.FOREIGN,
}


@dataclass(slots=True)
class _Phase:
    index: int = -1
    waiting: set[int] = field(default_factory=set)
    answered: set[int] = field(default_factory=set)


class ServerMachine:
    """The server's side of the table: who owes an answer, who gave one, who is dropped.

    Args:
        steps: the exchanges of this session in order.
        stages: step name -> what to do.
        cohort: ids and keys by position.
        verify: signature check.
        on_drop: called after each drop; it may drop more.
        on_abort: called when the session ends without a result, to erase what was kept for it.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        stages: Mapping[str, Stage],
        *,
        cohort: Cohort,
        verify: Verify,
        on_drop: Callable[[], None],
        on_abort: Callable[[], None],
    ) -> None:
        self._steps = steps
        self._stages = stages
        self._cohort = cohort
        self._verify = verify
        self._on_drop = on_drop
        self._on_abort = on_abort
        self._phase = _Phase()
        self._seen: dict[tuple[int, str], Signed] = {}
        self._over: SessionAborted | None = None
        self.dropped: dict[int, GatewayDropped] = {}
        self.events: list[Event] = []
        self.requests: Mapping[int, Struct] = {}

    @property
    def phase(self) -> str:
        """Name of the open phase, "ready", "done" or "aborted"."""
        if self._over is not None:
            return "aborted"
        if self._phase.index < 0:
            return "ready"
        if self._phase.index == len(self._steps):
            return "done"
        return self._steps[self._phase.index].name

    @property
    def running(self) -> bool:
        """A phase is open."""
        return self.phase not in {"ready", "done", "aborted"}

    @property
    def waiting_for(self) -> frozenset[int]:
        """Positions that still owe an answer in the open phase."""
        return frozenset(self._phase.waiting)

    def take(self) -> tuple[list[Event], Mapping[int, Struct]]:
        """Events and requests (position -> message) that came up since the last call."""
        events, self.events = self.events, []
        requests, self.requests = self.requests, {}
        return events, requests

    def start(self, requests: Mapping[int, Struct]) -> None:
        """Open the first phase.

        Raises:
            LocalProtocolError: started before.
        """
        if self.phase != "ready":
            raise LocalProtocolError("a session starts once: make a new one for the next round")
        self._open(0, requests)

    def receive(self, position: int, name: str, signed: Signed) -> None:
        """Take one signed answer to step `name`. Whatever is wrong with it drops its sender.

        Who owes nothing is not listened to: a first complete answer counts, and an upload that is
        in the sum cannot be taken out again.

        Raises:
            SessionAborted: too few gateways are left.
        """
        if not self.running or position not in self._phase.waiting:
            return
        try:
            complete = self._take(position, name, signed)
        except Dropped as error:
            self.drop(position, error.reason, error.detail)
        except tuple(REASONS) as error:
            self.drop(position, REASONS[type(error)], str(error))
        else:
            if complete:
                self.finish(position)
        self.close_if_complete()

    def _take(self, position: int, name: str, signed: Signed) -> bool:
        if (before := self._seen.get((position, name))) is not None:
            if before != signed:
                raise Dropped(DropReason.EQUIVOCATED, f"two answers to {name}")
            return False
        key = self._cohort.key(position)
        if name == ABORT:
            abort = signed.open(Abort, key, Label.SIGN_ABORT, self._verify)
            raise Dropped(DropReason.ABORTED, printable(abort.reason[:200]))
        step = self._steps[self._phase.index]
        if name != step.name:
            raise Dropped(DropReason.UNEXPECTED, f"{name[:40]!r} in phase {step.name}")
        body = signed.open(step.answer, key, step.label, self._verify)
        complete = self._stages[name].accept(position, body, signed)
        self._seen[position, name] = signed
        return complete

    def finish(self, position: int) -> None:
        """This gateway owes nothing more in the open phase."""
        self._phase.waiting.discard(position)
        self._phase.answered.add(position)

    def drop(self, position: int, reason: DropReason, detail: str = "") -> None:
        """Go on without a gateway; the first reason stays."""
        if position in self.dropped:
            return
        event = GatewayDropped(self._cohort.ids[position], self.phase, reason, detail)
        self.dropped[position] = event
        self.events.append(event)
        self._phase.waiting.discard(position)
        self._phase.answered.discard(position)
        self._on_drop()

    def expire(self, position: int) -> None:
        """Time is up for one gateway."""
        begun = (position, self.phase) in self._seen
        self.drop(position, DropReason.VANISHED if begun else DropReason.SILENT)

    def advance(self) -> None:
        """Time is up: drop who has not answered and close the phase.

        Raises:
            LocalProtocolError: no phase is open.
            SessionAborted: too few gateways are left.
        """
        if not self.running:
            raise LocalProtocolError(f"nothing to advance: the session is {self.phase}")
        for position in sorted(self._phase.waiting):
            self.expire(position)
        self._close()

    def close_if_complete(self) -> None:
        """Close the open phase when nobody owes an answer.

        Raises:
            SessionAborted: too few gateways are left.
        """
        if self.running and not self._phase.waiting:
            self._close()

    def abort(self, reason: SessionAborted) -> None:
        """End the session without a result."""
        if isinstance(reason, BelowThreshold):
            reason.dropped = {event.id: event for event in self.dropped.values()}
        self._over = reason
        self._phase.waiting.clear()
        self.requests = {}
        self._on_abort()

    def _close(self) -> None:
        step = self._steps[self._phase.index]
        stage = self._stages[step.name]
        try:
            self._need(stage.needed)
            requests = stage.close(frozenset(self._phase.answered))
            # closing may drop more: a dealer that too many holders reject, a liar found by the sum
            self._need(stage.needed if requests else 0)
        except SessionAborted as reason:
            self.abort(reason)
            raise
        answered = tuple(self._cohort.ids[i] for i in sorted(self._phase.answered))
        self.events.append(PhaseClosed(step.name, answered))
        self._open(self._phase.index + 1 if requests else len(self._steps), requests)

    def _need(self, needed: int) -> None:
        if len(self._phase.answered) < needed:
            answered, asked = len(self._phase.answered), len(self._cohort)
            raise BelowThreshold(answered, needed, self.phase, asked=asked)

    def _open(self, index: int, requests: Mapping[int, Struct]) -> None:
        self._phase = _Phase(index, set(requests))
        self.requests = requests
