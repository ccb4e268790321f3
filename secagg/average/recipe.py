"""Runs FedAvg through the real protocol and plays every party of it in this process.

It proves numbers, cost and recovery. Privacy begins where gateways run `ClientSession` themselves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from secagg.arguments import checked
from secagg.average.costs import Clock, Costs
from secagg.average.everybody import Everybody
from secagg.average.inputs import Inputs, UpdateSource, vanishing
from secagg.average.moves import Moves
from secagg.average.outcome import PhaseCost, Plan, Report, Result, dropped_of
from secagg.average.planner import Planner
from secagg.errors import BelowThreshold
from secagg.guards import NeverCopied
from secagg.params import GatewayId
from secagg.protocol.events import Event
from secagg.protocol.identity import Roster
from secagg.protocol.policy import Policy
from secagg.pytree import Select
from secagg.pytree.selection import SELECT_CURE
from secagg.schemes.auto import Choice
from secagg.schemes.scheme import Scheme
from secagg.session.loopback import Loopback, MakeUpload, Name
from secagg.session.precision import WARN_ABOVE, tell
from secagg.session.settings import PURPOSE, SessionSettings, UpdateEncoding
from secagg.session.update import Model, check_seed
from secagg.workers import Workers


class SecureAverage(NeverCopied):
    """Wraps a FedAvg loop.

    One object serves many rounds: identities are made once for each id, every call of `run` is a
    fresh session, cohorts may differ.

    Args:
        clip: bound of abs(coordinate) of what is encoded (update - base), for all keys or by
            name or fnmatch pattern of keys: a key's own name decides, else the first match.
        max_weight: largest weight, in the unit of your weights (samples, say).
        scheme: how the sum is hidden, an object or its name; "auto" chooses in each round, by the
            rule of `secagg.schemes.auto`, and says why in `Plan.reason`. Masks if not given.
        max_colluding: C, members of the roster that may side with the orchestrator.
        max_dropouts: D, gateways that may vanish.
        precision: rms error of the mean, by rounding and noise, relative to clip at an average
            weight of at least max_weight / 16.
        select: names or patterns of the keys to average, or a function of the key; None for all.
            The others keep the values of `base`, and may be anything.
        clipping: "error" refuses coordinates beyond clip, "saturate" counts them.
        invalid: a gateway whose update, weight or metrics do not fit, or whose function raises an
            `Exception`: "raise" lets the error end the round, "drop" goes on without the gateway,
            if no more than D are gone: `Result.dropped` says why. Without a base two trees, or more
            where the first ones differ, are then made ahead of their turn: each in its own memory.
        metric_bounds: of abs(value) by metric name, else 2^32: beyond is clamped and counted.
        integer_bound: of integers, likewise; None: the largest that a sum has room for.
        purpose: a word for what the means are for: gateways keep bounds apart by it.
        warn_above: relative error of a key's step above which you are warned, once for each
            setting that cures it; `math.inf` where noise is intended.
        threads: for encoding, masking, unmasking and decoding.
        on_event: called with every event of the orchestrator's session.
        clock: seconds, for `Report.phases`.

    Raises:
        ConfigurationError: settings that cannot work.
    """

    instead = "make another with the same settings"

    @checked(
        scheme="use an object such as Masks(), Lattice(), Ckks(), its name, or 'auto'",
        select=SELECT_CURE,
    )
    def __init__(
        self,
        *,
        clip: float | Mapping[str, float],
        max_weight: float = 1.0,
        scheme: Scheme | str | None = None,
        max_colluding: int | None = None,
        max_dropouts: int | None = None,
        precision: float = 2.0**-12,
        select: Select = None,
        clipping: Literal["error", "saturate"] = "error",
        invalid: Literal["raise", "drop"] = "raise",
        metric_bounds: Mapping[str, float] | None = None,
        integer_bound: float | None = None,
        purpose: str = PURPOSE,
        warn_above: float = WARN_ABOVE,
        threads: int = 1,
        on_event: Callable[[Event], None] | None = None,
        clock: Clock = time.perf_counter,
    ) -> None:
        self._workers = Workers(threads)
        self._everybody = Everybody(self._workers)
        self._planner = Planner(
            UpdateEncoding(
                clip=clip,
                max_weight=max_weight,
                precision=precision,
                select=select,
                clipping=clipping,
                metrics={} if metric_bounds is None else metric_bounds,
                integers=integer_bound,
                purpose=purpose,
                warn_above=warn_above,
            ),
            scheme,
            max_colluding,
            max_dropouts,
            self._workers,
        )
        self._told: set[str] = set()
        self._invalid = invalid
        self._on_event = on_event or _ignore
        self._clock = clock

    def __repr__(self) -> str:
        return f"SecureAverage(clip={self._planner.encoding.clip}, scheme={self._planner.scheme!r})"

    @checked(gateways="pass their ids, such as range(10)")
    def enroll(self, gateways: Iterable[GatewayId]) -> Roster:
        """Give gateways identities before their first round.

        `run` does so for whoever is new. Where every round has other gateways, enrolling all of
        them first keeps one roster, with one epoch, for all rounds.

        Raises:
            ConfigurationError: an id that is neither str nor int.
        """
        return self._everybody.enroll(gateways)

    @checked()
    def plan(self, template: Any, gateways: int, metrics: Sequence[str] = ()) -> Plan:
        """Predict thresholds, layout, bytes and errors without sending anything.

        Args:
            template: a tree like every update.
            gateways: n.
            metrics: names of numbers summed beside the updates.

        Raises:
            ConfigurationError: infeasible; says what would work.
        """
        choice = self._planner.choice(template, gateways)
        # before a range, which has no huge ones
        self._planner.thresholds(choice.scheme, gateways)
        settings = self._planner.settings(choice.scheme, range(gateways), template, None, metrics)
        return Plan.of(settings, choice.reason)

    @checked(cohort="pass their ids, such as range(10)")
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
            ConfigurationError, EncodingError: as for `run`; where more are enrolled than take part,
                their own default would refuse the C of a smaller cohort: names `max_colluding`.
        """
        scheme = self._planner.choice(template, len(cohort)).scheme
        self._planner.check_roster(scheme, cohort, self._everybody.federation.roster)
        return self._planner.settings(scheme, cohort, template, base, metrics, round, retry=retry)

    @checked()
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
        return self._planner.policy(template, gateways, metrics)

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
            updates: int or str -> tree, or a function that returns it when that upload is due.
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
            ModelMismatch, SessionAborted: `base` changed meanwhile; an upload was garbage, say.
        """
        check_seed(rounding_seed)
        inputs = Inputs(updates, weights, metrics, drop=self._invalid == "drop")
        model = self._planner.model(base)
        number = self._everybody.federation.next_round
        template, choice, settings = self._planner.round(inputs, model, number)
        gone = vanishing(vanish, inputs, settings.scheme)
        server, clients = self._everybody.sessions(settings)
        costs = Costs(server, self._on_event, self._clock)
        moves = Moves(inputs, settings, model.tree, self._planner.encoding.select)

        def prepare(name: GatewayId) -> MakeUpload:
            return partial(
                clients[name].upload,
                moves.take(name, server.dropped),
                inputs.weight(name),
                base=model,
                metrics=inputs.metrics(name),
                rounding_seed=rounding_seed,
                select=self._planner.encoding.select,
            )

        loop = Loopback(
            server,
            clients,
            prepare,
            silent=lambda name: server.phase in gone.get(name, ()),
            observer=costs,
            invalid=self._invalid,
        )
        return self._result(self._played(loop), costs, choice, template, model, moves)

    def _played(self, loop: Loopback) -> Loopback:
        try:
            loop.run()
        finally:
            self._everybody.after(loop.server)
        return loop

    def _result(
        self,
        loop: Loopback,
        costs: Costs,
        choice: Choice,
        template: Any,
        model: Model,
        moves: Moves,
    ) -> Result:
        dropped = dropped_of(loop)
        if isinstance(loop.aborted, BelowThreshold):
            loop.aborted.dropped = dropped
        if loop.aborted is not None:
            raise loop.aborted
        model.check()
        server, aggregate = loop.server, loop.server.result
        start = self._clock()
        mean = aggregate.rebuilt(template, model.tree, moves.known(aggregate.included))
        decoding = PhaseCost(
            phase="mean",
            answered=len(aggregate.included),
            server_seconds=self._clock() - start,
        )
        # seen from the line that called `run`
        for event in tell(aggregate.imprecise, self._told, stacklevel=3):
            self._on_event(event)
        report = Report.of(
            server,
            Plan.of(server.settings, choice.reason),
            bytes_up=max(costs.bytes_up.values()),
            bytes_down=max(costs.bytes_down.values()),
            phases=(*costs.phases, decoding),
        )
        return Result.of(aggregate, mean, dropped, report)


def _ignore(_event: Event) -> None:
    """The default `on_event`."""
