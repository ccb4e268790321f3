"""What a run is: parties, network, who vanishes, who attacks. One seed decides the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from protocol_sim.network import Link
from secagg.errors import ConfigurationError
from secagg.schemes import scheme_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """A gateway's process dies and comes back at once.

    Attributes:
        time: when, in seconds.
        stale: its journal is that of the beginning of the run: a backup, brought back.
    """

    time: float
    stale: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What becomes of one gateway.

    Attributes:
        vanish: point (`memory.points`) from which on it neither hears nor speaks in the last round,
            or the number of frames that it sends before; None: never.
        away: (from, to) in seconds: what arrives meanwhile, it finds when it is back.
        slow: seconds that it thinks before it answers.
        restarts: when its process dies.
        cheat: what it does wrong in the last round, as a name of `cheats.CHEATS`, or "random"; ""
            for nothing.
    """

    vanish: str | int | None = None
    away: tuple[tuple[float, float], ...] = ()
    slow: float = 0.01
    restarts: tuple[Restart, ...] = ()
    cheat: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedAttack:
    """What the orchestrator does wrong.

    Attributes:
        name: of `attacks.ATTACKS`.
        phase: in which it does it.
        victim: gateway to which it does it.
    """

    name: str
    phase: str
    victim: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A run.

    Attributes:
        scheme: its name.
        gateways: n, all of them in every round.
        coordinates: d.
        seed: decides everything that is not said here.
        rounds: one after the other.
        deadline: seconds that the orchestrator waits in each phase.
        links: by gateway; what is not there is a `Link()`.
        plans: by gateway; what is not there does as it should.
        attack: what the orchestrator does wrong in the last round.

    Raises:
        ConfigurationError: no such scheme, too few gateways, no deadline.
    """

    scheme: str = "masks"
    gateways: int = 5
    coordinates: int = 7
    seed: int = 0
    rounds: int = 1
    deadline: float = 10.0
    links: Mapping[str, Link] = field(default_factory=dict)
    plans: Mapping[str, Plan] = field(default_factory=dict)
    attack: PlannedAttack | None = None

    def __post_init__(self) -> None:
        scheme_of(self.scheme).thresholds(self.gateways)
        if self.rounds < 1 or not self.deadline > 0 or self.coordinates < 1:
            raise ConfigurationError(
                f"{self.rounds} rounds of {self.coordinates} coordinates, deadline"
                f" {self.deadline}: use 1 or more of each, and seconds above 0"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Gateways in the order of the roster."""
        return tuple(f"g{place}" for place in range(self.gateways))

    def dumps(self) -> str:
        """As JSON."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def loads(cls, text: str) -> Scenario:
        """Read a scenario from JSON.

        Raises:
            ConfigurationError: it is none.
        """
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.MsgspecError as error:
            raise ConfigurationError(f"no scenario: {error}") from None
