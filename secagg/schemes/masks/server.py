"""The masks server: relays, judges, sums, and takes the masks off the sum of the included set.

It keeps one running sum and the uploads still on their way in; never n vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import chain
from typing import Final

import numpy as np

from secagg import wire
from secagg.canonical import encode
from secagg.crypto.agreement import check_public_keys
from secagg.crypto.labels import Label
from secagg.crypto.macs import AnswerMac
from secagg.crypto.sealing import FrameMac
from secagg.crypto.shamir import SHARE_BYTES
from secagg.errors import ConfigurationError, KeyAgreementError
from secagg.params import HASH_BYTES, RoundParams, SessionParams, Struct
from secagg.protocol.blame import Dropped, Unproven
from secagg.protocol.messages import DropReason, Signed, UploadHeader
from secagg.protocol.possession import PROOF_BYTES
from secagg.protocol.sharing import judge
from secagg.protocol.staging import Staging
from secagg.protocol.steps import Stage
from secagg.protocol.transcript import advert_hash
from secagg.schemes.base import ServerContext
from secagg.schemes.masks.keys import stream_starts
from secagg.schemes.masks.messages import (
    STEPS,
    AdvertiseKeys,
    ConsistencyRequest,
    MaskedInputRequest,
    SealedShares,
    ShareKeys,
    ShareKeysRequest,
    Unmasking,
    UnmaskingRequest,
)
from secagg.schemes.masks.unmask import Recovery, check_answer, open_sum, split_words
from secagg.schemes.server import Server
from secagg.thresholds import neighbours
from secagg.wire import VectorFrame

SEALED_BYTES: Final = 2 * SHARE_BYTES + 16
"""Two shares and a GCM tag."""


class MasksServer(Server):
    """The orchestrator in one session; arguments and attributes as of `Server`."""

    def __init__(
        self,
        params: Callable[[bytes], SessionParams],
        round_params: Callable[[SessionParams], RoundParams],
        context: ServerContext,
    ) -> None:
        super().__init__(params, round_params, context)
        limits = self._limits
        floor = max(limits.min_included, limits.quorum)
        least = max(floor, limits.share_threshold)
        stages = {
            "advertise_keys": Stage(
                self._check_advert, self._take_advert, self._close_adverts, least
            ),
            "share_keys": Stage(
                self._check_shares,
                self._take_shares,
                self._close_shares,
                least,
                verify=partial(self._verify_mac, Label.MAC_SHARES),
            ),
            "masked_input": Stage(
                self._check_header,
                self._take_header,
                self._close_uploads,
                max(floor, len(self._cohort) - limits.max_dropouts),
            ),
            "consistency": self._signing(self._close_signatures),
            "unmasking": Stage(
                self._check_unmasking,
                self._take_unmasking,
                self._close_unmasking,
                0,
                verify=partial(self._verify_mac, Label.MAC_UNMASKING),
            ),
        }
        self._drive(STEPS, stages)
        self._check_request_size()
        spans = wire.frame_spans([vector.words for vector in self.round.vectors])
        self._macs: dict[int, AnswerMac] = {}
        self._frame_macs: dict[int, FrameMac] = {}
        self._staging = Staging(
            spans,
            self._frame_macs.__getitem__,
            max_in_flight=context.max_in_flight,
            spool=context.spool,
            spool_bytes=context.spool_bytes,
        )
        self._adverts: dict[int, tuple[Signed, AdvertiseKeys]] = {}
        self._dealt: dict[int, ShareKeys] = {}
        self._complaints: dict[int, frozenset[int]] = {}
        self._complete: list[int] = []
        self._judged = False
        self._answers: dict[int, Unmasking] = {}

    def _check_request_size(self) -> None:
        """The largest request carries P and a sealed share of everybody."""
        no_hash = bytes(HASH_BYTES)
        share = SealedShares(bytes(SEALED_BYTES), seed_share=no_hash, key_share=no_hash)
        nobody, shares = self._cohort.bits(()), (share,) * len(self._cohort)
        request = MaskedInputRequest(self._signed_round, dealers=nobody, shares=shares)
        if (size := len(encode(request))) > wire.MAX_PAYLOAD:
            raise ConfigurationError(
                f"{len(self.round.leaves)} leaves make a request of {size} bytes, frames hold"
                f" {wire.MAX_PAYLOAD}: average fewer, larger arrays"
            )

    def start(self) -> None:
        """Open the first phase: announce K to the whole cohort."""
        self.machine.start(dict.fromkeys(range(len(self._cohort)), self._announce))

    def advance(self) -> None:
        """Time is up for the open phase; in the upload phase first for the headers alone.

        A header is short and comes at once, and its complaints decide who may be in the sum: until
        all are in, uploads are staged. So uploads are given their time after the headers' (ADR 2).

        Raises:
            LocalProtocolError: no phase is open.
            SessionAborted: too few gateways are left.
        """
        if self.machine.phase != "masked_input" or self._judged:
            self.machine.advance()
            return
        for position in sorted(self.headers_missing):
            self.machine.expire(position)
        self.machine.close_if_complete()

    @property
    def headers_missing(self) -> frozenset[int]:
        """Positions whose upload header is not there, while the verdict waits for it."""
        if self.machine.phase != "masked_input" or self._judged:
            return frozenset()
        return self.machine.waiting_for - self._headers.keys()

    def _dropped(self) -> None:
        for position in self.machine.dropped:
            self._staging.discard(position)
        if self.machine.phase == "masked_input":
            self._judge_when_all_spoke()

    def _verify_mac(self, label: Label, position: int, signed: Signed) -> None:
        self._macs[position].verify(label, signed.body, signed.signature)

    def _forget(self) -> None:
        super()._forget()
        self._macs.clear()
        self._frame_macs.clear()
        self._staging.close()

    def _near(self, position: int) -> frozenset[int]:
        return neighbours(self._limits, position)

    # -- round 0 -----------------------------------------------------------------------------------

    def _check_advert(self, position: int, advert: AdvertiseKeys) -> None:
        if (advert.session, advert.position) != (self._k, position):
            raise Unproven(DropReason.FOREIGN, "keys of another session or position")

    def _take_advert(self, position: int, advert: AdvertiseKeys, signed: Signed) -> bool:
        try:
            check_public_keys((self.params.orchestrator_key, advert.channel_key, advert.mask_key))
        except KeyAgreementError as error:
            raise Dropped(DropReason.BAD_KEY, str(error)) from None
        if len(advert.proof) != PROOF_BYTES:
            raise Dropped(DropReason.MALFORMED, "a proof of another size")
        self._adverts[position] = (signed, advert)
        return True

    def _close_adverts(self, present: frozenset[int]) -> Mapping[int, Struct]:
        adverts = {at: self._adverts[at][1] for at in present}
        claims = {at: ((a.channel_key, a.mask_key), a.proof) for at, a in adverts.items()}
        present -= self._drop_impostors(claims)
        self._fix_keys({position: advert_hash(self._adverts[position][0]) for position in present})
        for position in sorted(present):
            shared = self._private.agree(self._adverts[position][1].channel_key)
            self._macs[position] = AnswerMac(shared, session=self._k, position=position)
            self._frame_macs[position] = self._frame_mac(position, shared)
        bitmap = self._cohort.bits(present)
        requests: dict[int, Struct] = {}
        for position in sorted(present):
            near = sorted(present & (self._near(position) | {position}))
            requests[position] = ShareKeysRequest(
                present=bitmap,
                adverts=tuple([self._adverts[peer][0] for peer in near]),
                hashes=self._prove(near),
            )
        return requests

    # -- round 1 -----------------------------------------------------------------------------------

    def _check_shares(self, position: int, dealt: ShareKeys) -> None:
        if (dealt.h0, dealt.position) != (self._h0, position):
            raise Unproven(DropReason.FOREIGN, "shares of another transcript or position")

    def _take_shares(self, position: int, dealt: ShareKeys, _signed: Signed) -> bool:
        holders = len(self._u1 & self._near(position))
        if len(dealt.commitments) != holders or len(dealt.ciphertexts) != holders:
            raise Dropped(DropReason.MALFORMED, f"not one share for each of {holders} neighbours")
        sizes = {len(dealt.seed_commitment), *map(len, chain.from_iterable(dealt.commitments))}
        # what a dealer sends is relayed: an oversize share must not make another's request fail
        if sizes != {HASH_BYTES} or max(map(len, dealt.ciphertexts)) > SEALED_BYTES:
            raise Dropped(DropReason.MALFORMED, "a share or commitment of another size")
        self._dealt[position] = dealt
        return True

    def _close_shares(self, dealers: frozenset[int]) -> Mapping[int, Struct]:
        self._fix_dealers(dealers)
        self._sum = np.zeros(stream_starts(self.round.vectors)[-1], np.uint64)
        self._vectors = split_words(self._sum, self.round)
        bitmap = self._cohort.bits(dealers)
        sealed = {dealer: self._sealed(dealer) for dealer in sorted(dealers)}
        return {
            holder: MaskedInputRequest(
                round=self._signed_round,
                dealers=bitmap,
                shares=tuple(
                    [sealed[dealer][holder] for dealer in sorted(dealers & self._near(holder))]
                ),
            )
            for holder in sorted(dealers)
        }

    def _sealed(self, dealer: int) -> dict[int, SealedShares]:
        """A dealer's shares by holder: its tuples go over its neighbours in U1."""
        dealt, holders = self._dealt[dealer], sorted(self._u1 & self._near(dealer))
        shares = zip(holders, dealt.ciphertexts, dealt.commitments, strict=True)
        return {
            holder: SealedShares(ciphertext=ciphertext, seed_share=seed_share, key_share=key_share)
            for holder, ciphertext, (seed_share, key_share) in shares
        }

    # -- round 2 -----------------------------------------------------------------------------------

    def _take_header(self, position: int, header: UploadHeader, signed: Signed) -> bool:
        complaints = self._cohort.set_of(header.complaints)
        if not complaints <= self._u2 & self._near(position):
            raise Dropped(DropReason.MALFORMED, "a complaint about somebody who dealt it nothing")
        self._headers[position], self._complaints[position] = signed, complaints
        self._note_complete(position)
        self._judge_when_all_spoke()
        return False

    def _take_frame(self, position: int, frame: VectorFrame) -> None:
        self._staging.add(position, frame)
        self._note_complete(position)
        self._add_complete()

    def _note_complete(self, position: int) -> None:
        """Frames may overtake their header, but are in no sum before it."""
        here = position in self._headers and self._staging.complete(position)
        if here and position not in self._complete:
            self._complete.append(position)

    def _judge_when_all_spoke(self) -> None:
        """Complaints travel in the headers, so all headers come before the first addition."""
        if self._judged or len(self._headers) + len(self.machine.dropped) < len(self._u2):
            return
        live = self._u2 - self.machine.dropped.keys()
        if not live <= self._headers.keys():
            return
        self._judged = True
        complaints = {position: self._complaints[position] for position in live}
        verdict = judge(complaints, thresholds=self._limits, neighbours=self._near)
        self._drop_faulty(verdict.holders, verdict.dealers, verdict.disputes)
        self._add_complete()

    def _add_complete(self) -> None:
        if not self._judged:
            return
        for position in self._complete:
            if position in self.machine.dropped:
                continue
            for (vector, first, count), words in self._staging.take(position):
                target = self._vectors[vector][first : first + count]
                np.add(target, words, out=target)
            self.machine.finish(position)
        self._complete.clear()

    def _close_uploads(self, included: frozenset[int]) -> Mapping[int, Struct]:
        self._staging.close()
        self._fix_included(included)
        self._recovery = self._make_recovery()
        bitmap = self._cohort.bits(included)
        return {
            position: ConsistencyRequest(
                included=bitmap,
                headers=tuple(
                    [self._headers[peer] for peer in sorted(included & self._near(position))]
                ),
            )
            for position in sorted(included)
        }

    # -- round 3 -----------------------------------------------------------------------------------

    def _close_signatures(self, signers: frozenset[int]) -> Mapping[int, Struct]:
        return dict.fromkeys(sorted(signers), UnmaskingRequest(certificate=self._certify()))

    # -- round 4 -----------------------------------------------------------------------------------

    def _check_unmasking(self, position: int, answer: Unmasking) -> None:
        self._check_transcript(position, answer.h3, answer.position)

    def _take_unmasking(self, position: int, answer: Unmasking, _signed: Signed) -> bool:
        check_answer(self._recovery, position, answer)
        self._answers[position] = answer
        return True

    def _close_unmasking(self, _answered: frozenset[int]) -> Mapping[int, Struct]:
        self.opened = open_sum(
            self._recovery,
            self._sum,
            drop=self.machine.drop,
            ids=self._cohort.ids,
            workers=self._context.workers,
        )
        self._forget()
        return {}

    def _make_recovery(self) -> Recovery:
        """What is known once U3 is fixed; the answers come in later."""
        return Recovery(
            params=self.params,
            round=self.round,
            h2=self._h2,
            keyed=self._u1,
            dealers=self._u2,
            included=self._u3,
            adverts={position: advert for position, (_, advert) in self._adverts.items()},
            dealt=self._dealt,
            complaints=self._complaints,
            answers=self._answers,
        )
