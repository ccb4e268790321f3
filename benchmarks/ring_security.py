"""How hard the additive schemes are to break: the estimates that SECURITY.md quotes.

    python -m benchmarks.ring_security

Core-SVP hardness of the primal attack on plain LWE of dimension N, with secrets of width sigma_s
and noise of width sigma. The short vector has N coordinates of the secret and m of the noise; the
former are multiplied by sigma / sigma_s, so that all are of width sigma (Bai and Galbraith, Lattice
decoding attacks on binary LWE, 2014), and the volume is Q^m (sigma / sigma_s)^N. BKZ with blocks of
b finds it where

    sigma sqrt(b) <= delta^(2b - d - 1) (Q^m (sigma / sigma_s)^N)^(1/d),    d = N + m + 1,

for the best number m of samples, and costs at least 2^(0.292 b), or 2^(0.265 b) with quantum search
(Alkim, Ducas, Poeppelmann and Schwabe, Post-quantum key exchange - a new hope, 2016, section 6).
That is the cost of one call of the sieve, so cautious: N = 1024 with 27 bits and 2048 with 54,
which the Homomorphic Encryption Standard (2018, ternary secrets, noise 3.2) lists at 128 classical
bits, have 101 and 98 here. No structure of the ring is used, as none is known that helps.

Releasing sums of secrets, and with them sums of noise, costs at most sqrt(2) in width of both while
at least two summands are unknown: proved for Gaussians (Kim, Lee, Seo and Song, Toward practical
lattice-based proof of knowledge from Hint-MLWE, 2023); that it carries over to centred
binomials is a heuristic step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from secagg.schemes.additive.ckks import RINGS
from secagg.schemes.additive.sampling import VARIANCE

NEEDED_BITS: Final = 128
BINOMIAL: Final = math.sqrt(VARIANCE)
"""Width of the secrets of both schemes."""
HINT: Final = math.sqrt(2)
"""What the released sums cost in width."""

SETS: Final = (
    ("lattice", 2048, 32, BINOMIAL),
    ("lattice", 2048, 40, BINOMIAL),
    *(("ckks", row.degree, row.bits, float(row.sigma)) for row in RINGS),
    ("-", 2048, 54, 3.2),
    ("-", 1024, 32, BINOMIAL),
    ("-", 1024, 40, 16.0),
)
"""(scheme, N, log2 Q, width of the noise); those that no scheme takes are there to be refused."""

_CLASSICAL = 0.292
_QUANTUM = 0.265
_SMALLEST_BLOCK = 50
_STEP = 16
"""Grid of numbers of samples: the optimum is flat."""


@dataclass(frozen=True, slots=True)
class Problem:
    """LWE with many samples.

    Attributes:
        degree: N.
        modulus_bits: log2 Q.
        noise: sigma, width of the noise.
        secret: sigma_s, width of the secret.
    """

    degree: int
    modulus_bits: int
    noise: float
    secret: float = BINOMIAL

    def after_the_hint(self) -> Problem:
        """What is left of it when the sums of two keys and of their noise are known."""
        return Problem(self.degree, self.modulus_bits, self.noise / HINT, self.secret / HINT)


@dataclass(frozen=True, slots=True)
class Estimate:
    """Estimate of one problem.

    Attributes:
        block: b.
        samples: m.
    """

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


def estimate(problem: Problem) -> Estimate:
    """The smallest block over all numbers of samples up to 2 N."""
    best, samples = 2 * problem.degree, 0
    for m in range(_STEP, 2 * problem.degree + 1, _STEP):
        if _breaks(problem, m, best - 1):
            samples = m
            best = _least_block(problem, m, best - 1)
    return Estimate(best, samples)


def _least_block(problem: Problem, samples: int, high: int) -> int:
    low = _SMALLEST_BLOCK
    while low < high:
        middle = (low + high) // 2
        if _breaks(problem, samples, middle):
            high = middle
        else:
            low = middle + 1
    return high


def _breaks(problem: Problem, samples: int, block: int) -> bool:
    """Whether the projection of the key is shorter than BKZ's vector there, in bits of length."""
    dimension = problem.degree + samples + 1
    root = (math.pi * block) ** (1 / block) * block / (2 * math.pi * math.e)
    delta = math.log2(root) / (2 * (block - 1))
    widened = problem.degree * math.log2(problem.noise / problem.secret)
    volume = problem.modulus_bits * samples + widened
    found = (2 * block - dimension - 1) * delta + volume / dimension
    return math.log2(problem.noise * math.sqrt(block)) <= found


def main() -> None:
    """Print the table."""
    print("scheme      N  log2 Q   secret      noise  block  samples  classical  quantum")
    for scheme, degree, bits, noise in SETS:
        before = Problem(degree, bits, noise)
        for problem in (before, before.after_the_hint()):
            found = estimate(problem)
            verdict = "" if found.quantum >= NEEDED_BITS else "  refused"
            print(
                f"{scheme:7}  {degree:4}  {bits:6}  {problem.secret:7.2f}  {problem.noise:9.2f}"
                f"  {found.block:5}  {found.samples:7}"
                f"  {found.classical:9.0f}  {found.quantum:7.0f}{verdict}"
            )
    print("The second row of each pair is after the loss of sqrt(2) for released sums of secrets.")


if __name__ == "__main__":
    main()
