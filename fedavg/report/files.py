"""Writes JSON: whole documents, and a history that grows a line at a time."""

from __future__ import annotations

from pathlib import Path

import msgspec


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
