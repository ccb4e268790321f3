"""Defines the messages that every scheme sends, and the signed envelope."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum, unique
from typing import Protocol, TypeVar

from secagg import canonical
from secagg.crypto.labels import Label
from secagg.crypto.signing import SigningKey
from secagg.params import RoundParams, SessionParams, Struct

T = TypeVar("T", bound=Struct)
Verify = Callable[[bytes, Label, bytes, bytes], None]
"""`crypto.signing.verify`, or a memoising one in a simulator that plays all parties."""


class Signer(Protocol):
    """`SigningKey`, or `AnswerMac` where the server alone reads what is said."""

    def sign(self, label: Label, message: bytes) -> bytes:
        """What shows whose message this is."""


class Signed(Struct, frozen=True):
    """Canonical bytes of a message and the Ed25519 signature, or MAC, over label and bytes."""

    body: bytes
    signature: bytes

    def __repr__(self) -> str:
        # the last answer of a gateway holds its seed
        return f"Signed({len(self.body)} bytes)"

    @classmethod
    def make(cls, key: Signer, label: Label, message: Struct) -> Signed:
        """Encode and sign."""
        body = canonical.encode(message)
        return cls(body=body, signature=key.sign(label, body))

    def open(self, kind: type[T], key: bytes, label: Label, verify: Verify) -> T:
        """The message inside.

        Raises:
            BadSignature: not signed by `key` under this label.
            WireError: signed, but not a canonical message of this kind.
        """
        verify(key, label, self.body, self.signature)
        return canonical.decode(kind, self.body)


class Announce(Signed, frozen=True):
    """Server -> client: the bytes of K under the orchestrator's signature."""

    @property
    def claimed(self) -> SessionParams:
        """K whoever signed it; `open` is for what counts.

        Raises:
            WireError: no canonical K.
        """
        return canonical.decode(SessionParams, self.body)


class SignedRound(Signed, frozen=True):
    """The bytes of P under the orchestrator's signature; part of a scheme's upload request.

    P may be a megabyte: nothing is made of it before the signature is verified.
    """

    @property
    def claimed(self) -> RoundParams:
        """P whoever signed it, as of `Announce`."""
        return canonical.decode(RoundParams, self.body)


class UploadHeader(Struct, frozen=True):
    """Under which transcript the upload that follows was made. Signed, and sent before it.

    Attributes:
        h0: hash of the keys.
        h2: hash of keys, P and U2.
        position: of the sender.
        complaints: bitmap of dealers in U2 whose shares do not open or do not match.
    """

    h0: bytes
    h2: bytes
    position: int
    complaints: bytes


class Answer(Struct, frozen=True):
    """Client -> server: the signed answer to one step, or "abort"."""

    step: str
    signed: Signed


class Abort(Struct, frozen=True):
    """Either side -> the other, signed: this session is over here.

    The reason is quoted, not believed.
    """

    session: bytes
    reason: str


class Farewell(Signed, frozen=True):
    """Server -> client: the bytes of an `Abort` under the orchestrator's signature."""


COMMON: Mapping[int, type[Struct]] = {1: Announce, 2: Answer, 3: Farewell}
"""Wire codes of the messages that every scheme sends; a scheme's own begin at 16."""


@unique
class DropReason(Enum):
    """Why the server goes on without a gateway."""

    SILENT = "did not answer before the phase was closed"
    VANISHED = "stopped in the middle of its upload"
    ABORTED = "ended the session itself"
    MALFORMED = "sent something that is not a message of this protocol"
    UNEXPECTED = "sent a message that was not asked for"
    EQUIVOCATED = "answered one question in two ways"
    FOREIGN = "answered under another session, transcript or position"
    BAD_SIGNATURE = "sent a signature, or a tag, that does not verify"
    BAD_KEY = "advertised a key that is not canonical or repeats another"
    BAD_FRAME = "sent an upload frame that is not authentic or no part of its upload"
    STAGING = "was not kept: the orchestrator's disk, descriptors or budget failed"
    BAD_DEALER = "dealt shares that more holders reject than may lie, or too few can use"
    BAD_HOLDER = "rejected the shares of more dealers than may lie"
    BAD_SHARE = "released a share that does not match its commitment"
    CONTRADICTED = "gave a sum of shares that lies on no polynomial with the others'"
    BAD_SEED = "released a seed that does not match its commitment"
    BAD_EDGE = "released an edge secret that its peer's own key contradicts"
    INVALID = "has no update, weight or metrics that fit: known to its own side alone"


def sign_session(key: SigningKey, params: SessionParams) -> Announce:
    """K, signed by the orchestrator."""
    body = canonical.encode(params)
    return Announce(body=body, signature=key.sign(Label.SIGN_SESSION, body))


def sign_farewell(key: SigningKey, session: bytes, reason: str) -> Farewell:
    """The end of a session, signed by the orchestrator."""
    body = canonical.encode(Abort(session=session, reason=reason))
    return Farewell(body=body, signature=key.sign(Label.SIGN_ABORT, body))


def sign_round(key: SigningKey, params: RoundParams) -> SignedRound:
    """P, signed by the orchestrator."""
    body = canonical.encode(params)
    return SignedRound(body=body, signature=key.sign(Label.SIGN_ROUND, body))
