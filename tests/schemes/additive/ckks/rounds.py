"""Rounds of the CKKS encoding alone: a P, gateways that encrypt, a sum that opens, an oracle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from secagg.params import Ring, RoundParams, VectorSpec
from secagg.schemes.additive.ckks import CkksRing, plan, reference
from secagg.workers import SERIAL
from tests.schemes.additive.lattice.rounds import PUBLIC, source_of, stream, upload

DEGREES = tuple(reference.PRIMES)
SIGMA = {2048: 16, 4096: 2**16}
LENGTHS = {"update/0": 5000, "update/1": 5, "integers": 3, "weight": 1, "metrics": 2, "counts": 2}
SMALLEST = {"update/0": 100, "weight": 1}


def ring_of(degree: int) -> Ring:
    """What this scheme should use, written down once more."""
    return Ring(degree=degree, moduli=(reference.PRIMES[degree],), step=SIGMA[degree])


def planned(gateways: int, degree: int, lengths: dict[str, int] | None = None) -> RoundParams:
    chosen = plan(gateways, 1.0, 1.0, degree)
    return RoundParams(
        session_params=bytes(32),
        model=bytes(32),
        purpose="train",
        leaves=(),
        vectors=tuple(
            VectorSpec(
                name=name,
                length=length,
                lanes=1,
                limit=chosen.limit if name.startswith("update") else 2**40,
                scale=1.0,
            )
            for name, length in (lengths or LENGTHS).items()
        ),
        max_weight=1.0,
        metrics=(),
        clipping="error",
        ring=chosen.ring,
    )


def worst(length: int, limit: int) -> np.ndarray:
    """Lanes of which one coefficient, that of X^(N/4), is sqrt(2) times the limit."""
    return limit * (1 - 2 * (np.arange(length) // 2 & 1))


def as_words(lanes: Any) -> np.ndarray:
    return np.asarray(lanes, np.int64).view(np.uint64)


def summed(params: RoundParams, gateways: int, uploads: Sequence[Any], *, keys: int = 1):
    """The opened words of `uploads`, each under a key of its own, or with `keys=0` under none."""
    encoding = CkksRing(params, gateways)
    running, total = encoding.running_sum(), np.zeros(encoding.coefficients, np.int64)
    for seed, vectors in enumerate(uploads):
        rng = stream(seed)
        secret = keys * encoding.secret(rng)
        total += secret
        for vector, words in enumerate(upload(encoding, vectors, secret, rng)):
            running.add(vector, 0, words)
    return running.open(total, public=PUBLIC, included=len(uploads), workers=SERIAL)


def oracle(uploads: Sequence[Any]) -> list[list[int]]:
    """The exact sum of each vector in Python integers: the words are signed."""
    return [
        [sum(words) for words in zip(*(v.view(np.int64).tolist() for v in vectors), strict=True)]
        for vectors in zip(*uploads, strict=True)
    ]


def numbers_of(words: np.ndarray, degree: int) -> list[list[int]]:
    """The coefficients on the wire, block by block: read by the byte."""
    raw, size = words.astype("<u8").tobytes(), 5 if degree == 2048 else 8
    blocks = [raw[start : start + size * degree] for start in range(0, len(raw), size * degree)]
    if size == 8:
        return [np.frombuffer(block, "<u8").tolist() for block in blocks]
    return [
        [
            int.from_bytes(block[4 * k : 4 * k + 4], "little") | block[4 * count + k] << 32
            for k in range(count)
        ]
        for block in blocks
        for count in [len(block) // 5]
    ]


def noisy(params: RoundParams, gateways: int, vectors, secret, seed: object = 0):
    """The coefficients of an upload whose noise follows from the seed: of each vector, blocks."""
    encoding = CkksRing(params, gateways)
    fill = encoding.encrypt(source_of(vectors), secret, public=PUBLIC, rng=stream(seed))()
    wire = [np.empty(words, np.uint64) for words in encoding.words]
    for vector, out in enumerate(wire):
        fill(vector, 0, out)
    return [numbers_of(words, encoding.coefficients) for words in wire]
