"""The key of our own insecure variants, from what an honest-but-curious orchestrator sees.

It adds ciphertexts (c0, c1) and is given the decrypted sum, whose coefficients are m = c0 + c1 s:
linear in the secret s as soon as all of m is known. Written for this repository's parameters only.

Source: Li and Micciancio, On the security of homomorphic encryption on approximate numbers (2021).
"""

from __future__ import annotations

import numpy as np
import tenseal

from secagg.schemes.shared_key import seal
from tests.schemes import seal_files


def recovered(scheme, rounds):
    """The key.

    Args:
        scheme: read for its public parameters alone.
        rounds: (summed ciphertext, decrypted sum) of each; one is enough if `lean`, two otherwise.

    Returns:
        int64[primes, N]: the transform of s modulo each prime of a ciphertext.
    """
    lean = "lean" in scheme.name
    public = context_of(scheme)
    primes = [each.value() for each in public.first_context_data().parms().coeff_modulus()]
    solve = _from_slots if lean else _from_real_parts
    known = []
    for total, published in rounds:
        pair = polynomials(scheme, total)
        slots = published.view(complex) if lean else published
        # the real parts of all slots are the sum of m and its conjugate, halved
        scale = scale_of(scheme) * (1 if lean else 2)
        known.append((*pair, _encoded(public, slots, scale)))
    key = [
        solve([[part[j].astype(object) for part in parts] for parts in known], prime)
        for j, prime in enumerate(primes)
    ]
    return np.array(key, np.int64)


def decrypted(scheme, key, upload):
    """What one ciphertext of one gateway says, by stock SEAL with a recovered key."""
    public, api = context_of(scheme), seal.sealapi()
    donor = seal.dump_seal(api.KeyGenerator(public).secret_key())  # a file to put the key into
    body = seal_files.body(donor)
    filled = key.astype("<i8").tobytes()
    special = 8 * key.shape[1] * (len(public_primes(public)) - len(key))  # decrypts nothing
    start = len(body) - len(filled) - special
    body = body[:start] + filled + bytes(special)
    secret = seal.load_seal(api.SecretKey(), public, seal_files.header(len(body)) + body)

    plain = api.Plaintext()
    ciphertext = seal.load_seal(api.Ciphertext(), public, file_of(scheme, upload))
    api.Decryptor(public, secret).decrypt(ciphertext, plain)
    slots = np.array(api.CKKSEncoder(public).decode_complex(plain))
    return slots.view(float) if "lean" in scheme.name else slots.real


def true_key(scheme):
    """int64[primes, N]: what `recovered` should find."""
    public = context_of(scheme)
    cipher = scheme._cipher
    secret = cipher._secret if "lean" in scheme.name else cipher._private.secret_key().data
    degree = public.first_context_data().parms().poly_modulus_degree()
    rows = _words(seal.dump_seal(secret), len(public_primes(public)), degree)
    return rows[: len(public.first_context_data().parms().coeff_modulus())]


def context_of(scheme):
    """The public parameters."""
    return (
        seal.context_of(2048, (54,)) if "lean" in scheme.name else seal.context_of(8192, CUSTOMARY)
    )


def public_primes(public):
    """All primes, that for switching keys included."""
    return public.key_context_data().parms().coeff_modulus()


def file_of(scheme, data):
    """The SEAL file in one element of an upload or a sum."""
    if "lean" in scheme.name:
        return data
    (only,) = tenseal.ckks_vector_from(scheme._cipher._public, data).ciphertext()
    return seal.dump_seal(only)


def polynomials(scheme, data):
    """c0 and c1: each int64[primes, N], transforms."""
    public, api = context_of(scheme), seal.sealapi()
    ciphertext = seal.load_seal(api.Ciphertext(), public, file_of(scheme, data))
    primes, degree = ciphertext.coeff_modulus_size(), ciphertext.poly_modulus_degree()
    return _words(seal.dump_seal(ciphertext), 2 * primes, degree).reshape(2, primes, degree)


def scale_of(scheme):
    """Stands in every ciphertext."""
    return scheme._cipher._scale if "lean" in scheme.name else 2.0**40


CUSTOMARY = (60, 40, 40, 60)


def _from_slots(rounds, prime):
    """One equation, one unknown: m = c0 + c1 s at each point."""
    ((c0, c1, message),) = rounds
    return (message - c0) * _inverse(c1, prime) % prime


def _from_real_parts(rounds, prime):
    """Two equations, two unknowns: s at a point and at its conjugate.

    Conjugation is X -> 1/X: it takes point k to point N - 1 - k.
    """
    (a, a_, x), (b, b_, y) = ((c1, c1[::-1], twice - c0 - c0[::-1]) for c0, c1, twice in rounds)
    return (x * b_ - y * a_) * _inverse(a * b_ - a_ * b, prime) % prime


def _inverse(values, prime):
    return np.array([pow(int(value), -1, prime) for value in values % prime], object)


def _encoded(public, slots, scale):
    """The transform of the polynomial with these slots, rounded: int64[primes, N]."""
    plain = seal.sealapi().Plaintext()
    seal.sealapi().CKKSEncoder(public).encode(slots.tolist(), scale, plain)
    parms = public.first_context_data().parms()
    return _words(seal.dump_seal(plain), len(parms.coeff_modulus()), parms.poly_modulus_degree())


def _words(file, rows, degree):
    """The array that a SEAL file ends with: int64[rows, N]."""
    body = seal_files.body(file)
    return np.frombuffer(body, "<i8", offset=len(body) - 8 * rows * degree).reshape(rows, degree)
