"""Pairwise masks with dropout recovery, hardened against a lying server (DESIGN section 5).

Read `reference.py` first: the whole protocol is one function there.
"""

from secagg.schemes.masks.scheme import Masks

__all__ = ["Masks"]
