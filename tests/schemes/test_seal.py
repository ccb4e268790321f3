"""What `secagg.schemes.seal` expects of TenSEAL, and that it notices anything else."""

from __future__ import annotations

import builtins
import os
import struct

import numpy as np
import pytest

from secagg.errors import ConfigurationError
from secagg.schemes import seal, seal_file

RINGS = [(2048, 40), (4096, 60), (2048, 54)]


@pytest.fixture
def untested():
    """What was tested before is tested again, now and afterwards."""
    cached = (seal_file.sealapi, seal.context_of, seal._root, seal_file.version)
    for each in cached:
        each.cache_clear()
    yield
    for each in cached:
        each.cache_clear()


@pytest.mark.parametrize(("degree", "bits"), RINGS)
def test_transforms_evaluate_at_odd_powers_of_the_root_in_reversed_order(degree, bits):
    ring = seal.SealRing(degree, bits)
    rng = np.random.default_rng(0)
    rows = rng.integers(0, ring.prime, (2, degree))
    values = ring.ntt(rows)
    for k in (0, 1, degree // 3, degree - 1):
        power = 2 * int(f"{k:0{degree.bit_length() - 1}b}"[::-1], 2) + 1
        point = pow(ring.root, power, ring.prime)
        value = 0
        for coefficient in reversed(rows[1].tolist()):
            value = (value * point + coefficient) % ring.prime

        assert value == values[1, k]


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17])
@pytest.mark.parametrize(("degree", "bits"), RINGS[:2])
def test_there_and_back_whatever_the_number_of_rows(degree, bits, count):
    ring = seal.SealRing(degree, bits)
    rows = np.random.default_rng(count).integers(0, ring.prime, (count, degree))
    rows[0] = 0
    rows[-1, 1:] = 0
    transformed = ring.ntt(rows)

    np.testing.assert_array_equal(rows, ring.intt(transformed))
    for row, each in zip(rows, transformed, strict=True):
        np.testing.assert_array_equal(ring.ntt(row[np.newaxis])[0], each)


def test_nothing_but_zeros():
    ring = seal.SealRing(2048, 40)
    zeros = np.zeros((3, 2048), np.int64)

    np.testing.assert_array_equal(zeros, ring.ntt(zeros))


def test_objects_are_written_and_read():
    api, context = seal_file.sealapi(), seal.context_of(2048, (54,))
    plain = api.Plaintext()
    api.CKKSEncoder(context).encode([1.0, 2.0], 2.0**30, plain)
    data = seal_file.dump_seal(plain)
    again = seal_file.load_seal(api.Plaintext(), context, data)

    assert seal_file.body(data) == seal_file.body(seal_file.dump_seal(again))
    with pytest.raises((RuntimeError, ValueError)):
        seal_file.load_seal(api.Plaintext(), context, data[:-1])
    with pytest.raises((RuntimeError, ValueError)):
        seal_file.load_seal(api.Plaintext(), seal.context_of(4096, (60,)), data)


def test_nothing_is_left_in_the_memory_file():
    ring = seal.SealRing(2048, 40)
    ring.ntt(np.ones((2, 2048), np.int64))

    assert os.fstat(ring._file._descriptor).st_size == 0


def test_nothing_is_left_in_it_when_seal_refuses_what_it_reads():
    ring = seal.SealRing(2048, 40)
    with pytest.raises((RuntimeError, ValueError)):
        ring.ciphertext(np.full((2, 2048), ring.prime))

    assert os.fstat(ring._file._descriptor).st_size == 0


def test_memory_files_are_closed():
    ring = seal.SealRing(2048, 40)
    descriptor = ring._file._descriptor
    del ring
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(descriptor)


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

    assert not isinstance(caught.value, seal_file.SealDiffers)


# -- another installation than expected ------------------------------------------------------------


