from __future__ import annotations

import sys

import numpy as np
import pytest

from secagg.errors import ConfigurationError, EncodingError, LocalProtocolError, WireError
from secagg.schemes.shared_key import InsecureSharedKey, seal
from secagg.schemes.shared_key.lean import DEGREE
from tests.schemes.shared_key.rounds import BOTH, MOST, RMS, summed, updates, uploads


@pytest.mark.parametrize("gateways", [-1, 0, 2**16 + 1])
def test_impossible_numbers_of_gateways(gateways):
    with pytest.raises(ConfigurationError, match="use a number from 1 to 65536"):
        InsecureSharedKey(gateways=gateways)


def test_unknown_parameters():
    with pytest.raises(ConfigurationError, match="'lean' or 'customary'"):
        InsecureSharedKey("fast", gateways=3)


@pytest.mark.parametrize("parameters", BOTH)
def test_a_missing_extra_is_named(made, parameters, monkeypatch):
    monkeypatch.setitem(sys.modules, "tenseal.sealapi", None)
    seal.sealapi.cache_clear()
    try:
        with pytest.raises(ConfigurationError, match=r"pip install .\.\[seal\]"):
            made(parameters)
    finally:
        seal.sealapi.cache_clear()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((2, 3)), "use float64"),
        (np.zeros(3, np.float32), "use float64"),
        (np.zeros(0), "d positive"),
        (np.array([0.0, np.nan]), "within"),
        (np.array([0.0, np.inf]), "within"),
        (np.array([0.0, np.nextafter(1, 2)]), "within"),
        (np.array([0.0, np.nextafter(-1, -2)]), "within"),
    ],
)
def test_values_that_are_not_encrypted(made, values, message):
    with pytest.raises(EncodingError, match=message):
        made().encrypt(values)


def test_values_at_the_limit_are(made):
    assert 1 == len(made().encrypt(np.array([-1.0, 1.0])))


@pytest.mark.parametrize("length", [0, -1])
def test_impossible_lengths(made, length):
    with pytest.raises(EncodingError, match="positive length"):
        made().running_sum(length)
    with pytest.raises(EncodingError, match="positive length"):
        made().decrypt([], length)


def of_another_ring():
    api, ring = seal.sealapi(), seal.context_of(4096, (54,))
    plain, found = api.Plaintext(), api.Ciphertext()
    api.CKKSEncoder(ring).encode(0.5, 2.0**42, plain)
    api.Encryptor(ring, api.KeyGenerator(ring).secret_key()).encrypt_symmetric(plain, found)
    return seal.dump_seal(found)


def of_another_scale(made):
    return uploads(made(gateways=2048), updates(1, 1))[0][0]


def with_three_parts(made):
    """A product that nobody relinearised, at the right scale."""
    api, scheme = seal.sealapi(), made()
    cipher, plain, found = scheme._cipher, api.Plaintext(), api.Ciphertext()
    cipher._encoder.encode(0.5, 2.0**21, plain)
    cipher._encryptor.encrypt_symmetric(plain, found)
    cipher._evaluator.square_inplace(found)
    return seal.dump_seal(found)


def of_coefficients(made):
    scheme = made()
    found = scheme._cipher.load(uploads(scheme, updates(1, 1))[0][0])
    scheme._cipher._evaluator.transform_from_ntt_inplace(found)
    return seal.dump_seal(found)


LEAN = {
    "nothing": lambda _: b"",
    "garbage": lambda _: b"garbage" * 1000,
    "truncated": lambda made: uploads(made(), updates(1, 1))[0][0][:-1],
    "far too long": lambda _: bytes(10**6),
    "another ring": lambda _: of_another_ring(),
    "customary": lambda made: uploads(made("customary"), updates(1, 1))[0][0],
    "another scale": of_another_scale,
    "three parts": with_three_parts,
    "coefficients": of_coefficients,
}


