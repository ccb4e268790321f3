"""Machines of gateways that deal or upload something else: the real clients but for that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from secagg import canonical
from secagg.crypto.labels import Label
from secagg.crypto.packed import deal
from secagg.crypto.reed_solomon import PRIME
from secagg.crypto.shamir import split
from secagg.errors import LocalProtocolError
from secagg.params import RoundParams
from secagg.protocol.messages import Signed
from secagg.protocol.sharing import seal_share
from secagg.schemes.additive.client import AdditiveClient
from secagg.schemes.additive.messages import Dealing
from secagg.schemes.additive.shares import dealing_digest, packing_of
from secagg.schemes.base import Fill, Source, Words
from secagg.schemes.masks.client import MasksClient
from secagg.schemes.masks.messages import ShareKeys

Key = NDArray[np.int64]
Rows = NDArray[np.uint16]
"""uint16[m, columns + 8], by member."""
Pair = tuple[bytes, bytes]
"""A share of the seed and one of the key seed."""
Sealed = tuple[bytes, ...]


def unchanged(value: Any) -> Any:
    """What an honest gateway does."""
    return value


def masks_dealer(
    *,
    secrets: Callable[[Pair], Pair] = unchanged,
    shares: Callable[[Sequence[Pair]], Sequence[Pair]] = unchanged,
) -> type[MasksClient]:
    """A gateway that shares other secrets, or something else than shares, with good commitments.

    Args:
        secrets: from (b, s) to what is shared instead.
        shares: from the shares by neighbour to what is sent, and committed to, instead.
    """

    class Dealer(MasksClient):
        def _deal(self) -> Signed:
            honest = canonical.decode(ShareKeys, super()._deal().body)
            holders = sorted(set(self._keys) - {self._position})
            chosen = secrets((self._reveal("seed"), self._reveal("key_seed")))
            made = split(chosen, self._limits.share_threshold, holders, self._context.rng)
            dealt = shares([(seed_share, key_share) for seed_share, key_share in made])
            dealing = replace(
                honest,
                commitments=tuple(
                    self._commitments(self._position, holder, *pair)
                    for holder, pair in zip(holders, dealt, strict=True)
                ),
                ciphertexts=tuple(map(self._seal, holders, dealt)),
            )
            return Signed.make(self._answer_mac(), Label.MAC_SHARES, dealing)

        def _seal(self, holder: int, pair: Pair) -> bytes:
            return seal_share(
                self._channel(sender=self._position, receiver=holder),
                b"".join(pair),
                session=self.params.session,
                sender=self._position,
                receiver=holder,
            )

    return Dealer


def additive_dealer(
    *,
    key: Callable[[Key], Key] = unchanged,
    rows: Callable[[Rows], Rows] = unchanged,
    sealed: Callable[[Sealed], Sealed] = unchanged,
    said: Callable[[Dealing], Dealing] = unchanged,
) -> type[AdditiveClient]:
    """A gateway that deals another key, other rows than it proves, or says something else at last.

    Args:
        key: from its key to the one that is shared, with a good proof.
        rows: from the rows by member to those that are sealed; the proof is of the first.
        sealed: from the ciphertexts to those that are sent, and hashed into the proof's challenge.
        said: from the whole dealing to the one that is signed.
    """

    class Dealer(AdditiveClient):
        def _deal(self, private: bytes) -> Signed:
            honest = canonical.decode(Dealing, super()._deal(private).body)
            own, channels = self._secret, self._channels
            if own is None or channels is None:
                raise LocalProtocolError("no key was dealt")
            chosen = key(np.frombuffer(own.reveal(), "<i2").astype(np.int64))
            dealt = deal(chosen, packing_of(self._limits), self._context.rng)
            crooked = rows(dealt.rows.copy())
            members = self._keyring.committee - {self._position}
            shares = {
                member: (self._keyring[member].key, crooked[member].astype("<u2").tobytes())
                for member in members
            }
            ciphertexts = sealed(channels.seal(shares, honest.salt))
            self._rows.keep(self._position, dealt.rows[self._position])
            digest = dealing_digest(self._h2, self._position, honest.salt, ciphertexts)
            proof = dealt.prove(digest).astype("<u2").tobytes()
            dealing = said(replace(honest, ciphertexts=ciphertexts, proof=proof))
            return self._sign(Label.SIGN_DEALING, dealing)

    return Dealer


# -- uploads ---------------------------------------------------------------------------------------


def masks_uploader(vector: str, word: int) -> type[MasksClient]:
    """A gateway that masks a number of its choice in the first word of a vector."""

    class Uploader(MasksClient):
        def upload(self, source: Source, model: bytes) -> Iterator[bytearray]:
            return super().upload(_with(source, _index(self.round, vector), word), model)

    return Uploader


def additive_uploader(vector: str, word: int) -> type[AdditiveClient]:
    """A gateway that encrypts a number of its choice in the first word of a vector."""

    class Uploader(AdditiveClient):
        def upload(self, source: Source, model: bytes) -> Iterator[bytearray]:
            return super().upload(_with(source, _index(self.round, vector), word), model)

    return Uploader


def _index(params: RoundParams | None, vector: str) -> int:
    return [spec.name for spec in params.vectors].index(vector) if params is not None else 0


def _with(source: Source, place: int, word: int) -> Source:
    def changed() -> Fill:
        fill = source()

        def put(vector: int, first: int, out: Words) -> None:
            fill(vector, first, out)
            if vector == place and first == 0:
                out[0] = word

        return put

    return changed


# -- rows ------------------------------------------------------------------------------------------


def bumped(count: int) -> Callable[[Rows], Rows]:
    """Another value in one column of the last so many members' rows."""

    def change(rows: Rows) -> Rows:
        wrong = (rows[-count:, 3].astype(np.int64) + 1) % PRIME
        rows[-count:, 3] = wrong.astype(np.uint16)
        return rows

    return change


def random_rows(rows: Rows) -> Rows:
    """Shares of nothing."""
    return np.random.default_rng(3).integers(0, PRIME, rows.shape, np.uint16)


def off_polynomial(rows: Rows) -> Rows:
    """Rows of a polynomial of degree m - 1: any R of them open another key."""
    points = np.arange(1, len(rows) + 1, dtype=np.int64)
    bump = np.ones_like(points)
    for _ in range(len(rows) - 1):
        bump = bump * points % PRIME
    rows[:, 5] = ((rows[:, 5] + bump) % PRIME).astype(np.uint16)
    return rows


def next_ones(rows: Rows) -> Rows:
    """Everybody gets the row of the next member: all on one polynomial, none at its place."""
    return np.roll(rows, 1, axis=0)


def garbled(count: int) -> Callable[[Sealed], Sealed]:
    """The last so many ciphertexts do not open."""
    return lambda sealed: (*sealed[:-count], *(bytes(len(each)) for each in sealed[-count:]))
