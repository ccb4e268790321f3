"""Rounds of the lattice encoding alone: a P, gateways that encrypt, a sum that opens."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np

from secagg.params import Ring, RoundParams, VectorSpec
from secagg.schemes.additive.lattice import LatticeRing, plan
from secagg.schemes.additive.lattice.plan import update_limit
from secagg.workers import SERIAL

PUBLIC = bytes(range(32))
EXACT = ("integers", "weight", "metrics")


def stream(seed: object) -> Callable[[int], bytes]:
    """Reproducible entropy."""
    state = hashlib.shake_256(repr(seed).encode())
    place = 0

    def rng(size: int) -> bytes:
        nonlocal place
        place += size
        return state.digest(place)[place - size :]

    return rng


def params(gateways: int, ring: Ring, lengths: dict[str, int]) -> RoundParams:
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
                limit=update_limit(ring, gateways) if name.startswith("update") else 2**40,
                scale=1.0,
            )
            for name, length in lengths.items()
        ),
        max_weight=1.0,
        metrics=(),
        clipping="error",
        ring=ring,
    )


def planned(gateways: int, modulus: int, lengths: dict[str, int]) -> RoundParams:
    """With the exact step."""
    return params(gateways, plan(gateways, 1.0, 1.0, modulus).ring, lengths)


def draw(round_params: RoundParams, seed: int) -> list[np.ndarray]:
    """Words of one upload: lanes within the limit in updates, no check, any 64 bits elsewhere."""
    rng = np.random.default_rng(seed)
    return [
        rng.integers(-spec.limit, spec.limit, spec.length, endpoint=True).view(np.uint64)
        if spec.kind == "update"
        else rng.integers(0, 2**64, spec.length, np.uint64) * np.uint64(spec.kind != "check")
        for spec in round_params.vectors
    ]


def source_of(vectors: Sequence[np.ndarray]):
    def make():
        def fill(vector, first, out):
            out[:] = vectors[vector][first : first + len(out)]
            assert len(vectors[vector]) >= first + len(out)

        return fill

    return make


def upload(encoding: LatticeRing, vectors, secret, rng) -> list[np.ndarray]:
    """The wire words of each vector, in one pass."""
    fill = encoding.encrypt(source_of(vectors), secret, public=PUBLIC, rng=rng)()
    wire = [np.empty(words, np.uint64) for words in encoding.words]
    for vector, out in enumerate(wire):
        fill(vector, 0, out)
    return wire


def opened(round_params: RoundParams, gateways: int, uploads, workers=SERIAL):
    """(opened sum, exact sum) of the words of `uploads`, each under a key of its own."""
    encoding = LatticeRing(round_params, gateways)
    total, running = np.zeros(encoding.coefficients, np.int64), encoding.running_sum()
    exact = [np.zeros(spec.length, np.uint64) for spec in round_params.vectors]
    for seed, vectors in enumerate(uploads):
        rng = stream(seed)
        secret = encoding.secret(rng)
        total += secret
        for vector, words in enumerate(upload(encoding, vectors, secret, rng)):
            running.add(vector, 0, words)
            exact[vector] += vectors[vector]
    result = running.open(total, public=PUBLIC, included=len(uploads), workers=workers)
    return result, exact
