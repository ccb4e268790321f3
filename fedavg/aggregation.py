"""Computes the next global model from the secure mean, or from the secure sum."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedavg.learning import State
from fedavg.rules import SERVER_OPTIMISERS, check_setting
from secagg.errors import ConfigurationError

Sums = Mapping[str, NDArray[np.float64]]
"""Key -> sum over the included gateways of weight * (update - state), in the leaf's shape."""

Aggregate = Callable[[Sums, float, State], State]
"""Makes the next state from the sums, the total weight and a copy of the present state."""

_STATISTICS: Final = ("running_mean", "running_var")
"""How torch's names end for what a normalisation layer has seen of its inputs."""


class ServerOptimiser(ABC):
    """Treats mean - state as a gradient, the "pseudo-gradient" delta, and takes a step along it.

    Only real leaves that were trained move so. Integer leaves count, and the statistics of
    normalisation layers estimate means and variances of data: the mean of the gateways' values is
    the answer there, and a step that overshoots would make a variance negative. They take the mean.

    Numbers are float64 and are rounded once, to the dtype of the leaf. One object serves one run:
    it remembers.

    Args:
        rate: eta, the server's learning rate, in the range of the gateways'.

    Raises:
        ConfigurationError: a rate out of its range.

    Source: Reddi et al. 2021, Adaptive Federated Optimization, arXiv 2003.00295, Algorithm 1.
    """

    def __init__(self, rate: float) -> None:
        check_setting("server_rate", rate)
        self.rate = rate

    def step(self, state: State, mean: State) -> State:
        """The next state, from the present one and the mean of what the gateways made of it."""
        return {
            key: self._moved(key, state[key], value) if _moves(key, value) else value
            for key, value in mean.items()
        }

    def _moved(self, key: str, start: Tensor, mean: Tensor) -> Tensor:
        direction = self._direction(key, mean.double() - start.double())
        return (start.double() + self.rate * direction).to(mean.dtype)

    @abstractmethod
    def _direction(self, key: str, delta: Tensor) -> Tensor:
        """Where to go, float64, for the pseudo-gradient `delta` of the leaf `key`."""


def _moves(key: str, value: Tensor) -> bool:
    return value.is_floating_point() and not key.endswith(_STATISTICS)


class FedAvg(ServerOptimiser):
    """x + eta delta; with eta = 1, the default, the mean itself, bit by bit.

    Source: McMahan et al. 2017, arXiv 1602.05629; eta: Reddi et al. 2021.
    """

    def __init__(self, rate: float = 1.0) -> None:
        super().__init__(rate)

    def _moved(self, key: str, start: Tensor, mean: Tensor) -> Tensor:
        return mean if self.rate == 1 else super()._moved(key, start, mean)

    def _direction(self, key: str, delta: Tensor) -> Tensor:
        del key
        return delta


class FedAvgM(ServerOptimiser):
    """v = beta v + delta, x + eta v: a step keeps going, 1 / (1 - beta) times as far in the end.

    Args:
        rate: eta; 0.1 to 1 learn digits and threshold about as well as the default.
        beta: momentum, 0 to below 1.

    Source: Hsu, Qi, Brown 2019, arXiv 1909.06335, section 4.3, where eta = 1.
    """

    def __init__(self, rate: float = 0.3, beta: float = 0.9) -> None:
        super().__init__(rate)
        self._beta = _decay("beta", beta)
        self._velocity: State = {}

    def _direction(self, key: str, delta: Tensor) -> Tensor:
        before = self._velocity.get(key)
        self._velocity[key] = delta if before is None else self._beta * before + delta
        return self._velocity[key]


