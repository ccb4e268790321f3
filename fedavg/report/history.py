"""Writes history.csv: one row for each round."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from fedavg.experiment import Report
from fedavg.report.totals import Totals, dropped


def history_csv(report: Report) -> bytes:
    """A heading and a row per round; bytes, seconds and shares in full precision."""
    rows = list(_rows(report))
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _rows(report: Report) -> Iterator[dict[str, str | float | None]]:
    compared = report.comparison
    for each, plain, off in zip(report.rounds, compared.history, compared.deviations, strict=True):
        totals = Totals.of(each)
        yield {
            "round": each.number,
            "asked": len(each.asked),
            "alive": len(each.asked) - len(each.dropped),
            "in_mean": len(each.included),
            "dropped": dropped(each),
            "accuracy": each.accuracy,
            "loss": each.loss,
            "training_accuracy": each.training_accuracy,
            "clipped": each.clipped,
            "error_bound": each.error_bound,
            "largest_bytes_up": each.bytes_up,
            "largest_bytes_down": each.bytes_down,
            "all_bytes_up": totals.up,
            "all_bytes_down": totals.down,
            "server_ms": totals.server_ms,
            "gateway_ms": totals.gateway_ms,
            **{f"{part}_seconds": spent for part, spent in each.seconds.items()},
            "plain_accuracy": plain,
            "deviation": off.largest,
            "deviation_bound": off.bound,
        }
