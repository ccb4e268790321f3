"""What every command shows while it works, and the files that it leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from secagg.console import say
from secagg.files import write as write_file


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


def write(console: Console, directory: Path, files: Mapping[str, bytes]) -> None:
    """Leave files behind and say so.

    Raises:
        OSError: they cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_file(directory / name, content)
    say(console, f"written to {directory}: {', '.join(files)}")
