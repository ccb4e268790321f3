from __future__ import annotations

import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from secagg import wire
from secagg.canonical import encode
from secagg.errors import (
    ConfigurationError,
    EncodingError,
    LocalProtocolError,
    WireError,
)
from secagg.params import Struct
from secagg.wire import (
    FRAME_WORDS,
    MAX_FRAME,
    MAX_PAYLOAD,
    TAG_BYTES,
    VECTOR,
    Codec,
    MessageTable,
    Span,
    frame_spans,
    new_vector_frame,
    session_of,
)


class Hello(Struct, frozen=True):
    name: str | int
    keys: tuple[bytes, ...]


class Shares(Struct, frozen=True):
    round: int
    ratio: float
    items: tuple[tuple[int, bytes], ...]
    note: str | None


class Stranger(Struct, frozen=True):
    value: int


CODEC = Codec(MessageTable({1: Hello, 7: Shares, 65535: Struct}))
SESSION = bytes(range(16))
HELLO = Hello(name="gateway", keys=(b"\x01" * 8, b""))
SHARES = Shares(round=70000, ratio=-0.25, items=((1, b"\xdd\xff"), (300, b"x" * 40)), note=None)
MESSAGES = (HELLO, SHARES, Hello(name=-5, keys=()))


def parse(data, **expected):
    """What the receiver of a frame comes to know, or WireError."""
    envelope = wire.open(data, **expected)
    if envelope.type != VECTOR:
        return CODEC.encode(CODEC.decode(envelope), envelope.session)
    parts = envelope.vector()
    frame, words = new_vector_frame(envelope.session, parts.sequence, len(parts.words))
    words[:] = parts.words
    frame[-TAG_BYTES:] = parts.tag
    return bytes(frame)


def vector_frame(words=5, sequence=258):
    frame, view = new_vector_frame(SESSION, sequence, words)
    view[:] = np.arange(words, dtype=np.uint64) + 2**40
    frame[-TAG_BYTES:] = bytes(range(TAG_BYTES))
    return bytes(frame)


FRAMES = (*(CODEC.encode(message, SESSION) for message in MESSAGES), vector_frame())


def accepted(data):
    """Whether the bytes are accepted; if so they must be the one spelling of what they say."""
    try:
        back = parse(data)
    except WireError:
        return False

    assert data == back
    return True


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_comes_back(message):
    frame = CODEC.encode(message, SESSION)

    assert message == CODEC.decode(wire.open(frame))
    assert message == CODEC.decode(wire.open(memoryview(bytearray(frame))))
    assert session_of(frame) == SESSION
    assert (1 if isinstance(message, Hello) else 7) == wire.open(frame).type


def test_the_header_is_frozen():
    payload = encode(HELLO)
    expected = b"SAGG\x02\x00\x01\x00" + SESSION + bytes([len(payload), 0, 0, 0]) + bytes(4)

    assert expected + payload == FRAMES[0]


@pytest.mark.parametrize("frame", FRAMES, ids=["hello", "shares", "bare", "vector"])
def test_every_changed_byte_is_noticed_or_means_something_else(frame):
    assert accepted(frame)
    for at, byte in enumerate(frame):
        for other in set(range(256)) - {byte}:
            # checks that altered bytes, if accepted, stand for a message that encodes to *them*
            accepted(frame[:at] + bytes([other]) + frame[at + 1 :])


@pytest.mark.parametrize("frame", FRAMES, ids=["hello", "shares", "bare", "vector"])
def test_the_header_tolerates_changes_of_session_only(frame):
    for at in [*range(8), *range(24, 32)]:
        for other in set(range(256)) - {frame[at]}:
            changed = frame[:at] + bytes([other]) + frame[at + 1 :]

            assert not accepted(changed)


@pytest.mark.parametrize("frame", FRAMES, ids=["hello", "shares", "bare", "vector"])
def test_truncated_and_extended_frames_are_refused(frame):
    assert not any(accepted(frame[:size]) for size in range(len(frame)))
    assert not any(accepted(frame + bytes([extra])) for extra in range(256))
    assert not accepted(frame + frame)


@pytest.mark.parametrize("frame", FRAMES, ids=["hello", "shares", "bare", "vector"])
def test_frames_whose_length_field_was_mended_are_refused(frame):
    for size in range(32, len(frame)):
        cut = bytearray(frame[:size])
        cut[24:28] = struct.pack("<I", size - 32)
        # a vector frame cut by whole words is a shorter vector frame: its tag tells
        shorter = wire.open(frame).type == VECTOR and (size - 56) % 8 == 0 and size > 56

        assert accepted(bytes(cut)) == shorter


