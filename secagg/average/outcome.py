"""Holds what a round is predicted to be (`Plan`), what came out and what it cost (`Result`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from secagg.arguments import checked
from secagg.average.texts import coordinates, plan_text, report_text, result_text, sentence
from secagg.errors import AbortedByPeer, EncodingError
from secagg.fixed_point import Noise, integers_of, mean_error
from secagg.fixed_point.layout import USUAL_WEIGHT
from secagg.params import GatewayId, Ring, Thresholds, VectorSpec
from secagg.protocol.audit import AuditRecord
from secagg.protocol.events import Aborted, GatewayDropped
from secagg.protocol.identity import Roster
from secagg.protocol.messages import DropReason
from secagg.schemes.base import Guarantees
from secagg.session.loopback import Loopback
from secagg.session.precision import WARN_ABOVE
from secagg.session.result import Aggregate, bound_in
from secagg.session.server import ServerSession
from secagg.session.settings import SessionSettings
from secagg.thresholds import share_bytes
from secagg.wire import frame_bytes

_TELLS_LITTLE: Final = (DropReason.SILENT, DropReason.VANISHED, DropReason.ABORTED)
"""A farewell may be lost, and tells the server nothing about the gateway's own machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a round will need, before anything is sent.

    Attributes:
        thresholds: n, C, D and what follows.
        guarantees: sentences to quote.
        scheme: its name.
        reason: why "auto" chose it; "" where it was given.
        phases: of a first round in which nobody cheats, in order.
        vectors: layout of an upload.
        layout: how updates are carried, in a sentence.
        noise: by which an opened update may differ from its exact fixed-point sum, in lane units.
        upload_bytes: frames of one gateway's vectors; small messages add a few KiB.
        error_bound: largest absolute error of the mean if all have the average weight below.
        rms_error: its root mean square, likewise.
        average_weight: what the two errors assume: max_weight / 16.
        integers: largest absolute integer coordinate that is not clamped, at any weight; a lower
            max_weight makes room for more. None where the tree has none.
        key_bytes: besides them, in additive schemes: shares of a key, and their proof.
    """

    thresholds: Thresholds
    guarantees: Guarantees
    scheme: str
    reason: str
    phases: tuple[str, ...]
    vectors: tuple[VectorSpec, ...]
    layout: str
    noise: Noise
    upload_bytes: int
    error_bound: float
    rms_error: float
    average_weight: float
    integers: int | None
    key_bytes: int

    @property
    def exact(self) -> bool:
        """Whether the opened sum is the exact fixed-point sum."""
        return self.noise.exact

    def __str__(self) -> str:
        return plan_text(self)

    def __repr__(self) -> str:
        gateways = self.thresholds.gateways
        return f"Plan({self.scheme}, {gateways} gateways, {coordinates(self)} coordinates)"

    @property
    def least_step(self) -> float:
        """Rms of a mean step below which its error is more than 2% of it, where `run` warns."""
        return self.rms_error / WARN_ABOVE

    def by_name(self) -> dict[str, object]:
        """All of it for JSON, thresholds and vectors by name: on the wire they are arrays."""
        return {each.name: getattr(self, each.name) for each in fields(self)} | {
            "thresholds": msgspec.structs.asdict(self.thresholds),
            "vectors": [msgspec.structs.asdict(vector) for vector in self.vectors],
        }

    @classmethod
    def of(cls, settings: SessionSettings, reason: str) -> Self:
        """What a round of these settings will need.

        Args:
            settings: of the round; its model does not matter.
            reason: why the scheme was chosen.
        """
        scheme, thresholds, carried = settings.scheme, settings.thresholds, settings.carried
        n, average = thresholds.gateways, settings.max_weight * USUAL_WEIGHT
        params = settings.round_params(None)
        error = mean_error(params, n, n * average, carried.noise)
        return cls(
            thresholds=thresholds,
            guarantees=scheme.guarantees(thresholds),
            scheme=scheme.name,
            reason=reason,
            phases=tuple(step.name for step in scheme.steps_for(thresholds)),
            vectors=settings.vectors,
            layout=carried.text,
            noise=carried.noise,
            upload_bytes=sum(frame_bytes(span.words) for span in scheme.spans(params, n)),
            error_bound=error.bound,
            rms_error=error.rms,
            average_weight=average,
            integers=integers_of(params),
            key_bytes=_key_bytes(thresholds, carried.ring),
        )


def _key_bytes(limits: Thresholds, ring: Ring | None) -> int:
    if ring is None:
        return 0
    return share_bytes(limits.committee, limits.share_threshold, limits.packed, ring.degree)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseCost:
    """What one phase of a round cost.

    Attributes:
        phase: its name; "mean" is the server's decoding after the last.
        answered: gateways that answered in full.
        bytes_up: sent by all gateways together.
        bytes_down: received by all gateways together.
        server_seconds: spent by the orchestrator.
        gateway_seconds: spent by all gateways together; training is not counted.
    """

    phase: str
    answered: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    server_seconds: float = 0.0
    gateway_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a round cost and how exact it is.

    Attributes:
        plan: what was known before: scheme, thresholds, guarantees, layout.
        error_bound: largest absolute error of a coordinate of the mean, from the real total weight:
            rounding, and noise where the sum is not exact; `bound_of` adds what the dtype of a leaf
            rounds. Infinite where coordinates saturated or tied leaves differed.
        rms_error: root mean square of the error by rounding and noise.
        bounds: by key, what `bound_of` gives.
        relative_error: by real key: that over the rms of its step (of the mean itself without
            base), over the coordinates that moved; 0 where none did, infinite where none could.
        integers: by key that was averaged as counters, the largest absolute change of the mean (of
            the mean itself without base): codes of quantised weights are none.
        warnings: what was found imprecise in this round, and the setting that cures it; each
            setting is warned of once.
        clamped: by what was beyond its bound, how often, over all gateways: "coordinates" that
            saturated, "integers", "metric NAME", and "tied leaves" that differed. None is 0.
        bytes_up: largest number of bytes one gateway sent.
        bytes_down: largest number of bytes one gateway received.
        phases: what each phase that the round had cost, in order.
        audit: record of the round, verifiable with the roster alone.
        roster: that roster.
    """

    plan: Plan
    error_bound: float
    rms_error: float
    bounds: Mapping[str, float]
    relative_error: Mapping[str, float]
    integers: Mapping[str, int]
    warnings: tuple[str, ...]
    clamped: Mapping[str, int]
    bytes_up: int
    bytes_down: int
    phases: tuple[PhaseCost, ...]
    audit: AuditRecord
    roster: Roster

    def __str__(self) -> str:
        return report_text(self)

    def __repr__(self) -> str:
        return f"Report(round {self.audit.announce.params.round}, {self.plan.scheme})"

    @classmethod
    def of(
        cls,
        server: ServerSession,
        plan: Plan,
        *,
        bytes_up: int,
        bytes_down: int,
        phases: tuple[PhaseCost, ...],
    ) -> Self:
        """The report of a session that has a result, after its mean."""
        aggregate = server.result
        return cls(
            plan=plan,
            error_bound=aggregate.error.bound,
            rms_error=aggregate.error.rms,
            bounds=aggregate.bounds,
            relative_error=aggregate.relative_error,
            integers=aggregate.integers,
            warnings=tuple(map(str, aggregate.imprecise)),
            clamped=aggregate.clamped,
            bytes_up=bytes_up,
            bytes_down=bytes_down,
            phases=phases,
            audit=server.audit,
            roster=server.roster,
        )

    @checked()
    def bound_of(self, key: str) -> float:
        """Largest absolute error of a coordinate of one leaf of the mean, as its dtype holds it.

        Of integers it holds half for rounding, and what weights that are no multiples of their unit
        may move. Infinite where something in it may have been clamped.

        Args:
            key: dotted path of an averaged leaf.

        Raises:
            ConfigurationError: no such key is averaged.
        """
        return bound_in(self.bounds, key)

    @property
    def exact(self) -> bool:
        """Whether the sum is exact, and of what the gateways meant: nothing was clamped."""
        return self.plan.exact and not self.clamped

    @property
    def clipped(self) -> int:
        """Coordinates that saturated."""
        return self.clamped.get("coordinates", 0)


