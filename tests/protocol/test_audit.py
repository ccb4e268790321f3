"""A record verifies with the roster alone, and no field of it can be changed unseen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from secagg import encoding
from secagg.errors import AuditFailure, LocalProtocolError
from secagg.protocol.audit import AuditRecord, verify_record
from secagg.protocol.identity import Identity, Roster
from secagg.protocol.messages import sign_session
from tests.session.harness import Parties, World, entropy

PARTIES = Parties(5)
WORLD = World(PARTIES, vanish={"g4": "masked_input"}).play()
RECORD = WORLD.server.audit
replace = msgspec.structs.replace
SERVERS_WORD = {"dropped"}
"""Whom the server dropped, and why, nobody can check."""


def other(value: Any) -> Any:
    """A value of the same type that differs."""
    if isinstance(value, bytes):
        return value[:-1] + bytes([value[-1] ^ 1])
    if isinstance(value, str):
        return value + "x" if value != "error" else "saturate"
    return 2 * value if isinstance(value, float) else value + 1


def tampered(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every variant of a value in which exactly one leaf differs or one entry is missing."""
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            for where, changed in tampered(getattr(value, name), (*path, name)):
                try:
                    yield where, replace(value, **{name: changed})
                except ValueError:
                    continue  # no such value can be decoded either
    elif isinstance(value, tuple):
        if value:
            yield ".".join((*path, "short")), value[:-1]
        for index, item in enumerate(value):
            for where, changed in tampered(item, (*path, str(index))):
                yield where, (*value[:index], changed, *value[index + 1 :])
    else:
        yield ".".join(path), other(value)


CASES = [
    (where, record)
    for where, record in tampered(RECORD)
    if where.partition(".")[0] not in SERVERS_WORD
]


def test_an_honest_record_verifies():
    assert frozenset({0, 1, 2, 3}) == verify_record(RECORD, PARTIES.roster)


def test_a_record_survives_its_encoding():
    data = encoding.encode(RECORD)

    assert RECORD == encoding.decode(AuditRecord, data)


@pytest.mark.parametrize(("where", "record"), CASES, ids=[where for where, _ in CASES])
def test_every_changed_field_is_caught(where, record):
    with pytest.raises(AuditFailure) as caught:
        verify_record(record, PARTIES.roster)

    assert str(caught.value)


def test_a_record_of_another_roster_is_refused():
    others = Roster.of(2, PARTIES.orchestrator, PARTIES.identities.values())

    with pytest.raises(AuditFailure, match="another roster"):
        verify_record(RECORD, others)


def test_a_record_of_another_orchestrator_is_refused():
    stranger = Identity.generate("o", entropy("stranger"))
    others = Roster.of(1, stranger, PARTIES.identities.values())

    with pytest.raises(AuditFailure, match="parameters"):
        verify_record(RECORD, others)


def test_parameters_of_two_sessions_do_not_mix():
    later = World(PARTIES, 2).play().server.audit

    with pytest.raises(AuditFailure, match="belong together"):
        verify_record(replace(RECORD, round=later.round), PARTIES.roster)


def resigned(record: AuditRecord, **changes: Any) -> AuditRecord:
    """The orchestrator signs other session parameters afterwards."""
    params = replace(record.announce.params, **changes)
    return replace(record, announce=sign_session(PARTIES.orchestrator.key, params))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"roster": bytes(32)}, "another roster"),
        ({"cohort": bytes([0b1111])}, "differ in size"),
        ({"round": 9}, "belong together"),
    ],
)
def test_an_orchestrator_cannot_sign_its_way_out(changes, match):
    with pytest.raises(AuditFailure, match=match):
        verify_record(resigned(RECORD, **changes), PARTIES.roster)


def test_fewer_included_than_the_thresholds_allow():
    few = replace(RECORD, included=bytes([0b111]), headers=RECORD.headers[:3])

    with pytest.raises(AuditFailure, match="fewer included"):
        verify_record(few, PARTIES.roster)


@pytest.mark.parametrize("name", ["keys", "dealers", "included"])
def test_a_set_must_fit_the_cohort(name):
    with pytest.raises(AuditFailure, match=name):
        verify_record(replace(RECORD, **{name: b"\xff"}), PARTIES.roster)


def test_there_is_no_record_before_the_certificate():
    with pytest.raises(LocalProtocolError):
        _ = World(Parties(5)).play_until("consistency").server.audit
