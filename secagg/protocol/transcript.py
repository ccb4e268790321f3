"""Computes the hash chain that binds every answer to what its sender was shown.

h0 = H(H(K), U1, tree of H(R0_i) for i in U1),  h2 = H(h0, H(P), U2),  h3 = H(h0, h2, U3)

A client signs h3 only; since h3 contains h2 and h0, two clients under one certificate saw the same
keys, the same parameters and the same three sets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from secagg import canonical
from secagg.crypto.kdf import digest
from secagg.crypto.labels import Label
from secagg.crypto.merkle import MerkleTree, opened_root
from secagg.params import RoundParams, SessionParams
from secagg.protocol.messages import Signed


def session_hash(params: SessionParams) -> bytes:
    """H(K)."""
    return digest(Label.HASH_SESSION, canonical.encode(params))


def round_hash(params: RoundParams | bytes) -> bytes:
    """H(P), of P or of the bytes that it came in."""
    body = params if isinstance(params, bytes) else canonical.encode(params)
    return digest(Label.HASH_ROUND, body)


def retry_hash(model: bytes, number: int) -> bytes:
    """What P names instead of a model's own hash where frames of an earlier round on it have left.

    Args:
        model: 32-byte hash of the global model.
        number: of the round.
    """
    return digest(Label.HASH_RETRY, model, canonical.u64(number))


def advert_hash(advert: Signed) -> bytes:
    """H(R0_i): body and signature, so that a second signature of the same keys differs too."""
    return digest(Label.HASH_ADVERTISE, advert.body, advert.signature)


def keys_hash(session: bytes, gateways: int, adverts: Mapping[int, bytes]) -> bytes:
    """h0 over H(K), the set U1 and the hashes of its members' key messages.

    Args:
        session: H(K).
        gateways: n.
        adverts: position -> H(R0) for every member of U1.
    """
    root = MerkleTree([adverts[position] for position in sorted(adverts)]).root
    return rooted_hash(session, gateways, adverts, root)


def rooted_hash(session: bytes, gateways: int, present: Iterable[int], root: bytes) -> bytes:
    """h0, of the root of the tree over the hashes of U1's key messages in order of position."""
    return digest(Label.HASH_H0, session, canonical.bitmap(present, gateways), root)


def shown_keys_hash(
    session: bytes,
    gateways: int,
    present: Iterable[int],
    shown: Mapping[int, bytes],
    proof: Sequence[bytes],
) -> bytes:
    """h0 for a gateway that is shown some key messages, and of the others what proves the root.

    Args:
        session: H(K).
        gateways: n.
        present: U1.
        shown: position -> H(R0).
        proof: hashes of the parts of the tree without any of them.

    Raises:
        WireError: not as many hashes as that takes.
    """
    ordered = sorted(present)
    leaves = {place: shown[each] for place, each in enumerate(ordered) if each in shown}
    return rooted_hash(session, gateways, ordered, opened_root(len(ordered), leaves, proof))


def shares_hash(h0: bytes, round_params: bytes, gateways: int, dealers: Iterable[int]) -> bytes:
    """h2 over h0, H(P) and the set U2."""
    return digest(Label.HASH_H2, h0, round_params, canonical.bitmap(dealers, gateways))


def included_hash(h0: bytes, h2: bytes, gateways: int, included: Iterable[int]) -> bytes:
    """h3 over h0, h2 and the set U3."""
    return digest(Label.HASH_H3, h0, h2, canonical.bitmap(included, gateways))
