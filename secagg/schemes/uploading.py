"""One upload, whatever hides it: due once, at most one in a round, silent after the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from secagg import wire
from secagg.crypto.sealing import FrameMac
from secagg.errors import LocalProtocolError, ModelMismatch, SecAggError
from secagg.params import RoundParams, SessionParams
from secagg.protocol.machine import ClientMachine
from secagg.schemes.base import ClientContext, Source
from secagg.schemes.frames import tagged_frames


class Uploading:
    """The state of an upload.

    Args:
        machine: of the same session; its failure ends the upload.
        context: journal, policy, threads.

    Attributes:
        spent: the round is stored as uploaded in.
        handed_over: the last frame has left.
    """

    def __init__(self, machine: ClientMachine, context: ClientContext) -> None:
        self._machine = machine
        self._context = context
        self.spent = False
        self.handed_over = False

    def begin(self, session: SessionParams, params: RoundParams, model: bytes) -> None:
        """Check the model and spend the round, before the first frame is made.

        Args:
            session: K.
            params: P.
            model: 32-byte hash of the model the caller trained on.

        Raises:
            ModelMismatch: the orchestrator announced another model, or the policy refuses a second
                upload on this one.
            StaleRound: another session has spent this round.
        """
        try:
            if params.model != model:
                raise ModelMismatch("the announced model is not the one this update was made on")
            self.spend(session, model)
        except SecAggError as error:
            self._machine.fail(error)
            raise

    def spend(self, session: SessionParams, model: bytes) -> None:
        """Store durably that this round is uploaded in."""
        refuse = any(model) and self._context.policy.repeat_model == "refuse"
        self._context.journal.store_upload(
            session.roster, session.round, model, refuse_repeat=refuse
        )
        self.spent = True

    @property
    def ended(self) -> bool:
        """The session has failed: nothing more leaves."""
        return self._machine.failure is not None

    def frames(
        self, source: Source, spans: Sequence[wire.Span], *, session: bytes, mac: FrameMac
    ) -> Iterator[bytearray]:
        """The frames in order, until the session fails.

        Args:
            source: writes the protected words.
            spans: of the frames.
            session: session id.
            mac: tags the frames.
        """
        workers = self._context.workers
        for frame, last in tagged_frames(source, spans, session=session, mac=mac, workers=workers):
            if self.ended:
                return
            # set before the last frame leaves: its answer may be back before `next` is called
            self.handed_over = last
            yield frame


def no_upload_due() -> LocalProtocolError:
    """What a caller is told who uploads unasked, or twice."""
    return LocalProtocolError("no upload is due: wait for UpdateDue, upload once")
