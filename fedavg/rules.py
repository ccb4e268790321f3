"""Checks settings by name and range; without torch, so that a command line is quick."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from secagg.arguments import checked
from secagg.errors import ConfigurationError
from secagg.schemes import BY_NAME

OPTIMISERS: Final = ("sgd", "adam", "adagrad")
LOSSES: Final = ("cross-entropy", "bce", "mse")
"""Softmax cross entropy (nats) of one logit a class; binary cross entropy (nats) of a single logit;
squared error, averaged over outputs, of one output a class, 1 wanted of the right one, else 0."""
SPLITS: Final = ("iid", "dirichlet")
"""How data are dealt to gateways: evenly and at random, or with skewed labels."""
ALPHA: Final = 0.5
"""Evenness of skewed labels where none is given."""
SERVER_OPTIMISERS: Final = ("fedavg", "fedavgm", "fedadam", "fedyogi")
SCHEMES: Final = (*BY_NAME, "auto", "plain")
CLIPPING: Final = ("error", "saturate")
"""What becomes of a coordinate beyond its clip."""
OVERRIDABLE: Final = ("rate", "steps", "batch", "momentum", "optimiser")
"""What may differ between gateways; a common loss is what makes their models comparable."""

MAX_ROUNDS: Final = 10_000
MAX_STEPS: Final = 10_000
MAX_BATCH: Final = 10_000
MAX_RATE: Final = 100.0
"""Far above anything that learns; they keep a slip of the keyboard from running for days."""
MAX_SEED: Final = 2**31 - 1
"""A gateway's order is seeded with seed * 2^32 + its position * 2^20 + round, in 64 bits."""


class _Rule(NamedTuple):
    holds: Callable[[object], bool]
    allowed: str


def _whole(most: int) -> _Rule:
    return _Rule(
        lambda value: type(value) is int and 1 <= value <= most, f"a whole number, 1 to {most}"
    )


def _one_of(names: tuple[str, ...]) -> _Rule:
    return _Rule(lambda value: value in names, f"one of {', '.join(names)}")


def _number(value: object) -> float:
    """NaN, which no comparison accepts, for what is not a number: True is not one either."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan


_RATE: Final = _Rule(
    lambda value: 0 < _number(value) <= MAX_RATE, f"a number above 0, at most {MAX_RATE:g}"
)
RULES: Final = {
    "rounds": _whole(MAX_ROUNDS),
    "scheme": _one_of(SCHEMES),
    "steps": _whole(MAX_STEPS),
    "batch": _whole(MAX_BATCH),
    "rate": _RATE,
    "momentum": _Rule(lambda value: 0 <= _number(value) < 1, "a number from 0 to below 1"),
    "optimiser": _one_of(OPTIMISERS),
    "loss": _one_of(LOSSES),
    "split": _one_of(SPLITS),
    "alpha": _Rule(lambda value: 0 < _number(value) < math.inf, "a finite number above 0"),
    "seed": _Rule(lambda value: 0 <= _number(value) <= MAX_SEED, f"0 to {MAX_SEED}"),
    "server": _one_of(SERVER_OPTIMISERS),
    "clipping": _one_of(CLIPPING),
    "server_rate": _RATE,
}


def check_setting(name: str, value: object) -> None:
    """Refuse a value that no setting called `name` may have.

    Raises:
        ConfigurationError: the message says which are allowed.
    """
    holds, allowed = RULES[name]
    if not holds(value):
        raise ConfigurationError(f"{name.replace('_', ' ')} {value!r}: use {allowed}")


@checked()
def check_overrides(overrides: Mapping[str, Mapping[str, object]]) -> None:
    """Refuse what a gateway may not do otherwise than the rest.

    Raises:
        ConfigurationError: the message names the gateway, and what is allowed.
    """
    for gateway, changes in overrides.items():
        _check_override(gateway, changes)


def _check_override(gateway: str, changes: Mapping[str, object]) -> None:
    for name, value in changes.items():
        if name not in OVERRIDABLE:
            raise ConfigurationError(
                f"gateway {gateway}: {name!r} cannot be overridden: use {', '.join(OVERRIDABLE)}"
            )
        try:
            check_setting(name, value)
        except ConfigurationError as wrong:
            raise ConfigurationError(f"gateway {gateway}: {wrong}") from None
