from __future__ import annotations

import enum
import math
import struct
import tracemalloc
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from secagg import canonical
from secagg.canonical import bitmap, decode, encode, framed, members, u64
from secagg.errors import ConfigurationError, EncodingError, LocalProtocolError, WireError
from secagg.params import Struct


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Inner(Struct, frozen=True):
    name: str | int
    data: tuple[bytes, ...]


class Sample(Struct, frozen=True):
    number: int
    scale: float
    inner: Inner
    colour: Colour
    flag: bool
    maybe: int | None


class Even(Struct, frozen=True):
    value: int

    def __post_init__(self) -> None:
        if self.value % 2:
            raise ConfigurationError(f"{self.value} is odd")


class Deep(Struct, frozen=True):
    below: Deep | None


class Anything(Struct, frozen=True):
    value: Any


SMALL = Sample(
    number=300,
    scale=0.5,
    inner=Inner(name="gateway", data=(b"", b"\x00\xff")),
    colour=Colour.BLUE,
    flag=True,
    maybe=None,
)
RAW = msgspec.msgpack.encode

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
inners = st.builds(
    Inner,
    name=st.one_of(text, st.integers(-(2**63), 2**64 - 1)),
    data=st.lists(st.binary(max_size=40), max_size=20).map(tuple),
)
samples = st.builds(
    Sample,
    number=st.integers(-(2**63), 2**64 - 1),
    scale=st.floats(allow_nan=False, allow_infinity=False),
    inner=inners,
    colour=st.sampled_from(Colour),
    flag=st.booleans(),
    maybe=st.none() | st.integers(0, 2**64 - 1),
)


@given(samples)
def test_what_is_encoded_decodes_to_itself(value):
    data = encode(value)

    assert value == decode(Sample, data)
    assert value == decode(Sample, memoryview(bytearray(data)))


@given(st.lists(st.tuples(st.binary(max_size=9), st.integers(0, 2**64 - 1)), max_size=9).map(tuple))
def test_tuples_decode_to_themselves(value):
    assert value == decode(tuple[tuple[bytes, int], ...], encode(value))


@given(st.binary(max_size=60))
@example(b"")
@example(encode(SMALL))
def test_bytes_decode_only_if_they_encode_back(data):
    for kind in (Sample, Inner, Even, tuple[int | str, ...]):
        try:
            value = decode(kind, data)
        except WireError:
            continue

        assert data == encode(value)


def test_the_bytes_are_frozen():
    # every transcript hash depends on them: a change is a new protocol version
    expected = "96cd012ccb3fe000000000000092a76761746577617992c400c40200ffa4626c7565c3c0"

    assert expected == encode(SMALL).hex()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x91\xcc\x02", id="non-minimal uint8"),
        pytest.param(b"\x91\xcd\x00\x02", id="non-minimal uint16"),
        pytest.param(b"\x91\xd3" + bytes(7) + b"\x02", id="non-minimal int64"),
        pytest.param(b"\xdc\x00\x01\x02", id="array16 of one"),
        pytest.param(b"\xdd\x00\x00\x00\x01\x02", id="array32 of one"),
        pytest.param(b"\x91\x02\x00", id="trailing byte"),
        pytest.param(b"\x92\x02\x02", id="unknown field"),
        pytest.param(b"\x90", id="missing field"),
        pytest.param(b"\x91\xc3", id="bool for int"),
        pytest.param(b"\x91\xcb" + struct.pack(">d", 2.0), id="float for int"),
        pytest.param(b"\x81\xa5value\x02", id="map for array"),
        pytest.param(b"\x91\x01", id="refused by __post_init__"),
        pytest.param(b"\x91\xc1", id="invalid opcode"),
        pytest.param(b"", id="empty"),
    ],
)
def test_other_spellings_and_types_are_refused(data):
    assert Even(value=2) == decode(Even, b"\x91\x02")
    with pytest.raises(WireError):
        decode(Even, data)


def test_text_that_is_not_utf8_is_refused():
    for bad in (b"\xff", b"\xed\xa0\x80"):
        with pytest.raises(WireError):
            decode(tuple[str, ...], b"\x91" + bytes([0xA0 + len(bad)]) + bad)


@pytest.mark.parametrize(
    "bits",
    ["7ff8000000000000", "7ff0000000000001", "fff8000000000001", "7ff0000000000000"],
)
def test_floats_on_the_wire_are_finite_however_deep(bits):
    number = b"\xcb" + bytes.fromhex(bits)
    with pytest.raises(WireError, match="finite"):
        decode(tuple[tuple[float, ...], ...], b"\x91\x91" + number)
    with pytest.raises(WireError, match="finite"):
        decode(Sample, encode(SMALL).replace(b"\xcb\x3f\xe0" + bytes(6), number))


def test_floats_have_one_width():
    with pytest.raises(WireError, match="canonical"):
        decode(tuple[float, ...], b"\x91\xca\x3f\x00\x00\x00")
    with pytest.raises(WireError, match="canonical"):
        decode(tuple[float, ...], b"\x91\x01")


@pytest.mark.parametrize(
    "value",
    [
        pytest.param((math.nan,), id="nan"),
        pytest.param(((1, (math.inf,)),), id="deep infinity"),
        pytest.param((2**64,), id="65 bits"),
        pytest.param(("\ud800",), id="lone surrogate"),
        pytest.param(({1: 2},), id="mapping"),
        pytest.param((frozenset({1}),), id="set"),
        pytest.param((bytearray(b"x"),), id="bytearray"),
        pytest.param((np.int64(1),), id="numpy integer"),
        pytest.param((np.float64(1),), id="numpy float"),
        pytest.param(SMALL.inner, id="struct in the wrong field"),
    ],
)
def test_values_without_canonical_bytes_are_refused(value):
    if isinstance(value, Inner):
        value = Sample(**{**msgspec.structs.asdict(SMALL), "maybe": value})
    with pytest.raises(EncodingError):
        encode(value)


