from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers import Cipher
from hypothesis import given
from hypothesis import strategies as st

from secagg import errors
from secagg.crypto import prg, prg_fast
from secagg.crypto.prg_fast import CHUNK_WORDS, Engine, Keystream, MaskAdder, SharedMasks, add_masks
from secagg.workers import Workers

VECTOR_FILE = "prg.json"
ENGINES = list(Engine)
KEY = bytes(range(16))
OTHER = bytes(range(16, 32))
CARRY = 2**65
"""First word whose block index needs the upper 64 bits."""

# FIPS 197 C.1, then NIST SP 800-38A F.1.1 (ECB) and F.5.1 (input and output blocks of CTR).
SP800_38A_KEY = "2b7e151628aed2a6abf7158809cf4f3c"
AES_BLOCKS = [
    (
        "000102030405060708090a0b0c0d0e0f",
        "00112233445566778899aabbccddeeff",
        "69c4e0d86a7b0430d8cdb78070b4c55a",
    ),
    (SP800_38A_KEY, "6bc1bee22e409f96e93d7e117393172a", "3ad77bb40d7a3660a89ecaf32466ef97"),
    (SP800_38A_KEY, "ae2d8a571e03ac9c9eb76fac45af8e51", "f5d3d58503b9699de785895a96fdbaaf"),
    (SP800_38A_KEY, "30c81c46a35ce411e5fbc1191a0a52ef", "43b1cd7f598ece23881b00e3ed030688"),
    (SP800_38A_KEY, "f69f2445df4f9b17ad2b417be66c3710", "7b0c785e27e8ad3f8223207104725dd4"),
    (SP800_38A_KEY, "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", "ec8cdf7398607cb0f2d21675ea9ea1e4"),
    (SP800_38A_KEY, "f0f1f2f3f4f5f6f7f8f9fafbfcfdff00", "362b7c3c6773516318a077d7fc5073ae"),
    (SP800_38A_KEY, "f0f1f2f3f4f5f6f7f8f9fafbfcfdff01", "6a2cc3787889374fbeb4c81b17ba6c44"),
    (SP800_38A_KEY, "f0f1f2f3f4f5f6f7f8f9fafbfcfdff02", "e89c399ff0f198c6d40a31db156cabfe"),
]


def fast(engine, key, first_word, words, capacity=CHUNK_WORDS):
    keystream = Keystream(engine, capacity=capacity)
    handle = keystream.open(key)
    keystream.seek(first_word)
    return keystream.chunk(handle, words).copy()


def aes_of(words, index):
    """AES_k(index) from the two words of its block."""
    masked = int.from_bytes(words.astype("<u8").tobytes(), "big")
    return (masked ^ (index + 1) % 2**128).to_bytes(16, "big").hex()


@pytest.mark.parametrize("engine", ENGINES)
def test_frozen_vector(operation, engine):
    key = bytes.fromhex(operation["key"])
    arguments = (engine, key, int(operation["first_word"]), operation["words"])
    if not operation["success"]:
        with pytest.raises(getattr(errors, operation["error"])):
            fast(*arguments)
        return
    expected = np.frombuffer(bytes.fromhex(operation["expected"]), "<u8")

    np.testing.assert_array_equal(expected, fast(*arguments))
    np.testing.assert_array_equal(expected, prg.keystream(*arguments[1:]))


@pytest.mark.parametrize(("key", "block", "expected"), AES_BLOCKS)
def test_aes_known_answers(key, block, expected):
    index = int(block, 16)
    streams = [fast(engine, bytes.fromhex(key), 2 * index, 2) for engine in ENGINES]
    streams.append(prg.keystream(bytes.fromhex(key), 2 * index, 2))

    assert [expected] * 3 == [aes_of(words, index) for words in streams]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "first_word",
    [
        *(0, 2, 4, 126, CHUNK_WORDS - 2, CHUNK_WORDS, 2**32 - 2, 2**33 - 2, 2**33, 2**34 + 6),
        *(CARRY - 40, CARRY - 2, CARRY, CARRY + 2, 2**97 - 4, 2**129 - 6),
    ],
)
@pytest.mark.parametrize("words", [0, 1, 2, 3, 17, 64])
def test_fast_is_reference_at_every_alignment(engine, first_word, words):
    expected = prg.keystream(KEY, first_word, words)

    np.testing.assert_array_equal(expected, fast(engine, KEY, first_word, words))


