"""The formal model: what its search reports, and that it finds what a missing rule lets through."""

from __future__ import annotations

import re
import shutil

import msgspec
import pytest

from protocol_sim import formal
from protocol_sim.formal import CONTROLS, HOLDS, MODEL, SPARE, check, parse, row
from protocol_sim.leaks.masks import Rules, Shown, judge
from secagg.errors import ConfigurationError

DOCS = MODEL.parent.parent / "formal.md"
SMALL = (*HOLDS[:2], *CONTROLS, SPARE[1])
BY_NAME = {case.name: case for case in (*HOLDS, *CONTROLS, *SPARE)}

# What the program that spin 6.5.2 writes prints, less what is not read.
WHOLE = """
(Spin Version 6.5.2 -- 6 December 2019)
State-vector 56 byte, depth reached 291, errors: 0
   100452 states, stored
   932085 states, matched
  1032537 transitions (= stored+matched)
 16432111 atomic steps
  148.777\ttotal actual memory usage
pan: elapsed time 1.37 seconds
"""
BROKEN = """
pan:1: assertion violated one_certified_set (at depth 269)
pan: wrote masks.pml.trail
Warning: Search not completed
State-vector 56 byte, depth reached 272, errors: 1
     2037 states, stored
    16021 transitions (= stored+matched)
  137.546\ttotal actual memory usage
pan: elapsed time 0 seconds
"""
TRAIL = re.compile(r"gateway (\d+) (deals|accepts|signs).*?(?:h0|P|U3) (\d+)(?: and U2 (\d+))?")
WEAK = {"Q": "quorum", "T": "share_threshold"}
MACRO = re.compile(r"(?:#(?:ifdef|if|ifndef) |defined\()([A-Z_]+)")


def cells(case):
    """The row of a case in the documentation."""
    lines = [line for line in DOCS.read_text().splitlines() if line.startswith(f"| {case.name} |")]
    assert len(lines) == 1, case.name
    return [cell.strip() for cell in lines[0].strip("|").split("|")]


# -- without spin ----------------------------------------------------------------------------------


def test_a_whole_search_is_read():
    found = parse(WHOLE)

    assert (found.stored, found.transitions, found.depth) == (100_452, 1_032_537, 291)
    assert (found.memory, found.broken) == (148.777, "")


def test_a_broken_property_is_named():
    assert parse(BROKEN).broken == "one_certified_set"


@pytest.mark.parametrize(
    "output",
    [
        "",
        WHOLE + "Warning: Search not completed",
        WHOLE + "error: max search depth too small",
        WHOLE.replace("errors: 0", "errors: 1") + "pan:1: invalid end state (at depth 3)",
        WHOLE.replace("states, stored", "states"),
    ],
)
def test_a_search_that_did_not_get_through_proves_nothing(output):
    with pytest.raises(RuntimeError, match=r"report of the search|get through"):
        parse(output)


@pytest.mark.parametrize(("missing", "package"), [("spin", "spin"), ("cc", "gcc")])
def test_a_missing_tool_is_named(monkeypatch, missing, package):
    monkeypatch.setattr(formal.shutil, "which", lambda tool: None if tool == missing else tool)

    with pytest.raises(ConfigurationError, match=f"{missing} is not .* apt-get install {package}"):
        check(MODEL, {})


def test_every_switch_of_the_model_has_its_case_and_no_case_a_switch_of_its_own():
    in_model = set(MACRO.findall(MODEL.read_text())) - {"SESSIONS"}
    in_cases = {switch for case in BY_NAME.values() for switch in case.switches}

    assert in_model == in_cases


def test_every_case_is_documented_with_its_result():
    assert len(BY_NAME) == len((*HOLDS, *CONTROLS, *SPARE))
    for case in BY_NAME.values():
        assert cells(case)[1] == (case.broken or "all hold")


# -- with spin -------------------------------------------------------------------------------------

needs_spin = pytest.mark.skipif(shutil.which("spin") is None, reason="spin is not installed")


@needs_spin
@pytest.mark.deep
@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.name)
def test_search_ends_as_documented(case):
    found = check(MODEL, case.defines)

    assert found.broken == case.broken
    assert row(case, found).split("|")[3:5] == [f" {cell} " for cell in cells(case)[2:4]]
    assert bool(found.trail) == bool(case.broken)


@needs_spin
@pytest.mark.deep
def test_a_round_that_ends_well_is_no_leak_in_the_symbolic_model():
    verdict = second_opinion(BY_NAME["a round comes to its end"])

    assert len(verdict.sums) == 1
    assert not verdict.leaks
    assert not verdict.breaks_promise


@needs_spin
@pytest.mark.deep
@pytest.mark.parametrize("name", ["quorum q - 1: what opens", "t = C: what opens"])
def test_what_spin_finds_breaks_the_promise_in_the_symbolic_model_too(name):
    assert second_opinion(BY_NAME[name]).breaks_promise


def second_opinion(case):
    """Play spin's trail in the model of the enumeration."""
    limits = case.thresholds
    honest = limits.gateways - limits.max_colluding
    views = [Shown(0, 0, None, None)] * honest
    for gateway, what, first, second in TRAIL.findall("\n".join(check(MODEL, case.defines).trail)):
        seen = {
            "deals": {"h0": int(first)},
            "accepts": {"params": int(first), "u2": members(second)},
            "signs": {"u3": members(first)},
        }
        views[int(gateway)] = views[int(gateway)]._replace(**seen[what])
    weak = {WEAK[macro]: value for macro, value in case.changed.items()}
    rules = Rules(msgspec.structs.replace(limits, **weak))
    return judge(
        rules, [*views, *[None] * limits.max_colluding], frozenset(range(honest, limits.gateways))
    )


def members(bits):
    return frozenset(i for i in range(8) if int(bits or 0) >> i & 1)
