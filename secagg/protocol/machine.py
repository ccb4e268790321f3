"""A client's side of the table of steps: it answers them in order, each once.

A scheme lists its `Step`s, which both roles read, and adds what an answer means; the server's side
is `server_machine`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from secagg import canonical
from secagg.crypto.kdf import digest
from secagg.crypto.labels import Label
from secagg.errors import (
    LocalProtocolError,
    SecAggError,
    SecondQuestion,
    StateLost,
    UnexpectedMessage,
)
from secagg.params import Struct
from secagg.protocol.journal import Entry, Journal
from secagg.protocol.messages import Signed
from secagg.protocol.steps import Step


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
        self.begun = (b"", 0)
        """Roster and round of the session, once they are known."""
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
            roster, number = self.begun
            self._journal.put(
                self._session, step.name, asked, entry.answer, roster=roster, round=number
            )
        self._answers[step.name] = entry
        self._next = len(self._order) if self._finishing else index + 1
        if self.done:
            self._erase()
        return answer

    def _reaches(self, index: int) -> bool:
        """Whether a step is the next, but for optional ones in between."""
        skipped = self._order[self._next : index]
        return index >= self._next and all(step.optional for step in skipped)
