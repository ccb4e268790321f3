"""Every key of the masks scheme, derived in one place by client, server and auditor alike."""

from __future__ import annotations

from secagg import encoding
from secagg.crypto.kdf import derive
from secagg.crypto.labels import Label
from secagg.crypto.prg import KEY_BYTES


def mask_private(key_seed: bytes, session: bytes) -> bytes:
    """The X25519 private key behind a mask key: a function of s_i, so that shares of s_i open it.

    Args:
        key_seed: s_i, 32 bytes.
        session: H(K).
    """
    return derive(key_seed, salt=session, label=Label.KDF_MASK_KEY)


def edge_secret(shared: bytes, *, h2: bytes, ends: tuple[int, int]) -> bytes:
    """M_ij: the same at both ends, bound to one transcript by its salt.

    Args:
        shared: Diffie-Hellman secret of the two mask keys.
        h2: transcript of keys, P and U2.
        ends: both positions, in any order.
    """
    low, high = sorted(ends)
    context = (encoding.u64(low), encoding.u64(high))
    return derive(shared, salt=h2, label=Label.KDF_EDGE, context=context)


def pair_key(edge: bytes, *, h2: bytes, vector: int) -> bytes:
    """m_ijv: the key of one pair's mask of one vector. One key, one stream."""
    context = (encoding.u64(vector),)
    return derive(edge, salt=h2, label=Label.KDF_PAIR, context=context, length=KEY_BYTES)


def self_key(seed: bytes, *, h2: bytes, position: int, vector: int) -> bytes:
    """The key of one gateway's own mask of one vector, out of b_i."""
    context = (encoding.u64(position), encoding.u64(vector))
    return derive(seed, salt=h2, label=Label.KDF_SELF, context=context, length=KEY_BYTES)


def sign(adder: int, other: int) -> int:
    """The lower position of an edge adds its mask, the higher one subtracts it."""
    return 1 if adder < other else -1
