"""The additive client: checks, then answers; deals its key and encrypts its update.

Each handler below is one row of docs/protocol.md#additive-exchanges.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from secagg.crypto.labels import Label
from secagg.crypto.packed import deal
from secagg.crypto.secret import Secret
from secagg.errors import (
    BelowFloor,
    ForeignSession,
    NoQuorum,
    NotASubset,
    SelfMissing,
    StateLost,
    UnexpectedMessage,
    WireError,
)
from secagg.params import NO_MODEL, RoundParams
from secagg.protocol.certificate import sign_consistency, verify_certificate
from secagg.protocol.messages import Announce, Signed
from secagg.protocol.possession import prove_possession
from secagg.protocol.prekeys import make_prekey
from secagg.protocol.transcript import round_hash, session_hash, shares_hash
from secagg.schemes.additive.keyring import Keyring
from secagg.schemes.additive.messages import (
    STEPS,
    AnswerAgainRequest,
    AnswerRequest,
    Dealing,
    IncludedRequest,
    KeySum,
    SetUp,
    UploadRequest,
)
from secagg.schemes.additive.rings import RingOf
from secagg.schemes.additive.shares import SALT_BYTES, Channels, Rows, dealing_digest, packing_of
from secagg.schemes.base import ClientContext, Source
from secagg.schemes.client import Client
from secagg.wire import Span, frame_spans


class AdditiveClient(Client):
    """One gateway in one session.

    Args:
        session: id of the session.
        context: identity, roster, policy, journal, randomness, threads.
        scheme: name of the scheme this client speaks.
        ring: its ring.
    """

    def __init__(self, session: bytes, context: ClientContext, scheme: str, ring: RingOf) -> None:
        super().__init__(
            session,
            context,
            scheme=scheme,
            steps=STEPS,
            handlers={
                "set_up": self._set_up,
                "upload": self._accept_round,
                "consistency": self._certify,
                "answer": self._answer,
                "answer_again": self._answer_again,
            },
        )
        self._ring_of = ring
        self._announce: Announce | None = None
        self._channels: Channels | None = None
        self._secret: Secret | None = None
        self._rows = Rows()
        self._included: frozenset[int] | None = None

    def _erase(self) -> None:
        if self._channels is not None:
            self._channels.erase()
        if self._secret is not None:
            self._secret.erase()
        self._rows.erase()

    # -- K, and a key for the round ----------------------------------------------------------------

    def _set_up(self, announce: Announce) -> Signed:
        self._begin(announce)
        params, place = self.params, (session_hash(self.params), self._position)
        prekey = self._prekey(params.round)
        proof = prove_possession([self._own_half()], params.orchestrator_key, *place)
        return self._sign(Label.SIGN_SET_UP, SetUp(*place, prekey=prekey, proof=proof))

    def _own_half(self) -> bytes:
        private = self._context.journal.prekey(self.params.roster, self.params.round)
        if private is None:
            raise StateLost("this party holds no key for this round (any more)")
        return private

    def _begin(self, announce: Announce) -> None:
        self._check_announce(announce, committee=True)
        self._announce = announce

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
            self._begin(request.announce)
        elif request.announce != self._announce:
            raise ForeignSession("another announcement than the one this session began with")
        params = self._check_round(request.round)
        self._ring = self._ring_of(params, len(self._cohort))
        private = self._open_keyring(request)
        self._h0, keyed = self._keyring.h0, self._keyring.keyed
        self._p = round_hash(request.round.body)
        self._h2 = shares_hash(self._h0, self._p, len(self._cohort), keyed)
        dealing = self._deal(private)
        self._accept(params)
        # last, for a request that is refused must not cost the keys that an honest one goes with
        self._context.journal.forget_prekeys(self.params.roster, self.params.round - 1)
        return dealing

    def _open_keyring(self, request: UploadRequest) -> bytes:
        """Take everybody's key for this round; own private half comes out of the journal."""
        private = self._own_half()
        self._keyring = Keyring(
            request,
            params=self.params,
            cohort=self._cohort,
            position=self._position,
            own=self._prekey(self.params.round),
            verify=self._context.verify,
        )
        return private

    @property
    def _member(self) -> bool:
        return self._position < self._limits.committee

    def _deal(self, private: bytes) -> Signed:
        context = self._context
        secret = self._ring.secret(context.rng)
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
        message = Dealing(
            header=self._header(),
            salt=salt,
            ciphertexts=ciphertexts,
            proof=proof.astype("<u2").tobytes(),
            next_prekey=self._prekey(self.params.round + 1),
        )
        return self._sign(Label.SIGN_DEALING, message)

    def _frame_secret(self) -> bytes:
        if self._channels is None:
            raise StateLost("the key of this round is gone")
        return self._channels.frame_secret()

    def _protect(self, source: Source, params: RoundParams) -> tuple[Source, Sequence[Span]]:
        del params  # the ring has them
        if self._secret is None:
            raise StateLost("the key of this round is gone")
        encrypted = self._ring.encrypt(
            source,
            np.frombuffer(self._secret.reveal(), "<i2").astype(np.int64),
            public=self._p,
            rng=self._context.rng,
        )
        self._secret.erase()
        return encrypted, frame_spans(self._ring.words, self._ring.unit)

    # -- the included set --------------------------------------------------------------------------

    def _certify(self, request: IncludedRequest) -> Signed:
        if not self._limits.certified:
            raise UnexpectedMessage("in so small a cohort no set is certified")
        included = self._accept_set(request.included)
        if self._position not in included:
            raise SelfMissing("asked to certify a set that leaves me out")
        self._included = included
        if not self._member:
            self._finish()
        return sign_consistency(
            self._context.identity.key, self.params.session, self._h3_of(included)
        )

    def _accept_set(self, bitmap: bytes) -> frozenset[int]:
        """U3, if a sum over it may open: no two sets of this size have nobody in common."""
        included = self._cohort.set_of(bitmap)
        if not included <= self._keyring.keyed:
            raise NotASubset("U3 has members without a key for this round")
        if self._spent and self._position not in included:
            raise SelfMissing("asked for an answer about a set that leaves me out")
        if self._position in included and not self._handed_over:
            raise UnexpectedMessage("a set with my upload before it was handed over")
        floor = self._limits.min_included  # at least q: thresholds.verify_thresholds has seen to it
        if len(included) < floor:
            raise BelowFloor(f"a set of {len(included)}, at least {floor} are needed")
        return included

    # -- the one answer ----------------------------------------------------------------------------

    def _answer(self, request: AnswerRequest) -> Signed:
        if not self._member:
            raise UnexpectedMessage("only members of the committee hold shares")
        included = self._accept_set(request.included)
        self._check_certificate(request, included)
        self._complaints = self._open_shares(included, request)
        self._included = included
        if self._complaints:
            if self._limits.certified:  # another set would take another certificate
                self._finish()
            return self._key_sum(included, complaints=self._complaints)
        return self._sum_over(included)

    def _check_certificate(self, request: AnswerRequest, included: frozenset[int]) -> None:
        if not self._limits.certified:
            if request.certificate is not None:
                raise WireError("a certificate where none is needed")
            return
        if request.certificate is None:
            raise NoQuorum("nobody has certified this set")
        if self._included not in {None, included}:
            raise NotASubset("not the set that this party certified")
        verify_certificate(
            request.certificate,
            cohort=self._cohort,
            session=self.params.session,
            h3=self._h3_of(included),
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
        self._keyring.add(outside, request.prekeys, request.hashes)
        dealt = dict(zip(dealers, request.shares, strict=True))
        sealed = {i: (self._keyring[i].key, share) for i, share in dealt.items()}
        size = packing_of(self._limits).row_bytes(self._ring.coefficients)
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
        h3 = self._h3_of(included)
        signature = b""
        if shares and not self._limits.certified:
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
        if not self._spent:
            self._spend(NO_MODEL)
        self._context.journal.forget_prekeys(self.params.roster, self.params.round)
        self._machine.finish()
