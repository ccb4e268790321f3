"""A record verifies with the roster alone, and no field of it can be changed unseen."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from protocol_sim.randomness import entropy
from secagg import canonical
from secagg.crypto.labels import Label
from secagg.errors import AuditFailure
from secagg.protocol.audit import AuditRecord, RoundEntry, inspect_record, verify_record
from secagg.protocol.identity import Identity, Roster
from secagg.protocol.messages import Signed, UploadHeader, sign_round, sign_session

PARTIES = Parties(5)
EXCHANGE = Exchange(PARTIES, vanish={"g4": "masked_input"}).play()
RECORD = EXCHANGE.server.audit
replace = msgspec.structs.replace
SERVERS_WORD = {"dropped"}
"""Whom the server dropped, and why, nobody can check."""


def others(value: Any) -> Iterator[tuple[str, Any]]:
    """Values of the same type that differ."""
    match value:
        case bytes():
            yield "last bit", value[:-1] + bytes([value[-1] ^ 1])
            yield "first bit", bytes([value[0] ^ 0x80]) + value[1:]
            yield "short", value[:-1]
            yield "long", value + b"\0"
        case str():
            yield "other", value + "x" if value != "error" else "saturate"
        case float():
            yield "double", 2 * value
            yield "next", math.nextafter(value, math.inf)
        case int():
            yield "more", value + 1
            yield "less", value - 1


def tampered(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every variant of a value with one leaf changed, or one entry gone, twice or elsewhere."""
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            for where, changed in tampered(getattr(value, name), (*path, name)):
                try:
                    yield where, replace(value, **{name: changed})
                except ValueError:
                    continue  # no such value can be decoded either
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            at, before, after = (*path, str(index)), value[:index], value[index + 1 :]
            yield ".".join((*at, "dropped")), (*before, *after)
            yield ".".join((*at, "doubled")), (*before, item, item, *after)
            if after and after[0] != item:
                yield ".".join((*at, "swapped")), (*before, after[0], item, *after[1:])
            for where, changed in tampered(item, at):
                yield where, (*before, changed, *after)
    else:
        yield from ((".".join((*path, how)), changed) for how, changed in others(value))


CASES = [
    (where, record)
    for where, record in tampered(RECORD)
    if where.partition(".")[0] not in SERVERS_WORD
]


def test_an_honest_record_verifies():
    assert frozenset({0, 1, 2, 3}) == verify_record(RECORD, PARTIES.roster)


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
    later = Exchange(PARTIES, 2).play().server.audit

    with pytest.raises(AuditFailure, match="belong together"):
        verify_record(replace(RECORD, round=later.round), PARTIES.roster)


def resigned(record: AuditRecord, **changes: Any) -> AuditRecord:
    """The orchestrator signs other session parameters afterwards."""
    params = replace(record.announce.params, **changes)
    signature = sign_session(PARTIES.orchestrator.key, params).signature
    return replace(record, announce=replace(record.announce, params=params, signature=signature))


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


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"version": 1}, "session parameters: version 1, suite 1"),
        ({"suite": 9}, "session parameters: version 2, suite 9"),
        ({"orchestrator_key": bytes(32)}, "session parameters: public key is of low order"),
        ({"thresholds": replace(RECORD.announce.params.thresholds, gateways=-1)}, "cannot work"),
        ({"thresholds": replace(RECORD.announce.params.thresholds, quorum=3)}, "computed is 4"),
    ],
)
def test_parameters_that_no_gateway_takes_are_faults_though_signed(changes, match):
    with pytest.raises(AuditFailure, match=match):
        verify_record(resigned(RECORD, **changes), PARTIES.roster)


def faults(**changes: Any) -> list[str]:
    return list(inspect_record(replace(RECORD, **changes), PARTIES.roster).faults)


def bad_signature(signed: Any) -> Any:
    return replace(signed, signature=bytes(64))


