"""One round of many gateways with real cryptography, measured beside the same round in the clear.

Nothing holds n * d numbers: a gateway's update is made when its upload is due, the server keeps one
running sum, and the oracle adds what it knows about each input to one vector of integers.
"""

from __future__ import annotations

import gc
import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocol_sim.large_parties import INPUT_BLOCK, LargeParties, MeasuredExchange, Part, vanishing
from protocol_sim.oracle import Verdict
from protocol_sim.parties import VERIFY
from protocol_sim.phase_costs import PhaseCosts, Traffic
from secagg.pages.tables import Section, Table
from secagg.params import Thresholds
from secagg.schemes import scheme_of
from secagg.schemes.scheme import Scheme

WATCHED: Final = 3
"""Gateways that check every signature themselves, and whose seconds are those of a gateway. The
others, who in one process would check the same ones again for minutes, look the result up."""
FLOAT_BYTES: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One round, or several shards of one.

    Attributes:
        scheme, gateways, coordinates, dropout, seed: as asked for.
        thresholds: n, C, D and what follows.
        verdict: how it ended; its violation is "" if the sum is right.
        wall: seconds, all parties in one process.
        phases: bytes and CPU seconds.
        everybody: CPU seconds of all gateways, of whom most look signatures up.
        plain_server, plain_gateway: CPU seconds of the same vectors' mean in float32: all of the
            server's, and of one gateway.
        transcript: SHA-256 over all frames in the order of their delivery; over the transcripts of
            the shards, where there are several.
        sums: SHA-256 over each block of 8192 coordinates of the opened sum of the updates.
        shards: parts that the coordinates were cut into.
    """

    scheme: str
    gateways: int
    coordinates: int
    dropout: float
    seed: object
    thresholds: Thresholds
    verdict: Verdict
    wall: float
    phases: tuple[Traffic, ...]
    everybody: float
    plain_server: float
    plain_gateway: float
    transcript: str
    sums: tuple[str, ...]
    shards: int = 1

    @property
    def sum(self) -> str:
        """One name for the opened sum, however many shards it came from; "" if none opened."""
        return _hash("".join(self.sums).encode()) if self.sums else ""

    @property
    def server(self) -> float:
        """CPU seconds of the server."""
        return sum(phase.server for phase in self.phases)

    @property
    def gateway(self) -> float:
        """CPU seconds of one gateway that checks every signature itself."""
        return sum(phase.gateway for phase in self.phases)

    @property
    def up(self) -> float:
        """Bytes from one gateway."""
        return sum(phase.up for phase in self.phases)

    @property
    def down(self) -> float:
        """Bytes to one gateway."""
        return sum(phase.down for phase in self.phases)

    def section(self) -> Section:
        """The figures in words and tables."""
        return _section(self)


def play(
    gateways: int,
    coordinates: int,
    dropout: float = 0.0,
    scheme: str = "masks",
    seed: object = 0,
    *,
    variant: Scheme | None = None,
    part: Part | None = None,
) -> Measured:
    """Play one round of real sessions, measure it, and check its sum.

    Args:
        gateways: n, 3 to 2048.
        coordinates: d, of a whole update; three integers come with them.
        dropout: share of the gateways that vanish, each at some point of the round, 0 to D / n.
        scheme: name.
        seed: decides keys, randomness, and who vanishes when; inputs follow from their place.
        variant: of the scheme, with another layout; the usual one if not given.
        part: of the coordinates; all by default.

    Raises:
        ConfigurationError: numbers that cannot work.
    """
    spoken = variant or scheme_of(scheme)
    parties = LargeParties(gateways, spoken, seed=seed, coordinates=coordinates, part=part)
    settings = parties.settings(parties.part.number)
    vanish = vanishing(gateways, dropout, spoken, seed, settings.thresholds)
    watched = [name for name in parties.ids if name not in vanish][:WATCHED]
    VERIFY.cache_clear()  # an earlier round of the same seed would make this one cheaper
    session = MeasuredExchange(
        parties,
        number=parties.part.number,
        watched=watched,
        vanish=vanish,
        settings=settings,
        # whoever stops half way keeps its place: the others would all go through files
        max_in_flight=2 + len(vanish),
    )
    wall = _wall(session)
    verdict = session.verdict
    plain_server, plain_gateway = _plain(parties, verdict.included)
    return Measured(
        scheme=scheme,
        gateways=gateways,
        coordinates=parties.coordinates,
        dropout=dropout,
        seed=seed,
        thresholds=settings.thresholds,
        verdict=verdict,
        wall=wall,
        phases=session.costs.traffic(len(watched)),
        everybody=session.costs.everybody,
        plain_server=plain_server,
        plain_gateway=plain_gateway,
        transcript=session.transcript.hexdigest(),
        sums=_digests(session) if verdict.outcome == "sum" else (),
    )


def _wall(session: MeasuredExchange) -> float:
    """Play, and say how long it took.

    Cyclic garbage is left alone meanwhile: a collection looks at the objects of all parties, a
    thousand gateways among them, which no server has in its process.
    """
    collecting = gc.isenabled()
    gc.disable()
    began = time.perf_counter()
    try:
        session.play()
    finally:
        if collecting:
            gc.enable()
    return time.perf_counter() - began


def _plain(parties: LargeParties, included: Iterable[str]) -> tuple[float, float]:
    """CPU seconds of the weighted mean in float32: of the server, and of one gateway."""
    total, weights, count = np.zeros(parties.coordinates, np.float32), 0.0, 0
    costs = PhaseCosts()

    def add(data: bytes) -> None:
        np.add(total, np.frombuffer(data, np.float32), out=total)

    for name in included:
        update, weight = parties.update(name)["w"], np.float32(parties.weight(name))
        data = costs.timed("", "gateway", partial(_weighted, update, weight))
        costs.timed("", "server", partial(add, data))
        weights += float(weight)
        count += 1
    costs.timed("", "server", lambda: np.divide(total, np.float32(weights or 1), out=total))
    return costs.seconds["", "server"], costs.seconds.get(("", "gateway"), 0.0) / max(count, 1)


def _weighted(update: NDArray[np.float32], weight: np.float32) -> bytes:
    return (update * weight).tobytes()


def _digests(session: MeasuredExchange) -> tuple[str, ...]:
    """SHA-256 over the opened update, block by block, as int64."""
    opened = session.opened[0].astype("<i8")
    blocks = range(0, len(opened), INPUT_BLOCK)
    return tuple(_hash(opened[start : start + INPUT_BLOCK].tobytes()) for start in blocks)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sharing(limits: Thresholds) -> str:
    """Who holds whose shares, in symbols."""
    if limits.committee:
        return f"m = {limits.committee}, R = {limits.share_threshold}, ell = {limits.packed}"
    return f"k = {limits.degree}, t = {limits.share_threshold}"


def _section(measured: Measured) -> Section:
    limits, verdict = measured.thresholds, measured.verdict
    clear = f"{FLOAT_BYTES * measured.coordinates:,}"
    wrong = f", {verdict.violation}" if verdict.violation else ""
    heading = ("server s", "one gateway ms", "up, bytes", "down, bytes")
    plain = (f"{measured.plain_server:.3f}", f"{1e3 * measured.plain_gateway:.2f}", clear, clear)
    return Section(
        "The round",
        f"{measured.scheme}: n = {measured.gateways}, d = {measured.coordinates:,}, "
        f"C = {limits.max_colluding}, D = {limits.max_dropouts}, {sharing(limits)}; "
        f"{len(verdict.dropped)} dropped, {len(verdict.included)} in the sum.",
        f"Outcome: {verdict.outcome}{wrong}. Transcript {measured.transcript[:16]}, "
        f"sum {measured.sum[:16]}.",
        Table(
            "Beside the same round in the clear",
            ("round", "wall s", *heading),
            [
                (measured.scheme, f"{measured.wall:.2f}", *_costs(measured)),
                ("in the clear, float32", "", *plain),
            ],
        ),
        Table(
            "Phase by phase",
            ("phase", *heading),
            [(phase.phase, *_costs(phase)) for phase in measured.phases],
        ),
    )


def _costs(of: Measured | Traffic) -> tuple[str, ...]:
    return f"{of.server:.3f}", f"{1e3 * of.gateway:.1f}", f"{of.up:,.0f}", f"{of.down:,.0f}"
