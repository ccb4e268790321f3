"""Does what the clients of all schemes do alike: answers in order, one upload in a round."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, cast

from secagg import wire
from secagg.crypto.labels import Label
from secagg.crypto.sealing import FrameMac
from secagg.errors import LocalProtocolError, ModelMismatch, SecAggError
from secagg.guards import OneProcess
from secagg.params import RoundParams, SessionParams, Struct
from secagg.protocol.identity import Cohort
from secagg.protocol.machine import ClientMachine
from secagg.protocol.messages import Announce, Signed, SignedRound, UploadHeader
from secagg.protocol.policy import check_announce, check_round
from secagg.protocol.staging import frame_mac
from secagg.protocol.steps import Step
from secagg.protocol.transcript import included_hash, retry_hash
from secagg.schemes.base import ClientContext, Fill, Source
from secagg.workers import Workers


class Client(ABC):
    """One gateway in one session.

    Args:
        session: id of the session.
        context: identity, roster, policy, journal, randomness, threads.
        scheme: name of the scheme this client speaks.
        steps: the scheme's exchanges in order.
        handlers: step name -> function from the request to the signed answer.

    Attributes:
        round: P, once it is accepted.
        clips: by then, this party's own clip of every real leaf by its key.
    """

    params: SessionParams
    _cohort: Cohort
    _position: int
    _h0: bytes
    _h2: bytes

    def __init__(
        self,
        session: bytes,
        context: ClientContext,
        *,
        scheme: str,
        steps: Sequence[Step],
        handlers: Mapping[str, Callable[[Any], Signed]],
    ) -> None:
        self._context = context
        self._scheme = scheme
        self._machine = ClientMachine(
            steps, handlers, session=session, journal=context.journal, erase=self._erase
        )
        self.round: RoundParams | None = None
        self._process = OneProcess("this upload")
        self.clips: Mapping[str, float] = {}
        self._begun = False
        self._spent = False
        self._handed_over = False

    @abstractmethod
    def _erase(self) -> None:
        """Forget all secrets."""

    @abstractmethod
    def _frame_secret(self) -> bytes:
        """The Diffie-Hellman secret with the orchestrator, for the frames' tags."""

    @abstractmethod
    def _protect(self, source: Source, params: RoundParams) -> tuple[Source, Sequence[wire.Span]]:
        """What writes the protected words, and the frames they go into."""

    def receive(self, request: Struct) -> Signed:
        """Answer one request.

        Raises:
            RemoteProtocolError: the subclass names the check; secrets are erased, nothing is
                answered any more.
        """
        return self._machine.receive(request)

    @property
    def upload_due(self) -> bool:
        """The round is accepted and no upload is begun."""
        return self.round is not None and not (self._begun or self.done)

    @property
    def handed_over(self) -> bool:
        """The last frame of the upload is made."""
        return self._handed_over

    @property
    def done(self) -> bool:
        """Everything is answered, or the session has failed; either way the secrets are gone."""
        return self._machine.done or self._machine.failure is not None

    def abort(self, reason: SecAggError) -> None:
        """Erase the secrets; answer nothing more."""
        self._machine.fail(reason)

    def upload(self, source: Source, model: bytes) -> Iterator[bytearray]:
        """Check the model, then protect the update frame by frame; the first spends the round.

        Args:
            source: the encoded update.
            model: 32-byte hash of the model the caller trained on.

        Returns:
            Frames, to be sent in this order; memory is O(frame).

        Raises:
            LocalProtocolError: not asked for an upload, or begun before.
            ModelMismatch: the orchestrator announced another model; by the first frame, the policy
                refuses a further upload on this one.
            StaleRound: by the first frame, another session takes part in a later round.
        """
        params = self.round
        if params is None or not self.upload_due:
            raise LocalProtocolError("no upload is due: wait for UpdateDue, upload once")
        retry = self.check_model(params, model)
        self._begun = True
        return self._frames(source, params, model, self._context.policy.uses(retry=retry))

    def check_model(self, params: RoundParams, model: bytes) -> bool:
        """Hold the hash of the caller's model against P's; whether P announces a retry on it.

        Raises:
            ModelMismatch: they differ; the session has failed.
        """
        retry = any(model) and params.model == retry_hash(model, self.params.round)
        if params.model != model and not retry:
            cure = "pass the model as it came, copied before it was trained"
            if not any(model):
                cure = "pass the model of this round"
            elif not any(params.model):
                cure = "this round names none, and takes updates without `base`"
            error = ModelMismatch(f"the announced model is not the `base` of this update: {cure}")
            self._machine.fail(error)
            raise error
        return retry

    def _spend(self, model: bytes, uses: int | None = None) -> None:
        """Store durably that this round is uploaded in, or never will be.

        Args:
            model: 32-byte hash of the model itself, also in a retry.
            uses: of it, for this purpose; None for any number.
        """
        params, purpose = self.params, cast("RoundParams", self.round).purpose
        self._context.journal.spend(
            params.roster, params.round, params.session, model, purpose=purpose, uses=uses
        )
        self._spent = True

    def _frames(
        self, source: Source, params: RoundParams, model: bytes, uses: int | None
    ) -> Iterator[bytearray]:
        if self._machine.failure is not None:  # before the first frame was made
            return
        try:
            self._process.check()
            self._spend(model, uses)
        except SecAggError as error:
            self._machine.fail(error)
            raise
        mac = self._frame_mac()
        protected, spans = self._protect(source, params)
        frames = _tagged(protected, spans, self.params.session, mac, self._context.workers)
        while not (self.done or self._handed_over):
            self._process.check()
            # set before the last frame leaves: its answer may be back before `next` is called
            frame, self._handed_over = next(frames)
            yield frame

    def _frame_mac(self) -> FrameMac:
        return frame_mac(
            self._frame_secret(),
            salt=self._h0,
            session=self.params.session,
            position=self._position,
        )

    # -- what every scheme checks and says ---------------------------------------------------------

    def _check_announce(self, announce: Announce, *, committee: bool) -> None:
        """Accept K: it says who takes part, and where in the cohort this client stands."""
        context = self._context
        self.params, self._cohort = check_announce(
            announce,
            roster=context.roster,
            me=context.identity.id,
            scheme=self._scheme,
            committee=committee,
            policy=context.policy,
            journal=context.journal,
            verify=context.verify,
        )
        self._machine.begun = (self.params.roster, self.params.round)
        self._limits = self.params.thresholds
        self._position = self._cohort.position(context.identity.id)

    def _check_round(self, signed: SignedRound) -> RoundParams:
        context = self._context
        return check_round(
            signed,
            session=self.params,
            roster=context.roster,
            policy=context.policy,
            journal=context.journal,
            verify=context.verify,
        )

    def _accept(self, params: RoundParams) -> None:
        """Settle the bounds and claim the round, durably, before an update is asked for.

        A value that is not encoded then spends nothing, and nobody asks in this round again: with
        other bounds, say, to see whether it would be.
        """
        context, session = self._context, self.params
        pin = partial(context.journal.pin, session.roster, params.purpose)
        self.clips = context.policy.settle(params, pin)
        context.journal.claim(session.roster, session.round, session.session)
        self.round = params

    def _h3_of(self, included: Iterable[int]) -> bytes:
        return included_hash(self._h0, self._h2, len(self._cohort), included)

    def _header(self, complaints: Iterable[int] = ()) -> Signed:
        header = UploadHeader(
            h0=self._h0,
            h2=self._h2,
            position=self._position,
            complaints=self._cohort.bits(complaints),
        )
        return self._sign(Label.SIGN_HEADER, header)

    def _sign(self, label: Label, message: Struct) -> Signed:
        return Signed.make(self._context.identity.key, label, message)


def _tagged(
    source: Source,
    spans: Sequence[wire.Span],
    session: bytes,
    mac: FrameMac,
    workers: Workers,
) -> Iterator[tuple[bytearray, bool]]:
    """The frames of one upload in order, and whether each is the last.

    As many frames are made at a time as there are threads; memory is O(frame) each.
    """
    threads: dict[int, Fill] = {}
    for start in range(0, len(spans), workers.threads):
        batch = spans[start : start + workers.threads]
        frames: dict[int, bytearray] = {}

        def work(first: int, last: int) -> None:
            fill = threads.get(first) or source()
            threads[first] = fill
            for index in range(first, last):
                sequence, span = start + index, batch[index]  # noqa: B023 - run() has ended
                frame, words = wire.new_vector_frame(session, sequence, span.words)
                fill(span.vector, span.first_word, words)
                frames[index] = frame  # noqa: B023 - likewise

        workers.run(work, len(batch))
        for index in range(len(batch)):
            frame = frames.pop(index)
            untagged = memoryview(frame)[: -wire.TAG_BYTES]
            frame[-wire.TAG_BYTES :] = mac.tag(start + index, untagged)
            yield frame, start + index == len(spans) - 1
