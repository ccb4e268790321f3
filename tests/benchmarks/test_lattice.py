from __future__ import annotations

import json

import pytest

from benchmarks.crossover import Crossover
from benchmarks.lattice import main
from secagg.schemes.auto import WORTH


def test_the_quick_benchmark_measures_every_row_and_is_right(tmp_path, capsys):
    main(["--quick", "--output", str(tmp_path)])
    content = json.loads((tmp_path / "lattice.json").read_text())
    complete, certified = content["cases"]
    for case in (complete, certified):
        tables = case["times"].values()
        times = {row["name"]: row["milliseconds"] for table in tables for row in table["rows"]}
        operations = case["set_up_operations"]

        assert case["error"]["of_the_mean"] <= case["error"]["bound"]
        assert "Q = 2^32" in case["layout"]
        assert all(milliseconds > 0 for milliseconds in times.values())
        assert {"encryption", "encryption, transforms cached", "product", "key recovery"} <= set(
            times
        )
        assert {"gateway", "server"} == set(operations)
        assert all(count > 0 for counts in operations.values() for count in counts.values())
        assert 0 == case["server_masks"]
        shares = 4 * case["case"]["coordinates"] + 2**16
        assert shares - 2**16 < case["wire"]["bytes_up"] < shares
    assert WORTH == content["crossover"]["keystreams_assumed_by_auto"]
    assert "crossover at a gateway: k =" in capsys.readouterr().out


def test_the_crossover_follows_from_the_times():
    times = Crossover(
        coordinates=1,
        encode=1.0,
        mask=0.1,
        unmask=0.1,
        lattice_encode=2.0,
        encryption=5.0,
        unmasking=5.0,
    )

    # a gateway: 1 + (k + 1) / 10 = 7; a round of n: (1 + k + n) / 10 = 6 + 5
    assert 59 == times.gateway
    assert 110 == pytest.approx(times.worth)
    assert 55 == times.neighbours(vanishing=False)
    assert 29 == times.neighbours(vanishing=True)
