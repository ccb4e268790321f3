"""Derives every key of the masks scheme, for client, server and auditor alike."""

from __future__ import annotations

from collections.abc import Sequence

from secagg import canonical
from secagg.crypto.kdf import derive_key
from secagg.crypto.labels import Label
from secagg.crypto.prg import STREAM_KEY_BYTES, WORDS_PER_BLOCK
from secagg.params import VectorSpec


def mask_private(key_seed: bytes, session: bytes) -> bytes:
    """The X25519 private key behind a mask key: a function of s_i, so that shares of s_i open it.

    Args:
        key_seed: s_i, 32 bytes.
        session: H(K).
    """
    return derive_key(key_seed, salt=session, label=Label.KDF_MASK_KEY)


def edge_secret(shared: bytes, *, h2: bytes, ends: tuple[int, int]) -> bytes:
    """M_ij: the same at both ends, bound to one transcript by its salt.

    Args:
        shared: Diffie-Hellman secret of the two mask keys.
        h2: transcript of keys, P and U2.
        ends: both positions, in any order.
    """
    low, high = sorted(ends)
    context = (canonical.u64(low), canonical.u64(high))
    return derive_key(shared, salt=h2, label=Label.KDF_EDGE, context=context)


def pair_key(edge: bytes, *, h2: bytes) -> bytes:
    """m_ij: the key of one pair's masks. One key, one stream over the whole upload."""
    return derive_key(edge, salt=h2, label=Label.KDF_PAIR, length=STREAM_KEY_BYTES)


def self_key(seed: bytes, *, h2: bytes, position: int) -> bytes:
    """The key of one gateway's own masks, out of b_i."""
    context = (canonical.u64(position),)
    return derive_key(seed, salt=h2, label=Label.KDF_SELF, context=context, length=STREAM_KEY_BYTES)


def stream_starts(vectors: Sequence[VectorSpec]) -> list[int]:
    """Where each vector lies in the stream of a mask key, and where the last one ends, in words.

    Every word of an upload has a place of its own, so no part of a stream is used twice. Both ends
    of a pair agree on the places: they follow from P, and h2, the salt of every key, binds P.
    Places are even, since masks are made of blocks of two words (ADR 7).
    """
    starts = [0]
    for vector in vectors:
        starts.append(starts[-1] + vector.words + vector.words % WORDS_PER_BLOCK)
    return starts


def sign(adder: int, other: int) -> int:
    """The lower position of an edge adds its mask, the higher one subtracts it."""
    return 1 if adder < other else -1
