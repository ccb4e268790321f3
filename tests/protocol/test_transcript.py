"""Every part of what a gateway was shown changes the hash that it signs."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from protocol_sim.parties import Parties
from secagg.params import Ring, SessionParams, Struct
from secagg.protocol.messages import Signed
from secagg.protocol.transcript import (
    advert_hash,
    included_hash,
    keys_hash,
    round_hash,
    session_hash,
    shares_hash,
)

replace = msgspec.structs.replace
PARTIES = Parties(5)
SETTINGS = PARTIES.settings()
K = SETTINGS.session_params(PARTIES.roster, b"s" * 16, b"k" * 32)
P = SETTINGS.round_params(K)
ADVERTS = {0: b"a" * 32, 1: b"b" * 32, 3: b"c" * 32}


def other(value: Any) -> Any:
    """A value of the same type and size that differs."""
    match value:
        case bytes():
            return bytes([value[0] ^ 1]) + value[1:]
        case "error":
            return "saturate"
        case str():
            return value + "x"
        case Struct():
            name = value.__struct_fields__[0]
            return replace(value, **{name: other(getattr(value, name))})
        case None:
            return Ring(degree=2048, moduli=(2**32,), step=1)
        case tuple():
            return (other(value[0]), *value[1:])
        case _:
            return value + 1


@pytest.mark.parametrize("name", SessionParams.__struct_fields__)
def test_every_field_of_k_is_hashed(name):
    assert session_hash(K) != session_hash(replace(K, **{name: other(getattr(K, name))}))


@pytest.mark.parametrize("name", P.__struct_fields__)
def test_every_field_of_p_is_hashed(name):
    assert round_hash(P) != round_hash(replace(P, **{name: other(getattr(P, name))}))


def test_a_second_signature_of_the_same_keys_is_another_message():
    signed = Signed(body=b"body", signature=b"one")
    hashes = {
        advert_hash(signed),
        advert_hash(Signed(body=b"body", signature=b"two")),
        advert_hash(Signed(body=b"bodyone", signature=b"")),
    }

    assert 3 == len(hashes)


def test_h0_binds_session_size_members_and_keys():
    hashes = {
        keys_hash(b"k", 5, ADVERTS),
        keys_hash(b"K", 5, ADVERTS),
        keys_hash(b"k", 12, ADVERTS),
        keys_hash(b"k", 5, {0: ADVERTS[0], 1: ADVERTS[1], 2: ADVERTS[3]}),
        keys_hash(b"k", 5, {0: ADVERTS[1], 1: ADVERTS[0], 3: ADVERTS[3]}),
        keys_hash(b"k", 5, {0: ADVERTS[0], 1: ADVERTS[1]}),
    }

    assert 6 == len(hashes)


def test_h0_does_not_depend_on_the_order_of_arrival():
    backwards = dict(reversed(ADVERTS.items()))

    assert keys_hash(b"k", 5, ADVERTS) == keys_hash(b"k", 5, backwards)


def test_h2_and_h3_bind_all_they_are_made_of():
    hashes = {
        shares_hash(b"0", b"p", 5, {1, 2}),
        shares_hash(b"1", b"p", 5, {1, 2}),
        shares_hash(b"0", b"q", 5, {1, 2}),
        shares_hash(b"0", b"p", 12, {1, 2}),
        shares_hash(b"0", b"p", 5, {1, 3}),
        included_hash(b"0", b"p", 5, {1, 2}),
        included_hash(b"1", b"p", 5, {1, 2}),
        included_hash(b"0", b"q", 5, {1, 2}),
        included_hash(b"0", b"p", 12, {1, 2}),
        included_hash(b"0", b"p", 5, {1, 3}),
    }

    assert 10 == len(hashes)
