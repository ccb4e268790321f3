from __future__ import annotations

import json

from benchmarks.masks import main


def test_the_quick_benchmark_measures_every_row_and_is_right(tmp_path, capsys):
    main(["--quick", "--output", str(tmp_path)])
    complete, sparse = json.loads((tmp_path / "masks.json").read_text())["cases"]
    for case in (complete, sparse):
        times = [row["milliseconds"] for table in case["times"].values() for row in table["rows"]]
        operations = case["set_up_operations"]

        assert case["error"]["of_the_mean"] <= case["error"]["bound"]
        assert all(milliseconds > 0 for milliseconds in times)
        assert {"gateway", "server"} == set(operations)
        assert all(count > 0 for counts in operations.values() for count in counts.values())
    assert 80_000 < complete["wire"]["bytes_up"] < 90_000
    assert 5 + 4 - 1 == complete["server_masks"]
    assert 63 + 2 * 14 == sparse["server_masks"]
    assert "first frame to mean" in capsys.readouterr().out
