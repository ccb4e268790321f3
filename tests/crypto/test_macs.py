from __future__ import annotations

import hashlib
import hmac

import pytest

from secagg.crypto.kdf import derive_key, labelled
from secagg.crypto.labels import Label
from secagg.crypto.macs import AnswerMac
from secagg.errors import BadSignature

SHARED, K = bytes(range(32)), bytes(range(32, 64))
MESSAGE = b"what is said"


def made(shared: bytes = SHARED, session: bytes = K, position: int = 3) -> AnswerMac:
    return AnswerMac(shared, session=session, position=position)


def test_a_tag_is_hmac_sha256_under_a_key_of_session_and_position():
    key = derive_key(SHARED, salt=K, label=Label.KDF_ANSWER_MAC, context=(bytes(7) + b"\3",))
    expected = hmac.new(key, labelled(Label.MAC_SHARES, MESSAGE), hashlib.sha256).digest()

    assert expected == made().sign(Label.MAC_SHARES, MESSAGE)
    made().verify(Label.MAC_SHARES, MESSAGE, expected)


@pytest.mark.parametrize(
    "other", [made(shared=K), made(session=SHARED), made(position=2)], ids=["key", "K", "position"]
)
def test_a_tag_is_good_under_one_key(other):
    with pytest.raises(BadSignature):
        made().verify(Label.MAC_SHARES, MESSAGE, other.sign(Label.MAC_SHARES, MESSAGE))


TAG = made().sign(Label.MAC_SHARES, MESSAGE)


@pytest.mark.parametrize(
    ("label", "message", "tag"),
    [
        (Label.MAC_UNMASKING, MESSAGE, TAG),
        (Label.MAC_SHARES, MESSAGE + b"!", TAG),
        (Label.MAC_SHARES, MESSAGE, bytes([TAG[0] ^ 1]) + TAG[1:]),
        (Label.MAC_SHARES, MESSAGE, TAG[:-1]),
        (Label.MAC_SHARES, MESSAGE, TAG + b"\0"),
        (Label.MAC_SHARES, MESSAGE, b""),
    ],
    ids=["step", "message", "tag", "short", "long", "none"],
)
def test_a_tag_is_good_for_one_step_and_message(label, message, tag):
    with pytest.raises(BadSignature, match="does not verify"):
        made().verify(label, message, tag)


def test_the_key_is_in_no_repr():
    assert "_key" not in repr(made())
