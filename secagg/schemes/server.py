"""Does what the servers of all schemes do alike: announces, fixes the sets, takes uploads in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence

from secagg.crypto.agreement import KeyPair
from secagg.crypto.merkle import MerkleTree
from secagg.crypto.sealing import FrameMac
from secagg.errors import LocalProtocolError
from secagg.params import GatewayId, RoundParams, SessionParams, Struct
from secagg.protocol.audit import AuditRecord, RoundEntry, SessionEntry, drop_records
from secagg.protocol.blame import Dropped, Unproven
from secagg.protocol.certificate import Certificate, Consistency, make_certificate
from secagg.protocol.events import SharesDisputed
from secagg.protocol.messages import DropReason, Signed, UploadHeader, sign_round, sign_session
from secagg.protocol.possession import impostors, possesses
from secagg.protocol.server_machine import ServerMachine
from secagg.protocol.staging import frame_mac
from secagg.protocol.steps import Stage, Step, upload_index
from secagg.protocol.transcript import (
    included_hash,
    rooted_hash,
    round_hash,
    session_hash,
    shares_hash,
)
from secagg.schemes.base import Opened, ServerContext
from secagg.wire import VectorFrame


class Server(ABC):
    """The orchestrator in one session.

    Args:
        params: gives K, once the session's X25519 public key is drawn.
        round_params: gives P for that K; asked again when P is sent.
        context: identity, cohort, randomness, staging, threads, keys sent ahead.

    Attributes:
        params: K.
        round: P.
        machine: who owes an answer, who gave one, who is dropped.
        opened: the sum, once it is open.
    """

    machine: ServerMachine
    _u1: frozenset[int]
    _u2: frozenset[int]
    _u3: frozenset[int]
    _key_hashes: Mapping[int, bytes]
    _tree: MerkleTree
    _places: Mapping[int, int]
    _h0: bytes
    _h2: bytes
    _h3: bytes

    def __init__(
        self,
        params: Callable[[bytes], SessionParams],
        round_params: Callable[[SessionParams], RoundParams],
        context: ServerContext,
    ) -> None:
        self._context = context
        self._cohort = context.cohort
        self._private = KeyPair(context.rng(32))
        self.params = params(self._private.public)
        self._limits = self.params.thresholds
        self._k = session_hash(self.params)
        self._announce = sign_session(context.identity.key, self.params)
        self._round_params = round_params
        self._use_round()
        self._headers: dict[int, Signed] = {}
        self._signatures: dict[int, bytes] = {}
        self._certificate: Certificate | None = None
        self.opened: Opened | None = None

    def _drive(self, steps: Sequence[Step], stages: Mapping[str, Stage]) -> None:
        """Make the machine that takes these steps."""
        upload = upload_index(steps)
        self._upload_phase = steps[upload].name
        self._before_round = {"ready", *(step.name for step in steps[:upload])}
        self.machine = ServerMachine(
            steps,
            stages,
            session=self.params.session,
            cohort=self._cohort,
            verify=self._context.verify,
            workers=self._context.workers,
            on_drop=self._dropped,
            on_abort=self._forget,
        )

    @abstractmethod
    def start(self) -> None:
        """Open the first phase."""

    @abstractmethod
    def _dropped(self) -> None:
        """Somebody is dropped: give back what was staged for it."""

    @abstractmethod
    def _take_frame(self, position: int, frame: VectorFrame) -> None:
        """Take one frame of an upload that is due, or raise `Dropped`."""

    def receive(self, position: int, name: str, signed: Signed, *, vouched: bool = False) -> None:
        """Take one signed answer; see `ServerMachine.receive`."""
        self.machine.receive(position, name, signed, vouched=vouched)

    def receive_frame(self, position: int, frame: VectorFrame, *, vouched: bool = False) -> None:
        """Take one frame of an upload; a bad one drops its sender, if the frame is authentic.

        Args:
            position: of the sender.
            frame: its words are kept until the upload is complete.
            vouched: the link is sure of the sender.

        Raises:
            SessionAborted: too few gateways are left.
        """
        if self.machine.phase != self._upload_phase or not self.machine.owes(position):
            return
        try:
            self._take_frame(position, frame)
        except Unproven as error:
            self.machine.refuse(position, error.reason, error.detail, vouched=vouched)
        except Dropped as error:
            self.machine.drop(position, error.reason, error.detail)
        self.machine.close_if_complete()

    def advance(self) -> None:
        """Time is up for the open phase.

        Raises:
            LocalProtocolError: no phase is open.
            SessionAborted: too few gateways are left.
        """
        self.machine.advance()

    @property
    def round_announced(self) -> bool:
        """P is out."""
        return self.machine.phase not in self._before_round

    @property
    def headers_missing(self) -> frozenset[int]:
        """Positions whose upload header is not there, while a verdict waits for it."""
        return frozenset()

    @property
    def setup(self) -> Mapping[GatewayId, Signed]:
        """What gateways have sent ahead for the next round: fewer exchanges there."""
        return {}

    def audit(self) -> AuditRecord:
        """What everybody can verify afterwards.

        Raises:
            LocalProtocolError: the round has no certificate (yet).
        """
        if self._certificate is None:
            raise LocalProtocolError("a round has an audit record once its set is certified")
        return AuditRecord(
            announce=SessionEntry(params=self.params, signature=self._announce.signature),
            round=RoundEntry(params=self.round, signature=self._signed_round.signature),
            keys=self._cohort.bits(self._u1),
            key_hashes=tuple(self._key_hashes[position] for position in sorted(self._u1)),
            dealers=self._cohort.bits(self._u2),
            included=self._cohort.bits(self._u3),
            headers=tuple(self._headers[position] for position in sorted(self._u3)),
            certificate=self._certificate,
            dropped=drop_records(self._cohort, self.machine.dropped.values()),
        )

    # -- the transcript ----------------------------------------------------------------------------

    def _use_round(self) -> None:
        """Ask for P.

        Once more when it is sent: the model may be the mean of a round that ran beside the first
        exchanges of this one.
        """
        self.round = self._round_params(self.params)
        self._signed_round = sign_round(self._context.identity.key, self.round)

    def _fix_keys(self, hashes: Mapping[int, bytes]) -> None:
        """U1 and h0, by position -> hash of a key message."""
        self._u1, self._key_hashes = frozenset(hashes), hashes
        self._tree = MerkleTree([hashes[position] for position in sorted(hashes)])
        self._places = {position: place for place, position in enumerate(sorted(hashes))}
        self._h0 = rooted_hash(self._k, len(self._cohort), hashes, self._tree.root)

    def _prove(self, shown: Iterable[int]) -> tuple[bytes, ...]:
        """What takes the key messages of some of U1 to h0."""
        return self._tree.prove([self._places[position] for position in sorted(shown)])

    def _fix_dealers(self, dealers: frozenset[int]) -> None:
        """P, U2 and h2."""
        self._use_round()
        self._u2 = dealers
        self._h2 = shares_hash(
            self._h0, round_hash(self._signed_round.body), len(self._cohort), dealers
        )

    def _fix_included(self, included: frozenset[int]) -> None:
        """U3 and h3."""
        self._u3 = included
        self._h3 = included_hash(self._h0, self._h2, len(self._cohort), included)

    # -- what is the same in every answer ----------------------------------------------------------

    def _drop_impostors(
        self, claims: Mapping[int, tuple[Sequence[bytes], bytes | None]]
    ) -> frozenset[int]:
        """Drop whoever shows the key of somebody else, by position -> keys and the proof of them.

        Asked only where two show one key, so a proof costs its maker alone.
        """

        def proved(position: int) -> bool | None:
            keys, proof = claims[position]
            shared = [self._private.agree(key) for key in keys]
            return None if proof is None else possesses(shared, proof, self._k, position)

        found = impostors({position: keys for position, (keys, _) in claims.items()}, proved)
        for position in sorted(found):
            self.machine.drop(position, DropReason.BAD_KEY, "a key of which another has the half")
        return found

    def _check_header(self, position: int, header: UploadHeader) -> None:
        if (header.h0, header.h2, header.position) != (self._h0, self._h2, position):
            raise Unproven(DropReason.FOREIGN, "upload header of another transcript or position")

    def _check_transcript(self, position: int, h3: bytes, claimed: int) -> None:
        if (h3, claimed) != (self._h3, position):
            raise Unproven(DropReason.FOREIGN, "an answer for another transcript or position")

    def _frame_mac(self, position: int, shared: bytes) -> FrameMac:
        """What tags the frames of the gateway with which this secret is shared."""
        return frame_mac(shared, salt=self._h0, session=self.params.session, position=position)

    def _check_consistency(self, _position: int, body: Consistency) -> None:
        if (body.session, body.h3) != (self.params.session, self._h3):
            raise Unproven(DropReason.FOREIGN, "a signature on another transcript")

    def _signing(self, close: Callable[[frozenset[int]], Mapping[int, Struct]]) -> Stage:
        """The stage in which the included set is signed."""
        needed = self._limits.quorum
        return Stage(self._check_consistency, self._take_signature, close, needed)

    def _take_signature(self, position: int, _body: Consistency, signed: Signed) -> bool:
        self._signatures[position] = signed.signature
        return True

    def _certify(self) -> Certificate:
        self._certificate = make_certificate(self._cohort, self._signatures, self._limits.quorum)
        return self._certificate

    def _drop_faulty(
        self,
        holders: Iterable[int],
        dealers: Iterable[int],
        disputes: Iterable[tuple[int, int]],
    ) -> None:
        """Drop whose fault is proved, and name the pairs of whom one lies."""
        for position in sorted(holders):
            self.machine.drop(position, DropReason.BAD_HOLDER)
        for position in sorted(dealers):
            self.machine.drop(position, DropReason.BAD_DEALER)
        ids = self._cohort.ids
        self.machine.events.extend(
            SharesDisputed(ids[holder], ids[dealer]) for holder, dealer in disputes
        )

    def _forget(self) -> None:
        """Erase what was kept for the round."""
        self._private.erase()