class _Adaptive(ServerOptimiser):
    """m = beta1 m + (1 - beta1) delta, x + eta m / (sqrt(v) + tau), without bias correction.

    m starts at 0 and v at tau^2, the least the paper allows.

    Args:
        rate: eta, about the size of the step of a coordinate whose pseudo-gradients agree; of 0.01
            to 0.1 the default was best on digits in 12 rounds, 0.01 the slowest.
        beta1: decay of m, 0 to below 1.
        beta2: decay of v, 0 to below 1.
        tau: above 0; pseudo-gradients far below it hardly move a coordinate.

    Source: Reddi et al. 2021, arXiv 2003.00295, Algorithm 2; beta1 = 0.9, beta2 = 0.99 and
    tau = 0.001 are the values of its experiments (section 5 and appendix D).
    """

    def __init__(
        self, rate: float = 0.05, beta1: float = 0.9, beta2: float = 0.99, tau: float = 1e-3
    ) -> None:
        super().__init__(rate)
        if not (tau > 0 and math.isfinite(tau)):
            raise ConfigurationError(f"tau {tau!r}: use a finite number above 0")
        self._beta1, self._beta2 = _decay("beta1", beta1), _decay("beta2", beta2)
        self._tau = tau
        self._first: State = {}
        self._second: State = {}

    def _direction(self, key: str, delta: Tensor) -> Tensor:
        first = self._first.get(key, torch.zeros_like(delta))
        second = self._second.get(key, torch.full_like(delta, self._tau**2))
        self._first[key] = self._beta1 * first + (1 - self._beta1) * delta
        self._second[key] = self._next_second(second, delta.square())
        return self._first[key] / (self._second[key].sqrt() + self._tau)

    @abstractmethod
    def _next_second(self, second: Tensor, square: Tensor) -> Tensor:
        """The next v, from the present one and delta^2."""


class FedAdam(_Adaptive):
    """v = beta2 v + (1 - beta2) delta^2; the rest, arguments and source: `_Adaptive`."""

    def _next_second(self, second: Tensor, square: Tensor) -> Tensor:
        return self._beta2 * second + (1 - self._beta2) * square


class FedYogi(_Adaptive):
    """v = v - (1 - beta2) delta^2 sign(v - delta^2); the rest, arguments and source: `_Adaptive`.

    Where pseudo-gradients suddenly shrink, v follows more slowly than FedAdam's.
    """

    def _next_second(self, second: Tensor, square: Tensor) -> Tensor:
        return second - (1 - self._beta2) * square * torch.sign(second - square)


_BY_NAME: Final[Mapping[str, Callable[..., ServerOptimiser]]] = dict(
    zip(SERVER_OPTIMISERS, (FedAvg, FedAvgM, FedAdam, FedYogi), strict=True)
)


def server_optimiser(name: str, *, rate: float | None = None) -> ServerOptimiser:
    """A fresh one by name, with a rate or its own.

    Raises:
        ConfigurationError: no such name, or a rate out of its range.
    """
    check_setting("server", name)
    return _BY_NAME[name]() if rate is None else _BY_NAME[name](rate=rate)


def mean_of(sums: Sums, total_weight: float, state: State) -> State:
    """`state` + sums / total_weight, each leaf in its dtype: FedAvg, to start your own from.

    Integers are rounded half to even; a leaf without a sum stays as it is.
    """
    return state | {key: _added(state[key], each / total_weight) for key, each in sums.items()}


def _added(start: Tensor, change: NDArray[np.float64]) -> Tensor:
    step = torch.from_numpy(np.asarray(change)).to(start.device)
    whole = step if start.is_floating_point() else step.round()
    return (start.double() + whole).to(start.dtype)


def checked(state: State, like: State) -> State:
    """`state`, if it can be the next global model after `like`.

    Raises:
        ConfigurationError: other keys, shapes or dtypes, or NaN or infinity; names the key.
    """
    if state.keys() != like.keys():
        raise ConfigurationError(
            f"the aggregation left out {sorted(like.keys() - state.keys())} and added "
            f"{sorted(state.keys() - like.keys())}: return the keys of the state"
        )
    for key, value in state.items():
        if (value.dtype, value.shape) != (like[key].dtype, like[key].shape):
            raise ConfigurationError(
                f"the aggregation made {key} {value.dtype} {tuple(value.shape)}: "
                f"return {like[key].dtype} {tuple(like[key].shape)}"
            )
        if not value.isfinite().all():
            raise ConfigurationError(
                f"the aggregation made {key} NaN or infinite: a lower server rate may help"
            )
    return state


def _decay(name: str, value: float) -> float:
    if not 0 <= value < 1:
        raise ConfigurationError(f"{name} {value!r}: use a number from 0 to below 1")
    return value
