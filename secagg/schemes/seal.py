"""Uses Microsoft SEAL through TenSEAL: its rings, its transforms, its files.

The only file that imports `tenseal.sealapi` or knows how SEAL writes its objects. TenSEAL takes and
gives polynomials of SEAL as files alone; here these are anonymous files in memory. A SEAL file is
a header of 16 bytes and a body, raw or compressed by zstd.

Source: the interface of tenseal 0.3 and the file format of SEAL 4, found by reading such files.
Because neither promises to stay, `context_of` tests on first use that everything below behaves as
it is used here, and refuses an installation that does not.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from types import ModuleType
from typing import Any, Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from secagg.errors import ConfigurationError, install_hint

Rows = NDArray[np.int64]
"""Polynomials or their transforms, one a row, numbers from 0 to p - 1."""

MAX_ROWS: Final = 16
"""SEAL_CIPHERTEXT_SIZE_MAX: polynomials in one ciphertext."""

_MAGIC: Final = 0xA15E
_MAJOR: Final = 4
"""Of SEAL, whose files this module reads and writes: 4.1 in tenseal 0.3.15, 4.3 in 0.3.18."""
_HEADER: Final = struct.Struct("<HBBBBHQ")
"""Magic, size of the header, version major and minor, compression, reserved, size with header."""
_RAW, _ZSTD = 0, 2
_PARMS_ID_BYTES: Final = 32
_CIPHERTEXT: Final = struct.Struct("<?QQQdQ")
"""NTT form, polynomials, N, primes, scale, correction factor; then an array with its own header."""
_COUNT: Final = struct.Struct("<Q")


class SealMissing(ConfigurationError):
    """The extra `ckks` is not installed, or this system has no files in memory."""


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
            f"CKKS takes TenSEAL and zstandard ({error}): {install_hint('ckks')}, or use the scheme"
            " masks or lattice"
        ) from None
    if not hasattr(os, "memfd_create"):
        raise SealMissing(
            "CKKS takes anonymous files in memory, which this system lacks (Linux has them): use"
            " the scheme masks or lattice"
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
    seal = sealapi()
    try:
        parms = seal.EncryptionParameters(seal.SCHEME_TYPE.CKKS)
        parms.set_poly_modulus_degree(degree)
        parms.set_coeff_modulus(seal.CoeffModulus.Create(degree, list(bits)))
        made = seal.SEALContext(parms, True, seal.SEC_LEVEL_TYPE.TC128)
    except (ValueError, RuntimeError) as error:
        raise ConfigurationError(f"N = {degree} with primes of {bits} bits: {error}") from None
    except (AttributeError, TypeError) as error:
        _differs(str(error))
    if not made.parameters_set():
        raise ConfigurationError(
            f"N = {degree} with primes of {bits} bits: {made.parameters_error_message()}"
        )
    _check_files(made)
    return made


class _Transforms:
    """What SEAL makes of crafted ciphertexts, believed."""

    def __init__(self, degree: int, bits: int) -> None:
        self._context = context_of(degree, (bits,))
        self._file = _MemoryFile()
        self._evaluator = sealapi().Evaluator(self._context)
        self._parms_id = _parms_id(self._context)
        self.degree: Final = degree
        self.prime: Final = _primes(self._context)[0]

    def ntt(self, rows: Rows) -> Rows:
        """Transforms of polynomials.

        Args:
            rows: int64[k, N] in [0, p).

        Returns:
            int64[k, N] in [0, p).
        """
        return self._transform(rows, inverse=False)

    def intt(self, rows: Rows) -> Rows:
        """Polynomials of transforms; arguments and result as of `ntt`."""
        return self._transform(rows, inverse=True)

    def _transform(self, rows: Rows, *, inverse: bool) -> Rows:
        if 1 < len(rows) <= MAX_ROWS and rows[-1].any():
            return self._crafted(rows, inverse=inverse)
        # SEAL has no ciphertext of one polynomial, and none with nothing but zeros after the first
        companion = np.ones_like(rows[0])
        pairs = (np.stack([row, companion]) for row in rows)
        return np.stack([self._crafted(pair, inverse=inverse)[0] for pair in pairs])

    def _crafted(self, rows: Rows, *, inverse: bool) -> Rows:
        """Up to 16 polynomials at a time, as one ciphertext that nobody encrypted."""
        ciphertext = self.ciphertext(rows, ntt=inverse)
        transforms = self._evaluator
        if inverse:
            transforms.transform_from_ntt_inplace(ciphertext)
        else:
            transforms.transform_to_ntt_inplace(ciphertext)
        return _last_words(body(self._file.dump(ciphertext)), len(rows), self.degree)

    def ciphertext(self, rows: Rows, *, ntt: bool = True, scale: float = 1.0) -> Any:
        """A Ciphertext with given polynomials.

        Args:
            rows: int64[k, N] in [0, p), k from 2 to `MAX_ROWS`.
            ntt: whether they are transforms.
            scale: of what is encoded.
        """
        data = np.ascontiguousarray(rows, "<i8").data
        fields = self._parms_id + _CIPHERTEXT.pack(ntt, len(rows), self.degree, 1, scale, 1)
        fields += _header(_COUNT.size + data.nbytes) + _COUNT.pack(rows.size)
        made = sealapi().Ciphertext()
        head = _header(len(fields) + data.nbytes)
        self._file.load(made, self._context, head + fields, data)
        return made


class SealRing(_Transforms):
    """Z_p[X] / (X^N + 1) and its number-theoretic transform, by SEAL. Belongs to one thread.

    Value k of a transform is the polynomial at psi^(2 r + 1), r the bits of k reversed and psi the
    least primitive 2N-th root of unity modulo p.

    Args:
        degree: N.
        bits: size of p, the largest NTT prime of that size.

    Attributes:
        degree: N.
        prime: p.
        root: psi.

    Raises:
        SealMissing, SealDiffers, ConfigurationError: as `context_of`.
    """

    def __init__(self, degree: int, bits: int) -> None:
        self.root: Final = _root(degree, bits)
        super().__init__(degree, bits)


def dump(thing: Any) -> bytes:
    """A SEAL object as SEAL writes it.

    Args:
        thing: Ciphertext, Plaintext, SecretKey, ...
    """
    return _MemoryFile().dump(thing)


def load(thing: Any, context: Any, data: bytes) -> Any:
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
    _MemoryFile().load(thing, context, data)
    return thing


class _MemoryFile:
    """An anonymous file in memory: what is written to it reaches no disk but by swapping."""

    def __init__(self) -> None:
        sealapi()  # its error is the better one
        self._descriptor = os.memfd_create("seal")
        self._path = f"/proc/self/fd/{self._descriptor}"

    def __del__(self) -> None:
        with suppress(AttributeError, OSError):  # half made, or closed by the interpreter's end
            os.close(self._descriptor)

    def dump(self, thing: Any) -> bytes:
        try:
            thing.save(self._path)
            return os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)
        finally:
            os.ftruncate(self._descriptor, 0)

    def load(self, thing: Any, context: Any, *parts: bytes | memoryview) -> None:
        try:
            os.pwritev(self._descriptor, parts, 0)
            thing.load(context, self._path)
        finally:
            os.ftruncate(self._descriptor, 0)


def _header(size: int) -> bytes:
    """Of a raw body of so many bytes."""
    return _HEADER.pack(_MAGIC, _HEADER.size, *_version(), _RAW, 0, _HEADER.size + size)


@cache
def _version() -> tuple[int, int]:
    """Of the files that the installed SEAL writes.

    Raises:
        SealDiffers: of another format.
    """
    data = _MemoryFile().dump(sealapi().Plaintext())
    if len(data) < _HEADER.size:
        _differs(f"a file of {len(data)} bytes")
    magic, size, major, minor, *_ = _HEADER.unpack_from(data)
    if (magic, size, major) != (_MAGIC, _HEADER.size, _MAJOR):
        _differs(f"files of version {major}.{minor}")
    return major, minor


def body(data: bytes) -> bytes:
    """What follows the header of a SEAL file, decompressed.

    Raises:
        SealDiffers: another format.
    """
    if len(data) < _HEADER.size:
        _differs(f"a file of {len(data)} bytes")
    magic, size, major, minor, compression, _, length = _HEADER.unpack_from(data)
    if (magic, size, (major, minor), length) != (_MAGIC, _HEADER.size, _version(), len(data)):
        _differs("a file with another header")
    rest = data[size:]
    if compression == _RAW:
        return rest
    if compression == _ZSTD:
        import zstandard

        # SEAL does not write the size of the content, so the one-shot call cannot be used
        try:
            found: bytes = zstandard.ZstdDecompressor().decompressobj().decompress(rest)
        except zstandard.ZstdError as error:
            _differs(str(error))
        return found
    return _differs(f"compression {compression}")


def _last_words(content: bytes, rows: int, degree: int) -> Rows:
    """The array that a body ends with: int64[rows, N]."""
    return np.frombuffer(content, "<i8", offset=len(content) - 8 * rows * degree).reshape(
        rows, degree
    )


def _primes(context: Any) -> Sequence[int]:
    parms = context.first_context_data().parms()  # without the prime for switching keys
    return [each.value() for each in parms.coeff_modulus()]


def _parms_id(context: Any) -> bytes:
    """The name of the ring in SEAL's files: 32 bytes."""
    return struct.pack("<4Q", *context.first_parms_id())


