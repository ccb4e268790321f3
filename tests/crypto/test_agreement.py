from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from secagg.crypto import agreement
from secagg.crypto.agreement import (
    KeyPair,
    agree,
    agree_each,
    check_public_key,
    check_public_keys,
    public_key,
)
from secagg.errors import KeyAgreementError, LocalProtocolError

P = 2**255 - 19
privates = st.binary(min_size=32, max_size=32)

# RFC 7748 section 6.1.
ALICE = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
ALICE_PUBLIC = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
BOB = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
SHARED = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"


def key(u):
    return u.to_bytes(32, "little")


def test_rfc_7748_diffie_hellman():
    assert public_key(ALICE).hex() == ALICE_PUBLIC
    assert agree(ALICE, public_key(BOB)).hex() == SHARED
    assert agree(BOB, public_key(ALICE)).hex() == SHARED


# RFC 7748 section 5.2: scalar, u, result. The second u has its top bit set, which we refuse.
def test_rfc_7748_vectors():
    scalar = bytes.fromhex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4")
    u = bytes.fromhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")
    expected = "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"

    assert expected == agree(scalar, u).hex()


def test_rfc_7748_vector_with_top_bit_is_refused_and_right_without():
    scalar = bytes.fromhex("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d")
    u = bytes.fromhex("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493")
    expected = "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"
    with pytest.raises(KeyAgreementError, match="canonical"):
        agree(scalar, u)

    assert expected == agree(scalar, u[:31] + bytes([u[31] & 0x7F])).hex()


def test_rfc_7748_iterated():
    scalar = u = key(9)
    for _ in range(1000):
        scalar, u = agree(scalar, u), scalar

    assert scalar.hex() == "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"


@given(privates, privates)
def test_both_sides_agree(one, other):
    assert agree(one, public_key(other)) == agree(other, public_key(one))


@given(privates, st.lists(privates, max_size=3))
def test_one_key_agrees_with_many(one, others):
    peers = [public_key(other) for other in others]

    assert [agree(one, peer) for peer in peers] == agree_each(one, peers)


def test_an_erased_key_agrees_with_nobody():
    pair = KeyPair(ALICE)
    before = pair.agree(public_key(BOB))
    pair.erase()

    assert (SHARED, ALICE_PUBLIC) == (before.hex(), pair.public.hex())
    with pytest.raises(LocalProtocolError, match="erased"):
        pair.agree(public_key(BOB))


REFUSED = {
    "empty": b"",
    "short": key(9)[:31],
    "long": key(9) + b"\0",
    "zero": key(0),
    "one": key(1),
    "minus one": key(P - 1),
    "order 8": bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    "order 8, other": bytes.fromhex(
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"
    ),
    "prime": key(P),
    "prime + 1": key(P + 1),
    "nine again": key(P + 9),
    "largest without top bit": key(2**255 - 1),
    "nine with top bit": key(9 + 2**255),
    "prime with top bit": key(P + 2**255),
    "all ones": key(2**256 - 1),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_public_key(case):
    bad, good = REFUSED[case], key(9)
    with pytest.raises(KeyAgreementError):
        check_public_key(bad)
    with pytest.raises(KeyAgreementError):
        agree(ALICE, bad)
    with pytest.raises(KeyAgreementError, match="key 1:"):
        check_public_keys([good, bad])


@pytest.mark.parametrize("u", [2, 9, P - 2, 2**254])
def test_good_public_key(u):
    check_public_key(key(u))
    check_public_keys([key(u), key(u - 1 if u == 2**254 else 3)])


# The list of low-order points is complete when these agree on zero, and one neighbour does not.
@pytest.mark.parametrize("u", sorted(agreement._LOW_ORDER))
def test_low_order_points_agree_on_nothing(u):
    private = X25519PrivateKey.from_private_bytes(ALICE)
    with pytest.raises(ValueError, match=r".*"):
        private.exchange(X25519PublicKey.from_public_bytes(key(u)))


def test_no_list_and_no_keys():
    check_public_keys([])


@pytest.mark.parametrize("same", [(0, 1), (0, 2), (1, 2)])
def test_repeated_key_is_refused_with_its_places(same):
    keys = [key(9), key(10), key(11)]
    keys[same[1]] = keys[same[0]]
    with pytest.raises(KeyAgreementError, match=f"keys {same[0]} and {same[1]} "):
        check_public_keys(keys)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_private_key_of_another_size(size):
    with pytest.raises(LocalProtocolError):
        public_key(bytes(size))
    with pytest.raises(LocalProtocolError):
        agree(bytes(size), key(9))
