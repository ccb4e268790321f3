"""Nobody holds n vectors: staged bytes counted by tracemalloc, which sees numpy's buffers."""

from __future__ import annotations

import tracemalloc
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from secagg.protocol.events import Send
from secagg.wire import MAX_FRAME

WORDS = 1 << 21
MIB = 2**20


@pytest.fixture(scope="module")
def tree() -> dict[str, Any]:
    """Three lanes in a word: 16 MiB of words."""
    values = np.random.default_rng(1).uniform(-1, 1, 3 * WORDS).astype(np.float32)
    return {"w": values, "steps": np.zeros(3, np.int64)}


class Alike(Parties):
    """Five who have all trained the same."""

    def __init__(self, tree: dict[str, Any]) -> None:
        super().__init__(5)
        self.tree = tree

    def update(self, name: str) -> dict[str, Any]:
        return self.tree


def large(tree: dict[str, Any], **how: object) -> Exchange:
    exchange = Exchange(Alike(tree), keep_log=False, **how)
    assert WORDS == exchange.settings.vectors[0].words
    return exchange


def peak(work: Callable[[], object]) -> int:
    """Bytes allocated at once while it works, beyond what was there."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("max_in_flight", "interleaved"), [(1, False), (2, False), (2, True)])
def test_the_server_holds_one_sum_and_what_is_in_flight(
    *, tree: dict[str, Any], max_in_flight: int, interleaved: bool
) -> None:
    exchange = large(tree, max_in_flight=max_in_flight, interleaved=interleaved)
    exchange.play_until("masked_input")
    most = peak(exchange.play)

    assert "done" == exchange.server.phase
    assert 5 == len(exchange.included)
    # the gateways are in this process too: frames under way and O(chunk) for each that uploads;
    # all five uploads staged at once would be 96 MiB with the sum
    flying = max_in_flight if interleaved else 1
    assert most <= (1 + flying) * 8 * WORDS + 32 * MIB < 6 * 8 * WORDS


def test_a_gateway_streams_its_upload(tree: dict[str, Any]) -> None:
    exchange = large(tree).play_until("masked_input")
    request = next(f for f in exchange.pending if f.gateway == "g0")
    client = exchange.clients["g0"]
    list(client.receive(request.data))

    def upload() -> None:
        sent = sum(len(send.frame) for send in exchange.upload("g0") if isinstance(send, Send))
        assert sent > 8 * WORDS

    assert peak(upload) <= 4 * MIB < 8 * WORDS + 1


def test_no_frame_is_larger_than_the_limit(tree: dict[str, Any]) -> None:
    exchange = large(tree).play_until("masked_input")
    request = next(f for f in exchange.pending if f.gateway == "g0")
    list(exchange.clients["g0"].receive(request.data))
    sizes = deque(len(send.frame) for send in exchange.upload("g0"))

    assert max(sizes) <= MAX_FRAME
    others = len(exchange.settings.vectors) - 1
    assert -(-WORDS // (3 * 32768)) + others == len(sizes)
