"""Records and rosters as files: one value, one spelling, every fault named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from secagg.errors import AuditFailure, WireError
from secagg.protocol import audit_file
from secagg.protocol.audit import inspect_record, verify_record
from secagg.protocol.audit_file import dump_record, dump_roster, load_record, load_roster
from tests.session.harness import Parties, World

PARTIES = Parties(5)
WORLD = World(PARTIES, vanish={"g4": "masked_input"}).play()
RECORD = WORLD.server.audit
FILE = dump_record(RECORD)
SERVERS_WORD = "dropped"


def rewritten(content: Any) -> bytes:
    return json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n"


def test_a_record_survives_its_file():
    assert RECORD == load_record(FILE)
    assert FILE == dump_record(load_record(FILE))


def test_a_roster_survives_its_file():
    data = dump_roster(PARTIES.roster)

    assert PARTIES.roster == load_roster(data)
    assert data == dump_roster(load_roster(data))


@pytest.mark.parametrize("ids", [("g", 7, -1), ("größe", "", 2**62)])
def test_ids_are_text_or_whole_numbers(ids):
    members = [
        {"id": name, "key": member.key.hex()}
        for name, member in zip(ids, PARTIES.roster.members, strict=False)
    ]
    content = json.loads(dump_roster(PARTIES.roster)) | {"members": members}

    assert ids == tuple(member.id for member in load_roster(rewritten(content)).members)


def test_the_file_is_read_by_people_too():
    content = json.loads(FILE)

    assert "secagg audit record" == content["format"]
    assert 1 == content["version"] == content["announce"]["params"]["round"]
    assert RECORD.announce.params.session.hex() == content["announce"]["params"]["session"]
    assert 5 == content["announce"]["params"]["thresholds"]["gateways"]
    assert {"position": 4, "phase": "masked_input", "reason": "SILENT"} == content["dropped"][0]


def leaves(content: Any, path: tuple[Any, ...] = ()):
    """The path of every value in the file, containers too."""
    yield path
    if isinstance(content, list):
        content = dict(enumerate(content))
    if isinstance(content, dict):
        for key, value in content.items():
            yield from leaves(value, (*path, key))


def changed(path: tuple[Any, ...], change: Any) -> bytes:
    """The file with `change` applied to the container of a path and its last key."""
    content = json.loads(FILE)
    place = content
    for key in path[:-1]:
        place = place[key]
    change(place, path[-1])
    return rewritten(content)


def drop(place: Any, key: Any) -> None:
    del place[key]


def double(place: Any, key: Any) -> None:
    if isinstance(place, list):
        place.insert(key, place[key])
    else:
        place[f"{key} again"] = place[key]


def other(place: Any, key: Any) -> None:
    value = place[key]
    if isinstance(value, str):
        place[key] = value[:-1] + ("0" if value[-1:] != "0" else "1") if value else "00"
    elif isinstance(value, int | float):
        place[key] = value + 1
    else:
        place[key] = None


def turned(place: Any, key: Any) -> None:
    place[key] = place[key][::-1] if isinstance(place[key], list) else {"x": 1}


PATHS = [path for path in leaves(json.loads(FILE)) if path and path[0] != SERVERS_WORD]


@pytest.mark.parametrize("change", [drop, double, other, turned])
@pytest.mark.parametrize("path", PATHS, ids=lambda path: ".".join(map(str, path)))
def test_no_value_of_a_file_can_be_changed_unseen(path, change):
    """Dropped, doubled, another, in another order: the file does not load or does not verify."""
    data = changed(path, change)
    if json.loads(data) == json.loads(FILE):
        return  # a list of one or none, turned round
    with pytest.raises((WireError, AuditFailure)) as caught:
        verify_record(load_record(data), PARTIES.roster)

    assert str(caught.value)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "not a secagg audit record"),
        (dump_roster(PARTIES.roster), "not a secagg audit record"),
        (b"[" * 100_000, "not JSON"),
        (FILE.replace(b'"version": 1', b'"version": 2', 1), "version 2 of the format"),
        (FILE + b" ", "one value, one file"),
        (FILE[:-1], "one value, one file"),
        (FILE.replace(b"\n", b"\r\n"), "one value, one file"),
        (FILE.replace(b'"round": 1', b'"round": 1.0'), "round: int expected, not float"),
        (FILE.replace(b'"round": 1', b'"round": true'), "round: int expected, not bool"),
        (FILE.replace(b'"round": 1', b'"round": 0'), "round is 0"),
        (FILE.replace(b'"scheme": "masks"', b'"scheme": 5'), "scheme: str expected, not int"),
        (FILE.replace(b'"max_weight": 8.0', b'"max_weight": 8'), "max_weight: float expected"),
        (FILE.replace(b'"position": 4', b'"position": 99999999999999999999'), "no secagg audit"),
        (FILE.replace(b'"suite"', b'"suit"'), "its fields are version, suite"),
        (FILE.replace(b'"dealers": "', b'"dealers": "x'), "dealers: not hexadecimal"),
    ],
)
def test_what_is_no_record_says_why(data, said):
    with pytest.raises(WireError) as caught:
        load_record(data)

    assert said in str(caught.value)


def test_a_field_written_twice_is_not_one_value():
    twice = FILE.replace(b'"version": 1,', b'"version": 1,\n "version": 1,', 1)

    with pytest.raises(WireError, match="one value, one file"):
        load_record(twice)


def test_upper_case_is_another_spelling():
    signature = RECORD.announce.signature.hex()
    data = FILE.replace(signature.encode(), signature.upper().encode())

    with pytest.raises(WireError, match="one value, one file"):
        load_record(data)


def test_a_file_larger_than_any_record_is_not_read(monkeypatch):
    monkeypatch.setattr(audit_file, "MAX_BYTES", len(FILE) - 1)
    with pytest.raises(WireError, match="has at most"):
        load_record(FILE)


def test_all_faults_are_listed_not_the_first_alone():
    content = json.loads(FILE)
    for which in (0, 2):
        signature = content["headers"][which]["signature"]
        content["headers"][which]["signature"] = signature[:-1] + (
            "0" if signature[-1] != "0" else "1"
        )
    content["certificate"]["signers"] = "07"
    inspection = inspect_record(load_record(rewritten(content)), PARTIES.roster)

    assert ["upload header of 'g0'", "upload header of 'g2'", "certificate"] == [
        fault.partition(":")[0] for fault in inspection.faults
    ]


def test_a_record_of_a_hundred_gateways_loads_and_verifies():
    parties = Parties(100)
    record = World(parties, vanish={"g50": "header"}, keep_log=False).play().server.audit

    assert 99 == len(verify_record(load_record(dump_record(record)), parties.roster))
