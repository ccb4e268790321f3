from __future__ import annotations

from pathlib import Path

import pytest

VECTORS = Path(__file__).parents[1] / "vectors"


@pytest.mark.parametrize("name", ["prg.json", "kdf.json", "shamir.json"])
def test_generator_reproduces_frozen_file(oracle, name):
    expected = (VECTORS / name).read_text("utf-8")

    assert expected == oracle.render(oracle.FILES[name]())


@pytest.mark.parametrize("name", ["prg.json", "kdf.json", "shamir.json"])
def test_file_has_a_half_that_must_fail(oracle, name):
    outcomes = {operation["success"] for operation in oracle.FILES[name]()}

    assert outcomes == {True, False}


def test_oracle_aes_is_fips_197_c1(oracle):
    keys = oracle.round_keys(bytes(range(16)))
    expected = bytes.fromhex("69c4e0d86a7b0430d8cdb78070b4c55a")

    assert expected == oracle.aes(keys, bytes.fromhex("00112233445566778899aabbccddeeff"))
