"""What `shared_key.seal` expects of TenSEAL, and that it notices anything else."""

from __future__ import annotations

import builtins
import os
import struct

import pytest

from secagg.errors import ConfigurationError
from secagg.schemes.shared_key import seal


@pytest.fixture
def untested():
    """What was tested before is tested again, now and afterwards."""
    cached = (seal.sealapi, seal.context_of, seal.version)
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

    assert seal.body(data) == seal.body(seal.dump_seal(again))
    with pytest.raises((RuntimeError, ValueError)):
        seal.load_seal(api.Plaintext(), context, data[:-1])
    with pytest.raises((RuntimeError, ValueError)):
        seal.load_seal(api.Plaintext(), seal.context_of(4096, (60,)), data)


def test_nothing_is_left_in_a_memory_file_and_it_is_closed():
    api, context, file = seal.sealapi(), seal.context_of(2048, (40,)), seal.MemoryFile()
    data = file.dump(api.Plaintext())

    assert os.fstat(file._descriptor).st_size == 0
    with pytest.raises((RuntimeError, ValueError)):
        file.load(api.Ciphertext(), context, data[:-1])
    assert os.fstat(file._descriptor).st_size == 0
    descriptor = file._descriptor
    del file
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

    assert not isinstance(caught.value, seal.SealDiffers)


# -- another installation than expected ------------------------------------------------------------


@pytest.mark.parametrize("name", ["tenseal.sealapi", "zstandard"])
def test_without_the_extra(untested, monkeypatch, name):
    real = builtins.__import__

    def without(wanted, *arguments):
        if wanted == name:
            raise ImportError(f"No module named {name!r}")
        return real(wanted, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(seal.SealMissing, match=r"pip install '\.\[seal\]'"):
        seal.context_of(2048, (40,))


def test_without_files_in_memory(untested, monkeypatch):
    monkeypatch.delattr(os, "memfd_create")
    with pytest.raises(seal.SealMissing, match="which this system lacks"):
        seal.context_of(2048, (40,))


def header(data, **changes):
    fields = dict(
        zip(
            ("magic", "size", "major", "minor", "compression", "reserved", "length"),
            seal.HEADER.unpack_from(data),
            strict=True,
        )
    )
    return seal.HEADER.pack(*(fields | changes).values()) + data[seal.HEADER.size :]


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
    real = seal.MemoryFile.dump

    def dump(self, thing):
        data = real(self, thing)
        if len(data) > seal.HEADER.size:
            content = seal.body(data)
            data = seal.header(len(content)) + content  # raw: what is changed is what it says
        return WRITTEN[change](data)

    seal.version()
    monkeypatch.setattr(seal.MemoryFile, "dump", dump)
    with pytest.raises(seal.SealDiffers, match="not the one this library was written for"):
        seal.context_of(2048, (40,))


@pytest.mark.parametrize(
    "change", [lambda _: b"", lambda data: header(data, major=3), lambda data: header(data, size=8)]
)
def test_files_of_another_format(untested, monkeypatch, change):
    real = seal.MemoryFile.dump
    monkeypatch.setattr(seal.MemoryFile, "dump", lambda *each: change(real(*each)))
    with pytest.raises(seal.SealDiffers, match="not the one this library was written for"):
        seal.context_of(2048, (40,))


def test_a_corrupt_body():
    data = bytearray(
        seal.dump_seal(seal.sealapi().KeyGenerator(seal.context_of(2048, (40,))).secret_key())
    )
    data[-9] ^= 255
    with pytest.raises(seal.SealDiffers):
        seal.body(bytes(data))


def test_a_version_that_changes_on_the_way(untested):
    data = seal.dump_seal(seal.sealapi().Plaintext())
    with pytest.raises(seal.SealDiffers):
        seal.body(header(data, minor=99))


@pytest.mark.parametrize("part", ["EncryptionParameters", "CKKSEncoder", "Plaintext"])
def test_a_part_that_is_gone(untested, monkeypatch, part):
    monkeypatch.delattr(seal.sealapi(), part)
    with pytest.raises(seal.SealDiffers, match=part):
        seal.context_of(2048, (40,))
