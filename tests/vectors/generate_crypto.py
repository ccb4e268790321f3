"""Writes prg.json, kdf.json and shamir.json beside this file; takes no arguments.

Origin: nothing here imports the library. AES is written out from FIPS 197, HKDF from RFC 5869 over
the standard library's HMAC, Shamir in Python integers; "random" bytes are SHA-256 of a counter. A
run gives the same bytes every time, and a test compares them with the files. The functions double
as test oracles.

Each file is a list of operations; those with `"success": false` must raise the named error.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

VERSION = 2
PRIME = 2**21 - 9
LIMBS = 13
ORIGIN = "tests/vectors/generate_crypto.py: pure Python, independent of the library"
KEY = bytes(range(16))


# --- AES-128, FIPS 197 --------------------------------------------------------------------------


def xtime(a: int) -> int:
    return (a << 1) ^ (0x11B if a & 0x80 else 0)


def multiply(a: int, b: int) -> int:
    result = 0
    while b:
        result ^= a if b & 1 else 0
        a, b = xtime(a), b >> 1
    return result


def _sbox() -> list[int]:
    box = []
    for a in range(256):
        inverse = next((b for b in range(256) if multiply(a, b) == 1), 0)
        value = 0x63
        for turn in range(5):
            value ^= (inverse << turn | inverse >> (8 - turn)) & 0xFF
        box.append(value)
    return box


SBOX = _sbox()


def round_keys(key: bytes) -> list[bytes]:
    words = [key[i : i + 4] for i in range(0, 16, 4)]
    constant = 1
    for i in range(4, 44):
        word = words[-1]
        if i % 4 == 0:
            word = bytes(SBOX[b] for b in word[1:] + word[:1])
            word = bytes([word[0] ^ constant]) + word[1:]
            constant = xtime(constant)
        words.append(xor(words[-4], word))
    return [b"".join(words[i : i + 4]) for i in range(0, 44, 4)]


def mix(column: Sequence[int]) -> list[int]:
    return [
        xtime(column[i])
        ^ xtime(column[(i + 1) % 4])
        ^ column[(i + 1) % 4]
        ^ column[(i + 2) % 4]
        ^ column[(i + 3) % 4]
        for i in range(4)
    ]


def aes(keys: Sequence[bytes], block: bytes) -> bytes:
    state = xor(block, keys[0])
    for number, key in enumerate(keys[1:], 1):
        state = bytes(SBOX[state[(i + 4 * (i % 4)) % 16]] for i in range(16))
        if number < 10:
            state = bytes(b for i in range(0, 16, 4) for b in mix(state[i : i + 4]))
        state = xor(state, key)
    return state


def xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


def keystream(key: bytes, first_word: int, words: int) -> bytes:
    """Little-endian words first_word .. first_word + words - 1 of M_k[g] = AES_k(g) xor (g + 1)."""
    keys = round_keys(key)
    blocks = range(first_word // 2, (first_word + words + 1) // 2)
    stream = b"".join(xor(aes(keys, index(g)), index(g + 1)) for g in blocks)
    skip = 8 * (first_word % 2)
    return stream[skip : skip + 8 * words]


def index(g: int) -> bytes:
    return (g % 2**128).to_bytes(16, "big")


# --- framing, SHA-256, HKDF (RFC 5869) ----------------------------------------------------------


def labelled(label: bytes, parts: Sequence[bytes]) -> bytes:
    everything = [b"secagg", VERSION.to_bytes(8, "big"), label, *parts]
    return b"".join(len(part).to_bytes(8, "big") + part for part in everything)


def digest(label: bytes, parts: Sequence[bytes]) -> bytes:
    return hashlib.sha256(labelled(label, parts)).digest()


def hkdf(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    extracted = hmac.digest(salt or bytes(32), secret, "sha256")
    output = block = b""
    for counter in range(1, -(-length // 32) + 1):
        block = hmac.digest(extracted, block + info + bytes([counter]), "sha256")
        output += block
    return output[:length]


# --- Shamir over GF(p) in Python integers -------------------------------------------------------


def entropy(seed: bytes) -> Callable[[int], bytes]:
    def stream() -> Iterator[int]:
        counter = 0
        while True:
            yield from hashlib.sha256(seed + counter.to_bytes(8, "big")).digest()
            counter += 1

    source = stream()
    return lambda size: bytes(next(source) for _ in range(size))


def elements(count: int, rng: Callable[[int], bytes]) -> list[int]:
    """Uniform below p: as many 3-byte little-endian draws as are missing, 21 low bits, reject."""
    kept: list[int] = []
    while len(kept) < count:
        raw = rng(3 * (count - len(kept)))
        draws = [int.from_bytes(raw[i : i + 3], "little") % 2**21 for i in range(0, len(raw), 3)]
        kept += [draw for draw in draws if draw < PRIME]
    return kept


def split(
    secrets: Sequence[bytes], threshold: int, holders: Sequence[int], rng: Callable[[int], bytes]
) -> list[list[bytes]]:
    columns = len(secrets) * LIMBS
    numbers = [int.from_bytes(secret, "little") for secret in secrets]
    rows = [[number >> 20 * limb & 0xFFFFF for number in numbers for limb in range(LIMBS)]]
    drawn = elements((threshold - 1) * columns, rng)
    rows += [drawn[k * columns : (k + 1) * columns] for k in range(threshold - 1)]
    return [[evaluate(rows, s, holder + 1) for s in range(len(secrets))] for holder in holders]


def evaluate(rows: Sequence[Sequence[int]], secret: int, x: int) -> bytes:
    limbs = range(secret * LIMBS, (secret + 1) * LIMBS)
    values = [sum(row[limb] * x**k for k, row in enumerate(rows)) % PRIME for limb in limbs]
    return share(values)


def share(values: Sequence[int]) -> bytes:
    return b"".join(value.to_bytes(3, "little") for value in values)


def interpolate(points: Sequence[tuple[int, int]]) -> int:
    """Value at x = 0 of the polynomial through (x, y) points."""
    total = 0
    for x, y in points:
        numerator = denominator = 1
        for z, _ in points:
            if z != x:
                numerator, denominator = numerator * z % PRIME, denominator * (z - x) % PRIME
        total += y * numerator * pow(denominator, -1, PRIME)
    return total % PRIME


def combine(shares: dict[int, Sequence[bytes]]) -> list[bytes]:
    secrets = []
    for s in range(len(next(iter(shares.values())))):
        number = 0
        for limb in range(LIMBS):
            at = slice(3 * limb, 3 * limb + 3)
            points = [(i + 1, int.from_bytes(row[s][at], "little")) for i, row in shares.items()]
            number += interpolate(points) << 20 * limb
        secrets.append(number.to_bytes(32, "little"))
    return secrets


# --- the files ----------------------------------------------------------------------------------


def prg() -> list[dict[str, Any]]:
    fips = int("00112233445566778899aabbccddeeff", 16)  # FIPS 197 C.1: the plaintext as index
    starts = [0, 2, 126, 2**33 - 2, 2**33, 2**65 - 4, 2**65, 2 * fips, 2**129 - 4]
    good = [
        {
            "operation": "keystream",
            "key": key.hex(),
            "first_word": str(first),
            "words": words,
            "expected": keystream(key, first, words).hex(),
            "success": True,
        }
        for key, words in ((KEY, 9), (bytes(16), 2), (digest(b"key", [])[:16], 5))
        for first in starts
    ]
    bad = [
        (KEY, 1, 2),
        (KEY, -2, 2),
        (KEY, 2**129, 2),
        (KEY[:15], 0, 2),
        (KEY * 2, 0, 2),
        (b"", 0, 2),
        (KEY, 0, -1),
    ]
    return good + [
        {
            "operation": "keystream",
            "key": key.hex(),
            "first_word": str(first),
            "words": words,
            "error": "LocalProtocolError",
            "success": False,
        }
        for key, first, words in bad
    ]


def kdf() -> list[dict[str, Any]]:
    cuts = [[], [b""], [b"", b""], [b"ab", b"c"], [b"a", b"bc"], [b"abc"], [bytes(100)]]
    labels = [b"hash-h0", b"hash-h2", b"commit-b"]
    operations: list[dict[str, Any]] = [
        {
            "operation": "digest",
            "label": label.decode(),
            "parts": [part.hex() for part in parts],
            "expected": digest(label, parts).hex(),
            "success": True,
        }
        for label in labels
        for parts in cuts
    ]
    for secret, salt, label, context, length in (
        (bytes(32), b"", b"kdf-channel", [], 32),
        (bytes(32), bytes(32), b"kdf-edge", [b"lo", b"hi"], 32),
        (bytes(32), bytes(32), b"kdf-edge", [b"loh", b"i"], 32),
        (KEY, b"salt", b"kdf-pair", [bytes(8)], 16),
        (KEY, b"salt", b"kdf-pair", [bytes(8)], 100),
        (KEY, b"salt", b"kdf-pair", [], 0),
        (KEY, b"salt", b"kdf-pair", [], -1),
        (KEY, b"salt", b"kdf-pair", [], 255 * 32 + 1),
    ):
        operation = {
            "operation": "derive",
            "secret": secret.hex(),
            "salt": salt.hex(),
            "label": label.decode(),
            "context": [part.hex() for part in context],
            "length": length,
        }
        if 1 <= length <= 255 * 32:
            expected = hkdf(secret, salt, labelled(label, context), length).hex()
            operations.append(operation | {"expected": expected, "success": True})
        else:
            operations.append(operation | {"error": "LocalProtocolError", "success": False})
    return operations


def shamir() -> list[dict[str, Any]]:
    secrets = [bytes(32), b"\xff" * 32, digest(b"secret", [])]
    operations: list[dict[str, Any]] = []
    for threshold, holders in (
        (1, [0, 3]),
        (2, [0, 1]),
        (3, [7, 0, 2, 9]),
        (5, [*range(1, 9)]),
        (4, [1, 0]),
    ):
        seed = threshold.to_bytes(8, "big")
        shares = split(secrets, threshold, holders, entropy(seed))
        operations.append(
            {
                "operation": "split",
                "secrets": [secret.hex() for secret in secrets],
                "threshold": threshold,
                "holders": holders,
                "seed": seed.hex(),
                "expected": [[one.hex() for one in row] for row in shares],
                "success": True,
            }
        )
        table = dict(zip(holders, shares, strict=True))
        if len(holders) >= threshold:
            operations.append(_combine(table, threshold, expected=secrets))
    return operations + _bad_shamir(secrets)


def _bad_shamir(secrets: Sequence[bytes]) -> list[dict[str, Any]]:
    good = dict(enumerate(split(secrets, 3, range(4), entropy(b"bad"))))
    wild = {i: row if i else [share([PRIME] * LIMBS), *row[1:]] for i, row in good.items()}
    high_limb = {i: [share([0] * 12 + [1 << 16])] for i in range(2)}  # 257 bits
    any_limb = {i: [share([1 << 20] + [0] * 12)] for i in range(2)}
    remote, local = "SharingError", "LocalProtocolError"
    combines = [
        _combine({i: good[i] for i in (0, 1)}, 3, error=remote),
        _combine({i: row[:3] if i else row[:2] for i, row in good.items()}, 3, error=remote),
        _combine({i: [one[:38] for one in row] for i, row in good.items()}, 3, error=remote),
        _combine({i: [one + b"\0" for one in row] for i, row in good.items()}, 3, error=remote),
        _combine({i: [b"" for _ in row] for i, row in good.items()}, 3, error=remote),
        _combine(wild, 3, error=remote),
        _combine(high_limb, 2, error=remote),
        _combine(any_limb, 2, error=remote),
        _combine(good, 0, error=local),
        _combine(good, 2049, error=local),
        _combine({-1: good[0], **good}, 3, error=local),
        _combine({PRIME - 1: good[0], **good}, 3, error=local),
    ]
    splits = [
        ([bytes(31)], 2, [0, 1]),
        ([bytes(33)], 2, [0, 1]),
        ([bytes(32)], 0, [0, 1]),
        ([bytes(32)], 2049, [*range(2049)]),
        ([bytes(32)], 2, [0, 1, 1]),
        ([bytes(32)], 2, [-1, 1]),
        ([bytes(32)], 2, [1, PRIME - 1]),
    ]
    return combines + [
        {
            "operation": "split",
            "secrets": [secret.hex() for secret in some],
            "threshold": threshold,
            "holders": holders if len(holders) < 99 else len(holders),
            "seed": "",
            "error": local,
            "success": False,
        }
        for some, threshold, holders in splits
    ]


def _combine(
    shares: dict[int, list[bytes]],
    threshold: int,
    *,
    expected: Sequence[bytes] = (),
    error: str = "",
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operation": "combine",
        "shares": {str(i): [one.hex() for one in row] for i, row in shares.items()},
        "threshold": threshold,
    }
    if error:
        return operation | {"error": error, "success": False}
    return operation | {"expected": [secret.hex() for secret in expected], "success": True}


def render(operations: Sequence[dict[str, Any]]) -> str:
    return json.dumps({"origin": ORIGIN, "operations": operations}, indent=1) + "\n"


FILES: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "prg.json": prg,
    "kdf.json": kdf,
    "shamir.json": shamir,
}


def main() -> None:
    for name, operations in FILES.items():
        Path(__file__).with_name(name).write_text(render(operations()), encoding="utf-8")


if __name__ == "__main__":
    main()
