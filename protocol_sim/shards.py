"""A round too large for one machine: its coordinates cut into shards, a session for each.

Every shard is a round of its own over the same gateways, keys and vanishing points, so all shards
sum over the same set. Each checks its own sum; laid side by side they are the sum of the uncut
round, whoever computes them and however many there are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from protocol_sim import scale
from protocol_sim.large_parties import INPUT_BLOCK, Part
from protocol_sim.oracle import Verdict
from protocol_sim.phase_costs import Traffic
from protocol_sim.scale import Measured
from secagg.errors import ConfigurationError, install_hint

Task = Callable[[], Measured]
"""Plays one shard, anywhere."""
Executor = Callable[[Sequence[Task]], Sequence[Measured]]
"""Plays tasks, in this process or elsewhere; what they give, in their order."""


def here(tasks: Sequence[Task]) -> Sequence[Measured]:
    """One after the other, in this process."""
    return [task() for task in tasks]


def on_ray(tasks: Sequence[Task], *, address: str | None = None) -> Sequence[Measured]:
    """On the workers of a Ray cluster, one task each.

    Args:
        tasks: of one round.
        address: of the cluster; None starts one on this machine, unless one is connected.

    Raises:
        ConfigurationError: the extra `ray` is not installed.
    """
    try:
        import ray
    except ImportError:
        raise ConfigurationError(
            f"shards on several machines take Ray: {install_hint('ray')}; without it they are"
            " played here, one after the other"
        ) from None
    if not ray.is_initialized():
        ray.init(address=address)
    remote: Any = ray.remote(_play)
    played: Sequence[Measured] = ray.get([remote.remote(task) for task in tasks])
    return played


def _play(task: Task) -> Measured:
    return task()


def cut(coordinates: int, shards: int) -> tuple[Part, ...]:
    """Parts of nearly equal length, each but the last of whole blocks of inputs.

    Args:
        coordinates: d.
        shards: parts, 1 to the number of blocks.

    Raises:
        ConfigurationError: more shards than blocks, or none.
    """
    blocks = -(-coordinates // INPUT_BLOCK)
    if not 1 <= shards <= blocks:
        raise ConfigurationError(
            f"{shards} shards: {coordinates:,} coordinates are {blocks} blocks of {INPUT_BLOCK:,},"
            f" use 1 to {blocks}"
        )
    starts = [INPUT_BLOCK * (place * blocks // shards) for place in range(shards)]
    stops = [*starts[1:], coordinates]
    bounds = zip(starts, stops, strict=True)
    return tuple(Part(number, start, stop) for number, (start, stop) in enumerate(bounds, 1))


def play(
    gateways: int,
    coordinates: int,
    dropout: float = 0.0,
    scheme: str = "masks",
    seed: object = 0,
    *,
    shards: int = 2,
    executor: Executor = here,
) -> Measured:
    """Play one round in shards.

    Args:
        gateways: n, 3 to 2048.
        coordinates: d.
        dropout: share of the gateways that vanish, 0 to D / n.
        scheme: name.
        seed: decides keys, randomness, and who vanishes when.
        shards: parts that the coordinates are cut into.
        executor: plays them.

    Returns:
        Bytes and CPU seconds added up; wall seconds as if each shard had a machine of its own.

    Raises:
        ConfigurationError: numbers that cannot work.
    """
    parts = cut(coordinates, shards)
    uncut = partial(scale.play, gateways, coordinates, dropout, scheme, seed)
    tasks = [partial(uncut, part=part) for part in parts]
    return merged(executor(tasks))


def merged(played: Sequence[Measured]) -> Measured:
    """One round out of its shards, in the order of their coordinates."""
    first = played[0]
    if len(played) == 1:
        return first
    transcripts = "".join(each.transcript for each in played)
    return replace(
        first,
        coordinates=sum(each.coordinates for each in played),
        verdict=_verdict(played),
        wall=max(each.wall for each in played),
        phases=tuple(_added(same) for same in zip(*(each.phases for each in played), strict=True)),
        everybody=sum(each.everybody for each in played),
        plain_server=sum(each.plain_server for each in played),
        plain_gateway=sum(each.plain_gateway for each in played),
        transcript=hashlib.sha256(transcripts.encode()).hexdigest(),
        sums=tuple(block for each in played for block in each.sums),
        shards=len(played),
    )


def _verdict(played: Sequence[Measured]) -> Verdict:
    """The first that is wrong, or the common one; shards over different sets are no round."""
    first = played[0].verdict
    for each in played:
        if each.verdict.violation:
            return each.verdict
        if (each.verdict.outcome, each.verdict.included) != (first.outcome, first.included):
            return replace(first, violation="shards sum over different sets")
    return first


def _added(same: Sequence[Traffic]) -> Traffic:
    return Traffic(
        same[0].phase,
        sum(each.up for each in same),
        sum(each.down for each in same),
        sum(each.server for each in same),
        sum(each.gateway for each in same),
    )
