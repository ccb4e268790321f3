"""Hostile orchestrators: a catalogue of small attacks against real gateways of every scheme.

An attack stands between an honest server session and its gateways and changes, adds, withholds or
replays what passes by. `play_cell` plays one of them in one phase of one scheme; `expected.TABLE`
says what each must end in.
"""

from protocol_sim.attacks.attack import Attack, Stage, compose
from protocol_sim.attacks.attacker import Attacker
from protocol_sim.attacks.catalogue import ATTACKS, attack_of
from protocol_sim.attacks.cells import Cell, matrix, play_cell
from protocol_sim.attacks.expected import PHASES, expected, phases_of
from protocol_sim.attacks.table import inserted, markdown, promised

__all__ = [
    "ATTACKS",
    "PHASES",
    "Attack",
    "Attacker",
    "Cell",
    "Stage",
    "attack_of",
    "compose",
    "expected",
    "inserted",
    "markdown",
    "matrix",
    "phases_of",
    "play_cell",
    "promised",
]
