"""Plays the whole protocol in one pure function: read it first, then docs/protocol.md#masks.

Everybody is honest here and some fall silent. `client.py` and `server.py` add the checks that a
lying peer makes necessary, and speed; tests compare every message and every word with this file.

Positions: i acts, j is a neighbour. U1, U2, U3 are who sent keys, shares, an upload. A client has
three secrets: its private channel key; s_i, behind the masks it shares with neighbours; b_i, behind
its own mask. Of one client the server opens s_i or b_i, never both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from operator import mul

from secagg.canonical import bitmap, encode, u64
from secagg.crypto.agreement import agree, public_key
from secagg.crypto.kdf import derive_key, digest
from secagg.crypto.labels import Label
from secagg.crypto.macs import AnswerMac
from secagg.crypto.prg import keystream
from secagg.crypto.signing import SigningKey
from secagg.errors import BelowThreshold
from secagg.fixed_point.reference import pack, unpack
from secagg.params import Entropy, RoundParams, SessionParams, Struct
from secagg.protocol.certificate import Consistency
from secagg.protocol.messages import Signed, UploadHeader
from secagg.protocol.sharing import channel_key, commit_secret, commit_share, open_share, seal_share
from secagg.schemes.masks.keys import edge_secret, mask_private, pair_key, self_key, sign
from secagg.schemes.masks.messages import STEPS, AdvertiseKeys, ShareKeys, Unmasking
from secagg.thresholds import neighbours

PHASES = [step.name for step in STEPS]
PRIME = 2**21 - 9
SHARE = 39
"""Bytes: 13 limbs of 20 bits, 3 bytes each."""


@dataclass(frozen=True, slots=True)
class Coins:
    """All the randomness of one client: 32 bytes three times, and a stream of 3 bytes at a time."""

    channel: bytes = field(repr=False)
    key_seed: bytes = field(repr=False)
    seed: bytes = field(repr=False)
    coefficients: Entropy = field(repr=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """U3, its sum by vector and coordinate, the transcript, and by position all that was sent."""

    included: list[int]
    sums: list[list[int]]
    transcript: tuple[bytes, bytes, bytes]
    masked: dict[int, list[list[int]]]
    said: dict[tuple[str, int], Signed]


def run_masks(  # noqa: C901, PLR0912, PLR0915 - all of the protocol in one place is the point
    k: SessionParams,
    p: RoundParams,
    keys: Sequence[SigningKey],
    coins: Sequence[Coins],
    inputs: Sequence[Sequence[Sequence[int]]],
    vanish: Mapping[int, str],
) -> Outcome:
    """Play all parties of one session.

    Args:
        k: K; its signature by the orchestrator, and that of P, play no part here.
        p: P.
        keys: long-term keys by position, as in all that follow.
        coins: randomness.
        inputs: x_i: for each vector of P as many integers, within its limit.
        vanish: position -> phase from which on it is silent.

    Raises:
        BelowThreshold: too many are silent.
    """
    session, limits, n = k.session, k.thresholds, k.thresholds.gateways
    t, near = limits.share_threshold, [neighbours(limits, i) for i in range(n)]
    floor = max(limits.min_included, limits.quorum)
    said: dict[tuple[str, int], Signed] = {}

    def answering(phase: str, needed: int) -> list[int]:
        silent = PHASES[: PHASES.index(phase) + 1]
        return enough([i for i in range(n) if vanish.get(i) not in silent], needed, phase)

    def say(i: int, message: Struct) -> None:
        step = next(step for step in STEPS if step.answer is type(message))
        signer = AnswerMac(server[i], session=hk, position=i) if step.mac else keys[i]
        said[step.name, i] = Signed.make(signer, step.label, message)

    # Round 0: everybody advertises two X25519 keys made for this session.
    hk = digest(Label.HASH_SESSION, encode(k))
    u1 = answering("advertise_keys", max(floor, t))
    private = {i: mask_private(coins[i].key_seed, hk) for i in u1}
    mask = {i: public_key(private[i]) for i in u1}
    channel = {i: public_key(coins[i].channel) for i in u1}
    server = {i: agree(coins[i].channel, k.orchestrator_key) for i in u1}
    for i in u1:
        both = server[i] + agree(private[i], k.orchestrator_key)
        proof = derive_key(both, salt=hk, label=Label.KDF_POSSESSION, context=(u64(i),), length=16)
        say(i, AdvertiseKeys(hk, i, channel_key=channel[i], mask_key=mask[i], proof=proof))
    adverts = [said["advertise_keys", i] for i in u1]
    hashes = [digest(Label.HASH_ADVERTISE, advert.body, advert.signature) for advert in adverts]
    h0 = digest(Label.HASH_H0, hk, bitmap(u1, n), tree(hashes))

    # Round 1: everybody shares b_i and s_i among its neighbours, each pair sealed to its holder.
    def shared_key(me: int, sender: int, receiver: int) -> bytes:
        secret = agree(coins[me].channel, channel[sender + receiver - me])
        return channel_key(secret, salt=h0, session=session, sender=sender, receiver=receiver)

    u2 = answering("share_keys", max(floor, t))
    sealed: dict[tuple[int, int], bytes] = {}
    for i in u2:
        shares = split(coins[i], t, sorted(near[i].intersection(u1)))
        for j, (b, s) in shares.items():
            key = shared_key(i, i, j)
            sealed[i, j] = seal_share(key, b + s, session=session, sender=i, receiver=j)
        dealt = ShareKeys(
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
            ciphertexts=tuple(sealed[i, j] for j in shares),
        )
        say(i, dealt)

    # Round 2: everybody uploads y_i = x_i + its own mask +- those shared with its neighbours in U2.
    h2 = digest(Label.HASH_H2, h0, digest(Label.HASH_ROUND, encode(p)), bitmap(u2, n))
    # A key has one stream; the vectors lie in it one after the other, each from an even word on.
    starts = [sum(v.words + v.words % 2 for v in p.vectors[:i]) for i in range(len(p.vectors))]
    u3 = answering("masked_input", max(floor, n - limits.max_dropouts))
    held: dict[tuple[int, int], tuple[bytes, bytes]] = {}
    edges: dict[tuple[int, int], bytes] = {}
    masked: dict[int, list[list[int]]] = {}
    for i in u3:
        peers = near[i].intersection(u2)
        for j in peers:
            key = shared_key(i, j, i)
            pair = open_share(key, sealed[j, i], session=session, sender=j, receiver=i)
            held[i, j] = pair[:SHARE], pair[SHARE:]
            edges[i, j] = edge_secret(agree(private[i], mask[j]), h2=h2, ends=(i, j))
        masked[i] = [pack(spec, x) for spec, x in zip(p.vectors, inputs[i], strict=True)]
        for start, y in zip(starts, masked[i], strict=True):
            add(y, 1, self_key(coins[i].seed, h2=h2, position=i), start)
            for j in peers:
                add(y, sign(i, j), pair_key(edges[i, j], h2=h2), start)
        say(i, UploadHeader(h0=h0, h2=h2, position=i, complaints=bitmap((), n)))

    # Round 3: everybody in U3 signs what it has seen; a quorum of signatures is the certificate.
    h3 = digest(Label.HASH_H3, h0, h2, bitmap(u3, n))
    for i in answering("consistency", limits.quorum):
        say(i, Consistency(session=session, h3=h3))

    # Round 4: everybody releases what takes the masks off the sum over U3, and off nothing else.
    answered = answering("unmasking", 0)
    dead = {i: sorted(near[i].intersection(u2).difference(u3)) for i in u3}
    for i in answered:
        answer = Unmasking(
            h3=h3,
            position=i,
            seed=coins[i].seed,
            seed_shares=tuple(held[i, j][0] for j in sorted(near[i].intersection(u3))),
            edge_secrets=tuple(edges[i, j] for j in dead[i]),
            key_shares=tuple(held[i, j][1] for j in dead[i]),
        )
        say(i, answer)

    # The server adds up, rebuilds what a silent member has not released, and opens the sum.
    def rebuilt(dealer: int, which: int) -> bytes:
        holders = enough([i for i in answered if i in near[dealer]], t, "unmasking")
        return combine({i: held[i, dealer][which] for i in holders[:t]})

    def edge(i: int, j: int) -> bytes:
        if i in answered:
            return edges[i, j]
        shared = agree(mask_private(rebuilt(j, 1), hk), mask[i])
        return edge_secret(shared, h2=h2, ends=(i, j))

    total = [[0] * spec.words for spec in p.vectors]
    for words, *ys in zip(total, *masked.values(), strict=True):
        words[:] = map(sum, zip(*ys, strict=True))
    for i in u3:
        b = coins[i].seed if i in answered else rebuilt(i, 0)
        for start, words in zip(starts, total, strict=True):
            add(words, -1, self_key(b, h2=h2, position=i), start)
            for j in dead[i]:
                add(words, -sign(i, j), pair_key(edge(i, j), h2=h2), start)
    lanes = [unpack(spec, words) for spec, words in zip(p.vectors, total, strict=True)]
    sums = [lane[: spec.length] for spec, lane in zip(p.vectors, lanes, strict=True)]
    return Outcome(u3, sums, (h0, h2, h3), masked, said)


def tree(hashes: Sequence[bytes]) -> bytes:
    """The root of the hash tree of RFC 6962: the left part has the largest power of two."""
    if len(hashes) == 1:
        return hashes[0]
    left = max(2**i for i in range(len(hashes)) if 2**i < len(hashes))
    return digest(Label.HASH_NODE, tree(hashes[:left]), tree(hashes[left:]))


def enough(answered: list[int], needed: int, phase: str) -> list[int]:
    """A round goes on with `needed` answers, or ends."""
    if len(answered) < needed:
        raise BelowThreshold(len(answered), needed, phase)
    return answered


def add(words: list[int], factor: int, key: bytes, start: int) -> None:
    """Add factor * PRG(key) mod 2^64, from word `start` of the stream on."""
    for w, stream in enumerate(keystream(key, start, len(words)).tolist()):
        words[w] = (words[w] + factor * stream) % 2**64


def split(coins: Coins, threshold: int, holders: Sequence[int]) -> dict[int, tuple[bytes, bytes]]:
    """Shamir shares of b_i and s_i, limb by limb; position j holds the values at x = j + 1."""

    def draw() -> int:
        while (value := int.from_bytes(coins.coefficients(3), "little") % 2**21) >= PRIME:
            pass
        return value

    numbers = [int.from_bytes(secret, "little") for secret in (coins.seed, coins.key_seed)]
    rows = [[number >> 20 * limb & 0xFFFFF for number in numbers for limb in range(13)]]
    rows += [[draw() for _ in rows[0]] for _ in range(threshold - 1)]
    shares = {}
    for j in holders:
        columns = zip(*rows, strict=True)
        values = [sum(a * (j + 1) ** d for d, a in enumerate(c)) % PRIME for c in columns]
        both = b"".join(value.to_bytes(3, "little") for value in values)
        shares[j] = both[:SHARE], both[SHARE:]
    return shares


def combine(shares: Mapping[int, bytes]) -> bytes:
    """The secret behind shares of some positions, by Lagrange interpolation at x = 0."""
    xs = [j + 1 for j in shares]
    weights = [prod(z * pow(z - x, -1, PRIME) for z in xs if z != x) for x in xs]
    number = 0
    for limb in range(13):
        at = slice(3 * limb, 3 * limb + 3)
        values = [int.from_bytes(share[at], "little") for share in shares.values()]
        number += sum(map(mul, weights, values)) % PRIME << 20 * limb
    return number.to_bytes(32, "little")
