"""Measures one case, and runs a benchmark: cases in, a table and a file out."""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
from collections.abc import Mapping, Sequence
from cProfile import Profile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.footprint import footprint
from benchmarks.parts import GatewayParts, Plain, ServerParts
from benchmarks.parts_additive import AdditiveServer, LatticeGateway
from benchmarks.parts_masks import MasksGateway, MasksServer
from benchmarks.report import Measured, record, text
from benchmarks.rounds import Case, Round, World, flat
from benchmarks.timing import Samples, clock_for
from secagg.crypto.kdf import derive_key, digest
from secagg.crypto.signing import SigningKey, verify
from secagg.params import GatewayId
from secagg.session import Model
from secagg.workers import SERIAL, Workers

THREADS = 2
COUNTED: Mapping[object, str] = {
    SigningKey.sign.__code__: "signatures made",
    verify.__code__: "signatures verified",
    derive_key.__code__: "keys derived",
    digest.__code__: "hashes",
}
"""Function of the library -> what a call of it is."""
EXCHANGE = "method 'exchange' of"
"""How a profile names the Diffie-Hellman of the package cryptography."""


def parser_of(name: str, about: str) -> argparse.ArgumentParser:
    """`--output` and `--quick`, as every benchmark takes them."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=about)
    parser.add_argument("--output", type=Path, metavar="DIR", help=f"write {name}.json there")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run at all?")
    return parser


def measure_all(cases: Sequence[Case]) -> list[dict[str, Any]]:
    """Measure and print; returns the records."""
    records = []
    for case in cases:
        measured = measure(case)
        print(text(measured), flush=True)
        records.append(record(measured))
    return records


def write(directory: Path | None, name: str, **content: object) -> None:
    """Write DIR/name.json, if there is a DIR."""
    if directory is None:
        return
    directory.mkdir(parents=True, exist_ok=True)
    whole = json.dumps({"machine": machine(), **content}, indent=2)
    (directory / f"{name}.json").write_text(whole + "\n")


def machine() -> Mapping[str, object]:
    """What figures depend on."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "cryptography": version("cryptography"),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
    }


def measure(case: Case) -> Measured:
    """Everything about one case.

    Cyclic garbage is collected between rounds only: a collection looks at the objects of all
    parties, a thousand gateways among them, which no server has in its process.
    """
    gc.disable()
    try:
        return _measure(case)
    finally:
        gc.enable()


def _measure(case: Case) -> Measured:
    world = World(case)
    memory = {} if case.brief else footprint(world)
    plain = Plain(world)
    first = First(world)
    one, two = Samples(), Samples()
    gateway, server = _parts_of(world, first)
    based = None if case.brief else GatewayParts(world, first.params, world.base)
    with Workers(THREADS) as workers:
        for _ in range(case.repeats):
            _plain(plain, one, threads=1)
            time_parts(gateway, server, one)
            time_round(world, None, SERIAL, one)
            if based is not None:
                for name in ("range check", "encode"):
                    one.time(f"gateway {name} with base", based.parts()[name], clock_for(1))
                one.time("gateway model hash", lambda: Model(world.base.tree), clock_for(1))
                time_round(world, world.base, SERIAL, one, suffix=" with base")
                _plain(plain, two, threads=THREADS)
                time_round(world, None, workers, two)
    masks = server.masks if isinstance(server, MasksServer) else 0
    first.uploads.clear()
    del server
    plain.round()
    return Measured(
        case=case,
        layout=first.layout,
        server_masks=masks,
        error=float(np.abs(first.mean - plain.mean).max()),
        error_bound=first.error_bound,
        one=one.best(),
        two=two.best(),
        operations=_operations(world),
        bytes_up=first.bytes_up,
        bytes_down=first.bytes_down,
        memory=memory,
    )


class First:
    """The first round of a world, which warms everything up and is checked.

    Attributes:
        params: P.
        layout: how updates are carried.
        uploads: frames of each survivor.
        mean: as the gateways get it, its leaves as one vector.
        error_bound: what is stated for it.
        bytes_up: of the gateway that sends the most, all messages.
        bytes_down: to the gateway that gets the most, all messages.
    """

    def __init__(self, world: World) -> None:
        play = Round(world)
        play.set_up()
        self.params = play.params
        self.layout = play.server.settings.carried.text
        self.uploads = play.uploads()
        play.deliver(self.uploads)
        self.mean = flat(play.open())
        self.error_bound = play.server.result.error.bound
        self.bytes_up = max(play.bytes_up.values())
        self.bytes_down = max(play.bytes_down.values())


def _plain(plain: Plain, samples: Samples, *, threads: int) -> None:
    clock = clock_for(threads)
    samples.time("plain add", plain.add, clock)
    samples.time("plain round", plain.round, clock)
    samples.time("plain fresh", plain.fresh, clock)


def _parts_of(world: World, first: First) -> tuple[GatewayParts, ServerParts]:
    params, uploads = first.params, first.uploads
    if world.case.scheme == "lattice":
        return LatticeGateway(world, params), AdditiveServer(world, params, uploads)
    return MasksGateway(world, params), MasksServer(world, params, uploads)


def time_parts(gateway: GatewayParts, server: ServerParts, into: Samples) -> None:
    """Each part by itself, on one thread."""
    for side, parts in (("gateway", gateway.parts()), ("server", server.parts())):
        for name, part in parts.items():
            into.time(f"{side} {name}", part, clock_for(1))


def time_round(
    world: World, base: Model | None, workers: Workers, into: Samples, suffix: str = ""
) -> None:
    """One round through the sessions.

    Args:
        world: who takes part.
        base: the model that updates are relative to.
        workers: threads of everybody.
        into: gets the seconds.
        suffix: of their names.
    """
    gc.collect()
    samples = Samples()
    play = Round(world, base, workers, clock_for(workers.threads), samples)
    play.set_up()
    play.deliver(play.uploads())
    play.open()
    for name, seconds in samples.best().items():
        into.add(name + suffix, seconds)
    phases = ("server receiving", "server unmasking", "server mean")
    into.add("server total" + suffix, sum(samples.best()[phase] for phase in phases))


def _operations(world: World) -> Mapping[str, Mapping[str, int]]:
    """Public-key operations and hashes of the set-up, counted by a profiler."""
    profiles: dict[GatewayId | None, Profile] = {world.survivors[0]: Profile(), None: Profile()}
    Round(world, profiles=profiles).set_up()
    counts: dict[str, dict[str, int]] = {}
    for party, profile in profiles.items():
        who = "server" if party is None else "gateway"
        counts[who] = count = dict.fromkeys(COUNTED.values(), 0)
        count["Diffie-Hellman"] = 0
        for entry in profile.getstats():
            count["Diffie-Hellman"] += entry.callcount * (EXCHANGE in str(entry.code))
            if (what := COUNTED.get(entry.code)) is not None:
                count[what] += entry.callcount
    return counts
