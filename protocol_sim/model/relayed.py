"""What one record costs a server that relays it: read in one message, written in others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from protocol_sim.model.traffic import Shape, announced
from secagg.canonical import decode, encode
from secagg.crypto.shamir import SHARE_BYTES
from secagg.params import HASH_BYTES
from secagg.protocol.messages import Signed, SignedRound
from secagg.protocol.transcript import advert_hash
from secagg.schemes.additive.messages import AnswerRequest, DealtShare, UploadRequest
from secagg.schemes.masks.messages import (
    ConsistencyRequest,
    MaskedInputRequest,
    SealedShares,
    ShareKeys,
    ShareKeysRequest,
)
from secagg.thresholds import PROOF_COLUMNS, SEAL_BYTES

RECORDS: Final = 500
_HASH: Final = bytes(HASH_BYTES)
_SIGNED: Final = Signed(body=bytes(110), signature=bytes(64))
Work = tuple[float, Callable[[], object]]
"""(operations, what does them)."""


def works(shape: Shape) -> dict[str, Work]:
    """What handles `RECORDS` records, and as many entries, of a round of this shape."""
    if not shape.limits.committee:
        return {"record": (RECORDS, _masks(shape))}
    return {"record": (RECORDS, _answers), "entry": (RECORDS, _hashes(shape))}


def _masks(shape: Shape) -> Callable[[], None]:
    """A neighbour's key message, its shares, and its header."""
    sealed = bytes(2 * SHARE_BYTES + SEAL_BYTES)
    announced = SignedRound(body=encode(shape.round), signature=bytes(64))
    dealt = encode(
        ShareKeys(
            h0=_HASH,
            position=0,
            seed_commitment=_HASH,
            commitments=((_HASH, _HASH),) * RECORDS,
            ciphertexts=(sealed,) * RECORDS,
        )
    )

    def relay() -> None:
        encode(ShareKeysRequest(present=_HASH, adverts=(_SIGNED,) * RECORDS, hashes=()))
        found = decode(ShareKeys, dealt)
        shares = tuple(
            SealedShares(ciphertext=ciphertext, seed_share=seed, key_share=key)
            for ciphertext, (seed, key) in zip(found.ciphertexts, found.commitments, strict=True)
        )
        encode(MaskedInputRequest(round=announced, dealers=_HASH, shares=shares))
        encode(ConsistencyRequest(included=_HASH, headers=(_SIGNED,) * RECORDS))

    return relay


def _answers() -> None:
    """A dealer's share for a member."""
    shares = tuple(
        DealtShare(
            salt=_HASH,
            ciphertext=bytes(SEAL_BYTES),
            digest=_HASH,
            evaluation=bytes(2 * PROOF_COLUMNS),
        )
        for _ in range(RECORDS)
    )
    encode(AnswerRequest(included=_HASH, certificate=None, prekeys=(), hashes=(), shares=shares))


def _hashes(shape: Shape) -> Callable[[], None]:
    """The prekey of a gateway that is no member, as another such gateway is shown it."""
    announce = announced(shape)
    signed_round = SignedRound(body=encode(shape.round), signature=bytes(64))

    def show() -> None:
        request = UploadRequest(
            announce=announce,
            round=signed_round,
            keyed=_HASH,
            prekeys=(_SIGNED,) * RECORDS,
            hashes=tuple(advert_hash(_SIGNED) for _ in range(RECORDS)),
        )
        encode(request)

    return show
