"""The loops of the README, as they are written, on a network that damages and forges."""

from __future__ import annotations

import os
import queue
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secagg import Identity, Member, Roster, SecureAverage

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
_, ONCE, GATEWAY, ORCHESTRATOR = re.findall(r"```python\n(.+?)```", README, re.DOTALL)
IDS = ["g0", "g1", "g2", "g3"]
BASE = {"w": np.zeros(5, np.float32)}
AVERAGE = SecureAverage(clip=1.0)
LATE = 2.0
"""Seconds without a frame after which time is up; nothing here takes half as long."""


class Model:
    loaded: Any = None

    def state_dict(self) -> dict[str, Any]:
        return BASE

    def load_state_dict(self, state: Any) -> None:
        self.loaded = state


class Network:
    """Queues in the place of sockets; every frame comes with some that are none of its session."""

    def __init__(self) -> None:
        self.up: queue.Queue[tuple[Any, Any]] = queue.Queue()
        self.down: dict[str, queue.Queue[Any]] = {name: queue.Queue() for name in IDS}
        self.begun: set[str] = set()

    def incoming(self, name: str) -> Iterator[Any]:
        while (frame := self.down[name].get()) is not None:
            yield frame

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


def gateway(network: Network, roster: Roster, seed: bytes, place: int, folder: Path) -> None:
    name = IDS[place]
    names = {
        "seed": seed,
        "roster": roster,
        "incoming": network.incoming(name),
        "send": lambda frame: network.to_orchestrator(name, frame),
        "update": {"w": np.full(5, place / 10, np.float32)},
        "weight": 1.0,
        "model": Model(),
        "print": lambda *_: None,
    }
    exec(own(GATEWAY, name, folder), names)
    names["journal"].close()


@pytest.mark.parametrize("silent", [(), ("g2",)])
def test_the_loops_outlive_what_is_no_frame_of_their_session(
    silent: tuple[str, ...], tmp_path: Path
) -> None:
    network, seeds = Network(), [os.urandom(32) for _ in IDS]
    identity = Identity.generate("orchestrator", os.urandom)
    members = [join(name, seed, tmp_path) for name, seed in zip(IDS, seeds, strict=True)]
    roster = Roster(1, identity.key.public, tuple(members))
    threads = [
        threading.Thread(target=gateway, args=(network, roster, seeds[place], place, tmp_path))
        for place, name in enumerate(IDS)
        if name not in silent
    ]
    for thread in threads:
        thread.start()
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
        "print": lambda *_: None,
    }
    exec(ORCHESTRATOR, names)
    for name in IDS:
        network.down[name].put(None)
    for thread in threads:
        thread.join()
    server = names["server"]
    left = [place for place, name in enumerate(IDS) if name not in silent]

    assert "done" == server.phase
    assert list(silent) == list(server.dropped)
    assert len(server.ignored) > 0
    assert names["model"].loaded["w"] == pytest.approx(np.full(5, np.mean(left) / 10), abs=1e-3)
