"""Whatever public callables are given, they answer rightly or with an error of `secagg.errors`.

A failing line names its seed: `play(name, seed)` is that call again.
"""

from __future__ import annotations

import traceback
import warnings
from random import Random
from typing import Any

import numpy as np
import pytest

import secagg
from secagg.errors import PrecisionWarning, SecAggError
from tests.arguments.calls import CALLS
from tests.arguments.values import MARKS, Backwards, Empty, spoilt

OFTEN = dict.fromkeys(CALLS, 50) | {
    "SecureAverage.run": 25, "ClientSession.upload": 20, "round_page": 10, "suggest": 20,
}  # fmt: skip
"""Calls in the default suite: fewer of what is slow."""


def calls_back(value: Any, depth: int = 3) -> bool:
    """Whether the library calls what it is given: what that raises is its caller's own."""
    if depth and type(value) in {dict, list, tuple}:
        items = value.values() if isinstance(value, dict) else value
        return any(calls_back(each, depth - 1) for each in items)
    return callable(value)


def play(name: str, seed: int) -> None:
    """One call with one or two of its arguments spoilt."""
    rng = Random(f"{name} {seed}")  # of the text, which every process hashes alike
    call = CALLS[name](rng)
    given = dict(call.given)
    changed = rng.sample(sorted(given), min(len(given), 1 if rng.random() < 0.8 else 2))
    for argument in changed:
        given[argument] = spoilt(given[argument], rng)
    answer, refusal = None, None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PrecisionWarning)  # which is right, too
            answer = call.work(**given)
    except call.errors as error:
        refusal = error
    except Exception:
        if not any(calls_back(given[argument]) for argument in changed):
            raise
        return
    if refusal is None:
        call.check(given, answer)
        return
    told = "".join(traceback.format_exception(refusal)) + repr(refusal)
    private = {*changed} <= {*call.private}

    assert not isinstance(refusal, SecAggError) or "\n" not in str(refusal)
    assert not [mark for mark in MARKS if private and mark in told], told


def faults(name: str, calls: int) -> dict[str, str]:
    """The first seed of each class of faults."""
    found: dict[str, str] = {}
    for seed in range(calls):
        try:
            play(name, seed)
        except Exception as error:  # noqa: BLE001 - of any class, which is what is asked
            where = traceback.extract_tb(error.__traceback__)[-1]
            kind = f"{type(error).__name__} in {where.name}"
            found.setdefault(kind, f"play({name!r}, {seed}): {kind}: {str(error)[:200]}")
    return found


@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_argument_is_named_or_harmless(name: str) -> None:
    assert {} == faults(name, OFTEN[name])


FOUND: list[tuple[str, dict[str, Any]]] = [
    ("SecureAverage.plan", {"gateways": 2**70}),
    ("SecureAverage.enroll", {"gateways": np.array(5)}),
    ("ClientSession.upload", {"select": np.array(3)}),
    ("ClientSession.upload", {"metrics": np.zeros(2)}),
    ("ClientSession.upload", {"metrics": {"loss": np.complex64(1)}}),
    ("ClientSession.upload", {"weight": np.complex64(1)}),
    ("ClientSession.upload", {"weight": "1"}),
    ("ClientSession", {"journal": Empty()}),
    ("ServerSession.receive", {"vouched": np.zeros(2)}),
    ("Model", {"tree": {"layer": Backwards(w=1)}}),
    ("tree_spec", {"clips": Backwards(w=1)}),
    ("tree_spec", {"clips": {"*": np.zeros(2)}}),
    ("tree_spec", {"select": {3}}),
    ("map_leaves", {"change": 3}),
    ("scheme_of", {"name": {}}),
    ("load_record", {"data": np.array(["x"], np.dtypes.StringDType())}),
    ("SQLiteJournal", {"path": "\ud800"}),
    ("Federation.save", {"path": "\ud800"}),
    ("Report.bound_of", {"key": []}),
]
"""What a long run has found, once of each class."""


@pytest.mark.parametrize(("name", "wrong"), FOUND)
def test_what_was_found_is_an_error_of_the_library(name: str, wrong: dict[str, Any]) -> None:
    call = CALLS[name](Random(1))
    with pytest.raises(call.errors):
        call.work(**call.given | wrong)


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_a_hundred_thousand_calls(name: str) -> None:
    assert {} == faults(name, OFTEN[name] * (100_000 // sum(OFTEN.values()) + 1))


def test_every_public_callable_is_here() -> None:
    events = {"Aborted", "Completed", "Event", "GatewayDropped", "Ignored", "Imprecise",
              "PhaseClosed", "Send", "SharesDisputed", "UpdateDue"}  # fmt: skip
    made = {"Plan", "Report", "Result", "Suggestion", "MemoryJournal", "SessionSettings"}

    assert {*secagg.__all__} - events - made <= {*CALLS}
