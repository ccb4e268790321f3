"""All attacks."""

from __future__ import annotations

from typing import Final

from protocol_sim.attacks.attack import Attack
from protocol_sim.attacks.certificates import CERTIFICATES
from protocol_sim.attacks.keys import KEYS
from protocol_sim.attacks.params import PARAMS
from protocol_sim.attacks.rounds import ROUNDS
from protocol_sim.attacks.sets import SETS
from protocol_sim.attacks.traffic import TRAFFIC
from secagg.errors import ConfigurationError

ATTACKS: Final[tuple[Attack, ...]] = (*SETS, *KEYS, *PARAMS, *CERTIFICATES, *TRAFFIC, *ROUNDS)


def attack_of(name: str) -> Attack:
    """The attack of that name.

    Raises:
        ConfigurationError: there is none.
    """
    for attack in ATTACKS:
        if attack.name == name:
            return attack
    names = ", ".join(attack.name for attack in ATTACKS)
    raise ConfigurationError(f"name is {name!r}: use {names}")
