from __future__ import annotations

import pytest

from protocol_sim.randomness import entropy
from secagg.errors import ConfigurationError, LocalProtocolError, WireError
from secagg.protocol.identity import Cohort, Identity, Member, Roster


def people(count: int) -> list[Identity]:
    return [Identity.generate(f"g{i}", entropy("id", i)) for i in range(count)]


ORCHESTRATOR = Identity.generate("o", entropy("orchestrator"))
ROSTER = Roster.of(1, ORCHESTRATOR, people(4))


def test_a_seed_is_the_identity():
    one, two = Identity("a", bytes(32)), Identity("a", bytes(32))

    assert one.key.public == two.key.public


def test_an_identity_shows_no_secret():
    assert "Identity('g0')" == repr(people(1)[0])


@pytest.mark.parametrize(
    ("members", "match"),
    [
        ((Member(id="a", key=bytes(31)),), "32 bytes"),
        ((Member(id="a", key=bytes(32)), Member(id="b", key=bytes(32))), "share one key"),
        ((Member(id="a", key=ORCHESTRATOR.key.public),), "share one key"),
        ((Member(id="a", key=bytes(32)), Member(id="a", key=b"1" * 32)), r"twice.*'a'"),
    ],
)
def test_a_roster_is_of_distinct_parties(members, match):
    with pytest.raises(ConfigurationError, match=match):
        Roster(epoch=1, orchestrator=ORCHESTRATOR.key.public, members=members)


def test_the_hash_names_the_epoch_and_everybody():
    hashes = {
        ROSTER.hash(),
        Roster.of(2, ORCHESTRATOR, people(4)).hash(),
        Roster.of(1, ORCHESTRATOR, people(3)).hash(),
        Roster.of(1, ORCHESTRATOR, reversed(people(4))).hash(),
    }

    assert 4 == len(hashes)


def test_cohort_positions_follow_the_roster():
    cohort = Cohort.of(ROSTER, ["g3", "g1"])

    assert ("g1", "g3") == cohort.ids
    assert 1 == cohort.position("g3")
    assert people(4)[3].key.public == cohort.key(1)
    assert "g0" not in cohort


@pytest.mark.parametrize(("ids", "match"), [(["g9"], "not in the roster"), (["g1", "g1"], "twice")])
def test_a_cohort_is_of_members(ids, match):
    with pytest.raises(ConfigurationError, match=match):
        Cohort.of(ROSTER, ids)


def test_a_stranger_has_no_position():
    with pytest.raises(LocalProtocolError, match="'g9'"):
        Cohort.of(ROSTER, ["g1"]).position("g9")


def test_a_bitmap_must_fit_the_roster():
    with pytest.raises(WireError):
        Cohort(ROSTER, b"\xff")
