"""Keys sent ahead: what a session hands to the next, and what of it the next one takes."""

from __future__ import annotations

from functools import partial

import msgspec
import pytest

from secagg import Lattice, Masks
from secagg.canonical import decode
from secagg.crypto.labels import Label
from secagg.crypto.signing import verify
from secagg.protocol.events import PhaseClosed
from secagg.protocol.journal import MemoryJournal
from secagg.protocol.messages import Signed
from secagg.protocol.prekeys import Prekey
from secagg.protocol.sqlite_journal import SQLiteJournal
from tests.schemes.contract import assert_right
from tests.schemes.world import World

GATEWAYS = 4


def played(number, journals, setup, vanish=None, scheme=None, gateways=GATEWAYS, at="") -> World:
    """A round of the same gateways, with what the round before has given."""
    world = World(
        scheme or Lattice(),
        gateways,
        round=number,
        session=f"round {number} {at}",
        journals=journals,
        vanish=vanish or {},
        setup=setup,
    )
    return world.play()


def phases(world):
    return [event.phase for event in world.events if isinstance(event, PhaseClosed)]


@pytest.fixture
def journals():
    return {i: MemoryJournal() for i in range(GATEWAYS)}


@pytest.fixture
def first(journals):
    return played(1, journals, {})


def changed(setup, name, **changes):
    """As if its owner had signed something else."""
    prekey = msgspec.structs.replace(decode(Prekey, setup[name].body), **changes)
    key = World(Lattice(), GATEWAYS).identities[name].key
    return {**setup, name: Signed.make(key, Label.SIGN_PREKEY, prekey)}


def test_two_exchanges_once_everybody_has_sent_a_key_ahead(journals, first):
    second = played(2, journals, first.server.setup)
    third = played(3, journals, second.server.setup)

    assert ["set_up", "upload", "answer"] == phases(first)
    assert ["upload", "answer"] == phases(second) == phases(third)
    for world in (first, second, third):
        assert_right(world)
    assert set(range(GATEWAYS)) == set(third.server.setup)


def test_a_key_sent_ahead_is_verified_once(journals, first, monkeypatch):
    checked = []

    def counting(key, label, message, signature):
        checked.append(label)
        verify(key, label, message, signature)

    monkeypatch.setattr("tests.schemes.world.VERIFY", counting)
    second = played(2, journals, first.server.setup)
    before = checked.count(Label.SIGN_PREKEY)
    third = World(Lattice(), GATEWAYS, round=3, session="3", setup=second.server.setup)

    assert {"upload"} == {third.server._machine._steps[0].name}
    assert 0 < before == checked.count(Label.SIGN_PREKEY)


def test_three_exchanges_above_sixty_four(journals):
    journals = {i: MemoryJournal() for i in range(66)}
    first = played(1, journals, {}, gateways=66)
    second = played(2, journals, first.server.setup, gateways=66)

    assert ["upload", "consistency", "answer"] == phases(second)
    assert_right(second)


def test_only_who_has_sent_none_is_asked(journals):
    first = played(1, journals, {}, vanish={3: "upload"})
    assert {0, 1, 2} == set(first.server.setup)
    second = played(2, journals, first.server.setup)
    closed = next(event for event in second.events if isinstance(event, PhaseClosed))

    assert ("set_up", (3,)) == (closed.phase, closed.answered)
    assert_right(second)
    assert tuple(range(GATEWAYS)) == second.included


def test_keys_of_a_round_that_failed_serve_the_next(journals):
    failed = played(1, journals, {}, vanish={0: "answer", 1: "answer"})
    assert failed.aborted is not None
    second = played(2, journals, failed.server.setup)

    assert ["upload", "answer"] == phases(second)
    assert_right(second)


def test_keys_of_a_round_that_was_left_out_serve_no_later_one(journals, first):
    third = played(3, journals, first.server.setup)

    assert ["set_up", "upload", "answer"] == phases(third)
    assert_right(third)


def forged(setup):
    """The key of gateway 1 under the signature of gateway 0."""
    return {**setup, 1: Signed(body=setup[1].body, signature=setup[0].signature)}


def copied(setup):
    """Gateway 1 gives the key of gateway 0 for its own: it counts once."""
    return changed(setup, 1, key=decode(Prekey, setup[0].body).key)


@pytest.mark.parametrize(
    "bad",
    [
        partial(changed, name=1, round=3),
        partial(changed, name=1, round=1),
        partial(changed, name=1, roster=bytes(32)),
        partial(changed, name=1, member=0),
        partial(changed, name=1, key=bytes(32)),
        forged,
        copied,
    ],
)
def test_a_key_that_does_not_serve_is_asked_for_again(journals, first, bad):
    second = played(2, journals, bad(first.server.setup))

    assert ["set_up", "upload", "answer"] == phases(second)
    assert {} == second.dropped
    assert_right(second)


def test_a_gateway_that_lost_its_key_is_absent_once(journals, first):
    journals[2] = MemoryJournal()
    second = played(2, journals, first.server.setup)
    third = played(3, journals, second.server.setup)

    assert {2: "ABORTED"} == second.dropped
    assert (0, 1, 3) == second.included
    assert ["set_up", "upload", "answer"] == phases(third)
    assert tuple(range(GATEWAYS)) == third.included


def test_a_gateway_that_restarts_between_rounds_keeps_its_key(tmp_path):
    paths = [tmp_path / str(i) for i in range(GATEWAYS)]
    new = {i: SQLiteJournal(path, create=True) for i, path in enumerate(paths)}
    first = played(1, new, {})
    second = played(2, {i: SQLiteJournal(path) for i, path in enumerate(paths)}, first.server.setup)

    assert ["upload", "answer"] == phases(second)
    assert {} == second.dropped
    assert_right(second)


def test_a_key_is_deleted_when_its_round_is_answered(journals, first):
    roster = first.roster.hash()

    assert [None] * GATEWAYS == [journal.prekey(roster, 1) for journal in journals.values()]
    assert all(journal.prekey(roster, 2) for journal in journals.values())


def test_a_key_of_a_round_that_was_not_answered_is_deleted_by_the_next(journals):
    first = played(1, journals, {}, vanish={3: "answer"})
    roster = first.roster.hash()
    assert journals[3].prekey(roster, 1) is not None
    played(2, journals, first.server.setup)

    assert journals[3].prekey(roster, 1) is None


def test_two_sessions_of_one_round_use_one_key_and_share_nothing(journals):
    """The first failed before anybody uploaded; its shares do not open in the second."""
    failed = played(1, journals, {}, vanish={0: "set_up", 1: "set_up"}, at="a")
    again = played(1, journals, {}, at="b")

    assert failed.aborted is not None
    assert_right(again)


def test_masks_send_nothing_ahead_and_take_nothing(journals, first):
    world = played(2, None, first.server.setup, scheme=Masks())

    assert {} == world.server.setup
    assert_right(world)


def test_the_setup_of_a_session_cannot_be_changed(first):
    with pytest.raises(TypeError):
        first.server.setup[0] = None