@pytest.mark.parametrize("case", LEAN)
def test_bytes_that_are_no_lean_ciphertext(made, case):
    data, scheme = LEAN[case](made), made()
    running = scheme.running_sum(1)

    with pytest.raises(WireError):
        running.add([data])
    with pytest.raises(WireError):
        scheme.decrypt([data], 1)


def by_tenseal(values, bits=(60, 40, 40, 60), scale=2.0**40):
    import tenseal

    context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, 8192, -1, list(bits))
    context.global_scale = scale
    return tenseal.ckks_vector(context, values).serialize()


CUSTOMARY = {
    "nothing": lambda _: b"",
    "garbage": lambda _: b"garbage" * 1000,
    "truncated": lambda made: uploads(made("customary"), updates(1, 1))[0][0][:-1],
    "far too long": lambda _: bytes(10**6),
    "other primes": lambda _: by_tenseal([0.5] * 4096, bits=(60, 40, 60)),
    "another scale": lambda _: by_tenseal([0.5] * 4096, scale=2.0**30),
    "fewer values": lambda _: by_tenseal([0.5] * 4095),
    "two ciphertexts": lambda _: by_tenseal([0.5] * 4097),
    "lean": lambda made: uploads(made(), updates(1, 1))[0][0],
}


@pytest.mark.parametrize("case", CUSTOMARY)
def test_bytes_that_are_no_customary_ciphertext(made, case):
    data, scheme = CUSTOMARY[case](made), made("customary")
    running = scheme.running_sum(1)

    with pytest.raises(WireError):
        running.add([data])
    with pytest.raises(WireError):
        scheme.decrypt([data], 1)


@pytest.mark.parametrize("parameters", BOTH)
def test_a_malformed_upload_leaves_the_sum_as_it_was(made, parameters):
    scheme, length = made(parameters), 5000
    vectors = updates(3, length)
    first, second, third = uploads(scheme, vectors)
    running = scheme.running_sum(length)
    running.add(first)
    for bad in ([second[0], b"garbage", *second[2:]], second[:-1], [*second, second[0]], []):
        with pytest.raises(WireError):
            running.add(bad)
    running.add(third)

    error = scheme.decrypt(running.total(), length) - vectors[0] - vectors[2]
    assert np.abs(error).max() <= MOST[parameters] * RMS[parameters] * 2**0.5


@pytest.mark.parametrize("parameters", BOTH)
def test_an_upload_that_annuls_a_part_of_the_sum_is_refused_as_a_whole(made, parameters):
    """SEAL refuses to make ciphertexts that everybody can read."""
    scheme, length = made(parameters), 5000
    cipher, vectors = scheme._cipher, updates(2, length)
    first, second = uploads(scheme, vectors)
    negated = cipher.load(first[-1])
    if parameters == "lean":
        cipher._evaluator.negate_inplace(negated)
    else:
        negated.neg_()
    running = scheme.running_sum(length)
    running.add(first)

    with pytest.raises(WireError, match="do not add"):
        running.add([*second[:-1], cipher.serialise(negated)])
    error = scheme.decrypt(running.total(), length) - vectors[0]
    assert np.abs(error).max() <= MOST[parameters] * RMS[parameters]


def test_a_sum_of_another_length(made):
    scheme = made()
    total = summed(scheme, uploads(scheme, updates(1, DEGREE)), DEGREE)

    with pytest.raises(WireError, match="1 ciphertexts, expected 2"):
        scheme.decrypt(total, DEGREE + 1)


def test_more_uploads_than_gateways(made):
    scheme = made(gateways=1)
    running, (upload,) = scheme.running_sum(1), uploads(scheme, updates(1, 1))
    running.add(upload)

    with pytest.raises(LocalProtocolError, match="1 gateways"):
        running.add(upload)


def test_a_sum_of_nothing(made):
    with pytest.raises(LocalProtocolError, match="no upload"):
        made().running_sum(1).total()
