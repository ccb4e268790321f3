"""Shares small integers, several to a share, over GF(65521), and proves that a dealing is one.

A secret of N integers, padded with zeros, is written into ell rows of columns = ceil(N / ell)
values each. Each column is a polynomial of degree below R over GF(p), p = 65521, that takes the
column's values at ell slots and uniform values at R - ell anchors; member j holds the row of all
columns' values at x = j + 1. Any R - ell members know nothing, for the anchors make every choice of
the slots' values equally likely; any R open all.

The dealing proof has 8 more columns, uniform at all R places. Once all rows are fixed, a challenge
rho is drawn, and the dealer publishes g_c = r_c + sum over columns of rho[c, col] f_col, at the R
places. A member's row fits if it says the same at the member's point: a row that lies on no such
polynomials does so with probability p^-8, and g_c says nothing about f, since r_c is uniform.

Exactness: entries of both factors of a product are integers in [0, p), so a sum of R <= 2048 terms
is below 2^43, and float64 holds it whatever the order of summation.

Source: Shamir, How to Share a Secret (1979); Franklin and Yung, Communication complexity of secure
computation (1992).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.kdf import labelled
from secagg.crypto.labels import Label
from secagg.crypto.reed_solomon import PRIME, Elements, decode_rows, lagrange, product
from secagg.errors import ConfigurationError, LocalProtocolError, SharingError
from secagg.params import Entropy
from secagg.thresholds import PROOF_COLUMNS

MAX_COMMITTEE: Final = 2048

Row = NDArray[np.uint16]
"""uint16: field elements."""


@dataclass(frozen=True, slots=True)
class Packing:
    """How a secret is shared.

    Attributes:
        members: m, 2 to 2048.
        packed: ell, values in each column, 1 to R - 1.
        threshold: R, rows that open a secret, at most m.

    Raises:
        ConfigurationError: a number out of its range.
    """

    members: int
    packed: int
    threshold: int

    def __post_init__(self) -> None:
        if not 1 <= self.packed < self.threshold <= self.members <= MAX_COMMITTEE:
            raise ConfigurationError(
                f"{self.members} members, {self.packed} values in a share, {self.threshold} shares"
                f" to open: it takes 1 <= values < shares <= members <= {MAX_COMMITTEE}"
            )

    def columns(self, length: int) -> int:
        """Columns of a secret of `length` values."""
        return -(-length // self.packed)

    def row_bytes(self, length: int) -> int:
        """Size of one member's row, proof columns included, at 2 bytes a value."""
        return 2 * (self.columns(length) + PROOF_COLUMNS)

    @property
    def slots(self) -> Elements:
        """Points of the secret values: int64[ell]."""
        return PRIME - 1 - np.arange(self.packed)

    @property
    def places(self) -> Elements:
        """Slots, then anchors: the R points that a polynomial is given by, int64[R]."""
        anchors = self.members + 1 + np.arange(self.threshold - self.packed)
        return np.concatenate([self.slots, anchors])

    @property
    def points(self) -> Elements:
        """Points of the members: int64[m]."""
        return 1 + np.arange(self.members)


class Dealt:
    """One secret's rows, and what the proof is made of.

    Attributes:
        rows: uint16[m, columns + 8], by member.
    """

    def __init__(self, rows: Row, values: Elements) -> None:
        self.rows = rows
        self._values = values

    def prove(self, digest: bytes) -> Row:
        """The proof for the challenge that follows from `digest`: uint16[8, R].

        Args:
            digest: of the sealed rows, fixed before.
        """
        secret, masks = self._values[:, :-PROOF_COLUMNS], self._values[:, -PROOF_COLUMNS:]
        rho = challenge(digest, secret.shape[1]).astype(np.int64)
        return _row((product(rho, secret.T) + masks.T) % PRIME)

    def __repr__(self) -> str:
        return f"Dealt({self.rows.shape[0]} rows)"


def deal(secret: NDArray[np.int64], packing: Packing, rng: Entropy) -> Dealt:
    """Share a secret among all members.

    Args:
        secret: int64[N] of small absolute values; negative ones are taken modulo p.
        packing: m, ell, R.
        rng: source of the anchors' values, then of the proof columns'; about 2 bytes each.
    """
    columns = packing.columns(len(secret))
    slots = np.zeros(packing.packed * columns, np.int64)
    slots[: len(secret)] = secret % PRIME
    hidden = packing.threshold - packing.packed
    anchors = uniform(hidden * columns, rng).reshape(hidden, columns)
    masks = uniform(packing.threshold * PROOF_COLUMNS, rng).reshape(-1, PROOF_COLUMNS)
    values = np.hstack([np.vstack([slots.reshape(packing.packed, columns), anchors]), masks])
    return Dealt(_row(product(_to_members(packing), values)), values)


