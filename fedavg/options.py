"""Makes the options of `fedavg run` and `fedavg compare`: one for each field of `Settings`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import fields
from inspect import Parameter
from typing import Annotated, Any, Final, get_type_hints

import typer

from fedavg.settings import AXES, HELP, Settings
from secagg.errors import ConfigurationError

_PANELS: Final = {
    "task": "Federation",
    "loss": "Training at the gateways",
    "server": "Orchestrator",
    "scheme": "Protection",
}
"""The first setting under a heading of the help, and the heading."""


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option for each field of `Settings`; it receives them as one object.

    Args:
        command: its first parameter is the settings; the others become options after those, and
            `**axes`, if it has them, one for each of `AXES`.
    """
    _, *own = inspect.signature(command).parameters.values()
    hints = get_type_hints(command, include_extras=True)
    given = _of_settings()
    for each in own:
        if each.kind is Parameter.VAR_KEYWORD:
            given += _of_axes()
        else:
            given.append(each.replace(annotation=hints[each.name]))
    names = {each.name for each in fields(Settings)}

    def with_options(**values: Any) -> None:
        chosen = {name: values.pop(name) for name in names}
        chosen["overrides"] = read_overrides(chosen["overrides"])
        command(Settings(**chosen), **values)

    with_options.__name__, with_options.__doc__ = command.__name__, command.__doc__
    # typer reads names, types and defaults from both.
    vars(with_options)["__signature__"] = inspect.Signature(given)
    with_options.__annotations__ = {each.name: each.annotation for each in given}
    return with_options


def _of_settings() -> list[Parameter]:
    # What is written on a command line is simpler than what a program may give.
    kinds = get_type_hints(Settings) | {
        "overrides": list[str],
        "clip": float | None,
        "clipping": str,
    }
    options, panel = [], ""
    for each in fields(Settings):
        said, unset = HELP[each.name]
        panel = _PANELS.get(each.name, panel)
        several = each.name == "overrides"
        option = typer.Option(
            *(["--override"] if several else []),
            help=said,
            rich_help_panel=panel,
            show_default=unset or not several,
            metavar="GATEWAY:NAME=VALUE" if several else None,
        )
        default = [] if several else each.default
        options.append(_option(each.name, kinds[each.name], option, default))
    return options


def _of_axes() -> list[Parameter]:
    return [
        _option(
            axis,
            str | None,
            typer.Option(
                help=f"Values for --{name}, with commas between.",
                rich_help_panel="What to vary: exactly one",
            ),
            None,
        )
        for axis, name in AXES.items()
    ]


def _option(name: str, kind: Any, option: Any, default: object) -> Parameter:
    return Parameter(
        name, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option]
    )


def read_overrides(written: Sequence[str]) -> dict[str, dict[str, float | str]]:
    """Read GATEWAY:NAME=VALUE; whether gateway, name and value exist is not said here.

    Raises:
        ConfigurationError: one that cannot be read, or says twice what a gateway does.
    """
    read: dict[str, dict[str, float | str]] = {}
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


def _number(text: str) -> float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
