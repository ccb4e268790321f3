"""Packs and parses frames: a fixed header, then one message or one stretch of a vector.

    offset  bytes  field (integers little-endian)
    0       4      magic "SAGG"
    4       2      protocol version
    6       2      type: a code of the message table, or VECTOR
    8       16     session
    24      4      length of the payload
    28      4      zero
    32             payload

The payload of a message is its canonical encoding. The payload of a vector frame is

    32      4      sequence number of the frame within the upload
    36      4      zero
    40      8 w    w words, uint64
    40+8w   16     tag over everything before it

Words start at a multiple of eight, so that both sides work on them in place. Every length is
checked before anything is allocated, and each frame has exactly one spelling: whatever is accepted
re-encodes to the same bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from secagg.canonical import Buffer, decode, encode
from secagg.errors import (
    ConfigurationError,
    EncodingError,
    LocalProtocolError,
    WireError,
)
from secagg.params import SESSION_BYTES, VERSION, Struct

MAGIC: Final = b"SAGG"
VECTOR: Final = 64
"""Type of a vector frame; message tables use the other codes."""
TAG_BYTES: Final = 16
MAX_FRAME: Final = 2**20
FRAME_WORDS: Final = 3 * 32768
"""Words in a full vector frame: three chunks of the mask generator, and 0.79 MB suits brokers that
take messages up to 0.9 MB."""

_HEADER: Final = struct.Struct("<4sHH16sI4s")
_VECTOR: Final = struct.Struct("<I4s")
_ZERO: Final = bytes(4)
_WORDS_AT: Final = _HEADER.size + _VECTOR.size
_WORD: Final = np.dtype("<u8")
MAX_PAYLOAD: Final = MAX_FRAME - _HEADER.size


class MessageTable:
    """Which type code stands for which struct, in both directions.

    Args:
        types: code in 1..65535, not VECTOR, to struct class; each class once.

    Raises:
        ConfigurationError: a code out of range, or a class with two codes.
    """

    def __init__(self, types: Mapping[int, type[Struct]]) -> None:
        for code in types:
            if not 1 <= code < 2**16 or code == VECTOR:
                raise ConfigurationError(f"type code {code}: use 1 to 65535 except {VECTOR}")
        self.types: Final = dict(types)
        self.codes: Final = {kind: code for code, kind in types.items()}
        if len(self.codes) != len(self.types):
            raise ConfigurationError("one message class has two type codes: give it one")


class Codec:
    """Messages of one table to frames and back."""

    def __init__(self, table: MessageTable) -> None:
        self._table = table

    def encode(self, message: Struct, session: bytes) -> bytes:
        """The frame of a message.

        Args:
            message: of a class in the table.
            session: 16 bytes.

        Raises:
            EncodingError: a field that no peer would accept, or more than MAX_FRAME bytes.
            LocalProtocolError: a class not in the table, or a session of another size.
        """
        code = self._table.codes.get(type(message))
        if code is None:
            raise LocalProtocolError(f"{type(message).__name__} is not in this message table")
        payload = encode(message)
        if len(payload) > MAX_PAYLOAD:
            name, size = type(message).__name__, len(payload)
            raise EncodingError(f"{name} of {size} bytes: a frame holds {MAX_PAYLOAD}")
        return _header(code, session, len(payload)) + payload

    def decode(self, envelope: Envelope) -> Struct:
        """The message in a frame.

        Raises:
            WireError: not the one canonical encoding of a message in the table.
        """
        if (kind := self._table.types.get(envelope.type)) is None:
            raise WireError(f"messages of type {envelope.type} are unknown here")
        return decode(kind, envelope.payload)


class VectorFrame(NamedTuple):
    """What a vector frame consists of; views into the frame, nothing is copied but the tag."""

    sequence: int
    signed: memoryview
    """All bytes but the tag: header, sequence number, words."""
    words: NDArray[np.uint64]
    """Read-only. Aligned if the frame's buffer is."""
    tag: bytes


class Span(NamedTuple):
    """What one vector frame of an upload carries; frame number i carries span number i."""

    vector: int
    first_word: int
    words: int


