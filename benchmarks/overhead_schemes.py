"""Measures the schemes that run in sessions, whole and in parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.footprint import footprint
from benchmarks.measuring import First, time_parts, time_round
from benchmarks.overhead_cases import Setting
from benchmarks.overhead_result import Cell, Memory
from benchmarks.parts import GatewayParts, ServerParts
from benchmarks.parts_additive import AdditiveGateway, AdditiveServer
from benchmarks.parts_masks import MasksGateway, MasksServer
from benchmarks.rounds import CLIP, Vector, World
from benchmarks.timing import Samples
from secagg.schemes.additive.ckks import CkksRing
from secagg.schemes.additive.lattice import LatticeRing
from secagg.schemes.additive.rings import RingOf
from secagg.workers import SERIAL

FLOAT32_BYTES: Final = 4
_GATEWAY: Final = {
    "encode": ("range check", "encode"),
    "encrypt": ("masks", "encryption"),
    "serialise": ("frames", "GMAC"),
}
_SERVER: Final = {
    "add": ("GMAC", "staging", "sum"),
    "open": ("masks", "product", "key recovery", "signatures"),
    "finish": ("range check", "decode"),
}
"""Column -> parts of a session; a scheme has those that it needs."""
_RINGS: Final[Mapping[str, RingOf]] = {"lattice": LatticeRing, "ckks": CkksRing}


class Contender(Protocol):
    """A scheme ready to be measured with one setting; making one plays a first round."""

    def once(self) -> None:
        """Measure everything once more."""

    def cell(self) -> Cell:
        """The best of what was measured."""
        ...


class InSession:
    """Masks, lattice or ckks: real sessions, real frames, every check.

    Args:
        setting: sizes.
        scheme: its name.
    """

    def __init__(self, setting: Setting, scheme: str) -> None:
        self._setting = setting
        self._samples = Samples()
        self._world = world = World(setting.case(scheme))
        self._memory = _memory(world) if setting.memory else None
        self._first = first = First(world)
        self._error = deviation(first.mean, list(world.updates.values()))
        self._gateway, self._server = _parts(world, first)

    def once(self) -> None:
        """One round through the sessions, and each part by itself."""
        time_parts(self._gateway, self._server, self._samples)
        time_round(self._world, None, SERIAL, self._samples)

    def cell(self) -> Cell:
        """See `Contender`."""
        best, d = self._samples.best(), self._setting.coordinates
        limits = self._world.case.thresholds
        upload, whole = (1e9 * best[name] / d for name in ("gateway upload", "server total"))
        return Cell(
            scheme=self._world.case.scheme,
            gateways=self._setting.gateways,
            neighbours=limits.degree,
            colluding=limits.max_colluding,
            coordinates=d,
            layers=self._setting.layers,
            vanished=self._setting.vanished,
            gateway=split("gateway", _GATEWAY, best, d, upload),
            upload=upload,
            server=split("server", _SERVER, best, d, whole),
            aggregate=whole,
            bytes_up=self._first.bytes_up / d,
            bytes_down=self._first.bytes_down / d + FLOAT32_BYTES,
            set_up_gateway=1e3 * best["gateway set-up"],
            set_up_server=1e3 * best["server set-up"],
            closing=1e3 * best["gateway last exchanges"],
            max_error=self._error[0],
            rms_error=self._error[1],
            memory=self._memory,
            layout=self._first.layout,
        )


def split(
    side: str,
    columns: Mapping[str, Sequence[str]],
    best: Mapping[str, float],
    coordinates: int,
    whole: float,
) -> dict[str, float]:
    """Nanoseconds a coordinate by column, and what the parts leave of the whole."""
    times = {
        column: 1e9 * sum(best.get(f"{side} {name}", 0.0) for name in names) / coordinates
        for column, names in columns.items()
    }
    return {**times, "other": max(0.0, whole - sum(times.values()))}


def deviation(mean: NDArray[np.floating], updates: Sequence[Vector]) -> tuple[float, float]:
    """Largest and rms error of a mean against the exact one, relative to clip.

    Args:
        mean: as the scheme gives it.
        updates: float32, those in the mean.
    """
    exact = np.zeros(len(mean), np.float64)
    for update in updates:
        np.add(exact, update, out=exact)
    off = np.abs(mean - exact / len(updates)) / CLIP
    return float(off.max()), float(np.sqrt(np.square(off).mean()))


def _parts(world: World, first: First) -> tuple[GatewayParts, ServerParts]:
    scheme, params, uploads = world.case.scheme, first.params, first.uploads
    if scheme == "masks":
        return MasksGateway(world, params), MasksServer(world, params, uploads)
    ring = _RINGS[scheme]
    return (
        AdditiveGateway(world, params, ring),
        AdditiveServer(world, params, uploads, ring),
    )


def _memory(world: World) -> Memory:
    peaks = footprint(world)
    gateway, server = peaks["gateway, frames sent as they come"], peaks["server"]
    return Memory(gateway=_larger(gateway), server=_larger(server))


def _larger(peak: Mapping[str, float | None]) -> float:
    """What numpy's transforms and OpenSSL allocate is seen from outside alone."""
    return max(peak["traced_mib"] or 0.0, peak["resident_mib"] or 0.0)
