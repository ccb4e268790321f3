"""Encrypts with TenSEAL as its documentation shows: 8192, [60, 40, 40, 60], scale 2^40.

Source: the README of TenSEAL, example of CKKS vectors.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg.errors import WireError
from secagg.schemes.shared_key.seal import sealapi

DEGREE: Final = 8192
BITS: Final = (60, 40, 40, 60)
SCALE: Final = 2.0**40
FRESH_PRIMES: Final = len(BITS) - 1
"""Primes of a fresh ciphertext: the last one is for switching keys."""
MAX_BYTES: Final = 2 * 8 * DEGREE * FRESH_PRIMES + 1024
"""Two polynomials of 64-bit words for each prime, and what SEAL and TenSEAL write around them."""


class Customary:
    """Ciphertexts of 4096 values, one a slot: more make TenSEAL print warnings.

    Attributes:
        values: 4096.
    """

    def __init__(self) -> None:
        sealapi()  # says what to install
        import tenseal

        self.values: int = DEGREE // 2
        self._tenseal = tenseal
        self._private = tenseal.context(
            tenseal.SCHEME_TYPE.CKKS,
            poly_modulus_degree=DEGREE,
            plain_modulus=-1,
            coeff_mod_bit_sizes=list(BITS),
        )
        self._private.global_scale = SCALE
        self._public = self._private.copy()
        self._public.make_context_public()

    def encrypt(self, values: NDArray[np.float64]) -> Any:
        """Encrypt float64[4096] within [-1, 1]."""
        return self._tenseal.ckks_vector(self._private, values.tolist())

    def serialise(self, ciphertext: Any) -> bytes:
        """TenSEAL's message."""
        data: bytes = ciphertext.serialize()
        return data

    def load(self, data: bytes) -> Any:
        """Read a ciphertext.

        Raises:
            WireError: no ciphertext of these parameters.
        """
        return self._load(data, self._public)

    def add(self, total: Any, ciphertext: Any) -> None:
        """Add into `total`.

        Raises:
            WireError: what comes out is transparent.
        """
        try:
            total.add_(ciphertext)
        except (RuntimeError, ValueError) as error:
            raise WireError(f"ciphertexts that do not add: {error}") from None

    def decrypt(self, data: bytes) -> NDArray[np.float64]:
        """float64[4096].

        Raises:
            WireError: no ciphertext of these parameters.
        """
        return np.array(self._load(data, self._private).decrypt(), np.float64)

    def _load(self, data: bytes, context: Any) -> Any:
        if len(data) > MAX_BYTES:
            raise WireError(f"a ciphertext of {len(data)} bytes, expected {MAX_BYTES} at most")
        try:
            found = self._tenseal.ckks_vector_from(context, data)
            parts = found.ciphertext()
        except (RuntimeError, ValueError, IndexError, MemoryError) as error:
            raise WireError(f"no ciphertext of {DEGREE}, {list(BITS)}: {error}") from None
        if len(parts) != 1 or found.size() != self.values:
            raise WireError(f"not one ciphertext of {self.values} values")
        (only,) = parts
        if (only.size(), only.coeff_modulus_size(), only.scale) != (2, FRESH_PRIMES, SCALE):
            raise WireError("a ciphertext of another shape or scale")
        return found
