"""Plays the whole protocol in one pure function: read it first, then docs/protocol.md#additive.

Everybody is honest here and some fall silent; it is a first round, in which everybody is asked for
a prekey, with lattice uploads. `client.py` and `server.py` add the checks that a lying peer makes
necessary, and speed; tests compare every message and every ciphertext with this file.

Positions: i deals, j holds. U1 and U3 are who has a prekey and who uploaded. A client has two
secrets: its prekey, and s_i, the key of its upload. Of the s_i only their sum over U3 is opened.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from secagg.canonical import bitmap, encode, framed, u64
from secagg.crypto.agreement import agree, public_key
from secagg.crypto.kdf import derive_key, digest, labelled
from secagg.crypto.labels import Label
from secagg.crypto.merkle import MerkleTree
from secagg.crypto.prg import STREAM_KEY_BYTES
from secagg.crypto.sealing import open_sealed, seal
from secagg.crypto.signing import SigningKey
from secagg.errors import BelowThreshold
from secagg.params import Entropy, GatewayId, RoundParams, SessionParams
from secagg.protocol.certificate import Consistency
from secagg.protocol.messages import Signed, UploadHeader
from secagg.protocol.prekeys import Prekey
from secagg.schemes.additive.lattice.reference import encrypt
from secagg.schemes.additive.messages import STEPS, Dealing, KeySum, SetUp
from secagg.schemes.additive.polynomials import multiply, public_element

PHASES = [step.name for step in STEPS]
PRIME = 65521
DEGREE = 2048
PROOFS = 8


@dataclass(frozen=True, slots=True)
class Outcome:
    """U3, the sum of its keys, what is left of its ciphertexts without them, and all that was sent.

    Attributes:
        included: U3.
        key: S, N coefficients.
        opened: by block: sums of messages and noise, modulo Q.
        uploads: by position and block: N coefficients.
        said: by phase and position.
    """

    included: list[int]
    key: list[int]
    opened: list[list[int]]
    uploads: dict[int, list[list[int]]]
    said: dict[tuple[str, int], Signed]


def run_additive(  # noqa: C901, PLR0912, PLR0915 - all of the protocol in one place is the point
    k: SessionParams,
    p: RoundParams,
    keys: Sequence[SigningKey],
    ids: Sequence[GatewayId],
    coins: Sequence[Entropy],
    messages: Sequence[Sequence[Sequence[int]]],
    vanish: Mapping[int, str],
) -> Outcome:
    """Play all parties of one session.

    Args:
        k: K; its signature by the orchestrator, and that of P, play no part here.
        p: P.
        keys: long-term keys by position, as in all that follow.
        ids: names.
        coins: randomness, drawn in the order of this function.
        messages: Delta x_i: for each block of an upload N coefficients.
        vanish: position -> phase from which on it is silent.

    Raises:
        BelowThreshold: too many are silent.
    """
    limits, ring = k.thresholds, p.ring
    if ring is None:
        raise ValueError("P names no ring")
    n, q, m = limits.gateways, ring.moduli[0], limits.committee
    ell, least = limits.packed, limits.share_threshold
    columns = -(-DEGREE // ell)
    said: dict[tuple[str, int], Signed] = {}

    def answering(phase: str, among: Sequence[int], needed: int) -> list[int]:
        silent = PHASES[: PHASES.index(phase) + 1]
        answered = [i for i in among if vanish.get(i) not in silent]
        if len(answered) < needed:
            raise BelowThreshold(len(answered), needed, phase)
        return answered

    def make_prekey(i: int, number: int) -> tuple[bytes, Signed]:
        private = coins[i](32)
        own = Prekey(roster=k.roster, round=number, member=ids[i], key=public_key(private))
        return private, Signed.make(keys[i], Label.SIGN_PREKEY, own)

    # Set-up: everybody signs an X25519 key for this round. (Later rounds have it from the last.)
    u1 = answering("set_up", range(n), 0)
    if len([j for j in u1 if j < m]) < least:
        raise BelowThreshold(len([j for j in u1 if j < m]), least, "set_up")
    hk = digest(Label.HASH_SESSION, encode(k))
    private: dict[int, bytes] = {}
    prekeys: dict[int, Signed] = {}
    for i in u1:
        private[i], prekeys[i] = make_prekey(i, k.round)
        held = agree(private[i], k.orchestrator_key)
        proof = derive_key(held, salt=hk, label=Label.KDF_POSSESSION, context=(u64(i),), length=16)
        offer = SetUp(session=hk, position=i, prekey=prekeys[i], proof=proof)
        said["set_up", i] = Signed.make(keys[i], Label.SIGN_SET_UP, offer)
    public = {i: public_key(private[i]) for i in u1}
    hp = digest(Label.HASH_ROUND, encode(p))
    signed = [prekeys[i] for i in u1]
    hashes = [digest(Label.HASH_ADVERTISE, each.body, each.signature) for each in signed]
    h0 = digest(Label.HASH_H0, hk, bitmap(u1, n), MerkleTree(hashes).root)
    h2 = digest(Label.HASH_H2, h0, hp, bitmap(u1, n))

    # Upload: everybody deals a fresh key to the committee, proves the dealing, and encrypts.
    salts: dict[int, bytes] = {}

    def channel(i: int, j: int, me: int) -> tuple[bytes, bytes]:
        """Key and associated data of what i seals for j."""
        shared = agree(private[me], public[i + j - me])
        route = (k.session, u64(i), u64(j))
        context = (*route, public[i], public[j], salts[i])
        return derive_key(shared, salt=h2, label=Label.KDF_CHANNEL, context=context), framed(*route)

    floor = max(limits.min_included, limits.quorum, n - limits.max_dropouts)
    dealers = [i for i in u1 if vanish.get(i) != "upload"]
    places = [PRIME - 1 - e for e in range(ell)] + [m + 1 + a for a in range(least - ell)]
    basis = [lagrange(places, j + 1) for j in range(m)]
    rows: dict[tuple[int, int], list[int]] = {}
    sealed: dict[tuple[int, int], bytes] = {}
    next_prekeys: dict[int, Signed] = {}
    uploads: dict[int, list[list[int]]] = {}
    proofs: dict[int, list[list[int]]] = {}
    challenges: dict[int, list[list[int]]] = {}
    for i in dealers:
        drawn = coins[i](4 * DEGREE)
        secret = [
            int.from_bytes(drawn[4 * c : 4 * c + 4], "little").bit_count() - 16
            for c in range(DEGREE)
        ]
        padded = [s % PRIME for s in secret] + [0] * (ell * columns - DEGREE)
        values = [padded[e * columns : (e + 1) * columns] for e in range(ell)]
        values += in_rows(uniform((least - ell) * columns, coins[i]), columns)
        masks = in_rows(uniform(least * PROOFS, coins[i]), PROOFS)
        whole = [row + mask for row, mask in zip(values, masks, strict=True)]
        for j in range(m):
            rows[i, j] = [
                sum(b * row[c] for b, row in zip(basis[j], whole, strict=True)) % PRIME
                for c in range(columns + PROOFS)
            ]
        salts[i] = coins[i](32)
        others = [j for j in u1 if j < m and j != i]
        for j in others:
            key, route = channel(i, j, i)
            sealed[i, j] = seal(key, little(rows[i, j]), route)
        ciphertexts = tuple(sealed[i, j] for j in others)
        rho = challenge(digest(Label.HASH_DEALING, h2, u64(i), salts[i], *ciphertexts), columns)
        challenges[i] = rho
        proofs[i] = [
            [
                (masks[r][c] + sum(a * v for a, v in zip(rho[c], values[r], strict=True))) % PRIME
                for r in range(least)
            ]
            for c in range(PROOFS)
        ]
        _, next_prekeys[i] = make_prekey(i, k.round + 1)
        header = UploadHeader(h0=h0, h2=h2, position=i, complaints=bitmap((), n))
        dealing = Dealing(
            header=Signed.make(keys[i], Label.SIGN_HEADER, header),
            salt=salts[i],
            ciphertexts=ciphertexts,
            proof=b"".join(map(little, proofs[i])),
            next_prekey=next_prekeys[i],
        )
        said["upload", i] = Signed.make(keys[i], Label.SIGN_DEALING, dealing)
        coins[i](32)  # decides the rounding of an update, which is encoded before it comes here
        noise = derive_key(coins[i](32), salt=hp, label=Label.KDF_NOISE, length=STREAM_KEY_BYTES)
        uploads[i] = [
            encrypt(message, secret, public=hp, noise_key=noise, block=block, modulus=q)
            for block, message in enumerate(messages[i])
        ]
    u3 = answering("upload", u1, floor)
    h3 = digest(Label.HASH_H3, h0, h2, bitmap(u3, n))

    # Above 64 gateways, everybody in U3 signs what it has seen; a quorum is the certificate.
    live = u3
    if limits.certified:
        live = answering("consistency", u3, limits.quorum)
    statement = Consistency(session=k.session, h3=h3)
    signatures = {i: Signed.make(keys[i], Label.SIGN_CONSISTENCY, statement) for i in live}
    if limits.certified:
        said |= {("consistency", i): signatures[i] for i in live}

    # Answer: members check their rows and add them up.
    members = answering("answer", [j for j in live if j < m], least)
    sums: dict[int, list[int]] = {}
    for j in members:
        for i in u3:
            if i != j:
                key, route = channel(i, j, j)
                opened = open_sealed(key, sealed[i, j], route)
                rows[i, j] = elements(opened)
            if not fits(rows[i, j], proofs[i], basis[j], challenges[i]):
                raise ValueError(f"the row of {i} for {j} contradicts its proof")
        sums[j] = [sum(rows[i, j][c] for i in u3) % PRIME for c in range(columns)]
        answer = KeySum(
            h3=h3,
            position=j,
            complaints=bitmap((), n),
            shares=little(sums[j]),
            consistency=b"" if limits.certified else signatures[j].signature,
            next_prekey=next_prekeys[j],
        )
        said["answer", j] = Signed.make(keys[j], Label.SIGN_ANSWER, answer)

    # The server interpolates the sum of keys from any R members, and takes a S off the sum.
    some = members[:least]
    numbers = []
    for e in range(ell):
        weights = lagrange([j + 1 for j in some], PRIME - 1 - e)
        for c in range(columns):
            value = sum(w * sums[j][c] for w, j in zip(weights, some, strict=True)) % PRIME
            numbers.append(value - PRIME if value > PRIME // 2 else value)
    total = numbers[:DEGREE]
    left = []
    for block in range(len(messages[u3[0]])):
        masks_off = multiply(public_element(hp, block, DEGREE, q), total)
        added = [sum(column) for column in zip(*(uploads[i][block] for i in u3), strict=True)]
        left.append([(c - a) % q for c, a in zip(added, masks_off, strict=True)])
    return Outcome(u3, total, left, uploads, said)


def lagrange(known: Sequence[int], wanted: int) -> list[int]:
    """The factors that take values at the known points to the value at another one."""
    return [
        prod((wanted - x) * pow(y - x, -1, PRIME) for x in known if x != y) % PRIME for y in known
    ]


def uniform(count: int, coins: Entropy) -> list[int]:
    """Field elements from words of two bytes; what is none is drawn again."""
    found: list[int] = []
    while len(found) < count:
        found += elements(coins(2 * (count - len(found))))
    return found


def challenge(seed: bytes, columns: int) -> list[list[int]]:
    """rho: a row of field elements for each column of the proof."""
    wanted = PROOFS * columns
    drawn = hashlib.shake_128(labelled(Label.XOF_DEALING, seed)).digest(4 * wanted + 128)
    return in_rows(elements(drawn)[:wanted], columns)


def elements(data: bytes) -> list[int]:
    """The words of two bytes that are field elements."""
    words = (int.from_bytes(data[at : at + 2], "little") for at in range(0, len(data), 2))
    return [word for word in words if word < PRIME]


def little(values: Sequence[int]) -> bytes:
    """Two bytes each."""
    return b"".join(value.to_bytes(2, "little") for value in values)


def in_rows(values: Sequence[int], width: int) -> list[list[int]]:
    """Cut into rows."""
    return [list(values[at : at + width]) for at in range(0, len(values), width)]


def fits(
    row: Sequence[int],
    proof: Sequence[Sequence[int]],
    basis: Sequence[int],
    rho: Sequence[Sequence[int]],
) -> bool:
    """Whether a member's row lies on the polynomials of a proof."""
    columns = len(row) - PROOFS
    said = [sum(b * g for b, g in zip(basis, column, strict=True)) % PRIME for column in proof]
    held = [
        (row[columns + c] + sum(a * v for a, v in zip(rho[c], row[:columns], strict=True))) % PRIME
        for c in range(PROOFS)
    ]
    return said == held
