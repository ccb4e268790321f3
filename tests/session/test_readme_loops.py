"""The loops of the README, as they are written, on a network that damages and forges."""

from __future__ import annotations

import os
import queue
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secagg import Identity, Member, Policy, Roster, SecureAverage
from secagg.errors import AbortedByPeer, PolicyViolation, SecAggError
from tests.reading import GATEWAY, ONCE, ORCHESTRATOR

IDS = ["g0", "g1", "g2", "g3"]
BASE = {"w": np.zeros(5, np.float32)}
AVERAGE = SecureAverage(clip=1.0)
LATE = 2.0
"""Seconds without a frame after which time is up; nothing here takes half as long."""


class Model:
    loaded: Any = None

    def load_state_dict(self, state: Any) -> None:
        self.loaded = state


class Network:
    """Queues in the place of sockets; every frame comes with some that are none of its session."""

    def __init__(self) -> None:
        self.up: queue.Queue[tuple[Any, Any]] = queue.Queue()
        self.down: dict[str, queue.Queue[Any]] = {name: queue.Queue() for name in IDS}
        self.begun: set[str] = set()

    def to_gateway(self, name: str, frame: bytes) -> None:
        # the first frame names the session: nothing is foreign to it yet
        first = name not in self.begun
        self.begun.add(name)
        for noise in noises(frame)[: -1 if first else None]:
            self.down[name].put(noise)
        self.down[name].put(frame)

    def to_orchestrator(self, name: str, frame: bytes) -> None:
        self.up.put(("a stranger", frame))
        for noise in noises(frame):
            self.up.put((name, noise))
        self.up.put((name, frame))

    def next_frame(self) -> tuple[Any, Any]:
        try:
            return self.up.get(timeout=LATE)
        except queue.Empty:
            return None, None


def noises(frame: bytes) -> list[object]:
    """Junk, a text, a damaged frame, and the same frame of a session that is over."""
    data = bytes(frame)
    return [b"?", "text", data[:-1], data[:8] + bytes(16) + data[24:]]


def own(code: str, name: str, folder: Path) -> str:
    """A snippet for one gateway, with files of its own."""
    code = code.replace('"g1"', repr(name)).replace('"gateway.db"', repr(f"{folder / name}.db"))
    return code.replace('"policy.json"', repr(f"{folder / name}.json"))


def join(name: str, seed: bytes, folder: Path) -> Member:
    names: dict[str, Any] = {"seed": seed, "average": AVERAGE, "template": BASE}
    exec(own(ONCE, name, folder), names)
    member: Member = names["member"]
    return member


class Gateway(threading.Thread):
    """The README's loop of one gateway, and how it ended."""

    def __init__(self, network: Network, roster: Roster, seed: bytes, name: str, folder: Path):
        super().__init__()
        self.error: SecAggError | None = None
        self.code = own(GATEWAY, name, folder)
        self.names = {
            "seed": seed,
            "roster": roster,
            "next_frame": network.down[name].get,
            "send": lambda frame: network.to_orchestrator(name, frame),
            "train": lambda base: {"w": base["w"] + np.float32(IDS.index(name) / 10)},
            "weight": 1.0,
            "base": BASE,
        }

    def run(self) -> None:
        try:
            exec(self.code, self.names)
        except SecAggError as error:
            self.error = error
        self.names["journal"].close()


@pytest.mark.parametrize(
    ("silent", "refusing"),
    [(None, None), ("g2", None), (None, "g1"), ("g0", "g3")],
    ids=["all there", "one silent", "one refuses", "too few"],
)
def test_the_loops_outlive_noise_and_tell_every_refusal(
    silent: str | None, refusing: str | None, tmp_path: Path
) -> None:
    network, seeds = Network(), {name: os.urandom(32) for name in IDS}
    identity = Identity.generate("orchestrator", os.urandom)
    members = [join(name, seed, tmp_path) for name, seed in seeds.items()]
    if refusing is not None:
        Policy(min_gateways=5).save(tmp_path / f"{refusing}.json")
    roster = Roster(1, identity.key.public, tuple(members))
    sites = {
        name: Gateway(network, roster, seed, name, tmp_path)
        for name, seed in seeds.items()
        if name != silent
    }
    for site in sites.values():
        site.start()
    said: list[Any] = []
    names = {
        "average": AVERAGE,
        "ids": IDS,
        "template": BASE,
        "base": BASE,
        "roster": roster,
        "identity": identity,
        "model": Model(),
        "send": network.to_gateway,
        "next_frame": network.next_frame,
        "print": said.append,
    }
    exec(ORCHESTRATOR, names)
    for site in sites.values():
        site.join()
    server = names["server"]
    lost = [name for name in IDS if name in {silent, refusing}]
    left = [place for place, name in enumerate(IDS) if name not in lost]
    told = {name: type(site.error) for name, site in sites.items()}
    others = type(None) if len(lost) < 2 else AbortedByPeer

    assert lost == sorted(server.dropped)
    assert len(server.ignored) > 0
    assert {name: PolicyViolation if name in lost else others for name in sites} == told
    if len(lost) < 2:
        assert names["model"].loaded["w"] == pytest.approx(np.full(5, np.mean(left) / 10), abs=1e-3)
    else:
        assert f"{refusing}: PolicyViolation: the policy" in str(said[-1].reason)
