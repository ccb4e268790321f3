"""What an additive scheme needs of the ring its uploads live in: all that schemes differ in.

An encoding knows a public `a`, secrets `s`, noise, and how numbers lie in the ring. It knows
nothing of gateways, shares or messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from secagg.params import Entropy, RoundParams
from secagg.schemes.additive.rings import Key
from secagg.schemes.base import Noise, Source, Words
from secagg.workers import Workers


class RunningSum(Protocol):
    """The sum of the uploads so far: one ring element for each block, never more."""

    def check(self, words: Words) -> None:
        """Accept a part of one upload: whole blocks, uint64.

        Raises:
            BadFrame: what no gateway can have sent.
        """

    def add(self, vector: int, first: int, words: Words) -> None:
        """Add a part of one upload.

        Args:
            vector: index into P's vectors.
            first: first wire word of the part, at the start of a block.
            words: uint64, whole blocks.
        """

    def subtract(self, vector: int, first: int, words: Words) -> None:
        """Take a part of one upload out again; arguments as of `add`."""

    def open(
        self, total: Key, *, public: bytes, included: int, workers: Workers
    ) -> Sequence[Words]:
        """Remove a times the sum of the keys: the words of each vector of P, one lane a word.

        Args:
            total: sum of the keys of the included gateways.
            public: what a follows from.
            included: how many they are.
            workers: threads.

        Raises:
            AggregateOutOfRange: what is left is no sum of `included` uploads.
        """
        ...


class RoundEncoding(Protocol):
    """The ring of one round.

    Attributes:
        coefficients: N, of a key.
        words: wire words (uint64) of each vector of P, whole blocks.
        unit: wire words of one block.
        noise: of an update opened over all gateways.
    """

    coefficients: int
    words: Sequence[int]
    unit: int
    noise: Noise

    def secret(self, rng: Entropy) -> Key:
        """A fresh key for one upload: int64[N], small coefficients."""
        ...

    def check_secret(self, total: Key, included: int) -> bool:
        """Whether a sum of `included` honest keys can be this."""
        ...

    def encrypt(self, source: Source, secret: Key, *, public: bytes, rng: Entropy) -> Source:
        """What writes the wire words of one upload instead of its encoded words.

        Args:
            source: encodes.
            secret: of this upload only.
            public: what a follows from: 32 bytes that no party chooses.
            rng: source of the noise's key, drawn once.
        """
        ...

    def running_sum(self) -> RunningSum:
        """An empty sum."""
        ...


class EncodingOf(Protocol):
    """An encoding, to be bound to a round."""

    def __call__(self, params: RoundParams, gateways: int) -> RoundEncoding:
        """The ring of P.

        Raises:
            UnsupportedParameters: a ring, step or limit outside this encoding's tables.
        """
        ...
