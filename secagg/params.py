"""Defines the public parameters of a session and of a round.

`SessionParams` is K of the protocol (announced first, names no model), `RoundParams` is P
(announced with the upload request). Both are signed by the orchestrator and enter the transcript.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Literal, Self

import msgspec

from secagg.errors import ConfigurationError

VERSION: Final = 2
SUITES: Final = (1,)
"""Suite 1: X25519, Ed25519, SHA-256, HKDF-SHA256, AES-256-GCM for channels, AES-128 for masks."""
SESSION_BYTES: Final = 16
HASH_BYTES: Final = 32
MAX_LANES: Final = 5
MAX_LENGTH: Final = 2**40
"""Coordinates of a vector."""
MAX_ROUND: Final = 2**63 - 2
"""There are keys for the round after it, in 63 bits."""
NO_MODEL: Final = bytes(HASH_BYTES)
"""Model hash of a round that averages the trees themselves."""

Kind = Literal["update", "integers", "weight", "metrics", "counts", "check"]
"""What a vector carries; only the sum of an update may be noisy."""
_EXACT: Final[tuple[Kind, ...]] = ("integers", "weight", "metrics", "counts", "check")
_UPDATE: Final = re.compile(r"update/\d+")
_PURPOSE: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")

GatewayId = str | int
Entropy = Callable[[int], bytes]
"""Source of randomness: a number of bytes in, that many uniform bytes out (`os.urandom`)."""


class Struct(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True
):
    """Base of everything that is encoded: field order is the wire order."""


MAX_COMPLETE: Final = 64
"""Largest cohort in which everybody shares with everybody: above, neighbours or a committee do."""


class Thresholds(Struct, frozen=True):
    """n, C, D and the numbers derived from them (docs/protocol.md#thresholds).

    Attributes:
        gateways: n, members of the cohort.
        max_colluding: C, members of the whole roster that may side with the orchestrator.
        max_dropouts: D, gateways that may vanish at any moment.
        share_threshold: shares that open a secret: t in masks, R in additive schemes. `packed`
            fewer say nothing, and those are C or more.
        quorum: q, signatures that certify one included set.
        min_included: n_min, gateways in any opened sum.
        degree: k, neighbours of each gateway in masks; n - 1 is the complete graph. 0 elsewhere.
        committee: m, gateways that hold the shares of everybody in additive schemes: positions 0 to
            m - 1. 0 in masks, where a gateway's neighbours hold its shares.
        packed: ell, values that one share carries: 1 in masks.
    """

    gateways: int
    max_colluding: int
    max_dropouts: int
    share_threshold: int
    quorum: int
    min_included: int
    degree: int
    committee: int = 0
    packed: int = 1

    @property
    def certified(self) -> bool:
        """Gateways answer about an included set only once a quorum has certified it."""
        return not self.committee or self.gateways > MAX_COMPLETE


class SessionParams(Struct, frozen=True):
    """K: what a session is, before any model is named.

    Attributes:
        version: protocol version, `VERSION`.
        suite: cipher suite, one of `SUITES`.
        scheme: name of the scheme, of `secagg.schemes.BY_NAME`.
        session: 16 random bytes that name the session.
        round: number of the round; a gateway uploads at most once per roster and round.
        roster: 32-byte hash of the pinned roster.
        cohort: bitmap over the roster of the gateways taking part.
        thresholds: n, C, D and what follows from them.
        orchestrator_key: 32-byte X25519 key of the orchestrator, for frame authentication.
    """

    version: int
    suite: int
    scheme: str
    session: bytes
    round: int
    roster: bytes
    cohort: bytes
    thresholds: Thresholds
    orchestrator_key: bytes

    def __post_init__(self) -> None:
        _sized("session", self.session, SESSION_BYTES)
        _sized("roster", self.roster, HASH_BYTES)
        _sized("orchestrator_key", self.orchestrator_key, 32)
        _within("round", self.round, 1, MAX_ROUND)


class VectorSpec(Struct, frozen=True):
    """One vector of an upload: `length` coordinates packed into signed lanes of 64 // lanes bits.

    Attributes:
        name: its kind; updates are numbered ("update/0").
        length: coordinates.
        lanes: lanes in a 64-bit word, 1 to 5. Lane j of word w holds coordinate j * words + w.
        limit: largest absolute lane value of one gateway; n * limit never crosses a lane.
        scale: lane units per unit of what is encoded (for updates: of weight * coordinate).
    """

    name: str
    length: int
    lanes: int
    limit: int
    scale: float

    def __post_init__(self) -> None:
        _within("length", self.length, 1, MAX_LENGTH)
        _within("lanes", self.lanes, 1, MAX_LANES)
        _within("limit", self.limit, 0, 2 ** (64 // self.lanes - 1) - 1)
        if not 0 < self.scale < float("inf"):
            raise ConfigurationError(f"scale of {self.name} is {self.scale}: use a positive number")

    @property
    def kind(self) -> Kind | None:
        """What it carries; None under a name that no vector has."""
        if _UPDATE.fullmatch(self.name):
            return "update"
        return next((kind for kind in _EXACT if kind == self.name), None)

    @property
    def words(self) -> int:
        """64-bit words that hold the vector."""
        return -(-self.length // self.lanes)


class LeafSpec(Struct, frozen=True):
    """One array of the tree that is averaged, and where it lies in the vectors.

    Attributes:
        key: path, joined by dots, as in a state_dict.
        shape: shape of the array.
        dtype: numpy name of the dtype ("float32", "bfloat16", "int64", "bool", ...).
        vector: index into `RoundParams.vectors`.
        start: first coordinate in that vector. Tied leaves share one start.
    """

    key: str
    shape: tuple[int, ...]
    dtype: str
    vector: int
    start: int


class MetricSpec(Struct, frozen=True):
    """One number summed beside the updates, clamped to abs(value) <= bound."""

    name: str
    bound: float


class Ring(Struct, frozen=True):
    """The ring that uploads of an additive scheme live in: Z_Q[X] / (X^N + 1).

    Attributes:
        degree: N.
        moduli: factors of Q.
        step: Delta, what one unit of an update is multiplied by before noise is added.
    """

    degree: int
    moduli: tuple[int, ...]
    step: int


class RoundParams(Struct, frozen=True):
    """P: what is uploaded and how.

    Attributes:
        session_params: H(K).
        model: 32-byte hash of the global model, all zero when the trees themselves are averaged.
        purpose: what the mean is for ("train", "evaluate"): a word of a-z, 0-9, _ and -, at most 32
            long. Gateways keep bounds and used models apart by it.
        leaves: the tree, in order.
        vectors: what an upload consists of, in order.
        max_weight: largest weight.
        metrics: numbers summed beside the updates, in the order of the "metrics" vector.
        clipping: "error" refuses a coordinate beyond its clip, "saturate" counts it instead.
        ring: of the uploads in additive schemes, None in masks.
    """

    session_params: bytes
    model: bytes
    purpose: str
    leaves: tuple[LeafSpec, ...]
    vectors: tuple[VectorSpec, ...]
    max_weight: float
    metrics: tuple[MetricSpec, ...]
    clipping: Literal["error", "saturate"]
    ring: Ring | None = None

    def __post_init__(self) -> None:
        _sized("session_params", self.session_params, HASH_BYTES)
        _sized("model", self.model, HASH_BYTES)
        check_purpose(self.purpose)

    @property
    def words(self) -> int:
        """64-bit words of one whole upload."""
        return sum(vector.words for vector in self.vectors)

    def of_kind(self, kind: Kind) -> list[tuple[int, VectorSpec]]:
        """Vectors of a kind and their indices; at most one unless they are updates."""
        return [(index, v) for index, v in enumerate(self.vectors) if v.kind == kind]

    def replace(self, **changes: object) -> Self:
        """A copy with some fields changed."""
        return msgspec.structs.replace(self, **changes)


def check_purpose(purpose: str) -> None:
    """Accept the word for what a mean is for.

    Raises:
        ConfigurationError: another form.
    """
    if not _PURPOSE.fullmatch(purpose):
        raise ConfigurationError(
            f"purpose is {purpose!r}: use a word of a-z, 0-9, _ and -, at most 32 long"
        )


def _sized(name: str, value: bytes, size: int) -> None:
    if len(value) != size:
        raise ConfigurationError(f"{name} has {len(value)} bytes: it takes exactly {size}")


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ConfigurationError(f"{name} is {value}: it takes {low} to {high}")
