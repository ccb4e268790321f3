"""The files of SEAL 4, found by reading some: a header of 16 bytes and a body, raw or zstd's."""

from __future__ import annotations

import struct
from functools import cache

import zstandard

from secagg.schemes.shared_key import seal

HEADER = struct.Struct("<HBBBBHQ")
"""Magic, size of the header, version major and minor, compression, reserved, size with header."""
RAW, ZSTD = 0, 2


@cache
def _start() -> tuple[int, ...]:
    """Magic, size and version, as the installed SEAL writes them."""
    return HEADER.unpack_from(seal.dump_seal(seal.sealapi().Plaintext()))[:4]


def header(size: int) -> bytes:
    """The header of a raw body of so many bytes."""
    return HEADER.pack(*_start(), RAW, 0, HEADER.size + size)


def body(data: bytes) -> bytes:
    """What follows the header, decompressed."""
    *start, compression, _, length = HEADER.unpack_from(data)
    rest = data[HEADER.size :]
    assert (tuple(start), length) == (_start(), len(data))
    if compression == RAW:
        return rest
    assert compression == ZSTD
    # SEAL does not write the size of the content, so the one-shot call cannot be used
    return zstandard.ZstdDecompressor().decompressobj().decompress(rest)
