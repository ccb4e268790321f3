"""The additive server: relays shares, sums ciphertexts, and opens the sum with one key.

It keeps one running sum and the uploads still on their way in; never n vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from secagg import wire
from secagg.crypto.agreement import agree, public_key
from secagg.crypto.labels import Label
from secagg.crypto.packed import PROOF_COLUMNS, evaluate_each
from secagg.crypto.reed_solomon import PRIME
from secagg.crypto.secret import Secret
from secagg.encoding import encode
from secagg.errors import (
    BelowThreshold,
    ConfigurationError,
    LocalProtocolError,
    SecAggError,
    SessionAborted,
)
from secagg.params import GatewayId, RoundParams, SessionParams, Struct
from secagg.protocol.audit import AuditRecord, drop_records
from secagg.protocol.certificate import (
    Certificate,
    Consistency,
    make_certificate,
    verify_consistency,
)
from secagg.protocol.events import SharesDisputed
from secagg.protocol.machine import Dropped, ServerMachine, Stage
from secagg.protocol.messages import DropReason, Signed, UploadHeader, sign_round, sign_session
from secagg.protocol.outcome import check_opened
from secagg.protocol.prekeys import Prekey, open_prekey, usable
from secagg.protocol.transcript import (
    advert_hash,
    included_hash,
    keys_hash,
    round_hash,
    session_hash,
    shares_hash,
)
from secagg.protocol.uploads import BadFrame, Span, Staging, frame_mac
from secagg.schemes.additive.encoding import EncodingOf
from secagg.schemes.additive.messages import (
    STEPS,
    AnswerAgainRequest,
    AnswerRequest,
    Dealing,
    DealtShare,
    IncludedRequest,
    KeySum,
    UploadRequest,
)
from secagg.schemes.additive.recovery import Complaints, too_few, total_key, weigh
from secagg.schemes.additive.shares import Row, dealing_digest, packing_of
from secagg.schemes.base import Opened, ServerContext, Words
from secagg.thresholds import KEY_COEFFICIENTS, MAX_COMPLETE, SEAL_BYTES

NOBODY: Final[frozenset[int]] = frozenset()


class AdditiveServer:
    """The orchestrator in one session.

    Args:
        params: gives K, once the session's X25519 public key is drawn.
        round_params: gives P for that K; asked again when P is sent.
        context: identity, cohort, randomness, staging, threads, prekeys of the last round.
        encoding: the ring.
        keep_uploads: keep every upload in a temporary file until the sum is open, so that those of
            cheating dealers can be taken out again.
    """

    def __init__(
        self,
        params: Callable[[bytes], SessionParams],
        round_params: Callable[[SessionParams], RoundParams],
        context: ServerContext,
        encoding: EncodingOf,
        *,
        keep_uploads: bool = False,
    ) -> None:
        self._context = context
        self._cohort = context.cohort
        self._private = Secret(context.rng(32))
        self.params = params(public_key(self._private.reveal()))
        self._round_params = round_params
        self._encoding_of = encoding
        self._announce = sign_session(context.identity.key, self.params)
        self._limits = limits = self.params.thresholds
        self._packing = packing_of(limits)
        self._columns = self._packing.columns(KEY_COEFFICIENTS)
        self._use_round()
        self._prekeys = usable(
            context.setup,
            cohort=self._cohort,
            roster=self.params.roster,
            round=self.params.round,
            verify=context.verify,
        )
        self._taken = {self.params.orchestrator_key}
        self._taken |= {prekey.key for _, prekey in self._prekeys.values()}
        least = max(limits.min_included, limits.quorum, limits.gateways - limits.max_dropouts)
        stages = {
            "set_up": Stage(self._take_prekey, self._close_set_up, 0),
            "upload": Stage(self._take_dealing, self._close_uploads, least),
            "consistency": Stage(self._take_signature, self._close_signatures, limits.quorum),
            "answer": Stage(self._take_answer, self._close_answers, 0),
            "answer_again": Stage(self._take_answer, self._close_again, 0),
        }
        certified = limits.gateways > MAX_COMPLETE
        without = {"set_up"} if len(self._prekeys) == len(self._cohort) else set()
        without |= {"answer_again"} if certified else {"consistency"}
        self.machine = ServerMachine(
            [step for step in STEPS if step.name not in without],
            stages,
            cohort=self._cohort,
            verify=context.verify,
            on_drop=self._dropped,
        )
        self._check_request_size()
        self._members = frozenset(range(limits.committee))
        spans = wire.frame_spans(self._encoding.words, self._encoding.unit)
        self._staging = Staging(spans, max_in_flight=context.max_in_flight, spool=context.spool)
        self._kept: dict[int, _Kept] | None = {} if keep_uploads else None
        self._dealt: dict[int, Dealing] = {}
        self._complete: set[int] = set()
        self._signatures: dict[int, bytes] = {}
        self._sums: dict[int, Row] = {}
        self._complaints: dict[int, frozenset[int]] = {}
        self._certificate: Certificate | None = None
        self._setup: dict[GatewayId, Signed] = {}
        self.opened: Opened | None = None

    def _use_round(self) -> None:
        self.round = self._round_params(self.params)
        self._signed_round = sign_round(self._context.identity.key, self.round)
        self._encoding = self._encoding_of(self.round, len(self._cohort))

    def _check_request_size(self) -> None:
        """The two requests that grow with the cohort carry every prekey, P and every share."""
        n, limits = len(self._cohort), self._limits
        bits, key = self._cohort.bits(()), bytes(32)
        name = max(self._cohort.ids, key=lambda name: len(str(name)))
        prekey = encode(Prekey(roster=key, round=self.params.round, member=name, key=key))
        signed = (Signed(body=prekey, signature=bytes(64)),)
        share = DealtShare(
            ciphertext=bytes(self._sealed_bytes), digest=key, evaluation=bytes(2 * PROOF_COLUMNS)
        )
        upload = UploadRequest(
            announce=self._announce,
            round=self._signed_round,
            keyed=bits,
            prekeys=signed * (limits.committee + 1),
            hashes=(key,) * (n - limits.committee),
        )
        answer = AnswerRequest(
            included=bits,
            certificate=Certificate(signers=bits, signatures=(bytes(64),) * limits.quorum),
            prekeys=signed * (n - limits.committee),
            shares=(share,) * (n - 1),
        )
        for request, cure in ((upload, "average fewer, larger arrays"), (answer, "lower D or n")):
            if (size := len(encode(request))) > wire.MAX_PAYLOAD:
                raise ConfigurationError(
                    f"a request of {size} bytes, frames hold {wire.MAX_PAYLOAD}: {cure}"
                )

    @property
    def _sealed_bytes(self) -> int:
        return self._packing.row_bytes(KEY_COEFFICIENTS) + SEAL_BYTES

    def start(self) -> None:
        """Open the first phase: ask for missing prekeys, or at once for the uploads."""
        everybody = range(len(self._cohort))
        missing = [position for position in everybody if position not in self._prekeys]
        if missing:
            self.machine.start(dict.fromkeys(missing, self._announce))
        else:
            self.machine.start(self._ask_uploads())

    def receive(self, position: int, name: str, signed: Signed) -> None:
        """Take one signed answer; see `ServerMachine.receive`."""
        with self._forgetting():
            self.machine.receive(position, name, signed)

    def advance(self) -> None:
        """Time is up for the open phase.

        Raises:
            LocalProtocolError: no phase is open.
            SessionAborted: too few gateways are left.
        """
        with self._forgetting():
            self.machine.advance()

    @property
    def round_announced(self) -> bool:
        """P is out."""
        return self.machine.phase not in {"ready", "set_up"}

    @property
    def headers_missing(self) -> frozenset[int]:
        """Nobody: an upload is added as soon as it is complete."""
        return NOBODY

    @property
    def setup(self) -> Mapping[GatewayId, Signed]:
        """Prekeys for the next round, of those who have sent one."""
        return self._setup

    def _dropped(self) -> None:
        for position in self.machine.dropped:
            self._staging.discard(position)

    # -- prekeys -----------------------------------------------------------------------------------

    def _take_prekey(self, position: int, _prekey: Prekey, signed: Signed) -> bool:
        opened = self._opened_prekey(position, signed, self.params.round)
        if opened.key in self._taken:
            raise Dropped(DropReason.BAD_KEY, "a key that another party has advertised")
        self._taken.add(opened.key)
        self._prekeys[position] = signed, opened
        return True

    def _opened_prekey(self, position: int, signed: Signed, number: int) -> Prekey:
        try:
            return open_prekey(
                signed,
                cohort=self._cohort,
                position=position,
                roster=self.params.roster,
                round=number,
                verify=self._context.verify,
            )
        except SecAggError as error:
            raise Dropped(DropReason.BAD_KEY, f"prekey: {error}") from None

    def _close_set_up(self, _answered: frozenset[int]) -> Mapping[int, Struct]:
        return self._ask_uploads()

    def _ask_uploads(self) -> Mapping[int, Struct]:
        limits = self._limits
        self._keyed = frozenset(self._prekeys) - self.machine.dropped.keys()
        committee = sorted(self._keyed & self._members)
        if len(committee) < limits.share_threshold:
            raise BelowThreshold(len(committee), limits.share_threshold, "set_up")
        # only now: the model may be the mean of a round that ran beside the set-up
        self._use_round()
        n = len(self._cohort)
        self._hashes = {place: advert_hash(self._prekeys[place][0]) for place in self._keyed}
        self._h0 = keys_hash(session_hash(self.params), n, self._hashes)
        self._h2 = shares_hash(self._h0, round_hash(self.round), n, self._keyed)
        self._sum = self._encoding.running_sum()
        return _Lazy(sorted(self._keyed), self._upload_request())

    def _upload_request(self) -> Callable[[int], UploadRequest]:
        """Members get the same request; the others' has their own prekey among the members'."""
        bitmap = self._cohort.bits(self._keyed)

        def request(shown: frozenset[int]) -> UploadRequest:
            return UploadRequest(
                announce=self._announce,
                round=self._signed_round,
                keyed=bitmap,
                prekeys=tuple(self._prekeys[place][0] for place in sorted(shown)),
                hashes=tuple(self._hashes[place] for place in sorted(self._keyed - shown)),
            )

        committee = self._keyed & self._members
        same = request(committee)
        return lambda place: same if place in committee else request(committee | {place})

    # -- uploads -----------------------------------------------------------------------------------

    def _take_dealing(self, position: int, dealing: Dealing, _signed: Signed) -> bool:
        key = self._cohort.key(position)
        header = dealing.header.open(UploadHeader, key, Label.SIGN_HEADER, self._context.verify)
        if (header.h0, header.h2, header.position) != (self._h0, self._h2, position):
            raise Dropped(DropReason.FOREIGN, "upload header of another transcript or position")
        receivers = len((self._keyed & self._members) - {position})
        sizes = {len(ciphertext) for ciphertext in dealing.ciphertexts}
        if len(dealing.ciphertexts) != receivers or sizes != {self._sealed_bytes}:
            raise Dropped(DropReason.MALFORMED, f"not one share for each of {receivers} members")
        self._elements(dealing.proof, PROOF_COLUMNS * self._limits.share_threshold)
        if self._cohort.set_of(header.complaints):
            raise Dropped(DropReason.MALFORMED, "complaints about shares not yet received")
        self._keep_prekey(position, dealing.next_prekey)
        self._dealt[position] = dealing
        shared = agree(self._private.reveal(), self._prekeys[position][1].key)
        mac = frame_mac(shared, salt=self._h0, session=self.params.session, position=position)
        self._staging.open(position, mac)
        return False

    @staticmethod
    def _elements(data: bytes, count: int) -> Row:
        """Field elements out of an answer."""
        values = np.frombuffer(data, "<u2") if len(data) == 2 * count else None
        if values is None or int(values.max()) >= PRIME:
            raise Dropped(DropReason.MALFORMED, f"not {count} field elements")
        return values

    def _keep_prekey(self, position: int, signed: Signed) -> None:
        """Every message of a gateway carries the same prekey for the next round."""
        name = self._cohort.ids[position]
        if self._setup.get(name) == signed:
            return
        self._opened_prekey(position, signed, self.params.round + 1)
        if self._setup.setdefault(name, signed) != signed:
            raise Dropped(DropReason.EQUIVOCATED, "two prekeys for one round")

    def receive_frame(
        self, position: int, sequence: int, region: memoryview, words: Words, tag: bytes
    ) -> None:
        """Take one frame of an upload; a bad one drops its sender.

        Args:
            position: of the sender.
            sequence: number of the frame.
            region: all of the frame but its tag.
            words: the words inside `region`; kept until the upload is complete.
            tag: 16 bytes.

        Raises:
            SessionAborted: too few gateways are left.
        """
        if self.machine.phase != "upload" or position not in self.machine.waiting_for:
            return
        try:
            complete = self._staging.add(position, sequence, region, words, tag)
        except BadFrame as error:
            self.machine.drop(position, DropReason.BAD_FRAME, str(error))
        else:
            if complete:
                self._add(position)
        with self._forgetting():
            self.machine.close_if_complete()

    def _add(self, position: int) -> None:
        kept = None
        if self._kept is not None:
            kept = self._kept[position] = _Kept(self._context.spool())
        for span, words in self._staging.take(position):
            self._sum.add(span[0], span[1], words)
            if kept is not None:
                kept.write(span, words)
        self.machine.finish(position)

    def _close_uploads(self, included: frozenset[int]) -> Mapping[int, Struct]:
        self._include(included)
        if self._limits.gateways <= MAX_COMPLETE:
            return self._ask_answers(included)
        bitmap = self._cohort.bits(included)
        return dict.fromkeys(sorted(included), IncludedRequest(included=bitmap))

    def _include(self, included: frozenset[int]) -> None:
        self._u3 = included
        self._h3 = included_hash(self._h0, self._h2, len(self._cohort), included)

    # -- certificate, above 64 gateways ------------------------------------------------------------

    def _take_signature(self, position: int, body: Consistency, signed: Signed) -> bool:
        if (body.session, body.h3) != (self.params.session, self._h3):
            raise Dropped(DropReason.FOREIGN, "a signature on another transcript")
        self._signatures[position] = signed.signature
        return True

    def _close_signatures(self, signers: frozenset[int]) -> Mapping[int, Struct]:
        self._certificate = self._certify()
        return self._ask_answers(signers)

    def _certify(self) -> Certificate:
        # a quorum is what the certificate takes: every further signature costs everybody a check
        quorum = sorted(self._signatures)[: self._limits.quorum]
        return make_certificate(self._cohort, {place: self._signatures[place] for place in quorum})

    # -- answers -----------------------------------------------------------------------------------

    def _ask_answers(self, live: frozenset[int]) -> Mapping[int, Struct]:
        members = sorted(live & self._members)
        if len(members) < self._limits.share_threshold:
            raise BelowThreshold(len(members), self._limits.share_threshold, self.machine.phase)
        dealers = sorted(self._u3)
        digests = {
            dealer: dealing_digest(self._h2, dealer, self._dealt[dealer].ciphertexts)
            for dealer in dealers
        }
        evaluations = self._evaluations(dealers)
        # a dealer's ciphertexts go over the members with a prekey, without itself
        places = {member: at for at, member in enumerate(sorted(self._keyed & self._members))}
        outside = [dealer for dealer in dealers if dealer not in self._members]
        prekeys = tuple(self._prekeys[dealer][0] for dealer in outside)
        bitmap = self._cohort.bits(self._u3)

        def share(dealer: int, member: int) -> DealtShare:
            at = places[member] - (dealer in places and dealer < member)
            return DealtShare(
                ciphertext=self._dealt[dealer].ciphertexts[at],
                digest=digests[dealer],
                evaluation=evaluations[dealer][member].tobytes(),
            )

        def request(member: int) -> AnswerRequest:
            return AnswerRequest(
                included=bitmap,
                certificate=self._certificate,
                prekeys=prekeys,
                shares=tuple(share(dealer, member) for dealer in dealers if dealer != member),
            )

        return _Lazy(members, request)

    def _evaluations(self, dealers: Sequence[int]) -> dict[int, NDArray[np.uint16]]:
        """Every dealing proof at every member's point: uint16[m, 8] by dealer."""
        proofs = [
            np.frombuffer(self._dealt[dealer].proof, "<u2").reshape(PROOF_COLUMNS, -1)
            for dealer in dealers
        ]
        values = evaluate_each(np.stack(proofs), self._packing)
        return {dealer: each.astype("<u2") for dealer, each in zip(dealers, values, strict=True)}

    def _take_answer(self, position: int, answer: KeySum, _signed: Signed) -> bool:
        if (answer.h3, answer.position) != (self._h3, position):
            raise Dropped(DropReason.FOREIGN, "an answer for another transcript or position")
        complaints = self._cohort.set_of(answer.complaints)
        if not complaints <= self._u3 - {position}:
            raise Dropped(DropReason.MALFORMED, "a complaint about somebody who dealt it nothing")
        if complaints and (answer.shares or self.machine.phase == "answer_again"):
            raise Dropped(DropReason.MALFORMED, "complaints where a sum belongs")
        self._keep_prekey(position, answer.next_prekey)
        if complaints:
            self._complaints[position] = complaints
            return True
        row = self._elements(answer.shares, self._columns)
        if self._limits.gateways <= MAX_COMPLETE:
            self._take_consistency(position, answer.consistency)
        self._sums[position] = row
        return True

    def _take_consistency(self, position: int, signature: bytes) -> None:
        verify_consistency(
            self._cohort.key(position),
            signature,
            session=self.params.session,
            h3=self._h3,
            verify=self._context.verify,
        )
        self._signatures[position] = signature

    def _close_answers(self, answered: frozenset[int]) -> Mapping[int, Struct]:
        complaints = {i: self._complaints[i] for i in answered if i in self._complaints}
        found = weigh(complaints, self._limits.max_colluding)
        for position in sorted(found.holders):
            self.machine.drop(position, DropReason.BAD_HOLDER)
        ids = self._cohort.ids
        self.machine.events.extend(
            SharesDisputed(ids[holder], ids[dealer]) for holder, dealer in found.disputes
        )
        if len(self._sums) < self._limits.share_threshold:
            return self._ask_again(found)
        self._open()
        return {}

    def _ask_again(self, found: Complaints) -> Mapping[int, Struct]:
        """Without the dealers whose fault is proved, if enough members have only complained.

        Raises:
            BadDealing, BelowThreshold: they have not.
        """
        limits = self._limits
        rest = self._u3 - found.dealers
        members = found.satisfied & rest
        floor = max(limits.min_included, limits.quorum)
        enough = len(members) >= limits.share_threshold and len(rest) >= floor
        if self._kept is None or not enough or limits.gateways > MAX_COMPLETE:
            raise too_few(len(self._sums), limits, found, self._cohort.ids)
        for dealer in sorted(found.dealers):
            self.machine.drop(dealer, DropReason.BAD_DEALER)
            for (vector, first, _), words in self._kept[dealer].read():
                self._sum.subtract(vector, first, words)
        self._include(rest)
        self._sums.clear()
        self._signatures.clear()
        bitmap = self._cohort.bits(rest)
        return dict.fromkeys(sorted(members), AnswerAgainRequest(included=bitmap))

    def _close_again(self, _answered: frozenset[int]) -> Mapping[int, Struct]:
        if len(self._sums) < self._limits.share_threshold:
            raise BelowThreshold(len(self._sums), self._limits.share_threshold, "answer_again")
        self._open()
        return {}

    def _open(self) -> None:
        included = len(self._u3)
        key, liars = total_key(
            self._sums,
            packing=self._packing,
            encoding=self._encoding,
            included=included,
            coefficients=KEY_COEFFICIENTS,
        )
        for position in liars:
            self.machine.drop(position, DropReason.BAD_SHARE)
        workers = self._context.workers
        vectors = self._sum.open(
            key, public=round_hash(self.round), included=included, workers=workers
        )
        total = check_opened(self.round, vectors, included, workers)
        if self._certificate is None:
            self._certificate = self._certify()
        self.opened = Opened(self._u3, vectors, total, self._encoding.noise)
        self._forget()

    @contextmanager
    def _forgetting(self) -> Iterator[None]:
        """Whatever ends the round ends what was kept for it."""
        try:
            yield
        except SessionAborted:
            self._forget()
            raise

    def _forget(self) -> None:
        self._private.erase()
        for kept in (self._kept or {}).values():
            kept.close()

    def audit(self) -> AuditRecord:
        """What everybody can verify afterwards.

        U1 and U2 are both the gateways with a prekey: whoever has one deals with its upload.

        Raises:
            LocalProtocolError: the round has no certificate (yet).
        """
        if self._certificate is None:
            raise LocalProtocolError("a round has an audit record once its set is certified")
        return AuditRecord(
            announce=self._announce,
            round=self._signed_round,
            keys=self._cohort.bits(self._keyed),
            key_hashes=tuple(self._hashes[position] for position in sorted(self._keyed)),
            dealers=self._cohort.bits(self._keyed),
            included=self._cohort.bits(self._u3),
            headers=tuple(self._dealt[position].header for position in sorted(self._u3)),
            certificate=self._certificate,
            dropped=drop_records(self._cohort, self.machine.dropped.values()),
        )


class _Lazy(Mapping[int, Struct]):
    """Requests that are made when they are sent: all at once would be every share of everybody."""

    def __init__(self, positions: list[int], make: Callable[[int], Struct]) -> None:
        self._positions = positions
        self._make = make

    def __getitem__(self, position: int) -> Struct:
        return self._make(position)

    def __iter__(self) -> Iterator[int]:
        return iter(self._positions)

    def __len__(self) -> int:
        return len(self._positions)


class _Kept:
    """An upload that may have to be taken out again, in a temporary file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._spans: list[Span] = []

    def write(self, span: Span, words: Words) -> None:
        self._file.write(words.data)
        self._spans.append(span)

    def read(self) -> Iterator[tuple[Span, Words]]:
        self._file.seek(0)
        for span in self._spans:
            yield span, np.frombuffer(self._file.read(8 * span[2]), dtype="<u8")

    def close(self) -> None:
        self._file.close()
