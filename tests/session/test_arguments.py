"""What a caller passes is held against the annotations; a wrong type is told by its name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

from protocol_sim.parties import Parties
from secagg import (
    Bounds,
    Ckks,
    ClientSession,
    Federation,
    Identity,
    Lattice,
    Masks,
    Member,
    MemoryJournal,
    Model,
    Policy,
    Roster,
    SecureAverage,
    ServerSession,
    SessionSettings,
    SQLiteJournal,
)
from secagg.arguments import checked
from secagg.errors import ConfigurationError
from secagg.pages import round_page
from secagg.protocol.identity import Cohort
from secagg.pytree import map_leaves, tree_spec
from secagg.session.settings import UpdateEncoding
from secagg.thresholds import derive

PARTIES = Parties(4)
ME, ROSTER = PARTIES.identities["g1"], PARTIES.roster
KEY = ROSTER.orchestrator
TREE = {"w": np.zeros(3)}
NEW = UpdateEncoding(clip=1.0)

ROWS: dict[str, tuple[Callable[[], object], str]] = {
    "a number as seed": (lambda: Identity("a", 7), "seed is of type int: it takes a Secret or"),
    "a text as seed": (lambda: Identity("a", "s" * 32), "seed is of type str"),
    "no id": (lambda: Identity(None, bytes(32)), "id is None: it takes a text or a whole number"),
    "a key in hex": (lambda: Member(id=1, key=KEY.hex()), "key is of type str: it takes bytes"),
    "ids as members": (
        lambda: Roster(epoch=1, orchestrator=KEY, members=["g1"]),
        "members[0] is 'g1': it takes a Member",
    ),
    "an epoch below 0": (
        lambda: Roster(epoch=-1, orchestrator=KEY, members=()),
        "epoch is -1: rosters are counted from 0",
    ),
    "ids to a roster": (lambda: Roster.of(1, ME, ["g1"]), "gateways[0] is 'g1': it takes an Ident"),
    "one id as cohort": (lambda: Cohort.of(ROSTER, "g1"), "ids is 'g1': it takes a sequence of te"),
    "NaN of colluders": (lambda: Policy(min_colluding=np.nan), "min_colluding is nan: it takes a"),
    "half a gateway": (lambda: Policy(min_gateways=3.5), "min_gateways is 3.5: it takes a whole"),
    "True words": (lambda: Policy(max_words=True), "max_words is True: it takes a whole number"),
    "no such layout": (lambda: Policy(lanes=(1, 99)), "lanes of [99]: a layout has 1 to 5"),
    "more than a file holds": (lambda: Policy(min_included=2**63), "min_included has more than 63"),
    "integers beyond": (lambda: Bounds(integers=2**63), "integers are bounded by 63 bits"),
    "half a character": (lambda: Bounds(metrics={"\ud800": 1.0}), "has a lone surrogate"),
    "an id of 65 bits": (
        lambda: Roster.of(1, ME, [Identity(2**64, bytes(32))]),
        "id 18446744073709551616: a whole number of 64 bits",
    ),
    "words below 0": (lambda: Policy(max_words=-1), "are 0 at the least"),
    "a word for yes": (lambda: Policy(keep_bounds="no"), "keep_bounds is 'no': it takes True or"),
    "another word": (lambda: Policy(repeat_model="never"), "is 'never': it takes 'allow' or 'refu"),
    "bounds of no purpose": (lambda: Policy(bounds=Bounds()), "bounds is of type Bounds: it takes"),
    "no bounds": (lambda: Policy(bounds={"train": 1}), "bounds of 'train' is 1: it takes a Bounds"),
    "a clip of text": (lambda: Bounds(clip={"w": "1"}), "clip of 'w' is '1': it takes a number"),
    "a text as round": (
        lambda: Federation(roster=ROSTER, round="3"),
        "round is '3': it takes a wh",
    ),
    "half a round": (
        lambda: Federation(roster=ROSTER, round=1.5),
        "round is 1.5: it takes a whole",
    ),
    "a roster as session": (
        lambda: Federation(roster=ROSTER).after(ROSTER),
        "session is of type Roster: it takes a ServerSession",
    ),
    "a roster for settings": (
        lambda: ServerSession(ROSTER, ROSTER, ME),
        "settings is of type Roster: it takes a SessionSettings",
    ),
    "nothing in flight": (
        lambda: ServerSession(PARTIES.settings(), ROSTER, PARTIES.orchestrator, max_in_flight=-1),
        "max_in_flight is -1 and spool_bytes",
    ),
    "a policy in a file": (
        lambda: ClientSession(ME, ROSTER, "policy.json", MemoryJournal()),
        "policy is 'policy.json': it takes a Policy",
    ),
    "the class of a journal": (
        lambda: ClientSession(ME, ROSTER, Policy(), MemoryJournal),
        "open SQLiteJournal(path), or MemoryJournal()",
    ),
    "no schemes": (
        lambda: ClientSession(ME, ROSTER, Policy(), MemoryJournal(), schemes=()),
        "schemes are empty",
    ),
    "a path in bytes": (lambda: SQLiteJournal(b"x"), "path is of type bytes: it takes a text or"),
    "a path of no file": (
        lambda: SQLiteJournal("\ud800", create=True),
        "is of no use as a journal",
    ),
    "a word for vouched": (
        lambda: ServerSession(PARTIES.settings(), ROSTER, PARTIES.orchestrator).receive(
            "g1", b"", vouched="mTLS"
        ),
        "vouched is 'mTLS': it takes True or False",
    ),
    "a clip of bytes": (lambda: tree_spec(TREE, clips={"w": b"1"}), "clips of 'w' is of type byte"),
    "no function": (lambda: map_leaves(TREE, 3), "change is 3: it takes a function"),
    "round 0": (
        lambda: SessionSettings.of(Masks(), NEW, TREE, range(4), number=0),
        "round is 0: rounds are counted from 1",
    ),
    "a retry of nothing": (
        lambda: SessionSettings.of(Masks(), NEW, TREE, range(4), retry=True),
        "a retry is of uploads on one model: pass base",
    ),
    "a model for its hash": (
        lambda: SessionSettings.of(Masks(), NEW, TREE, range(4), model=Model(TREE)),
        "model is of type Model: it takes bytes",
    ),
    "a short hash": (
        lambda: SessionSettings.of(Masks(), NEW, TREE, range(4), model=b"m"),
        "model has 1 bytes: use `Model(base).hash`",
    ),
    "lanes in text": (
        lambda: Masks(packing="x"),
        "packing is 'x': it takes a whole number or None",
    ),
    "half a neighbour": (lambda: Masks(neighbours=2.5), "neighbours is 2.5: it takes a whole"),
    "no neighbours": (lambda: Masks(neighbours=0), "neighbours is 0: use one or more"),
    "no committee": (lambda: Lattice(committee=-1), "committee is -1: use one or more"),
    "True neighbours": (lambda: derive(10, degree=True), "degree is True: it takes a whole number"),
    "a size of text": (
        lambda: Ckks().plan_update("4", 1.0, 0.1),
        "gateways is '4': it takes a who",
    ),
    "no thresholds": (lambda: Lattice().guarantees(4), "thresholds is 4: it takes a Thresholds"),
    "a result for its report": (lambda: round_page({}, "x"), "pass the `report` of a result"),
}


@pytest.mark.parametrize("row", ROWS)
def test_an_argument_of_another_type_is_named(row: str) -> None:
    call, said = ROWS[row]
    with pytest.raises(ConfigurationError) as caught:
        call()

    assert said in str(caught.value)


def test_what_counts_as_the_type_becomes_it() -> None:
    @checked(name="say who")
    def call(
        name: str | int, items: Iterable[str | int] = (), far: float = 0.0, *, flag: bool = False
    ) -> tuple[Any, ...]:
        return name, items, far, flag

    taken = call(np.str_("a"), np.array([1, 2]), np.float32(0.5), flag=np.bool_(True))

    assert ("a", (1, 2), 0.5, True) == taken
    assert [str, tuple, float, bool] == [type(each) for each in taken]
    assert call(1, far=-(10**400))[2] == -np.inf
    with pytest.raises(ConfigurationError, match="say who"):
        call(1.5)
    for odd in (np.array(3), 3, "abc", b"abc"):
        with pytest.raises(ConfigurationError, match=r"items is .*it takes a sequence of texts or"):
            call(1, odd)
    with pytest.raises(TypeError, match="positional"):
        call(1, (), 0.0, False)  # type: ignore[call-arg]


def test_numbers_of_numpy_serve_a_round() -> None:
    gateways = [Identity(np.int64(place), os.urandom(32)) for place in range(3)]
    roster = Roster.of(np.int64(1), PARTIES.orchestrator, gateways)

    assert roster.hash() == Roster.of(1, PARTIES.orchestrator, gateways).hash()
    assert 3 == len(SecureAverage(clip=1.0).params(np.arange(3), TREE, round=1).cohort)