@pytest.mark.parametrize("engine", ENGINES)
def test_fast_is_reference_on_a_full_chunk_across_the_carry(engine):
    first_word = CARRY - CHUNK_WORDS // 2 + 6
    expected = prg.keystream(OTHER, first_word, CHUNK_WORDS)

    np.testing.assert_array_equal(expected, fast(engine, OTHER, first_word, CHUNK_WORDS))


@pytest.mark.parametrize("first_word", [0, 1, 5])
def test_reference_starts_at_any_word(first_word):
    expected = prg.keystream(KEY, 0, 20)[first_word : first_word + 9]

    np.testing.assert_array_equal(expected, prg.keystream(KEY, first_word, 9))


@pytest.mark.parametrize("engine", ENGINES)
@given(
    moves=st.lists(
        st.tuples(
            st.sampled_from([0, 2**33, CARRY - 64, CARRY, 2**100]),
            st.integers(0, 64),
            st.integers(0, 65),
            st.booleans(),
        ),
        max_size=8,
    )
)
def test_reused_buffers_never_remember(engine, moves):
    keystream = Keystream(engine, capacity=65)
    handles = [keystream.open(KEY), keystream.open(OTHER)]
    for base, blocks, words, which in moves:
        first_word = base + 2 * blocks
        keystream.seek(first_word)
        expected = prg.keystream((KEY, OTHER)[which], first_word, words)

        np.testing.assert_array_equal(expected, keystream.chunk(handles[which], words))


@pytest.mark.parametrize("engine", ENGINES)
def test_chunk_is_a_view_until_the_next_call(engine):
    keystream = Keystream(engine, capacity=8)
    handle = keystream.open(KEY)
    first = keystream.chunk(handle, 8)
    kept = first.copy()
    keystream.seek(8)
    keystream.chunk(handle, 8)

    assert not np.array_equal(kept, first)
    np.testing.assert_array_equal(kept, fast(engine, KEY, 0, 8))


def masks(words, first_word, keys):
    total = np.zeros(words, np.uint64)
    for sign, key in keys:
        stream = prg.keystream(key, first_word, words)
        total = total + stream if sign > 0 else total - stream
    return total


KEYS = [(1, KEY), (-1, OTHER), (1, bytes(16))]


@pytest.mark.parametrize("engine", [None, *ENGINES])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("words", [0, 1, 2, 7, CHUNK_WORDS - 1, CHUNK_WORDS + 1, 3 * CHUNK_WORDS])
def test_add_masks_is_sum_of_references(engine, threads, words, monkeypatch):
    prg_fast.default_engine()  # its known-answer test wants chunks of full size
    monkeypatch.setattr(prg_fast, "CHUNK_WORDS", 1024)  # the reference is slow
    words = words * 1024 // CHUNK_WORDS if words > 7 else words
    start = np.random.default_rng(1).integers(0, 2**64, words, np.uint64)
    actual = start.copy()
    with Workers(threads) as workers:
        add_masks(actual, 2**33 - 4, KEYS, engine=engine, workers=workers)

    np.testing.assert_array_equal(start + masks(words, 2**33 - 4, KEYS), actual)


@given(
    cuts=st.lists(st.integers(0, 100), max_size=6),
    base=st.sampled_from([0, 2**33 - 20, CARRY - 40]),
    engine=st.sampled_from(ENGINES),
    capacity=st.sampled_from([2, 4, 30, 64]),
)
def test_any_cutting_gives_the_same_words(cuts, base, engine, capacity):
    actual = np.zeros(203, np.uint64)
    adder = MaskAdder(KEYS, engine, capacity=capacity)
    edges = [0, *sorted(2 * cut for cut in cuts), 203]
    for first, last in pairwise(edges):
        adder.add(actual[first:last], base + first)

    np.testing.assert_array_equal(masks(203, base, KEYS), actual)


