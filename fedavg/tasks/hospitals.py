"""Reads patients from files: one CSV for each hospital, a header row, a row for each patient."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import torch

from fedavg.learning import Samples
from fedavg.settings import Settings
from fedavg.tasks.splits import deal
from secagg.errors import ConfigurationError

TARGET: Final = "target"
"""0 is malignant, 1 benign, as in scikit-learn."""
EVERY: Final = 5
"""Every fifth patient is held out, whatever the seed: files written with one seed never hold a
patient that a run with another is measured on."""
MAX_HOSPITALS: Final = 30
"""Above, a hospital would hold fewer than 15 of the shipped patients."""
MAX_PATIENTS: Final = 1_000
"""Most patients in a file. A cap must be public, so it cannot come from what is in the files."""
PLAUSIBLE: Final = 10.0
"""Ranges outside of its range that a feature may lie: other units are caught, an unusual patient is
not."""
RANGES: Final = {
    "mean radius": (7, 28),
    "mean texture": (10, 40),
    "mean perimeter": (44, 190),
    "mean area": (140, 2500),
    "mean smoothness": (0.05, 0.16),
    "mean compactness": (0.02, 0.35),
    "mean concavity": (0, 0.43),
    "mean concave points": (0, 0.2),
    "mean symmetry": (0.1, 0.3),
    "mean fractal dimension": (0.05, 0.1),
    "radius error": (0.1, 2.9),
    "texture error": (0.4, 4.9),
    "perimeter error": (0.8, 22),
    "area error": (7, 540),
    "smoothness error": (0.002, 0.03),
    "compactness error": (0.002, 0.14),
    "concavity error": (0, 0.4),
    "concave points error": (0, 0.05),
    "symmetry error": (0.008, 0.08),
    "fractal dimension error": (0.001, 0.03),
    "worst radius": (8, 36),
    "worst texture": (12, 50),
    "worst perimeter": (50, 250),
    "worst area": (190, 4300),
    "worst smoothness": (0.07, 0.22),
    "worst compactness": (0.03, 1.1),
    "worst concavity": (0, 1.3),
    "worst concave points": (0, 0.29),
    "worst symmetry": (0.16, 0.66),
    "worst fractal dimension": (0.055, 0.21),
}
"""Of each feature: the range printed in the published description of the data set, rounded to two
digits. Features here have scikit-learn's names."""


def shipped(seed: int) -> tuple[Samples, Samples]:
    """Patients for hospitals, in an order decided by `seed`, and patients of none.

    Inputs are float64 [n, 30], not yet scaled.
    """
    from sklearn.datasets import load_breast_cancer

    features, labels = load_breast_cancer(return_X_y=True)
    everybody = Samples(torch.tensor(features), torch.tensor(labels, dtype=torch.int64))
    positions = torch.arange(len(everybody))
    training = everybody.at(positions[positions % EVERY != 0])
    order = torch.randperm(len(training), generator=torch.Generator().manual_seed(seed))
    return training.at(order), everybody.at(positions[positions % EVERY == 0])


def write_hospitals(directory: Path, gateways: int, seed: int) -> list[Path]:
    """Write the shipped patients as hospital-1.csv, ...: the shares of the task without files.

    Returns:
        The files; `load(Settings("cancer", data=directory))` reads them.

    Raises:
        ConfigurationError: more hospitals than `MAX_HOSPITALS`, or none.
    """
    if not 1 <= gateways <= MAX_HOSPITALS:
        raise ConfigurationError(f"{gateways} hospitals: use 1 to {MAX_HOSPITALS}")
    training, _ = shipped(seed)
    directory.mkdir(parents=True, exist_ok=True)
    shares = deal(training.labels, gateways, Settings(seed=seed))
    paths = [_path(directory, number) for number in range(1, gateways + 1)]
    for path, share in zip(paths, shares, strict=True):
        mine = training.at(share)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*RANGES, TARGET])
            for features, label in zip(mine.inputs.tolist(), mine.labels.tolist(), strict=True):
                writer.writerow([*features, label])
    return paths


def read_hospitals(directory: Path, gateways: int) -> list[Samples]:
    """What the files hospital-1.csv, ... hold: float64 [n, 30], not yet scaled.

    Messages name files, rows and columns, never what a cell holds.

    Raises:
        ConfigurationError: a number of files other than `gateways`, or a file that is not what it
            should be.
    """
    if not directory.is_dir():
        raise ConfigurationError(f"data {directory} is not a directory")
    found = {path.name for path in directory.glob("hospital-*.csv")}
    wanted = [_path(directory, number) for number in range(1, gateways + 1)]
    missing = [path.name for path in wanted if path.name not in found]
    if missing:
        raise ConfigurationError(
            f"{_some(missing)} missing in {directory}: {gateways} gateways need hospital-1.csv to "
            f"hospital-{gateways}.csv"
        )
    if len(found) > gateways:
        raise ConfigurationError(
            f"{len(found)} hospital files in {directory} for {gateways} gateways: "
            f"use {len(found)} gateways, or a directory of {gateways} files"
        )
    return [_hospital(path) for path in wanted]


def _path(directory: Path, number: int) -> Path:
    return directory / f"hospital-{number}.csv"


def _hospital(path: Path) -> Samples:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, strict=True)
            header = [name.strip() for name in next(rows, [])]
            _check_header(path.name, header)
            patients = list(islice(_patients(path.name, header, rows), MAX_PATIENTS + 1))
    except (csv.Error, UnicodeDecodeError) as unreadable:
        raise ConfigurationError(f"{path.name}: not CSV in UTF-8") from unreadable
    except OSError as error:
        raise ConfigurationError(f"{path.name}: {error.strerror}") from None
    if not patients:
        raise ConfigurationError(f"{path.name}: has columns but no patients")
    if len(patients) > MAX_PATIENTS:
        raise ConfigurationError(f"{path.name}: more than {MAX_PATIENTS} patients")
    table = torch.tensor(patients, dtype=torch.float64)
    return Samples(table[:, :-1], table[:, -1].long())


def _check_header(file: str, header: Sequence[str]) -> None:
    if not any(header):
        raise ConfigurationError(f"{file}: empty; its first row must name the columns")
    columns = [*RANGES, TARGET]
    for problem, found in (
        ("missing", [name for name in columns if name not in header]),
        ("unknown", [name for name in header if name not in columns]),
        ("repeated", sorted({name for name in header if header.count(name) > 1})),
    ):
        if found:
            raise ConfigurationError(f"{file}: columns {problem} ({len(found)}): {_some(found)}")


def _patients(file: str, header: Sequence[str], rows: Iterator[list[str]]) -> Iterator[list[float]]:
    """Numbers in the order of `RANGES`, target last; empty rows are skipped."""
    for number, row in enumerate(rows, start=2):
        if not row:
            continue
        if len(row) != len(header):
            raise ConfigurationError(
                f"{file}, row {number}: {len(row)} cells for {len(header)} columns"
            )
        cells = dict(zip(header, row, strict=True))
        yield [_cell(file, number, name, cells[name]) for name in (*RANGES, TARGET)]


def _cell(file: str, row: int, column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        problem = "not a number"
    elif column == TARGET:
        problem = "" if value in {0, 1} else "not 0 (malignant) or 1 (benign)"
    else:
        low, high = RANGES[column]
        room = PLAUSIBLE * (high - low)
        problem = "" if low - room <= value <= high + room else f"far from {low} to {high}"
    if problem:
        raise ConfigurationError(f"{file}, row {row}, column {column!r}: {problem}")
    return value


def _some(found: Sequence[str]) -> str:
    return ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")
