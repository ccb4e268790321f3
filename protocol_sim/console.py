"""What every command says and how: lines, a bar, errors in one line, files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text
from typer.core import TyperGroup

from protocol_sim.pictures.files import Files, check, save
from secagg.errors import ConfigurationError, SecAggError

INTERRUPTED: Final = 130
"""What a shell expects of a program that Ctrl-C ended: 128 and the number of the signal."""

# Of click, or of the copy that newer versions of typer bring.
_UsageError: Any = typer.BadParameter.__base__


class OneLine(TyperGroup):
    """Says in one line what is wrong with the options, like everything else that is wrong."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run; see click."""
        alone = kwargs.get("standalone_mode", True)
        try:
            left = super().main(*args, **{**kwargs, "standalone_mode": False})
        except _UsageError as error:
            _complain(" ".join(error.format_message().split()))
            left = 2
        if alone:
            raise SystemExit(left if isinstance(left, int) else 0)
        return left


def say(console: Console, line: str, style: str = "") -> None:
    """One line, folded between words in a terminal only: what comes after a pipe reads lines.

    Args:
        console: where.
        line: what.
        style: of rich.
    """
    console.print(Text(line, style), soft_wrap=not console.is_terminal)


@contextmanager
def progress(console: Console, what: str, total: int) -> Iterator[Callable[[int, str], None]]:
    """A bar in a terminal, nothing elsewhere.

    Args:
        console: where.
        what: moves.
        total: steps.

    Yields:
        What moves it: called with the steps done, and with what is to be said beside it.
    """
    with Progress(
        TextColumn(what),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("", total=total)

        def advance(done: int, said: str) -> None:
            bar.update(task, completed=done, description=said)

        yield advance


@contextmanager
def prepared(output: Path | None) -> Iterator[None]:
    """The place for the report exists before the work is done.

    Raises:
        ConfigurationError: it cannot hold files.
    """
    if output is not None:
        check(output)
    yield


def write(console: Console, directory: Path, files: Files) -> None:
    """Leave files behind and say so.

    Raises:
        OSError: they cannot be written.
    """
    save(directory, files)
    say(console, f"written to {directory}: {', '.join(files)}")


def _complain(reason: str) -> None:
    typer.echo(f"error: {reason}", err=True)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Exit code 2 for what cannot work, 1 for what did not; without a traceback.

    Raises:
        Exit: instead of errors that have a name.
    """
    try:
        yield
    except ConfigurationError as error:
        _complain(str(error))
        raise typer.Exit(2) from None
    except (SecAggError, OSError) as error:
        _complain(str(error))
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        raise typer.Exit(INTERRUPTED) from None
