"""The options that `fedavg run` and `fedavg compare` share: one for each field of `Settings`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, get_type_hints

import typer

from secagg.errors import ConfigurationError
from secagg.schemes import choices

FEDERATION: Final = "Federation"
TRAINING: Final = "Training at the gateways"
SERVER: Final = "Orchestrator"
PROTECTION: Final = "Protection"

Overrides = dict[str, dict[str, float | int | str]]
"""Gateway id -> what that gateway does otherwise."""


class Choice(NamedTuple):
    """One option.

    Attributes:
        kind: its type.
        default: the same as in `fedavg.experiment.Settings`, which is not imported for `--help`.
        panel: under which heading the help lists it.
        help: what it is, its unit and what it may be.
        shown: what the help gives as the default where that is None.
    """

    kind: Any
    default: object
    panel: str
    help: str
    shown: str | bool = True


_OWN: Final = "the task's own"

CHOICES: Final = {
    "task": Choice(
        str,
        "digits",
        FEDERATION,
        "What to learn: threshold, digits, digits-cnn or cancer; `fedavg tasks` describes them.",
    ),
    "gateways": Choice(
        int | None,
        None,
        FEDERATION,
        "Sites that hold data and train, as many as the task bears; 3 or more if protected.",
        "the task's own number",
    ),
    "rounds": Choice(int, 10, FEDERATION, "Rounds of federated averaging, 1 to 10000."),
    "sample": Choice(
        int | None,
        None,
        FEDERATION,
        "Gateways drawn at random for each round, at most as many as there are.",
        "all of them",
    ),
    "vanish": Choice(
        int,
        0,
        FEDERATION,
        "Gateways that fall silent at some moment of every round, 0 to what the protection bears.",
    ),
    "split": Choice(
        str,
        "iid",
        FEDERATION,
        "How the data is dealt: iid (evenly, at random) or dirichlet (skewed labels).",
    ),
    "alpha": Choice(
        float,
        0.5,
        FEDERATION,
        "Evenness of the dirichlet split, above 0: 0.1 is very skewed, 100 nearly even.",
    ),
    "data": Choice(
        Path | None,
        None,
        FEDERATION,
        "Directory with one file of data for each gateway, for tasks that read files (cancer).",
        "data the task makes or brings",
    ),
    "seed": Choice(
        int,
        0,
        FEDERATION,
        "Decides data, first weights, order, rounding and absences, 0 to 2147483647; equal seeds "
        "give equal results, up to the noise of schemes whose sums are not exact.",
    ),
    "loss": Choice(
        str | None,
        None,
        TRAINING,
        "What training minimises: cross-entropy, bce or mse, as far as the task allows.",
        _OWN,
    ),
    "optimiser": Choice(
        str | None, None, TRAINING, "Optimiser of every gateway: sgd, adam or adagrad.", _OWN
    ),
    "rate": Choice(float | None, None, TRAINING, "Learning rate, above 0, at most 100.", _OWN),
    "steps": Choice(
        int | None, None, TRAINING, "Optimiser steps of a gateway in a round, 1 to 10000.", _OWN
    ),
    "batch": Choice(int | None, None, TRAINING, "Samples in a step, 1 to 10000.", _OWN),
    "overrides": Choice(
        list[str],
        [],
        TRAINING,
        "What one gateway does otherwise, as in g01:rate=0.05; repeat it for more. Names: rate, "
        "steps, batch, momentum, optimiser.",
        shown=False,
    ),
    "server": Choice(
        str,
        "fedavg",
        SERVER,
        "What turns the secure mean into the next model: fedavg (the mean itself), fedavgm, "
        "fedadam or fedyogi.",
    ),
    "server_rate": Choice(
        float | None, None, SERVER, "Its learning rate, above 0.", "the server optimiser's own"
    ),
    "scheme": Choice(
        str,
        "masks",
        PROTECTION,
        f"{choices()}, auto (chooses, and says why) or plain (no protection, to compare with).",
    ),
    "max_colluding": Choice(
        int | None,
        None,
        PROTECTION,
        "C: gateways that may side with the orchestrator, 1 or more.",
        "a third of the gateways, a tenth above 64",
    ),
    "max_dropouts": Choice(
        int | None,
        None,
        PROTECTION,
        "D: gateways that may vanish in a round, 0 or more.",
        "the most that C leaves",
    ),
    "clip": Choice(
        float | None,
        None,
        PROTECTION,
        "Largest absolute coordinate of an update, above 0; a larger one ends the run and is "
        "named.",
        _OWN,
    ),
}


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option for each field of `Settings`; it receives them as one mapping.

    Args:
        command: its first parameter is the mapping, as `settings_of` takes it; its others become
            options after those.
    """
    _, *own = inspect.signature(command).parameters.values()
    hints = get_type_hints(command, include_extras=True)
    given = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=choice.default,
            annotation=Annotated[choice.kind, _option(name, choice)],
        )
        for name, choice in CHOICES.items()
    ]
    given += [each.replace(annotation=hints[each.name]) for each in own]

    def with_options(**values: Any) -> None:
        command({name: values.pop(name) for name in CHOICES}, **values)

    with_options.__name__, with_options.__doc__ = command.__name__, command.__doc__
    # typer reads names, types and defaults from both.
    vars(with_options)["__signature__"] = inspect.Signature(given)
    with_options.__annotations__ = {each.name: each.annotation for each in given}
    return with_options


def _option(name: str, choice: Choice) -> Any:
    return typer.Option(
        *(["--override"] if name == "overrides" else []),
        help=choice.help,
        rich_help_panel=choice.panel,
        show_default=choice.shown,
        metavar="GATEWAY:NAME=VALUE" if name == "overrides" else None,
    )


def settings_of(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments for `fedavg.experiment.Settings`.

    Raises:
        ConfigurationError: an override that cannot be read.
    """
    return {**chosen, "overrides": _overrides(chosen["overrides"])}


def _overrides(written: Sequence[str]) -> Overrides:
    """Read GATEWAY:NAME=VALUE; whether gateway, name and value exist is the task's to say."""
    read: Overrides = {}
    for each in written:
        gateway, _, setting = each.partition(":")
        name, equals, value = setting.partition("=")
        if not (gateway and name and equals and value):
            raise ConfigurationError(
                f"override {each!r}: write GATEWAY:NAME=VALUE, as in g01:rate=0.05"
            )
        if name in read.setdefault(gateway, {}):
            raise ConfigurationError(f"override {each!r}: {gateway} has another {name} already")
        read[gateway][name] = _number(value)
    return read


def _number(text: str) -> float | int | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
