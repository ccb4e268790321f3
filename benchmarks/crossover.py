"""Finds from how many neighbours on lattice takes less time than masks, all in one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from benchmarks.parts_additive import AdditiveServer, LatticeGateway
from benchmarks.parts_masks import MasksGateway, random_keys
from benchmarks.rounds import Case, World
from benchmarks.timing import Samples, clock_for
from secagg.crypto.prg_fast import MaskAdder, add_masks
from secagg.params import RoundParams
from secagg.schemes.auto import VANISHING, WORTH, keystreams
from secagg.thresholds import MAX_GATEWAYS, MIN_GATEWAYS, derive
from secagg.workers import SERIAL

FEW, MANY = 20, 60
"""Keystreams: what one costs is the slope between them."""
REPEATS = 10
_GATEWAYS = 10


@dataclass(frozen=True, slots=True)
class Crossover:
    """Nanoseconds a coordinate, one thread, and what follows from them.

    Attributes:
        coordinates: d.
        encode: of masks.
        mask: one keystream at a gateway.
        unmask: one keystream at the server.
        lattice_encode: of the lattice.
        encryption: of the lattice, its public elements from their seed.
        unmasking: of the lattice.
    """

    coordinates: int
    encode: float
    mask: float
    unmask: float
    lattice_encode: float
    encryption: float
    unmasking: float

    @property
    def gateway(self) -> int:
        """Neighbours from which on a gateway is faster with the lattice."""
        more = self.lattice_encode + self.encryption - self.encode
        return max(0, round(more / self.mask) - 1)

    @property
    def worth(self) -> float:
        """Keystreams that the lattice's two products are worth, one at each side."""
        more = self.lattice_encode + self.encryption - self.encode
        return (more + self.unmasking) / ((self.mask + self.unmask) / 2)

    def neighbours(self, *, vanishing: bool) -> int | None:
        """K from which on a whole round is faster with the lattice, with the default thresholds.

        Args:
            vanishing: one gateway in `VANISHING` vanishes, otherwise nobody.
        """
        for n in range(MIN_GATEWAYS, MAX_GATEWAYS + 1):
            limits = derive(n)
            needed = keystreams(limits) if vanishing else 1 + limits.degree + n
            if needed > self.worth:
                return limits.degree
        return None

    def record(self) -> Mapping[str, float | None]:
        """The crossover for a file."""
        return {
            **asdict(self),
            "gateway_neighbours": self.gateway,
            "round_neighbours": self.neighbours(vanishing=False),
            "round_neighbours_vanishing": self.neighbours(vanishing=True),
            "keystreams_worth": self.worth,
            "keystreams_assumed_by_auto": WORTH,
        }

    def text(self) -> str:
        """The crossover for a terminal."""
        sides = (
            (
                f"masks: encode {self.encode:.2f}, {self.mask:.3f} a mask at a gateway,"
                f" {self.unmask:.3f} at the server"
            ),
            (
                f"lattice: encode {self.lattice_encode:.2f}, encryption {self.encryption:.2f},"
                f" unmasking {self.unmasking:.2f}"
            ),
            f"crossover at a gateway: k = {self.gateway} neighbours",
            (
                "crossover of a round (a gateway and the server, complete graph): k ="
                f" {self.neighbours(vanishing=False)}, with one gateway in {VANISHING} vanished k ="
                f" {self.neighbours(vanishing=True)}"
            ),
            f"keystreams that the lattice is worth: {self.worth:.0f}; scheme='auto' takes {WORTH}",
        )
        title = f"\n== masks against lattice, d={self.coordinates:,}, ns/coord, 1 thread, CPU ==\n"
        return title + "\n".join(sides)


def crossover(coordinates: int) -> Crossover:
    """Measure both schemes in turn, best of `REPEATS`.

    Args:
        coordinates: d.
    """
    masks, masked_params = _world("masks", coordinates)
    lattice, params = _world("lattice", coordinates)
    masking = MasksGateway(masks, masked_params)
    gateway, server = LatticeGateway(lattice, params), AdditiveServer(lattice, params, {})
    few, many = random_keys(FEW), random_keys(MANY)
    sums = [np.zeros(vector.words, np.uint64) for vector in masked_params.vectors]

    def mask(keys: list[tuple[int, bytes]]) -> None:
        adder = MaskAdder(keys)
        masking.write(lambda _, first, words: adder.add(words, first), masking.plain_spans)

    def unmask(keys: list[tuple[int, bytes]]) -> None:
        for words in sums:
            add_masks(words, 0, keys, workers=SERIAL)

    samples, clock = Samples(), clock_for(1)
    for _ in range(REPEATS):
        samples.time("encode", masking.encode, clock)
        samples.time("few", lambda: mask(few), clock)
        samples.time("many", lambda: mask(many), clock)
        samples.time("few off", lambda: unmask(few), clock)
        samples.time("many off", lambda: unmask(many), clock)
        samples.time("lattice encode", gateway.encode, clock)
        samples.time("encryption", gateway.parts()["encryption"], clock)
        samples.time("unmasking", server.open, clock)
    best = {name: 1e9 * seconds / coordinates for name, seconds in samples.best().items()}
    return Crossover(
        coordinates=coordinates,
        encode=best["encode"],
        mask=(best["many"] - best["few"]) / (MANY - FEW),
        unmask=(best["many off"] - best["few off"]) / (MANY - FEW),
        lattice_encode=best["lattice encode"],
        encryption=best["encryption"],
        unmasking=best["unmasking"],
    )


def _world(scheme: str, coordinates: int) -> tuple[World, RoundParams]:
    case = Case(_GATEWAYS, coordinates, vanished=1, repeats=1, scheme=scheme)
    world = World(case)
    return world, world.settings(None).round_params(None)