@pytest.mark.parametrize("name", ["tenseal.sealapi", "zstandard"])
def test_without_the_extra(untested, monkeypatch, name):
    real = builtins.__import__

    def without(wanted, *arguments):
        if wanted == name:
            raise ImportError(f"No module named {name!r}")
        return real(wanted, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(seal_file.SealMissing, match=r"pip install '\.\[ckks\]'"):
        seal.SealRing(2048, 40)


def test_without_files_in_memory(untested, monkeypatch):
    monkeypatch.delattr(os, "memfd_create")
    with pytest.raises(seal_file.SealMissing, match="which this system lacks"):
        seal.SealRing(2048, 40)


def header(data, **changes):
    fields = dict(
        zip(
            ("magic", "size", "major", "minor", "compression", "reserved", "length"),
            seal_file.HEADER.unpack_from(data),
            strict=True,
        )
    )
    return seal_file.HEADER.pack(*(fields | changes).values()) + data[seal_file.HEADER.size :]


WRITTEN = {
    "nothing": lambda _: b"",
    "a header cut short": lambda data: data[:15],
    "another magic number": lambda data: header(data, magic=0xA15F),
    "a larger header": lambda data: header(data, size=24),
    "another major version": lambda data: header(data, major=5),
    "another length": lambda data: header(data, length=len(data) + 1),
    "zlib": lambda data: header(data, compression=1),
    "another ring's name": lambda data: data[:16] + bytes(32) + data[48:],
    "another number": lambda data: data[:-8] + struct.pack("<Q", 4),
}


@pytest.mark.parametrize("change", WRITTEN)
def test_files_that_are_written_otherwise(untested, monkeypatch, change):
    real = seal_file.MemoryFile.dump

    def dump(self, thing):
        data = real(self, thing)
        if len(data) > seal_file.HEADER.size:
            content = seal_file.body(data)
            data = seal_file.header(len(content)) + content  # raw: what is changed is what it says
        return WRITTEN[change](data)

    seal_file.version()
    monkeypatch.setattr(seal_file.MemoryFile, "dump", dump)
    with pytest.raises(seal_file.SealDiffers, match="not the one this library was written for"):
        seal.SealRing(2048, 40)


@pytest.mark.parametrize(
    "change", [lambda _: b"", lambda data: header(data, major=3), lambda data: header(data, size=8)]
)
def test_files_of_another_format(untested, monkeypatch, change):
    real = seal_file.MemoryFile.dump
    monkeypatch.setattr(seal_file.MemoryFile, "dump", lambda *each: change(real(*each)))
    with pytest.raises(seal_file.SealDiffers, match="not the one this library was written for"):
        seal.SealRing(2048, 40)


def test_a_corrupt_body():
    data = bytearray(
        seal_file.dump_seal(seal.SealRing(2048, 40).ciphertext(np.ones((2, 2048), np.int64)))
    )
    data[-9] ^= 255
    with pytest.raises(seal_file.SealDiffers):
        seal_file.body(bytes(data))


def test_a_version_that_changes_on_the_way(untested):
    data = seal_file.dump_seal(seal_file.sealapi().Plaintext())
    with pytest.raises(seal_file.SealDiffers):
        seal_file.body(header(data, minor=99))


def swapped(values):
    values[:, [0, 1]] = values[:, [1, 0]]


def off_by_one(values):
    values[1, 7] += 1


def other_order(values):
    values[:, :] = values[:, ::-1].copy()


@pytest.mark.parametrize("change", [swapped, off_by_one, other_order])
@pytest.mark.parametrize("way", [False, True], ids=["there", "back"])
def test_transforms_that_differ(untested, monkeypatch, change, way):
    real = seal._Transforms._crafted

    def crafted(self, rows, *, inverse):
        values = real(self, rows, inverse=inverse).copy()
        if inverse == way:
            change(values)
        return values

    monkeypatch.setattr(seal._Transforms, "_crafted", crafted)
    with pytest.raises(seal_file.SealDiffers, match="transform"):
        seal.SealRing(2048, 40)


@pytest.mark.parametrize("part", ["EncryptionParameters", "CKKSEncoder", "Evaluator", "Ciphertext"])
def test_a_part_that_is_gone(untested, monkeypatch, part):
    monkeypatch.delattr(seal_file.sealapi(), part)
    with pytest.raises(seal_file.SealDiffers, match=part):
        seal.SealRing(2048, 40)
