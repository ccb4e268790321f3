"""Lists what the overhead benchmark measures: sizes, and how many vanish."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from benchmarks.rounds import Case

PLAIN: Final = "plaintext"
SESSIONS: Final = ("masks", "lattice", "ckks")
LEAN, CUSTOMARY, NVFLARE = "shared key, lean", "shared key, customary", "NVFlare's encryptor"
ALL: Final = (PLAIN, *SESSIONS, LEAN, CUSTOMARY, NVFLARE)
LAYERS: Final = 60
MAIN: Final = 10
"""Gateways of the comparison that the tables begin with."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Sizes that all schemes are measured with, in turn.

    Attributes:
        gateways: n.
        coordinates: d.
        vanished: gateways whose upload never comes.
        dropouts: D that the thresholds are made for.
        repeats: the best counts.
        degree: k of masks where the graph is not complete, None elsewhere.
        layers: arrays that hold the d coordinates, of equal size.
        schemes: by name.
        memory: peak memory is measured too.
    """

    gateways: int
    coordinates: int
    vanished: int
    dropouts: int
    repeats: int
    degree: int | None = None
    layers: int = 1
    schemes: tuple[str, ...] = ALL
    memory: bool = False

    def case(self, scheme: str) -> Case:
        """The same for a scheme that runs in sessions."""
        return Case(
            gateways=self.gateways,
            coordinates=self.coordinates,
            vanished=self.vanished,
            repeats=self.repeats,
            dropouts=self.dropouts,
            scheme=scheme,
            degree=self.degree if scheme == "masks" else None,
            brief=True,
            layers=self.layers,
        )

    def __str__(self) -> str:
        layers = "flat" if self.layers == 1 else f"in {self.layers} layers"
        return (
            f"n = {self.gateways}, d = {self.coordinates:,} {layers}, {self.vanished} vanished, "
            f"{self.repeats} repeats"
        )


_TEN: Final = 3
"""D of ten gateways, the most that the default C leaves: 30% may vanish, as at every other n."""
_DROPPING: Final = (PLAIN, *SESSIONS, LEAN, CUSTOMARY)
# k = 4, 9, 30 and 98. Five gateways survive one dropout, which is neither 10% nor 30%.
FULL: Final = (
    Setting(MAIN, 1_000_000, 0, _TEN, repeats=5, memory=True),
    Setting(MAIN, 1_000_000, 1, _TEN, repeats=3, schemes=_DROPPING),
    Setting(MAIN, 1_000_000, 3, _TEN, repeats=3, schemes=_DROPPING),
    Setting(MAIN, 1_000_000, 0, _TEN, repeats=3, layers=LAYERS),
    Setting(MAIN, 100_000, 0, _TEN, repeats=5),
    Setting(MAIN, 100_000, 0, _TEN, repeats=5, layers=LAYERS),
    Setting(5, 1_000_000, 0, 1, repeats=3),
    Setting(31, 1_000_000, 0, 9, repeats=3, schemes=_DROPPING),
    Setting(31, 1_000_000, 3, 9, repeats=2, schemes=SESSIONS),
    Setting(31, 1_000_000, 9, 9, repeats=2, schemes=SESSIONS),
    Setting(100, 1_000_000, 0, 30, repeats=2, degree=98, schemes=_DROPPING),
    Setting(100, 1_000_000, 10, 30, repeats=2, degree=98, schemes=SESSIONS),
    Setting(100, 1_000_000, 30, 30, repeats=2, degree=98, schemes=SESSIONS),
)
QUICK: Final = (
    Setting(MAIN, 12_000, 0, _TEN, repeats=1, memory=True),
    Setting(MAIN, 12_000, 1, _TEN, repeats=1, schemes=_DROPPING),
    Setting(MAIN, 12_000, 0, _TEN, repeats=1, layers=6),
    Setting(5, 12_000, 0, 1, repeats=1),
)
