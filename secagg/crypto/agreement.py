"""Agrees on secrets by X25519, with canonical, distinct keys that are not of low order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from secagg.errors import KeyAgreementError, LocalProtocolError

AGREEMENT_KEY_BYTES: Final = 32

_PRIME: Final = 2**255 - 19
# u-coordinates of every point of order 1, 2, 4 or 8 on Curve25519 and its twist, below the prime:
# 0, 1, -1 and the two of order 8 (Bernstein, "How do I validate Curve25519 public keys?").
_LOW_ORDER: Final = frozenset(
    {
        0,
        1,
        _PRIME - 1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
    }
)


def public_key(private: bytes) -> bytes:
    """The 32-byte public key of 32 private bytes, which are clamped as RFC 7748 says.

    Raises:
        LocalProtocolError: `private` has another size.
    """
    return _private_key(private).public_key().public_bytes_raw()


def agree(private: bytes, peer: bytes) -> bytes:
    """The raw 32-byte Diffie-Hellman result; feed it to `derive`, never use it as a key.

    Raises:
        LocalProtocolError: `private` is not of 32 bytes.
        KeyAgreementError: `peer` is refused by `check_public_key`.

    Source:
        RFC 7748 section 6.1.
    """
    return agree_each(private, [peer])[0]


def agree_each(private: bytes, peers: Iterable[bytes]) -> list[bytes]:
    """`agree` with every peer; the private key is loaded once."""
    key = KeyPair(private)
    return [key.agree(peer) for peer in peers]


class KeyPair:
    """A private key that is loaded once, which costs nearly as much as an exchange.

    Args:
        private: 32 bytes.

    Raises:
        LocalProtocolError: `private` has another size.
    """

    __slots__ = ("_key", "public")

    def __init__(self, private: bytes) -> None:
        self._key: X25519PrivateKey | None = _private_key(private)
        self.public: Final[bytes] = self._key.public_key().public_bytes_raw()

    def agree(self, peer: bytes) -> bytes:
        """As `agree`.

        Raises:
            KeyAgreementError: as there.
            LocalProtocolError: the key is erased.
        """
        check_public_key(peer)
        if self._key is None:
            raise LocalProtocolError("this private key is erased")
        return self._key.exchange(X25519PublicKey.from_public_bytes(peer))

    def erase(self) -> None:
        """Let go of the private key; OpenSSL overwrites what it frees."""
        self._key = None


def check_public_key(key: bytes) -> None:
    """Accepts exactly the canonical encodings of points that are not of low order.

    X25519 itself reduces u modulo the prime and ignores the top bit, so that up to four strings are
    one key; a repeated key in another encoding would slip past a comparison of bytes.

    Raises:
        KeyAgreementError: wrong size, u not below 2^255 - 19 or top bit set, or low order.
    """
    if len(key) != AGREEMENT_KEY_BYTES:
        raise KeyAgreementError(
            f"public key of {len(key)} bytes: X25519 keys have {AGREEMENT_KEY_BYTES}"
        )
    u = int.from_bytes(key, "little")
    if u >= _PRIME:
        raise KeyAgreementError("public key is not canonical: u is not below 2^255 - 19")
    if u in _LOW_ORDER:
        raise KeyAgreementError("public key is of low order: it agrees on a known secret")


def check_public_keys(keys: Sequence[bytes]) -> None:
    """`check_public_key` on each, and no two alike.

    Raises:
        KeyAgreementError: a key is refused, or occurs twice; the message gives positions in `keys`.
    """
    seen: dict[bytes, int] = {}
    for position, key in enumerate(keys):
        try:
            check_public_key(key)
        except KeyAgreementError as error:
            raise KeyAgreementError(f"key {position}: {error}") from None
        first = seen.setdefault(bytes(key), position)
        if first != position:
            raise KeyAgreementError(f"keys {first} and {position} are the same")


def _private_key(private: bytes) -> X25519PrivateKey:
    if len(private) != AGREEMENT_KEY_BYTES:
        raise LocalProtocolError(
            f"private key of {len(private)} bytes: X25519 takes {AGREEMENT_KEY_BYTES}"
        )
    return X25519PrivateKey.from_private_bytes(private)
