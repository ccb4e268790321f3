"""Audit records and rosters as JSON files: named fields, hex bytes, one spelling for one value.

The format is described in docs/audit.md. What is hashed and signed is not this text but the
canonical bytes of the structs behind it, so a file that loads is exactly one record.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec
import msgspec.inspect as kinds

from secagg import encoding
from secagg.errors import EncodingError, WireError
from secagg.protocol.audit import AuditRecord
from secagg.protocol.identity import Roster

FORMAT_VERSION: Final = 1
MAX_BYTES: Final = 1 << 25
"""32 MiB: a record of 2048 gateways has about 5."""
RECORD: Final = "secagg audit record"
ROSTER: Final = "secagg roster"

T = TypeVar("T", bound=msgspec.Struct)


def dump_record(record: AuditRecord) -> bytes:
    """The file of one round's record."""
    return _dump(RECORD, record)


def load_record(data: bytes) -> AuditRecord:
    """The record of a file; what it says is not verified yet.

    Raises:
        WireError: not a record, or not exactly as `dump_record` writes it; names the field.
    """
    return _load(RECORD, AuditRecord, data)


def dump_roster(roster: Roster) -> bytes:
    """The file of a roster."""
    return _dump(ROSTER, roster)


def load_roster(data: bytes) -> Roster:
    """The roster of a file.

    Raises:
        WireError: as for `load_record`.
    """
    return _load(ROSTER, Roster, data)


def _dump(name: str, value: msgspec.Struct) -> bytes:
    content = {"format": name, "version": FORMAT_VERSION} | _plain(value)
    return msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n"


def _plain(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.hex() if isinstance(value, bytes) else value


def _load(name: str, kind: type[T], data: bytes) -> T:
    if len(data) > MAX_BYTES:
        raise WireError(f"{len(data)} bytes: a {name} has at most {MAX_BYTES}")
    try:
        content = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise WireError(f"not JSON: {error}") from None
    if not isinstance(content, dict) or content.pop("format", None) != name:
        raise WireError(f"not a {name}: its first field is no such format")
    if (version := content.pop("version", None)) != FORMAT_VERSION:
        raise WireError(f"version {version!r} of the format: this is version {FORMAT_VERSION}")
    value: T = _read(kinds.type_info(kind), content, name)
    try:
        encoding.encode(value)
    except EncodingError as error:
        raise WireError(f"no {name}: {error}") from None
    if _dump(name, value) != data:
        raise WireError(f"this {name} is not spelt as it would be written: one value, one file")
    return value


def _read(kind: kinds.Type, value: Any, where: str) -> Any:
    """The value of a type; whatever is left to check, the comparison of the whole file checks."""
    match kind:
        case kinds.StructType():
            return _struct(kind, value, where)
        case kinds.VarTupleType(item_type=item):
            return tuple(_read(item, each, f"{where}[{i}]") for i, each in _items(value, where))
        case kinds.BytesType():
            return _bytes(value, where)
        case kinds.FloatType():
            return _typed(value, float, where)
        case kinds.IntType():
            return _typed(value, int, where)
        case kinds.StrType() | kinds.LiteralType():
            return _typed(value, str, where)
        case _:  # a gateway's id
            return value if isinstance(value, str) else _typed(value, int, where)


def _struct(kind: kinds.StructType, value: Any, where: str) -> Any:
    names = [each.name for each in kind.fields]
    if not isinstance(value, dict) or list(value) != names:
        raise WireError(f"{where}: its fields are {', '.join(names)}, in this order")
    parts = {each.name: _read(each.type, value[each.name], each.name) for each in kind.fields}
    try:
        return kind.cls(**parts)
    except ValueError as error:
        raise WireError(f"{where}: {error}") from None


def _items(value: Any, where: str) -> list[tuple[int, Any]]:
    return list(enumerate(_typed(value, list, where)))


def _bytes(value: Any, where: str) -> bytes:
    try:
        return bytes.fromhex(_typed(value, str, where))
    except ValueError:
        raise WireError(f"{where}: not hexadecimal") from None


def _typed(value: Any, kind: type[Any], where: str) -> Any:
    if type(value) is not kind:
        raise WireError(f"{where}: {kind.__name__} expected, not {type(value).__name__}")
    return value
