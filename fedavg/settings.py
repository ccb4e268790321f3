"""Defines the settings of a run, each with its default and its words on the command line."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Final, Literal, get_type_hints

from fedavg.phases import PHASES, absent_from
from fedavg.rules import (
    ALPHA,
    LOSSES,
    MAX_BATCH,
    MAX_RATE,
    MAX_ROUNDS,
    MAX_SEED,
    MAX_STEPS,
    OPTIMISERS,
    OVERRIDABLE,
    RULES,
    SERVER_OPTIMISERS,
    check_overrides,
    check_setting,
)
from fedavg.tasks import TASKS
from secagg.errors import ConfigurationError
from secagg.params import GatewayId
from secagg.protocol.steps import Step
from secagg.schemes import choices
from secagg.schemes.masks import Masks

_OWN: Final = "the task's own"


def _either(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run is; equal settings give equal numbers, seconds and the noise of sums apart.

    An annotation says what a field is, its unit and what it may be, and what None stands for:
    command line and page show it.

    Raises:
        ConfigurationError: a value that no task could have; the message says which could.
    """

    task: Annotated[str, f"What to learn: {_either([*TASKS])}; `fedavg tasks` describes them."] = (
        "digits"
    )
    gateways: Annotated[
        int | None,
        "Sites that hold data and train, as many as the task bears; 3 or more if protected.",
        "the task's own number",
    ] = None
    rounds: Annotated[int, f"Rounds of federated averaging, 1 to {MAX_ROUNDS}."] = 10
    sample: Annotated[
        int | None,
        "Gateways drawn at random for each round, at most as many as there are.",
        "all of them",
    ] = None
    vanish: Annotated[
        int,
        "Gateways that fall silent at some moment of every round, 0 to what the protection bears.",
    ] = 0
    split: Annotated[
        str, "How the data is dealt: iid (evenly, at random) or dirichlet (skewed labels)."
    ] = "iid"
    alpha: Annotated[
        float | None,
        "Evenness of the dirichlet split, above 0: 0.1 is very skewed, 100 nearly even.",
        f"{ALPHA} if dirichlet",
    ] = None
    data: Annotated[
        Path | None,
        "Directory with one file of data for each gateway, for tasks that read files; `fedavg "
        "tasks` says which do.",
        "data the task makes or brings",
    ] = None
    seed: Annotated[
        int,
        f"Decides data, first weights, order, rounding and absences, 0 to {MAX_SEED}; equal "
        "seeds give equal results, up to the noise of schemes whose sums are not exact.",
    ] = 0
    loss: Annotated[
        str | None, f"What training minimises: {_either(LOSSES)}, as far as the task allows.", _OWN
    ] = None
    optimiser: Annotated[
        str | None, f"Optimiser of every gateway: {_either(OPTIMISERS)}.", _OWN
    ] = None
    rate: Annotated[float | None, f"Learning rate, above 0, at most {MAX_RATE:g}.", _OWN] = None
    steps: Annotated[
        int | None, f"Optimiser steps of a gateway in a round, 1 to {MAX_STEPS}.", _OWN
    ] = None
    batch: Annotated[int | None, f"Samples in a step, 1 to {MAX_BATCH}.", _OWN] = None
    overrides: Annotated[
        Mapping[str, Mapping[str, float | str]],
        "What one gateway does otherwise, as in g01:rate=0.05; repeat it for more. Names: "
        f"{', '.join(OVERRIDABLE)}.",
    ] = field(default_factory=dict)
    server: Annotated[
        str,
        "What turns the secure mean into the next model: fedavg (the mean itself), "
        f"{_either(SERVER_OPTIMISERS[1:])}.",
    ] = "fedavg"
    server_rate: Annotated[
        float | None, "Its learning rate, above 0.", "the server optimiser's own"
    ] = None
    scheme: Annotated[
        str, f"{choices()}, auto (chooses, and says why) or plain (no protection, to compare with)."
    ] = "masks"
    max_colluding: Annotated[
        int | None,
        "C: gateways that may side with the orchestrator, 1 or more.",
        "a third of the gateways, a tenth above 64",
    ] = None
    max_dropouts: Annotated[
        int | None, "D: gateways that may vanish in a round, 0 or more.", "the most that C leaves"
    ] = None
    clip: Annotated[
        float | Mapping[str, float] | None,
        "Largest absolute coordinate of an update, above 0.",
        _OWN,
    ] = None
    clipping: Annotated[
        Literal["error", "saturate"],
        "What becomes of a larger one: error (it ends the run, and is named) or saturate (it is "
        "cut off, and counted).",
    ] = "error"

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if value is None and each.default is None:
                continue
            if each.name in _WHOLE and type(value) is not int:
                raise ConfigurationError(f"{each.name} is {value!r}: use a whole number")
            if each.name in RULES:
                check_setting(each.name, value)
        check_overrides(self.overrides)
        if self.split != "dirichlet" and self.alpha is not None:
            raise ConfigurationError(
                f"alpha {self.alpha:g}: split {self.split} has none: use split dirichlet"
            )


_WHOLE: Final = {
    name for name, kind in get_type_hints(Settings).items() if kind in {int, int | None}
}
HELP: Final[dict[str, tuple[str, str]]] = {
    name: (*hint.__metadata__, "")[:2]
    for name, hint in get_type_hints(Settings, include_extras=True).items()
}
"""What each field of `Settings` is, its unit and what it may be; what None stands for."""
AXES: Final = {
    "optimisers": "optimiser",
    "servers": "server",
    "schemes": "scheme",
    "losses": "loss",
}
"""Option of `fedavg compare` -> the setting that it varies."""


def cohort(settings: Settings, names: Sequence[GatewayId], number: int) -> tuple[GatewayId, ...]:
    """Who of `names` is asked in round `number`, in their order: drawn from the seed."""
    if settings.sample is None:
        return tuple(names)
    # A stream of its own: who vanishes must not follow from who is asked.
    draw = random.Random(f"{settings.seed}/{number}/asked")
    return tuple(names[index] for index in sorted(draw.sample(range(len(names)), settings.sample)))


def absences(
    settings: Settings,
    names: Sequence[GatewayId],
    number: int,
    steps: Sequence[Step] = Masks.steps,
) -> dict[GatewayId, str]:
    """Who of `names` stops answering in round `number`, and from which phase on: from the seed.

    Whoever counts in spite of it counts with the steps of every scheme.
    """
    draw = random.Random(f"{settings.seed}/{number}")
    return {
        name: absent_from(draw.choice(PHASES), steps)
        for name in sorted(draw.sample(names, settings.vanish))
    }
