"""Shows the orchestrator who holds the private halves of advertised keys.

Whoever reads an advertised key may sign it as its own. Without a proof the first would keep it and
its owner, who comes second, would look like the copier.
"""

from __future__ import annotations

import hmac
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from secagg.canonical import u64
from secagg.crypto.agreement import agree
from secagg.crypto.kdf import derive_key
from secagg.crypto.labels import Label

PROOF_BYTES: Final = 16


def prove_possession(
    privates: Iterable[bytes], orchestrator: bytes, session: bytes, position: int
) -> bytes:
    """What only who holds these private keys can tell the orchestrator, in one session.

    Args:
        privates: 32 bytes each.
        orchestrator: its public key for the session.
        session: H(K).
        position: of who advertises the keys.
    """
    return _proof([agree(private, orchestrator) for private in privates], session, position)


def possesses(shared: Sequence[bytes], proof: bytes, session: bytes, position: int) -> bool:
    """Whether a proof is one.

    Args:
        shared: the orchestrator's Diffie-Hellman secrets with the advertised keys.
        proof: what came with them.
        session: H(K).
        position: of who advertises the keys.
    """
    return hmac.compare_digest(_proof(shared, session, position), proof)


def _proof(shared: Sequence[bytes], session: bytes, position: int) -> bytes:
    return derive_key(
        b"".join(shared),
        salt=session,
        label=Label.KDF_POSSESSION,
        context=(u64(position),),
        length=PROOF_BYTES,
    )


def impostors(
    keys: Mapping[int, Iterable[bytes]], proved: Callable[[int], bool | None]
) -> frozenset[int]:
    """Who shows a key that is not its own; asked only where two show one key.

    Args:
        keys: position -> what it shows.
        proved: whether a position has proved that it holds its keys; None if it was never asked. A
            private key that two hold is nobody's own: no honest gateway gives it away.
    """
    shown: defaultdict[bytes, set[int]] = defaultdict(set)
    for position, each in keys.items():
        for key in each:
            shown[key].add(position)
    found: set[int] = set()
    for alike in shown.values():
        if len(alike) > 1:
            verdicts = {position: proved(position) for position in alike}
            holders = {position for position in alike if verdicts[position]}
            found |= {position for position in alike if verdicts[position] is False}
            found |= alike - holders if len(holders) == 1 else holders
    return frozenset(found)
