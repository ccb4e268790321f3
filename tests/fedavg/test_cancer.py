"""Hospitals' files: what is read, and what each fault is called."""

from __future__ import annotations

import csv

import pytest
import torch

from fedavg.settings import Settings
from fedavg.tasks import load
from fedavg.tasks.hospitals import EVERY, MAX_PATIENTS, RANGES, TARGET, write_hospitals
from secagg.errors import ConfigurationError

SEED = 4


@pytest.fixture
def hospitals(tmp_path):
    write_hospitals(tmp_path, gateways=3, seed=SEED)
    return tmp_path


def _load(directory, **changes):
    settings = {"gateways": 3, "seed": SEED, **changes}
    return load(Settings("cancer", data=directory, **settings))


def _edit(directory, change, name="hospital-2.csv"):
    """Rewrite a file: `change` edits the list of its rows, the header first."""
    path = directory / name
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    change(rows)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def _same(one, other):
    return one.inputs.equal(other.inputs) and one.labels.equal(other.labels)


def test_files_hold_the_shares_of_the_task_without_files(hospitals):
    shipped, read = load(Settings("cancer", gateways=3, seed=SEED)), _load(hospitals)

    assert ["hospital-1.csv", "hospital-2.csv", "hospital-3.csv"] == sorted(
        path.name for path in hospitals.iterdir()
    )
    for one, other in zip(shipped.gateways, read.gateways, strict=True):
        assert _same(one._samples, other._samples)
    assert _same(shipped.holdout, read.holdout)
    assert shipped.max_weight == 152
    assert read.max_weight == MAX_PATIENTS


def test_no_file_holds_a_patient_of_the_holdout_of_any_seed(hospitals):
    task = _load(hospitals, seed=SEED + 1)
    held = {tuple(row) for row in task.holdout.inputs.tolist()}
    rows = {tuple(row) for g in task.gateways for row in g._samples.inputs.tolist()}

    assert -(-569 // EVERY) == len(held)
    assert 569 - len(held) == len(rows)
    assert not held & rows


def test_shipped_features_are_scaled_to_about_one():
    task = load(Settings("cancer"))
    rows = torch.cat([g._samples.inputs for g in task.gateways] + [task.holdout.inputs])

    assert rows.dtype == torch.float32
    assert (569, 30) == rows.shape
    assert -1.1 < rows.min() < -1 < 1 < rows.max() < 1.2


def test_columns_may_stand_in_any_order_and_rows_be_empty(hospitals):
    expected = _load(hospitals)
    _edit(hospitals, lambda rows: [row.reverse() for row in rows])
    text = (hospitals / "hospital-2.csv").read_text()
    (hospitals / "hospital-2.csv").write_text("\ufeff" + text + "\n\n", encoding="utf-8")
    read = _load(hospitals)

    assert _same(expected.gateways[1]._samples, read.gateways[1]._samples)


def _without(*columns):
    def change(rows):
        keep = [i for i, name in enumerate(rows[0]) if name not in columns]
        rows[:] = [[row[i] for i in keep] for row in rows]

    return change


def _cell(row, column, value):
    def change(rows):
        rows[row - 1][rows[0].index(column)] = value

    return change


FAULTS = {
    "one column missing": (_without("mean area"), ": columns missing (1): mean area"),
    "many columns missing": (
        _without("mean area", "worst area", "mean radius", TARGET),
        ": columns missing (4): mean radius, mean area, worst area, ...",
    ),
    "unknown column": (
        lambda rows: (
            [row.append("1") or row.append("2") for row in rows[1:]]
            and rows[0].extend(["age", "name"])
        ),
        ": columns unknown (2): age, name",
    ),
    "repeated column": (
        lambda rows: [row.append(row[0]) for row in rows],
        ": columns repeated (1): mean radius",
    ),
    "not a number": (_cell(5, "mean area", "large"), ", row 5, column 'mean area': not a number"),
    "empty cell": (_cell(2, "mean radius", ""), ", row 2, column 'mean radius': not a number"),
    "NaN": (_cell(3, "mean radius", "nan"), ", row 3, column 'mean radius': not a number"),
    "infinity": (_cell(3, "mean radius", "1e999"), ", row 3, column 'mean radius': not a number"),
    "other units": (
        _cell(3, "mean radius", "17990"),
        ", row 3, column 'mean radius': far from 7 to 28",
    ),
    "no such class": (
        _cell(4, TARGET, "2"),
        ", row 4, column 'target': not 0 (malignant) or 1 (benign)",
    ),
    "short row": (lambda rows: rows[6].pop(), ", row 7: 30 cells for 31 columns"),
    "long row": (lambda rows: rows[6].append("1"), ", row 7: 32 cells for 31 columns"),
    "nothing at all": (lambda rows: rows.clear(), ": empty; its first row must name the columns"),
    "no patients": (lambda rows: rows.__delitem__(slice(1, None)), ": has columns but no patients"),
    "too many patients": (
        lambda rows: rows.extend([rows[1]] * MAX_PATIENTS),
        ": more than 1000 patients",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_file_is_named_with_its_fault(hospitals, fault):
    change, said = FAULTS[fault]
    _edit(hospitals, change)
    with pytest.raises(ConfigurationError) as refused:
        _load(hospitals)

    assert f"hospital-2.csv{said}" == str(refused.value)


def test_a_directory_in_place_of_a_file_is_named(hospitals):
    (hospitals / "hospital-2.csv").unlink()
    (hospitals / "hospital-2.csv").mkdir()
    with pytest.raises(ConfigurationError, match=r"^hospital-2\.csv: Is a directory$"):
        _load(hospitals)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00\x01", b'"mean radius\n', b'"a"b,c\n1,2\n'])
def test_what_is_not_csv_is_named(hospitals, content):
    (hospitals / "hospital-2.csv").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"^hospital-2\.csv: not CSV in UTF-8$"):
        _load(hospitals)


def test_a_number_of_files_that_does_not_fit_is_named(hospitals):
    with pytest.raises(ConfigurationError, match=r"^3 hospital files in .*use 3 gateways, or"):
        _load(hospitals, gateways=2)
    with pytest.raises(
        ConfigurationError,
        match=r"^hospital-4.csv, hospital-5.csv, hospital-6.csv, ... missing in .*: 7 gateways",
    ):
        _load(hospitals, gateways=7)
    with pytest.raises(ConfigurationError, match=r"nowhere is not a directory$"):
        _load(hospitals / "nowhere")


def test_files_are_split_already(hospitals):
    with pytest.raises(ConfigurationError, match="split dirichlet: data in files are split"):
        load(Settings("cancer", data=hospitals, split="dirichlet"))


@pytest.mark.parametrize("gateways", [0, 31])
def test_only_so_many_hospitals_can_be_written(tmp_path, gateways):
    with pytest.raises(ConfigurationError, match=f"{gateways} hospitals: use 1 to 30"):
        write_hospitals(tmp_path, gateways=gateways, seed=0)

    assert [] == list(tmp_path.iterdir())


def test_the_ranges_are_those_of_the_shipped_description():
    from sklearn.datasets import load_breast_cancer

    table = load_breast_cancer()
    lows, highs = table.data.min(axis=0), table.data.max(axis=0)

    assert list(table.feature_names) == list(RANGES)
    for (low, high), least, most in zip(RANGES.values(), lows, highs, strict=True):
        # two digits of the larger end
        assert abs(low - least) + abs(high - most) <= 0.15 * (high - low)
