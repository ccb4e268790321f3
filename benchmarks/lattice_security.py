"""How hard the lattice scheme is to break: the estimate that SECURITY.md quotes.

    python -m benchmarks.lattice_security

Core-SVP hardness of the primal attack on plain LWE of dimension N: BKZ with blocks of b finds the
key where sigma sqrt(b) <= delta^(2b - d - 1) q^(m/d), d = N + m + 1, for the best number m of
samples; it costs at least 2^(0.292 b), or 2^(0.265 b) with quantum search (Alkim, Ducas,
Poeppelmann and Schwabe, Post-quantum key exchange - a new hope, 2016, section 6). The cost of one
call of the sieve, so cautious; no structure of the ring is used, as none is known that helps.

Releasing sums of secrets, and with them sums of noise, costs at most sqrt(2) in width while at
least two summands are unknown: proved for Gaussians (Kim, Lee, Seo and Song, Toward practical
lattice-based proof of knowledge from Hint-MLWE, 2023); that it carries over to centred
binomials is a heuristic step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from secagg.schemes.additive.lattice.sampling import VARIANCE

NEEDED_BITS = 128
_CLASSICAL = 0.292
_QUANTUM = 0.265
_SMALLEST_BLOCK = 50
_STEP = 16
"""Grid of numbers of samples: the optimum is flat."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of one set of parameters.

    Attributes:
        degree: N.
        modulus_bits: log2 q.
        sigma: of secret and noise.
        block: b.
        samples: m.
    """

    degree: int
    modulus_bits: int
    sigma: float
    block: int
    samples: int

    @property
    def classical(self) -> float:
        """Bits against classical sieving."""
        return _CLASSICAL * self.block

    @property
    def quantum(self) -> float:
        """Bits against sieving with quantum search."""
        return _QUANTUM * self.block


def estimate(degree: int, modulus_bits: int, sigma: float) -> Estimate:
    """The smallest block over all numbers of samples up to 2 N."""
    best, samples = 2 * degree, 0
    for m in range(_STEP, 2 * degree + 1, _STEP):
        if _breaks(degree, modulus_bits, sigma, m, best - 1):
            samples = m
            best = _least_block(degree, modulus_bits, sigma, m, best - 1)
    return Estimate(degree, modulus_bits, sigma, best, samples)


def _least_block(degree: int, modulus_bits: int, sigma: float, samples: int, high: int) -> int:
    low = _SMALLEST_BLOCK
    while low < high:
        middle = (low + high) // 2
        if _breaks(degree, modulus_bits, sigma, samples, middle):
            high = middle
        else:
            low = middle + 1
    return high


def _breaks(degree: int, modulus_bits: int, sigma: float, samples: int, block: int) -> bool:
    """Whether the projection of the key is shorter than BKZ's vector there, in bits of length."""
    dimension = degree + samples + 1
    root = (math.pi * block) ** (1 / block) * block / (2 * math.pi * math.e)
    delta = math.log2(root) / (2 * (block - 1))
    found = (2 * block - dimension - 1) * delta + modulus_bits * samples / dimension
    return math.log2(sigma * math.sqrt(block)) <= found


def main() -> None:
    """Print the table."""
    sigma = math.sqrt(VARIANCE)
    print("N     log2 q  sigma   block  samples  classical  quantum")
    for degree, bits in ((2048, 32), (2048, 40), (1024, 32)):
        for width in (sigma, sigma / math.sqrt(2)):
            e = estimate(degree, bits, width)
            verdict = "" if e.quantum >= NEEDED_BITS else "  refused"
            print(
                f"{e.degree}  {e.modulus_bits:6d}  {e.sigma:5.2f}  {e.block:6d}  {e.samples:7d}"
                f"  {e.classical:9.0f}  {e.quantum:7.0f}{verdict}"
            )
    print("The second row of each pair is after the loss of sqrt(2) for released sums of secrets.")


if __name__ == "__main__":
    main()
