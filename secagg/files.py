"""Writes files that are whole or not there."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import Final

from secagg.errors import ConfigurationError

_MODE: Final = 0o644
"""mkstemp lets nobody else read; a report is for others too."""


def check_directory(directory: Path | None) -> Path | None:
    """Refuse a place that cannot hold files, before the work is done; nothing is left there.

    Returns:
        The same: a command line calls this for an option that may be left out.

    Raises:
        ConfigurationError: it, or a parent of it, is a file, or cannot be written to.
    """
    if directory is None:
        return None
    for path in (directory, *directory.parents):
        if path.is_dir():
            break
        if path.exists() or path.is_symlink():
            raise ConfigurationError(f"{path} is a file: name a directory for the report")
    try:
        # Permissions alone do not tell: of a full disk, a read-only mount, or to root.
        with tempfile.TemporaryDirectory(dir=path, prefix=".secagg."):
            pass
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written to ({error.strerror}): name another directory"
        ) from None
    return directory


def write(path: str | Path, content: bytes) -> None:
    """Write beside any older file and put it in its place in one step.

    Raises:
        OSError: it cannot be written; an older file is still whole.
    """
    path = Path(path)
    try:
        named = b"\0" not in os.fsencode(path)
    except UnicodeError:  # half of a surrogate pair
        named = False
    if not named:
        raise OSError(errno.EINVAL, "No name of a file", ascii(str(path)))
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "No such directory", str(path.parent))
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "A directory, not a file", str(path))
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
