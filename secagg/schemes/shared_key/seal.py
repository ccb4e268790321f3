"""Uses Microsoft SEAL through TenSEAL: makes its contexts, reads and writes its objects as files.

The only file that imports `tenseal.sealapi` or knows the header that SEAL writes. TenSEAL takes and
gives objects of SEAL as files alone; here these are anonymous files in memory. A SEAL file is a
header of 16 bytes and a body, raw or compressed by zstd.

Source: the interface of tenseal 0.3; the file format of SEAL 4, found by reading such files. As
neither promises to stay, `context_of` tests on first use that an installation behaves as it is used
here, and refuses one that does not.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from functools import cache
from types import ModuleType
from typing import Any, Final, NoReturn

import numpy as np

from secagg.errors import ConfigurationError, install_hint

_MAGIC: Final = 0xA15E
_MAJOR: Final = 4
"""Version of SEAL whose files are read and written here: 4.1 in tenseal 0.3.15, 4.3 in 0.3.18."""
HEADER: Final = struct.Struct("<HBBBBHQ")
"""Magic, size of the header, version major and minor, compression, reserved, size with header."""
_RAW, _ZSTD = 0, 2


class SealMissing(ConfigurationError):
    """The extra `seal` is not installed, or this system has no files in memory."""


class SealDiffers(ConfigurationError):
    """The installed TenSEAL behaves otherwise than the one this library was written for."""


@cache
def sealapi() -> ModuleType:
    """`tenseal.sealapi`.

    Raises:
        SealMissing: it is not installed.
    """
    try:
        import tenseal.sealapi as api
        import zstandard  # noqa: F401 - asked for here, so that its absence is noticed early
    except ImportError as error:
        raise SealMissing(
            f"the shared key takes TenSEAL and zstandard ({error}): {install_hint('seal')}, or use"
            " the scheme ckks, which needs neither"
        ) from None
    if not hasattr(os, "memfd_create"):
        raise SealMissing(
            "the shared key takes anonymous files in memory, which this system lacks (Linux has"
            " them): use the scheme ckks, which needs none"
        )
    found: ModuleType = api
    return found


@cache
def context_of(degree: int, bits: tuple[int, ...]) -> Any:
    """The ring Z_Q[X] / (X^N + 1), Q a product of primes of given sizes; tested on first use.

    Args:
        degree: N.
        bits: size of each prime.

    Returns:
        A SEALContext for CKKS.

    Raises:
        SealMissing: the extra is not installed.
        SealDiffers: TenSEAL is not as expected.
        ConfigurationError: outside SEAL's table of 128-bit security.
    """
    api = sealapi()
    try:
        parms = api.EncryptionParameters(api.SCHEME_TYPE.CKKS)
        parms.set_poly_modulus_degree(degree)
        parms.set_coeff_modulus(api.CoeffModulus.Create(degree, list(bits)))
        made = api.SEALContext(parms, True, api.SEC_LEVEL_TYPE.TC128)
    except (ValueError, RuntimeError) as error:
        raise ConfigurationError(f"N = {degree} with primes of {bits} bits: {error}") from None
    except (AttributeError, TypeError) as error:
        differs(str(error))
    if not made.parameters_set():
        raise ConfigurationError(
            f"N = {degree} with primes of {bits} bits: {made.parameters_error_message()}"
        )
    _check_files(made)
    return made


def dump_seal(thing: Any) -> bytes:
    """A SEAL object as SEAL writes it.

    Args:
        thing: Ciphertext, Plaintext, SecretKey, ...
    """
    return MemoryFile().dump(thing)


def load_seal(thing: Any, context: Any, data: bytes) -> Any:
    """Read a SEAL object; SEAL checks that it belongs to the context.

    Args:
        thing: an empty object of the right kind.
        context: of `context_of`.
        data: of `dump`.

    Returns:
        `thing`.

    Raises:
        RuntimeError, ValueError: no object of that kind and context.
    """
    MemoryFile().load(thing, context, data)
    return thing


class MemoryFile:
    """An anonymous file in memory: what is written to it reaches no disk but by swapping."""

    def __init__(self) -> None:
        sealapi()  # its error is the better one
        self._descriptor = os.memfd_create("seal")
        self._path = f"/proc/self/fd/{self._descriptor}"

    def __del__(self) -> None:
        with suppress(AttributeError, OSError):  # half made, or closed by the interpreter's end
            os.close(self._descriptor)

    def dump(self, thing: Any) -> bytes:
        """A SEAL object as SEAL writes it."""
        try:
            thing.save(self._path)
            return os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)
        finally:
            os.ftruncate(self._descriptor, 0)

    def load(self, thing: Any, context: Any, *parts: bytes | memoryview) -> None:
        """Read a SEAL object out of a file in parts."""
        try:
            os.pwritev(self._descriptor, parts, 0)
            thing.load(context, self._path)
        finally:
            os.ftruncate(self._descriptor, 0)


def header(size: int) -> bytes:
    """The header of a raw body of so many bytes."""
    return HEADER.pack(_MAGIC, HEADER.size, *version(), _RAW, 0, HEADER.size + size)


@cache
def version() -> tuple[int, int]:
    """Version of the files that the installed SEAL writes.

    Raises:
        SealDiffers: of another format.
    """
    data = MemoryFile().dump(sealapi().Plaintext())
    if len(data) < HEADER.size:
        differs(f"a file of {len(data)} bytes")
    magic, size, major, minor, *_ = HEADER.unpack_from(data)
    if (magic, size, major) != (_MAGIC, HEADER.size, _MAJOR):
        differs(f"files of version {major}.{minor}")
    return major, minor


def body(data: bytes) -> bytes:
    """What follows the header of a SEAL file, decompressed.

    Raises:
        SealDiffers: another format.
    """
    if len(data) < HEADER.size:
        differs(f"a file of {len(data)} bytes")
    magic, size, major, minor, compression, _, length = HEADER.unpack_from(data)
    if (magic, size, (major, minor), length) != (_MAGIC, HEADER.size, version(), len(data)):
        differs("a file with another header")
    rest = data[size:]
    if compression == _RAW:
        return rest
    if compression == _ZSTD:
        import zstandard

        # SEAL does not write the size of the content, so the one-shot call cannot be used
        try:
            found: bytes = zstandard.ZstdDecompressor().decompressobj().decompress(rest)
        except zstandard.ZstdError as error:
            differs(str(error))
        return found
    return differs(f"compression {compression}")


def differs(what: str) -> NoReturn:
    """Refuse the installed TenSEAL.

    Raises:
        SealDiffers: always.
    """
    raise SealDiffers(
        f"the installed TenSEAL is not the one this library was written for ({what}): install"
        " tenseal 0.3.15 to 0.3.18, or use the scheme ckks, which needs none"
    )


def _parms_id(context: Any) -> bytes:
    """The name of the ring in SEAL's files: 32 bytes."""
    return struct.pack("<4Q", *context.first_parms_id())


def _check_files(context: Any) -> None:
    """Accept a TenSEAL whose plaintexts are written as expected, and are read back.

    Raises:
        SealDiffers: something else came out.
    """
    api, file = sealapi(), MemoryFile()
    try:
        encoder, plain = api.CKKSEncoder(context), api.Plaintext()
        encoder.encode(3.0, 1.0, plain)  # the constant polynomial 3: so is its transform
        content = body(file.dump(plain))
        file.load(api.Plaintext(), context, header(len(content)) + content)
        words = np.frombuffer(content, "<i8", offset=len(content) - 16 * encoder.slot_count())
    except (SealMissing, SealDiffers):
        raise
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        differs(str(error))
    if not content.startswith(_parms_id(context)) or not (words == 3).all():
        differs("a plaintext is written otherwise")
