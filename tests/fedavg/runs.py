"""Runs of the application: whole ones, and the command line as a user types it."""

from __future__ import annotations

import time
from typing import Any

from click.testing import Result
from typer.testing import CliRunner

from fedavg.commands import app
from fedavg.experiment import Report, run
from fedavg.prepared import prepare
from fedavg.settings import Settings

ADDITIVE = ("lattice", "ckks")
NAMES = tuple(f"g{number:02d}" for number in range(1, 11))
SAMPLED = Settings(
    task="threshold", gateways=9, sample=7, rounds=3, vanish=1, server="fedyogi", seed=3
)


def report_of(settings: Settings, **told: Any) -> Report:
    """What a run with these settings comes to; `told` hears of it meanwhile."""
    return run(prepare(settings), clock=time.perf_counter, **told)


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])
