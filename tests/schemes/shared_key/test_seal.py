"""What `shared_key.seal` expects of TenSEAL, and that it notices anything else."""

from __future__ import annotations

import builtins
import os
from pathlib import Path

import pytest

from secagg.errors import ConfigurationError
from secagg.schemes.shared_key import seal
from tests.schemes.seal_files import body

OPENED = Path("/proc/self/fd")


@pytest.fixture
def untested():
    """What was tested before is tested again, now and afterwards."""
    cached = (seal.sealapi, seal.context_of)
    for each in cached:
        each.cache_clear()
    yield
    for each in cached:
        each.cache_clear()


def test_objects_are_written_and_read():
    api, context = seal.sealapi(), seal.context_of(2048, (54,))
    plain = api.Plaintext()
    api.CKKSEncoder(context).encode([1.0, 2.0], 2.0**30, plain)
    data = seal.dump_seal(plain)
    again = seal.load_seal(api.Plaintext(), context, data)

    assert body(data) == body(seal.dump_seal(again))
    opened = set(OPENED.iterdir())
    with pytest.raises((RuntimeError, ValueError)):
        seal.load_seal(api.Plaintext(), context, data[:-1])
    assert opened == set(OPENED.iterdir())
    with pytest.raises((RuntimeError, ValueError)):
        seal.load_seal(api.Plaintext(), seal.context_of(4096, (60,)), data)


@pytest.mark.parametrize(
    ("degree", "bits", "sentence"),
    [
        (2048, (55,), "security standard"),
        (2048, (60,), "security standard"),
        (4096, (60, 60), "security standard"),
        (1000, (40,), "1000"),
        (2048, (), "primes of"),
    ],
)
def test_parameters_outside_the_table(degree, bits, sentence):
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        seal.context_of(degree, bits)

    assert not isinstance(caught.value, seal.SealDiffers)


# -- another installation than expected ------------------------------------------------------------


def test_without_the_extra(untested, monkeypatch):
    real = builtins.__import__

    def without(wanted, *arguments):
        if wanted == "tenseal.sealapi":
            raise ImportError(f"No module named {wanted!r}")
        return real(wanted, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(seal.SealMissing, match=r"pip install '\.\[seal\]'"):
        seal.context_of(2048, (40,))


def test_without_files_in_memory(untested, monkeypatch):
    monkeypatch.delattr(os, "memfd_create")
    with pytest.raises(seal.SealMissing, match="which this system lacks"):
        seal.context_of(2048, (40,))


@pytest.mark.parametrize("part", ["EncryptionParameters", "CoeffModulus", "SEALContext"])
def test_a_part_that_is_gone(untested, monkeypatch, part):
    monkeypatch.delattr(seal.sealapi(), part)
    with pytest.raises(seal.SealDiffers, match=part):
        seal.context_of(2048, (40,))
