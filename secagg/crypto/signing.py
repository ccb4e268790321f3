"""Signs and verifies labelled messages with Ed25519."""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from secagg.crypto.kdf import labelled
from secagg.crypto.labels import Label
from secagg.crypto.secret import Secret
from secagg.errors import BadSignature, LocalProtocolError

SEED_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64


class SigningKey:
    """A long-term signing identity.

    Args:
        seed: the 32 private bytes.

    Raises:
        LocalProtocolError: the seed has another size.

    Source:
        RFC 8032, pure Ed25519.
    """

    __slots__ = ("_key", "public")

    def __init__(self, seed: Secret | bytes) -> None:
        private = seed.reveal() if isinstance(seed, Secret) else seed
        if len(private) != SEED_BYTES:
            raise LocalProtocolError(f"seed of {len(private)} bytes: Ed25519 takes {SEED_BYTES}")
        self._key = Ed25519PrivateKey.from_private_bytes(private)
        self.public: Final[bytes] = self._key.public_key().public_bytes_raw()

    def sign(self, label: Label, message: bytes) -> bytes:
        """The 64-byte signature of `message` for one use."""
        return self._key.sign(labelled(label, message))

    def __repr__(self) -> str:
        return f"SigningKey(public={self.public.hex()})"


def verify(public: bytes, label: Label, message: bytes, signature: bytes) -> None:
    """Accepts exactly what the holder of `public` signed for this label.

    Args:
        public: 32-byte Ed25519 key, pinned.
        label: what the signature is for.
        message: what was signed.
        signature: 64 bytes.

    Raises:
        BadSignature: the signature or the key is malformed, or does not verify.
    """
    try:
        key = Ed25519PublicKey.from_public_bytes(public)
        key.verify(signature, labelled(label, message))
    except (InvalidSignature, ValueError):
        raise BadSignature(f"{label.name}: does not verify under {public.hex()}") from None
