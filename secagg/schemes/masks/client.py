"""The masks client: checks, then answers; masks its update.

Each handler below is one row of docs/protocol.md#exchanges-of-masks, in the order of its checks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from secagg.crypto.agreement import agree_each, check_public_keys, public_key
from secagg.crypto.labels import Label
from secagg.crypto.macs import AnswerMac
from secagg.crypto.prg_fast import MaskAdder
from secagg.crypto.secret import Secret
from secagg.crypto.shamir import SHARE_BYTES, check_share, split
from secagg.errors import (
    BadPublicKey,
    BelowFloor,
    ForeignSession,
    HeaderMismatch,
    KeyAgreementError,
    NotASubset,
    OwnMessageAltered,
    SealError,
    SelfMissing,
    SharingError,
    TooManyDropped,
    UnexpectedMessage,
    WireError,
)
from secagg.params import RoundParams
from secagg.protocol.certificate import sign_consistency, verify_certificate
from secagg.protocol.messages import Announce, Signed, UploadHeader
from secagg.protocol.possession import prove_possession
from secagg.protocol.sharing import channel_key, commit_secret, commit_share, open_share, seal_share
from secagg.protocol.transcript import (
    advert_hash,
    round_hash,
    session_hash,
    shares_hash,
    shown_keys_hash,
)
from secagg.schemes.base import ClientContext, Source
from secagg.schemes.client import Client
from secagg.schemes.masks.keys import edge_secret, mask_private, pair_key, self_key, sign
from secagg.schemes.masks.masking import Masker, masked
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
from secagg.thresholds import neighbours
from secagg.wire import Span, frame_spans


class MasksClient(Client):
    """One gateway in one session.

    Args:
        session, context: see `Client`.
        masker: makes the mask generator of an upload; a test or a device engine may replace it.
    """

    def __init__(self, session: bytes, context: ClientContext, masker: Masker = MaskAdder) -> None:
        super().__init__(
            session,
            context,
            scheme="masks",
            steps=STEPS,
            handlers={
                "advertise_keys": self._advertise,
                "share_keys": self._share,
                "masked_input": self._accept_round,
                "consistency": self._certify,
                "unmasking": self._unmask,
            },
        )
        self._masker = masker
        self._secrets: dict[str, Secret] = {}
        self._edges: dict[int, Secret] = {}
        self._channels: dict[int, Secret] = {}
        self._held: dict[int, tuple[Secret, Secret]] = {}

    def _erase(self) -> None:
        shares = (share for pair in self._held.values() for share in pair)
        stores: tuple[dict[Any, Secret], ...] = (self._secrets, self._edges, self._channels)
        for secret in (*(each for store in stores for each in store.values()), *shares):
            secret.erase()
        for store in stores:
            store.clear()
        self._held.clear()

    # -- round 0: keys -----------------------------------------------------------------------------

    def _advertise(self, announce: Announce) -> Signed:
        self._check_announce(announce, committee=False)
        self._neighbours = neighbours(self._limits, self._position)
        self._k = session_hash(self.params)
        for name in ("channel", "key_seed", "seed"):
            self._secrets[name] = Secret(self._context.rng(32))
        both = self._reveal("channel"), mask_private(self._reveal("key_seed"), self._k)
        self._secrets["mask"] = Secret(both[1])
        place, key = (self._k, self._position), self.params.orchestrator_key
        channel, mask = map(public_key, both)
        proof = prove_possession(both, key, *place)
        advert = AdvertiseKeys(*place, channel_key=channel, mask_key=mask, proof=proof)
        self._advert = self._sign(Label.SIGN_ADVERTISE, advert)
        return self._advert

    # -- round 1: shares ---------------------------------------------------------------------------

    def _share(self, request: ShareKeysRequest) -> Signed:
        self._u1 = self._cohort.set_of(request.present)
        self._require_self(self._u1)
        limits = self._limits
        self._require_floor(
            self._u1, max(limits.min_included, limits.quorum, limits.share_threshold)
        )
        if not self._u1 & self._neighbours:
            raise BelowFloor("a set without any of my neighbours: nobody could hold my shares")
        self._h0 = self._check_adverts(request)
        return self._deal()

    def _check_adverts(self, request: ShareKeysRequest) -> bytes:
        near = sorted(self._u1 & (self._neighbours | {self._position}))
        if len(request.adverts) != len(near):
            raise WireError("not one key message for each neighbour in U1")
        adverts = dict(zip(near, request.adverts, strict=True))
        if adverts[self._position] != self._advert:
            raise OwnMessageAltered("my own key message came back changed")
        self._keys: dict[int, AdvertiseKeys] = {}
        for position, signed in adverts.items():
            key = self._cohort.key(position)
            advert = signed.open(AdvertiseKeys, key, Label.SIGN_ADVERTISE, self._context.verify)
            if advert.session != self._k or advert.position != position:
                raise ForeignSession(f"keys of {self._cohort.ids[position]!r} are of elsewhere")
            self._keys[position] = advert
        shown = [self.params.orchestrator_key]
        for advert in self._keys.values():
            shown += advert.channel_key, advert.mask_key
        try:
            check_public_keys(shown)
        except KeyAgreementError as error:
            raise BadPublicKey(str(error)) from None
        hashes = {position: advert_hash(signed) for position, signed in adverts.items()}
        return shown_keys_hash(self._k, len(self._cohort), self._u1, hashes, request.hashes)

    def _deal(self) -> Signed:
        seed, key_seed = self._reveal("seed"), self._reveal("key_seed")
        holders = sorted(set(self._keys) - {self._position})
        self._agree_channels(holders)
        shares = split([seed, key_seed], self._limits.share_threshold, holders, self._context.rng)
        session = self.params.session
        commitments, ciphertexts = [], []
        for holder, (seed_share, key_share) in zip(holders, shares, strict=True):
            commitments.append(self._commitments(self._position, holder, seed_share, key_share))
            key = self._channel(sender=self._position, receiver=holder)
            sealed = seal_share(
                key,
                seed_share + key_share,
                session=session,
                sender=self._position,
                receiver=holder,
            )
            ciphertexts.append(sealed)
        dealt = ShareKeys(
            h0=self._h0,
            position=self._position,
            seed_commitment=commit_secret(Label.COMMIT_SEED, session, self._position, seed),
            commitments=tuple(commitments),
            ciphertexts=tuple(ciphertexts),
        )
        return Signed.make(self._answer_mac(), Label.MAC_SHARES, dealt)

    def _agree_channels(self, peers: Sequence[int]) -> None:
        keys = [*(self._keys[peer].channel_key for peer in peers), self.params.orchestrator_key]
        *shared, self._secrets["server"] = map(Secret, agree_each(self._reveal("channel"), keys))
        self._channels.update(zip(peers, shared, strict=True))

    def _commitments(
        self, dealer: int, holder: int, seed_share: bytes, key_share: bytes
    ) -> tuple[bytes, bytes]:
        session = self.params.session
        return (
            commit_share(Label.COMMIT_SEED_SHARE, session, dealer, holder, seed_share),
            commit_share(Label.COMMIT_KEY_SHARE, session, dealer, holder, key_share),
        )

    def _channel(self, *, sender: int, receiver: int) -> bytes:
        peer = receiver if sender == self._position else sender
        return channel_key(
            self._channels[peer].reveal(),
            salt=self._h0,
            session=self.params.session,
            sender=sender,
            receiver=receiver,
        )

    # -- round 2: masked input ---------------------------------------------------------------------

    def _accept_round(self, request: MaskedInputRequest) -> Signed:
        params = self._check_round(request.round)
        self._u2 = self._cohort.set_of(request.dealers)
        if not self._u2 <= self._u1:
            raise NotASubset("U2 has members that advertised no keys")
        self._require_self(self._u2)
        limits = self._limits
        self._require_floor(
            self._u2, max(limits.min_included, limits.quorum, limits.share_threshold)
        )
        complaints = self._open_shares(request.shares)
        self._h2 = shares_hash(
            self._h0, round_hash(request.round.body), len(self._cohort), self._u2
        )
        self._agree_edges()
        self._accept(params)
        return self._header(complaints)

    def _open_shares(self, shares: Sequence[SealedShares]) -> frozenset[int]:
        """Keep each dealer's two shares; a dealer whose shares are unusable is complained about."""
        dealers = sorted(self._u2 & self._neighbours)
        if len(shares) != len(dealers):
            raise WireError("not one sealed share for each neighbour in U2")
        complaints = set()
        for dealer, sealed in zip(dealers, shares, strict=True):
            try:
                seed_share, key_share = self._open_pair(dealer, sealed)
            except (SealError, SharingError):
                seed_share, key_share = b"", b""
                complaints.add(dealer)
            self._held[dealer] = Secret(seed_share), Secret(key_share)
        return frozenset(complaints)

    def _open_pair(self, dealer: int, sealed: SealedShares) -> tuple[bytes, bytes]:
        opened = open_share(
            self._channel(sender=dealer, receiver=self._position),
            sealed.ciphertext,
            session=self.params.session,
            sender=dealer,
            receiver=self._position,
        )
        pair = opened[:SHARE_BYTES], opened[SHARE_BYTES:]
        for share in pair:
            check_share(share)
        promised = sealed.seed_share, sealed.key_share
        if self._commitments(dealer, self._position, *pair) != promised:
            raise SharingError("a share does not match its commitment")
        return pair

    def _agree_edges(self) -> None:
        peers = sorted(self._u2 & self._neighbours)
        keys = (self._keys[peer].mask_key for peer in peers)
        for peer, shared in zip(peers, agree_each(self._reveal("mask"), keys), strict=True):
            edge = edge_secret(shared, h2=self._h2, ends=(self._position, peer))
            self._edges[peer] = Secret(edge)

    def _frame_secret(self) -> bytes:
        return self._reveal("server")

    def _answer_mac(self) -> AnswerMac:
        return AnswerMac(self._frame_secret(), session=self._k, position=self._position)

    def _protect(self, source: Source, params: RoundParams) -> tuple[Source, Sequence[Span]]:
        masks = masked(source, params.vectors, self._mask_keys(), self._masker)
        return masks, frame_spans([vector.words for vector in params.vectors])

    def _mask_keys(self) -> list[tuple[int, bytes]]:
        own = self_key(self._reveal("seed"), h2=self._h2, position=self._position)
        pairs = [
            (sign(self._position, peer), pair_key(edge.reveal(), h2=self._h2))
            for peer, edge in self._edges.items()
        ]
        return [(1, own), *pairs]

    # -- round 3: consistency ----------------------------------------------------------------------

    def _certify(self, request: ConsistencyRequest) -> Signed:
        if not self._handed_over:
            raise UnexpectedMessage("consistency asked before the upload was handed over")
        self._u3 = self._cohort.set_of(request.included)
        if not self._u3 <= self._u2:
            raise NotASubset("U3 has members that dealt no shares")
        self._require_self(self._u3)
        limits = self._limits
        self._require_floor(self._u3, max(limits.min_included, limits.quorum))
        if len(self._cohort) - len(self._u3) > limits.max_dropouts:
            raise TooManyDropped(f"{len(self._cohort) - len(self._u3)} left out of U3")
        self._check_headers(request.headers)
        self._h3 = self._h3_of(self._u3)
        return sign_consistency(self._context.identity.key, self.params.session, self._h3)

    def _check_headers(self, headers: Sequence[Signed]) -> None:
        """A neighbour that masked under another h2 holds other pairwise masks: nothing cancels."""
        near = sorted(self._u3 & self._neighbours)
        if len(headers) != len(near):
            raise WireError("not one header for each neighbour in U3")
        for position, signed in zip(near, headers, strict=True):
            key = self._cohort.key(position)
            header = signed.open(UploadHeader, key, Label.SIGN_HEADER, self._context.verify)
            if (header.position, header.h0, header.h2) != (position, self._h0, self._h2):
                raise HeaderMismatch(f"{self._cohort.ids[position]!r} masked something else")

    # -- round 4: unmasking ------------------------------------------------------------------------

    def _unmask(self, request: UnmaskingRequest) -> Signed:
        verify_certificate(
            request.certificate,
            cohort=self._cohort,
            session=self.params.session,
            h3=self._h3,
            included=self._u3,
            quorum=self._limits.quorum,
            verify=self._context.verify,
        )
        alive = sorted(self._u3 & self._neighbours)
        dead = sorted((self._u2 - self._u3) & self._neighbours)
        answer = Unmasking(
            h3=self._h3,
            position=self._position,
            seed=self._reveal("seed"),
            seed_shares=tuple(self._held[peer][0].reveal() for peer in alive),
            edge_secrets=tuple(self._edges[peer].reveal() for peer in dead),
            key_shares=tuple(self._held[peer][1].reveal() for peer in dead),
        )
        return Signed.make(self._answer_mac(), Label.MAC_UNMASKING, answer)

    # -- shared ------------------------------------------------------------------------------------

    def _reveal(self, name: str) -> bytes:
        return self._secrets[name].reveal()

    def _require_self(self, positions: frozenset[int]) -> None:
        if self._position not in positions:
            raise SelfMissing("asked for an answer about a set that leaves me out")

    @staticmethod
    def _require_floor(positions: frozenset[int], floor: int) -> None:
        if len(positions) < floor:
            raise BelowFloor(f"a set of {len(positions)}, at least {floor} are needed")
