"""Averages flat vectors, cut into CKKS ciphertexts of one key, as is customary."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from secagg.errors import ConfigurationError, EncodingError, LocalProtocolError, WireError
from secagg.schemes.base import Guarantees
from secagg.schemes.shared_key.customary import Customary
from secagg.schemes.shared_key.lean import Lean

Values = NDArray[np.float64]

MAX_KEY_HOLDERS: Final = 2**16
"""Then the lean scale is 2^36, and its noise still below 10^-10 of clip in the mean."""


class InsecureSchemeWarning(UserWarning):
    """A scheme is in use that protects nobody from an orchestrator with one gateway on its side."""


class Cipher(Protocol):
    """One ciphertext at a time, with one key.

    Attributes:
        values: how many a ciphertext carries.
    """

    values: int

    def encrypt(self, values: Values) -> Any:
        """Encrypt float64[values] within [-1, 1]."""

    def serialise(self, ciphertext: Any) -> bytes:
        """What `load` reads."""
        ...

    def load(self, data: bytes) -> Any:
        """Read a ciphertext, without the key.

        Raises:
            WireError: these bytes are none of this cipher's.
        """

    def add(self, total: Any, ciphertext: Any) -> None:
        """Add `ciphertext` into `total`, without the key.

        Raises:
            WireError: the ciphertexts annul each other, which honest ones do not.
        """

    def decrypt(self, data: bytes) -> Values:
        """float64[values].

        Raises:
            WireError: these bytes are none of this cipher's.
        """
        ...


class InsecureSharedKey:
    """The customary CKKS: every gateway holds the same secret key. For comparison only.

    One object stands for all gateways. Warns once per process. Keys and noise are drawn by SEAL
    itself. Belongs to one thread.

    Args:
        parameters: "lean", what one prime and seeded ciphertexts save, or "customary", TenSEAL as
            its documentation shows it.
        gateways: most uploads that are summed, 1 to 2^16.

    Attributes:
        name: "insecure_shared_key (lean)" or "insecure_shared_key (customary)".
        gateways: as given.

    Raises:
        ConfigurationError: other parameters, or the extra `ckks` is not installed.
    """

    def __init__(self, parameters: Literal["lean", "customary"] = "lean", *, gateways: int) -> None:
        if type(gateways) is not int or not 1 <= gateways <= MAX_KEY_HOLDERS:
            raise ConfigurationError(
                f"{gateways!r} gateways: use a number from 1 to {MAX_KEY_HOLDERS}"
            )
        if parameters not in ("lean", "customary"):
            raise ConfigurationError(f"parameters are {parameters!r}: use 'lean' or 'customary'")
        _warn()
        self.name: Final = f"insecure_shared_key ({parameters})"
        self.gateways: Final = gateways
        self._cipher: Cipher = Lean(gateways) if parameters == "lean" else Customary()

    def encrypt(self, values: Values) -> Sequence[object]:
        """Encrypt a flat vector; nothing is serialised yet.

        Args:
            values: float64[d] within [-1, 1], in units of clip.

        Raises:
            EncodingError: anything else.
        """
        if not isinstance(values, np.ndarray):
            raise EncodingError(f"{type(values).__name__}: use float64[d], d positive")
        if values.ndim != 1 or values.dtype != np.float64 or not len(values):
            raise EncodingError(f"{values.dtype}{list(values.shape)}: use float64[d], d positive")
        if not max(values.max(), -values.min()) <= 1:  # so that NaN fails too
            raise EncodingError("a value is not within [-1, 1]")
        size = self._cipher.values
        chunks = (values[first : first + size] for first in range(0, len(values), size))
        return [self._cipher.encrypt(_filled(chunk, size)) for chunk in chunks]

    def serialise(self, ciphertexts: Sequence[object]) -> list[bytes]:
        """What goes on the wire.

        Args:
            ciphertexts: of `encrypt`.
        """
        return [self._cipher.serialise(each) for each in ciphertexts]

    def running_sum(self, length: int) -> EncryptedSum:
        """The server's side: sums uploads without the key.

        Args:
            length: d.

        Raises:
            EncodingError: no such length.
        """
        return EncryptedSum(self._cipher, self._ciphertexts(length), self.gateways)

    def decrypt(self, total: Sequence[bytes], length: int) -> Values:
        """The sum, at a gateway.

        Args:
            total: of `EncryptedSum.total`.
            length: d.

        Returns:
            float64[d], in units of clip.

        Raises:
            EncodingError: no such length.
            WireError: no ciphertexts of this key's parameters, or another number of them.
        """
        _check_count(total, self._ciphertexts(length))
        return np.concatenate([self._cipher.decrypt(each) for each in total])[:length]

    def guarantees(self) -> Guarantees:
        """What breaks it."""
        return Guarantees(
            hides=(
                "Nothing from an orchestrator with one gateway on its side: every gateway holds"
                " the key that decrypts the upload of every other."
            ),
            survives="Any gateways may vanish before they upload.",
            not_promised=(
                "Privacy. An orchestrator that sees decrypted sums at full precision computes the"
                " key from one or two rounds (Li and Micciancio, 2021). A single upload decrypts"
                " as readily as a sum: nothing enforces a smallest set. The key lives as long as"
                " the federation: who gets it reads all rounds that were recorded."
            ),
        )

    def _ciphertexts(self, length: int) -> int:
        if type(length) is not int or length < 1:
            raise EncodingError(f"a vector of {length!r} values: use a positive length")
        return -(-length // self._cipher.values)


class EncryptedSum:
    """The sum of the uploads so far, still encrypted: one set of ciphertexts, never more.

    Args:
        cipher: loads and adds.
        ciphertexts: of one upload.
        gateways: most uploads the modulus has room for.
    """

    def __init__(self, cipher: Cipher, ciphertexts: int, gateways: int) -> None:
        self._cipher = cipher
        self._ciphertexts = ciphertexts
        self._gateways = gateways
        self._added = 0
        self._total: list[Any] = []

    def add(self, upload: Sequence[bytes]) -> None:
        """Add one upload: all of it, or nothing if it is malformed.

        A length that needs as many ciphertexts as d is not told apart: the rest counts as zero.

        Args:
            upload: of `serialise`.

        Raises:
            WireError: no ciphertexts of these parameters, or another number of them.
            LocalProtocolError: more uploads than gateways.
        """
        if self._added == self._gateways:
            raise LocalProtocolError(f"there are {self._gateways} gateways, not more")
        _check_count(upload, self._ciphertexts)
        loaded = [self._cipher.load(each) for each in upload]
        for each, total in zip(loaded, self._total, strict=False):  # the first has none to add
            self._cipher.add(each, total)
        self._total = loaded  # not before all are added: nothing of a malformed upload remains
        self._added += 1

    def total(self) -> list[bytes]:
        """What goes back to the gateways.

        Raises:
            LocalProtocolError: nothing was added.
        """
        if not self._added:
            raise LocalProtocolError("no upload was added")
        return [self._cipher.serialise(each) for each in self._total]


@cache
def _warn() -> None:
    """Once per process, at the line that makes the first object."""
    warnings.warn(
        "insecure_shared_key is for comparison only: one colluding gateway, or sums decrypted at"
        " full precision, give the orchestrator the key of everybody",
        InsecureSchemeWarning,
        stacklevel=3,
    )


def _filled(chunk: Values, size: int) -> Values:
    return np.pad(chunk, (0, size - len(chunk))) if len(chunk) < size else chunk


def _check_count(ciphertexts: Sequence[bytes], expected: int) -> None:
    if len(ciphertexts) != expected:
        raise WireError(f"{len(ciphertexts)} ciphertexts, expected {expected}")
