from __future__ import annotations

import warnings

import numpy as np
import pytest

from secagg.schemes.shared_key import InsecureSchemeWarning, InsecureSharedKey, scheme
from secagg.schemes.shared_key.lean import DEGREE
from tests.schemes.shared_key.rounds import BOTH, MOST, RMS, summed, updates, uploads

# -- sums ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 2, 4095, 4097, 10_000])
@pytest.mark.parametrize("parameters", BOTH)
def test_the_sum_is_within_its_noise(made, parameters, length):
    gateways = 3
    scheme, vectors = made(parameters, gateways=gateways), updates(gateways, length)
    total = summed(scheme, uploads(scheme, vectors), length)
    error = scheme.decrypt(total, length) - vectors.sum(axis=0)

    assert (length,) == error.shape
    assert np.abs(error).max() <= MOST[parameters] * RMS[parameters] * gateways**0.5
    if length > 4000:  # it is the noise that is seen, no exact sum
        assert error.std() > RMS[parameters] * gateways**0.5 / 2


def worst():
    """Both parts of all slots at the limit, such that one coefficient reaches sqrt(2)."""
    return np.where(np.arange(DEGREE) // 2 % 2, -1.0, 1.0)


def test_nothing_wraps_when_all_gateways_are_at_the_limit(made):
    gateways = 2048  # beyond 1024 the scale gives way
    scheme = made(gateways=gateways)
    (upload,) = uploads(scheme, [worst()])
    total = summed(scheme, [upload] * gateways, DEGREE)

    assert 2.0**41 == scheme._cipher._scale
    assert np.abs(scheme.decrypt(total, DEGREE) / gateways - worst()).max() < 1e-9


def test_a_scale_beyond_the_room_would_wrap(made):
    gateways = 2048
    scheme = made(gateways=gateways)
    scheme._cipher._scale *= 2
    (upload,) = uploads(scheme, [worst()])
    total = summed(scheme, [upload] * gateways, DEGREE)

    assert np.abs(scheme.decrypt(total, DEGREE) / gateways - worst()).max() > 0.01


def test_a_short_vector_with_a_stride_is_encrypted_as_it_is(made):
    scheme, values = made(), updates(1, 2 * DEGREE)[0][::2]
    total = summed(scheme, uploads(scheme, [values]), len(values))

    np.testing.assert_allclose(scheme.decrypt(total, len(values)), values, atol=1e-9)


def test_two_encryptions_of_one_vector_differ(made):
    scheme, values = made(), updates(1, 10)[0]

    assert uploads(scheme, [values]) != uploads(scheme, [values])


def test_lean_uploads_carry_the_seed_of_their_second_half(made):
    scheme, length = made(), 10 * DEGREE
    (upload,) = uploads(scheme, updates(1, length))
    total = summed(scheme, [upload], length)

    assert sum(map(len, upload)) <= 8 * length
    assert sum(map(len, total)) > 1.9 * sum(map(len, upload))


def test_customary_uploads_are_ten_times_as_large(made):
    scheme, length = made("customary"), 2 * 4096
    (upload,) = uploads(scheme, updates(1, length))

    assert 2 == len(upload)
    assert 75 * length < sum(map(len, upload)) < 90 * length


def test_tenseal_prints_nothing(made, capfd):
    scheme = made("customary")
    scheme.decrypt(summed(scheme, uploads(scheme, updates(1, 10_000)), 10_000), 10_000)

    assert ("", "") == capfd.readouterr()


# -- what it says of itself ------------------------------------------------------------------------


def test_it_warns_once_in_a_process_where_it_is_made():
    scheme._warn.cache_clear()
    with pytest.warns(InsecureSchemeWarning, match="comparison only") as caught:
        InsecureSharedKey(gateways=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        InsecureSharedKey("customary", gateways=3)

    assert [__file__] == [each.filename for each in caught]


@pytest.mark.parametrize("parameters", BOTH)
def test_its_guarantees_name_what_breaks_it(made, parameters):
    scheme = made(parameters)
    said = scheme.guarantees()

    assert f"insecure_shared_key ({parameters})" == scheme.name
    assert said.hides.startswith("Nothing from an orchestrator with one gateway on its side")
    assert "decrypted sums" in said.not_promised


def test_a_single_upload_decrypts_at_any_gateway_as_the_guarantees_say(made):
    scheme, (values,) = made(), updates(1, 100)
    (upload,) = uploads(scheme, [values])

    np.testing.assert_allclose(scheme.decrypt(upload, 100), values, atol=1e-9)
