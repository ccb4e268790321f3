"""The additive client: what it checks before it answers, how it deals its key and encrypts.

Each handler below is one row of docs/protocol.md#additive-exchanges.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from secagg import wire
from secagg.crypto.labels import Label
from secagg.crypto.packed import deal
from secagg.crypto.secret import Secret
from secagg.errors import (
    BelowFloor,
    ForeignSession,
    NoQuorum,
    NotASubset,
    SecAggError,
    SelfMissing,
    StateLost,
    UnexpectedMessage,
    WireError,
)
from secagg.params import NO_MODEL, RoundParams, Struct
from secagg.protocol.certificate import sign_consistency, verify_certificate
from secagg.protocol.machine import ClientMachine
from secagg.protocol.messages import Announce, Signed, UploadHeader
from secagg.protocol.policy import check_announce, check_round
from secagg.protocol.prekeys import make_prekey
from secagg.protocol.transcript import (
    included_hash,
    round_hash,
    shares_hash,
)
from secagg.protocol.uploads import frame_mac
from secagg.schemes.additive.keyring import Keyring
from secagg.schemes.additive.messages import (
    STEPS,
    AnswerAgainRequest,
    AnswerRequest,
    Dealing,
    IncludedRequest,
    KeySum,
    UploadRequest,
)
from secagg.schemes.additive.rings import EncodingOf
from secagg.schemes.additive.shares import SALT_BYTES, Channels, Rows, dealing_digest, packing_of
from secagg.schemes.base import ClientContext, Source
from secagg.schemes.uploading import Uploading, no_upload_due
from secagg.thresholds import MAX_COMPLETE


class AdditiveClient:
    """One gateway in one session.

    Args:
        session: id of the session.
        context: identity, roster, policy, journal, randomness, threads.
        scheme: name of the scheme this client speaks.
        encoding: its ring.
    """

    def __init__(
        self, session: bytes, context: ClientContext, scheme: str, encoding: EncodingOf
    ) -> None:
        self._context = context
        self._scheme = scheme
        self._encoding_of = encoding
        self.round: RoundParams | None = None
        self._announce: Announce | None = None
        self._channels: Channels | None = None
        self._secret: Secret | None = None
        self._rows = Rows()
        self._included: frozenset[int] | None = None
        self._machine = ClientMachine(
            STEPS,
            {
                "set_up": self._set_up,
                "upload": self._accept_round,
                "consistency": self._certify,
                "answer": self._answer,
                "answer_again": self._answer_again,
            },
            session=session,
            journal=context.journal,
            erase=self._erase,
        )
        self._uploading = Uploading(self._machine, context)

    def receive(self, request: Struct) -> Signed:
        """Answer one request.

        Raises:
            RemoteProtocolError: the subclass names the check; secrets are erased, nothing is
                answered any more.
        """
        return self._machine.receive(request)

    @property
    def upload_due(self) -> bool:
        """The round is accepted and nothing of the upload has left."""
        return self.round is not None and not self._uploading.spent and not self.done

    @property
    def done(self) -> bool:
        """Everything is answered, or the session has failed; either way the secrets are gone."""
        return self._machine.done or self._machine.failure is not None

    def abort(self, reason: SecAggError) -> None:
        """End the session on this side."""
        self._machine.fail(reason)

    def _erase(self) -> None:
        if self._channels is not None:
            self._channels.erase()
        if self._secret is not None:
            self._secret.erase()
        self._rows.erase()

    # -- K, and a key for the round ----------------------------------------------------------------

    def _set_up(self, announce: Announce) -> Signed:
        self._check_announce(announce)
        return self._prekey(self.params.round)

    def _check_announce(self, announce: Announce) -> None:
        context = self._context
        self._cohort = check_announce(
            announce,
            roster=context.roster,
            me=context.identity.id,
            schemes=frozenset({self._scheme}),
            committee=True,
            policy=context.policy,
            journal=context.journal,
            verify=context.verify,
        )
        self.params = announce.params
        self._announce = announce
        self._limits = self.params.thresholds
        self._position = self._cohort.position(context.identity.id)

    def _prekey(self, number: int) -> Signed:
        context = self._context
        return make_prekey(
            context.identity,
            context.journal,
            context.rng,
            roster=self.params.roster,
            round=number,
        )

    # -- P, and the dealing ------------------------------------------------------------------------

    def _accept_round(self, request: UploadRequest) -> Signed:
        if self._announce is None:
            self._check_announce(request.announce)
        elif request.announce != self._announce:
            raise ForeignSession("another announcement than the one this session began with")
        context = self._context
        params = check_round(
            request.round,
            session=self.params,
            roster=context.roster,
            policy=context.policy,
            journal=context.journal,
            verify=context.verify,
        )
        self._encoding = self._encoding_of(params, len(self._cohort))
        private = self._open_keyring(request)
        ring, gateways = self._keyring, len(self._cohort)
        self._h2 = shares_hash(ring.h0, round_hash(params), gateways, ring.keyed)
        dealing = self._deal(private)
        self.round = params
        return dealing

    def _open_keyring(self, request: UploadRequest) -> bytes:
        """Take everybody's key for this round; own private half comes out of the journal."""
        journal, roster, number = self._context.journal, self.params.roster, self.params.round
        journal.forget_prekeys(roster, number - 1)
        private = journal.prekey(roster, number)
        if private is None:
            raise StateLost("this party holds no key for this round (any more)")
        self._keyring = Keyring(
            request,
            params=self.params,
            cohort=self._cohort,
            position=self._position,
            own=self._prekey(number),
            verify=self._context.verify,
        )
        return private

    @property
    def _member(self) -> bool:
        return self._position < self._limits.committee

    def _deal(self, private: bytes) -> Signed:
        context = self._context
        secret = self._encoding.secret(context.rng)
        self._secret = Secret(secret.astype("<i2").tobytes())
        own = self._keyring[self._position]
        self._channels = Channels(private, own, self._position, self.params, self._h2)
        packing = packing_of(self._limits)
        dealt = deal(secret, packing, context.rng)
        shares = {
            member: (self._keyring[member].key, dealt.rows[member].astype("<u2").tobytes())
            for member in self._keyring.committee - {self._position}
        }
        salt = context.rng(SALT_BYTES)
        ciphertexts = self._channels.seal(shares, salt)
        if self._member:
            self._rows.keep(self._position, dealt.rows[self._position])
        proof = dealt.prove(dealing_digest(self._h2, self._position, salt, ciphertexts))
        header = UploadHeader(
            h0=self._keyring.h0,
            h2=self._h2,
            position=self._position,
            complaints=self._cohort.bits(()),
        )
        message = Dealing(
            header=self._sign(Label.SIGN_HEADER, header),
            salt=salt,
            ciphertexts=ciphertexts,
            proof=proof.astype("<u2").tobytes(),
            next_prekey=self._prekey(self.params.round + 1),
        )
        return self._sign(Label.SIGN_DEALING, message)

    def upload(self, source: Source, model: bytes) -> Iterator[bytearray]:
        """Spend the round, then encrypt: every check is done before the first frame leaves.

        Args:
            source: the encoded update.
            model: 32-byte hash of the model the caller trained on.

        Returns:
            Frames, to be sent in this order; memory is O(frame).

        Raises:
            LocalProtocolError: not asked for an upload, or uploaded before.
            ModelMismatch: the orchestrator announced another model.
            StaleRound: another session has spent this round.
        """
        params = self.round
        if params is None or not self.upload_due:
            raise no_upload_due()
        self._uploading.begin(self.params, params, model)
        return self._frames(params, source)

    def _frames(self, params: RoundParams, source: Source) -> Iterator[bytearray]:
        if self._uploading.ended:  # before the first frame was made
            return
        session, channels, secret = self.params.session, self._channels, self._secret
        if channels is None or secret is None:
            raise no_upload_due()
        mac = frame_mac(
            channels.frame_secret(), salt=self._keyring.h0, session=session, position=self._position
        )
        encrypted = self._encoding.encrypt(
            source,
            np.frombuffer(secret.reveal(), "<i2").astype(np.int64),
            public=round_hash(params),
            rng=self._context.rng,
        )
        secret.erase()
        spans = wire.frame_spans(self._encoding.words, self._encoding.unit)
        yield from self._uploading.frames(encrypted, spans, session=session, mac=mac)

    # -- the included set --------------------------------------------------------------------------

    def _certify(self, request: IncludedRequest) -> Signed:
        if len(self._cohort) <= MAX_COMPLETE:
            raise UnexpectedMessage(f"up to {MAX_COMPLETE} gateways no set is certified")
        included = self._accept_set(request.included)
        if self._position not in included:
            raise SelfMissing("asked to certify a set that leaves me out")
        self._included = included
        if not self._member:
            self._finish()
        return sign_consistency(self._context.identity.key, self.params.session, self._h3(included))

    def _accept_set(self, bitmap: bytes) -> frozenset[int]:
        """U3, if a sum over it may open: no two sets of this size have nobody in common."""
        included = self._cohort.set_of(bitmap)
        if not included <= self._keyring.keyed:
            raise NotASubset("U3 has members without a key for this round")
        if self._uploading.spent and self._position not in included:
            raise SelfMissing("asked for an answer about a set that leaves me out")
        if self._position in included and not self._uploading.handed_over:
            raise UnexpectedMessage("a set with my upload before it was handed over")
        floor = self._limits.min_included  # at least q: thresholds.verify has seen to it
        if len(included) < floor:
            raise BelowFloor(f"a set of {len(included)}, at least {floor} are needed")
        return included

    def _h3(self, included: frozenset[int]) -> bytes:
        return included_hash(self._keyring.h0, self._h2, len(self._cohort), included)

    # -- the one answer ----------------------------------------------------------------------------

    def _answer(self, request: AnswerRequest) -> Signed:
        if not self._member:
            raise UnexpectedMessage("only members of the committee hold shares")
        included = self._accept_set(request.included)
        self._check_certificate(request, included)
        self._complaints = self._open_shares(included, request)
        self._included = included
        if self._complaints:
            if len(self._cohort) > MAX_COMPLETE:  # another set would take another certificate
                self._finish()
            return self._key_sum(included, complaints=self._complaints)
        return self._sum_over(included)

    def _check_certificate(self, request: AnswerRequest, included: frozenset[int]) -> None:
        if len(self._cohort) <= MAX_COMPLETE:
            if request.certificate is not None:
                raise WireError(f"a certificate where up to {MAX_COMPLETE} gateways need none")
            return
        if request.certificate is None:
            raise NoQuorum("nobody has certified this set")
        if self._included not in {None, included}:
            raise NotASubset("not the set that this party certified")
        verify_certificate(
            request.certificate,
            cohort=self._cohort,
            session=self.params.session,
            h3=self._h3(included),
            included=included,
            quorum=self._limits.quorum,
            verify=self._context.verify,
        )

    def _open_shares(self, included: frozenset[int], request: AnswerRequest) -> frozenset[int]:
        """Keep each dealer's row; a dealer whose row is unusable is complained about."""
        if self._channels is None:
            raise StateLost("the key of this round is gone")
        dealers = sorted(included - {self._position})
        if len(request.shares) != len(dealers):
            raise WireError("not one share for each other member of U3")
        outside = [dealer for dealer in dealers if dealer >= self._limits.committee]
        self._keyring.add(outside, request.prekeys)
        dealt = dict(zip(dealers, request.shares, strict=True))
        sealed = {i: (self._keyring[i].key, share) for i, share in dealt.items()}
        size = packing_of(self._limits).row_bytes(self._encoding.coefficients)
        for dealer, row in self._channels.open(sealed).items():
            self._rows.take(dealer, row, dealt[dealer], size)
        return frozenset(dealer for dealer in dealers if dealer not in self._rows)

    def _answer_again(self, request: AnswerAgainRequest) -> Signed:
        included = self._accept_set(request.included)
        if self._included is None or not included <= self._included:
            raise NotASubset("asked again about a set that is no part of the first")
        if included & self._complaints:
            raise NotASubset("asked again about a dealer whose share is bad")
        return self._sum_over(included)

    def _sum_over(self, included: frozenset[int]) -> Signed:
        shares = self._rows.sum(included)
        self._finish()
        return self._key_sum(included, shares=shares)

    def _key_sum(
        self,
        included: frozenset[int],
        *,
        complaints: frozenset[int] = frozenset(),
        shares: bytes = b"",
    ) -> Signed:
        h3 = self._h3(included)
        signature = b""
        if shares and len(self._cohort) <= MAX_COMPLETE:
            signed = sign_consistency(self._context.identity.key, self.params.session, h3)
            signature = signed.signature
        answer = KeySum(
            h3=h3,
            position=self._position,
            complaints=self._cohort.bits(complaints),
            shares=shares,
            consistency=signature,
            next_prekey=self._prekey(self.params.round + 1),
        )
        return self._sign(Label.SIGN_ANSWER, answer)

    def _finish(self) -> None:
        """One answer in a round, whatever the session, and no upload after it.

        The key of this round has done its work: nobody can read the round's shares again.
        """
        if not self._uploading.spent:
            self._uploading.spend(self.params, NO_MODEL)
        self._context.journal.forget_prekeys(self.params.roster, self.params.round)
        self._machine.finish()

    def _sign(self, label: Label, message: Struct) -> Signed:
        return Signed.make(self._context.identity.key, label, message)
