"""Encrypts as leanly as one shared key allows: one prime, seeded uploads, two values a slot."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg.errors import WireError
from secagg.schemes.shared_key import seal

DEGREE: Final = 2048
BITS: Final = (54,)
"""The largest modulus that SEAL's table of 128-bit security has for N = 2048."""
FINEST: Final = 42
"""Scale 2^42: float64 still gives back every coefficient, and the noise is below 10^-9 of clip."""
MAX_BYTES: Final = 2 * 8 * DEGREE + 1024
"""Two polynomials of 64-bit words, and what SEAL writes around them."""


class Lean:
    """Ciphertexts of 2048 values: consecutive pairs are the complex slots.

    Symmetric encryption lets SEAL write the seed of a ciphertext's second half instead of it.

    Args:
        gateways: n; the scale is the largest power of two up to 2^42 such that sums fit.

    Attributes:
        values: 2048.
    """

    def __init__(self, gateways: int) -> None:
        api = seal.sealapi()
        self.values: int = DEGREE
        # a coefficient of a sum reaches sqrt(2) n scale, and a bit of 54 holds the sign; another
        # half bit is ample for the noise
        room = BITS[0] - 1 - math.log2(2 * gateways)
        self._scale = 2.0 ** min(FINEST, math.floor(room))
        self._context = seal.context_of(DEGREE, BITS)
        self._api = api
        self._encoder = api.CKKSEncoder(self._context)
        self._evaluator = api.Evaluator(self._context)
        self._secret = api.KeyGenerator(self._context).secret_key()
        self._encryptor = api.Encryptor(self._context, self._secret)
        self._decryptor = api.Decryptor(self._context, self._secret)
        self._plain = api.Plaintext()  # reused: a new one costs page faults

    def encrypt(self, values: NDArray[np.float64]) -> Any:
        """Encrypt float64[2048] within [-1, 1]."""
        slots = np.ascontiguousarray(values).view(np.complex128).tolist()
        self._encoder.encode(slots, self._scale, self._plain)
        return self._encryptor.encrypt_symmetric(self._plain)

    def serialise(self, ciphertext: Any) -> bytes:
        """A SEAL file: seeded and half as long if it comes from `encrypt`."""
        return seal.dump_seal(ciphertext)

    def load(self, data: bytes) -> Any:
        """Read a ciphertext.

        Raises:
            WireError: no ciphertext of this ring and scale.
        """
        if len(data) > MAX_BYTES:
            raise WireError(f"a ciphertext of {len(data)} bytes, expected {MAX_BYTES} at most")
        try:
            found = seal.load_seal(self._api.Ciphertext(), self._context, data)
        except (RuntimeError, ValueError, IndexError, MemoryError) as error:
            raise WireError(f"no ciphertext of N = {DEGREE} with {BITS[0]} bits: {error}") from None
        if found.size() != 2 or not found.is_ntt_form() or found.scale != self._scale:
            raise WireError("a ciphertext of another shape or scale")
        return found

    def add(self, total: Any, ciphertext: Any) -> None:
        """Add into `total`.

        Raises:
            WireError: what comes out is transparent.
        """
        try:
            self._evaluator.add_inplace(total, ciphertext)
        except RuntimeError as error:
            raise WireError(f"ciphertexts that do not add: {error}") from None

    def decrypt(self, data: bytes) -> NDArray[np.float64]:
        """float64[2048].

        Raises:
            WireError: no ciphertext of this ring and scale.
        """
        plain = self._api.Plaintext()
        self._decryptor.decrypt(self.load(data), plain)
        slots = np.array(self._encoder.decode_complex(plain), np.complex128)
        return slots.view(np.float64)
