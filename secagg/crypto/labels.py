"""Names every use of a hash, key derivation, cipher signature or tag by one label.

Two uses with different labels can never produce the same input (docs/protocol.md#labels).
"""

from __future__ import annotations

from enum import Enum, unique


@unique
class Label(Enum):
    """What a hash, derived key, sealed message or signature is for."""

    SIGN_SESSION = b"sign-session"
    SIGN_ROUND = b"sign-round"
    SIGN_ADVERTISE = b"sign-r0"
    SIGN_HEADER = b"sign-header"
    SIGN_CONSISTENCY = b"sign-h3"
    SIGN_ABORT = b"sign-abort"
    SIGN_PREKEY = b"sign-prekey"
    SIGN_SET_UP = b"sign-set-up"
    SIGN_DEALING = b"sign-dealing"
    SIGN_ANSWER = b"sign-answer"

    MAC_SHARES = b"mac-r1"
    MAC_UNMASKING = b"mac-r4"

    HASH_ROSTER = b"hash-roster"
    HASH_SESSION = b"hash-session"
    HASH_ROUND = b"hash-round"
    HASH_CHUNK = b"hash-chunk"
    HASH_MODEL = b"hash-model"
    HASH_RETRY = b"hash-retry"
    HASH_ADVERTISE = b"hash-r0"
    HASH_NODE = b"hash-node"
    HASH_H0 = b"hash-h0"
    HASH_H2 = b"hash-h2"
    HASH_H3 = b"hash-h3"
    HASH_REQUEST = b"hash-request"
    HASH_DEALING = b"hash-dealing"

    COMMIT_SEED = b"commit-b"
    COMMIT_SEED_SHARE = b"commit-share-b"
    COMMIT_KEY_SHARE = b"commit-share-s"

    KDF_CHANNEL = b"kdf-channel"
    KDF_MASK_KEY = b"kdf-mask-key"
    KDF_EDGE = b"kdf-edge"
    KDF_PAIR = b"kdf-pair"
    KDF_SELF = b"kdf-self"
    KDF_ROUNDING = b"kdf-rounding"
    KDF_UPLOAD_MAC = b"kdf-upload-mac"
    KDF_ANSWER_MAC = b"kdf-answer-mac"
    KDF_POSSESSION = b"kdf-possession"
    KDF_NOISE = b"kdf-noise"

    XOF_DEALING = b"xof-dealing"
    XOF_RING = b"xof-ring"
