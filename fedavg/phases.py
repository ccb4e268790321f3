"""Decides in which phase a gateway vanishes, by the steps of its scheme, and whether it counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from secagg.params import Thresholds
from secagg.protocol.steps import Step, upload_index
from secagg.schemes import scheme_of
from secagg.schemes.masks import Masks


def sides(steps: Sequence[Step]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The phases before and after the included set is fixed.

    Who vanishes in one of the first is left out of the mean; who vanishes later has uploaded and
    still counts.
    """
    names = tuple(step.name for step in steps)
    after = upload_index(steps) + 1
    return names[:after], names[after:]


def steps_of(scheme: str, thresholds: Thresholds | None) -> tuple[Step, ...]:
    """The steps of a round; in the clear, without thresholds, gateways vanish as with masks."""
    return Masks.steps if thresholds is None else scheme_of(scheme).steps_for(thresholds)


BEFORE, AFTER = sides(Masks.steps)
PHASES: Final = BEFORE + AFTER
"""The moments at which gateways vanish, equally likely, are the phases of masks."""


def absent_from(moment: str, steps: Sequence[Step]) -> str:
    """The phase from which on a gateway that is drawn to vanish at a moment is silent.

    It lies on the same side, so that equal seeds give equal included sets with every scheme.

    Args:
        moment: one of `PHASES`.
        steps: of the round.
    """
    moments, phases = next(
        (here, there)
        for here, there in zip((BEFORE, AFTER), sides(steps), strict=True)
        if moment in here
    )
    return phases[-(-(moments.index(moment) + 1) * len(phases) // len(moments)) - 1]
