"""What several property tests draw from, and how often."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

PROFILE = os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev")
DEEP = 50
"""How many times as many examples the profile deep takes."""


def machine_settings(examples: int, steps: int) -> settings:
    """For a state machine of whole sessions, whose examples are slow."""
    return settings(
        max_examples=examples * (DEEP if PROFILE == "deep" else 1),
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        derandomize=PROFILE == "ci",
    )


def subsets(everybody: int) -> st.SearchStrategy[frozenset[int]]:
    """Sets of positions: all of them, all but one, or any."""
    whole = frozenset(range(everybody))
    but_one = st.sampled_from(sorted(whole)).map(lambda position: whole - {position})
    return st.one_of(st.just(whole), but_one, st.frozensets(st.sampled_from(sorted(whole))))


def flipped(data: bytes) -> st.SearchStrategy[bytes]:
    """The bytes with one bit changed."""

    def flip(bit: int) -> bytes:
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        return bytes(changed)

    return st.integers(0, 8 * len(data) - 1).map(flip) if data else st.just(b"\0")


def altered(value: Any) -> st.SearchStrategy[Any]:
    """Another value of the same kind: what a liar would put into a field."""
    if isinstance(value, bool):
        return st.just(not value)
    if isinstance(value, int):
        return st.sampled_from([value + 1, max(0, value - 1), 0, 2**40])
    if isinstance(value, bytes):
        return st.one_of(flipped(value), st.just(value[:-1]), st.just(value + b"\0"))
    if isinstance(value, tuple) and value:
        at = st.integers(0, len(value) - 1)
        replaced = at.flatmap(
            lambda i: altered(value[i]).map(lambda v: (*value[:i], v, *value[i + 1 :]))
        )
        return st.one_of(replaced, st.sampled_from([value[:-1], value + value[-1:], value[::-1]]))
    return st.just(value)
