"""Holds what the orchestrator decides before a session: all of K and P but keys and ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import floor
from typing import Any, Literal, Self

import msgspec

from secagg.arguments import check_fields, checked
from secagg.errors import ConfigurationError, PolicyViolation
from secagg.fixed_point import (
    cap_units,
    integer_bound,
    metric_limit,
    metric_scale,
    update_spec,
    weight_unit,
)
from secagg.fixed_point.layout import NO_NOISE, check_clip, check_precision
from secagg.fixed_point.units import check_max_weight
from secagg.params import (
    HASH_BYTES,
    MAX_ROUND,
    NO_MODEL,
    SESSION_BYTES,
    SUITES,
    VERSION,
    GatewayId,
    LeafSpec,
    MetricSpec,
    RoundParams,
    SessionParams,
    Thresholds,
    VectorSpec,
    check_purpose,
)
from secagg.protocol.bounds import Bounds
from secagg.protocol.counts import count_entries
from secagg.protocol.identity import Cohort, Roster
from secagg.protocol.policy import Policy
from secagg.protocol.transcript import retry_hash, session_hash
from secagg.protocol.vectors import check_length
from secagg.pytree import Select, tree_spec
from secagg.pytree.selection import SELECT_CURE
from secagg.schemes.base import UpdatePlan
from secagg.schemes.scheme import Scheme
from secagg.session.precision import LEAST_TOLD, WARN_ABOVE
from secagg.thresholds import MIN_GATEWAYS, usual_colluding

METRIC_BOUND = 2.0**32
"""Largest absolute metric of one gateway where nothing else is said."""
PURPOSE = "train"
"""What a mean is for where nothing else is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """One round as the orchestrator plans it.

    Attributes:
        scheme: how the sum is hidden.
        round: its number; must rise under a roster.
        cohort: ids of the gateways taking part.
        thresholds: n, C, D and what follows.
        model: 32-byte hash of the global model, `NO_MODEL` without one.
        leaves: the tree.
        vectors: what an upload consists of.
        max_weight: largest weight.
        metrics: names and bounds of the numbers summed beside the updates.
        clipping: "error" or "saturate".
        purpose: what the mean is for, as in P.
        retry: a round on this model has failed after uploads had begun. Gateways that refuse to use
            a model twice then take part, up to three times; `model` stays the model's own hash.
        carried: how the scheme carries updates.
        warn_above: relative error of a key's step above which the orchestrator is warned; not in P.

    Raises:
        ConfigurationError: a retry that names no model, values of other types.
    """

    scheme: Scheme
    round: int
    cohort: tuple[GatewayId, ...]
    thresholds: Thresholds
    model: bytes
    leaves: tuple[LeafSpec, ...] = field(repr=False)
    vectors: tuple[VectorSpec, ...]
    max_weight: float
    metrics: tuple[MetricSpec, ...] = ()
    clipping: Literal["error", "saturate"] = "error"
    purpose: str = PURPOSE
    retry: bool = False
    carried: UpdatePlan
    warn_above: float = WARN_ABOVE

    def __post_init__(self) -> None:
        check_fields(self)
        if not 1 <= self.round <= MAX_ROUND:
            raise ConfigurationError(f"round is {self.round}: rounds are counted from 1")
        if len(self.model) != HASH_BYTES:
            raise ConfigurationError(f"model has {len(self.model)} bytes: use `Model(base).hash`")
        if self.retry and not any(self.model):
            raise ConfigurationError(
                "a retry is of uploads on one model: pass base, the global one"
            )

    @classmethod
    @checked()
    def of(
        cls,
        scheme: Scheme,
        encoding: UpdateEncoding,
        template: Any,
        cohort: Sequence[GatewayId],
        *,
        thresholds: Thresholds | None = None,
        model: bytes = NO_MODEL,
        number: int = 1,
        retry: bool = False,
    ) -> Self:
        """Settings of a round; the layout follows from scheme, encoding and tree.

        Args:
            scheme: how the sum is hidden.
            encoding: how updates become vectors.
            template: a tree like every update.
            cohort: ids of the gateways taking part.
            thresholds: those of the scheme for as many gateways, if not given.
            model: 32-byte hash of the global model.
            number: of the round.
            retry: a round on this model has failed after uploads had begun.

        Raises:
            ConfigurationError: settings that cannot work, naming those that would.
            EncodingError: a tree that cannot be averaged.
        """
        carried = scheme.plan_update(len(cohort), encoding.max_weight, encoding.precision)
        leaves, vectors = _layout(template, encoding, len(cohort), carried)
        if not any(vector.kind == "update" for vector in vectors):
            carried = replace(carried, noise=NO_NOISE)  # all other sums are exact in every scheme
        return cls(
            scheme=scheme,
            round=number,
            cohort=tuple(cohort),
            thresholds=thresholds or scheme.thresholds(len(cohort)),
            model=model,
            leaves=leaves,
            vectors=vectors,
            max_weight=encoding.max_weight,
            metrics=tuple(
                MetricSpec(name=name, bound=bound) for name, bound in encoding.metrics.items()
            ),
            clipping=encoding.clipping,
            purpose=encoding.purpose,
            retry=retry,
            carried=carried,
            warn_above=encoding.warn_above,
        )

    def __repr__(self) -> str:
        return (
            f"SessionSettings(round {self.round}, {self.scheme.name}, {len(self.cohort)} gateways)"
        )

    def session_params(self, roster: Roster, session: bytes, key: bytes) -> SessionParams:
        """K."""
        return SessionParams(
            version=VERSION,
            suite=SUITES[0],
            scheme=self.scheme.name,
            session=session,
            round=self.round,
            roster=roster.hash(),
            cohort=Cohort.of(roster, self.cohort).bitmap,
            thresholds=self.thresholds,
            orchestrator_key=key,
        )

    def check_policy(self, roster: Roster, policy: Policy | None) -> None:
        """Refuse before the round what its gateways would refuse in it.

        A model is not asked for: it may be named later.

        Args:
            roster: theirs.
            policy: theirs; None for the default one, and bounds that serve this round.

        Raises:
            ConfigurationError: names the setting.
        """
        params = self.session_params(roster, bytes(SESSION_BYTES), bytes(HASH_BYTES))
        members, asked = len(roster.members), policy or Policy(bounds={self.purpose: Bounds()})
        if asked.min_colluding is None:
            check_colluding(self.thresholds.max_colluding, members)
        try:
            asked.check_session(params, members)
            later = msgspec.structs.replace(asked, require_model=False)
            later.check_round(self.round_params(params))
        except PolicyViolation as error:
            compared = (
                f": {error.announced} is announced, {error.accepted} is what it asks for"
                if error.announced is not None
                else ""
            )
            text = f"the gateways' policy refuses {error.name}{compared}"
            raise ConfigurationError(text) from None

    def round_params(self, params: SessionParams | None) -> RoundParams:
        """P; without a K, for what depends on its layout alone."""
        return RoundParams(
            session_params=bytes(HASH_BYTES) if params is None else session_hash(params),
            model=retry_hash(self.model, self.round) if self.retry else self.model,
            purpose=self.purpose,
            leaves=self.leaves,
            vectors=self.vectors,
            max_weight=self.max_weight,
            metrics=self.metrics,
            clipping=self.clipping,
            ring=self.carried.ring,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateEncoding:
    """How updates become vectors.

    Attributes:
        clip: bound of abs(coordinate) of what is encoded, for all keys or by pattern of keys.
        max_weight: largest weight.
        precision: rms rounding error of the mean relative to clip, at an average weight of
            max_weight / 16.
        select: patterns of the keys that are averaged; None for all.
        clipping: "error" refuses a coordinate beyond its clip, "saturate" counts it.
        metrics: bound of abs(value) by name; what is beyond is clamped and counted.
        integers: bound of abs(value) of integer coordinates, likewise; None takes the largest that
            the sum over all gateways has room for.
        purpose: what the mean is for, as in P.
        warn_above: relative error of a key's step above which the orchestrator is warned.

    Raises:
        ConfigurationError: a setting of another type.
    """

    clip: float | Mapping[str, float]
    max_weight: float = 1.0
    precision: float = 2.0**-12
    select: Select = None
    clipping: Literal["error", "saturate"] = "error"
    metrics: Mapping[str, float] = field(default_factory=dict)
    integers: float | None = None
    purpose: str = PURPOSE
    warn_above: float = WARN_ABOVE

    def __post_init__(self) -> None:
        check_fields(self, select=SELECT_CURE)
        check_purpose(self.purpose)
        self._check_ranges()

    def _check_ranges(self) -> None:
        """Refuse what works with no tree and no cohort."""
        clips = self.clip if isinstance(self.clip, Mapping) else {"": self.clip}
        for pattern, clip in clips.items():
            check_clip(f"clip of {pattern!r}" if pattern else "clip", clip)
        check_max_weight(MIN_GATEWAYS, self.max_weight)
        check_precision(self.precision)
        if not self.warn_above >= LEAST_TOLD:
            raise ConfigurationError(
                f"warn_above is {self.warn_above}: use {LEAST_TOLD:g} or more, {WARN_ABOVE} say"
            )
        for bound in self.metrics.values():
            metric_scale(bound, MIN_GATEWAYS)
        if self.integers is not None and not self.integers >= 1:
            raise ConfigurationError(f"integer_bound is {self.integers}: use 1 or more")


def check_colluding(colluding: int, members: int) -> None:
    """Refuse a C below what gateways of a roster ask for by default.

    Raises:
        ConfigurationError: says what to pass.
    """
    least = usual_colluding(members)
    if colluding < least:
        raise ConfigurationError(
            f"C is {colluding}, and gateways of a roster of {members} ask for {least} by default:"
            f" pass max_colluding={least}; or max_colluding={colluding}, with"
            f" Policy(min_colluding={colluding}) at the gateways and as ServerSession(policy=)"
        )


def _layout(
    template: Any, encoding: UpdateEncoding, gateways: int, carried: UpdatePlan
) -> tuple[tuple[LeafSpec, ...], tuple[VectorSpec, ...]]:
    leaves, groups = tree_spec(template, clips=encoding.clip, select=encoding.select)
    cap = encoding.max_weight
    check_max_weight(gateways, cap)
    integers = any(group.clip is None for group in groups)
    unit, most = weight_unit(cap, integers=integers), cap_units(cap, integers=integers)
    vectors = [
        _whole("integers", group.length, most * _bound(encoding, gateways), 1 / unit)
        if group.clip is None
        else update_spec(
            group.name,
            group.length,
            group.clip,
            gateways,
            cap,
            carried.lanes,
            limit=carried.limit,
        )
        for group in groups
    ]
    vectors.append(_whole("weight", 1, most, 1 / unit))
    metrics = [MetricSpec(name=name, bound=bound) for name, bound in encoding.metrics.items()]
    if metrics:
        limits = [metric_limit(metric.bound, gateways) for metric in metrics]
        vectors.append(_whole("metrics", len(metrics), max(limits)))
    counts = count_entries(leaves, vectors, metrics, saturate=encoding.clipping == "saturate")
    if counts:
        vectors.append(_whole("counts", len(counts), max(entry.largest for entry in counts)))
    vectors.append(_whole("check", check_length(carried.ring), 0))
    return leaves, tuple(vectors)


def _whole(name: str, length: int, limit: int, scale: float = 1.0) -> VectorSpec:
    return VectorSpec(name=name, length=length, lanes=1, limit=limit, scale=scale)


def _bound(encoding: UpdateEncoding, gateways: int) -> int:
    """Of integers.

    Raises:
        ConfigurationError: no room for it.
    """
    room = integer_bound(gateways, encoding.max_weight)
    bound = room if encoding.integers is None else encoding.integers
    if not 1 <= bound <= room:
        raise ConfigurationError(
            f"integers up to {bound} of {gateways} gateways at max_weight {encoding.max_weight:g}"
            f" do not fit: use 1 to {room}, or lower max_weight"
        )
    return floor(bound)
