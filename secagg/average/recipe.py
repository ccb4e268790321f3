"""Runs FedAvg through the real protocol and plays every party of it in this process.

It proves numbers, cost and recovery. Privacy begins where gateways run `ClientSession` themselves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from secagg.average.costs import Clock, Costs
from secagg.average.everybody import Everybody
from secagg.average.inputs import (
    Provider,
    UpdateSource,
    check_ids,
    check_left_out,
    check_updates,
    check_vanish,
)
from secagg.average.outcome import PhaseCost, Plan, Report, Result, dropped_of
from secagg.errors import BelowThreshold, ConfigurationError
from secagg.params import GatewayId, Thresholds
from secagg.protocol.bounds import Bounds
from secagg.protocol.events import Event
from secagg.protocol.identity import Roster
from secagg.protocol.policy import Policy
from secagg.pytree import Select, tree_spec
from secagg.schemes import BY_NAME
from secagg.schemes.auto import Choice, choose
from secagg.schemes.masks import Masks
from secagg.schemes.scheme import Scheme
from secagg.session.loopback import Loopback, MakeUpload, Name
from secagg.session.server import ServerSession
from secagg.session.settings import METRIC_BOUND, PURPOSE, SessionSettings, UpdateEncoding
from secagg.session.update import Model
from secagg.workers import Workers


class SecureAverage:
    """Wraps a FedAvg loop.

    One object serves many rounds: identities are made once for each id, every call of `run` is a
    fresh session, cohorts may differ.

    Args:
        clip: bound of abs(coordinate) of what is encoded (update - base), for all keys or by
            name or fnmatch pattern of keys: a key's own name decides, else the first match.
        max_weight: largest weight, in the unit of your weights (samples, say).
        scheme: how the sum is hidden; "auto" chooses in each round, by the rule of
            `secagg.schemes.auto`, and says why in `Plan.reason`. Masks if not given.
        max_colluding: C, members of the roster that may side with the orchestrator.
        max_dropouts: D, gateways that may vanish.
        precision: rms error of the mean, by rounding and noise, relative to clip at an average
            weight of at least max_weight / 16.
        select: names or patterns of the keys to average, or a function of the key; None for all.
            The others keep the values of `base`, and may be anything.
        clipping: "error" refuses coordinates beyond clip, "saturate" counts them.
        metric_bounds: of abs(value) by metric name, else 2^32: beyond is clamped and counted.
        integer_bound: of integers, likewise; None: the largest that a sum has room for.
        purpose: a word for what the means are for: gateways keep bounds apart by it.
        threads: for encoding, masking, unmasking and decoding.
        on_event: called with every event of the orchestrator's session.
        clock: seconds, for `Report.phases`.

    Raises:
        ConfigurationError: settings that cannot work.
    """

    def __init__(
        self,
        *,
        clip: float | Mapping[str, float],
        max_weight: float = 1.0,
        scheme: Scheme | Literal["auto"] | None = None,
        max_colluding: int | None = None,
        max_dropouts: int | None = None,
        precision: float = 2.0**-12,
        select: Select = None,
        clipping: Literal["error", "saturate"] = "error",
        metric_bounds: Mapping[str, float] | None = None,
        integer_bound: float | None = None,
        purpose: str = PURPOSE,
        threads: int = 1,
        on_event: Callable[[Event], None] | None = None,
        clock: Clock = time.perf_counter,
    ) -> None:
        self._workers = Workers(threads)
        self._everybody = Everybody(self._workers)
        self._encoding = UpdateEncoding(
            clip=clip,
            max_weight=max_weight,
            precision=precision,
            select=select,
            clipping=clipping,
            metrics=metric_bounds or {},
            integers=integer_bound,
            purpose=purpose,
        )
        chosen: object = Masks() if scheme is None else scheme
        if chosen != "auto" and (isinstance(chosen, type) or not hasattr(chosen, "plan_update")):
            named = ", ".join(f"{each.__name__}()" for each in BY_NAME.values())
            raise ConfigurationError(
                f"scheme is {scheme!r}: use an object such as {named}, or 'auto'"
            )
        self._scheme: Scheme | Literal["auto"] = Masks() if scheme is None else scheme
        self._max_colluding = max_colluding
        self._max_dropouts = max_dropouts
        self._on_event = on_event or (lambda _event: None)
        self._clock = clock

    def enroll(self, gateways: Sequence[GatewayId]) -> Roster:
        """Give gateways identities before their first round.

        `run` does so for whoever is new. Where every round has other gateways, enrolling all of
        them first keeps one roster, with one epoch, for all rounds.

        Raises:
            ConfigurationError: an id that is neither str nor int.
        """
        check_ids(gateways)
        return self._everybody.enroll(gateways)

    def plan(self, template: Any, gateways: int, metrics: Sequence[str] = ()) -> Plan:
        """Predict thresholds, layout, bytes and errors without sending anything.

        Args:
            template: a tree like every update.
            gateways: n.
            metrics: names of numbers summed beside the updates.

        Raises:
            ConfigurationError: infeasible; says what would work.
        """
        choice = self._choice(template, gateways)
        settings = self._settings(choice.scheme, tuple(range(gateways)), template, None, metrics)
        return Plan.of(settings, choice.reason)

    def params(
        self,
        cohort: Sequence[GatewayId],
        template: Any,
        *,
        round: int,  # noqa: A002 - the protocol's word
        base: Any = None,
        metrics: Sequence[str] = (),
        retry: bool = False,
    ) -> SessionSettings:
        """The same settings for a `ServerSession` of your own.

        Args:
            cohort: ids of the gateways taking part, in the order of the roster.
            template: a tree like every update.
            round: number of the round, above all earlier ones under the roster.
            base: the global model, if updates are encoded against it.
            metrics: names of numbers summed beside the updates.
            retry: a round on `base` has failed after uploads had begun (`SessionSettings`).

        Raises:
            ConfigurationError, EncodingError: as for `run`.
        """
        scheme = self._choice(template, len(cohort)).scheme
        return self._settings(scheme, tuple(cohort), template, base, metrics, round, retry=retry)

    def policy(self, template: Any, gateways: int, metrics: Sequence[str] = ()) -> Policy:
        """The policy of a gateway for rounds of these settings, to be kept beside its roster.

        One that serves several purposes: `Policy(bounds=first.bounds | second.bounds, ...)`.

        Args:
            template: a tree like every update.
            gateways: n of the smallest cohort.
            metrics: names of numbers summed beside the updates.

        Raises:
            ConfigurationError: infeasible; says what would work.
        """
        encoding = self._encoding
        limits = self._limits(self._choice(template, gateways).scheme, gateways)
        bounds = Bounds(
            clip=dict(encoding.clip) if isinstance(encoding.clip, Mapping) else encoding.clip,
            max_weight=encoding.max_weight,
            metrics=self._metric_bounds(metrics),
            integers=None if encoding.integers is None else int(encoding.integers),
            clipping=encoding.clipping,
        )
        return Policy(
            min_colluding=limits.max_colluding,
            min_gateways=gateways,
            min_included=limits.min_included,
            bounds={encoding.purpose: bounds},
        )

    def _metric_bounds(self, names: Sequence[str]) -> dict[str, float]:
        return {name: self._encoding.metrics.get(name, METRIC_BOUND) for name in names}

    def _limits(self, scheme: Scheme, gateways: int) -> Thresholds:
        return scheme.thresholds(
            gateways, max_colluding=self._max_colluding, max_dropouts=self._max_dropouts
        )

    def _choice(self, template: Any, gateways: int) -> Choice:
        if not isinstance(self._scheme, str):
            return Choice(self._scheme)
        encoding = self._encoding
        _, groups = tree_spec(template, clips=encoding.clip, select=encoding.select)
        return choose(
            gateways,
            sum(group.length for group in groups if group.clip is not None),
            max_colluding=self._max_colluding,
            max_dropouts=self._max_dropouts,
            max_weight=encoding.max_weight,
            precision=encoding.precision,
        )

    def _settings(
        self,
        scheme: Scheme,
        cohort: tuple[GatewayId, ...],
        template: Any,
        base: Any,
        metrics: Sequence[str],
        number: int = 1,
        *,
        retry: bool = False,
    ) -> SessionSettings:
        encoding = replace(self._encoding, metrics=self._metric_bounds(metrics))
        return SessionSettings.of(
            scheme,
            encoding,
            template,
            cohort,
            thresholds=self._limits(scheme, len(cohort)),
            model=self._model(base).hash,
            number=number,
            retry=retry,
        )

    def _model(self, base: Any) -> Model:
        return Model.of(base, self._workers, select=self._encoding.select)

    def run(
        self,
        updates: Mapping[Name, UpdateSource],
        weights: Mapping[Name, float] | None = None,
        *,
        base: Any = None,
        metrics: Mapping[Name, Mapping[str, float]] | None = None,
        vanish: Mapping[Name, str] | None = None,
        rounding_seed: bytes | None = None,
    ) -> Result:
        """One round: the weighted mean of all updates that arrive.

        Args:
            updates: id -> tree, or a function that returns it when that upload is due.
            weights: id -> weight in (0, max_weight]; 1 each by default.
            base: the global model; (update - base) is what is encoded, clipped and averaged.
            metrics: id -> numbers to be summed, the same names for everybody.
            vanish: id -> phase from which on that gateway does not answer.
            rounding_seed: any bytes; same seed and inputs, same mean although masks are fresh, up
                to the noise of sums that are not exact.

        Raises:
            ConfigurationError: too few gateways, infeasible thresholds, unknown ids or phases.
            EncodingError: an update, weight or metric that cannot be encoded; names the gateway.
            BelowThreshold: too few gateways were left; names them and says why.
            SessionAborted: an upload was garbage, or the dealing of a key.
        """
        check_updates(updates, weights, metrics)
        ids = tuple(updates)
        names = tuple(metrics[ids[0]]) if metrics else ()
        provider, model = Provider(updates), self._model(base)
        template = provider.peek(ids[0]) if model.tree is None else model.tree
        choice = self._choice(template, len(ids))
        check_vanish(vanish or {}, updates, choice.scheme)
        number = self._everybody.federation.next_round
        settings = self._settings(choice.scheme, ids, template, model, names, number)
        check_left_out(template, model.tree, settings.leaves)
        server, clients = self._everybody.sessions(settings)
        costs = Costs(server, self._on_event, self._clock)

        def prepare(name: GatewayId) -> MakeUpload:
            return partial(
                clients[name].upload,
                provider.take(name),
                1.0 if weights is None else weights[name],
                base=model,
                metrics=metrics[name] if metrics else None,
                rounding_seed=rounding_seed,
                select=self._encoding.select,
            )

        silent = _vanishing(server, vanish or {})
        loop = Loopback(server, clients, prepare, silent=silent, observer=costs)
        try:
            loop.run()
        finally:
            self._everybody.after(server)
        return self._result(loop, costs, choice, template, model.tree)

    def _result(
        self, loop: Loopback, costs: Costs, choice: Choice, template: Any, base: Any
    ) -> Result:
        dropped = dropped_of(loop)
        if isinstance(loop.aborted, BelowThreshold):
            loop.aborted.dropped = dropped
        if loop.aborted is not None:
            raise loop.aborted
        server, aggregate = loop.server, loop.server.result
        start = self._clock()
        mean = aggregate.mean(template, base)
        decoding = PhaseCost(
            phase="mean",
            answered=len(aggregate.included),
            server_seconds=self._clock() - start,
        )
        return Result(
            mean=mean,
            total_weight=aggregate.total_weight,
            included=aggregate.included,
            dropped=dropped,
            metrics=aggregate.metrics,
            report=Report(
                plan=Plan.of(server.settings, choice.reason),
                error_bound=aggregate.error.bound,
                rms_error=aggregate.error.rms,
                clamped=aggregate.clamped,
                bytes_up=max(costs.bytes_up.values()),
                bytes_down=max(costs.bytes_down.values()),
                phases=(*costs.phases, decoding),
                audit=server.audit,
                roster=server.roster,
            ),
            _aggregate=aggregate,
        )


def _vanishing(
    server: ServerSession, vanish: Mapping[GatewayId, str]
) -> Callable[[GatewayId], bool]:
    """Whether a gateway is in the phase from which on it does not answer, or in a later one."""
    phases = [step.name for step in server.settings.scheme.steps]
    gone = {name: phases[phases.index(phase) :] for name, phase in vanish.items()}
    return lambda name: server.phase in gone.get(name, ())
