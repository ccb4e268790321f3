"""Hashes and derives keys; both are bound to version and label."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from secagg.canonical import framed, u64
from secagg.crypto.labels import Label
from secagg.errors import LocalProtocolError
from secagg.params import VERSION

DOMAIN: Final = b"secagg"
MAX_DERIVED: Final = 255 * 32
"""RFC 5869 section 2.3: HKDF gives at most 255 blocks of its hash."""


def labelled(label: Label, *parts: bytes) -> bytes:
    """Canonical bytes of `parts` for one use: no two (label, parts) give the same string.

    What is hashed, signed, and given to the key derivation as its context.
    """
    return _prefix(label) + framed(*parts)


@cache
def _prefix(label: Label) -> bytes:
    return framed(DOMAIN, u64(VERSION), label.value)


def digest(label: Label, *parts: bytes) -> bytes:
    """SHA-256 of the labelled parts, 32 bytes.

    Args:
        label: what the hash is for.
        parts: any number of byte strings; how they are cut matters.
    """
    return hashlib.sha256(labelled(label, *parts)).digest()


def digest_of(label: Label, part: memoryview) -> bytes:
    """`digest` of one large part, which is neither copied nor keeps other threads waiting."""
    hashed = hashlib.sha256(_prefix(label) + u64(part.nbytes))
    hashed.update(part)
    return hashed.digest()


def commit(label: Label, *parts: bytes) -> bytes:
    """Commitment to the parts, 32 bytes: binding, and hiding when they hold 32 bytes of entropy.

    No salt is added: a seed has 256 bits of entropy, and so has a share of it given t - 1 others.
    """
    return digest(label, *parts)


def derive_key(
    secret: bytes,
    *,
    salt: bytes,
    label: Label,
    context: tuple[bytes, ...] = (),
    length: int = 32,
) -> bytes:
    """HKDF-SHA256 of a secret, with the labelled context as its info string.

    Args:
        secret: input keying material, for example a raw Diffie-Hellman result.
        salt: public value that ties the key to a transcript; may be empty.
        label: what the key is for.
        context: what else the key is bound to.
        length: bytes to derive, 1 to 8160.

    Raises:
        LocalProtocolError: `length` is out of range.

    Source:
        RFC 5869.
    """
    return _hkdf(secret, salt, labelled(label, *context), length)


def _hkdf(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    if not 1 <= length <= MAX_DERIVED:
        raise LocalProtocolError(f"length is {length}: HKDF-SHA256 derives 1 to {MAX_DERIVED}")
    return HKDF(algorithm=SHA256(), length=length, salt=salt, info=info).derive(secret)
