"""Defines the exchanges of the additive schemes.

Two exchanges hold for a constant cohort of up to 64 gateways. A gateway without a key for the round
gives one in `set_up` first; above 64 gateways a quorum certifies the included set before anybody
answers; `answer_again` is asked when dealers cheated and those who noticed can still answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from secagg.crypto.labels import Label
from secagg.params import Struct
from secagg.protocol.certificate import Certificate, Consistency
from secagg.protocol.messages import Announce, Signed, SignedRound
from secagg.protocol.steps import Step


class SetUp(Struct, frozen=True):
    """A one-time key for this round, from who has sent none ahead.

    Attributes:
        session: H(K).
        position: cohort position of the sender.
        prekey: the signed prekey: the same in every session of the round.
        proof: of the possession of its private half, for the orchestrator alone.
    """

    session: bytes
    position: int
    prekey: Signed
    proof: bytes


class UploadRequest(Struct, frozen=True):
    """K, P and the one-time keys of everybody who has one, U1.

    Attributes:
        announce: signed K.
        round: signed P.
        keyed: bitmap U1.
        prekeys: signed prekeys of the receiver and of the committee's members in U1.
        hashes: of the parts of the tree over all prekeys' hashes that hold none of these.
    """

    announce: Announce
    round: SignedRound
    keyed: bytes
    prekeys: tuple[Signed, ...]
    hashes: tuple[bytes, ...]


class Dealing(Struct, frozen=True):
    """What comes before the frames of an upload: the key's shares, and the key for the next round.

    Attributes:
        header: signed `UploadHeader`; its complaints are empty.
        salt: 32 random bytes of this dealing: no two dealings have a key in common, whatever a
            gateway has forgotten.
        ciphertexts: sealed shares, by other committee member in U1.
        proof: the dealing proof, 8 random combinations of the columns: uint16, (8, R).
        next_prekey: signed prekey of the sender for the following round.
    """

    header: Signed
    salt: bytes
    ciphertexts: tuple[bytes, ...]
    proof: bytes
    next_prekey: Signed


class IncludedRequest(Struct, frozen=True):
    """The set U3, to be certified; above 64 gateways only."""

    included: bytes


class DealtShare(Struct, frozen=True):
    """What one dealer has for the receiver.

    Attributes:
        salt: of the dealing.
        ciphertext: the share, sealed.
        digest: hash of all ciphertexts of the dealer, from which the proof's challenge follows.
        evaluation: the dealing proof at the receiver's point: uint16, (8,).
    """

    salt: bytes
    ciphertext: bytes
    digest: bytes
    evaluation: bytes


class AnswerRequest(Struct, frozen=True):
    """The set U3 and every member's share for the receiver.

    Attributes:
        included: bitmap U3.
        certificate: a quorum's signatures on h3, above 64 gateways; otherwise None.
        prekeys: signed prekeys of U3 outside the committee; the others' came with the upload
            request.
        hashes: of the parts of the tree that hold no prekey of the committee or of these.
        shares: by member of U3 other than the receiver.
    """

    included: bytes
    certificate: Certificate | None
    prekeys: tuple[Signed, ...]
    hashes: tuple[bytes, ...]
    shares: tuple[DealtShare, ...]


class AnswerAgainRequest(Struct, frozen=True):
    """U3 without the dealers whose shares were bad; to members that have only complained."""

    included: bytes


class KeySum(Struct, frozen=True):
    """The sum of the sender's shares over U3, or its complaints. The one answer of a round.

    Attributes:
        h3: hash of the transcript with the set that is summed over, or complained about.
        position: of the sender.
        complaints: bitmap of dealers in U3 whose share does not open or contradicts its proof.
        shares: the sum: uint16, (columns,); empty with complaints.
        consistency: signature of `Consistency` on h3, from which the audit record's certificate is
            made up to 64 gateways; empty above, and with complaints.
        next_prekey: signed prekey of the sender for the following round.
    """

    h3: bytes
    position: int
    complaints: bytes
    shares: bytes
    consistency: bytes
    next_prekey: Signed

    def __repr__(self) -> str:
        return f"KeySum(position={self.position})"


STEPS: Final = (
    Step("set_up", Announce, SetUp, Label.SIGN_SET_UP, durable=False, optional=True),
    Step("upload", UploadRequest, Dealing, Label.SIGN_DEALING, upload=True),
    Step("consistency", IncludedRequest, Consistency, Label.SIGN_CONSISTENCY, optional=True),
    Step("answer", AnswerRequest, KeySum, Label.SIGN_ANSWER),
    Step("answer_again", AnswerAgainRequest, KeySum, Label.SIGN_ANSWER, optional=True),
)

MESSAGES: Final[Mapping[int, type[Struct]]] = {
    32: UploadRequest,
    33: IncludedRequest,
    34: AnswerRequest,
    35: AnswerAgainRequest,
}
"""Wire codes."""
