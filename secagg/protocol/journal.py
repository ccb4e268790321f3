"""Keeps what a client must not forget: rounds it uploaded in, answers it gave, its next key.

A second upload in one round, or a second, different answer to one step, lets a lying server take
the difference of two sums (docs/protocol.md#rounds-never-repeat and
docs/protocol.md#one-answer-to-a-question). So both are stored durably *before* they leave, and a
restarted client resends identical bytes or is absent.

A journal also holds the private half of the one-time key for the next round, from the moment it is
signed until that round is answered: it is then deleted, and with it the means to read old rounds.

A journal restored from a backup has forgotten: a client that cannot rule that out must use a new
roster. No journal can notice it.
"""
# ruff: noqa: A002 - `round` is the papers' word

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from secagg.crypto.secret import Secret
from secagg.errors import (
    ModelMismatch,
    SecondQuestion,
    StaleRound,
)


@dataclass(frozen=True, slots=True, repr=False)
class Entry:
    """What was asked in one step and the exact bytes that were answered.

    Attributes:
        request: hash of the request.
        answer: what was sent. Private, although no long-term secret: never in a repr.
    """

    request: bytes
    answer: bytes

    def __repr__(self) -> str:
        return f"Entry(request={self.request.hex()}, answer=<{len(self.answer)} bytes>)"


class Journal(Protocol):
    """The memory of one client over sessions and restarts.

    Two writers of one journal behave as if one had come after the other.
    """

    def last_round(self, roster: bytes) -> int:
        """The highest round stored under this roster hash, 0 if there is none."""
        ...

    def store_upload(
        self, roster: bytes, round: int, model: bytes, *, refuse_repeat: bool = False
    ) -> None:
        """Claims the round, durably, before its upload leaves.

        Args:
            roster: 32-byte hash of the roster.
            round: above `last_round(roster)`, at most 2^63 - 1.
            model: 32-byte hash of the global model.
            refuse_repeat: also refuse a model stored before, in the same transaction.

        Raises:
            StaleRound: this round or a later one is stored already.
            ModelMismatch: the model is stored already, and `refuse_repeat`.
        """
        ...

    def model_used(self, roster: bytes, model: bytes) -> bool:
        """Whether some stored upload under this roster was trained on this model."""
        ...

    def get(self, session: bytes, step: str) -> Entry | None:
        """What was answered in this step, None if nothing was."""
        ...

    def put(self, session: bytes, step: str, request: bytes, answer: bytes) -> None:
        """Stores an answer, durably, before it leaves; the same bytes again change nothing.

        Raises:
            SecondQuestion: the step has another request or another answer already, or the session
                was forgotten: whoever replays it gets nothing new.
        """
        ...

    def forget(self, session: bytes) -> None:
        """Deletes the answers of a session that is over, but not that it is over.

        Rounds and models are never forgotten.
        """
        ...

    def store_prekey(self, roster: bytes, round: int, private: bytes) -> bytes:
        """Stores the private key for one round, durably, before its public half leaves.

        Returns:
            The key to use: the one stored first, since a round has one key only until it is
            forgotten.

        Raises:
            StaleRound: it was forgotten at that very moment, by another process.
        """
        ...

    def prekey(self, roster: bytes, round: int) -> bytes | None:
        """The private key for a round, None if there is none (any more)."""
        ...

    def forget_prekeys(self, roster: bytes, through: int) -> None:
        """Deletes the private keys for rounds up to and including `through`."""
        ...


class MemoryJournal:
    """A journal that lasts as long as the process: for simulations, and where a restart is absence.

    A gateway that restarts with an empty one may upload a second time in a round: give it a new
    roster or a `SQLiteJournal`.
    """

    def __init__(self) -> None:
        self._uploads: dict[bytes, dict[int, bytes]] = {}
        self._answers: dict[bytes, dict[str, Entry]] = {}
        self._prekeys: dict[bytes, dict[int, Secret]] = {}
        self._over: set[bytes] = set()

    def last_round(self, roster: bytes) -> int:
        """See `Journal`."""
        return max(self._uploads.get(roster, ()), default=0)

    def store_upload(
        self, roster: bytes, round: int, model: bytes, *, refuse_repeat: bool = False
    ) -> None:
        """See `Journal`."""
        if round <= (last := self.last_round(roster)):
            raise stale(round, last)
        if refuse_repeat and self.model_used(roster, model):
            raise repeated()
        self._uploads.setdefault(roster, {})[round] = model

    def model_used(self, roster: bytes, model: bytes) -> bool:
        """See `Journal`."""
        return model in self._uploads.get(roster, {}).values()

    def get(self, session: bytes, step: str) -> Entry | None:
        """See `Journal`."""
        return self._answers.get(session, {}).get(step)

    def put(self, session: bytes, step: str, request: bytes, answer: bytes) -> None:
        """See `Journal`."""
        entry = Entry(request, answer)
        if session in self._over:
            raise second_answer(step)
        if self._answers.setdefault(session, {}).setdefault(step, entry) != entry:
            raise second_answer(step)

    def forget(self, session: bytes) -> None:
        """See `Journal`."""
        self._answers.pop(session, None)
        self._over.add(session)

    def store_prekey(self, roster: bytes, round: int, private: bytes) -> bytes:
        """See `Journal`."""
        return self._prekeys.setdefault(roster, {}).setdefault(round, Secret(private)).reveal()

    def prekey(self, roster: bytes, round: int) -> bytes | None:
        """See `Journal`."""
        secret = self._prekeys.get(roster, {}).get(round)
        return None if secret is None else secret.reveal()

    def forget_prekeys(self, roster: bytes, through: int) -> None:
        """See `Journal`."""
        prekeys = self._prekeys.get(roster, {})
        for number in [number for number in prekeys if number <= through]:
            prekeys.pop(number).erase()


def stale(number: int, last: int) -> StaleRound:
    """What says that a round is spent."""
    return StaleRound(f"round {number}: this party has already uploaded in round {last}")


def repeated() -> ModelMismatch:
    """What says that a model was used before."""
    return ModelMismatch("this model was already trained on under this roster: policy refuses")


def second_answer(step: str) -> SecondQuestion:
    """What says that a step is answered already."""
    return SecondQuestion(f"step {step} is answered already, to other bytes")
