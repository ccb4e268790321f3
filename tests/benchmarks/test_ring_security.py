from __future__ import annotations

import hashlib
import math

import pytest

from benchmarks.ring_security import BINOMIAL, NEEDED_BITS, SETS, Problem, estimate, main
from secagg.schemes.additive.sampling import small_secret

TERNARY = math.sqrt(2 / 3)


@pytest.mark.parametrize(
    ("problem", "classical", "quantum", "classical_after", "quantum_after"),
    [
        (Problem(2048, 32, BINOMIAL), 215, 195, 206, 187),
        (Problem(2048, 40, BINOMIAL), 158, 144, 153, 139),
        (Problem(2048, 40, 16.0), 173, 157, 167, 152),
        (Problem(4096, 60, 2.0**16), 325, 295, 317, 287),
        (Problem(2048, 54, 3.2), 103, 94, 100, 91),
        (Problem(1024, 32, BINOMIAL), 85, 77, 81, 74),
    ],
)
def test_the_estimate_is_what_the_documents_quote(
    problem, classical, quantum, classical_after, quantum_after
):
    before, after = estimate(problem), estimate(problem.after_the_hint())

    assert (classical, quantum) == (round(before.classical), round(before.quantum))
    assert (classical_after, quantum_after) == (round(after.classical), round(after.quantum))


@pytest.mark.parametrize(("degree", "bits", "classical"), [(1024, 27, 101), (2048, 54, 98)])
def test_sets_of_the_standard_come_out_below_their_128_bits(degree, bits, classical):
    assert classical == round(estimate(Problem(degree, bits, 3.2, TERNARY)).classical)


def test_releasing_sums_costs_less_than_ten_bits():
    for _, degree, bits, noise in SETS:
        problem = Problem(degree, bits, noise)

        assert 0 < estimate(problem).quantum - estimate(problem.after_the_hint()).quantum < 10


@pytest.mark.parametrize("secret", [BINOMIAL, 4 * BINOMIAL])
def test_wider_noise_wider_secrets_and_a_smaller_modulus_are_harder(secret):
    block = estimate(Problem(1024, 32, 16.0, secret)).block

    assert estimate(Problem(1024, 32, 32.0, secret)).block > block
    assert estimate(Problem(1024, 32, 16.0, 2 * secret)).block > block
    assert estimate(Problem(1024, 27, 16.0, secret)).block > block
    assert estimate(Problem(2048, 32, 16.0, secret)).block > block


def test_it_is_the_ratio_of_modulus_and_noise_that_counts():
    coarse, fine = estimate(Problem(1024, 32, 16.0)), estimate(Problem(1024, 40, 256 * 16.0))

    assert pytest.approx(coarse.block, abs=1) == fine.block


def test_the_secrets_are_as_wide_as_the_estimate_says():
    secret = small_secret(2**16, hashlib.shake_128(b"secret").digest)

    # the sample deviation of 2^16 numbers is off by 1.5% once in 10^7 draws
    assert pytest.approx(BINOMIAL, rel=0.015) == secret.std()


def test_the_table_names_what_is_refused(capsys):
    main()
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:-1]]
    refused = [row for row in rows if row[-1] == "refused"]

    assert 2 * len(SETS) == len(rows)
    assert {"-"} == {row[0] for row in refused}
    assert all(int(row[8]) >= NEEDED_BITS for row in rows if row[0] != "-")
    assert ["2048", "2048", "1024", "1024", "1024", "1024"] == [row[1] for row in refused]
