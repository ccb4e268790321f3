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
        ((Member(id="a", key=bytes(32)),), "key of gateway 'a': .* low order"),
        ((Member(id="a", key=b"\xff" * 32),), "key of gateway 'a': .* canonical"),
    ],
)
def test_a_roster_is_of_distinct_parties(members, match):
    with pytest.raises(ConfigurationError, match=match):
        Roster(epoch=1, orchestrator=ORCHESTRATOR.key.public, members=members)


def test_the_orchestrators_key_is_checked_too():
    with pytest.raises(ConfigurationError, match=r"key of the orchestrator: .* low order"):
        Roster(epoch=1, orchestrator=bytes(32), members=())


def named(*ids):
    return Roster.of(1, ORCHESTRATOR, [Identity(i, entropy(n)(32)) for n, i in enumerate(ids)])


@pytest.mark.parametrize("ids", [(1, "1"), ("é", "e\u0301"), (-7, "-7")])
def test_ids_that_look_alike_do_not_live_in_one_roster(ids):
    with pytest.raises(ConfigurationError, match="look alike"):
        named(*ids)


@pytest.mark.parametrize(
    "name",
    [
        *("a ", " a", "a\n", "a\tb", "a\x00", "a\u2028b", "\u202eabc", "a\u2066b"),
        *("a\ud800", "a\u200bb", "\u00a0a", "a" * 129, "é" * 65),
    ],
)
def test_an_id_is_a_short_line_that_is_seen_as_it_is(name):
    with pytest.raises(ConfigurationError, match="printable text") as error:
        named("b", name)
    assert str(error.value).isascii()


@pytest.mark.parametrize("name", ["", "a b", "größe", "日本", "a" * 128, 2**64 - 1, -3])
def test_other_ids_are_right(name):
    assert name in Cohort.of(named("b", name), [name])


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
