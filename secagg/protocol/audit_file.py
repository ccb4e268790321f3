"""Writes and reads public structs as JSON files: named fields, hex bytes, one spelling for a value.

The format is described in docs/audit.md. What is hashed and signed is not this text but the
canonical bytes of the structs behind it, so a file that loads is exactly one record.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import Any, Final, TypeVar, cast

import msgspec
import msgspec.inspect as kinds

from secagg.arguments import checked
from secagg.canonical import Buffer
from secagg.errors import ConfigurationError, WireError
from secagg.protocol.audit import AuditRecord
from secagg.protocol.identity import Roster

FORMAT_VERSION: Final = 1
MAX_FILE_BYTES: Final = 1 << 25
"""32 MiB: a record of 1000 gateways and a small model has 0.7."""
RECORD: Final = "secagg audit record"
ROSTER: Final = "secagg roster"

_ALIKE: Final[dict[type[kinds.Type], type]] = {
    kinds.StrType: str,
    kinds.IntType: int,
    kinds.FloatType: float,
    kinds.BoolType: bool,
    kinds.DictType: dict,
}
T = TypeVar("T", bound=msgspec.Struct)


@checked()
def dump_record(record: AuditRecord) -> bytes:
    """The file of one round's record."""
    return dump(RECORD, record)


def load_record(data: Buffer) -> AuditRecord:
    """The record of a file; what it says is not verified yet.

    Raises:
        WireError: not a record, or not exactly as `dump_record` writes it; names the field.
    """
    return load(RECORD, AuditRecord, data)


@checked()
def dump_roster(roster: Roster) -> bytes:
    """The file of a roster."""
    return dump(ROSTER, roster)


def load_roster(data: Buffer) -> Roster:
    """The roster of a file.

    Raises:
        WireError: as for `load_record`.
    """
    return load(ROSTER, Roster, data)


def dump(name: str, value: msgspec.Struct) -> bytes:
    """The file of a struct.

    Args:
        name: what the file says it is.
        value: of structs, tuples, tables by name, bytes, str, numbers, bool and None.
    """
    content = {"format": name, "version": FORMAT_VERSION} | _plain(value)
    return msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n"


def _plain(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value.hex() if isinstance(value, bytes) else value


def load(name: str, kind: type[T], data: Buffer) -> T:
    """The struct of a file.

    Args:
        name: what the file must say it is.
        kind: of the struct.
        data: the whole file.

    Raises:
        WireError: as for `load_record`.
    """
    try:
        data = memoryview(data).tobytes()  # of any view
    except (TypeError, ValueError):  # some arrays of numpy show no bytes
        raise WireError(f"a {name} is bytes, not {type(data).__name__}") from None
    if len(data) > MAX_FILE_BYTES:
        raise WireError(f"more than {MAX_FILE_BYTES} bytes: no {name} is as long")
    try:
        text = data.decode()
        content = msgspec.json.decode(text)
    except (ValueError, RecursionError) as error:  # msgspec's own errors are ValueErrors
        raise WireError(f"not JSON in UTF-8: {error}") from None
    if not isinstance(content, dict) or content.pop("format", None) != name:
        raise WireError(f'not a {name}: it has no field "format" that says so')
    if (version := _typed(content.pop("version", None), int, "version")) != FORMAT_VERSION:
        raise WireError(f"version {version} of the format: this is version {FORMAT_VERSION}")
    value: T = _read(kinds.type_info(kind), content, "")
    if (written := dump(name, value)) != data:
        raise WireError(f"this {name} is not spelt as it is written: {_differs(text, written)}")
    return value


def _differs(given: str, written: bytes) -> str:
    """Where the text leaves the one spelling: a field twice, in another order, in capitals."""
    pairs = zip_longest(given.split("\n"), written.decode().split("\n"))
    number, (got, expected) = next((n, pair) for n, pair in enumerate(pairs, 1) if len({*pair}) > 1)
    return f"line {number} is {_short(got)}, not {_short(expected)}"


def _read(kind: kinds.Type, value: Any, where: str) -> Any:
    """The value of a type; whatever is left to check, the comparison of the whole file checks."""
    match kind:
        case kinds.StructType():
            return _struct(kind, value, where)
        case kinds.VarTupleType(item_type=item):
            items = enumerate(_typed(value, list, where))
            return tuple(_read(item, each, f"{where}[{index}]") for index, each in items)
        case kinds.DictType(value_type=item):
            table = _typed(value, dict, where)
            return {name: _read(item, each, f"{where}[{name!r}]") for name, each in table.items()}
        case kinds.BytesType():
            return _bytes(value, where)
        case kinds.FloatType() | kinds.BoolType() | kinds.StrType():
            return _typed(value, _ALIKE[type(kind)], where)
        case kinds.IntType():
            return _int(value, where)
        case kinds.LiteralType(values=values):
            if value not in values:
                raise WireError(f"{where}: one of {', '.join(map(str, values))} expected")
            return value
        case _:  # no other types are in a file
            return _one_of(cast("kinds.UnionType", kind).types, value, where)


def _one_of(types: tuple[kinds.Type, ...], value: Any, where: str) -> Any:
    """A gateway's id, a number or a table of them, or something that may be missing."""
    given = [each for each in types if not isinstance(each, kinds.NoneType)]
    if value is None and len(given) < len(types):
        return None
    alike = (each for each in given if _ALIKE.get(type(each)) is type(value))
    return _read(next(alike, given[0]), value, where)


def _struct(kind: kinds.StructType, value: Any, where: str) -> Any:
    what = where or "the file"
    types = {each.name: each.type for each in kind.fields}
    _typed(value, dict, what)
    for name in types:
        if name not in value:
            raise WireError(f"{what} lacks the field {name}")
    for name in value:
        if name not in types:
            raise WireError(f"{what} has a field {_short(name)}: {kind.cls.__name__} knows none")
    inside = f"{where}." if where else ""
    parts = {name: _read(each, value[name], inside + name) for name, each in types.items()}
    try:
        return kind.cls(**parts)
    except ConfigurationError as error:
        raise WireError(f"{what}: {error}") from None


def _bytes(value: Any, where: str) -> bytes:
    try:
        return bytes.fromhex(_typed(value, str, where))
    except ValueError:
        raise WireError(f"{where}: not hexadecimal") from None


def _int(value: Any, where: str) -> int:
    # what fits here has canonical bytes
    if not -(2**63) <= _typed(value, int, where) < 2**64:
        raise WireError(f"{where}: a number of more than 64 bits")
    return int(value)


def _typed(value: Any, kind: type[Any], where: str) -> Any:
    if type(value) is not kind:
        raise WireError(f"{where}: {kind.__name__} expected, not {type(value).__name__}")
    return value


def _short(text: str | None) -> str:
    return (
        "the end of the file"
        if text is None
        else repr(text if len(text) <= 60 else f"{text[:60]}...")
    )
