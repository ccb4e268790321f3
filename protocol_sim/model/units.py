"""Measures what single operations cost on this machine, through the library's own functions."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from statistics import median
from typing import Final

import numpy as np

from protocol_sim.model import relayed
from protocol_sim.model.relayed import Work
from protocol_sim.model.traffic import Shape, shape_of
from protocol_sim.randomness import entropy
from secagg import wire
from secagg.canonical import decode, encode
from secagg.crypto.agreement import agree, public_key
from secagg.crypto.kdf import digest
from secagg.crypto.labels import Label
from secagg.crypto.packed import Packing, check_row, deal
from secagg.crypto.prg_fast import add_masks
from secagg.crypto.sealing import FrameMac
from secagg.crypto.secret import Secret
from secagg.crypto.shamir import LIMBS, split
from secagg.crypto.signing import SigningKey, verify
from secagg.errors import ConfigurationError
from secagg.protocol.transcript import keys_hash
from secagg.schemes import BY_NAME, scheme_of
from secagg.schemes.additive.scheme import Additive
from secagg.schemes.base import Words
from secagg.schemes.masks.messages import ShareKeysRequest
from secagg.session.update import Update
from secagg.thresholds import PROOF_COLUMNS
from secagg.workers import SERIAL

Units = Mapping[str, float]
"""Operation (`counts.Counts`) -> CPU seconds."""

WORDS: Final = 2**16
KEYS: Final = 32
ENTRIES: Final = 2000
HOLDERS: Final = 64
COORDINATES: Final = 2**17
TIMES: Final = 20
SEALED: Final = 2**12


def measure(scheme: str, repeats: int = 3) -> Units:
    """CPU seconds of each operation but those of `costs.FITTED`.

    Args:
        scheme: name.
        repeats: of each measurement, of which the median counts.
    """
    works = {**_public_key(), **_bulk(scheme), **_entries()}
    works |= _masks() if BY_NAME[scheme].family == "masks" else _additive(scheme)
    return {name: _typical(work, repeats) / count for name, (count, work) in works.items()}


def measure_server(scheme: str, repeats: int = 3) -> Units:
    """CPU seconds of what a server does otherwise than a gateway.

    Args:
        scheme: name.
        repeats: of each measurement, of which the median counts.
    """
    works = relayed.works(shape_of(scheme, 10, COORDINATES))
    return {name: _typical(work, repeats) / count for name, (count, work) in works.items()}


def _typical(work: Callable[[], object], repeats: int) -> float:
    work()  # caches, engines and pages of memory are there the second time
    return median(_spent(work) for _ in range(repeats))


def _spent(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _public_key() -> dict[str, Work]:
    rng, body = entropy("units"), bytes(150)
    key = SigningKey(Secret(rng(32)))
    signature = key.sign(Label.SIGN_HEADER, body)
    private, peer = rng(32), public_key(rng(32))
    works: dict[str, Callable[[], object]] = {
        "sign": lambda: key.sign(Label.SIGN_HEADER, body),
        "verify": lambda: verify(key.public, Label.SIGN_HEADER, body, signature),
        "agree": lambda: agree(private, peer),
    }
    return {name: (TIMES, partial(_often, work)) for name, work in works.items()}


def _often(work: Callable[[], object]) -> None:
    for _ in range(TIMES):
        work()


def _bulk(scheme: str) -> dict[str, Work]:
    """Encoding, tags, and the addition of words."""
    shape = shape_of(scheme, 10, COORDINATES)
    total = np.zeros(WORDS, np.uint64)
    data = memoryview(bytes(8 * WORDS))

    def word() -> None:
        FrameMac(bytes(16)).tag(0, data)
        np.add(total, np.frombuffer(bytes(data), np.uint64), out=total)

    return {"coordinate": (COORDINATES, lambda: _encoded(shape)), "word": (WORDS, word)}


def _encoded(shape: Shape) -> None:
    tree = {"w": np.full(shape.coordinates, 0.1, np.float32), "steps": np.zeros(3, np.int64)}
    update = Update(
        shape.round,
        shape.gateways,
        tree,
        weight=1.0,
        base=None,
        metrics={"loss": 0.0},
        rounding=bytes(32),
    )
    fill = update.source()
    for vector, spec in enumerate(shape.round.vectors):
        for span in wire.frame_spans([spec.words]):
            fill(vector, span.first_word, np.empty(span.words, np.uint64))


def _entries() -> dict[str, Work]:
    """The hash of a gateway that is no neighbour: received, and hashed into the transcript."""
    hashes = (bytes(32),) * ENTRIES
    message = ShareKeysRequest(present=bytes(250), adverts=(), hashes=hashes)
    data = encode(message)

    def entry() -> None:
        found = decode(ShareKeysRequest, data)
        keys_hash(bytes(32), ENTRIES, dict(enumerate(found.hashes)))

    return {"entry": (ENTRIES, entry)}


def _masks() -> dict[str, Work]:
    words = np.zeros(WORDS, np.uint64)
    keys = [(1, bytes([place]) * 16) for place in range(KEYS)]
    holders, rng = list(range(HOLDERS)), entropy("units", "shares")
    terms = 2 * LIMBS * HOLDERS * HOLDERS
    return {
        "stream": (8 * WORDS * KEYS, lambda: add_masks(words, 0, keys, workers=SERIAL)),
        "field": (terms, lambda: split([bytes(32), bytes(32)], HOLDERS, holders, rng)),
    }


def _additive(scheme: str) -> dict[str, Work]:
    shape = shape_of(scheme, 10, COORDINATES)
    rng = entropy("units", "ring")
    spoken = scheme_of(scheme)
    if not isinstance(spoken, Additive):
        raise ConfigurationError(f"scheme {scheme!r} has no ring")
    ring = type(spoken).ring(shape.round, shape.gateways)
    secret = ring.secret(rng)
    packing = Packing(4 * HOLDERS, HOLDERS, 3 * HOLDERS)
    columns = packing.columns(len(secret))
    flat = Packing(2, 1, 2)
    dealt = deal(secret, flat, rng)
    proof = dealt.prove(bytes(32))[:, 0]

    rows = (bytes(SEALED),) * packing.members

    def sealed() -> None:
        digest(Label.HASH_DEALING, *rows)
        decode(tuple[tuple[bytes, ...]], encode((rows,)))

    def blocks() -> None:
        fill = ring.encrypt(lambda: _zeros, secret, public=bytes(32), rng=rng)()
        for span in wire.frame_spans(ring.words, ring.unit):
            fill(span.vector, span.first_word, np.empty(span.words, np.uint64))

    return {
        "block": (shape.blocks, blocks),
        "sealed": (SEALED * len(rows), sealed),
        "field": (
            packing.members * packing.threshold * (columns + PROOF_COLUMNS),
            lambda: deal(secret, packing, rng),
        ),
        "value": (PROOF_COLUMNS * len(secret), lambda: check_row(dealt.rows[0], bytes(32), proof)),
    }


def _zeros(_vector: int, _first: int, out: Words) -> None:
    out[:] = 0
