"""report.json: everything a run has to say, whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from fedavg.experiment import Report
from secagg.errors import ConfigurationError

NAME: Final = "report.json"


def check_directory(directory: Path) -> None:
    """Refuse a place that cannot become a directory, before the work is done.

    Raises:
        ConfigurationError: it, or a parent of it, is a file.
    """
    for path in (directory, *directory.parents):
        if path.exists() and not path.is_dir():
            raise ConfigurationError(f"{path} is a file: name a directory for the report")


def write(report: Report, directory: Path) -> Path:
    """Write the report beside any older one and put it in its place in one step.

    Raises:
        OSError: the directory cannot be made or written; an older report is still whole.
    """
    directory.mkdir(parents=True, exist_ok=True)
    content = msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"
    handle, temporary = tempfile.mkstemp(dir=directory, prefix=f".{NAME}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(directory / NAME)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return directory / NAME
