"""The CKKS encoding: c = a s + Delta embed(x) + e in Z_p[X] / (X^N + 1), through TenSEAL."""

from secagg.schemes.additive.ckks.encoding import CkksEncoding
from secagg.schemes.additive.ckks.plan import (
    RINGS,
    check_degree,
    check_ring,
    plan,
    update_limit,
)

__all__ = ["RINGS", "CkksEncoding", "check_degree", "check_ring", "plan", "update_limit"]
