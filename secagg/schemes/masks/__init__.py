"""The scheme masks: pairwise masks, hardened against a lying server (docs/protocol.md#masks).

Read `reference.py` first: the whole protocol is one function there.
"""

from secagg.schemes.masks.scheme import Masks

__all__ = ["Masks"]
