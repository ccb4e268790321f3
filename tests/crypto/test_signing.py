from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.crypto import signing
from secagg.crypto.kdf import labelled
from secagg.crypto.labels import Label
from secagg.crypto.secret import Secret
from secagg.crypto.signing import SigningKey, check_verifying_key, verify
from secagg.errors import BadSignature, KeyAgreementError, LocalProtocolError

SEED = bytes(range(32))
ORDER = 2**252 + 27742317777372353535851937790883648493

# RFC 8032 section 7.1, tests 1 to 3: seed, public key, message, signature.
RFC8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
]


@pytest.mark.parametrize(("seed", "public", "message", "expected"), RFC8032)
def test_rfc_8032(seed, public, message, expected, monkeypatch):
    # The vectors sign bare messages: the framing is taken away for this test alone.
    monkeypatch.setattr(signing, "labelled", lambda _, message: message)
    key = SigningKey(bytes.fromhex(seed))

    assert public == key.public.hex()
    assert expected == key.sign(Label.SIGN_ROUND, bytes.fromhex(message)).hex()
    verify(key.public, Label.SIGN_ROUND, bytes.fromhex(message), bytes.fromhex(expected))


def test_what_is_signed_is_the_labelled_message():
    key = SigningKey(SEED)
    expected = key._key.sign(labelled(Label.SIGN_ROUND, b"message"))

    assert expected == key.sign(Label.SIGN_ROUND, b"message")


@given(st.sampled_from(list(Label)), st.binary(max_size=64))
def test_signatures_verify(label, message):
    key = SigningKey(Secret(SEED))
    signature = key.sign(label, message)
    verify(key.public, label, message, signature)

    assert len(signature) == signing.SIGNATURE_BYTES


def beyond_order(signature):
    """The same signature with S + L for S: RFC 8032 section 5.1.7 refuses it."""
    s = int.from_bytes(signature[32:], "little") + ORDER
    return signature[:32] + s.to_bytes(32, "little")


CHANGES = {
    "other label": {"label": Label.SIGN_SESSION},
    "other message": {"message": b"messagf"},
    "longer message": {"message": b"message\0"},
    "empty message": {"message": b""},
    "other key": {"public": SigningKey(bytes(32)).public},
    "short key": {"public": SigningKey(SEED).public[:31]},
    "long key": {"public": SigningKey(SEED).public + b"\0"},
    "no key": {"public": b""},
    "not a point": {"public": b"\2" + bytes(31)},
    "no signature": {"signature": b""},
    "zero signature": {"signature": bytes(64)},
    "short signature": {"signature": SigningKey(SEED).sign(Label.SIGN_ROUND, b"message")[:63]},
    "long signature": {"signature": SigningKey(SEED).sign(Label.SIGN_ROUND, b"message") + b"\0"},
    "malleable": {
        "signature": beyond_order(SigningKey(SEED).sign(Label.SIGN_ROUND, b"message")),
    },
}


@pytest.mark.parametrize("change", CHANGES)
def test_anything_else_is_refused(change):
    key = SigningKey(SEED)
    good = {
        "public": key.public,
        "label": Label.SIGN_ROUND,
        "message": b"message",
        "signature": key.sign(Label.SIGN_ROUND, b"message"),
    }
    verify(**good)
    with pytest.raises(BadSignature, match="SIGN_"):
        verify(**good | CHANGES[change])


def test_every_flipped_bit_of_a_signature_is_refused():
    key = SigningKey(SEED)
    signature = int.from_bytes(key.sign(Label.SIGN_ROUND, b""), "big")
    for bit in range(512):
        with pytest.raises(BadSignature):
            verify(key.public, Label.SIGN_ROUND, b"", (signature ^ 1 << bit).to_bytes(64, "big"))


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_seed_of_another_size(size):
    with pytest.raises(LocalProtocolError):
        SigningKey(Secret(bytes(size)))


def test_only_the_public_key_shows():
    key = SigningKey(SEED)

    assert f"SigningKey(public={key.public.hex()})" == repr(key)
    assert SEED.hex() not in repr(key)


# -- keys that a roster refuses --------------------------------------------------------------------

LOW_ORDER = [
    # y of the points of order 1, 2, 4 and 8; those of 4 and 8 have an x of either sign
    "01" + "00" * 31,
    "ec" + "ff" * 30 + "7f",
    "00" * 32,
    "00" * 31 + "80",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
]
PRIME = 2**255 - 19
NOT_CANONICAL = [
    # y not below the prime, and an x of zero with a sign
    *(
        (y + sign).to_bytes(32, "little").hex()
        for y in range(PRIME, 2**255)
        for sign in (0, 2**255)
    ),
    "01" + "00" * 30 + "80",
    "ec" + "ff" * 31,
]


@pytest.mark.parametrize("key", LOW_ORDER)
def test_a_key_of_low_order_is_refused(key):
    with pytest.raises(KeyAgreementError, match="low order"):
        check_verifying_key(bytes.fromhex(key))


@pytest.mark.parametrize("key", NOT_CANONICAL)
def test_a_key_in_another_encoding_is_refused(key):
    with pytest.raises(KeyAgreementError, match="canonical"):
        check_verifying_key(bytes.fromhex(key))


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_of_another_size_is_refused(size):
    with pytest.raises(KeyAgreementError, match="32 bytes"):
        check_verifying_key(bytes(size))


def test_keys_of_signers_are_accepted():
    for place in range(50):
        check_verifying_key(SigningKey(place.to_bytes(32, "big")).public)


def on_the_curve(y):
    """RFC 8032 section 5.1.3 by its own formula, another than the one that is tested."""
    d = -121665 * pow(121666, PRIME - 2, PRIME)
    squared = (y * y - 1) * pow(d * y * y + 1, PRIME - 2, PRIME) % PRIME
    x = pow(squared, (PRIME + 3) // 8, PRIME)
    return squared in {x * x % PRIME, -x * x % PRIME}


def test_what_is_no_point_is_refused():
    for y in range(2, 60):
        key = y.to_bytes(32, "little")
        if on_the_curve(y):
            check_verifying_key(key)
        else:
            with pytest.raises(KeyAgreementError, match="canonical"):
                check_verifying_key(key)


def test_one_signature_fits_many_messages_under_a_key_of_low_order():
    """Why: the library that verifies takes any 32 bytes for a key."""
    neutral, forged = bytes.fromhex(LOW_ORDER[0]), bytes.fromhex(LOW_ORDER[0]) + bytes(32)
    for message in (b"yes", b"no"):
        verify(neutral, Label.SIGN_ROUND, message, forged)