def challenge(digest: bytes, columns: int) -> Row:
    """rho, uniform in GF(p): uint16[8, columns], an XOF of `digest`."""
    wanted = PROOF_COLUMNS * columns
    seed = labelled(Label.XOF_DEALING, digest)
    # One draw in 4369 is rejected. Four times the mean and 64 more are too few with probability
    # below 2^-200, whatever digest a dealer searches for.
    drawn = hashlib.shake_128(seed).digest(2 * (wanted + wanted // 1024 + 64))
    fitting = _accepted(drawn)[:wanted]
    return _row(fitting).reshape(PROOF_COLUMNS, columns)


def evaluate(proof: Row, packing: Packing) -> Row:
    """A proof at every member's point: uint16[m, 8].

    Args:
        proof: uint16[8, R].
        packing: m, ell, R.
    """
    return _row(product(_to_members(packing), proof.T.astype(np.int64)))


def evaluate_each(proofs: Row, packing: Packing) -> Row:
    """Many proofs at every member's point.

    Args:
        proofs: uint16[k, 8, R].
        packing: m, ell, R.

    Returns:
        uint16[k, m, 8].
    """
    found = np.empty((len(proofs), packing.members, PROOF_COLUMNS), np.uint16)
    for at, proof in enumerate(proofs):
        found[at] = evaluate(proof, packing)
    return found


def check_row(row: Row, digest: bytes, evaluation: Row) -> bool:
    """Whether a member's row lies on the polynomials that its dealer has proved.

    Args:
        row: uint16[columns + 8].
        digest: of the dealing.
        evaluation: uint16[8], the proof at the member's point.
    """
    secret, masks = row[:-PROOF_COLUMNS], row[-PROOF_COLUMNS:]
    if int(row.max()) >= PRIME:
        return False
    rho = challenge(digest, len(secret)).astype(np.int64)
    said = (product(rho, secret.astype(np.int64)[:, np.newaxis])[:, 0] + masks) % PRIME
    return bool(np.array_equal(said, evaluation))


def sum_rows(rows: Row) -> Row:
    """The sum of rows of several dealers without their proof columns: uint16[columns].

    Args:
        rows: uint16[k, columns + 8].
    """
    return _row(rows[:, :-PROOF_COLUMNS].sum(axis=0, dtype=np.int64) % PRIME)


@dataclass(frozen=True, slots=True, repr=False)
class Decoded:
    """What the rows of several members open.

    Attributes:
        secret: int64[N], between -p/2 and p/2.
        liars: positions whose rows lie on no polynomial with the others'.
    """

    secret: NDArray[np.int64]
    liars: tuple[int, ...]


def reconstruct(positions: Sequence[int], sums: Row, packing: Packing, length: int) -> Decoded:
    """Open a secret, or a sum of secrets, correcting up to (k - R) / 2 wrong rows.

    Args:
        positions: of k members, R or more.
        sums: uint16[k, columns], their rows without proof columns.
        packing: m, ell, R.
        length: N.

    Raises:
        LocalProtocolError: positions that repeat or are none.
        SharingError: too few rows, more wrong ones than can be told apart, or values where the
            padding is.
    """
    where = np.array(positions, np.int64)
    if len(np.unique(where)) != len(where) or not ((where >= 0) & (where < packing.members)).all():
        raise LocalProtocolError("positions of rows are distinct, and those of members")
    received = sums.astype(np.int64)
    if received.shape != (len(where), packing.columns(length)) or received.max(initial=0) >= PRIME:
        raise SharingError("not one row of field elements for each position")
    good, base = decode_rows(where + 1, received, packing.threshold)
    opened = product(lagrange(where[base] + 1, packing.slots), received[base])
    values = opened.reshape(-1)
    values[values > PRIME // 2] -= PRIME
    if values[length:].any():
        raise SharingError("values where the padding is")
    return Decoded(values[:length], tuple(int(place) for place in where[~good]))


def uniform(count: int, rng: Entropy) -> Elements:
    """Uniform elements of GF(p), by rejection from 16-bit words: int64[count]."""
    found = _accepted(rng(2 * count))
    while len(found) < count:
        found = np.concatenate([found, _accepted(rng(2 * (count - len(found))))])
    return found


def _row(values: Elements) -> Row:
    row: Row = values.astype(np.uint16)
    return row


def _accepted(drawn: bytes) -> Elements:
    words = np.frombuffer(drawn, "<u2").astype(np.int64)
    return words[words < PRIME]


@lru_cache(maxsize=8)
def _to_members(packing: Packing) -> NDArray[np.float64]:
    """The matrix from values at the R places to those at the members' points: float64[m, R]."""
    return lagrange(packing.places, packing.points).astype(np.float64)
