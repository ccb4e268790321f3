"""Files of a run: each is whole or not there, but for the history, which grows a line at a time."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from secagg.errors import ConfigurationError

_MODE: Final = 0o644
"""mkstemp lets nobody else read; a report is for others too."""


def check_directory(directory: Path) -> None:
    """Refuse a place that cannot hold files, before the work is done; nothing is left there.

    Raises:
        ConfigurationError: it, or a parent of it, is a file, or cannot be written to.
    """
    for path in (directory, *directory.parents):
        if path.is_dir():
            break
        if path.exists() or path.is_symlink():
            raise ConfigurationError(f"{path} is a file: name a directory for the report")
    try:
        # Permissions alone do not tell: of a full disk, a read-only mount, or to root.
        with tempfile.TemporaryDirectory(dir=path, prefix=".fedavg."):
            pass
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written to ({error.strerror}): name another directory"
        ) from None


def write(path: Path, content: bytes) -> None:
    """Write beside any older file and put it in its place in one step.

    Raises:
        OSError: it cannot be written; an older file is still whole.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(_MODE)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def append(path: Path, line: bytes) -> None:
    """Add one line in one write, and hand it to the system before returning.

    Raises:
        OSError: it cannot be written.
    """
    with path.open("ab") as file:
        file.write(line)


def line(value: object) -> bytes:
    """A dataclass as one line of JSON."""
    return msgspec.json.encode(value, enc_hook=_text) + b"\n"


def document(value: object) -> bytes:
    """Something made of dataclasses as JSON that people read too."""
    return msgspec.json.format(msgspec.json.encode(value, enc_hook=_text), indent=2) + b"\n"


def _text(value: object) -> str:
    """What msgspec does not know and a report holds: paths."""
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(type(value))