@dataclass(frozen=True, kw_only=True)
class Result:
    """One round's outcome.

    Attributes:
        mean: tree like the updates: base + weighted mean of (update - base).
        total_weight: sum of the included weights, each rounded to its unit.
        included: ids in the mean, in the order of the cohort.
        dropped: id -> phase, reason and detail of everybody whom the round went on without; who
            was dropped after the set was agreed still counts.
        metrics: sums over the included gateways by name.
        report: costs, bounds, audit record.
    """

    mean: Any
    total_weight: float
    included: tuple[GatewayId, ...]
    dropped: dict[GatewayId, GatewayDropped]
    metrics: dict[str, float]
    report: Report
    _aggregate: Aggregate

    def __str__(self) -> str:
        return result_text(self)

    def __repr__(self) -> str:
        return f"Result({sentence(self)})"

    @classmethod
    def of(
        cls,
        aggregate: Aggregate,
        mean: Any,
        dropped: dict[GatewayId, GatewayDropped],
        report: Report,
    ) -> Self:
        """What came out, once there is a mean."""
        return cls(
            mean=mean,
            total_weight=aggregate.total_weight,
            included=aggregate.included,
            dropped=dropped,
            metrics=aggregate.metrics,
            report=report,
            _aggregate=aggregate,
        )

    @cached_property
    def sum(self) -> dict[str, NDArray[np.float64]]:
        """Weighted sums of (update - base) by key, float64: for an aggregation of your own."""
        return self._aggregate.sum()


def dropped_of(loop: Loopback) -> dict[GatewayId, GatewayDropped]:
    """Whom the server dropped; of a gateway that ended the session itself, all that it knows."""
    dropped = loop.server.dropped
    for name, events in loop.client_events.items():
        reason = next((event.reason for event in events if isinstance(event, Aborted)), None)
        known = dropped.get(name)
        if reason is None or isinstance(reason, AbortedByPeer):
            continue
        if known is None or known.reason in _TELLS_LITTLE:
            phase = loop.server.phase if known is None else known.phase
            unfit = isinstance(reason, EncodingError)
            why = DropReason.INVALID if unfit else DropReason.ABORTED
            text = str(reason).removeprefix(f"gateway {name!r}: ")  # whose it is stands before it
            dropped[name] = GatewayDropped(name, phase, why, f"{type(reason).__name__}: {text}")
    return dropped
