"""Encodes values canonically: one value has one encoding, and any other is refused.

Everything that is hashed, signed or sent passes through here. Structs and tuples become msgpack
arrays; a decoder that accepts a second spelling of the same value would let two parties hash
different bytes for it, so `decode` re-encodes and compares.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import cache
from operator import attrgetter, itemgetter
from struct import Struct
from typing import Any, Final, TypeVar, cast

import msgspec
import msgspec.inspect

from secagg.errors import EncodingError, LocalProtocolError, WireError

T = TypeVar("T")
Buffer = bytes | bytearray | memoryview
_Get = Callable[[Any], Any]
_Look = Callable[[Any], str]
"""Says why a value has no canonical bytes, or nothing."""

_ENCODER: Final = msgspec.msgpack.Encoder()
_U64: Final = Struct(">Q").pack
_EXACT: Final = (
    msgspec.inspect.BoolType,
    msgspec.inspect.IntType,
    msgspec.inspect.StrType,
    msgspec.inspect.BytesType,
    msgspec.inspect.NoneType,
    msgspec.inspect.EnumType,
    msgspec.inspect.LiteralType,
)
_ATOMS: Final = frozenset({bool, int, str, bytes, type(None)})


def encode(value: msgspec.Struct | tuple[object, ...]) -> bytes:
    """The one encoding of a struct or tuple.

    Args:
        value: of structs, tuples, lists, enums, str, bytes, bool, None, integers in -2^63 .. 2^64-1
            and finite floats.

    Raises:
        EncodingError: something else is inside, or a struct's field is not of its declared type
            (an int in a float field, say), so that no peer would accept the bytes.
    """
    struct = isinstance(value, msgspec.Struct)
    if not struct and (fault := _fault(value)):
        raise EncodingError(fault)
    try:
        data = _ENCODER.encode(value)
    except (ValueError, OverflowError, TypeError) as error:  # surrogates, 65 bits, np.float64
        raise EncodingError(f"{type(value).__name__} has no canonical bytes: {error}") from None
    if struct:
        _check_sent(value, data)
    return data


def _check_sent(value: Any, data: bytes) -> None:
    """The rules for what is sent are those for what is received: a fault shows here, not there."""
    kind: Any = type(value)
    try:
        decoded = _decoder(kind).decode(data)
    except (ValueError, RecursionError) as error:
        raise EncodingError(f"a field is not of its declared type: {error}") from None
    look = _floats(kind)
    if decoded != value:  # a set in a tuple's place
        look = _fault
    if look is None:  # without floats among its types, a value that fits them has one spelling
        return
    if fault := look(value):
        raise EncodingError(fault)
    if _ENCODER.encode(decoded) != data:
        raise EncodingError("a field is not of its declared type: an integer in a float's place")


def decode(kind: type[T], data: Buffer) -> T:
    """The value of type `kind` whose encoding is exactly `data`.

    Memory use is proportional to `len(data)`, whatever lengths it claims.

    Args:
        kind: a struct class or a typed tuple; its `__post_init__` may raise ValueErrors.
        data: all the bytes, nothing after them.

    Raises:
        WireError: wrong types, trailing or missing bytes, NaN or infinity, or not the bytes that
            `encode` gives for the value.
    """
    decoder: msgspec.msgpack.Decoder[T] = _decoder(cast("Hashable", kind))
    try:
        value = decoder.decode(data)
        look = _floats(cast("Hashable", kind))
        fault = look(value) if look else ""
    except (ValueError, RecursionError) as error:  # msgspec's own errors are ValueErrors
        raise WireError(f"no {_name(kind)}: {error}") from None
    if fault:
        raise WireError(f"no {_name(kind)}: {fault}")
    # a view is compared item by item, which takes ninety times as long as a copy and its bytes
    if _ENCODER.encode(value) != bytes(data):
        raise WireError(f"this {_name(kind)} is not in its canonical encoding")
    return value


def bitmap(members: Iterable[int], n: int) -> bytes:
    """The set as ceil(n / 8) bytes; bit i of byte i // 8, least significant first, is member i.

    Raises:
        LocalProtocolError: a member is not in 0 .. n-1.
    """
    bits = 0
    for member in members:
        if not 0 <= member < n:
            raise LocalProtocolError(f"member {member} is not in 0..{n - 1}")
        bits |= 1 << member
    return bits.to_bytes((n + 7) // 8, "little")


def members(bitmap: bytes, n: int) -> frozenset[int]:
    """The set that `bitmap` made.

    Raises:
        WireError: not ceil(n / 8) bytes, or a bit at or above n is set.
    """
    if len(bitmap) != (n + 7) // 8:
        raise WireError(f"a set over {n} members has {(n + 7) // 8} bytes, not {len(bitmap)}")
    bits = int.from_bytes(bitmap, "little")
    if bits >> n:
        raise WireError(f"a set over {n} members names one beyond them")
    return frozenset([i for i, bit in enumerate(reversed(f"{bits:b}")) if bit == "1"])


def u64(i: int) -> bytes:
    """An integer in 0 .. 2^64-1 as 8 bytes, big-endian.

    Raises:
        EncodingError: the integer is not in that range.
    """
    if not 0 <= i < 2**64:
        raise EncodingError(f"{i} is not an unsigned 64-bit integer")
    return _U64(i)


def framed(*parts: bytes) -> bytes:
    """The parts, each behind its 8-byte big-endian length: other parts give other bytes."""
    return b"".join([piece for part in parts for piece in (_U64(len(part)), part)])


@cache
def _decoder(kind: Hashable) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(cast("Any", kind))


@cache
def _floats(kind: Hashable) -> _Look | None:
    """What finds the fault that values of this type may still have: it visits float fields only.

    None where the declared types leave none. Walking through every field of every message was a
    third of the work of a thousand gateways.
    """
    return _look_into(msgspec.inspect.type_info(kind))


def _look_into(kind: msgspec.inspect.Type) -> _Look | None:
    match kind:
        case msgspec.inspect.VarTupleType(item_type=item):
            inside = _look_into(item)
            return inside and (lambda value: next(filter(None, map(inside, value)), ""))
        case msgspec.inspect.TupleType(item_types=items):
            return _look_at({at: _look_into(item) for at, item in enumerate(items)}, itemgetter)
        case msgspec.inspect.StructType(fields=fields):
            return _look_at({each.name: _look_into(each.type) for each in fields}, attrgetter)
        case msgspec.inspect.UnionType(types=types):
            return _fault if any(map(_look_into, types)) else None
        case _:
            return None if isinstance(kind, _EXACT) else _fault


def _look_at(parts: Mapping[Any, _Look | None], getter: Callable[[Any], _Get]) -> _Look | None:
    found = [(getter(name), look) for name, look in parts.items() if look]
    if not found:
        return None
    return lambda value: next(filter(None, (look(get(value)) for get, look in found)), "")


def _name(kind: object) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind)


def _fault(value: object) -> str:
    """Why a value has no canonical bytes, or nothing.

    NaN is refused because it differs from itself (and every `value > cap` with it is false), sets
    and mappings because their order is not part of their value.
    """
    if type(value) in _ATOMS or isinstance(value, enum.Enum):
        return ""
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"{value} is not a finite number"
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.astuple(value)
    if isinstance(value, tuple | list):
        return next(filter(None, map(_fault, value)), "")
    return f"{type(value).__name__} has no canonical bytes: use structs, tuples and bytes"