@given(st.lists(st.binary(min_size=16, max_size=16), max_size=4), st.integers(0, 2**62))
def test_opposite_signs_cancel(keys, block):
    start = np.arange(33, dtype=np.uint64) - np.uint64(5)
    actual = start.copy()
    add_masks(actual, 2 * block, [(1, key) for key in keys])
    add_masks(actual, 2 * block, [(-1, key) for key in reversed(keys)])

    np.testing.assert_array_equal(start, actual)


def test_no_keys_change_nothing():
    actual = np.arange(5, dtype=np.uint64)
    add_masks(actual, 0, [])

    np.testing.assert_array_equal(np.arange(5), actual)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_several_vectors_take_one_cipher_a_key_and_thread(threads, monkeypatch):
    opened, real = [], Keystream.open
    monkeypatch.setattr(Keystream, "open", lambda self, key: opened.append(key) or real(self, key))
    long, short = np.zeros(9 * CHUNK_WORDS + 5, np.uint64), np.zeros(2, np.uint64)
    with Workers(threads) as workers:
        masks = SharedMasks(KEYS, len(long), workers=workers)
        masks.add(short, 8)
        masks.add(long, 0)

    expected = np.zeros_like(long)
    MaskAdder(KEYS).add(expected, 0)
    np.testing.assert_array_equal(expected, long)
    np.testing.assert_array_equal(expected[8:10], short)
    assert len(opened) == len(KEYS) * (threads + 1)  # and once here


MISUSE = {
    "odd first word": lambda: add_masks(np.zeros(2, np.uint64), 1, KEYS),
    "negative first word": lambda: add_masks(np.zeros(2, np.uint64), -2, KEYS),
    "first word too large": lambda: add_masks(np.zeros(2, np.uint64), 2**129, KEYS),
    "signed words": lambda: add_masks(np.zeros(2, np.int64), 0, KEYS),
    "float words": lambda: MaskAdder(KEYS).add(np.zeros(2), 0),
    "words in a matrix": lambda: MaskAdder(KEYS).add(np.zeros((2, 2), np.uint64), 0),
    "sign zero": lambda: MaskAdder([(0, KEY)]),
    "sign two": lambda: MaskAdder([(2, KEY)]),
    "short key": lambda: MaskAdder([(1, KEY[:15])]),
    "AES-256 key": lambda: MaskAdder([(1, KEY + OTHER)]),
    "no capacity": lambda: MaskAdder(KEYS, capacity=0),
    "odd capacity": lambda: MaskAdder(KEYS, capacity=3),
    "chunk beyond capacity": lambda: fast(Engine.CTR, KEY, 0, 9, capacity=8),
    "negative chunk": lambda: fast(Engine.CFB, KEY, 0, -1, capacity=8),
}


@pytest.mark.parametrize("case", MISUSE)
def test_misuse(case):
    with pytest.raises(errors.LocalProtocolError):
        MISUSE[case]()


@pytest.mark.parametrize("engine", ENGINES)
def test_memory_is_a_few_chunks_whatever_the_vector(engine):
    words = np.zeros(20 * CHUNK_WORDS, np.uint64)
    add_masks(words[:2], 0, KEYS, engine=engine)
    tracemalloc.start()
    add_masks(words, 0, KEYS * 5, engine=engine)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 3 * 8 * CHUNK_WORDS


@pytest.fixture
def fresh_default():
    for known in (prg_fast.default_engine, prg_fast._mode):
        known.cache_clear()
    yield
    for known in (prg_fast.default_engine, prg_fast._mode):
        known.cache_clear()


