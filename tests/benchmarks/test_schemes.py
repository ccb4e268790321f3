"""The benchmarks of masks and of the lattice."""

from __future__ import annotations

import json

import pytest

from benchmarks import lattice, masks
from benchmarks.crossover import Crossover
from secagg.schemes.auto import WORTH


@pytest.mark.parametrize("scheme", [masks, lattice])
def test_a_quick_benchmark_measures_every_row_and_is_right(scheme, tmp_path, capsys):
    scheme.main(["--quick", "--output", str(tmp_path)])
    [file] = tmp_path.iterdir()
    content, said = json.loads(file.read_text()), capsys.readouterr().out
    complete, sparse = content["cases"]
    for case in (complete, sparse):
        tables = case["times"].values()
        times = {row["name"]: row["milliseconds"] for table in tables for row in table["rows"]}
        operations = case["set_up_operations"]

        assert case["error"]["of_the_mean"] <= case["error"]["bound"]
        assert all(milliseconds > 0 for milliseconds in times.values())
        assert {"gateway", "server"} == set(operations)
        # lattice's server agrees on keys when the frames come
        del operations["server"]["Diffie-Hellman"], operations["server"]["keys derived"]
        assert all(count > 0 for counts in operations.values() for count in counts.values())
        if scheme is lattice:
            beyond = case["wire"]["bytes_up"] - 4 * case["case"]["coordinates"]
            own = {"encryption", "encryption, transforms cached", "product", "key recovery"}

            assert "Q = 2^32" in case["layout"]
            assert own <= set(times)
            assert 0 < beyond < 2**16
    assert "first frame to mean" in said
    if scheme is lattice:
        assert 0 == complete["server_masks"] == sparse["server_masks"]
        assert WORTH == content["crossover"]["keystreams_assumed_by_auto"]
        assert "crossover at a gateway: k =" in said
    else:
        assert 80_000 < complete["wire"]["bytes_up"] < 90_000
        assert (5 + 4 - 1, 63 + 2 * 14) == (complete["server_masks"], sparse["server_masks"])


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
