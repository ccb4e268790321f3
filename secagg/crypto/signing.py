"""Signs and verifies labelled messages with Ed25519."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from secagg.crypto.kdf import labelled
from secagg.crypto.labels import Label
from secagg.crypto.secret import Secret
from secagg.errors import BadSignature, KeyAgreementError, LocalProtocolError
from secagg.guards import NeverCopied

SEED_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
VERIFYING_KEY_BYTES: Final = 32

_PRIME: Final = 2**255 - 19
_D: Final = -121665 * pow(121666, -1, _PRIME) % _PRIME
"""The constant of the curve -x^2 + y^2 = 1 + d x^2 y^2 (RFC 8032 section 5.1)."""


class SigningKey(NeverCopied):
    """A long-term signing identity.

    Args:
        seed: the 32 private bytes.

    Raises:
        LocalProtocolError: the seed has another size.

    Source:
        RFC 8032, pure Ed25519.
    """

    __slots__ = ("_key", "public")
    instead = "keep its seed"

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


@lru_cache(1 << 12)
def check_verifying_key(public: bytes) -> None:
    """Accepts the one encoding of a point of the curve whose order is not 1, 2, 4 or 8.

    Under a key of low order one signature fits many messages, and libraries disagree on which;
    they disagree on other encodings too. OpenSSL takes any 32 bytes for a key.

    Raises:
        KeyAgreementError: naming what is wrong with it.

    Source:
        RFC 8032 sections 5.1.3 (decoding) and 5.1.4 (addition).
    """
    if len(public) != VERIFYING_KEY_BYTES:
        raise KeyAgreementError(f"an Ed25519 public key has {VERIFYING_KEY_BYTES} bytes")
    encoded = int.from_bytes(public, "little")
    sign, y = encoded >> 255, encoded % 2**255
    # x^2 = u / v is a square exactly when u v is; -1 / d is none, so v is never zero
    u, v = y * y - 1, _D * y * y + 1
    square = pow(u * v % _PRIME, _PRIME // 2, _PRIME)  # Euler's criterion: 0 or 1
    if y >= _PRIME or square > 1 or sign > square:
        raise KeyAgreementError("no canonical encoding of an Ed25519 public key")
    # of y alone, as a fraction: the double has y' = (y^2 + x^2) / (2 - y^2 + x^2)
    z = 1
    for _ in range(3):
        yy, zz = y * y % _PRIME, z * z % _PRIME
        v, u = (_D * yy + zz) % _PRIME, zz * (yy - zz)
        y, z = (yy * v + u) % _PRIME, ((2 * zz - yy) * v + u) % _PRIME
    if y == z:  # eight times the point is the neutral element
        raise KeyAgreementError("an Ed25519 public key of low order")
