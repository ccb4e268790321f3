from __future__ import annotations

import json

from benchmarks.masks import main


def test_the_quick_benchmark_measures_every_row_and_is_right(tmp_path, capsys):
    main(["--quick", "--output", str(tmp_path)])
    (case,) = json.loads((tmp_path / "masks.json").read_text())["cases"]
    times = [row["milliseconds"] for table in case["times"].values() for row in table["rows"]]

    assert case["error"]["of_the_mean"] <= case["error"]["bound"]
    assert all(milliseconds > 0 for milliseconds in times)
    assert 80_000 < case["wire"]["bytes_up"] < 90_000
    assert {"gateway", "server"} == set(case["set_up_operations"])
    assert "first frame to mean" in capsys.readouterr().out
