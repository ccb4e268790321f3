"""Encrypts small messages and authenticates large frames."""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from secagg.errors import LocalProtocolError, SealError

SEALING_KEY_BYTES: Final = 32
TAG_BYTES: Final = 16
NONCE_BYTES: Final = 12

# Every key is derived for one (session, sender, receiver, label) and seals one message ever
# (messages are journalled and resent byte for byte), so no (key, nonce) pair can repeat.
_NONCE: Final = bytes(NONCE_BYTES)


def seal(key: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """AES-256-GCM ciphertext followed by its 16-byte tag, under a key that is used only once.

    Args:
        key: 32 bytes, fresh per (session, sender, receiver, label).
        plaintext: what to hide.
        aad: what the message is bound to; travels elsewhere.

    Raises:
        LocalProtocolError: `key` has another size.

    Source:
        NIST SP 800-38D.
    """
    return _gcm(key).encrypt(_NONCE, plaintext, aad)


def open_sealed(key: bytes, ciphertext: bytes, aad: bytes) -> bytes:
    """The plaintext of what `seal` made under the same key and the same aad.

    Raises:
        LocalProtocolError: `key` is not of 32 bytes.
        SealError: anything else than those exact bytes.
    """
    try:
        return _gcm(key).decrypt(_NONCE, ciphertext, aad)
    except InvalidTag:
        raise SealError("sealed message does not open under its key and context") from None


class FrameMac:
    """GMAC over the frames of one upload: one key, one sender, rising sequence numbers.

    Reads buffers in place; 23 GB/s where SHA-256 runs at 1.7.

    Args:
        key: 16 or 32 bytes, fresh per (session, sender).

    Raises:
        LocalProtocolError: `key` has another size.

    Source:
        NIST SP 800-38D section 6.4 (GMAC).
    """

    __slots__ = ("_gcm", "_next")

    def __init__(self, key: bytes) -> None:
        if len(key) not in {16, 32}:
            raise LocalProtocolError(f"frame key of {len(key)} bytes: use 16 or 32")
        self._gcm = AESGCM(key)
        self._next = 0

    def tag(self, sequence: int, data: bytes | bytearray | memoryview) -> bytes:
        """The 16-byte tag of `data` as frame number `sequence`.

        Raises:
            LocalProtocolError: `sequence` is below 0, past 96 bits, or not above the one before.
        """
        # Two frames under one nonce give away the authentication key (Joux 2006), so a number
        # is never used twice.
        if sequence < self._next:
            raise LocalProtocolError(f"frame {sequence} comes after frame {self._next - 1}")
        nonce = _nonce(sequence)
        self._next = sequence + 1
        return self._gcm.encrypt(nonce, b"", data)

    def verify(
        self, sequence: int, data: bytes | bytearray | memoryview, tag: bytes | memoryview
    ) -> None:
        """Accepts exactly the tag that the sender made for this data and this number.

        Raises:
            LocalProtocolError: `sequence` does not fit 96 bits.
            SealError: the tag is not of 16 bytes or does not verify.
        """
        nonce = _nonce(sequence)
        # Longer "tags" would be ciphertexts with a plaintext of their own.
        if len(tag) != TAG_BYTES:
            raise SealError(f"tag of frame {sequence} has {len(tag)} bytes, not {TAG_BYTES}")
        try:
            self._gcm.decrypt(nonce, tag, data)
        except InvalidTag:
            raise SealError(f"tag of frame {sequence} does not verify") from None


def _gcm(key: bytes) -> AESGCM:
    if len(key) != SEALING_KEY_BYTES:
        raise LocalProtocolError(f"sealing key of {len(key)} bytes: use {SEALING_KEY_BYTES}")
    return AESGCM(key)


def _nonce(sequence: int) -> bytes:
    if not 0 <= sequence < 1 << 8 * NONCE_BYTES:
        raise LocalProtocolError(f"sequence number {sequence} does not fit {NONCE_BYTES} bytes")
    return sequence.to_bytes(NONCE_BYTES, "big")
