"""Records and rosters as files: one value, one spelling, every fault named."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest

from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from secagg.errors import AuditFailure, WireError
from secagg.protocol import audit_file
from secagg.protocol.audit import inspect_record, verify_record
from secagg.protocol.audit_file import dump_record, dump_roster, load_record, load_roster
from secagg.protocol.bounds import Bounds
from secagg.protocol.policy import Policy

PARTIES = Parties(5)
EXCHANGE = Exchange(PARTIES, vanish={"g4": "masked_input"}).play()
RECORD = EXCHANGE.server.audit
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


@pytest.mark.parametrize("view", [bytearray, memoryview, lambda data: memoryview(data).cast("b")])
def test_any_view_of_bytes_is_a_file(view):
    data = dump_roster(PARTIES.roster)

    assert PARTIES.roster == load_roster(view(data))


@pytest.mark.parametrize("data", [None, "text", 7])
def test_what_is_no_bytes_is_no_file(data):
    with pytest.raises(WireError, match="is bytes"):
        load_roster(data)


@pytest.mark.parametrize("name", ["a\\ud800", "a ", "e\u0301"])
def test_ids_that_no_roster_takes_are_in_no_file(name):
    content = json.loads(dump_roster(PARTIES.roster))
    content["members"][0]["id"], content["members"][1]["id"] = name, "é"
    with pytest.raises(WireError):
        load_roster(rewritten(content).replace(b"\\\\ud800", b"\\ud800"))


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


def less(place: Any, key: Any) -> None:
    value = place[key]
    if isinstance(value, str):
        place[key] = ("0" if value[:1] != "0" else "1") + value[1:]
    elif isinstance(value, int | float):
        place[key] = value - 1
    else:
        place[key] = type(value)()


def turned(place: Any, key: Any) -> None:
    place[key] = place[key][::-1] if isinstance(place[key], list) else {"x": 1}


PATHS = [path for path in leaves(json.loads(FILE)) if path and path[0] != SERVERS_WORD]


@pytest.mark.parametrize("change", [drop, double, other, less, turned])
@pytest.mark.parametrize("path", PATHS, ids=lambda path: ".".join(map(str, path)))
def test_no_value_of_a_file_can_be_changed_unseen(path, change):
    """Dropped, doubled, another, in another order: the file does not load or does not verify."""
    data = changed(path, change)
    if json.loads(data) == json.loads(FILE):
        return  # a list of one turned round, or an empty one made empty
    with pytest.raises((WireError, AuditFailure)) as caught:
        verify_record(load_record(data), PARTIES.roster)

    assert str(caught.value)


def test_what_is_not_json_of_a_record_is_refused():
    for data, said in (
        (b"", "not JSON in UTF-8"),
        (b"\xff", "not JSON in UTF-8"),
        (FILE.replace(b"masks", b"\xed\xa0\x80"), "not JSON in UTF-8"),
        (FILE.replace(b"masks", b"\\ud800"), "not JSON in UTF-8"),
        (b"[" * 100_000, "not JSON in UTF-8"),
        (b"[]", "not a secagg audit record"),
        (b"{}", "not a secagg audit record"),
        (dump_roster(PARTIES.roster), "not a secagg audit record"),
        (FILE + b" ", "is ' ', not ''"),
        (FILE[:-1], "is the end of the file, not ''"),
        (FILE.replace(b"\n", b"\r\n"), "line 1 is '{\\r', not '{'"),
    ):
        with pytest.raises(WireError) as caught:
            load_record(data)

        assert said in str(caught.value)


HUGE = "9" * 20
PARAMS = "announce.params"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"version": 1', '"version": 2', "version 2 of the format"),
        ('"version": 1', '"version": true', "version: int expected, not bool"),
        (' "version": 1,\n', "", "version: int expected, not NoneType"),
        # a repeated field: the last one counts, and the file is not what would be written
        ('"version": 1,', '"version": 1,\n "version": 1,', """line 4 is ' "version": 1,', not """),
        ('"suite": 1,', '"suite": 1,\n   "suite": 1,', """line 8 is '   "suite": 1,', not """),
        ('"round": 1', '"round": 1.0', f"{PARAMS}.round: int expected, not float"),
        ('"round": 1', '"round": true', f"{PARAMS}.round: int expected, not bool"),
        ('"round": 1', '"round": 0', f"{PARAMS}: round is 0"),
        ('"round": 1', f'"round": {HUGE}', f"{PARAMS}.round: a number of more than 64 bits"),
        ('"position": 4', f'"position": -{HUGE}', "dropped[0].position: a number of more than 64"),
        ('"scheme": "masks"', '"scheme": 5', f"{PARAMS}.scheme: str expected, not int"),
        ('"suite"', '"suit"', f"{PARAMS} lacks the field suite"),
        ('"suite": 1', '"suite": 1, "n": 5', f"{PARAMS} has a field 'n': SessionParams knows none"),
        ('"keys"', '"key"', "the file lacks the field keys"),
        ('"keys"', '"k": 1, "keys"', "the file has a field 'k': AuditRecord knows none"),
        ('"keys"', f'"{"k" * 99}": 1, "keys"', f"the file has a field '{'k' * 60}...': Audit"),
        ('"max_weight": 8.0', '"max_weight": 8', "round.params.max_weight: float expected"),
        ('"max_weight": 8.0', '"max_weight": 8e0', """is '   "max_weight": 8e0,', not '   "max"""),
        ('"scale": 1.0', '"scale": -1.0', "round.params.vectors[3]: scale of metrics is -1.0"),
        ('"error"', '"none"', "round.params.clipping: one of error, saturate expected"),
        ('"dealers": "', '"dealers": "x', "dealers: not hexadecimal"),
        (
            '"dealers": "1f"',
            '"dealers": "1F"',
            """is ' "dealers": "1F",', not ' "dealers": "1f",'""",
        ),
        ('"dealers": "1f"', '"dealers": null', "dealers: str expected, not NoneType"),
    ],
)
def test_a_changed_field_is_named(old, new, said):
    data = FILE.replace(old.encode(), new.encode(), 1)

    assert data != FILE
    with pytest.raises(WireError) as caught:
        load_record(data)

    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("bound", "spelt"),
    [
        (65536.0, "65536.0"),
        (1e-5, "0.00001"),
        (9.9e-6, "9.9e-6"),
        (1e-9, "1e-9"),
        (1e16 - 2, "9999999999999998.0"),
        (1e16, "1e16"),
        (1.25e300, "1.25e300"),
        (1 / 3, "0.3333333333333333"),
    ],
)
def test_real_numbers_are_spelt_as_docs_audit_says(bound: float, spelt: str) -> None:
    """Python's own JSON writes 1e+16 and 1e-05, and JavaScript cannot write 65536.0."""
    file = Policy(bounds={"train": Bounds(clip=bound)}).dump()

    assert f'"clip": {spelt},'.encode() in file
    assert bound == Policy.load(file).bounds["train"].clip


def test_a_file_larger_than_any_record_is_not_read(monkeypatch):
    monkeypatch.setattr(audit_file, "MAX_FILE_BYTES", len(FILE) - 1)
    with pytest.raises(WireError, match=f"more than {len(FILE) - 1} bytes"):
        load_record(FILE)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: ".".join(map(str, path)))
def test_whatever_a_value_is_replaced_with_is_a_named_error(path):
    """Nothing but WireError and faults comes out of a file, whoever wrote it."""
    for value in (0, -1, 2**63, 1e308, 5e-324, "", "00", "é", "\n", None, True, [], [[1]], {}):
        data = changed(path, lambda place, key, value=value: place.__setitem__(key, value))
        with contextlib.suppress(WireError):
            record = load_record(data)

            assert bool(inspect_record(record, PARTIES.roster).faults) == (record != RECORD)


def test_a_record_of_a_hundred_gateways_loads_and_verifies():
    parties = Parties(100)
    record = Exchange(parties, vanish={"g50": "header"}, keep_log=False).play().server.audit

    assert 99 == len(verify_record(load_record(dump_record(record)), parties.roster))