def test_an_int_in_a_float_field_is_refused_before_a_peer_refuses_it():
    with pytest.raises(EncodingError, match="declared type"):
        encode(Sample(**{**msgspec.structs.asdict(SMALL), "scale": 1}))


def test_claimed_lengths_allocate_nothing():
    claims = [b"\x91\xdd\x7f\xff\xff\xff", b"\xdd\x7f\xff\xff\xff\x01", b"\xdb\x7f\xff\xff\xff"]
    claims += [b"\x91\xc6\x7f\xff\xff\xff", b"\x91" * 4000, b"\xdc\xff\xff" * 4000]
    kinds = (tuple[int, ...], tuple[bytes, ...], tuple[tuple[int, ...], ...], str, Deep, Anything)
    tracemalloc.start()
    for kind in kinds:
        for data in claims:
            with pytest.raises(WireError):
                decode(kind, data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 2**20


@given(st.integers(0, 200).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n)))))
def test_bitmaps_hold_sets(case):
    n, chosen = case[0] + 1, case[1]
    data = bitmap(chosen, n)

    assert (n + 7) // 8 == len(data)
    assert chosen == members(data, n)
    assert all(bool(data[i // 8] >> i % 8 & 1) == (i in chosen) for i in range(n))


@given(st.binary(max_size=4), st.integers(0, 40))
def test_bytes_are_a_set_only_if_the_set_gives_them_back(data, n):
    try:
        chosen = members(data, n)
    except WireError:
        legal = len(data) == (n + 7) // 8 and not int.from_bytes(data, "little") >> n

        assert not legal
        return

    assert data == bitmap(chosen, n)


@pytest.mark.parametrize("member", [-1, 9, 64])
def test_a_member_outside_is_local_misuse(member):
    with pytest.raises(LocalProtocolError):
        bitmap([0, member], 9)


@pytest.mark.parametrize(
    ("data", "n"),
    [(b"", 1), (b"\x00", 0), (b"\x00\x00", 8), (b"\x00", 9), (b"\x02", 1), (b"\x00\x80", 15)],
)
def test_malformed_sets_are_refused(data, n):
    with pytest.raises(WireError):
        members(data, n)


def test_u64():
    assert u64(258).hex() == "0000000000000102"
    assert u64(2**64 - 1) == b"\xff" * 8
    for outside in (-1, 2**64):
        with pytest.raises(EncodingError):
            u64(outside)


@given(*(st.lists(st.binary(max_size=9), max_size=4) for _ in "ab"))
@example([b"ab", b"c"], [b"a", b"bc"])
@example([b""], [])
def test_framed_is_injective(a, b):
    assert (a == b) == (framed(*a) == framed(*b))


def test_framed_layout():
    assert bytes(7) + b"\x02hi" + bytes(8) == framed(b"hi", b"")


class Names(Struct, frozen=True):
    """Types that leave nothing to look for by hand: no floats."""

    names: tuple[str, ...]
    pair: tuple[int, bytes] | None = None


@pytest.mark.parametrize(
    "names",
    [frozenset({"a", "b"}), {"a": 1}, ("a", 1), (math.nan,)],
    ids=["set", "mapping", "another type", "nan"],
)
def test_without_floats_in_the_types_the_same_values_are_refused(names):
    with pytest.raises(EncodingError):
        encode(Names(names=names))


@pytest.mark.parametrize("pair", [(2.0, b""), (True, b""), (1, "text")])
def test_without_floats_in_the_types_other_types_are_refused(pair):
    with pytest.raises(EncodingError, match="declared type"):
        encode(Names(names=(), pair=pair))


class Numbers(Struct, frozen=True):
    """A float in every place that a type may have one."""

    names: tuple[str, ...] = ()
    plain: float = 0.5
    pair: tuple[int, float] = (1, 0.5)
    many: tuple[tuple[float, bytes], ...] = ((0.5, b""), (0.5, b""))
    maybe: float | None = None
    inner: tuple[Sample, ...] = (SMALL,)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 1, "x"])
@pytest.mark.parametrize(
    "fields",
    [
        lambda x: {"plain": x},
        lambda x: {"pair": (1, x)},
        lambda x: {"many": ((0.5, b""), (x, b""))},
        lambda x: {"maybe": x},
        lambda x: {"inner": (SMALL, msgspec.structs.replace(SMALL, scale=x))},
    ],
)
def test_floats_are_found_wherever_a_type_has_them(fields, number):
    with pytest.raises(EncodingError):
        encode(Numbers(**fields(number)))
    if isinstance(number, float):
        with pytest.raises(WireError, match="finite"):
            decode(Numbers, RAW(Numbers(**fields(number))))


def test_only_float_fields_are_visited(monkeypatch):
    seen = []
    monkeypatch.setattr(canonical, "_fault", lambda value: seen.append(value) or "")
    canonical._floats.cache_clear()
    value = Inner(name="gateway", data=(bytes(9),) * 1000)
    decode(Sample, encode(msgspec.structs.replace(SMALL, inner=value)))
    canonical._floats.cache_clear()

    assert [0.5, 0.5] == seen


def test_a_list_in_a_tuples_place_has_the_tuples_bytes():
    assert encode(Names(names=("a", "b"), pair=(1, b""))) == encode(
        Names(names=["a", "b"], pair=(1, b""))
    )
