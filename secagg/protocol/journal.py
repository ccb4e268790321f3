"""Keeps what a client must not forget: rounds it took part in, answers it gave, its next key.

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

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from secagg.arguments import checked_methods
from secagg.crypto.secret import Secret
from secagg.errors import (
    ModelMismatch,
    SecondQuestion,
    StaleRound,
)
from secagg.guards import NeverCopied, OneAtATime


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
        """The highest round claimed under this roster hash, 0 if there is none."""
        ...

    def claim(self, roster: bytes, round: int, session: bytes) -> None:
        """Reserves the round for one session, durably, before its update is asked for.

        The same claim again changes nothing, so that a session stays usable.

        Args:
            roster: 32-byte hash of the roster.
            round: above `last_round(roster)`, at most 2^63 - 1.
            session: id of the session, the only one that may spend the round.

        Raises:
            StaleRound: another session has claimed this round, or a later one is claimed.
        """
        ...

    def spend(
        self,
        roster: bytes,
        round: int,
        session: bytes,
        model: bytes,
        *,
        purpose: str,
        uses: int | None = None,
    ) -> None:
        """Gives the one upload of a claimed round away, durably, before its first frame leaves.

        Args:
            roster: 32-byte hash of the roster.
            round: the round.
            session: id of the session that has claimed it.
            model: 32-byte hash of the global model; one of zeros stands for none.
            purpose: what the upload is for; uploads on a model are counted for each purpose.
            uses: of this model for this purpose, under whatever roster; None for any number.

        Raises:
            StaleRound: the session has not claimed this round, or it is spent.
            ModelMismatch: the model is used up; nothing is spent.
        """
        ...

    def model_used(self, purpose: str, model: bytes) -> int:
        """How many rounds were spent on this model for this purpose, under whatever roster."""
        ...

    def pin(self, roster: bytes, purpose: str, values: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Stores, durably, what has no value yet under this roster for this purpose.

        Returns:
            What is stored now for these names: the first writer wins.
        """
        ...

    def get(self, session: bytes, step: str) -> Entry | None:
        """What was answered in this step, None if nothing was."""
        ...

    def put(
        self,
        session: bytes,
        step: str,
        request: bytes,
        answer: bytes,
        *,
        roster: bytes = b"",
        round: int = 0,
    ) -> None:
        """Stores an answer, durably, before it leaves; the same bytes again change nothing.

        Args:
            session: id of the session.
            step: name of the step.
            request: hash of the request.
            answer: what is going to be sent.
            roster: of the session.
            round: of the session. Two claims under the roster later the session cannot begin
                again, and its answers are dropped.

        Raises:
            SecondQuestion: the step has another request or another answer already, or the session
                was forgotten: whoever replays it gets nothing new.
        """
        ...

    def forget(self, session: bytes) -> None:
        """Deletes the answers of a session that is over, but not that it is over.

        Rounds, models and pins are never forgotten.
        """
        ...

    def store_prekey(self, roster: bytes, round: int, private: bytes) -> bytes:
        """Stores the private key for one round, durably, before its public half leaves.

        Returns:
            The key to use: the one stored first, since a round has one key only until it is
            forgotten.
        """
        ...

    def prekey(self, roster: bytes, round: int) -> bytes | None:
        """The private key for a round, None if there is none (any more)."""
        ...

    def forget_prekeys(self, roster: bytes, through: int) -> None:
        """Deletes the private keys for rounds up to and including `through`, for good."""
        ...


