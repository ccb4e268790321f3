"""Bytes of a round by formula: every message of both protocols, counted field by field.

The sizes are those of canonical MessagePack (`secagg.canonical`), for a round in which everybody is
there; `tests/protocol_sim/test_costs.py` holds them against real sessions, to the byte. A formula
has no largest cohort: above 2048 gateways it says what a round would cost whose messages, shares
and lanes were made for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from protocol_sim.model.sizes import (
    HASH,
    HEADER,
    KEY,
    MAC,
    SIGNATURE,
    answer,
    bitmap,
    blob,
    items,
    mean_name,
    mean_number,
    mean_proof,
    signed,
)
from secagg import wire
from secagg.canonical import encode
from secagg.crypto.shamir import SHARE_BYTES
from secagg.params import (
    HASH_BYTES,
    SESSION_BYTES,
    SUITES,
    VERSION,
    RoundParams,
    SessionParams,
    Struct,
    Thresholds,
)
from secagg.protocol.messages import Announce
from secagg.protocol.possession import PROOF_BYTES
from secagg.schemes import scheme_of
from secagg.schemes.additive.scheme import Additive
from secagg.schemes.scheme import Scheme
from secagg.session import SessionSettings, UpdateEncoding
from secagg.thresholds import (
    KEY_COEFFICIENTS,
    MAX_KEYS,
    PROOF_COLUMNS,
    SEAL_BYTES,
    quorum,
    share_bytes,
    usual_colluding,
)


@dataclass(frozen=True, slots=True)
class Shape:
    """A round, as far as its costs depend on it.

    Attributes:
        scheme: name.
        gateways: n.
        coordinates: d.
        limits: thresholds; above the largest cohort, what their formulas would give.
        round: P.
        spans: frames of an upload.
        blocks: ring elements of an upload, 0 in masks.
    """

    scheme: str
    gateways: int
    coordinates: int
    limits: Thresholds
    round: RoundParams
    spans: tuple[wire.Span, ...]
    blocks: int

    @property
    def upload(self) -> int:
        """Bytes of the frames of an upload."""
        return sum(wire.frame_bytes(span.words) for span in self.spans)

    @property
    def words(self) -> int:
        """64-bit words of the frames of an upload."""
        return sum(span.words for span in self.spans)

    @property
    def key(self) -> int:
        """Coefficients of a key, 0 in masks."""
        return 0 if self.round.ring is None else self.round.ring.degree

    @property
    def sealed(self) -> int:
        """Bytes of one sealed row, 0 in masks."""
        columns = -(-self.key // self.limits.packed) + PROOF_COLUMNS
        return 2 * columns + SEAL_BYTES if self.key else 0


@dataclass(frozen=True, slots=True)
class Exchanged:
    """Bytes of one phase, of the mean gateway among those that take part in it.

    Attributes:
        phase: name.
        up: sent.
        down: received.
    """

    phase: str
    up: float
    down: float


def shape_of(
    scheme: str,
    gateways: int,
    coordinates: int,
    *,
    colluding: int | None = None,
    dropouts: int | None = None,
    variant: Scheme | None = None,
) -> Shape:
    """The shape of a round with the library's own settings.

    Args:
        scheme: name.
        gateways: n, 3 or more.
        coordinates: d, float32; three integers, a weight and a metric come with them.
        colluding: C, None for the default.
        dropouts: D, None for the default.
        variant: of the scheme, with another layout; the usual one if not given.
    """
    spoken = variant or scheme_of(scheme)
    limits = limits_of(spoken, gateways, colluding, dropouts)
    # lanes for the largest cohort there is, where this one is larger
    summed = min(gateways, MAX_KEYS)
    encoding = UpdateEncoding(clip=1.0, max_weight=8.0, precision=1.0, metrics={"loss": 100.0})
    template = {"w": np.broadcast_to(np.float32(0), (coordinates,)), "steps": np.zeros(3, np.int64)}
    settings = SessionSettings.of(spoken, encoding, template, range(summed), thresholds=limits)
    round_params = settings.round_params(None)
    spans = spoken.spans(round_params, summed)
    blocks = _blocks(spoken, round_params, summed)
    return Shape(scheme, gateways, coordinates, limits, round_params, spans, blocks)


def _blocks(scheme: Scheme, params: RoundParams, gateways: int) -> int:
    if not isinstance(scheme, Additive):
        return 0
    ring = type(scheme).ring(params, gateways)
    return sum(-(-words // ring.unit) for words in ring.words)


def limits_of(
    scheme: Scheme, gateways: int, colluding: int | None = None, dropouts: int | None = None
) -> Thresholds:
    """n, C, D and what follows; above the largest cohort by the formulas alone.

    Args:
        scheme: of the round.
        gateways: n.
        colluding: C, None for the default.
        dropouts: D, None for the default.
    """
    if gateways <= MAX_KEYS:
        return scheme.thresholds(gateways, max_colluding=colluding, max_dropouts=dropouts)
    c = usual_colluding(gateways) if colluding is None else colluding
    d = gateways // 10 if dropouts is None else dropouts
    q = quorum(gateways, c)
    if scheme.family == "masks":
        k = 2 * (-(-(c + d + 1) // 2))
        return _limits(gateways, c, d, share_threshold=max(c + 1, k - d - c + 1), q=q, degree=k)
    # a share holds no more than a whole key: beyond that a larger committee only costs
    least = c + 2 * d + 1
    sizes = range(least, min(least + 2 * KEY_COEFFICIENTS + 2, gateways + 1))
    m = min(sizes, key=lambda m: share_bytes(m, m - d, m - d - (m + c) // 2))
    packed = m - d - (m + c) // 2
    return _limits(gateways, c, d, share_threshold=m - d, q=q, committee=m, packed=packed)


def _limits(n: int, c: int, d: int, *, share_threshold: int, q: int, **others: int) -> Thresholds:
    return Thresholds(
        gateways=n,
        max_colluding=c,
        max_dropouts=d,
        share_threshold=share_threshold,
        quorum=q,
        min_included=max(c + 2, q),
        degree=others.pop("degree", 0),
        **others,
    )


def exchanged(shape: Shape) -> tuple[Exchanged, ...]:
    """Every phase of a first round in which everybody is there."""
    return tuple(_masks(shape) if not shape.limits.committee else _additive(shape))


def total(phases: Iterable[Exchanged], *, up: bool) -> float:
    """Bytes of a gateway that takes part in all of these phases."""
    return sum(phase.up if up else phase.down for phase in phases)


# -- what every scheme sends ---------------------------------------------------------------------


def announced(shape: Shape) -> Announce:
    """K of a round of this shape, with no signature to speak of."""
    params = SessionParams(
        version=VERSION,
        suite=SUITES[0],
        scheme=shape.scheme,
        session=bytes(SESSION_BYTES),
        round=1,
        roster=bytes(HASH_BYTES),
        cohort=bytes((shape.gateways + 7) // 8),
        thresholds=shape.limits,
        orchestrator_key=bytes(32),
    )
    return Announce(body=encode(params), signature=bytes(SIGNATURE))


def _announce(shape: Shape) -> float:
    return _encoded(announced(shape))


def _signed_round(shape: Shape) -> float:
    return signed(_encoded(shape.round))


def _encoded(message: Struct) -> int:
    return len(encode(message))


def hashes(shape: Shape) -> tuple[float, float]:
    """Mean number, and bytes, of the hashes beside the keys that a gateway is shown at first."""
    n, m = shape.gateways, shape.limits.committee

    def shown(place: int) -> list[int]:
        if m:
            return [*range(m), *([place] if place >= m else [])]
        reach = (shape.limits.degree + 1) // 2
        return sorted({(place + step) % n for step in range(-reach, reach + 1)})

    return mean_proof(n, shown)


# -- masks -----------------------------------------------------------------------------------------


def _masks(shape: Shape) -> list[Exchanged]:
    n, k, q = shape.gateways, shape.limits.degree, shape.limits.quorum
    bits, position = bitmap(n), mean_number(n)
    advert = 1 + HASH + position + 2 * KEY + blob(PROOF_BYTES)
    sealed = blob(2 * SHARE_BYTES + SEAL_BYTES)
    dealt = 1 + HASH + position + HASH + items(k, 1 + 2 * HASH) + items(k, sealed)
    header = 1 + 2 * HASH + position + bits
    unmasking = 1 + HASH + position + KEY + items(k, blob(SHARE_BYTES)) + 2 * items(0, 0)
    adverts = items(k + 1, signed(advert)) + hashes(shape)[1]
    shares = items(k, 1 + sealed + 2 * HASH)
    return [
        Exchanged("advertise_keys", answer("advertise_keys", advert), HEADER + _announce(shape)),
        Exchanged("share_keys", answer("share_keys", dealt, MAC), HEADER + 1 + bits + adverts),
        Exchanged(
            "masked_input",
            answer("masked_input", header) + shape.upload,
            HEADER + 1 + _signed_round(shape) + bits + shares,
        ),
        Exchanged(
            "consistency",
            answer("consistency", 1 + blob(SESSION_BYTES) + HASH),
            HEADER + 1 + bits + items(k, signed(header)),
        ),
        Exchanged(
            "unmasking", answer("unmasking", unmasking, MAC), HEADER + 1 + _certificate(n, q)
        ),
    ]


def _certificate(n: int, q: int) -> float:
    return 1 + bitmap(n) + items(q, blob(SIGNATURE))


# -- additive schemes ------------------------------------------------------------------------------


def _additive(shape: Shape) -> list[Exchanged]:
    n, limits = shape.gateways, shape.limits
    m, bits, position = limits.committee, bitmap(n), mean_number(n)
    everybody, members = _prekey(mean_name(n)), _prekey(mean_name(m))
    others = _prekey(mean_name(n, m)) if n > m else 0.0
    shown = m * items(m, signed(members)) + (n - m) * (
        items(m + 1, 0) + m * signed(members) + signed(others)
    )
    known = hashes(shape)[1]
    request = 1 + _announce(shape) + _signed_round(shape) + bits + shown / n + known
    columns = -(-shape.key // limits.packed)
    sealed = blob(shape.sealed)
    header = 1 + 2 * HASH + position + bits
    ciphertexts = m / n * items(m - 1, sealed) + (n - m) / n * items(m, sealed)
    proof = blob(2 * PROOF_COLUMNS * limits.share_threshold)
    dealing = 1 + signed(header) + HASH + ciphertexts + proof + signed(everybody)
    certificate = _certificate(n, limits.quorum) if shape.limits.certified else 1
    share = 1 + HASH + sealed + HASH + blob(2 * PROOF_COLUMNS)
    consistency = blob(0) if shape.limits.certified else blob(SIGNATURE)
    row = blob(2 * columns)
    key_sum = 1 + HASH + mean_number(m) + bits + row + consistency + signed(members)
    offer = 1 + HASH + position + signed(everybody) + blob(PROOF_BYTES)
    phases = [
        Exchanged("set_up", answer("set_up", offer), HEADER + _announce(shape)),
        Exchanged("upload", answer("upload", dealing) + shape.upload, HEADER + request),
        Exchanged(
            "consistency", answer("consistency", 1 + blob(SESSION_BYTES) + HASH), HEADER + 1 + bits
        ),
        Exchanged(
            "answer",
            answer("answer", key_sum),
            HEADER
            + 1
            + bits
            + certificate
            + items(n - m, signed(others))
            + items(0, 0)
            + items(n - 1, share),
        ),
    ]
    return [phase for phase in phases if phase.phase != "consistency" or shape.limits.certified]


def _prekey(name: float) -> float:
    return 1 + HASH + 1 + name + KEY
