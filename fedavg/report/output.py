"""Fills the directory of a run: what is known is there as soon as it is known."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Final

import torch

from fedavg.experiment import Report
from fedavg.orchestrator import Round
from fedavg.report.files import append, line, report_json
from fedavg.report.history import history_csv
from fedavg.report.page import report_html
from secagg.files import write
from secagg.protocol.audit import AuditRecord
from secagg.protocol.audit_file import dump_record, dump_roster
from secagg.protocol.identity import Roster

_FILES: Final = ("report.html", "report.json", "history.csv", "history.jsonl", "model.pt")
_AUDIT: Final = re.compile(r"round-\d{4,}\.json|roster\.json")


class Output:
    """Writes the files of one run.

    The first thing written removes what an earlier run left under the same names, so that all
    files of the directory are of one run.

    Args:
        directory: is made, with its parents, when there is something to write.

    Attributes:
        begun: something was written.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.begun = False

    def record(self, number: int, record: AuditRecord, roster: Roster) -> None:
        """Keep a round's audit record, and the roster that it verifies under.

        Raises:
            OSError: it cannot be written.
        """
        self._begin()
        audit = self._directory / "audit"
        audit.mkdir(exist_ok=True)
        if number == 1:
            # One for all rounds: of everybody, whoever is asked.
            write(audit / "roster.json", dump_roster(roster))
        write(audit / f"round-{number:04}.json", dump_record(record))

    def round(self, each: Round) -> None:
        """Add a round to the history.

        Raises:
            OSError: it cannot be written.
        """
        self._begin()
        append(self._directory / "history.jsonl", line(each))

    def finish(self, report: Report) -> tuple[str, ...]:
        """Write what takes a whole run; returns the names of the files.

        Raises:
            OSError: one cannot be written; the others are whole.
        """
        self._begin()
        write(self._directory / "report.json", report_json(report))
        write(self._directory / "history.csv", history_csv(report))
        write(self._directory / "model.pt", model_pt(report))
        write(self._directory / "report.html", report_html(report))
        audit = ("audit/",) if (self._directory / "audit").exists() else ()
        return (*_FILES, *audit)

    def _begin(self) -> None:
        if self.begun:
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        for name in _FILES:
            (self._directory / name).unlink(missing_ok=True)
        audit = self._directory / "audit"
        for path in audit.iterdir() if audit.is_dir() else ():
            if _AUDIT.fullmatch(path.name):
                path.unlink()
        self.begun = True


def model_pt(report: Report) -> bytes:
    """The model after the last round; `torch.load(path, weights_only=True)` gives a state_dict."""
    file = io.BytesIO()
    torch.save(report.state, file)
    return file.getvalue()
