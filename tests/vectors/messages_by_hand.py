"""Messages and frames of the masks scheme, encoded by hand: nothing here imports the library.

Msgpack as its specification writes it, shortest form always; structs are arrays in field order.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

SESSION = bytes(range(16))
Fields = Sequence[Any]


def pack(value: Any) -> bytes:
    """Canonical msgpack of None, bool, int, float, str, bytes and sequences of them."""
    if value is None or isinstance(value, bool):
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, bytes):
        return _sized(len(value), None, (0xC4, 0xC5, 0xC6)) + value
    if isinstance(value, str):
        data = value.encode()
        return _sized(len(data), (0xA0, 32), (0xD9, 0xDA, 0xDB)) + data
    return _sized(len(value), (0x90, 16), (None, 0xDC, 0xDD)) + b"".join(map(pack, value))


def _integer(value: int) -> bytes:
    if -32 <= value < 128:
        return struct.pack("b", value)
    forms = [(0xCC, "B"), (0xCD, ">H"), (0xCE, ">I"), (0xCF, ">Q")]
    if value < 0:
        forms = [(0xD0, "b"), (0xD1, ">h"), (0xD2, ">i"), (0xD3, ">q")]
    for code, form in forms:
        try:
            return bytes([code]) + struct.pack(form, value)
        except struct.error:
            continue
    raise ValueError(value)


def _sized(size: int, short: tuple[int, int] | None, codes: Sequence[int | None]) -> bytes:
    if short is not None and size < short[1]:
        return bytes([short[0] + size])
    for code, form, limit in zip(codes, ("B", ">H", ">I"), (2**8, 2**16, 2**32), strict=True):
        if code is not None and size < limit:
            return bytes([code]) + struct.pack(form, size)
    raise ValueError(size)


def frame(code: int, payload: bytes, session: bytes = SESSION) -> bytes:
    head = b"SAGG" + struct.pack("<HH", 2, code) + session
    return head + struct.pack("<I", len(payload)) + bytes(4) + payload


def vector_frame(sequence: int, words: Sequence[int], tag: bytes) -> bytes:
    body = struct.pack("<II", sequence, 0) + b"".join(struct.pack("<Q", word) for word in words)
    return frame(64, body + tag)


def filled(first: int, size: int = 32) -> bytes:
    return bytes((first + at) % 256 for at in range(size))


# RFC 8032, section 7.1: public keys of tests 1, 2, 3 and 1024
ED25519 = [
    bytes.fromhex(key)
    for key in (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e",
    )
]
SIGNED = [b"what is signed", filled(7, 64)]
THRESHOLDS = [4, 1, 1, 2, 3, 3, 3, 0, 1]
K = [2, 1, "masks", SESSION, 2**40, filled(1), b"\x0f", THRESHOLDS, filled(9)]
P = [
    filled(2),
    filled(3),
    "train",
    [["layer.weight", [2, 3], "float32", 0, 0], ["steps", [], "int64", 1, 0]],
    [
        ["update/0", 6, 3, 2**18 - 1, 32767.875],
        ["integers", 1, 1, 2**24 * 10**6, 2.0**21],
        ["weight", 1, 1, 2**24, 2.0**21],
        ["counts", 2, 1, 1, 1.0],
        ["check", 2, 1, 0, 1.0],
    ],
    8.0,
    [["loss", 100.0]],
    "error",
    None,
]
PAIR = [filled(40), filled(41)]
CERTIFICATE = [b"\x07", [filled(i, 64) for i in (50, 51, 52)]]
ABORT = [SESSION, "BelowFloor: a set of 2, at least 3 are needed - \u00e9"]
ANSWER = ["share_keys", SIGNED]

# name of the struct, code on the wire or None for what travels inside another, fields
MESSAGES: list[tuple[str, int | None, Fields]] = [
    ("Thresholds", None, THRESHOLDS),
    ("SessionParams", None, K),
    ("RoundParams", None, P),
    (
        "Roster",
        None,
        [3, ED25519[0], [["a", ED25519[1]], [-7, ED25519[2]], [2**63, ED25519[3]]]],
    ),
    ("Signed", None, SIGNED),
    ("Announce", 1, [pack(K), filled(10, 64)]),
    ("Answer", 2, ANSWER),
    ("Abort", None, ABORT),
    ("Farewell", 3, [pack(ABORT), filled(9, 64)]),
    ("AdvertiseKeys", None, [filled(11), 3, filled(12), filled(13), filled(24, 16)]),
    ("ShareKeysRequest", 16, [b"\x0f", [SIGNED, SIGNED, SIGNED], [filled(14)]]),
    (
        "ShareKeys",
        None,
        [filled(15), 0, filled(16), [PAIR, PAIR], [filled(17, 94), filled(18, 94)]],
    ),
    ("MaskedInputRequest", 17, [[pack(P), filled(19, 64)], b"\x07", [[filled(20, 94), *PAIR]] * 2]),
    ("UploadHeader", None, [filled(21), filled(22), 2, b"\x02"]),
    ("ConsistencyRequest", 18, [b"\x07", [SIGNED, SIGNED]]),
    ("Consistency", None, [SESSION, filled(23)]),
    ("Certificate", None, CERTIFICATE),
    ("UnmaskingRequest", 19, [CERTIFICATE]),
    ("Unmasking", None, [filled(24), 2, filled(25), [filled(26, 39), b""], PAIR, [b"", b""]]),
    (
        "AuditRecord",
        None,
        [
            [K, filled(10, 64)],
            [P, filled(19, 64)],
            b"\x0f",
            [filled(i) for i in range(27, 31)],
            b"\x0f",
            b"\x07",
            [SIGNED] * 3,
            CERTIFICATE,
            [[3, "masked_input", "SILENT"]],
        ],
    ),
]


def operations() -> list[dict[str, Any]]:
    good: list[dict[str, Any]] = []
    for name, code, fields in MESSAGES:
        payload = pack(fields)
        operation = {"operation": "message", "type": name, "fields": plain(fields)}
        good.append(operation | {"expected": payload.hex(), "success": True})
        if code is not None:
            framed = {"operation": "frame", "type": name, "session": SESSION.hex()}
            good.append(framed | {"frame": frame(code, payload).hex(), "success": True})
    for sequence, words in ((0, [1]), (2**32 - 1, [0, 2**64 - 1, 2**63, 0x0102030405060708])):
        data = vector_frame(sequence, words, filled(60, 16))
        good.append(
            {
                "operation": "vector",
                "sequence": sequence,
                "words": [str(word) for word in words],
                "tag": filled(60, 16).hex(),
                "frame": data.hex(),
                "success": True,
            }
        )
    return good + _bad_messages() + _bad_frames() + _bad_vectors()


def plain(value: Any) -> Any:
    """As JSON holds it: bytes as "0x...", integers beyond 2^53 whole."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return [*map(plain, value)] if isinstance(value, list | tuple) else value


