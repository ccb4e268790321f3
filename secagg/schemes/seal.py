"""Uses Microsoft SEAL through TenSEAL: its rings and its transforms.

TenSEAL transforms ciphertexts alone, so polynomials are put into crafted ones (`seal_file`).

Source: the interface of tenseal 0.3. Because it does not promise to stay, `context_of` tests on
first use that everything behaves as it is used here, and refuses an installation that does not.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg.errors import ConfigurationError
from secagg.schemes.seal_file import (
    MemoryFile,
    SealDiffers,
    SealMissing,
    body,
    differs,
    header,
    sealapi,
)

Polynomials = NDArray[np.int64]
"""Polynomials or their transforms, one a row, numbers from 0 to p - 1."""

MAX_ROWS: Final = 16
"""SEAL_CIPHERTEXT_SIZE_MAX: polynomials in one ciphertext."""

_CIPHERTEXT: Final = struct.Struct("<?QQQdQ")
"""NTT form, polynomials, N, primes, scale, correction factor; then an array with its own header."""
_COUNT: Final = struct.Struct("<Q")


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
        differs(str(error))
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
        self._file = MemoryFile()
        self._evaluator = sealapi().Evaluator(self._context)
        self._parms_id = _parms_id(self._context)
        self.degree: Final = degree
        self.prime: Final = _primes(self._context)[0]

    def ntt(self, rows: Polynomials) -> Polynomials:
        """Transforms of polynomials.

        Args:
            rows: int64[k, N] in [0, p).

        Returns:
            int64[k, N] in [0, p).
        """
        return self._transform(rows, inverse=False)

    def intt(self, rows: Polynomials) -> Polynomials:
        """Polynomials of transforms; arguments and result as of `ntt`."""
        return self._transform(rows, inverse=True)

    def _transform(self, rows: Polynomials, *, inverse: bool) -> Polynomials:
        if 1 < len(rows) <= MAX_ROWS and rows[-1].any():
            return self._crafted(rows, inverse=inverse)
        # SEAL has no ciphertext of one polynomial, and none with nothing but zeros after the first
        companion = np.ones_like(rows[0])
        pairs = (np.stack([row, companion]) for row in rows)
        return np.stack([self._crafted(pair, inverse=inverse)[0] for pair in pairs])

    def _crafted(self, rows: Polynomials, *, inverse: bool) -> Polynomials:
        """Up to 16 polynomials at a time, as one ciphertext that nobody encrypted."""
        ciphertext = self.ciphertext(rows, ntt=inverse)
        transforms = self._evaluator
        if inverse:
            transforms.transform_from_ntt_inplace(ciphertext)
        else:
            transforms.transform_to_ntt_inplace(ciphertext)
        return _last_words(body(self._file.dump(ciphertext)), len(rows), self.degree)

    def ciphertext(self, rows: Polynomials, *, ntt: bool = True, scale: float = 1.0) -> Any:
        """A Ciphertext with given polynomials.

        Args:
            rows: int64[k, N] in [0, p), k from 2 to `MAX_ROWS`.
            ntt: whether they are transforms.
            scale: of what is encoded.
        """
        data = np.ascontiguousarray(rows, "<i8").data
        fields = self._parms_id + _CIPHERTEXT.pack(ntt, len(rows), self.degree, 1, scale, 1)
        fields += header(_COUNT.size + data.nbytes) + _COUNT.pack(rows.size)
        made = sealapi().Ciphertext()
        head = header(len(fields) + data.nbytes)
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


def _last_words(content: bytes, rows: int, degree: int) -> Polynomials:
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
    seal, file = sealapi(), MemoryFile()
    try:
        encoder, plain = seal.CKKSEncoder(context), seal.Plaintext()
        encoder.encode(3.0, 1.0, plain)  # the constant polynomial 3: so is its transform
        content = body(file.dump(plain))
        file.load(seal.Plaintext(), context, header(len(content)) + content)
        words = _last_words(content, len(_primes(context)), encoder.slot_count() * 2)
    except (SealMissing, SealDiffers):
        raise
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        differs(str(error))
    if not content.startswith(_parms_id(context)) or not (words == 3).all():
        differs("a plaintext is written otherwise")


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
        differs(str(error))
    root, width = points[0], degree.bit_length() - 1
    turned = (int(f"{k:0{width}b}"[::-1], 2) for k in range(degree))
    if pow(root, degree, prime) != prime - 1 or points != [
        pow(root, 2 * r + 1, prime) for r in turned
    ]:
        differs("the transform evaluates elsewhere")
    expected = 0
    for coefficient in some[1, ::-1].tolist():  # Horner
        expected = (expected * points[1] + coefficient) % prime
    if value != expected or not np.array_equal(back, some):
        differs("a transform is wrong")
    return root
