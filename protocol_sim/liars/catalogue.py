"""All behaviours."""

from __future__ import annotations

from typing import Final

from protocol_sim.liars.behaviour import Behaviour
from protocol_sim.liars.certificates import CERTIFICATES
from protocol_sim.liars.keys import KEYS
from protocol_sim.liars.params import PARAMS
from protocol_sim.liars.rounds import ROUNDS
from protocol_sim.liars.sets import SETS
from protocol_sim.liars.traffic import TRAFFIC
from secagg.errors import ConfigurationError

BEHAVIOURS: Final[tuple[Behaviour, ...]] = (*SETS, *KEYS, *PARAMS, *CERTIFICATES, *TRAFFIC, *ROUNDS)


def behaviour_of(name: str) -> Behaviour:
    """The behaviour of that name.

    Raises:
        ConfigurationError: there is none.
    """
    for behaviour in BEHAVIOURS:
        if behaviour.name == name:
            return behaviour
    names = ", ".join(behaviour.name for behaviour in BEHAVIOURS)
    raise ConfigurationError(f"behaviour is {name!r}: use {names}")
