"""The CKKS encoding: c = a s + Delta embed(x) + e in Z_p[X] / (X^N + 1), in numpy alone."""

from secagg.schemes.additive.ckks.plan import (
    RINGS,
    check_degree,
    check_ring,
    plan,
    update_limit,
)
from secagg.schemes.additive.ckks.ring import CkksRing

__all__ = ["RINGS", "CkksRing", "check_degree", "check_ring", "plan", "update_limit"]
