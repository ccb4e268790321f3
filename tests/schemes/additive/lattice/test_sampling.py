from __future__ import annotations

import math

import numpy as np
import pytest

from secagg.errors import LocalProtocolError
from secagg.schemes.additive.lattice import reference
from secagg.schemes.additive.lattice.sampling import NoiseStream
from secagg.schemes.additive.sampling import small_secret
from tests.schemes.additive.lattice.rounds import stream

KEY = bytes(range(16))
# 2^16 coefficients; chi-square with 14 degrees of freedom is above 49.9 once in 2^17 keys
SAMPLES, CHI_SQUARE = 2**16, 49.9


def _chi_square(values: np.ndarray) -> float:
    """Against the centred binomial law; |e| >= 7 together on either side."""
    law = {e: math.comb(32, 16 + e) / 2**32 for e in range(-16, 17)}
    cut = np.clip(values, -7, 7)
    expected = {e: len(values) * law[e] for e in range(-6, 7)}
    expected[7] = expected[-7] = len(values) * sum(law[e] for e in range(7, 17))
    return sum((np.count_nonzero(cut == e) - x) ** 2 / x for e, x in expected.items())


def test_noise_and_secrets_have_the_centred_binomial_law():
    noise = NoiseStream(KEY, 2048, 32).noise(0, 32).reshape(-1)
    secret = np.concatenate([small_secret(2048, stream(i)) for i in range(32)])
    uniform = np.random.default_rng(0).integers(-4, 5, SAMPLES)  # about the same variance

    assert _chi_square(noise) < CHI_SQUARE
    assert _chi_square(secret) < CHI_SQUARE
    assert _chi_square(uniform) > CHI_SQUARE
    assert (np.int8, np.int64) == (noise.dtype, secret.dtype)


def test_extreme_bits_give_the_extreme_coefficients():
    assert {-16} == set(small_secret(64, bytes).tolist())
    assert {16} == set(small_secret(64, lambda size: b"\xff" * size).tolist())


def test_noise_is_that_of_the_reference_from_any_block():
    stream_of_one, stream_of_four = NoiseStream(KEY, 2048, 1), NoiseStream(KEY, 2048, 4)
    blocks = stream_of_four.noise(7, 4).copy()
    for block in (9, 7, 10, 8):
        expected = reference.noise(KEY, block, 2048)

        assert expected == blocks[block - 7].tolist()
        assert expected == stream_of_one.noise(block, 1)[0].tolist()
    assert np.count_nonzero(blocks[0] == blocks[1]) < 500


def test_another_key_gives_other_noise():
    first, second = (NoiseStream(key, 2048, 1).noise(0, 1)[0] for key in (KEY, KEY[::-1]))

    assert np.count_nonzero(first == second) < 500  # the law agrees with itself in one of ten


def test_a_key_of_another_size_is_refused():
    with pytest.raises(LocalProtocolError):
        NoiseStream(KEY[1:], 2048, 1)
