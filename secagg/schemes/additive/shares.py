"""Seals, opens and keeps shares of a key, bound to one round and one transcript."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from secagg.canonical import u64
from secagg.crypto.agreement import agree_each
from secagg.crypto.kdf import derive_key, digest
from secagg.crypto.labels import Label
from secagg.crypto.packed import Packing, Row, check_row, sum_rows
from secagg.crypto.secret import Secret
from secagg.errors import SealError
from secagg.params import SessionParams, Thresholds
from secagg.protocol.prekeys import Prekey
from secagg.protocol.sharing import open_share, seal_share
from secagg.schemes.additive.messages import DealtShare
from secagg.thresholds import PROOF_COLUMNS, SEAL_BYTES

SALT_BYTES: Final = 32


def packing_of(thresholds: Thresholds) -> Packing:
    """m, ell and R as the sharing takes them."""
    return Packing(
        members=thresholds.committee,
        packed=thresholds.packed,
        threshold=thresholds.share_threshold,
    )


def sealed_bytes(packing: Packing, coefficients: int) -> int:
    """Size of one sealed share of a key."""
    return packing.row_bytes(coefficients) + SEAL_BYTES


def dealing_digest(h2: bytes, dealer: int, salt: bytes, ciphertexts: Sequence[bytes]) -> bytes:
    """What the challenge of a dealing proof follows from: all shares, fixed before it.

    A ciphertext commits to its share: its key follows from two signed prekeys, and under one key
    AES-GCM opens a ciphertext to one plaintext only.

    Args:
        h2: transcript of prekeys and P.
        dealer: position.
        salt: of the dealing.
        ciphertexts: sealed shares, by other member in U1.
    """
    return digest(Label.HASH_DEALING, h2, u64(dealer), salt, *ciphertexts)


class Rows:
    """What one member holds: a row of each dealer's polynomials."""

    def __init__(self) -> None:
        self._rows: dict[int, Secret] = {}

    def __contains__(self, dealer: int) -> bool:
        return dealer in self._rows

    def keep(self, dealer: int, row: Row) -> None:
        """Keep a row without a check: the member's own."""
        self._rows[dealer] = Secret(row.astype("<u2").tobytes())

    def take(self, dealer: int, row: bytes, share: DealtShare, size: int) -> None:
        """Keep a row of `size` bytes that lies on the polynomials that its dealer has proved."""
        if len(row) != size or len(share.evaluation) != 2 * PROOF_COLUMNS:
            return
        values, evaluation = np.frombuffer(row, "<u2"), np.frombuffer(share.evaluation, "<u2")
        if check_row(values, share.digest, evaluation):
            self._rows[dealer] = Secret(row)

    def sum(self, dealers: frozenset[int]) -> bytes:
        """The sum of these dealers' rows: uint16[columns]."""
        rows = [np.frombuffer(self._rows[dealer].reveal(), "<u2") for dealer in sorted(dealers)]
        return sum_rows(np.stack(rows)).astype("<u2").tobytes()

    def erase(self) -> None:
        """Forget all rows."""
        for row in self._rows.values():
            row.erase()
        self._rows.clear()


class Channels:
    """The keys between one gateway and its peers in one session.

    Args:
        private: the gateway's prekey for this round, its private half.
        own: its public half.
        position: of the gateway.
        params: K.
        h2: transcript of prekeys and P.
    """

    def __init__(
        self, private: bytes, own: Prekey, position: int, params: SessionParams, h2: bytes
    ) -> None:
        self._private = Secret(private)
        self._own = own.key
        self._position = position
        self._session = params.session
        self._orchestrator = params.orchestrator_key
        self._h2 = h2
        self._shared: dict[bytes, Secret] = {}

    def seal(self, shares: Mapping[int, tuple[bytes, bytes]], salt: bytes) -> tuple[bytes, ...]:
        """Ciphertexts in order of position.

        Args:
            shares: position -> (public prekey, share).
            salt: fresh.
        """
        peers = sorted(shares)
        salts = [salt] * len(peers)
        keys = self._keys([shares[peer][0] for peer in peers], peers, salts, outgoing=True)
        return tuple(
            seal_share(
                key,
                shares[peer][1],
                session=self._session,
                sender=self._position,
                receiver=peer,
            )
            for peer, key in zip(peers, keys, strict=True)
        )

    def open(self, sealed: Mapping[int, tuple[bytes, DealtShare]]) -> dict[int, bytes]:
        """Shares by position of the dealer; one that does not open is left out.

        Args:
            sealed: position -> (public prekey, what the dealer has sent).
        """
        peers = sorted(sealed)
        salts = [sealed[peer][1].salt for peer in peers]
        keys = self._keys([sealed[peer][0] for peer in peers], peers, salts, outgoing=False)
        opened: dict[int, bytes] = {}
        for peer, key in zip(peers, keys, strict=True):
            try:
                opened[peer] = open_share(
                    key,
                    sealed[peer][1].ciphertext,
                    session=self._session,
                    sender=peer,
                    receiver=self._position,
                )
            except SealError:
                continue
        return opened

    def _keys(
        self,
        public: Sequence[bytes],
        peers: Sequence[int],
        salts: Sequence[bytes],
        *,
        outgoing: bool,
    ) -> list[bytes]:
        """One key for each direction of each channel, used for one message.

        A prekey serves every session of its round: h2 and the session keep their channels apart,
        the salt two dealings in one session, and both public keys the channels of one session in
        which a peer has two.
        """
        # a member seals to most dealers before it opens theirs: half of the exchanges
        new = [key for key in public if key not in self._shared]
        for key, shared in zip(new, agree_each(self._private.reveal(), new), strict=True):
            self._shared[key] = Secret(shared)
        keys = []
        for peer, key, salt in zip(peers, public, salts, strict=True):
            ends = [(self._position, self._own), (peer, key)]
            (sender, sent), (receiver, received) = ends if outgoing else reversed(ends)
            context = (self._session, u64(sender), u64(receiver), sent, received, salt)
            secret = self._shared[key].reveal()
            keys.append(derive_key(secret, salt=self._h2, label=Label.KDF_CHANNEL, context=context))
        return keys

    def frame_secret(self) -> bytes:
        """The secret shared with the orchestrator, for the authentication of frames."""
        return agree_each(self._private.reveal(), [self._orchestrator])[0]

    def erase(self) -> None:
        """Forget the private key, and what was agreed with it."""
        for secret in (self._private, *self._shared.values()):
            secret.erase()
        self._shared.clear()
