from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import errors
from secagg.crypto import kdf
from secagg.crypto.labels import Label

VECTOR_FILE = "kdf.json"

# RFC 5869 appendix A.1 to A.3: input keying material, salt, info, output.
RFC5869 = {
    "A.1": (
        b"\x0b" * 22,
        bytes(range(0x0D)),
        bytes(range(0xF0, 0xFA)),
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ),
    "A.2": (
        bytes(range(0x50)),
        bytes(range(0x60, 0xB0)),
        bytes(range(0xB0, 0x100)),
        (
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
            "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
            "cc30c58179ec3e87c14c01d5c1f3434f1d87"
        ),
    ),
    "A.3": (
        b"\x0b" * 22,
        b"",
        b"",
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ),
}


@pytest.mark.parametrize("case", RFC5869)
def test_rfc_5869(case):
    secret, salt, info, expected = RFC5869[case]

    assert expected == kdf._hkdf(secret, salt, info, len(expected) // 2).hex()


def perform(operation):
    label = Label(operation["label"].encode())
    if operation["operation"] == "digest":
        return kdf.digest(label, *map(bytes.fromhex, operation["parts"]))
    return kdf.derive_key(
        bytes.fromhex(operation["secret"]),
        salt=bytes.fromhex(operation["salt"]),
        label=label,
        context=tuple(map(bytes.fromhex, operation["context"])),
        length=operation["length"],
    )


def test_frozen_vector(operation):
    if not operation["success"]:
        with pytest.raises(getattr(errors, operation["error"])):
            perform(operation)
        return

    assert operation["expected"] == perform(operation).hex()


inputs = st.tuples(st.sampled_from(list(Label)), st.lists(st.binary(max_size=9), max_size=4))


@given(inputs, inputs)
def test_digests_differ_exactly_when_label_or_parts_do(one, other):
    same = one == other

    assert same == (kdf.digest(one[0], *one[1]) == kdf.digest(other[0], *other[1]))
    assert kdf.commit(one[0], *one[1]) == kdf.digest(one[0], *one[1])


@pytest.mark.parametrize(
    "change",
    [
        {"salt": b"other"},
        {"label": Label.KDF_SELF},
        {"context": (b"ab",)},
        {"context": (b"b", b"a")},
        {"context": ()},
    ],
)
def test_everything_a_key_is_bound_to_changes_it(change):
    bound = {"salt": b"salt", "label": Label.KDF_PAIR, "context": (b"a", b"b")}

    assert kdf.derive_key(bytes(32), **bound) != kdf.derive_key(bytes(32), **bound | change)
    assert kdf.derive_key(bytes(32), **bound) != kdf.derive_key(bytes(31) + b"\1", **bound)


def test_shorter_keys_are_prefixes():
    long = kdf.derive_key(b"s", salt=b"", label=Label.KDF_EDGE, length=100)

    assert long[:16] == kdf.derive_key(b"s", salt=b"", label=Label.KDF_EDGE, length=16)


@given(st.binary(max_size=40))
def test_one_large_part_is_hashed_like_any_other(part):
    assert kdf.digest(Label.HASH_CHUNK, part) == kdf.digest_of(Label.HASH_CHUNK, memoryview(part))
