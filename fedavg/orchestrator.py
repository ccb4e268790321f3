"""Plays the orchestrator: it asks the gateways, aggregates, evaluates, remembers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from fedavg.aggregation import Aggregate, FedAvg, ServerOptimiser, checked
from fedavg.gateway import Gateway
from fedavg.learning import Metrics, Samples, State, measure
from fedavg.plain import PlainAverage, PlainResult
from fedavg.stopwatch import Clock, Stopwatch
from secagg import Result, Roster, SecureAverage
from secagg.average import PhaseCost
from secagg.errors import ConfigurationError
from secagg.params import GatewayId
from secagg.protocol.audit import AuditRecord
from secagg.protocol.events import GatewayDropped


@dataclass(frozen=True, slots=True)
class Round:
    """One line of the history.

    Attributes:
        number: counts from 1.
        asked: ids of the gateways that were asked to train, in the order of the federation.
        included: ids whose updates are in the mean.
        dropped: who was dropped, in which phase and why; who had uploaded still counts.
        accuracy: share of the holdout set that the new model gets right.
        loss: its mean loss there, of the kind the gateways minimise.
        training_accuracy: share of the included gateways' data that the model they received
            gets right.
        bytes_up: largest number of bytes a gateway sent.
        bytes_down: largest number of bytes a gateway received, the global state among them.
        error_bound: largest possible |error| of a coordinate of the mean.
        clipped: coordinates that saturated, summed over gateways.
        warnings: of a mean that is too coarse, and the setting that cures it.
        phases: of the protocol, what each cost all gateways together; none in the clear.
        seconds: of "training" (all gateways, one after another), "aggregation", "evaluation".
    """

    number: int
    asked: tuple[GatewayId, ...]
    included: tuple[GatewayId, ...]
    dropped: dict[GatewayId, GatewayDropped]
    accuracy: float
    loss: float
    training_accuracy: float
    bytes_up: int
    bytes_down: int
    error_bound: float
    clipped: int
    warnings: tuple[str, ...]
    phases: tuple[PhaseCost, ...]
    seconds: dict[str, float]


class Orchestrator:
    """Holds the global model and a holdout set, and never one gateway's update.

    It hands promises of updates to the aggregation, which calls each when that upload is due.

    Args:
        model: the untrained global model.
        gateways: who trains.
        holdout: what the global model is evaluated on after each round.
        average: how updates become a mean.
        clock: for `Round.seconds`.
        loss: of `Round.loss`, one of `fedavg.learning.LOSSES`.
        server: what makes the next state of the mean; the mean itself if not given.
        aggregate: makes the next state of the weighted sums, instead of `server`.

    Attributes:
        gateways: by id, in the order of the federation.
        state: the global state_dict; replaced by each round, never changed in place.
        history: the rounds so far.
        mean: what the server optimiser got in the last round; the state before the first.
        record: audit record and roster of the last round; None before it, and in the clear.

    Raises:
        ConfigurationError: both `server` and `aggregate`.
    """

    def __init__(
        self,
        model: nn.Module,
        gateways: Sequence[Gateway],
        holdout: Samples,
        *,
        average: SecureAverage | PlainAverage,
        clock: Clock,
        loss: str = "cross-entropy",
        server: ServerOptimiser | None = None,
        aggregate: Aggregate | None = None,
    ) -> None:
        if server is not None and aggregate is not None:
            raise ConfigurationError("server and aggregate: give one, each makes the next state")
        self.gateways: dict[GatewayId, Gateway] = {each.name: each for each in gateways}
        self.state: State = {key: value.clone() for key, value in model.state_dict().items()}
        self.history: list[Round] = []
        self.mean: State = self.state
        self.record: tuple[AuditRecord, Roster] | None = None
        self._model = model
        self._holdout = holdout
        self._average = average
        self._clock = clock
        self._loss = loss
        self._server = server or FedAvg()
        self._aggregate = aggregate

    def round(
        self,
        *,
        asked: Collection[GatewayId] | None = None,
        vanish: Mapping[GatewayId, str] | None = None,
        rounding_seed: bytes | None = None,
    ) -> Round:
        """Ask, aggregate, evaluate.

        Args:
            asked: ids of the gateways of this round; None for all.
            vanish: who of them stops answering, and from which phase on.
            rounding_seed: as of `SecureAverage.run`.

        Raises:
            secagg.errors.SecAggError: there is no mean, or no state was made of it; state and
                history stay as they were.
        """
        watch = Stopwatch(self._clock)
        updates = self.updates(asked, watch)
        with watch.part("aggregation"):
            result = self._average.run(
                updates,
                {name: self.counts[name] for name in updates},
                base=self.state,
                metrics=self._measurements(updates, watch),
                vanish=vanish,
                rounding_seed=rounding_seed,
            )
            state = self._next_state(result)
        with watch.part("evaluation"):
            self._model.load_state_dict(state)
            holdout = measure(self._model, self._holdout, self._loss)
        size = sum(value.nbytes for value in self.state.values())
        self.state, self.mean = state, result.mean
        if isinstance(result, Result):
            self.record = result.report.audit, result.report.roster
        self.history.append(
            Round(
                number=len(self.history) + 1,
                asked=tuple(updates),
                included=result.included,
                dropped=dict(result.dropped),
                accuracy=holdout["correct"] / holdout["samples"],
                loss=holdout["loss"] / holdout["samples"],
                training_accuracy=result.metrics["correct"] / result.metrics["samples"],
                bytes_up=result.report.bytes_up,
                bytes_down=result.report.bytes_down + size,
                error_bound=result.report.error_bound,
                clipped=result.report.clipped,
                warnings=result.report.warnings,
                phases=result.report.phases,
                seconds=watch.seconds,
            )
        )
        return self.history[-1]

    @property
    def holdout(self) -> int:
        """Samples that the global model is evaluated on."""
        return len(self._holdout)

    @property
    def counts(self) -> dict[GatewayId, float]:
        """Samples of every gateway: its weight."""
        return {name: gateway.count for name, gateway in self.gateways.items()}

    def updates(
        self, asked: Collection[GatewayId] | None = None, watch: Stopwatch | None = None
    ) -> dict[GatewayId, Callable[[], State]]:
        """A promise of the update of everybody asked in the coming round; each call trains anew.

        A promise keeps the state and round it was made for, and answers the same every time.

        Raises:
            ConfigurationError: somebody asked is not in the federation.
        """
        unknown = sorted(map(str, set(asked or ()) - self.gateways.keys()))
        if unknown:
            raise ConfigurationError(
                f"asked gateways {', '.join(unknown[:3])} are unknown: use ids of the federation"
            )
        watch = watch or Stopwatch(self._clock)
        state, number = self.state, len(self.history) + 1

        def promise(gateway: Gateway) -> Callable[[], State]:
            def update() -> State:
                with watch.part("training"):
                    return gateway.train(state, number)

            return update

        return {
            name: promise(gateway)
            for name, gateway in self.gateways.items()
            if asked is None or name in asked
        }

    def _next_state(self, result: Result | PlainResult) -> State:
        if self._aggregate is None:
            return checked(self._server.step(self.state, result.mean), self.state)
        # Promises hold the present state: what a user's function does to a copy cannot reach them.
        copy = {key: value.clone() for key, value in self.state.items()}
        return checked(self._aggregate(result.sum, result.total_weight, copy), self.state)

    def _measurements(self, names: Mapping[GatewayId, object], watch: Stopwatch) -> _OnDemand:
        def measured(name: GatewayId) -> Metrics:
            with watch.part("training"):
                return self.gateways[name].measure(self.state)

        return _OnDemand(names, measured)


class _OnDemand(Mapping[GatewayId, Metrics]):
    """Metrics that exist only while they are read: the orchestrator holds nobody's."""

    def __init__(
        self, names: Mapping[GatewayId, object], measured: Callable[[GatewayId], Metrics]
    ) -> None:
        self._names = names
        self._measured = measured

    def __getitem__(self, name: GatewayId) -> Metrics:
        return self._measured(name)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[GatewayId]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
