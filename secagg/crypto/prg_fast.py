"""Generates the words of `prg` at memory speed, by one of two modes of AES.

With C = the blocks g, g+1, ... (public counters) both modes give AES_k(g) xor (g + 1):
counter mode encrypts g+1, g+2, ... from nonce g; cipher feedback *decryption* of C computes
AES_k(C[i-1]) xor C[i], independent for all i, which OpenSSL runs on 512-bit vectors where it and
the CPU have them, and block by block, ten times slower, elsewhere: the speed of the machine at hand
decides. CFB counts as decrepit for what it does to messages; here it sees public counters only,
and its output is that of `prg`, so the argument there covers it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from enum import Enum, unique
from functools import cache
from typing import Any, Final

import numpy as np
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from numpy.typing import NDArray

from secagg.crypto.prg import BLOCK_BYTES, STREAM_KEY_BYTES, WORDS_PER_BLOCK
from secagg.errors import ConfigurationError, LocalProtocolError
from secagg.workers import CLOCK, SERIAL, Workers

CHUNK_WORDS: Final = 32768
"""256 KiB: fits a second-level cache; below 128 KiB two threads stop scaling. Not on the wire."""

_MAX_WORD: Final = WORDS_PER_BLOCK << 128
_LOW: Final = 1 << 64
_PROBES: Final = 5
# SHA-256 of two full chunks under key 00..0f, from words 2^65 - 16384 (the carry into the upper
# half lies in the middle) and 0; made with `prg.keystream`, and the tests make it again.
_ANSWER: Final = "2803467189d88110cdf9bf36c50c433cb3851daa6d91ef1ea1c61422d4eb103b"


@unique
class Engine(Enum):
    """A mode of AES that gives the words of `prg`; the choice is invisible to peers."""

    CTR = "ctr"
    CFB = "cfb"


class Keystream:
    """One thread's generator: buffers that are reused for every key and every position.

    Holds 20 bytes for each word of `capacity`.

    Args:
        engine: mode of AES, `default_engine()` when None.
        capacity: largest number of words that `chunk` is asked for.

    Raises:
        ConfigurationError: this build of cryptography lacks the engine.
    """

    __slots__ = (
        "_capacity", "_counters", "_input", "_mode", "_nonce", "_offsets", "_output", "_upper",
        "_words", "engine",
    )  # fmt: skip

    def __init__(self, engine: Engine | None = None, *, capacity: int = CHUNK_WORDS) -> None:
        self.engine: Final = engine or default_engine()
        self._mode = _mode(self.engine)
        self._capacity = capacity
        blocks = 1 - (-capacity // WORDS_PER_BLOCK)
        self._offsets = np.arange(blocks, dtype=np.uint64)
        self._counters = np.empty((blocks, WORDS_PER_BLOCK), ">u8")
        # One block of slack: update_into wants room for a partial block after the last one.
        self._words = np.empty((blocks + 1) * WORDS_PER_BLOCK, "<u8")
        self._input = self._counters.data.cast("B")
        self._output = self._words.data.cast("B")
        self._upper = (-1, -1)
        self.seek(0)

    def open(self, key: bytes) -> CipherContext:
        """A cipher handle for `chunk`; keys are expanded here, once.

        Args:
            key: 16 bytes.

        Raises:
            LocalProtocolError: `key` has another size.
            ConfigurationError: this build of cryptography lacks the engine.
        """
        if len(key) != STREAM_KEY_BYTES:
            raise LocalProtocolError(
                f"mask key of {len(key)} bytes: AES-128 takes {STREAM_KEY_BYTES}"
            )
        cipher = Cipher(algorithms.AES128(key), self._mode)
        try:
            return cipher.encryptor() if self.engine is Engine.CTR else cipher.decryptor()
        except UnsupportedAlgorithm:
            raise ConfigurationError(f"no {self.engine} in this build: use Engine.CTR") from None

    def seek(self, first_word: int) -> None:
        """Sets where the next chunks start, for every handle.

        Args:
            first_word: even, 0 to 2^129 - 2.

        Raises:
            LocalProtocolError: odd or out of range.
        """
        if first_word % WORDS_PER_BLOCK or not 0 <= first_word < _MAX_WORD:
            raise LocalProtocolError(f"first word is {first_word}: masks start at even words")
        block = first_word // WORDS_PER_BLOCK
        self._nonce = block.to_bytes(BLOCK_BYTES, "big")
        high, low = divmod(block, _LOW)
        np.add(self._offsets, np.uint64(low), out=self._counters[:, 1])  # wraps, as it should
        upper = (high, min(_LOW - low, len(self._offsets)))
        if upper != self._upper:
            self._counters[:, 0] = high
            self._counters[upper[1] :, 0] = (high + 1) % _LOW
            self._upper = upper

    def chunk(self, handle: CipherContext, words: int) -> NDArray[np.uint64]:
        """The words of one key from the position of the last `seek`.

        Args:
            handle: from `open` of this object.
            words: 0 to `capacity`.

        Returns:
            uint64[words], a view that the next call overwrites.

        Raises:
            LocalProtocolError: `words` is out of range.
        """
        if not 0 <= words <= self._capacity:
            raise LocalProtocolError(f"chunk of {words} words: 0 to {self._capacity} fit")
        end = BLOCK_BYTES - (-words // WORDS_PER_BLOCK) * BLOCK_BYTES
        if self.engine is Engine.CTR:
            handle.reset_nonce(self._nonce)
            handle.update_into(self._input[BLOCK_BYTES:end], self._output)
            return self._words[:words]
        handle.update_into(self._input[:end], self._output)
        return self._words[WORDS_PER_BLOCK : WORDS_PER_BLOCK + words]


class MaskAdder:
    """Adds the masks of fixed keys to a vector that arrives in pieces; buffers and ciphers stay.

    Args:
        keys: (sign, key) pairs: sign +1 adds the stream of the 16-byte key, -1 subtracts it.
        engine: mode of AES, `default_engine()` when None.
        capacity: words handled at a time; less saves memory for short vectors.

    Raises:
        LocalProtocolError: a sign is neither +1 nor -1, a key is not of 16 bytes, or no capacity.
    """

    __slots__ = ("_capacity", "_keystream", "_steps")

    def __init__(
        self,
        keys: Sequence[tuple[int, bytes]],
        engine: Engine | None = None,
        *,
        capacity: int = CHUNK_WORDS,
    ) -> None:
        if capacity < WORDS_PER_BLOCK or capacity % WORDS_PER_BLOCK:
            raise LocalProtocolError(f"capacity is {capacity}: use an even number of words")
        self._capacity = capacity
        self._keystream = Keystream(engine, capacity=capacity)
        self._steps = [(_operation(sign), self._keystream.open(key)) for sign, key in keys]

    def add(self, words: NDArray[np.uint64], first_word: int) -> None:
        """Adds sum of sign * PRG(key)[first_word : first_word + len(words)] mod 2^64, in place.

        Args:
            words: uint64[m], any m; writable.
            first_word: where `words` lies in its vector; even.

        Raises:
            LocalProtocolError: another dtype or dimension, or an odd or negative `first_word`.
        """
        _check_words(words)
        for start in range(0, len(words), self._capacity):
            part = words[start : start + self._capacity]
            self._keystream.seek(first_word + start)
            for operation, handle in self._steps:
                operation(part, self._keystream.chunk(handle, len(part)), out=part)


class SharedMasks:
    """Adds the masks of fixed keys to vectors, each shared among threads that open a cipher once.

    Every chunk is read and written once, whatever the number of keys; memory is O(chunk) a thread.

    Args:
        keys: as of `MaskAdder`.
        longest: words of the longest vector.
        engine: mode of AES, `default_engine()` when None.
        workers: threads to share the chunks.

    Raises (here and by `add`):
        LocalProtocolError: as for `MaskAdder`.
    """

    __slots__ = ("_adders", "_capacity", "_engine", "_keys", "_workers")

    def __init__(
        self,
        keys: Sequence[tuple[int, bytes]],
        longest: int,
        *,
        engine: Engine | None = None,
        workers: Workers = SERIAL,
    ) -> None:
        self._capacity = min(CHUNK_WORDS, longest + longest % WORDS_PER_BLOCK) or WORDS_PER_BLOCK
        self._keys, self._engine, self._workers = keys, engine, workers
        self._adders: dict[int, MaskAdder] = {}

    def add(self, words: NDArray[np.uint64], first_word: int) -> None:
        """Adds sum of sign * PRG(key)[first_word : first_word + len(words)] mod 2^64, in place.

        Args:
            words: uint64[m], any m; writable.
            first_word: where `words` lies in its vector; even.
        """
        _check_words(words)
        chunks = -(-len(words) // self._capacity)
        share = -(-chunks // self._workers.threads) or 1

        def work(first: int, last: int) -> None:
            for thread in range(first, last):
                if (adder := self._adders.get(thread)) is None:
                    adder = MaskAdder(self._keys, self._engine, capacity=self._capacity)
                    self._adders[thread] = adder
                start = thread * share * self._capacity
                adder.add(words[start : start + share * self._capacity], first_word + start)

        self._workers.run(work, -(-chunks // share))


def add_masks(
    words: NDArray[np.uint64],
    first_word: int,
    keys: Sequence[tuple[int, bytes]],
    *,
    engine: Engine | None = None,
    workers: Workers = SERIAL,
) -> None:
    """`SharedMasks` for one vector."""
    SharedMasks(keys, len(words), engine=engine, workers=workers).add(words, first_word)


@cache
def default_engine(clock: Callable[[], float] = CLOCK) -> Engine:
    """`choose_engine`, once a process.

    Raises:
        ConfigurationError: no engine passes its known-answer test.
    """
    return choose_engine(clock)


def choose_engine(clock: Callable[[], float]) -> Engine:
    """The fastest engine here, of those that pass their known-answer test; takes a millisecond.

    Args:
        clock: seconds from any origin, such as `time.perf_counter`.

    Raises:
        ConfigurationError: no engine passes.
    """
    engines = _working_engines()
    best = dict.fromkeys(engines, float("inf"))
    streams = {engine: Keystream(engine) for engine in engines}
    handles = {engine: streams[engine].open(bytes(STREAM_KEY_BYTES)) for engine in engines}
    for _ in range(_PROBES):
        for engine in engines:
            start = clock()
            streams[engine].chunk(handles[engine], CHUNK_WORDS)
            best[engine] = min(best[engine], clock() - start)
    return min(engines, key=best.__getitem__)


def check_engine(engine: Engine) -> None:
    """Known-answer test on full chunks, so that the code paths for long inputs are in it.

    Raises:
        ConfigurationError: the engine is missing or gives other words than `prg`.
    """
    keystream = Keystream(engine)
    handle = keystream.open(bytes(range(STREAM_KEY_BYTES)))
    answer = hashlib.sha256()
    for first_word in (WORDS_PER_BLOCK * _LOW - CHUNK_WORDS // 2, 0):
        keystream.seek(first_word)
        answer.update(keystream.chunk(handle, CHUNK_WORDS).data)
    if answer.hexdigest() != _ANSWER:
        raise ConfigurationError(f"{engine} fails its known-answer test: use another engine")


def _working_engines() -> list[Engine]:
    working: list[Engine] = []
    faults: list[str] = []
    for engine in (Engine.CFB, Engine.CTR):
        try:
            check_engine(engine)
            working.append(engine)
        except ConfigurationError as error:
            faults.append(str(error))
    if not working:
        raise ConfigurationError("; ".join(faults))
    return working


@cache
def _mode(engine: Engine) -> Any:
    # The IV is never used: counter mode is given a nonce by `chunk`, and the first block of cipher
    # feedback, the only one that depends on what came before, is dropped there.
    unused = bytes(BLOCK_BYTES)
    if engine is Engine.CTR:
        return modes.CTR(unused)
    try:
        from cryptography.hazmat.decrepit.ciphers.modes import CFB  # since 47.0

        return CFB(unused)
    except ImportError:
        raise ConfigurationError("no CFB mode in this build: use Engine.CTR") from None


def _operation(sign: int) -> np.ufunc:
    if sign not in {1, -1}:
        raise LocalProtocolError(f"sign of a mask is {sign}: use +1 or -1")
    return np.add if sign == 1 else np.subtract


def _check_words(words: NDArray[np.uint64]) -> None:
    if words.dtype != np.uint64 or words.ndim != 1:
        raise LocalProtocolError(f"words are {words.dtype}, {words.ndim}-d: use 1-d uint64")
