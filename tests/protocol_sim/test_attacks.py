"""Hostile orchestrators: every attack in every phase ends as the table says, and can fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from protocol_sim.attacks import (
    ATTACKS,
    PHASES,
    Attack,
    attack_of,
    compose,
    expected,
    inserted,
    markdown,
    matrix,
    phases_of,
    play_cell,
    promised,
)
from protocol_sim.attacks.attack import LARGE
from protocol_sim.attacks.expected import TABLE
from protocol_sim.attacks.table import BEGIN, END, Promised
from protocol_sim.attacks.traffic import farewell
from protocol_sim.randomness import dice
from secagg.errors import ConfigurationError
from secagg.protocol.journal import MemoryJournal
from tests.protocol_sim.without_each_check.source import find, without

PAGE = Path(__file__).parents[2] / "docs" / "attacks.md"
SAMPLE = {"own set", "own P", "second key", "crafted degree", "crafted modulus", "crafted step"}
"""What is played with ckks by default: its machines are those of lattice, its ring is not."""
LARGE_PHASE = ("lattice", "consistency")
LARGE_SAMPLE = {("own set", "consistency")}
"""What is played with lattice above 64 gateways by default."""


def cells():
    for attack in ATTACKS:
        for scheme in PHASES:
            for phase in phases_of(attack.name, scheme):
                name = attack.name
                large = attack.stage_of(scheme, phase).gateways == LARGE
                daily = {
                    "masks": True,
                    "lattice": not large or (name, phase) in LARGE_SAMPLE,
                    "ckks": not large and name in SAMPLE,
                }
                marks = () if daily[scheme] else (pytest.mark.deep,)
                yield pytest.param(
                    attack, scheme, phase, id=f"{name}-{scheme}-{phase}", marks=marks
                )


@pytest.mark.parametrize(("attack", "scheme", "phase"), list(cells()))
def test_it_ends_in_its_named_error_or_in_the_exact_sum(attack, scheme, phase):
    cell = play_cell(attack, scheme, phase)

    assert "" == cell.violation
    assert cell.expected == cell.outcome
    assert 0 == cell.released
    # what is noticed at once has got nothing at all, sealed or not
    assert cell.noticed != phase or 0 == cell.protected
    assert cell.fine


def sparse():
    for attack in ATTACKS:
        for phase in phases_of(attack.name, "masks"):
            if not (attack.sessions or attack.large):
                yield pytest.param(attack, phase, id=f"{attack.name}-{phase}")


@pytest.mark.deep
@pytest.mark.parametrize(("attack", "phase"), list(sparse()))
def test_masks_on_a_sparse_graph_end_alike(attack, phase):
    cell = play_cell(replace(attack, large=frozenset({"masks"})), "masks", phase)
    # up to 64 gateways everybody is shown the same keys, above only those of its neighbours
    crossed = (attack.name, phase) == ("crossed request", "share_keys")

    assert ("BadSignature" if crossed else cell.expected) == cell.outcome
    assert ("", 0) == (cell.violation, cell.released)


# -- the catalogue ---------------------------------------------------------------------------------


def test_the_table_and_the_catalogue_have_the_same_attacks():
    assert list(TABLE) == [attack.name for attack in ATTACKS]


@pytest.mark.parametrize("scheme", PHASES)
def test_every_phase_sees_at_least_14_attacks(scheme):
    for phase in PHASES[scheme]:
        assert 14 <= sum(bool(expected(each.name, scheme, phase)) for each in ATTACKS)


def test_an_unknown_attack_is_refused():
    with pytest.raises(ConfigurationError, match="own set"):
        attack_of("kindness")


def test_no_cell_is_expected_where_there_is_no_such_phase():
    assert (
        "" == expected("silence", "masks", "answer") == expected("kindness", "masks", "unmasking")
    )


def test_the_same_seed_gives_the_same_cell():
    first, again = (play_cell(attack_of("own set"), "masks", "share_keys") for _ in range(2))

    assert first == again


def test_a_matrix_is_its_cells():
    rows = [attack_of("thinned"), attack_of("left out")]
    seen = []
    found = matrix(rows, ["masks"], ["consistency", "unmasking"], on_cell=seen.append)

    assert [("thinned", "consistency"), ("left out", "consistency")] == [
        (cell.attack, cell.phase) for cell in found
    ]
    assert seen == found
    assert all(cell.fine for cell in found)


# -- several at once -------------------------------------------------------------------------------


def test_what_one_lie_withholds_another_cannot_change():
    both = compose(attack_of("silence"), attack_of("lowered t"))
    cell = play_cell(both, "masks", "advertise_keys")

    assert "silence + lowered t" == cell.attack
    assert "sum" == cell.outcome


def test_the_second_lie_sees_what_the_first_has_left():
    both = compose(attack_of("thinned"), attack_of("truncated"))
    cell = play_cell(both, "masks", "consistency")

    # both frames of the first arrive twice: without their last byte, and as they are
    assert ("BelowFloor", "consistency") == (cell.outcome, cell.noticed)


@pytest.mark.parametrize("case", range(16))
def test_two_lies_at_once_open_nothing(case):
    rng = dice("pairs", case)
    scheme = ("masks", "lattice")[case % 2]
    phase = rng.choice(
        [each for each in PHASES[scheme] if scheme == "masks" or each != "consistency"]
    )
    alone = [each for each in ATTACKS if not (each.sessions or each.large)]
    first, second = rng.sample(alone, 2)
    cell = play_cell(compose(first, second), scheme, phase, seed=case)

    assert ("", 0) == (cell.violation, cell.released)
    assert set(cell.verdicts) <= {"sum", "BelowThreshold"}


# -- controls --------------------------------------------------------------------------------------


def test_control_an_honest_orchestrator_gets_the_sum():
    honest = Attack(
        name="honest", sentence="Nothing.", make=lambda _attacker: lambda frame: (frame.data,)
    )
    cell = play_cell(honest, "masks", "unmasking")

    assert ("sum", 0, 0, "") == (cell.outcome, cell.released, cell.protected, cell.violation)
    assert not cell.fine  # nobody expects it


def test_control_a_gateway_that_is_not_the_victim_must_not_be_lied_to():
    def make(attacker):
        def attack(frame):
            if frame.up or (frame.gateway, frame.step) != (attacker.spare, attacker.phase):
                return (frame.data,)
            return (attacker.frame(farewell(attacker, None)),)

        return attack

    cell = play_cell(Attack(name="x", sentence="", make=make), "masks", "share_keys")

    assert "g0 was told nothing wrong and named AbortedByPeer" == cell.violation


HEADERS = "MasksClient._certify: self._check_headers"
ITSELF = "MasksClient._certify: self._require_self"
FLOOR = "AdditiveClient._accept_set: len(included)"
CERTIFICATE = "MasksClient._unmask: verify_certificate"


@pytest.mark.parametrize(
    ("name", "scheme", "phase", "check", "outcome", "released"),
    [
        ("own set", "masks", "masked_input", HEADERS, "NoQuorum", 0),
        ("header of another h2", "masks", "consistency", HEADERS, "SecondQuestion", 0),
        ("left out", "masks", "consistency", ITSELF, "SecondQuestion", 0),
        # a share of 2048 coefficients
        ("thinned", "lattice", "answer", FLOOR, "SecondQuestion", 4096),
        # the seed, and a share of each other gateway's
        ("below the quorum", "masks", "unmasking", CERTIFICATE, "SecondQuestion", 32 + 5 * 39),
    ],
)
def test_control_without_a_check_it_ends_otherwise(name, scheme, phase, check, outcome, released):
    with without(find(check)):
        cell = play_cell(attack_of(name), scheme, phase)

    assert (outcome, released) == (cell.outcome, cell.released)
    assert not cell.fine


def test_control_without_the_journal_a_round_is_uploaded_in_twice(monkeypatch):
    monkeypatch.setattr(MemoryJournal, "last_round", lambda *_: 0)
    for verb in ("claim", "spend"):
        monkeypatch.setattr(MemoryJournal, verb, lambda *_, **__: None)
    cell = play_cell(attack_of("once more"), "masks", "consistency")

    assert ("sum", ("BelowThreshold", "sum")) == (cell.outcome, cell.verdicts)
    assert cell.released > 0
    assert not cell.fine


# -- the tables of docs/attacks.md -----------------------------------------------------------------


def test_the_table_has_a_row_for_each_attack_and_a_column_for_each_phase():
    lines = markdown(promised()).splitlines()

    assert [BEGIN, END] == [lines[0], lines[-1]]
    assert f"| masks | {' | '.join(PHASES['masks'])} |" in lines
    assert f"| lattice and ckks | {' | '.join(PHASES['ckks'])} |" in lines
    for attack in ATTACKS:
        assert any(line.startswith(f"| {attack.name} |") for line in lines)
        assert f"- **{attack.name}**: {attack.sentence}" in lines


def test_the_table_is_the_same_out_of_played_cells():
    played = matrix([attack_of("thinned")], ["masks"])
    row = "| thinned |  | `BelowFloor` | `BelowFloor` | `BelowFloor` |  |"

    assert row in markdown(played).splitlines()
    assert row in markdown(promised()).splitlines()


def test_schemes_of_one_table_that_end_differently_are_both_named():
    one = Promised("silence", "lattice", "upload", "sum")
    page = markdown([one, one._replace(scheme="ckks", outcome="BelowThreshold")])

    assert "| silence |  | sum or BelowThreshold |  |  |  |" in page.splitlines()


def test_tables_take_the_place_of_older_ones():
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"

    assert f"before\n{BEGIN}new{END}\nafter\n" == inserted(page, f"{BEGIN}new{END}")


@pytest.mark.parametrize("page", ["", BEGIN, f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}"])
def test_a_page_without_its_markers_is_refused(page):
    with pytest.raises(ConfigurationError, match="each once"):
        inserted(page, "")


def test_the_page_has_the_table_of_now():
    page = PAGE.read_text()

    assert inserted(page, markdown(promised())) == page
