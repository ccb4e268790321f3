from __future__ import annotations

import copy
import hmac
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.crypto.secret import Secret
from secagg.errors import LocalProtocolError


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_equal_exactly_when_the_bytes_are(one, other):
    assert (one == other) == (Secret(one) == Secret(other))
    assert Secret(one) == Secret(one)
    assert one == Secret(one).reveal()


def test_compared_in_constant_time(monkeypatch):
    seen = []
    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: seen.append((a, b)) or real(a, b))

    assert Secret(b"one") != Secret(b"two")
    assert seen == [(b"one", b"two")]


@pytest.mark.parametrize("other", [b"one", "one", None, 0])
def test_never_equal_to_anything_else(other):
    assert Secret(b"one") != other


@pytest.mark.parametrize("show", [repr, str, "{}".format, "{0!a}".format])
def test_redacted(show):
    assert show(Secret(b"abc")) == "Secret(3 bytes)"
    assert "abc" not in show([Secret(b"abc")])


@pytest.mark.parametrize(
    "leak",
    [
        copy.copy,
        copy.deepcopy,
        pickle.dumps,
        lambda s: pickle.dumps(s, 0),
        lambda s: s.__reduce__(),
    ],
)
def test_neither_copied_nor_pickled(leak):
    with pytest.raises((LocalProtocolError, TypeError)) as caught:
        leak(Secret(b"abc"))

    assert "abc" not in str(caught.value)


def test_unhashable():
    with pytest.raises(TypeError):
        hash(Secret(b"abc"))


def test_erased():
    secret = Secret(b"abc")
    memory = secret._value
    secret.erase()
    secret.erase()

    assert bytes(3) == bytes(memory)
    assert repr(secret) == "Secret(erased)"
    with pytest.raises(LocalProtocolError):
        secret.reveal()
    with pytest.raises(LocalProtocolError):
        secret == Secret(b"abc")  # noqa: B015


def test_does_not_share_memory_with_its_source():
    source = bytearray(b"abc")
    secret = Secret(source)
    source[0] = 0

    assert secret.reveal() == b"abc"
