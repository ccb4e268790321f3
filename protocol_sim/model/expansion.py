"""Computes how much larger a protocol makes the inputs it sums: Bonawitz et al. 2017, and ours."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from protocol_sim import scale
from protocol_sim.model.traffic import exchanged, shape_of, total
from secagg.schemes.additive import Ckks, Lattice
from secagg.schemes.masks import Masks
from secagg.schemes.scheme import Scheme

BITS: Final = 16
"""Bits of one input, as in the paper."""
KEY_BYTES: Final = 32
"""a_K and a_S of the paper: 256 bits for a public key, and for a share."""
TAG_BYTES: Final = 16
SIGNATURE_BYTES: Final = 64
WIDE: Final[tuple[Scheme, ...]] = (Masks(packing=2), Lattice(modulus=2**40), Ckks(ring_degree=2048))
"""The leanest layout of each scheme in which 1024 inputs of 16 bits can be summed: 32-bit lanes,
a modulus of 2^40, and the small ring of ckks (whose sums are within a bound, not exact)."""


@dataclass(frozen=True, slots=True)
class Bonawitz:
    """Bytes that one client of Bonawitz et al. 2017 sends and receives.

    Attributes:
        clients: n.
        entries: m, of 16 bits each.
        keys: its own two public keys, and two of everybody else.
        shares: two sealed shares for and from everybody else, and one share of everybody at last.
        vector: the masked input, ceil(log2 R) bits an entry, R = n * (2^16 - 1) + 1.
        extras: what the paper's count leaves out: authentication tags, and the signatures of the
            protocol against active adversaries, on key messages and on the included set.
    """

    clients: int
    entries: int
    keys: int
    shares: int
    vector: float
    extras: int

    @property
    def raw(self) -> float:
        """Bytes of the input in the clear."""
        return self.entries * BITS / 8

    @property
    def expansion(self) -> float:
        """As the paper counts."""
        return (self.keys + self.shares + self.vector) / self.raw

    @property
    def whole(self) -> float:
        """With tags and signatures."""
        return self.expansion + self.extras / self.raw


def bonawitz(clients: int, entries: int) -> Bonawitz:
    """Count the messages of the paper's protocol.

    Args:
        clients: n, 2 or more.
        entries: m.

    Source: Bonawitz et al., Practical Secure Aggregation for Privacy-Preserving Machine Learning
    (2017), Figure 4 and section 7: 2 n a_K + (5 n - 4) a_S + m ceil(log2 R) bits.
    """
    n, others = clients, clients - 1
    width = (n * (2**BITS - 1)).bit_length()  # ceil(log2 R): R - 1 is the largest sum
    key_messages = (1 + others) * SIGNATURE_BYTES
    ciphertexts = 2 * others * TAG_BYTES
    consistency = (1 + others) * SIGNATURE_BYTES
    return Bonawitz(
        clients=n,
        entries=entries,
        keys=(2 + 2 * others) * KEY_BYTES,
        shares=(2 * others + 2 * others + n) * KEY_BYTES,
        vector=entries * width / 8,
        extras=key_messages + ciphertexts + consistency,
    )


@dataclass(frozen=True, slots=True)
class Expansion:
    """What one of our schemes takes for the same inputs.

    Attributes:
        scheme: name.
        gateways: n.
        coordinates: d.
        bits: largest whole number of bits of one input that the layout carries.
        keys: bytes sent and received beside the frames of the upload.
        upload: bytes of these frames.
        measured: these are bytes of real sessions, not a formula.
    """

    scheme: str
    gateways: int
    coordinates: int
    bits: int
    keys: float
    upload: int
    measured: bool

    @property
    def expansion(self) -> float:
        """To inputs of 16 bits in the clear."""
        return (self.keys + self.upload) / (self.coordinates * BITS / 8)


def formula(variant: Scheme, gateways: int, coordinates: int) -> Expansion:
    """Expansion by the byte formula of `traffic`, everybody present.

    Args:
        variant: a scheme and its layout.
        gateways: n.
        coordinates: d.
    """
    shape = shape_of(variant.name, gateways, coordinates, variant=variant)
    phases = exchanged(shape)
    whole = total(phases, up=True) + total(phases, up=False)
    bits = _bits(variant, gateways)
    return Expansion(
        variant.name, gateways, coordinates, bits, whole - shape.upload, shape.upload, False
    )


def measured(variant: Scheme, gateways: int, coordinates: int, seed: object = 0) -> Expansion:
    """Expansion of a real round, everybody present; arguments as of `formula` and of `scale.play`.

    A gateway's bytes are the mean over those that take part in a phase, as in the formula.
    """
    round_ = scale.play(gateways, coordinates, 0.0, variant.name, seed, variant=variant)
    shape = shape_of(variant.name, gateways, coordinates, variant=variant)
    return Expansion(
        variant.name,
        gateways,
        coordinates,
        _bits(variant, gateways),
        round_.up + round_.down - shape.upload,
        shape.upload,
        True,
    )


def _bits(variant: Scheme, gateways: int) -> int:
    return int(math.log2(2 * variant.plan_update(gateways, 1.0, 1.0).limit + 1))
