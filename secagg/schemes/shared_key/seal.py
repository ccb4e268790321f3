"""Uses Microsoft SEAL through TenSEAL: makes its contexts, writes and reads its objects.

TenSEAL takes and gives objects of SEAL as files alone; here these are anonymous files in memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any

from secagg.errors import ConfigurationError, install_hint


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
    except ImportError as error:
        raise SealMissing(
            f"the shared key takes TenSEAL ({error}): {install_hint('seal')}, or use the scheme"
            " ckks, which needs none"
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
    """The ring Z_Q[X] / (X^N + 1), Q a product of primes of given sizes.

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
        raise SealDiffers(
            f"the installed TenSEAL is not the one this library was written for ({error}): install"
            " tenseal 0.3.15 to 0.3.18, or use the scheme ckks, which needs none"
        ) from None
    if not made.parameters_set():
        raise ConfigurationError(
            f"N = {degree} with primes of {bits} bits: {made.parameters_error_message()}"
        )
    return made


def dump_seal(thing: Any) -> bytes:
    """A SEAL object as SEAL writes it.

    Args:
        thing: Ciphertext, Plaintext, SecretKey, ...
    """
    with _memory_file() as (descriptor, path):
        thing.save(path)
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def load_seal(thing: Any, context: Any, data: bytes) -> Any:
    """Read a SEAL object; SEAL checks that it belongs to the context.

    Args:
        thing: an empty object of the right kind.
        context: of `context_of`.
        data: of `dump_seal`.

    Returns:
        `thing`.

    Raises:
        RuntimeError, ValueError: no object of that kind and context.
    """
    with _memory_file() as (descriptor, path):
        os.pwrite(descriptor, data, 0)
        thing.load(context, path)
    return thing


@contextmanager
def _memory_file() -> Iterator[tuple[int, str]]:
    """An anonymous file in memory: what is written to it reaches no disk but by swapping."""
    descriptor = os.memfd_create("seal")
    try:
        yield descriptor, f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
