"""Defines the five exchanges of masks. Tuples over neighbours are in order of position."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from secagg.crypto.labels import Label
from secagg.params import Struct
from secagg.protocol.certificate import Certificate, Consistency
from secagg.protocol.messages import Announce, Signed, SignedRound, UploadHeader
from secagg.protocol.steps import Step


class AdvertiseKeys(Struct, frozen=True):
    """R0: two X25519 keys for this session only.

    Attributes:
        session: H(K).
        position: cohort position of the sender.
        channel_key: seals shares; its private half is never shared.
        mask_key: agrees on pairwise masks; its private half is derived from s_i, which is.
        proof: of the possession of both private halves, for the orchestrator alone.
    """

    session: bytes
    position: int
    channel_key: bytes
    mask_key: bytes
    proof: bytes


class ShareKeysRequest(Struct, frozen=True):
    """The set U1 and its keys.

    Attributes:
        present: bitmap U1.
        adverts: signed R0 of the receiver and its neighbours in U1.
        hashes: of the parts of the tree over all H(R0) that hold none of these.
    """

    present: bytes
    adverts: tuple[Signed, ...]
    hashes: tuple[bytes, ...]


class ShareKeys(Struct, frozen=True):
    """R1: shares of b_i and s_i for each neighbour in U1.

    Attributes:
        h0: hash of the keys this client was shown.
        position: of the dealer.
        seed_commitment: to b_i.
        commitments: (to the share of b_i, to the share of s_i) by neighbour.
        ciphertexts: both shares, sealed, by neighbour.
    """

    h0: bytes
    position: int
    seed_commitment: bytes
    commitments: tuple[tuple[bytes, bytes], ...]
    ciphertexts: tuple[bytes, ...]


class SealedShares(Struct, frozen=True):
    """What one dealer has for the receiver."""

    ciphertext: bytes
    seed_share: bytes
    key_share: bytes


class MaskedInputRequest(Struct, frozen=True):
    """P, the set U2, and the receiver's shares from each neighbour in it.

    Attributes:
        round: signed P.
        dealers: bitmap U2.
        shares: ciphertext and the two commitments, by neighbour in U2.
    """

    round: SignedRound
    dealers: bytes
    shares: tuple[SealedShares, ...]


class ConsistencyRequest(Struct, frozen=True):
    """The set U3, and the signed headers of the receiver's neighbours in it."""

    included: bytes
    headers: tuple[Signed, ...]


class UnmaskingRequest(Struct, frozen=True):
    """A quorum's signatures on h3."""

    certificate: Certificate


class Unmasking(Struct, frozen=True):
    """R4: what opens the sum over U3 and nothing else.

    Attributes:
        h3: hash of the certified transcript.
        position: of the sender.
        seed: the sender's own b_i.
        seed_shares: shares of b_j for neighbours j in U3, empty where complained about.
        edge_secrets: M_ij for neighbours j in U2 but not in U3.
        key_shares: shares of s_j for the same j, empty where complained about.
    """

    h3: bytes
    position: int
    seed: bytes
    seed_shares: tuple[bytes, ...]
    edge_secrets: tuple[bytes, ...]
    key_shares: tuple[bytes, ...]

    def __repr__(self) -> str:
        return f"Unmasking(position={self.position})"


STEPS: Final = (
    Step("advertise_keys", Announce, AdvertiseKeys, Label.SIGN_ADVERTISE, durable=False),
    Step("share_keys", ShareKeysRequest, ShareKeys, Label.MAC_SHARES, mac=True),
    Step("masked_input", MaskedInputRequest, UploadHeader, Label.SIGN_HEADER, upload=True),
    Step("consistency", ConsistencyRequest, Consistency, Label.SIGN_CONSISTENCY),
    Step("unmasking", UnmaskingRequest, Unmasking, Label.MAC_UNMASKING, mac=True),
)

MESSAGES: Final[Mapping[int, type[Struct]]] = {
    16: ShareKeysRequest,
    17: MaskedInputRequest,
    18: ConsistencyRequest,
    19: UnmaskingRequest,
}
"""Wire codes."""