@given(st.binary(max_size=100))
@example(b"SAGG" + bytes(28))
def test_arbitrary_bytes(data):
    accepted(data)


@given(st.sampled_from([0, 1, 2, 7, VECTOR, 65535]), st.binary(max_size=120))
def test_arbitrary_payloads(code, payload):
    data = b"SAGG\x02\x00" + struct.pack("<H16sI4x", code, SESSION, len(payload)) + payload
    accepted(data)


@given(st.sampled_from(FRAMES), st.data())
def test_mutated_frames(frame, data):
    changed = bytearray(frame)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed) - 1))
        width = data.draw(st.integers(0, 6))
        changed[at : at + width] = data.draw(st.binary(max_size=6))
        assume(changed)
    if data.draw(st.booleans()) and len(changed) >= 32:
        changed[24:28] = struct.pack("<I", len(changed) - 32)
    accepted(bytes(changed))


@given(
    st.one_of(
        st.builds(
            Hello,
            name=st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.integers(0, 9),
            keys=st.lists(st.binary(max_size=40), max_size=9).map(tuple),
        ),
        st.builds(
            Shares,
            round=st.integers(-(2**63), 2**64 - 1),
            ratio=st.floats(allow_nan=False, allow_infinity=False),
            items=st.lists(st.tuples(st.integers(0, 99), st.binary()), max_size=9).map(tuple),
            note=st.none() | st.just("x"),
        ),
    ),
    st.binary(min_size=16, max_size=16),
)
def test_all_messages_come_back(message, session):
    frame = CODEC.encode(message, session)

    assert message == CODEC.decode(wire.open(frame))
    assert session == session_of(frame)


def test_unknown_types_and_vectors_are_no_messages():
    unknown = bytearray(FRAMES[0])
    unknown[6] = 2
    for frame in (bytes(unknown), vector_frame()):
        with pytest.raises(WireError, match="unknown"):
            CODEC.decode(wire.open(frame))
    with pytest.raises(WireError, match="vector is due"):
        wire.open(FRAMES[0]).vector()


def test_the_receiver_caps_the_payload():
    size = len(FRAMES[1]) - 32

    assert CODEC.decode(wire.open(FRAMES[1], max_payload=size)) == SHARES
    with pytest.raises(WireError, match="allowed"):
        CODEC.decode(wire.open(FRAMES[1], max_payload=size - 1))


def test_no_frame_is_longer_than_max_frame():
    fits = Hello(name=1, keys=(bytes(MAX_PAYLOAD - 8),))
    frame = CODEC.encode(fits, SESSION)

    assert len(frame) == MAX_FRAME
    assert fits == CODEC.decode(wire.open(frame, max_payload=2**32))
    with pytest.raises(EncodingError, match="a frame holds"):
        CODEC.encode(Hello(name=1, keys=(bytes(MAX_PAYLOAD - 7),)), SESSION)
    longer = bytearray(frame + b"\x00")
    longer[24:28] = struct.pack("<I", MAX_PAYLOAD + 1)
    with pytest.raises(WireError, match="allowed"):
        CODEC.decode(wire.open(longer, max_payload=2**32))


def test_claimed_lengths_allocate_nothing():
    claims = [
        b"SAGG\x02\x00" + struct.pack("<H16sI4x", 1, SESSION, length) + payload
        for length in (6, 2**20, 2**31, 2**32 - 1)
        for payload in (b"\x92\x01\xdd\xff\xff\xff", b"\x92\x01\xdd\x7f\xff\xff\xff")
    ]
    tracemalloc.start()
    refused = [not accepted(claim) for claim in claims]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert all(refused)
    assert peak < 2**17


@pytest.mark.parametrize("message", [Stranger(value=1), None, (1, 2)])
def test_only_messages_of_the_table_are_encoded(message):
    with pytest.raises(LocalProtocolError, match="table"):
        CODEC.encode(message, SESSION)


@pytest.mark.parametrize("size", [0, 15, 17])
def test_sessions_have_one_size(size):
    with pytest.raises(LocalProtocolError, match="16 bytes"):
        CODEC.encode(HELLO, bytes(size))
    with pytest.raises(LocalProtocolError, match="16 bytes"):
        new_vector_frame(bytes(size), 0, 1)


