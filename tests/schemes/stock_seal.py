"""Stock SEAL's own transforms, and ciphertexts of given polynomials: to hold this library against.

TenSEAL transforms ciphertexts alone, so polynomials are put into crafted ones.
"""

from __future__ import annotations

import struct

import numpy as np

from secagg.schemes.shared_key import seal
from tests.schemes import seal_files

CIPHERTEXT = struct.Struct("<?QQQdQ")
"""NTT form, polynomials, N, primes, scale, correction factor; then an array with its own header."""


class SealRing:
    """Z_p[X] / (X^N + 1), p the largest prime of some bits that SEAL can transform with."""

    def __init__(self, degree: int, bits: int) -> None:
        self.context = seal.context_of(degree, (bits,))
        (prime,) = self.context.first_context_data().parms().coeff_modulus()
        self.degree, self.prime = degree, prime.value()

    def ntt(self, row: np.ndarray) -> np.ndarray:
        """The transform of a polynomial: both int64[N] in [0, p)."""
        return self._transform(row, inverse=False)

    def intt(self, row: np.ndarray) -> np.ndarray:
        return self._transform(row, inverse=True)

    def _transform(self, row: np.ndarray, *, inverse: bool) -> np.ndarray:
        # SEAL has no ciphertext of one polynomial, and none with nothing but zeros after the first
        made = self.ciphertext([row, np.ones_like(row)], ntt=inverse)
        evaluator = seal.sealapi().Evaluator(self.context)
        if inverse:
            evaluator.transform_from_ntt_inplace(made)
        else:
            evaluator.transform_to_ntt_inplace(made)
        content = seal_files.body(seal.dump_seal(made))
        return np.frombuffer(content, "<i8", offset=len(content) - 16 * self.degree)[: self.degree]

    def ciphertext(self, rows, *, ntt: bool, scale: float = 1.0):
        """A Ciphertext that nobody encrypted."""
        words = np.stack(rows).astype("<i8").tobytes()
        content = struct.pack("<4Q", *self.context.first_parms_id())
        content += CIPHERTEXT.pack(ntt, len(rows), self.degree, 1, scale, 1)
        content += seal_files.header(8 + len(words)) + struct.pack("<Q", len(words) // 8) + words
        file = seal_files.header(len(content)) + content
        return seal.load_seal(seal.sealapi().Ciphertext(), self.context, file)

    def key(self, coefficients):
        """A SecretKey of given coefficients, small and of either sign."""
        api = seal.sealapi()
        donor = seal_files.body(seal.dump_seal(api.KeyGenerator(self.context).secret_key()))
        values = self.ntt(np.asarray(coefficients) % self.prime).astype("<i8").tobytes()
        file = donor[: -len(values)] + values
        return seal.load_seal(api.SecretKey(), self.context, seal_files.header(len(file)) + file)

    def decrypted(self, sent, minus_a, key, scale: float) -> list[complex]:
        """The slots of the ciphertext (sent, minus_a), two polynomials in [0, p)."""
        api, plain = seal.sealapi(), seal.sealapi().Plaintext()
        pair = self.ciphertext([sent, minus_a], ntt=False, scale=scale)
        api.Evaluator(self.context).transform_to_ntt_inplace(pair)
        api.Decryptor(self.context, key).decrypt(pair, plain)
        return api.CKKSEncoder(self.context).decode_complex(plain)


def by_power(coefficients) -> list:
    """From this library's order of coefficients to that of their powers."""
    return [*coefficients[0::2], *coefficients[1::2]]


def in_pairs(coefficients) -> list:
    """The inverse of `by_power`."""
    half = len(coefficients) // 2
    pairs = zip(coefficients[:half], coefficients[half:], strict=True)
    return [each for pair in pairs for each in pair]


def slot_errors(slots: list[complex], lanes: list[int]) -> list[float]:
    """SEAL's slot i is the value at zeta^(3^i): one of ours, or the conjugate of one."""
    degree, far = len(lanes), []
    for i, slot in enumerate(slots):
        power = pow(3, i, 2 * degree)
        k = power // 4 if power % 4 == 1 else (2 * degree - power) // 4
        sign = 1 if power % 4 == 1 else -1
        far.append(abs(slot - complex(lanes[2 * k], sign * lanes[2 * k + 1])))
    return far
