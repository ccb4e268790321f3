"""The phases of a round, by scheme: when a gateway can vanish, and whether it still counts."""

from __future__ import annotations

from typing import Final

from secagg.params import Thresholds
from secagg.thresholds import MAX_COMPLETE

BEFORE: Final = ("advertise_keys", "share_keys", "masked_input")
"""Phases of a round with masks until the included set is agreed: who vanishes here is left out."""
AFTER: Final = ("consistency", "unmasking")
"""Phases after it: who vanishes here has uploaded and still counts."""
PHASES: Final = BEFORE + AFTER

ADDITIVE: Final = ("lattice", "ckks")
"""Schemes of one protocol: gateways encrypt, a committee opens the sum of their keys."""
COUNTERPARTS: Final = {
    "advertise_keys": "set_up",
    "share_keys": "upload",
    "masked_input": "upload",
    "consistency": "consistency",
    "unmasking": "answer",
}
"""Where a gateway that would vanish in a phase of masks vanishes in a round of an additive scheme:
left out of the mean in both or in neither, so that equal seeds give equal included sets."""


def absent_from(phase: str, scheme: str) -> str:
    """The phase of a scheme from which on a gateway drawn to vanish in `phase` is silent.

    Args:
        phase: one of `PHASES`.
        scheme: name of the scheme; in the clear the phases are those of masks.
    """
    return COUNTERPARTS[phase] if scheme in ADDITIVE else phase


def phases_of(scheme: str, thresholds: Thresholds | None) -> tuple[str, ...]:
    """The phases of a round in order; an additive scheme skips its first if nobody needs a new key.

    Args:
        scheme: name of the scheme.
        thresholds: of its rounds; None in the clear.
    """
    if scheme not in ADDITIVE or thresholds is None:
        return PHASES
    certified = ("consistency",) if thresholds.gateways > MAX_COMPLETE else ()
    return ("set_up", "upload", *certified, "answer")
