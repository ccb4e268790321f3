"""Scheme masks: uploads as equations over inputs and masks, once all that can be derived is.

Shares are opened with the keys the server has and held against their commitments, t of them give a
secret, a secret gives keys. What is left unknown has a name that is the same wherever the mask is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from protocol_sim.leaks.equations import Equation, small
from protocol_sim.leaks.names import Agreed, Input, Seen, Unknown
from protocol_sim.leaks.recorded_masks import (
    Dealt,
    Edge,
    Hidden,
    Opening,
    Positions,
    answers,
    dealings,
    uploads,
)
from protocol_sim.leaks.recorder import Recorder
from secagg.crypto.agreement import agree, public_key
from secagg.crypto.labels import Label
from secagg.crypto.prg_fast import MaskAdder
from secagg.crypto.shamir import SHARE_BYTES, combine
from secagg.errors import SecAggError, SharingError
from secagg.protocol.sharing import channel_key, commit_secret, commit_share, open_share
from secagg.protocol.transcript import session_hash
from secagg.schemes.base import Words
from secagg.schemes.masks.keys import (
    edge_secret,
    mask_private,
    pair_key,
    self_key,
    sign,
    stream_starts,
)
from secagg.schemes.masks.messages import Unmasking


@dataclass
class Derived:
    """Everything the server knows or has computed.

    Attributes:
        privates: public X25519 key -> private key.
        seeds: commitment to a b_i -> b_i.
        edges: name of an edge -> M_ij.
        shares: (commitment to a secret or mask key, threshold) -> holder -> share.
    """

    privates: dict[bytes, bytes]
    seeds: dict[bytes, bytes] = field(default_factory=dict)
    edges: dict[Edge, bytes] = field(default_factory=dict)
    seed_shares: dict[int, dict[int, bytes]] = field(default_factory=lambda: defaultdict(dict))
    key_shares: dict[int, dict[int, bytes]] = field(default_factory=lambda: defaultdict(dict))


def read(recorder: Recorder, colluding: frozenset[str]) -> tuple[list[Equation], list[Agreed]]:
    """Equations over the inputs of honest gateways, and the sets that they have answered for.

    Args:
        recorder: what the server has sent and received.
        colluding: gateways whose keys it has; `Recorder.keys` under "" are its own.
    """
    dealt = dealings(recorder)
    hidden = [each for each in uploads(recorder, dealt) if each.dealt.line.gateway not in colluding]
    openings = [
        each for each in answers(recorder, dealt) if each[0].dealt.line.gateway not in colluding
    ]
    known = derive(recorder, colluding, dealt, openings)
    equations = [_equation(upload, known) for upload in hidden]
    names = {(each.line.session, each.position): each.line.gateway for each in dealt}
    agreed = [
        Agreed(
            upload.dealt.params.round,
            upload.dealt.line.session,
            frozenset(names.get((upload.dealt.line.session, i), f"position {i}") for i in u3),
            upload.dealt.params.thresholds.min_included,
        )
        for upload, u3, _ in openings
    ]
    return equations, agreed


def opened(recorder: Recorder, colluding: frozenset[str], equation: Equation) -> Words:
    """The sum itself, computed from the uploads' words and the masks that are known.

    Args:
        recorder: what the server has sent and received.
        colluding: gateways whose keys it has.
        equation: one of `Knowledge.open`.

    Returns:
        Words of all vectors of an upload, mod 2^64.
    """
    dealt = dealings(recorder)
    openings = [
        each for each in answers(recorder, dealt) if each[0].dealt.line.gateway not in colluding
    ]
    known = derive(recorder, colluding, dealt, openings)
    total: Words = np.zeros(1, np.uint64)
    for upload in uploads(recorder, dealt):
        line = upload.dealt.line
        weight = equation.get(Seen(line.session, line.gateway, upload.number), 0)
        if weight:
            total = total + np.uint64(small(weight) % 2**64) * _bare(recorder, upload, known)
    return total


def _bare(recorder: Recorder, upload: Hidden, known: Derived) -> Words:
    """An upload of one frame for each vector, without the masks that are known."""
    adder = MaskAdder([(-factor, key) for factor, key in _known_masks(upload, known)])
    parts = []
    frames = recorder.frames[upload.dealt.line]
    for start, words in zip(stream_starts(upload.vectors), frames, strict=False):
        part = words.copy()
        adder.add(part, start)
        parts.append(part)
    return np.concatenate(parts)


def _known_masks(upload: Hidden, known: Derived) -> list[tuple[int, bytes]]:
    """(factor, key) of every mask of an upload that the server knows."""
    h2, mine = upload.h2, upload.dealt.position
    found = []
    seed = known.seeds.get(upload.dealt.message.seed_commitment)
    if seed is not None:
        found.append((1, self_key(seed, h2=h2, position=mine)))
    for peer, edge in upload.edges():
        secret = _secret(edge, known)
        if secret is not None:
            found.append((sign(mine, peer), pair_key(secret, h2=h2)))
    return found


def _equation(upload: Hidden, known: Derived) -> Equation:
    """The upload less all masks that are known."""
    line, mine = upload.dealt.line, upload.dealt.position
    row: Equation = {
        Input(upload.dealt.params.round, line.gateway): 1,
        Seen(line.session, line.gateway, upload.number): 1,
    }
    commitment = upload.dealt.message.seed_commitment
    if commitment not in known.seeds:
        row[Unknown(("self", commitment, upload.h2))] = 1
    for peer, edge in upload.edges():
        if _secret(edge, known) is None:
            row[Unknown(("edge", *edge))] = sign(mine, peer)
    return row


def derive(
    recorder: Recorder,
    colluding: frozenset[str],
    dealt: Sequence[Dealt],
    openings: Iterable[Opening],
) -> Derived:
    """Secrets out of shares, and keys out of secrets.

    Args:
        recorder: what the server has sent and received.
        colluding: whose keys it has.
        dealt: everybody's shares.
        openings: last answers.
    """
    privates = {
        key: recorder.keys[name][key] for name in (*colluding, "") for key in recorder.keys[name]
    }
    known = Derived(privates)
    for upload, u3, answer in openings:
        _take(upload, u3, answer, dealt, known)
    for at, each in enumerate(dealt):
        for holder, sealed in zip(each.holders, each.message.ciphertexts, strict=True):
            _open(at, each, holder, sealed, known)
    for at, each in enumerate(dealt):
        _combine(at, each, known)
    return known


def _take(
    upload: Hidden, u3: Positions, answer: Unmasking, dealt: Sequence[Dealt], known: Derived
) -> None:
    mine, near = upload.dealt.position, upload.dealt.keys.keys() - {upload.dealt.position}
    session = upload.dealt.line.session
    commitment = commit_secret(Label.COMMIT_SEED, session, mine, answer.seed)
    known.seeds[commitment] = answer.seed
    alive, dead = sorted(u3 & near), sorted((upload.u2 - u3) & near)
    edges = dict(upload.edges())
    # an answer of a weakened client may hold fewer or more secrets than it should
    for peer, secret in zip(dead, answer.edge_secrets, strict=False):
        known.edges[edges[peer]] = secret
    for peer, share in zip(alive, answer.seed_shares, strict=False):
        promised = commit_share(Label.COMMIT_SEED_SHARE, session, peer, mine, share)
        for at in _promising(promised, 0, dealt):
            known.seed_shares[at][mine] = share
    for peer, share in zip(dead, answer.key_shares, strict=False):
        promised = commit_share(Label.COMMIT_KEY_SHARE, session, peer, mine, share)
        for at in _promising(promised, 1, dealt):
            known.key_shares[at][mine] = share


def _promising(commitment: bytes, kind: int, dealt: Sequence[Dealt]) -> Iterator[int]:
    """Dealings that promise this share: of the seed (kind 0), or of the key (1)."""
    for at, each in enumerate(dealt):
        if commitment in (pair[kind] for pair in each.message.commitments):
            yield at


def _open(at: int, dealt: Dealt, holder: int, sealed: bytes, known: Derived) -> None:
    """Shares that are sealed to a key the server has."""
    private = known.privates.get(dealt.keys[holder].channel_key)
    if private is None:
        return
    session, mine = dealt.params.session, dealt.position
    key = channel_key(
        agree(private, dealt.keys[mine].channel_key),
        salt=dealt.message.h0,
        session=session,
        sender=mine,
        receiver=holder,
    )
    try:
        both = open_share(key, sealed, session=session, sender=mine, receiver=holder)
    except SecAggError:
        return
    known.seed_shares[at][holder] = both[:SHARE_BYTES]
    known.key_shares[at][holder] = both[SHARE_BYTES:]


def _combine(at: int, dealt: Dealt, known: Derived) -> None:
    threshold = dealt.params.thresholds.share_threshold
    seed = _combined(known.seed_shares[at], threshold)
    if seed is not None:
        known.seeds[
            commit_secret(Label.COMMIT_SEED, dealt.params.session, dealt.position, seed)
        ] = seed
    key_seed = _combined(known.key_shares[at], threshold)
    if key_seed is not None:
        private = mask_private(key_seed, session_hash(dealt.params))
        known.privates[public_key(private)] = private


def _combined(shares: Mapping[int, bytes], threshold: int) -> bytes | None:
    if len(shares) < threshold:
        return None
    try:
        return combine({holder: [share] for holder, share in shares.items()}, threshold)[0]
    except SharingError:
        return None


def _secret(edge: Edge, known: Derived) -> bytes | None:
    """M_ij: given away, or agreed on with a private key that the server has."""
    if edge in known.edges:
        return known.edges[edge]
    h2, low, high, keys = edge
    for key in keys:
        private = known.privates.get(key)
        if private is not None:
            (other,) = keys - {key} or {key}
            return edge_secret(agree(private, other), h2=h2, ends=(low, high))
    return None
