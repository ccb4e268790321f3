"""A session that keeps apart what gateways answer to the server and what to an attacker."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

from protocol_sim.memory import Exchange
from secagg import wire
from secagg.canonical import decode
from secagg.errors import ForeignSession, RemoteProtocolError, WireError
from secagg.params import Struct
from secagg.protocol.events import Aborted, Send
from secagg.protocol.messages import COMMON, Answer
from secagg.schemes.additive.messages import AnswerAgainRequest, AnswerRequest, Dealing, KeySum
from secagg.schemes.masks.messages import ShareKeys, Unmasking
from secagg.session.loopback import Frame, Passes
from secagg.wire import VECTOR, Codec, MessageTable

UPLOADING = "uploading"
"""Where a gateway notices what it compares when it uploads."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer of a gateway, the first time it gives it.

    Attributes:
        gateway: who.
        step: the step.
        body: the message inside.
        injected: the request was not made by the server's session.
        asked: gateways in the set that was asked about, 0 where there is none.
    """

    gateway: str
    step: str
    body: bytes
    injected: bool
    asked: int


class AnswerLedger(Exchange):
    """An exchange that keeps account of answers.

    Attributes:
        said: distinct answers of all gateways.
        frames: bytes of vector frames that each gateway has sent.
        lured: gateways whose upload an attack has asked for.
        noticed: gateway -> step whose request ended its session with an error.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.said: list[Answered] = []
        self.frames: Counter[str] = Counter()
        self.lured: set[str] = set()
        self.noticed: dict[str, str] = {}
        self._honest: defaultdict[str, set[bytes]] = defaultdict(set)
        self._injected: set[tuple[str, bytes]] = set()
        self._hook: Passes = lambda frame: (frame.data,)
        super().__init__(*arguments, passes=self._pass, **options)
        table = dict(COMMON) | dict(self.settings.scheme.messages)
        self._codec = Codec(MessageTable(table))

    def use(self, hook: Passes) -> Self:
        """Let this stand between the server and its gateways."""
        self._hook = hook
        return self

    def inject(self, frames: Iterable[Frame]) -> None:
        """Put frames under way that the server knows nothing of; they arrive before others."""
        made = list(frames)
        first = itertools.takewhile(
            lambda frame: (frame.gateway, frame.data) in self._injected, self.pending
        )
        place = len(list(first))
        self.pending[place:place] = made
        self._injected.update((frame.gateway, frame.data) for frame in made)

    def _pass(self, frame: Frame) -> Iterable[bytes]:
        if not frame.up and (frame.gateway, frame.data) not in self._injected:
            self._honest[frame.gateway].add(frame.data)
        return self._hook(frame)

    def arrive(self, name: str, data: bytes) -> list[Frame]:
        """Bytes reach a gateway; what it answers is put to its account."""
        request, due = self._message(data), name in self.uploads
        injected = data not in self._honest[name]
        answers = super().arrive(name, data)
        for answer in answers:
            self._note(name, self._message(answer.data), request, injected=injected)
        if injected and not due and name in self.uploads:
            self.lured.add(name)
        if self.failed(name) is not None:
            self.noticed.setdefault(name, self._step_of(request))
        return answers

    def upload(self, name: str) -> Iterator[Send]:
        """The frames of a gateway's upload; none where it refuses to make one."""
        try:
            return super().upload(name)
        except RemoteProtocolError as error:
            self.client_events[name].append(Aborted(error))
            self.noticed.setdefault(name, UPLOADING)
            return iter(())

    def next_frame(self, name: str) -> Frame | None:
        """Make the next frame of an upload and count its bytes."""
        frame = super().next_frame(name)
        self.frames[name] += 0 if frame is None else len(frame.data)
        return frame

    def _message(self, data: bytes) -> Struct | None:
        try:
            if wire.open(data).type == VECTOR:
                return None
            return self._codec.decode(wire.open(data))
        except (WireError, ForeignSession):
            return None

    def _step_of(self, request: Struct | None) -> str:
        steps = self.settings.scheme.steps
        return next((step.name for step in steps if step.request is type(request)), "")

    def _note(
        self, name: str, answer: Struct | None, request: Struct | None, *, injected: bool
    ) -> None:
        if not isinstance(answer, Answer):
            return
        before = [each for each in self.said if (each.gateway, each.step) == (name, answer.step)]
        if answer.signed.body in {each.body for each in before}:
            return
        asked = 0
        if isinstance(request, AnswerRequest | AnswerAgainRequest):
            asked = int.from_bytes(request.included).bit_count()
        self.said.append(Answered(name, answer.step, answer.signed.body, injected, asked))


# -- what that was worth ---------------------------------------------------------------------------


def secret_bytes(sessions: Iterable[AnswerLedger], gateways: Iterable[str]) -> int:
    """Bytes that the server got and that the rules do not give it.

    These are: seeds, shares and edge secrets, given for a request that no honest session made; a
    member's second sum of shares in a round, or one for fewer than n_min gateways (the first says
    nothing by itself, and a member has one); a second upload in a round.

    Args:
        sessions: of one round, in the order in which they began.
        gateways: honest ones.
    """
    total = 0
    for name in gateways:
        sums = uploads = 0
        for session in sessions:
            floor = session.settings.thresholds.min_included
            for said in session.said:
                if said.gateway != name:
                    continue
                if said.step == "unmasking" and said.injected:
                    total += _opened(decode(Unmasking, said.body))
                if said.step in {"answer", "answer_again"}:
                    shares = decode(KeySum, said.body).shares
                    small = said.injected and said.asked < floor
                    total += len(shares) if sums or small else 0
                    sums += bool(shares)
            if session.frames[name]:
                total += session.frames[name] if uploads else 0
                uploads += 1
    return total


def _opened(answer: Unmasking) -> int:
    shares = (*answer.seed_shares, *answer.edge_secrets, *answer.key_shares)
    return len(answer.seed) + sum(map(len, shares))


def protected_bytes(sessions: Iterable[AnswerLedger], gateways: Iterable[str]) -> int:
    """Bytes of sealed shares and masked words that attacks have got: useless while sealed.

    Args:
        sessions: of one round.
        gateways: honest ones.
    """
    total = 0
    names = set(gateways)
    for session in sessions:
        total += sum(session.frames[name] for name in session.lured & names)
        for said in session.said:
            if not said.injected or said.gateway not in names:
                continue
            if said.step == "share_keys":
                total += sum(map(len, decode(ShareKeys, said.body).ciphertexts))
            if said.step == "upload":
                total += sum(map(len, decode(Dealing, said.body).ciphertexts))
    return total
