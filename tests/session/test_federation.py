"""What outlives a round: it round-trips as one file, and a file that is not one is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import msgspec.inspect as kinds
import numpy as np
import pytest

from secagg import Lattice, Masks, SecureAverage
from secagg.crypto.secret import Secret
from secagg.errors import (
    BadSignature,
    ConfigurationError,
    ForeignSession,
    SecAggError,
    WireError,
)
from secagg.protocol.identity import Member, Roster
from secagg.protocol.journal import MemoryJournal
from secagg.protocol.messages import Signed
from secagg.session import Federation
from secagg.session.federation import Ahead
from tests.schemes.world import World

GATEWAYS = 4
REPLACE = msgspec.structs.replace


@pytest.fixture(scope="module")
def journals() -> dict[int, MemoryJournal]:
    return {i: MemoryJournal() for i in range(GATEWAYS)}


@pytest.fixture(scope="module")
def first(journals: dict[int, MemoryJournal]) -> World:
    return World(Lattice(), GATEWAYS, journals=journals).play()


@pytest.fixture(scope="module")
def federation(first: World) -> Federation:
    return Federation(roster=first.roster).after(first.server)


def test_a_new_federation():
    federation = Federation(roster=World(Masks()).roster)

    assert (0, 1) == (federation.round, federation.next_round)
    assert {} == federation.setup


def test_after_a_round(first: World, federation: Federation):
    assert (1, 2) == (federation.round, federation.next_round)
    assert first.server.setup == federation.setup
    assert [*range(GATEWAYS)] == [each.gateway for each in federation.ahead]


def test_after_a_round_that_failed():
    gone = dict.fromkeys(range(GATEWAYS), "upload")
    world = World(Lattice(), GATEWAYS, vanish=gone).play()

    assert world.aborted is not None
    assert 1 == Federation(roster=world.roster).after(world.server).round


def test_a_round_that_does_not_follow(first: World, federation: Federation):
    with pytest.raises(ConfigurationError, match="round 1 does not follow round 1"):
        federation.after(first.server)


def test_a_stored_federation_starts_the_next_round(
    journals: dict[int, MemoryJournal], federation: Federation, tmp_path: Path
):
    path = tmp_path / "federation.json"
    federation.save(path)
    found = Federation.load(path.read_bytes())
    world = World(
        Lattice(),
        GATEWAYS,
        journals=journals,
        round=found.next_round,
        session="next",
        setup=found.setup,
    ).play()

    assert federation == found
    assert tuple(range(GATEWAYS)) == world.included
    assert "set_up" not in [event.phase for event in world.events if hasattr(event, "phase")]


def test_a_session_under_another_roster(first: World):
    stranger = World(Lattice(), GATEWAYS, seed="another")
    with pytest.raises(ConfigurationError, match="under another roster"):
        Federation(roster=stranger.roster).after(first.server)


def test_under_another_roster(federation: Federation):
    roster = federation.roster
    later = Roster(
        epoch=roster.epoch + 1, orchestrator=roster.orchestrator, members=roster.members[:3]
    )

    assert Federation(roster=later, round=1) == federation.under(later)
    with pytest.raises(ConfigurationError, match="epoch 1 does not follow epoch 1"):
        federation.under(roster)


def test_the_recipe_keeps_one():
    average = SecureAverage(clip=1.0, scheme=Lattice())
    for number in (1, 2):
        average.run({name: {"w": np.full(5, 0.5)} for name in "abc"})

        assert number == average._everybody.federation.round
        assert {*"abc"} == {*average._everybody.federation.setup}
    average.run({name: {"w": np.full(5, 0.5)} for name in "abcd"})

    assert (2, 3) == (
        average._everybody.federation.roster.epoch,
        average._everybody.federation.round,
    )
    assert average._everybody.federation == Federation.load(average._everybody.federation.dump())


# -- what it refuses -------------------------------------------------------------------------------


def stranger(federation: Federation) -> dict[str, Any]:
    first, *others = federation.ahead
    return {"ahead": (*others, REPLACE(first, gateway=9))}


WRONG = {
    "a negative round": lambda _: {"round": -1},
    "a key of a stranger": stranger,
    "a key twice": lambda f: {"ahead": (f.ahead[0], *f.ahead)},
    "another order": lambda f: {"ahead": f.ahead[::-1]},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_federation(federation: Federation, wrong: str):
    with pytest.raises(ConfigurationError):
        REPLACE(federation, **WRONG[wrong](federation))


def exchanged(federation: Federation) -> Federation:
    """Two gateways' keys in each other's place."""
    one, other, *rest = federation.ahead
    ahead = (REPLACE(one, prekey=other.prekey), REPLACE(other, prekey=one.prekey), *rest)
    return REPLACE(federation, ahead=ahead)


def altered(federation: Federation) -> Federation:
    first, *rest = federation.ahead
    signature = bytes([first.prekey.signature[0] ^ 1]) + first.prekey.signature[1:]
    prekey = Signed(body=first.prekey.body, signature=signature)
    return REPLACE(federation, ahead=(REPLACE(first, prekey=prekey), *rest))


FORGED = {
    "keys of others": (exchanged, BadSignature),
    "a signature": (altered, BadSignature),
    "keys for another round": (lambda f: REPLACE(f, round=2), ForeignSession),
    "another epoch": (
        lambda f: REPLACE(f, roster=REPLACE(f.roster, epoch=2)),
        ForeignSession,
    ),
}


@pytest.mark.parametrize("forged", FORGED)
def test_a_key_that_does_not_serve_the_next_round(federation: Federation, forged: str):
    change, error = FORGED[forged]
    with pytest.raises(error):
        Federation.load(change(federation).dump())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"version": 1', b'"version": 2', "version 2 of the format: this is version 1"),
        (b"secagg federation", b"secagg roster", "not a secagg federation"),
        (b'"round": 1', b'"round": true', "round: int expected, not bool"),
        (b'"round": 1', b'"last": 1', "the file lacks the field round"),
        (b'"round": 1', b'"round": 1, "seed": "00"', "has a field 'seed'"),
        (b'"round": 1', b'"round":  1', "not spelt as it is written"),
        (b'"round": 1', b'"round": -1', "rounds are counted from 1"),
    ],
)
def test_a_file_that_is_not_as_written(
    federation: Federation, old: bytes, new: bytes, message: str
):
    data = federation.dump()
    assert old in data

    with pytest.raises(WireError, match=message):
        Federation.load(data.replace(old, new, 1))


def test_no_changed_byte_goes_unnoticed(federation: Federation):
    data = federation.dump()
    for at in range(0, len(data), 11):  # the keys ahead name the roster and the round
        changed = bytearray(data)
        changed[at] ^= 1
        with pytest.raises(SecAggError):
            Federation.load(bytes(changed))


def test_there_is_no_field_for_a_secret():
    """Only public structs can be in it; a secret put there all the same is not written."""
    found, todo = set(), [kinds.type_info(Federation)]
    while todo:
        match todo.pop():
            case kinds.StructType(cls=cls, fields=fields):
                found.add(cls)
                todo += [field.type for field in fields]
            case kinds.VarTupleType(item_type=item):
                todo.append(item)
            case kinds.UnionType(types=types):
                todo += types
            case kinds.IntType() | kinds.StrType() | kinds.BytesType():
                pass
            case other:
                pytest.fail(f"{other} in a federation")

    assert {Federation, Roster, Member, Ahead, Signed} == found
    prekey = Signed(body=Secret(bytes(32)), signature=b"")
    roster = World(Masks()).roster
    with pytest.raises(TypeError):
        Federation(roster=roster, ahead=(Ahead(gateway=0, prekey=prekey),)).dump()
