"""Many gateways whose updates are made when they are due, and whose sum is known in integers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from protocol_sim.memory import Exchange
from protocol_sim.parties import MAX_WEIGHT, POLICY, VERIFY, Parties
from protocol_sim.phase_costs import PhaseCosts
from protocol_sim.randomness import dice, entropy
from secagg.crypto.signing import verify
from secagg.errors import ConfigurationError
from secagg.fixed_point import metric_scale, unit_of
from secagg.fixed_point.layout import fraction_bits
from secagg.params import GatewayId, RoundParams, Thresholds, VectorSpec
from secagg.protocol.events import Send
from secagg.schemes.scheme import Scheme
from secagg.session import ClientSession, SessionSettings
from secagg.session.loopback import Frame, Loopback, Observer, headers_missing

T = TypeVar("T")
TOP: Final = 40
"""Largest |lane| of an input. Up to 42 units the encoder's float32 arithmetic, off by 3 * 2^-24 of
a value, leaves a value in the middle of its step: stochastic rounding then decides nothing."""
INPUT_BLOCK: Final = 2**13
"""Coordinates whose numbers follow from one seed: a shard makes its own only."""


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of the coordinates, summed in a round of its own.

    Attributes:
        number: of the round, 1 or more.
        start: first coordinate.
        stop: behind the last.
    """

    number: int
    start: int
    stop: int


class LargeParties(Parties):
    """Many gateways, whose updates are multiples of a lane's unit: their sum is known in integers.

    Args:
        gateways: members of the roster.
        scheme: of the round.
        seed: names keys.
        coordinates: of a whole update.
        part: that this round sums; all by default.
    """

    def __init__(
        self,
        gateways: int,
        scheme: Scheme,
        *,
        seed: object,
        coordinates: int,
        part: Part | None = None,
    ) -> None:
        self.part = part or Part(1, 0, coordinates)
        length = self.part.stop - self.part.start
        super().__init__(gateways, scheme, seed=seed, coordinates=length)
        self._grid: VectorSpec | None = None

    def settings(self, number: int = 1, *args: Any, **options: Any) -> SessionSettings:
        """Settings of one round; fixes the unit that updates are multiples of."""
        self._grid = None
        settings = super().settings(number, *args, **options)
        self._grid = settings.vectors[0]
        return settings

    def weight(self, name: str) -> float:
        """A whole number, 1 to 7."""
        return 1.0 + self.place[name] % 7

    def units(self, name: str) -> NDArray[np.int64]:
        """Lanes of a gateway's coordinates: integers."""
        grid = self._grid
        if grid is None:
            return np.zeros(self.coordinates, np.int64)
        top = min(TOP, int(grid.limit * self.weight(name) / MAX_WEIGHT))
        start, stop = self.part.start, self.part.stop
        first, last = start // INPUT_BLOCK, -(-stop // INPUT_BLOCK)
        blocks = [
            np.random.default_rng([self.place[name], block]).integers(-top, top + 1, INPUT_BLOCK)
            for block in range(first, last)
        ]
        skipped = start - first * INPUT_BLOCK
        return np.concatenate(blocks)[skipped : skipped + self.coordinates]

    def update(self, name: str) -> dict[str, NDArray[Any]]:
        """What a gateway trained: {"w": float32[coordinates], "steps": int64[3]}."""
        units = self.units(name).astype(np.float64)
        if self._grid is not None:
            # half a step of the encoder's fraction beyond the unit: cut off, and never rounded
            middle = np.copysign(0.5 ** (fraction_bits(self._grid) + 1), units)
            units = (units + middle) / (self._grid.scale * self.weight(name))
        return {"w": units.astype(np.float32), "steps": self._steps(name)}

    def _steps(self, name: str) -> NDArray[np.int64]:
        return np.random.default_rng(self.place[name]).integers(-(10**6), 10**6, 3)

    def expected(
        self, params: RoundParams, included: Iterable[str], gateways: int | None = None
    ) -> list[NDArray[Any]]:
        """The sum of each vector over these gateways, int64: no lane's sum needs more bits."""
        sums = {spec.name: np.zeros(spec.length, np.int64) for spec in params.vectors}
        scale = metric_scale(params.metrics[0].bound, gateways or len(self.ids))
        for name in included:
            weight = int(self.weight(name) / unit_of(params))
            sums[params.vectors[0].name] += self.units(name)
            sums["integers"] += weight * self._steps(name)
            sums["weight"] += weight
            sums["metrics"] += round(self.metrics(name)["loss"] * scale)
        return list(sums.values())


class MeasuredExchange(Exchange, Observer):
    """A session that is measured; arguments as of `Exchange`, and who checks signatures itself."""

    def __init__(self, parties: LargeParties, *, watched: Iterable[str], **options: Any) -> None:
        self.watched = frozenset(watched)
        self.costs = PhaseCosts()
        self.transcript = hashlib.sha256()
        super().__init__(
            parties,
            client=self._client,
            keep_log=False,
            # otherwise every upload would be staged in a file of its own
            times_out=headers_missing,
            observer=self,
            **options,
        )

    def _client(self, name: str) -> ClientSession:
        parties = self.parties
        return ClientSession(
            parties.identities[name],
            parties.roster,
            POLICY,
            parties.journals[name],
            rng=entropy(parties.seed, name, self.number, self.name),
            schemes=(parties.scheme,),
            verify=verify if name in self.watched else VERIFY,
        )

    def call(self, phase: str, party: GatewayId | None, work: Callable[[], T]) -> T:
        """Do the work of one party, and keep the time it takes."""
        who = "watched" if party in self.watched else "others"
        first = self.settings.scheme.steps[0].name
        return self.costs.timed(
            first if phase == "ready" else phase, "server" if party is None else who, work
        )

    def frame(self, frame: Frame) -> None:
        """Keep the size of a frame that arrives, and hash it."""
        self.transcript.update(f"{frame.gateway} {frame.up} {len(frame.data)} ".encode())
        self.transcript.update(frame.data)
        self.costs.frame(frame.step, frame)

    def upload(self, name: str) -> Iterator[Send]:
        """The frames of a gateway's upload; its update lives as long as they are made."""
        return Loopback.upload(self, name)


def vanishing(
    gateways: int, dropout: float, scheme: Scheme, seed: object, limits: Thresholds
) -> Mapping[str, str]:
    """Who vanishes where: name -> point (`memory.points`), over all points alike.

    Args:
        gateways: n.
        dropout: share of the gateways that vanish.
        scheme: of the round.
        seed: decides.
        limits: of the round.

    Raises:
        ConfigurationError: more than D.
    """
    if not isfinite(dropout):
        raise ConfigurationError(f"dropout is {dropout}: use a share, 0 or more")
    count = round(dropout * gateways)
    if not 0 <= count <= limits.max_dropouts:
        raise ConfigurationError(
            f"dropout {dropout} is {count} of {gateways} gateways: 0 to {limits.max_dropouts} (D)"
            " may vanish"
        )
    steps = [step.name for step in scheme.steps if not step.optional]
    places = [*steps, "header", "half", "last"]
    decide = dice(seed, "vanishing")
    return {f"g{place}": decide.choice(places) for place in decide.sample(range(gateways), count)}