def test_every_bad_header_and_signature_is_named():
    first, *between, last = RECORD.headers
    signatures = (bytes(64), *RECORD.certificate.signatures[1:3], bytes(64))
    listed = faults(
        headers=(bad_signature(first), *between, bad_signature(last)),
        certificate=replace(RECORD.certificate, signatures=signatures),
    )

    assert [
        "upload header of 'g0'",
        "upload header of 'g3'",
        "certificate, signature of 'g0'",
        "certificate, signature of 'g3'",
    ] == [each.partition(":")[0] for each in listed]


def test_sets_that_do_not_shrink_hide_no_bad_header():
    headers = (bad_signature(RECORD.headers[0]), *RECORD.headers[1:])
    listed = faults(dealers=bytes([0b10011]), headers=headers)

    assert "the sets do not shrink: 'g2', 'g3' in included, not in dealers" == listed[0]
    assert listed[1].startswith("upload header of 'g0': ")
    assert "upload header of 'g1' is of another transcript" in listed


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"keys": b"\xff"}, "keys: "),
        ({"dealers": b"\xff"}, "dealers: "),
        ({"key_hashes": RECORD.key_hashes[1:]}, "key_hashes: 4 for 5 gateways in keys"),
    ],
)
def test_without_a_transcript_headers_are_still_read(changes, said):
    """Not held against a transcript, and no certificate: what it signs cannot be computed."""
    headers = (bad_signature(RECORD.headers[0]), RECORD.headers[2], *RECORD.headers[2:])
    listed = faults(headers=headers, **changes)

    assert listed[0].startswith(said)
    assert ["upload header of 'g0'", "upload header of 'g1'"] == [
        each.partition(":")[0] for each in listed[1:]
    ]


def test_a_record_in_which_nobody_sent_keys_has_faults_like_any_other():
    assert "in dealers, not in keys" in faults(keys=b"\0", key_hashes=())[0]


def test_without_the_included_nobody_is_accused():
    assert ["included: a set over 5 members names one beyond them"] == faults(included=b"\xff")


DROPPED = RECORD.dropped[0]


@pytest.mark.parametrize(
    "dropped",
    [
        (replace(DROPPED, position=5),),
        (replace(DROPPED, position=-1),),
        (replace(DROPPED, reason="SILENT)\n  certificate: 5 of them signed"),),
        (replace(DROPPED, phase="masked_input\x1b[2K"),),
        (replace(DROPPED, phase=""),),
        (DROPPED, DROPPED),
    ],
)
def test_the_servers_word_has_a_form(dropped):
    assert [f"dropped[{len(dropped) - 1}]: no gateway, phase and reason, or one named twice"] == (
        faults(dropped=dropped)
    )


def test_the_servers_word_itself_cannot_be_checked():
    assert [] == faults(dropped=())
    assert [] == faults(dropped=(replace(DROPPED, phase="share_keys", reason="BAD_KEY"),))


def test_fewer_included_than_the_thresholds_allow():
    listed = faults(included=bytes([0b111]), headers=RECORD.headers[:3])

    assert ["included: 3 gateways, n_min is 4", "included: 2 of 5 missing, D is 1"] == listed[:2]


def test_no_more_may_be_missing_than_vanish_though_n_min_allows_it():
    parties = Parties(7)
    settings = parties.settings(limits={"max_dropouts": 1})
    record = Exchange(parties, settings=settings).play().server.audit
    few = replace(record, included=bytes([0b11111]), headers=record.headers[:5])

    assert 5 == few.announce.params.thresholds.min_included
    assert "included: 2 of 7 missing, D is 1" == inspect_record(few, parties.roster).faults[0]


def test_a_layout_that_no_gateway_takes_is_a_fault_though_signed():
    params = RECORD.round.params.replace(max_weight=0.0)
    signature = sign_round(PARTIES.orchestrator.key, params).signature
    listed = faults(round=RoundEntry(params=params, signature=signature))

    assert "round parameters: weights up to 0.0" == listed[0]


def test_a_header_says_whose_it_is():
    header = canonical.decode(UploadHeader, RECORD.headers[0].body)
    key = PARTIES.identities["g0"].key
    other = Signed.make(key, Label.SIGN_HEADER, replace(header, position=1))
    headers = (other, *RECORD.headers[1:])

    assert ["upload header of 'g0' is of another transcript"] == faults(headers=headers)
