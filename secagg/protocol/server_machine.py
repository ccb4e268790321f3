"""The server's side of the table of steps: who owes an answer, who gave one, who is dropped.

An answer is verified before anything in it is used, and it says something about its sender only
once it is authentic and of this transcript: before that it may be anybody's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from secagg import canonical
from secagg.crypto.labels import Label
from secagg.errors import (
    BadSignature,
    BelowThreshold,
    LocalProtocolError,
    SessionAborted,
    WireError,
    quoted,
)
from secagg.params import GatewayId, Struct
from secagg.protocol.blame import REASONS, Dropped, Unproven
from secagg.protocol.events import Event, GatewayDropped, Ignored, PhaseClosed
from secagg.protocol.identity import Cohort
from secagg.protocol.messages import Abort, DropReason, Signed, Verify
from secagg.protocol.open_phase import MOST_HELD, Held, OpenPhase
from secagg.protocol.steps import ABORT, Stage, Step
from secagg.workers import SERIAL, Workers


class ServerMachine:
    """Opens the steps in order and closes each when all have answered or time is up.

    Args:
        steps: the exchanges of this session in order.
        stages: step name -> what to do.
        session: id of the session.
        cohort: ids and keys by position.
        verify: signature check.
        workers: threads that verify the answers of a phase that closes.
        on_drop: called after each drop; it may drop more.
        on_abort: called when the session ends without a result, to erase what was kept for it.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        stages: Mapping[str, Stage],
        *,
        session: bytes,
        cohort: Cohort,
        verify: Verify,
        on_drop: Callable[[], None],
        on_abort: Callable[[], None],
        workers: Workers = SERIAL,
    ) -> None:
        self._steps = steps
        self._by_name = {step.name: step for step in steps}
        self._stages = stages
        self._session = session
        self._cohort = cohort
        self._verify = verify
        self._workers = workers
        self._on_drop = on_drop
        self._on_abort = on_abort
        self._phase = OpenPhase()
        self._seen: dict[tuple[int, str], Signed] = {}
        self._over: SessionAborted | None = None
        self.dropped: dict[int, GatewayDropped] = {}
        self.ignored: Counter[Ignored] = Counter()
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
        """Positions of which no answer is here in the open phase."""
        return frozenset(self._phase.waiting.difference(self._phase.held))

    def owes(self, position: int) -> bool:
        """No answer of this one is here."""
        return position in self._phase.waiting and position not in self._phase.held

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

    # -- answers -----------------------------------------------------------------------------------

    def receive(self, position: int, name: str, signed: Signed, *, vouched: bool = False) -> None:
        """Take one signed answer to step `name`.

        Who owes nothing is not listened to: a first complete answer counts, and an upload that is
        in the sum cannot be taken out again. The first signed answer to the open step is held until
        the phase closes or another comes, and verified then; a MAC, an answer that is long and the
        beginning of an upload are verified at once.

        Args:
            position: whose answer this is said to be.
            name: of the step.
            signed: the answer.
            vouched: the link is sure of the sender: what does not verify drops it.

        Raises:
            SessionAborted: too few gateways are left.
        """
        if not self.running or position not in self._phase.waiting:
            return
        before = self._phase.held.get(position)
        if before is not None and (before.name, before.signed) == (name, signed):
            before.vouched |= vouched
            return
        if before is not None:
            self._settle([position])
        if position in self._phase.waiting:
            self._phase.held[position] = Held(name, signed, vouched)
            if not self._may_wait(name, signed):
                self._settle([position])
        self.close_if_complete()

    def _may_wait(self, name: str, signed: Signed) -> bool:
        """Signatures of a phase are verified together, but no forger is to fill the memory."""
        if name != self.phase or len(signed.body) + len(signed.signature) > MOST_HELD:
            return False
        return not self._by_name[name].upload and self._stages[name].verify is None

    def _settle(self, positions: Sequence[int]) -> None:
        """Verify what is held of these, then use it; in the order in which it came."""
        held = [
            (each, self._phase.held.pop(each)) for each in positions if each in self._phase.held
        ]
        faults: dict[int, Dropped | None] = {}

        def work(first: int, last: int) -> None:
            for position, said in held[first:last]:
                faults[position] = self._fault(position, said)

        self._workers.run(work, len(held))
        for position, said in held:
            self._conclude(position, said, faults[position])

    def _conclude(self, position: int, said: Held, fault: Dropped | None) -> None:
        try:
            if fault is not None:
                raise fault
            if self._use(position, said):
                self.finish(position)
        except Unproven as error:
            self.refuse(position, error.reason, error.detail, vouched=said.vouched)
        except Dropped as error:
            self.drop(position, error.reason, error.detail)
        except tuple(REASONS) as error:
            self.drop(position, REASONS[type(error)], str(error))

    def _fault(self, position: int, said: Held) -> Dropped | None:
        """What shows that an answer is not its sender's, or not due."""
        step = self._by_name.get(said.name)
        seen = self._seen.get((position, said.name))
        if said.name != ABORT and (step is None or (seen is None and said.name != self.phase)):
            return Unproven(DropReason.UNEXPECTED, f"{said.name[:40]!r} in phase {self.phase}")
        if seen is not None and seen.body == said.signed.body:
            return None  # says nothing new, whoever signed it
        try:
            if step is not None and (check := self._stages[step.name].verify) is not None:
                check(position, said.signed)
            else:
                label = Label.SIGN_ABORT if step is None else step.label
                key = self._cohort.key(position)
                self._verify(key, label, said.signed.body, said.signed.signature)
        except BadSignature as error:
            return Unproven(DropReason.BAD_SIGNATURE, str(error))
        return None

    def _use(self, position: int, said: Held) -> bool:
        """What a verified answer means; True when its sender owes nothing more."""
        if (seen := self._seen.get((position, said.name))) is not None:
            if seen.body == said.signed.body:
                return False
            self._checked(position, said)
            raise Dropped(DropReason.EQUIVOCATED, f"two answers to {said.name}")
        body = self._checked(position, said)
        if isinstance(body, Abort):
            raise Dropped(DropReason.ABORTED, quoted(body.reason))
        complete = self._stages[said.name].accept(position, body, said.signed)
        self._seen[position, said.name] = said.signed
        return complete

    def _checked(self, position: int, said: Held) -> Struct:
        """The message in a verified answer, if it is of this transcript."""
        kind = Abort if said.name == ABORT else self._by_name[said.name].answer
        try:
            body = canonical.decode(kind, said.signed.body)
        except WireError as error:
            raise Unproven(DropReason.MALFORMED, str(error)) from None
        if not isinstance(body, Abort):
            self._stages[said.name].check(position, body)
        elif body.session != self._session:
            raise Unproven(DropReason.FOREIGN, "a farewell to another session")
        return body

    def finish(self, position: int) -> None:
        """This gateway owes nothing more in the open phase."""
        self._phase.waiting.discard(position)
        self._phase.answered.add(position)

    # -- blame -------------------------------------------------------------------------------------

    def refuse(self, position: int, reason: DropReason, detail: str, *, vouched: bool) -> None:
        """Something that does not verify came in a gateway's name.

        It says nothing about the gateway unless the link vouches for it.
        """
        if vouched and position in self._phase.waiting:
            self.drop(position, reason, detail)
        else:
            self._phase.ignored[position] += 1
            self.ignore(self._cohort.ids[position], reason.value)

    def ignore(self, sender: GatewayId, why: str) -> None:
        """Count what is not listened to, and say it once for each sender, cause and phase."""
        if self.phase in {"done", "aborted"}:
            return
        event = Ignored(sender, why, self.phase)
        if event not in self.ignored:
            self.events.append(event)
        self.ignored[event] += 1

    def drop(self, position: int, reason: DropReason, detail: str = "") -> None:
        """Go on without a gateway; the first reason stays."""
        if position in self.dropped:
            return
        event = GatewayDropped(self._cohort.ids[position], self.phase, reason, detail)
        self.dropped[position] = event
        self.events.append(event)
        self._phase.waiting.discard(position)
        self._phase.answered.discard(position)
        self._phase.held.pop(position, None)
        self._on_drop()

    def expire(self, position: int) -> None:
        """Time is up for one gateway."""
        begun = (position, self.phase) in self._seen
        times = self._phase.ignored[position]
        detail = f"{times} frame{'s' * (times > 1)} did not verify" if times else ""
        self.drop(position, DropReason.VANISHED if begun else DropReason.SILENT, detail)

    # -- phases ------------------------------------------------------------------------------------

    def advance(self) -> None:
        """Time is up: drop who has not answered and close the phase.

        Raises:
            LocalProtocolError: no phase is open.
            SessionAborted: too few gateways are left.
        """
        if not self.running:
            raise LocalProtocolError(f"nothing to advance: the session is {self.phase}")
        self._settle(list(self._phase.held))
        for position in sorted(self._phase.waiting):
            self.expire(position)
        self._close()

    def close_if_complete(self) -> None:
        """Close the open phase when nobody owes an answer.

        Raises:
            SessionAborted: too few gateways are left.
        """
        if self.running and len(self._phase.held) == len(self._phase.waiting):
            self._settle(list(self._phase.held))
            if not self._phase.waiting:
                self._close()

    def abort(self, reason: SessionAborted) -> None:
        """End the session without a result."""
        if isinstance(reason, BelowThreshold):
            reason.dropped = {event.id: event for event in self.dropped.values()}
        self._over = reason
        self._phase.waiting.clear()
        self._phase.held.clear()
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
        self._phase = OpenPhase(index, set(requests))
        self.requests = requests
