"""Holds what the overhead benchmark found, as it is kept in overhead.json."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.footprint import ALLOWANCE, MAX_IN_FLIGHT
from benchmarks.memory import MIB
from benchmarks.overhead_cases import CUSTOMARY, LEAN, MAIN
from benchmarks.overhead_facts import THREATS, facts

GATEWAY_PARTS: Final = ("encode", "encrypt", "serialise", "other")
SERVER_PARTS: Final = ("add", "open", "finish", "other")


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Peak MiB on top of what was there; None where it was not measured."""

    gateway: float | None
    server: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One scheme with one size; times are CPU nanoseconds a coordinate, of one thread.

    Attributes:
        scheme: name.
        gateways: n.
        neighbours: k of masks, 0 elsewhere.
        colluding: C; 0 where one gateway is too many.
        coordinates: d.
        layers: arrays that hold them.
        vanished: gateways whose upload never came.
        gateway: time of one upload by part.
        upload: of the whole upload, measured apart from its parts.
        decrypt: at a gateway, where gateways open the sum; 0 elsewhere.
        server: time of a whole round by part.
        aggregate: of the whole round at the server; None where it was not measured.
        bytes_up: a coordinate, everything that a gateway sends in a round.
        bytes_down: a coordinate, everything that it gets: messages, and the mean in float32 or the
            sum under encryption.
        set_up_gateway: ms of key rounds, or of making keys.
        set_up_server: ms of key rounds.
        closing: ms at a gateway in the exchanges after its upload.
        max_error: of the mean, relative to clip, against the exact mean; None: not measured.
        rms_error: likewise.
        memory: None where it was not measured.
        layout: how the scheme carries updates.
    """

    scheme: str
    gateways: int
    coordinates: int
    layers: int
    vanished: int
    gateway: dict[str, float]
    upload: float
    server: dict[str, float]
    aggregate: float | None
    bytes_up: float
    bytes_down: float | None
    max_error: float | None
    rms_error: float | None
    neighbours: int = 0
    colluding: int = 0
    decrypt: float = 0.0
    set_up_gateway: float = 0.0
    set_up_server: float = 0.0
    closing: float = 0.0
    memory: Memory | None = None
    layout: str = ""

    @property
    def title(self) -> str:
        """The scheme, with k where it has neighbours."""
        return f"{self.scheme}, k = {self.neighbours}" if self.neighbours else self.scheme

    @property
    def rate(self) -> float:
        """Share of the gateways that vanished."""
        return self.vanished / self.gateways


@dataclass(frozen=True, slots=True, kw_only=True)
class Overhead:
    """A run.

    Attributes:
        machine: versions, cores, load.
        quick: tiny sizes: it shows that the benchmark runs, its figures mean nothing.
        cells: in the order they were measured.
        missing: scheme -> why it was not measured.
        minutes: that the run took.
        model_hash: CPU ns a coordinate, on one thread, to hash the model of a round.
    """

    machine: dict[str, str]
    quick: bool
    cells: list[Cell]
    missing: dict[str, str]
    minutes: float
    model_hash: float

    @property
    def coordinates(self) -> int:
        """The largest d, whose figures come first."""
        return max(cell.coordinates for cell in self.cells)

    def find(
        self,
        *,
        scheme: str | None = None,
        gateways: int | None = None,
        coordinates: int | None = None,
        layers: int = 1,
        vanished: int | None = 0,
    ) -> list[Cell]:
        """Cells of these sizes, None for any; of the largest d unless another is named."""
        wanted = coordinates or self.coordinates
        return [
            cell
            for cell in self.cells
            if cell.layers == layers
            and cell.coordinates == wanted
            and scheme in {None, cell.scheme}
            and gateways in {None, cell.gateways}
            and vanished in {None, cell.vanished}
        ]

    def main(self) -> list[Cell]:
        """The comparison: ten gateways, the largest model, nobody vanishes."""
        return self.find(gateways=MAIN)

    def of(self, scheme: str) -> Cell | None:
        """A scheme in the comparison."""
        return next(iter(self.find(scheme=scheme, gateways=MAIN)), None)


@dataclass(frozen=True, slots=True)
class Target:
    """A number that was asked for.

    Attributes:
        name: what is measured.
        value: what was.
        limit: at most, or, if `least`, at least that.
        least: see `limit`.
    """

    name: str
    value: float
    limit: float
    least: bool = False

    @property
    def met(self) -> bool:
        """Whether it holds."""
        return self.value >= self.limit if self.least else self.value <= self.limit

    @property
    def verdict(self) -> str:
        """Verdict in a word."""
        return "met" if self.met else "MISSED"

    def __str__(self) -> str:
        bound = "at least" if self.least else "at most"
        return f"{self.name}: {self.value:.3g}, {bound} {self.limit:g}: {self.verdict}"


def targets(run: Overhead) -> list[Target]:
    """What was asked for, of schemes that were measured.

    Ten gateways, the largest model: what was asked for a million coordinates.
    """
    ckks, lean, customary = (run.of(name) for name in ("ckks", LEAN, CUSTOMARY))
    found = []
    if ckks is not None:
        found += [
            Target("ckks: largest error of the mean, relative to clip", _error(ckks), 1e-5),
            Target("ckks: gateway, ns/coord", ckks.upload, 50),
            Target("ckks: upload, bytes/coord", ckks.bytes_up, 5.5),
            *_server_memory(ckks),
        ]
    if ckks is not None and customary is not None:
        time, size = customary.upload / ckks.upload, customary.bytes_up / ckks.bytes_up
        found += [
            Target("customary / ckks: gateway time", time, 9, least=True),
            Target("customary / ckks: size of an upload", size, 14, least=True),
        ]
    if lean is not None:
        found += [
            Target("lean shared key: gateway, ns/coord", lean.upload, 200),
            Target("lean shared key: upload, bytes/coord", lean.bytes_up, 8),
        ]
    return found


def _server_memory(cell: Cell) -> list[Target]:
    """One running sum, and the uploads that are staged in memory."""
    if cell.memory is None or cell.memory.server is None:
        return []
    upload = cell.bytes_up * cell.coordinates
    limit = ((1 + MAX_IN_FLIGHT) * upload + ALLOWANCE) / MIB
    return [Target(f"{cell.scheme}: server, MiB", cell.memory.server, round(limit, 1))]


def _error(cell: Cell) -> float:
    return float("inf") if cell.max_error is None else cell.max_error


def parts_of(cells: Iterable[Cell], side: str) -> list[str]:
    """Parts of "gateway" or "server" that take time in any of the cells, in their order."""
    order = GATEWAY_PARTS if side == "gateway" else SERVER_PARTS
    return [part for part in order if any(getattr(cell, side).get(part) for cell in cells)]


def dump(run: Overhead) -> bytes:
    """As JSON that people read too; with targets, and with what is known of each scheme."""
    judged = [msgspec.to_builtins(each) | {"met": each.met} for each in targets(run)]
    known = {scheme: facts(scheme) for scheme in dict.fromkeys(cell.scheme for cell in run.cells)}
    content = msgspec.to_builtins(run) | {"targets": judged, "threats": THREATS, "schemes": known}
    return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"


def load(path: Path) -> Overhead:
    """What `dump` wrote.

    Raises:
        msgspec.DecodeError: something else.
        OSError: the file cannot be read.
    """
    return msgspec.json.decode(path.read_bytes(), type=Overhead)
