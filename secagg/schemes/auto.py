"""Chooses the scheme of a round where its user leaves it open: masks or lattice.

Both hide the same and survive the same. What differs most is computing time: with masks a gateway
adds a keystream for each of its k neighbours, and the orchestrator takes off one for each survivor
and one for each pair of a survivor and a vanished neighbour; with the lattice a gateway computes
one product and the orchestrator one, whatever the cohort and whoever vanishes. So the keystreams on
the way of a round from the first upload to the mean are counted, a tenth of the cohort vanishing,
and held against those that the lattice is worth.

Not weighed, since only users know their network: the lattice sends 4 or 5 bytes a coordinate where
masks send 2.7, and needs two exchanges in a steady round where masks need five.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from secagg.arguments import checked
from secagg.errors import ConfigurationError
from secagg.params import Thresholds
from secagg.schemes.additive import Lattice
from secagg.schemes.masks import Masks
from secagg.schemes.scheme import Scheme
from secagg.thresholds import neighbours, share_bytes

WORTH: Final = 110
"""Keystreams of a vector that take as long as the lattice's products do, one at a gateway and one
at the orchestrator, with what its encoding costs more. `python -m benchmarks.lattice` measures it
("keystreams that the lattice is worth"): 109 to 111 in four runs with 10^6 coordinates on two cores
of an x86-64 processor with AVX-512 and VAES. With the usual C and D it is exceeded from 30 gateways
on; with nobody vanishing it would be from 56 on."""
VANISHING: Final = 10
"""One gateway in so many vanishes, if as many may: as in the benchmarks."""
_MEGABYTE: Final = 1e6


@dataclass(frozen=True, slots=True)
class Choice:
    """A scheme, and why.

    Attributes:
        scheme: the one to use.
        reason: one sentence with the numbers; "" where nobody had to choose.
    """

    scheme: Scheme
    reason: str = ""


def keystreams(thresholds: Thresholds) -> int:
    """Keystreams that one gateway adds and the orchestrator removes when a tenth vanishes.

    Args:
        thresholds: of masks; n, D and the graph are used. Who vanishes stands at equal steps, where
            few are neighbours of one another.
    """
    n = thresholds.gateways
    count = min(thresholds.max_dropouts, n // VANISHING)
    vanished = frozenset(i * n // count for i in range(count))
    shared = sum(len(neighbours(thresholds, gone) - vanished) for gone in vanished)
    return (1 + thresholds.degree) + (n - count) + shared


@checked()
def choose(
    gateways: int,
    coordinates: int,
    *,
    max_colluding: int | None = None,
    max_dropouts: int | None = None,
    max_weight: float = 1.0,
    precision: float = 2.0**-12,
) -> Choice:
    """Masks up to `WORTH` keystreams, the lattice above; masks where the lattice cannot serve.

    Args:
        gateways: n.
        coordinates: real coordinates of an update; for the sentence, the choice is that of any.
        max_colluding: C, None for the scheme's own.
        max_dropouts: D, None for the scheme's own: from 13 to 64 gateways that of the lattice is
            lower.
        max_weight: largest weight.
        precision: rms error of the mean relative to clip.

    Raises:
        ConfigurationError: no scheme can work; the message names what would.
    """
    masks, lattice = Masks(), Lattice()
    limits = masks.thresholds(gateways, max_colluding=max_colluding, max_dropouts=max_dropouts)
    needed = keystreams(limits)
    counted = (
        f"{needed} keystreams for {gateways} gateways with {limits.degree} neighbours each,"
        f" where the lattice is worth {WORTH}"
    )
    if needed <= WORTH:
        return Choice(masks, f"Masks: {counted}.")
    try:
        shared = lattice.thresholds(
            gateways, max_colluding=max_colluding, max_dropouts=max_dropouts
        )
        carried = lattice.plan_update(gateways, max_weight, precision)
    except ConfigurationError as error:
        return Choice(masks, f"Masks, although it takes {counted}: {error}.")
    lanes = masks.plan_update(gateways, max_weight, precision).lanes
    bits = 0 if carried.ring is None else carried.ring.moduli[0].bit_length() - 1
    key = share_bytes(shared.committee, shared.share_threshold, shared.packed)
    sizes = (bits // 8 * coordinates + key) / _MEGABYTE, 8 / lanes * coordinates / _MEGABYTE
    return Choice(
        lattice,
        f"Lattice: masks would take {counted}; an upload has {sizes[0]:.3g} MB instead of"
        f" {sizes[1]:.3g} MB.",
    )