@checked_methods
class MemoryJournal(NeverCopied):
    """A journal that lasts as long as the process: for simulations, and where a restart is absence.

    A gateway that restarts with an empty one may upload a second time in a round: give it a new
    roster or a `SQLiteJournal`. Threads may share it; a forked process has a copy that is refused.

    Raises (by every method):
        LocalProtocolError: in a forked process.
    """

    def __init__(self) -> None:
        self._turn = OneAtATime("this journal")
        self._rounds: dict[bytes, tuple[int, bytes, bool]] = {}
        self._models: Counter[tuple[str, bytes]] = Counter()
        self._pins: dict[tuple[bytes, str], dict[str, bytes]] = {}
        self._answers: dict[bytes, dict[str, Entry]] = {}
        self._prekeys: dict[bytes, dict[int, Secret]] = {}
        self._begun: dict[bytes, tuple[bytes, int]] = {}
        self._over: set[bytes] = set()

    def __repr__(self) -> str:
        return "MemoryJournal()"

    def last_round(self, roster: bytes) -> int:
        """See `Journal`."""
        with self._turn:
            return self._rounds[roster][0] if roster in self._rounds else 0

    def claim(self, roster: bytes, round: int, session: bytes) -> None:
        """See `Journal`."""
        with self._turn:
            last, holder, _ = self._rounds.get(roster, (0, b"", False))
            if (round, session) == (last, holder):
                return
            if round <= last:
                raise stale(round, last)
            self._rounds[roster] = (round, session, False)
            for old in [
                s for s, (r, number) in self._begun.items() if r == roster and number < last
            ]:
                del self._begun[old]
                self._answers.pop(old, None)
                self._over.discard(old)

    def spend(
        self,
        roster: bytes,
        round: int,
        session: bytes,
        model: bytes,
        *,
        purpose: str,
        uses: int | None = None,
    ) -> None:
        """See `Journal`."""
        with self._turn:
            if self._rounds.get(roster) != (round, session, False):
                raise unclaimed(round)
            if uses is not None and self.model_used(purpose, model) >= uses:
                raise used_up(purpose)
            self._rounds[roster] = (round, session, True)
            if any(model):
                self._models[purpose, model] += 1

    def model_used(self, purpose: str, model: bytes) -> int:
        """See `Journal`."""
        with self._turn:
            return self._models[purpose, model]

    def pin(self, roster: bytes, purpose: str, values: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """See `Journal`."""
        with self._turn:
            pins = self._pins.setdefault((roster, purpose), {})
            return {name: pins.setdefault(name, value) for name, value in values.items()}

    def get(self, session: bytes, step: str) -> Entry | None:
        """See `Journal`."""
        with self._turn:
            return self._answers.get(session, {}).get(step)

    def put(
        self,
        session: bytes,
        step: str,
        request: bytes,
        answer: bytes,
        *,
        roster: bytes = b"",
        round: int = 0,
    ) -> None:
        """See `Journal`."""
        with self._turn:
            entry = Entry(request, answer)
            if session in self._over:
                raise second_answer(step)
            if self._answers.setdefault(session, {}).setdefault(step, entry) != entry:
                raise second_answer(step)
            self._begun.setdefault(session, (roster, round))

    def forget(self, session: bytes) -> None:
        """See `Journal`."""
        with self._turn:
            if session in self._begun:
                self._answers.pop(session, None)
                self._over.add(session)

    def store_prekey(self, roster: bytes, round: int, private: bytes) -> bytes:
        """See `Journal`."""
        with self._turn:
            return self._prekeys.setdefault(roster, {}).setdefault(round, Secret(private)).reveal()

    def prekey(self, roster: bytes, round: int) -> bytes | None:
        """See `Journal`."""
        with self._turn:
            secret = self._prekeys.get(roster, {}).get(round)
            return None if secret is None else secret.reveal()

    def forget_prekeys(self, roster: bytes, through: int) -> None:
        """See `Journal`."""
        with self._turn:
            prekeys = self._prekeys.get(roster, {})
            for number in [number for number in prekeys if number <= through]:
                prekeys.pop(number).erase()


def stale(number: int, last: int) -> StaleRound:
    """What says that a round is taken."""
    return StaleRound(f"round {number}: this party takes part in round {last} already")


def unclaimed(number: int) -> StaleRound:
    """What says that a session has no upload to give away."""
    return StaleRound(f"round {number}: spent already, or not claimed by this session")


def used_up(purpose: str) -> ModelMismatch:
    """What says that a model was used before."""
    return ModelMismatch(f"this model was used for {purpose!r} as often as the policy allows")


def second_answer(step: str) -> SecondQuestion:
    """What says that a step is answered already."""
    return SecondQuestion(f"step {step} is answered already, to other bytes")
