"""Writes JSON: whole documents, and a history that grows a line at a time."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from fedavg.experiment import Report


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


def report_json(report: Report) -> bytes:
    """Everything but the model, thresholds and vectors by name: on the wire they are arrays."""
    whole = {each.name: getattr(report, each.name) for each in fields(report)}
    del whole["state"]
    if report.plan is not None:
        whole["plan"] = report.plan.by_name()
    return document(whole)


def _text(value: object) -> str:
    """What msgspec does not know and a report holds: paths."""
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(type(value))
