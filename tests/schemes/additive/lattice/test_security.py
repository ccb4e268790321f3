from __future__ import annotations

import math

import pytest

from benchmarks.lattice_security import estimate, main

WIDTH = math.sqrt(8)


@pytest.mark.parametrize(
    ("degree", "bits", "quantum", "classical"),
    [(2048, 32, 195, 215), (2048, 40, 144, 158), (1024, 32, 77, 85)],
)
def test_the_estimate_is_what_the_documents_quote(degree, bits, quantum, classical):
    found = estimate(degree, bits, WIDTH)

    assert pytest.approx(quantum, abs=3) == found.quantum
    assert pytest.approx(classical, abs=3) == found.classical


def test_releasing_sums_costs_less_than_ten_bits():
    before, after = (estimate(2048, 32, sigma) for sigma in (WIDTH, WIDTH / math.sqrt(2)))

    assert 0 < before.quantum - after.quantum < 10
    assert after.quantum > 128


def test_more_noise_and_a_smaller_modulus_are_harder():
    assert estimate(1024, 32, 2 * WIDTH).block > estimate(1024, 32, WIDTH).block
    assert estimate(1024, 27, WIDTH).block > estimate(1024, 32, WIDTH).block


def test_the_table_names_what_is_refused(capsys):
    main()
    rows = [line for line in capsys.readouterr().out.splitlines() if line[:4].isdecimal()]

    assert ["1024", "1024"] == [row[:4] for row in rows if "refused" in row]
    assert 6 == len(rows)
