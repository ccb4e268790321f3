"""Every scheme runs where TenSEAL is not installed: only the shared key of comparisons takes it."""

from __future__ import annotations

import pytest

from tests.command_lines import start

QUICK = ("--task", "threshold", "--gateways", "4", "--rounds", "1")
EXTRA = ("tenseal",)


@pytest.mark.parametrize(
    ("program", "arguments", "said"),
    [
        ("fedavg", ("run", *QUICK, "--scheme", "ckks"), "Protected by ckks"),
        ("secagg", ("plan", "--gateways", 4, "--coordinates", 9, "--scheme", "ckks"), "N = 2048"),
    ],
)
def test_ckks_takes_no_extra(program, arguments, said):
    done = start(program, *map(str, arguments), without=EXTRA)

    assert 0 == done.returncode, done.stderr
    assert said in done.stdout


def test_all_schemes_run():
    schemes = ["masks", "lattice", "ckks", "auto", "plain"]
    done = start("fedavg", "compare", *QUICK, "--schemes", ",".join(schemes), without=EXTRA)

    assert 0 == done.returncode, done.stderr
    assert schemes == [line.split()[0] for line in done.stdout.splitlines()[1:6]]
