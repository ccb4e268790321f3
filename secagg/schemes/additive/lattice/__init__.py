"""The lattice encoding: c = a s + e + Delta x in Z_Q[X] / (X^2048 + 1), in numpy alone."""

from secagg.schemes.additive.lattice.plan import (
    MODULI,
    check_ring,
    noise_bound,
    plan,
    update_limit,
)
from secagg.schemes.additive.lattice.ring import LatticeRing

__all__ = ["MODULI", "LatticeRing", "check_ring", "noise_bound", "plan", "update_limit"]
