"""What a command leaves behind: each file is whole or not there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

from secagg.errors import ConfigurationError

Files = dict[str, bytes]
"""Name -> content."""
_MODE: Final = 0o644
"""mkstemp lets nobody else read; a report is for others too."""


def check(directory: Path) -> None:
    """Refuse a place that cannot hold files, before the work is done.

    Raises:
        ConfigurationError: it is a file, or cannot be written to.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory, prefix=".protocol_sim."):
            pass
    except OSError as error:
        raise ConfigurationError(
            f"{directory} cannot hold a report ({error.strerror}): name another directory"
        ) from None


def save(directory: Path, files: Files) -> None:
    """Write each file beside any older one and put it in its place in one step.

    Raises:
        OSError: it cannot be written; an older file is still whole.
    """
    for name, content in files.items():
        handle, temporary = tempfile.mkstemp(dir=directory, prefix=f".{name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(temporary).chmod(_MODE)
            Path(temporary).replace(directory / name)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
