"""Everything that a gateway may do wrong here, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from protocol_sim.cheats.additive_answers import ADDITIVE_ANSWERS
from protocol_sim.cheats.additive_dealings import ADDITIVE_DEALINGS
from protocol_sim.cheats.cheat import Cheat
from protocol_sim.cheats.envelopes import envelopes
from protocol_sim.cheats.masks_answers import MASKS_ANSWERS
from protocol_sim.cheats.masks_dealings import MASKS_DEALINGS
from protocol_sim.cheats.vectors import vectors

_ALL: Final = (
    *envelopes(),
    *vectors(),
    *MASKS_ANSWERS,
    *MASKS_DEALINGS,
    *ADDITIVE_ANSWERS,
    *ADDITIVE_DEALINGS,
)

CHEATS: Final[Mapping[str, Cheat]] = {cheat.name: cheat for cheat in _ALL}
"""All cheats by name."""
