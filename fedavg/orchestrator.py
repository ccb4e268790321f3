"""The orchestrator: asks the gateways, aggregates, evaluates, remembers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from fedavg.gateway import Gateway
from fedavg.learning import Metrics, Samples, State, measure
from fedavg.plain import PlainAverage
from fedavg.stopwatch import Clock, Stopwatch
from secagg import SecureAverage
from secagg.params import GatewayId


@dataclass(frozen=True, slots=True)
class Round:
    """One line of the history.

    Attributes:
        number: counts from 1.
        included: ids whose updates are in the mean.
        vanished: id -> (phase, reason) of who stopped answering.
        accuracy: share of the holdout set that the new model gets right.
        loss: its mean cross entropy there, nats.
        training_accuracy: share of the included gateways' data that the model they received
            gets right.
        bytes_up: largest number of bytes a gateway sent.
        bytes_down: largest number of bytes a gateway received, the global state among them.
        error_bound: largest possible |error| of a coordinate of the mean.
        seconds: of "training" (all gateways, one after another), "aggregation", "evaluation".
    """

    number: int
    included: tuple[GatewayId, ...]
    vanished: dict[GatewayId, tuple[str, str]]
    accuracy: float
    loss: float
    training_accuracy: float
    bytes_up: int
    bytes_down: int
    error_bound: float
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

    Attributes:
        state: the global state_dict; replaced by each round, never changed in place.
        history: the rounds so far.
    """

    def __init__(
        self,
        model: nn.Module,
        gateways: Sequence[Gateway],
        holdout: Samples,
        *,
        average: SecureAverage | PlainAverage,
        clock: Clock,
    ) -> None:
        self.gateways: dict[GatewayId, Gateway] = {each.name: each for each in gateways}
        self.state: State = {key: value.clone() for key, value in model.state_dict().items()}
        self.history: list[Round] = []
        self._model = model
        self._holdout = holdout
        self._average = average
        self._clock = clock

    def round(
        self, *, vanish: Mapping[GatewayId, str] | None = None, rounding_seed: bytes | None = None
    ) -> Round:
        """Ask, aggregate, evaluate; `vanish` says who stops answering, and from which phase on.

        Raises:
            secagg.errors.SecAggError: there is no mean; state and history stay as they were.
        """
        watch = Stopwatch(self._clock)
        with watch.part("aggregation"):
            result = self._average.run(
                self.updates(watch),
                self.counts,
                base=self.state,
                metrics=self._measurements(watch),
                vanish=vanish,
                rounding_seed=rounding_seed,
            )
        with watch.part("evaluation"):
            self._model.load_state_dict(result.mean)
            holdout = measure(self._model, self._holdout)
        size = sum(value.nbytes for value in self.state.values())
        self.state = result.mean
        self.history.append(
            Round(
                number=len(self.history) + 1,
                included=result.included,
                vanished=dict(result.vanished),
                accuracy=holdout["correct"] / holdout["samples"],
                loss=holdout["loss"] / holdout["samples"],
                training_accuracy=result.metrics["correct"] / result.metrics["samples"],
                bytes_up=result.report.bytes_up,
                bytes_down=result.report.bytes_down + size,
                error_bound=result.report.error_bound,
                seconds=watch.seconds,
            )
        )
        return self.history[-1]

    @property
    def counts(self) -> dict[GatewayId, float]:
        """Samples of every gateway: its weight."""
        return {name: gateway.count for name, gateway in self.gateways.items()}

    def updates(self, watch: Stopwatch | None = None) -> dict[GatewayId, Callable[[], State]]:
        """A promise of every gateway's update in the coming round; each call trains anew.

        A promise keeps the state and round it was made for, and answers the same every time.
        """
        watch = watch or Stopwatch(self._clock)
        state, number = self.state, len(self.history) + 1

        def promise(gateway: Gateway) -> Callable[[], State]:
            def update() -> State:
                with watch.part("training"):
                    return gateway.train(state, number)

            return update

        return {name: promise(gateway) for name, gateway in self.gateways.items()}

    def _measurements(self, watch: Stopwatch) -> _OnDemand:
        def measured(name: GatewayId) -> Metrics:
            with watch.part("training"):
                return self.gateways[name].measure(self.state)

        return _OnDemand(self.gateways, measured)


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