def _check_files(context: Any) -> None:
    """Accept a TenSEAL whose plaintexts are written as expected, and are read back.

    Raises:
        SealDiffers: something else came out.
    """
    seal, file = sealapi(), _MemoryFile()
    try:
        encoder, plain = seal.CKKSEncoder(context), seal.Plaintext()
        encoder.encode(3.0, 1.0, plain)  # the constant polynomial 3: so is its transform
        content = body(file.dump(plain))
        file.load(seal.Plaintext(), context, _header(len(content)) + content)
        words = _last_words(content, len(_primes(context)), encoder.slot_count() * 2)
    except (SealMissing, SealDiffers):
        raise
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        _differs(str(error))
    if not content.startswith(_parms_id(context)) or not (words == 3).all():
        _differs("a plaintext is written otherwise")


@cache
def _root(degree: int, bits: int) -> int:
    """psi, after the transforms were seen to be what `SealRing` says.

    Raises:
        SealDiffers: they are not, or a crafted ciphertext is read otherwise.
    """
    linear = np.zeros((2, degree), np.int64)
    linear[:, 1] = 1  # X: its transform lists the points of evaluation
    try:
        ring = _Transforms(degree, bits)
        prime = ring.prime
        points = [int(value) for value in ring.ntt(linear)[1]]
        some = np.arange(2 * degree, dtype=np.int64).reshape(2, degree) * 31_415_926 % prime
        back = ring.intt(ring.ntt(some))
        value = int(ring.ntt(some)[1, 1])
    except (SealMissing, SealDiffers):
        raise
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        _differs(str(error))
    root, width = points[0], degree.bit_length() - 1
    turned = (int(f"{k:0{width}b}"[::-1], 2) for k in range(degree))
    if pow(root, degree, prime) != prime - 1 or points != [
        pow(root, 2 * r + 1, prime) for r in turned
    ]:
        _differs("the transform evaluates elsewhere")
    expected = 0
    for coefficient in some[1, ::-1].tolist():  # Horner
        expected = (expected * points[1] + coefficient) % prime
    if value != expected or not np.array_equal(back, some):
        _differs("a transform is wrong")
    return root


def _differs(what: str) -> NoReturn:
    raise SealDiffers(
        f"the installed TenSEAL is not the one this library was written for ({what}): install"
        " tenseal 0.3.15 to 0.3.18, or use the scheme masks or lattice"
    )
