from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.crypto import sealing
from secagg.crypto.sealing import FrameMac, open_sealed, seal
from secagg.errors import LocalProtocolError, SealError

KEY = bytes(range(32))

# McGrew and Viega, The Galois/Counter Mode of Operation, AES-256 test cases 13, 14 and 16:
# key, nonce, plaintext, aad, ciphertext and tag.
GCM = {
    "13": ("00" * 32, "00" * 12, "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
    "14": (
        "00" * 32,
        "00" * 12,
        "00" * 16,
        "",
        "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919",
    ),
    "16": (
        "feffe9928665731c6d6a8f9467308308" * 2,
        "cafebabefacedbaddecaf888",
        (
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
            "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
        ),
        "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        (
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
            "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
            "76fc6ece0f4e1768cddf8853bb2d551b"
        ),
    ),
}

# The same paper, test case 1; NIST CAVP gcmEncryptExtIV128, PTlen 0, AADlen 128, count 0.
GMAC = [
    ("00" * 16, "00" * 12, "", "58e2fccefa7e3061367f1d57a4e7455a"),
    (
        "77be63708971c4e240d1cb79e8d77feb",
        "e0e00f19fed7ba0136a797f3",
        "7a43ec1d9c0a5a78a0b16533a6213cab",
        "209fcc8d3675ed938e9c7166709dd946",
    ),
]


@pytest.mark.parametrize("case", GCM)
def test_gcm_known_answers(case, monkeypatch):
    key, nonce, plaintext, aad, expected = map(bytes.fromhex, GCM[case])
    monkeypatch.setattr(sealing, "_NONCE", nonce)

    assert expected == seal(key, plaintext, aad)
    assert plaintext == open_sealed(key, expected, aad)


@pytest.mark.parametrize("case", ["13", "14"])
def test_the_constant_nonce_is_zero(case):
    key, _, plaintext, aad, expected = map(bytes.fromhex, GCM[case])

    assert expected == seal(key, plaintext, aad)


@pytest.mark.parametrize(("key", "nonce", "data", "expected"), GMAC)
def test_gmac_known_answers(key, nonce, data, expected):
    mac = FrameMac(bytes.fromhex(key))
    sequence = int(nonce, 16)

    assert expected == mac.tag(sequence, bytes.fromhex(data)).hex()
    mac.verify(sequence, bytes.fromhex(data), bytes.fromhex(expected))


@given(st.binary(max_size=99), st.binary(max_size=20))
def test_what_is_sealed_opens(plaintext, aad):
    assert plaintext == open_sealed(KEY, seal(KEY, plaintext, aad), aad)


def flips(data):
    return [data[:i] + bytes([data[i] ^ 1 << i % 8]) + data[i + 1 :] for i in range(len(data))]


def test_every_change_of_a_sealed_message_is_refused():
    sealed = seal(KEY, b"secret share", b"context")
    changed = [*flips(sealed), *(sealed[:i] for i in range(len(sealed))), sealed + b"\0", b""]
    for ciphertext in changed:
        with pytest.raises(SealError):
            open_sealed(KEY, ciphertext, b"context")


@pytest.mark.parametrize(
    ("key", "aad"), [(KEY[::-1], b"context"), (KEY, b"contexu"), (KEY, b""), (KEY, b"context\0")]
)
def test_other_key_or_context_is_refused_without_a_word_of_it(key, aad):
    with pytest.raises(SealError) as caught:
        open_sealed(key, seal(KEY, b"secret share", b"context"), aad)

    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("size", [0, 16, 24, 31, 33])
@pytest.mark.parametrize("use", [seal, open_sealed])
def test_sealing_takes_only_256_bit_keys(use, size):
    with pytest.raises(LocalProtocolError):
        use(bytes(size), bytes(16), b"")


@pytest.mark.parametrize("size", [16, 32])
def test_frames_verify_over_any_buffer(size):
    frame = bytearray(range(200))
    tag = FrameMac(bytes(size)).tag(7, memoryview(frame)[8:])
    receiver = FrameMac(bytes(size))
    receiver.verify(7, bytes(frame[8:]), tag)
    receiver.verify(7, memoryview(bytes(frame))[8:], memoryview(tag))

    assert len(tag) == sealing.TAG_BYTES


@given(st.binary(max_size=64), st.integers(0, 2**96 - 2))
def test_a_tag_holds_for_its_own_frame_only(data, sequence):
    mac = FrameMac(KEY)
    tag = mac.tag(sequence, data)
    mac.verify(sequence, data, tag)
    wrong = [(sequence + 1, data, tag), (sequence, data + b"\0", tag)]
    wrong += [(sequence, other, tag) for other in flips(data)]
    wrong += [(sequence, data, other) for other in (*flips(tag), tag[:15], tag + b"\0", b"")]
    for frame in wrong:
        with pytest.raises(SealError):
            mac.verify(*frame)
    with pytest.raises(SealError):
        FrameMac(KEY[:16]).verify(sequence, data, tag)


def test_a_longer_tag_is_never_taken_for_a_ciphertext():
    data = b"frame"
    nonce = bytes(12)
    ciphertext = sealing.AESGCM(KEY).encrypt(nonce, b"plaintext", data)
    with pytest.raises(SealError, match="bytes"):
        FrameMac(KEY).verify(0, data, ciphertext)


@pytest.mark.parametrize("again", [0, 4, 5])
def test_a_number_is_never_tagged_twice(again):
    mac = FrameMac(KEY)
    mac.tag(5, b"one")
    with pytest.raises(LocalProtocolError):
        mac.tag(again, b"two")

    assert mac.tag(6, b"three") == FrameMac(KEY).tag(6, b"three")


@pytest.mark.parametrize("sequence", [-1, 2**96])
def test_sequence_numbers_fit_a_nonce(sequence):
    with pytest.raises(LocalProtocolError):
        FrameMac(KEY).tag(sequence, b"")
    with pytest.raises(LocalProtocolError):
        FrameMac(KEY).verify(sequence, b"", bytes(16))


@pytest.mark.parametrize("size", [0, 15, 17, 24, 33])
def test_frame_keys_have_16_or_32_bytes(size):
    with pytest.raises(LocalProtocolError):
        FrameMac(bytes(size))