@pytest.mark.parametrize(
    "types", [{0: Hello}, {-1: Hello}, {65536: Hello}, {VECTOR: Hello}, {1: Hello, 2: Hello}]
)
def test_tables_that_are_ambiguous_are_refused(types):
    with pytest.raises(ConfigurationError):
        MessageTable(types)


def test_vector_frames_are_worked_on_in_place():
    frame, words = new_vector_frame(SESSION, 3, 4)
    words += np.uint64(2**63 + 9)
    received = bytes(frame)
    parts = wire.open(received).vector()

    assert np.shares_memory(words, np.frombuffer(frame, np.uint8))
    assert np.shares_memory(parts.words, np.frombuffer(received, np.uint8))
    assert (3, [2**63 + 9] * 4, bytes(16)) == (parts.sequence, parts.words.tolist(), parts.tag)
    assert received[:-16] == parts.signed
    assert (np.uint64, True) == (words.dtype, words.flags.aligned)
    assert parts.words.flags.aligned
    assert (wire.open(received).type, session_of(received)) == (VECTOR, SESSION)
    assert len(frame) == 32 + 8 + 4 * 8 + 16
    assert bytes([3, 0, 0, 0, 0, 0, 0, 0]) + (9).to_bytes(7, "little") + b"\x80" == frame[32:48]


def test_received_words_are_read_only_even_in_a_writable_buffer():
    parts = wire.open(bytearray(vector_frame())).vector()
    with pytest.raises(ValueError, match="read-only"):
        parts.words += np.uint64(1)
    with pytest.raises(TypeError):
        parts.signed[0] = 1


def test_vector_frames_need_their_zeros_and_at_least_a_word():
    for at in range(36, 40):
        changed = bytearray(vector_frame())
        changed[at] = 1
        with pytest.raises(WireError, match="reserved"):
            wire.open(changed).vector()
    for payload in (0, 8, 23, 24, 31, 33, 24 + 8 * (FRAME_WORDS + 1)):
        header = b"SAGG\x02\x00" + struct.pack("<H16sI4x", VECTOR, SESSION, payload)
        with pytest.raises(WireError, match="cannot have"):
            wire.open(header + bytes(payload)).vector()


@pytest.mark.parametrize(
    ("sequence", "words"), [(0, 0), (0, -1), (0, FRAME_WORDS + 1), (-1, 1), (2**32, 1)]
)
def test_vector_frames_out_of_range_are_local_misuse(sequence, words):
    with pytest.raises(LocalProtocolError):
        new_vector_frame(SESSION, sequence, words)


def test_a_full_vector_frame_suits_brokers_and_the_last_sequence_number_fits():
    frame, _ = new_vector_frame(SESSION, 2**32 - 1, FRAME_WORDS)

    assert wire.open(frame).vector().sequence == 2**32 - 1
    assert len(frame) < 900_000


@given(st.lists(st.integers(1, 3 * FRAME_WORDS + 5), max_size=5))
@example([FRAME_WORDS, 1, FRAME_WORDS + 1])
def test_spans_cover_every_word_once_in_order(vector_words):
    spans = frame_spans(vector_words)
    expected_next = [0] * len(vector_words)
    for vector, first, words in spans:
        assert expected_next[vector] == first
        assert 1 <= words <= FRAME_WORDS
        expected_next[vector] += words

    assert vector_words == expected_next
    assert sorted(spans) == list(spans)
    assert sum(-(-words // FRAME_WORDS) for words in vector_words) == len(spans)


def test_spans_by_example():
    expected = (
        Span(0, 0, FRAME_WORDS),
        Span(0, FRAME_WORDS, 1),
        Span(1, 0, 2),
    )

    assert expected == frame_spans([FRAME_WORDS + 1, 2])


def test_what_belongs_together_is_not_torn_apart():
    spans = frame_spans([2 * FRAME_WORDS + 7, 3], unit=1000)
    most = FRAME_WORDS // 1000 * 1000

    assert most < FRAME_WORDS
    assert [(0, 0, most), (0, most, most), (0, 2 * most, 2 * (FRAME_WORDS - most) + 7)] == [
        tuple(span) for span in spans[:-1]
    ]
    assert (1, 0, 3) == tuple(spans[-1])