def test_known_answer_is_that_of_the_reference():
    answer = hashlib.sha256()
    for first_word in (CARRY - CHUNK_WORDS // 2, 0):
        answer.update(prg.keystream(KEY, first_word, CHUNK_WORDS).astype("<u8").tobytes())

    assert answer.hexdigest() == prg_fast._ANSWER


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_pass_their_known_answer_test(engine):
    prg_fast.check_engine(engine)


@pytest.mark.parametrize(("costs", "expected"), [((2, 1), Engine.CTR), ((1, 2), Engine.CFB)])
def test_the_default_is_the_faster_engine_and_is_measured_once(fresh_default, costs, expected):
    clock = iter([t for _ in range(5) for cost in costs for t in (0, cost)]).__next__

    assert expected is prg_fast.default_engine(clock)
    assert expected is prg_fast.default_engine(clock)


SLOW_BY_FAR = """
from time import process_time
from secagg.crypto import prg_fast
default, least = prg_fast.default_engine(), {}
for engine in prg_fast._working_engines():
    stream = prg_fast.Keystream(engine)
    handle = stream.open(bytes(16))
    for _ in range(20):
        start = process_time()
        stream.chunk(handle, prg_fast.CHUNK_WORDS)
        least[engine] = min(process_time() - start, least.get(engine, 1e9))
print(least[default] > 3 * min(least.values()))
"""


@pytest.mark.parametrize("hidden", ["", ":~0x20000010000"], ids=["all", "without AVX-512, VAES"])
def test_the_default_is_not_the_engine_that_is_slower_by_far(hidden):
    # without these features CFB takes twelve times as long as CTR; where engines are alike, or the
    # variable says nothing, either passes
    environment = os.environ | ({"OPENSSL_ia32cap": hidden} if hidden else {})
    printed = subprocess.run(
        [sys.executable, "-c", SLOW_BY_FAR],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert printed.strip() == "False"


def test_build_without_cfb_falls_back_to_ctr(fresh_default, monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.decrepit.ciphers.modes", None)

    assert prg_fast.default_engine() is Engine.CTR
    with pytest.raises(errors.ConfigurationError, match=r"Engine\.CTR"):
        MaskAdder(KEYS, Engine.CFB)


def test_a_library_that_knows_cfb_and_lacks_it_falls_back_to_ctr(fresh_default, monkeypatch):
    def unsupported(_cipher):
        raise UnsupportedAlgorithm("not in this OpenSSL")

    monkeypatch.setattr(Cipher, "decryptor", unsupported)

    assert prg_fast.default_engine() is Engine.CTR


def break_engine(monkeypatch, broken):
    real = Keystream.chunk

    def chunk(self, handle, words):
        result = real(self, handle, words)
        if self.engine in broken:
            result[-1] ^= np.uint64(1)
        return result

    monkeypatch.setattr(Keystream, "chunk", chunk)


def test_wrong_engine_is_never_chosen(fresh_default, monkeypatch):
    break_engine(monkeypatch, {Engine.CFB})

    with pytest.raises(errors.ConfigurationError, match="known-answer"):
        prg_fast.check_engine(Engine.CFB)
    assert prg_fast.default_engine() is Engine.CTR
    assert prg_fast.choose_engine(iter(range(100)).__next__) is Engine.CTR


def test_no_right_engine_is_an_error(fresh_default, monkeypatch):
    break_engine(monkeypatch, set(Engine))

    with pytest.raises(errors.ConfigurationError, match=r"CFB.*CTR"):
        prg_fast.default_engine()


@pytest.mark.parametrize(("costs", "expected"), [((2, 1), Engine.CTR), ((1, 2), Engine.CFB)])
def test_probe_takes_the_faster_engine(costs, expected):
    readings = [t for _ in range(5) for cost in costs for t in (0, cost)]

    assert expected is prg_fast.choose_engine(iter(readings).__next__)


def test_probe_takes_the_best_of_several_readings():
    one_good_reading = [0, 9, 0, 2, 0, 1, 0, 2] + [0, 9, 0, 2] * 3

    assert prg_fast.choose_engine(iter(one_good_reading).__next__) is Engine.CFB
