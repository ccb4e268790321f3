"""The whole protocol as one pure function: read it first, then DESIGN section 5.

Everybody is honest here and some fall silent. `client.py` and `server.py` add the checks that a
lying peer makes necessary, and speed; tests compare every message and every word with this file.

Positions: i acts, j is a neighbour. U1, U2, U3 are who sent keys, shares, an upload. A client has
three secrets: its private channel key; s_i, behind the masks it shares with neighbours; b_i, behind
its own mask. Of each client the server opens s_i or b_i, never both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from secagg.crypto.agreement import agree, public_key
from secagg.crypto.kdf import digest
from secagg.crypto.labels import Label
from secagg.crypto.prg import keystream
from secagg.crypto.signing import SigningKey
from secagg.encoding import bitmap, encode
from secagg.errors import BelowThreshold
from secagg.fixed_point.reference import pack, unpack
from secagg.params import Entropy, RoundParams, SessionParams
from secagg.protocol.certificate import Consistency
from secagg.protocol.messages import Signed, UploadHeader
from secagg.protocol.sharing import channel_key, commit_secret, commit_share, open_share, seal_share
from secagg.schemes.masks.keys import edge_secret, mask_private, pair_key, self_key, sign
from secagg.schemes.masks.messages import STEPS, AdvertiseKeys, ShareKeys, Unmasking
from secagg.thresholds import neighbours

PRIME = 2**21 - 9
LABELS = {step.name: step.label for step in STEPS}
PHASES = list(LABELS)


@dataclass(frozen=True, slots=True, repr=False)
class Coins:
    """All the randomness of one client: 32 bytes each of channel key, s_i and b_i, and then
    3 bytes at a time the coefficients of its polynomials.
    """  # noqa: D205, D209 - one sentence

    channel: bytes
    key_seed: bytes
    seed: bytes
    coefficients: Entropy


@dataclass(frozen=True, slots=True)
class Outcome:
    """The set U3, its sum (integers by vector and coordinate), the transcript, and what was sent:
    masked words by position and vector, signed messages by phase and position.
    """  # noqa: D205, D209 - one sentence

    included: list[int]
    sums: list[list[int]]
    transcript: tuple[bytes, bytes, bytes]
    masked: dict[int, list[list[int]]] = field(default_factory=dict)
    said: dict[tuple[str, int], Signed] = field(default_factory=dict)


def run_masks(  # noqa: C901 - the whole protocol in one place is the point
    k: SessionParams,
    p: RoundParams,
    keys: Sequence[SigningKey],
    coins: Sequence[Coins],
    inputs: Sequence[Sequence[Sequence[int]]],
    vanish: Mapping[int, str],
) -> Outcome:
    """Play all parties of one session.

    Args:
        k: K, whose signature by the orchestrator is not needed here; nor is that of P.
        p: P.
        keys: long-term keys by position, like all that follow.
        coins: randomness.
        inputs: x_i, a list of integers within `limit` for each vector of P.
        vanish: position -> phase from which on it is silent.

    Raises:
        BelowThreshold: too many are silent.
    """
    limits, session, t = k.thresholds, k.session, k.thresholds.share_threshold
    n, everyone = limits.gateways, range(limits.gateways)
    near = [neighbours(limits, i) for i in everyone]
    said: dict[tuple[str, int], Signed] = {}

    def answering(phase: str, *floors: int) -> list[int]:
        silent = PHASES[: PHASES.index(phase) + 1]
        return enough([i for i in everyone if vanish.get(i) not in silent], max(floors), phase)

    def say(i: int, message: Struct) -> None:
        phase = PHASES[ANSWERS.index(type(message))]
        said[phase, i] = Signed.make(keys[i], LABELS[phase], message)

    # Round 0: everybody advertises two X25519 keys made for this session.
    hk, hp = digest(Label.HASH_SESSION, encode(k)), digest(Label.HASH_ROUND, encode(p))
    u1 = answering("advertise_keys", limits.min_included, limits.quorum, t)
    channel = {i: public_key(coins[i].channel) for i in u1}
    private = {i: mask_private(coins[i].key_seed, hk) for i in u1}
    mask = {i: public_key(private[i]) for i in u1}
    for i in u1:
        say(i, AdvertiseKeys(session=hk, position=i, channel_key=channel[i], mask_key=mask[i]))
    r0 = [said["advertise_keys", i] for i in u1]
    hashes = [digest(Label.HASH_ADVERTISE, signed.body, signed.signature) for signed in r0]
    h0 = digest(Label.HASH_H0, hk, bitmap(u1, n), *hashes)

    # Round 1: everybody shares b_i and s_i among its neighbours, each share sealed to its holder.
    u2 = answering("share_keys", limits.min_included, limits.quorum, t)
    sealed: dict[tuple[int, int], bytes] = {}
    for i in u2:
        holders = sorted(near[i].intersection(u1))
        shares = split((coins[i].seed, coins[i].key_seed), t, holders, coins[i].coefficients)
        for j, (b, s) in shares.items():
            dh = agree(coins[i].channel, channel[j])
            key = channel_key(dh, salt=h0, session=session, sender=i, receiver=j)
            sealed[i, j] = seal_share(key, b + s, session=session, sender=i, receiver=j)
        message = ShareKeys(
            h0=h0,
            position=i,
            seed_commitment=commit_secret(Label.COMMIT_SEED, session, i, coins[i].seed),
            commitments=tuple(
                (
                    commit_share(Label.COMMIT_SEED_SHARE, session, i, j, b),
                    commit_share(Label.COMMIT_KEY_SHARE, session, i, j, s),
                )
                for j, (b, s) in shares.items()
            ),
            ciphertexts=tuple(sealed[i, j] for j in holders),
        )
        say(i, message)

    # Round 2: everybody uploads y_i = x_i + its own mask +- the masks shared with neighbours in U2.
    h2 = digest(Label.HASH_H2, h0, hp, bitmap(u2, n))
    u3 = answering("masked_input", limits.min_included, limits.quorum, n - limits.max_dropouts)
    held: dict[tuple[int, int], tuple[bytes, bytes]] = {}
    edges: dict[tuple[int, int], bytes] = {}
    masked: dict[int, list[list[int]]] = {}
    for i in u3:
        for j in near[i].intersection(u2):
            dh = agree(coins[i].channel, channel[j])
            key = channel_key(dh, salt=h0, session=session, sender=j, receiver=i)
            pair = open_share(key, sealed[j, i], session=session, sender=j, receiver=i)
            held[i, j] = pair[:SHARE], pair[SHARE:]
            edges[i, j] = edge_secret(private[i], mask[j], h2=h2, ends=(i, j))
        masked[i] = [pack(spec, x) for spec, x in zip(p.vectors, inputs[i], strict=True)]
        for v, y in enumerate(masked[i]):
            add(y, 1, self_key(coins[i].seed, h2=h2, position=i, vector=v))
            for j in near[i].intersection(u2):
                add(y, sign(i, j), pair_key(edges[i, j], h2=h2, vector=v))
        say(i, UploadHeader(h0=h0, h2=h2, position=i, complaints=bitmap((), n)))

    # Round 3: everybody in U3 signs what it has seen; a quorum of signatures is the certificate.
    h3 = digest(Label.HASH_H3, h0, h2, bitmap(u3, n))
    for i in answering("consistency", limits.quorum):
        say(i, Consistency(session=session, h3=h3))

    # Round 4: everybody releases what takes the masks off the sum over U3, and off nothing else.
    answered = answering("unmasking", 0)
    for i in answered:
        alive, dead = near[i].intersection(u3), near[i].intersection(u2).difference(u3)
        message = Unmasking(
            h3=h3,
            position=i,
            seed=coins[i].seed,
            seed_shares=tuple(held[i, j][0] for j in sorted(alive)),
            edge_secrets=tuple(edges[i, j] for j in sorted(dead)),
            key_shares=tuple(held[i, j][1] for j in sorted(dead)),
        )
        say(i, message)

    # The server adds up and takes the masks off, rebuilding what a silent member did not release.
    def rebuild(j: int, which: int) -> bytes:
        holders = enough([i for i in answered if i in near[j]], t, "unmasking")
        return combine({i: held[i, j][which] for i in holders[:t]})

    vectors = [[sum(column) for column in zip(*ys)] for ys in zip(*masked.values())]
    for i in u3:
        b = coins[i].seed if i in answered else rebuild(i, 0)
        for v, words in enumerate(vectors):
            add(words, -1, self_key(b, h2=h2, position=i, vector=v))
    for i in u3:
        for j in near[i].intersection(u2).difference(u3):
            if i in answered:
                edge = edges[i, j]
            else:
                edge = edge_secret(mask_private(rebuild(j, 1), hk), mask[i], h2=h2, ends=(i, j))
            for v, words in enumerate(vectors):
                add(words, -sign(i, j), pair_key(edge, h2=h2, vector=v))
    ...
