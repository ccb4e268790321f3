"""Authenticates messages that one party alone reads, under a key that it shares with the sender."""

from __future__ import annotations

import hmac

from secagg.canonical import u64
from secagg.crypto.kdf import derive_key, labelled
from secagg.crypto.labels import Label
from secagg.errors import BadSignature


class AnswerMac:
    """HMAC-SHA256 on a gateway's messages to the orchestrator, in one session.

    A fiftieth of the cost of a signature. It proves nothing to anybody else: the orchestrator could
    have made the tag itself.

    Args:
        shared: Diffie-Hellman secret of the gateway's channel key and the orchestrator's key.
        session: H(K).
        position: of the gateway.

    Source:
        RFC 2104.
    """

    __slots__ = ("_key",)

    def __init__(self, shared: bytes, *, session: bytes, position: int) -> None:
        context = (u64(position),)
        self._key = derive_key(shared, salt=session, label=Label.KDF_ANSWER_MAC, context=context)

    def sign(self, label: Label, message: bytes) -> bytes:
        """The 32-byte tag of `message` for one use."""
        return hmac.digest(self._key, labelled(label, message), "sha256")

    def verify(self, label: Label, message: bytes, tag: bytes) -> None:
        """Accepts exactly what `sign` makes under this key.

        Raises:
            BadSignature: the tag does not verify.
        """
        if not hmac.compare_digest(self.sign(label, message), tag):
            raise BadSignature(f"{label.name}: does not verify under the key of this session")
