"""Hostile gateways: what one or more of them do wrong, and what must come of it.

A cheater is a real gateway whose frames are changed on their way out and signed with its own key,
or whose machine is a real client that deals something else. The server and the other gateways are
real and honest. Every cheat has its expected outcome beside it: the reason for which the cheater is
dropped and the exact sum of the others, or an error that names it.
"""

from protocol_sim.cheats.catalogue import CHEATS
from protocol_sim.cheats.cheat import Cheat, Expect
from protocol_sim.cheats.judging import Outcome, judge_run, markdown, play, play_cast, surprise
from protocol_sim.cheats.random_answers import random_cheat

__all__ = [
    "CHEATS",
    "Cheat",
    "Expect",
    "Outcome",
    "judge_run",
    "markdown",
    "play",
    "play_cast",
    "random_cheat",
    "surprise",
]