def _bad_messages() -> list[dict[str, Any]]:
    header = [filled(21), filled(22), 2, b"\x02"]
    good = pack(header)
    bad = {
        "nothing": b"",
        "truncated": good[:-1],
        "trailing byte": good + b"\0",
        "integer not in its shortest form": good[:-4] + b"\xcc\x02" + good[-3:],
        "bytes not in their shortest form": good[:-3] + b"\xc5\x00\x01\x02",
        "array not in its shortest form": b"\xdc\x00\x04" + good[1:],
        "text instead of bytes": pack([*header[:3], "\x02"]),
        "float instead of integer": pack([*header[:2], 2.0, b"\x02"]),
        "boolean instead of integer": pack([*header[:2], True, b"\x02"]),
        "nil": pack([*header[:3], None]),
        "a field too few": pack(header[:3]),
        "a field too many": pack([*header, 0]),
        "a map": b"\x80",
        "an array that claims 2^32 - 1 elements": b"\xdd\xff\xff\xff\xff",
        "bytes that claim 2^32 - 1": b"\x94\xc6\xff\xff\xff\xff",
    }
    weights = [*P[:4], float("nan"), *P[5:]]
    others = [
        ("a weight that is no number", "RoundParams", pack(weights)),
        ("a limit beyond its lane", "VectorSpec", pack(["check", 2, 1, 2**63, 1.0])),
        ("an empty vector", "VectorSpec", pack(["check", 0, 1, 0, 1.0])),
        ("a session of 15 bytes", "SessionParams", pack([*K[:3], SESSION[1:], *K[4:]])),
        ("a word that is none of two", "RoundParams", pack([*P[:6], "ignore", None])),
        ("one key for two", "Roster", pack([1, ED25519[0], [["a", ED25519[0]]]])),
    ]
    table = [(what, "UploadHeader", data) for what, data in bad.items()] + others
    return [
        {
            "operation": "message",
            "what": what,
            "type": name,
            "expected": data.hex(),
            "error": "WireError",
            "success": False,
        }
        for what, name, data in table
    ]


def _bad_frames() -> list[dict[str, Any]]:
    payload = pack([b"\x07", [SIGNED, SIGNED]])
    good = frame(18, payload)
    length = 24
    longer, shorter = (
        good[:length] + struct.pack("<I", len(payload) + by) + good[length + 4 :] for by in (1, -1)
    )
    table = {
        "nothing": b"",
        "half a header": good[:16],
        "another magic": b"SAGH" + good[4:],
        "version 1": good[:4] + b"\x01" + good[5:],
        "an unknown type": frame(99, payload),
        "the type of a vector": frame(64, payload),
        "another type than its payload": frame(19, payload),
        "a reserved byte": good[:31] + b"\x01" + good[32:],
        "a length too long": longer,
        "a length too short": shorter,
        "a trailing byte": good + b"\0",
    }
    bad = [(what, data, "WireError") for what, data in table.items()]
    bad.append(("another session", frame(18, payload, SESSION[::-1]), "ForeignSession"))
    return [
        {
            "operation": "frame",
            "what": what,
            "session": SESSION.hex(),
            "frame": data.hex(),
            "error": error,
            "success": False,
        }
        for what, data, error in bad
    ]


def _bad_vectors() -> list[dict[str, Any]]:
    good = vector_frame(0, [1, 2], filled(60, 16))
    payload = good[32:]
    table = {
        "no words": vector_frame(0, [], filled(60, 16)),
        "half a word": frame(64, payload[:-4]),
        "shorter than a tag": frame(64, payload[:20]),
        "a reserved byte": frame(64, payload[:4] + b"\x01" + payload[5:]),
        "another type": frame(18, payload),
        "truncated": good[:-1],
    }
    return [
        {
            "operation": "vector",
            "what": what,
            "frame": data.hex(),
            "error": "WireError",
            "success": False,
        }
        for what, data in table.items()
    ]
