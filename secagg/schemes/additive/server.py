"""The additive server: relays shares, sums ciphertexts, and opens the sum with one key.

It keeps one running sum and the uploads still on their way in; never n vectors in memory
(`keep_uploads` writes each to a file).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from secagg import canonical, wire
from secagg.crypto.labels import Label
from secagg.crypto.packed import Row
from secagg.errors import BelowThreshold, LocalProtocolError, SecAggError
from secagg.params import GatewayId, RoundParams, SessionParams, Struct
from secagg.protocol.blame import Dropped, Unproven
from secagg.protocol.certificate import verify_consistency
from secagg.protocol.messages import DropReason, Signed, UploadHeader
from secagg.protocol.outcome import check_opened
from secagg.protocol.prekeys import Prekey, open_prekey, usable, verify_once
from secagg.protocol.staging import Staging
from secagg.protocol.steps import Stage
from secagg.protocol.transcript import advert_hash, round_hash
from secagg.schemes.additive.messages import (
    STEPS,
    AnswerAgainRequest,
    Dealing,
    IncludedRequest,
    KeySum,
    SetUp,
)
from secagg.schemes.additive.questions import answer_requests, check_sizes, upload_requests
from secagg.schemes.additive.recovery import Complaints, field_elements, too_few, total_key, weigh
from secagg.schemes.additive.rings import RingOf
from secagg.schemes.additive.shares import SALT_BYTES, packing_of, sealed_bytes
from secagg.schemes.additive.summing import Summing
from secagg.schemes.base import Opened, ServerContext
from secagg.schemes.server import Server
from secagg.thresholds import PROOF_COLUMNS
from secagg.wire import VectorFrame


class AdditiveServer(Server):
    """The orchestrator in one session.

    Args:
        params, round_params, context: see `Server`.
        ring: the ring.
        keep_uploads: keep every upload in a temporary file until the sum is open, so that those of
            cheating dealers can be taken out again.
    """

    def __init__(
        self,
        params: Callable[[bytes], SessionParams],
        round_params: Callable[[SessionParams], RoundParams],
        context: ServerContext,
        ring: RingOf,
        *,
        keep_uploads: bool = False,
    ) -> None:
        super().__init__(params, round_params, context)
        limits = self._limits
        self._packing = packing_of(limits)
        self._ring_of = ring
        self._use_encoding()
        self._verify_prekey = verify_once(context.verify)
        self._prekeys = usable(
            context.setup,
            cohort=self._cohort,
            roster=self.params.roster,
            round=self.params.round,
            verify=self._verify_prekey,
        )
        least = limits.gateways - limits.max_dropouts  # n_min and q are no larger
        stages = {
            "set_up": Stage(self._check_set_up, self._take_set_up, self._close_set_up, 0),
            "upload": Stage(self._check_dealing, self._take_dealing, self._close_uploads, least),
            "consistency": self._signing(self._close_signatures),
            "answer": Stage(self._check_answer, self._take_answer, self._close_answers, 0),
            "answer_again": Stage(self._check_answer, self._take_answer, self._close_again, 0),
        }
        without = {"set_up"} if len(self._prekeys) == len(self._cohort) else set()
        without |= {"answer_again"} if limits.certified else {"consistency"}
        self._drive([step for step in STEPS if step.name not in without], stages)
        check_sizes(self._announce, self._signed_round, self._cohort, self._sealed_bytes)
        self._members = frozenset(range(limits.committee))
        self._summing: Summing | None = None
        self._keep = keep_uploads
        self._dealt: dict[int, Dealing] = {}
        self._proofs: dict[int, bytes] = {}
        self._sums: dict[int, Row] = {}
        self._complaints: dict[int, frozenset[int]] = {}
        self._setup: dict[GatewayId, Signed] = {}

    def _use_encoding(self) -> None:
        self._ring = self._ring_of(self.round, len(self._cohort))
        coefficients = self._ring.coefficients
        self._columns = self._packing.columns(coefficients)
        self._sealed_bytes = sealed_bytes(self._packing, coefficients)

    def start(self) -> None:
        """Open the first phase: ask for missing prekeys, or at once for the uploads."""
        everybody = range(len(self._cohort))
        missing = [position for position in everybody if position not in self._prekeys]
        if missing:
            self.machine.start(dict.fromkeys(missing, self._announce))
        else:
            self.machine.start(self._ask_uploads())

    @property
    def setup(self) -> Mapping[GatewayId, Signed]:
        """Prekeys for the next round, of those who have sent one."""
        return self._setup

    def _dropped(self) -> None:
        if self._summing is not None:
            for position in self.machine.dropped:
                self._summing.staging.discard(position)

    # -- prekeys -----------------------------------------------------------------------------------

    def _check_set_up(self, position: int, body: SetUp) -> None:
        if (body.session, body.position) != (self._k, position):
            raise Unproven(DropReason.FOREIGN, "a key for another session or position")

    def _take_set_up(self, position: int, body: SetUp, _signed: Signed) -> bool:
        opened = self._opened_prekey(position, body.prekey, self.params.round)
        if opened.key == self.params.orchestrator_key:
            raise Dropped(DropReason.BAD_KEY, "the orchestrator's key")
        self._prekeys[position] = body.prekey, opened
        self._proofs[position] = body.proof
        return True

    def _opened_prekey(self, position: int, signed: Signed, number: int) -> Prekey:
        try:
            return open_prekey(
                signed,
                cohort=self._cohort,
                position=position,
                roster=self.params.roster,
                round=number,
                verify=self._verify_prekey,
            )
        except SecAggError as error:
            raise Dropped(DropReason.BAD_KEY, f"prekey: {error}") from None

    def _close_set_up(self, _answered: frozenset[int]) -> Mapping[int, Struct]:
        shown = {at: prekey.key for at, (_, prekey) in self._prekeys.items()}
        claims = {at: ([key], self._proofs.get(at)) for at, key in shown.items()}  # or sent ahead
        for position in self._drop_impostors(claims):
            del self._prekeys[position]
        return self._ask_uploads()

    def _ask_uploads(self) -> Mapping[int, Struct]:
        prekeys = {place: self._prekeys[place][0] for place in sorted(self._prekeys)}
        committee = sorted(self._members & prekeys.keys())
        if len(committee) < self._limits.share_threshold:
            raise BelowThreshold(
                len(committee), self._limits.share_threshold, "set_up", asked=len(self._members)
            )
        self._fix_keys({place: advert_hash(each) for place, each in prekeys.items()})
        self._fix_dealers(self._u1)
        self._use_encoding()
        staging = Staging(
            wire.frame_spans(self._ring.words, self._ring.unit),
            lambda position: self._frame_mac(
                position, self._private.agree(self._prekeys[position][1].key)
            ),
            max_in_flight=self._context.max_in_flight,
            spool=self._context.spool,
            spool_bytes=self._context.spool_bytes,
            keep=self._keep and not self._limits.certified,  # or no set is asked about twice
        )
        self._summing = Summing(self._ring.running_sum(), staging)
        return upload_requests(
            self._announce, self._signed_round, self._cohort, prekeys, self._prove
        )

    # -- uploads -----------------------------------------------------------------------------------

    def _check_dealing(self, position: int, dealing: Dealing) -> None:
        self._check_header(position, canonical.decode(UploadHeader, dealing.header.body))

    def _take_dealing(self, position: int, dealing: Dealing, _signed: Signed) -> bool:
        key = self._cohort.key(position)
        header = dealing.header.open(UploadHeader, key, Label.SIGN_HEADER, self._context.verify)
        receivers = len((self._u1 & self._members) - {position})
        sizes = {len(ciphertext) for ciphertext in dealing.ciphertexts}
        if len(dealing.ciphertexts) != receivers or sizes != {self._sealed_bytes}:
            raise Dropped(DropReason.MALFORMED, f"not one share for each of {receivers} members")
        if len(dealing.salt) != SALT_BYTES:
            raise Dropped(DropReason.MALFORMED, "a salt of another size")
        field_elements(dealing.proof, PROOF_COLUMNS * self._limits.share_threshold)
        if self._cohort.set_of(header.complaints):
            raise Dropped(DropReason.MALFORMED, "complaints about shares not yet received")
        self._keep_prekey(position, dealing.next_prekey)
        self._dealt[position] = dealing
        self._headers[position] = dealing.header
        return self._uploads.add_up(position)

    def _keep_prekey(self, position: int, signed: Signed) -> None:
        """Every message of a gateway carries the same prekey for the next round."""
        name = self._cohort.ids[position]
        if self._setup.get(name) == signed:
            return  # its signature has been checked before
        self._opened_prekey(position, signed, self.params.round + 1)
        if self._setup.setdefault(name, signed) != signed:
            raise Dropped(DropReason.EQUIVOCATED, "two prekeys for one round")

    def _take_frame(self, position: int, frame: VectorFrame) -> None:
        self._uploads.take_frame(position, frame)
        # frames may overtake the dealing, but are in no sum before it
        if position in self._headers and self._uploads.add_up(position):
            self.machine.finish(position)

    @property
    def _uploads(self) -> Summing:
        if self._summing is None:
            raise LocalProtocolError("no upload is asked for (yet)")
        return self._summing

    def _close_uploads(self, included: frozenset[int]) -> Mapping[int, Struct]:
        self._fix_included(included)
        if not self._limits.certified:
            return self._ask_answers(included)
        bitmap = self._cohort.bits(included)
        return dict.fromkeys(sorted(included), IncludedRequest(included=bitmap))

    def _close_signatures(self, signers: frozenset[int]) -> Mapping[int, Struct]:
        self._certify()
        return self._ask_answers(signers)

    # -- answers -----------------------------------------------------------------------------------

    def _ask_answers(self, live: frozenset[int]) -> Mapping[int, Struct]:
        members = sorted(live & self._members)
        if len(members) < self._limits.share_threshold:
            raise BelowThreshold(
                len(members),
                self._limits.share_threshold,
                self.machine.phase,
                asked=len(self._members),
            )
        return answer_requests(
            members,
            h2=self._h2,
            cohort=self._cohort,
            limits=self._limits,
            prekeys={place: self._prekeys[place][0] for place in sorted(self._u1)},
            dealt={dealer: self._dealt[dealer] for dealer in sorted(self._u3)},
            certificate=self._certificate,
            prove=self._prove,
        )

    def _check_answer(self, position: int, answer: KeySum) -> None:
        self._check_transcript(position, answer.h3, answer.position)

    def _take_answer(self, position: int, answer: KeySum, _signed: Signed) -> bool:
        complaints = self._cohort.set_of(answer.complaints)
        if not complaints <= self._u3 - {position}:
            raise Dropped(DropReason.MALFORMED, "a complaint about somebody who dealt it nothing")
        if complaints and (answer.shares or self.machine.phase == "answer_again"):
            raise Dropped(DropReason.MALFORMED, "complaints where a sum belongs")
        self._keep_prekey(position, answer.next_prekey)
        if complaints:
            self._complaints[position] = complaints
            return True
        row = field_elements(answer.shares, self._columns)
        if not self._limits.certified:
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

    def _close_answers(self, _answered: frozenset[int]) -> Mapping[int, Struct]:
        found = weigh(self._complaints, self._limits.max_colluding)
        # such a dealer is in the sum all the same, if enough members can open it
        self._drop_faulty(found.holders, found.dealers, found.disputes)
        if len(self._sums) < self._limits.share_threshold:
            return self._ask_again(found)
        self._open()
        return {}

    def _ask_again(self, found: Complaints) -> Mapping[int, Struct]:
        """Ask without the dealers whose fault is proved, if enough members have only complained.

        Raises:
            BadDealing, BelowThreshold: they have not.
        """
        limits = self._limits
        rest = self._u3 - found.dealers
        members = found.satisfied
        enough = len(members) >= limits.share_threshold and len(rest) >= limits.min_included
        if not self._uploads.staging.keeps or not enough:
            raise too_few(len(self._sums), limits, found, self._cohort.ids)
        for dealer in sorted(found.dealers):
            self._uploads.take_out(dealer)
        self._fix_included(rest)
        self._sums.clear()
        self._signatures.clear()
        bitmap = self._cohort.bits(rest)
        return dict.fromkeys(sorted(members), AnswerAgainRequest(included=bitmap))

    def _close_again(self, _answered: frozenset[int]) -> Mapping[int, Struct]:
        if len(self._sums) < self._limits.share_threshold:
            raise BelowThreshold(
                len(self._sums),
                self._limits.share_threshold,
                "answer_again",
                asked=len(self._members),
            )
        self._open()
        return {}

    def _open(self) -> None:
        included = len(self._u3)
        key, liars = total_key(
            self._sums, packing=self._packing, ring=self._ring, included=included
        )
        spare = (len(self._sums) - self._limits.share_threshold) // 2
        for position in liars:
            detail = f"wrong, unless more than {spare} members lie together"
            self.machine.drop(position, DropReason.CONTRADICTED, detail)
        workers = self._context.workers
        vectors = self._uploads.total.open(
            key, public=round_hash(self._signed_round.body), included=included, workers=workers
        )
        n, noise = self._limits.gateways, self._ring.noise
        units = check_opened(
            self.round, vectors, included, gateways=n, noise=noise, workers=workers
        )
        if self._certificate is None:
            self._certify()
        self.opened = Opened(self._u3, vectors, units)
        self._forget()

    def _forget(self) -> None:
        super()._forget()
        if self._summing is not None:
            self._summing.staging.close()
