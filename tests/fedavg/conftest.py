from __future__ import annotations

import pytest
import torch

from fedavg.experiment import Report
from fedavg.settings import Settings
from tests.fedavg.runs import report_of

SEEDS = range(5)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    # Nets this small only lose time to a second thread.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _runs(**settings) -> list[Report]:
    return [report_of(Settings(seed=seed, **settings)) for seed in SEEDS]


@pytest.fixture(scope="session")
def threshold_runs() -> list[Report]:
    return _runs(task="threshold", gateways=3)


@pytest.fixture(scope="session")
def digits_runs() -> list[Report]:
    return _runs(task="digits", gateways=10, vanish=2)


@pytest.fixture(scope="session")
def cnn_runs() -> list[Report]:
    return _runs(task="digits-cnn", gateways=5, rounds=4)
