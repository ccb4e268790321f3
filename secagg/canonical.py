"""Encodes values canonically: one value has one encoding, and any other is refused.

Everything that is hashed, signed or sent passes through here. Structs and tuples become msgpack
arrays; a decoder that accepts a second spelling of the same value would let two parties hash
different bytes for it, so `decode` re-encodes and compares.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Hashable, Iterable
from functools import cache
from struct import Struct
from typing import Any, Final, TypeVar, cast

import msgspec
import msgspec.inspect

from secagg.errors import EncodingError, LocalProtocolError, WireError

T = TypeVar("T")
Buffer = bytes | bytearray | memoryview

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
    simple = _simple(type(value))
    if not simple and (fault := _fault(value)):
        raise EncodingError(fault)
    try:
        data = _ENCODER.encode(value)
    except (ValueError, OverflowError, TypeError) as error:  # surrogates, 65 bits, np.float64
        raise EncodingError(f"{type(value).__name__} has no canonical bytes: {error}") from None
    if isinstance(value, msgspec.Struct):
        # The rules for what is sent are those for what is received: a fault shows here, not there.
        try:
            decoded = decode(type(value), data)
        except WireError as error:
            raise EncodingError(f"a field is not of its declared type: {error}") from None
        # Only what equals its decoded self is spared the walk: a set in a tuple's place does not.
        if simple and decoded != value and (fault := _fault(value)):
            raise EncodingError(fault)
    return data


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
        fault = "" if _simple(cast("Hashable", kind)) else _fault(value)
    except (ValueError, RecursionError) as error:  # msgspec's own errors are ValueErrors
        raise WireError(f"no {_name(kind)}: {error}") from None
    if fault:
        raise WireError(f"no {_name(kind)}: {fault}")
    if _ENCODER.encode(value) != data:
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
def _simple(kind: Hashable) -> bool:
    """Whether the declared types alone rule out what `_fault` looks for.

    Walking through every field of every message was a third of the work of a thousand gateways.
    """
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return False
    return _atomic(msgspec.inspect.type_info(kind))


def _atomic(kind: msgspec.inspect.Type) -> bool:
    match kind:
        case msgspec.inspect.VarTupleType(item_type=item):
            return _atomic(item)
        case msgspec.inspect.TupleType(item_types=items):
            return all(map(_atomic, items))
        case msgspec.inspect.UnionType(types=types):
            return all(map(_atomic, types))
        case msgspec.inspect.StructType(fields=fields):
            return all(_atomic(each.type) for each in fields)
        case _:
            return isinstance(kind, _EXACT)


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
