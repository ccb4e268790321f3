"""Gives the three command lines one set of options, lines, errors and exit codes."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

from secagg import __version__
from secagg.errors import ConfigurationError, EncodingError, SecAggError, printable

INTERRUPTED: Final = 130
"""What a shell expects of a program that Ctrl-C ended: 128 and the number of the signal."""

Quiet = Annotated[
    bool, typer.Option("--quiet", help="Print nothing but what needs attention, on stderr.")
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document, for programs, and no lines.")
]

# Of click, or of the copy that newer versions of typer bring.
_UsageError: Any = typer.BadParameter.__base__


class OneLine(TyperGroup):
    """Says in one line what went wrong, without a traceback.

    Exit codes: 2 for what cannot work, 1 for what did not work, 130 for Ctrl-C.
    """

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run; see click."""
        alone = kwargs.get("standalone_mode", True)
        try:
            left = super().main(*args, **{**kwargs, "standalone_mode": False})
        except _UsageError as error:
            said = " ".join(error.format_message().split())
            if getattr(error, "option_name", "") == "--version":  # click would guess --override
                said = f"--version stands alone: {error.ctx.find_root().info_name} --version"
            complain(said)
            left = 2
        if alone:
            raise SystemExit(left if isinstance(left, int) else 0)
        return left

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named; see click."""
        try:
            return super().invoke(ctx)
        except (ConfigurationError, EncodingError) as error:
            complain(str(error))
            raise typer.Exit(2) from None
        except BrokenPipeError:  # nobody reads on: head has seen enough
            raise typer.Exit(1) from None
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            complain(f"{place}{error.strerror or error}")
            raise typer.Exit(1) from None
        except SecAggError as error:
            complain(str(error))
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            raise typer.Exit(INTERRUPTED) from None


def application(program: str, about: str) -> typer.Typer:
    """A command line without commands yet: it knows --help, --version and shell completion."""
    app = typer.Typer(cls=OneLine, rich_markup_mode="rich", pretty_exceptions_enable=False)

    @app.callback(invoke_without_command=True, help=about)
    def begin(
        context: typer.Context,
        *,
        version: Annotated[
            bool, typer.Option("--version", help="Show the version and exit.")
        ] = False,
    ) -> None:
        if version:
            typer.echo(f"{program} {__version__}")
        elif context.invoked_subcommand is None:
            typer.echo(context.get_help())

    return app


def complain(reason: str) -> None:
    """Say on stderr what is wrong."""
    typer.echo(f"error: {printable(reason)}", err=True)


def in_terminal(console: Console) -> bool:
    """Whether somebody looks at it: a pipe stays one where colours are forced into it."""
    return console.file.isatty()


def say(console: Console, line: str, style: str = "") -> None:
    """One line, folded between words in a terminal only: what comes after a pipe reads lines.

    Args:
        console: where.
        line: what.
        style: of rich.
    """
    console.print(Text(line, style), soft_wrap=not in_terminal(console))
