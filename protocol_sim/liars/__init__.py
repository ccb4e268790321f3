"""Hostile orchestrators: a catalogue of small behaviours against real gateways of every scheme.

A behaviour stands between an honest server session and its gateways and changes, adds, withholds or
replays what passes by. `play_cell` plays one of them in one phase of one scheme; `expected.TABLE`
says what each must end in.
"""

from protocol_sim.liars.behaviour import Behaviour, Stage, compose
from protocol_sim.liars.catalogue import BEHAVIOURS, behaviour_of
from protocol_sim.liars.cells import Cell, matrix, play_cell
from protocol_sim.liars.expected import PHASES, expected, phases_of
from protocol_sim.liars.liar import Liar
from protocol_sim.liars.table import inserted, markdown, promised

__all__ = [
    "BEHAVIOURS",
    "PHASES",
    "Behaviour",
    "Cell",
    "Liar",
    "Stage",
    "behaviour_of",
    "compose",
    "expected",
    "inserted",
    "markdown",
    "matrix",
    "phases_of",
    "play_cell",
    "promised",
]