class Envelope(NamedTuple):
    """A frame whose header is checked; the payload is not looked at.

    Attributes:
        type: code of the message table, or VECTOR.
        session: 16 bytes.
        frame: all of it, read-only.
    """

    type: int
    session: bytes
    frame: memoryview

    @property
    def payload(self) -> memoryview:
        """What follows the header."""
        return self.frame[_HEADER.size :]

    def vector(self) -> VectorFrame:
        """The parts of a vector frame, whose tag is to be verified before any of them is used.

        Raises:
            WireError: not exactly one vector frame of 1 to FRAME_WORDS words.
        """
        if self.type != VECTOR:
            raise WireError(f"a frame of type {self.type} where a vector is due")
        payload = self.payload
        words, rest = divmod(len(payload) - _VECTOR.size - TAG_BYTES, _WORD.itemsize)
        if rest or not 1 <= words <= FRAME_WORDS:
            raise WireError(f"a vector frame cannot have {len(payload)} bytes of payload")
        sequence, zero = _VECTOR.unpack_from(payload)
        if zero != _ZERO:
            raise WireError("reserved bytes are not zero")
        lanes: NDArray[np.uint64] = np.frombuffer(self.frame, _WORD, words, _WORDS_AT)
        return VectorFrame(sequence, self.frame[:-TAG_BYTES], lanes, bytes(self.frame[-TAG_BYTES:]))


def open(frame: Buffer, *, max_payload: int = MAX_PAYLOAD) -> Envelope:  # noqa: A001 - wire.open
    """Check every field of a frame's header.

    Args:
        frame: bytes, or any contiguous view of some.
        max_payload: largest payload the receiver is ready for now.

    Raises:
        WireError: not exactly one frame of this version, or too long.
    """
    view = _plain(frame)
    if len(view) < _HEADER.size:
        raise WireError(f"{len(view)} bytes are no frame: its header alone has {_HEADER.size}")
    fields: tuple[Any, ...] = _HEADER.unpack_from(view)
    magic, version, code, session, length, zero = fields
    if magic != MAGIC:
        raise WireError("not a frame of this protocol")
    if version != VERSION:
        raise WireError(f"protocol version {version}: this is version {VERSION}")
    if zero != _ZERO:
        raise WireError("reserved bytes are not zero")
    if length > min(max_payload, MAX_PAYLOAD):
        raise WireError(f"a payload of {length} bytes, {min(max_payload, MAX_PAYLOAD)} are allowed")
    if length != len(view) - _HEADER.size:
        raise WireError(f"{len(view) - _HEADER.size} bytes of payload where {length} are announced")
    return Envelope(code, session, view)


def _plain(frame: object) -> memoryview:
    """The bytes of any contiguous buffer, whatever its items are called."""
    if not isinstance(frame, bytes):
        try:
            frame = np.frombuffer(cast("Buffer", frame), np.uint8)
        except (TypeError, ValueError, AttributeError, BufferError):
            kind = type(frame).__name__
            raise WireError(f"a frame is bytes in one piece; this is another {kind}") from None
    return memoryview(cast("Buffer", frame)).toreadonly()


def session_of(frame: Buffer) -> bytes:
    """The 16-byte session of a frame, for routing; the payload is not looked at.

    Raises:
        WireError: not a frame of this version, or not exactly one.
    """
    return open(frame).session


def new_vector_frame(
    session: bytes, sequence: int, words: int
) -> tuple[bytearray, NDArray[np.uint64]]:
    """An empty vector frame and a writable view of its words, all zero.

    Fill the words, then set the last TAG_BYTES bytes of the frame to the tag over the rest.

    Args:
        session: 16 bytes.
        sequence: number of the frame within the upload, below 2^32.
        words: 1 to FRAME_WORDS.

    Raises:
        LocalProtocolError: an argument out of its range.
    """
    if not 1 <= words <= FRAME_WORDS or not 0 <= sequence < 2**32:
        raise LocalProtocolError(f"frame {sequence} of {words} words: 1 to {FRAME_WORDS} fit")
    size = frame_bytes(words)
    frame = bytearray(size)
    frame[: _HEADER.size] = _header(VECTOR, session, size - _HEADER.size)
    _VECTOR.pack_into(frame, _HEADER.size, sequence, _ZERO)
    return frame, np.frombuffer(frame, _WORD, words, _WORDS_AT)


def frame_bytes(words: int) -> int:
    """Bytes of a vector frame of that many words."""
    return _WORDS_AT + words * _WORD.itemsize + TAG_BYTES


def frame_spans(vector_words: Sequence[int], unit: int = 1) -> tuple[Span, ...]:
    """How an upload is cut into frames: each vector alone, FRAME_WORDS at a time or a little less.

    Args:
        vector_words: words of each vector, in the order of `RoundParams.vectors`.
        unit: words that must not be torn apart; at most FRAME_WORDS.
    """
    most = FRAME_WORDS // unit * unit
    return tuple(
        Span(vector, first, min(most, total - first))
        for vector, total in enumerate(vector_words)
        for first in range(0, total, most)
    )


def _header(code: int, session: bytes, length: int) -> bytes:
    # struct would pad or cut a session of another size without a word
    if len(session) != SESSION_BYTES:
        raise LocalProtocolError(f"a session has {SESSION_BYTES} bytes, not {len(session)}")
    return _HEADER.pack(MAGIC, VERSION, code, session, length, _ZERO)
