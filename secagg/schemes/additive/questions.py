"""Makes the server's two large requests when they are sent, small enough for a frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from secagg import wire
from secagg.canonical import encode
from secagg.crypto.packed import evaluate_each
from secagg.errors import ConfigurationError
from secagg.params import Struct, Thresholds
from secagg.protocol.certificate import Certificate
from secagg.protocol.identity import Cohort
from secagg.protocol.messages import Announce, Signed, SignedRound
from secagg.protocol.prekeys import Prekey
from secagg.schemes.additive.messages import AnswerRequest, Dealing, DealtShare, UploadRequest
from secagg.schemes.additive.shares import SALT_BYTES, dealing_digest, packing_of
from secagg.thresholds import PROOF_COLUMNS

Prove = Callable[[Iterable[int]], tuple[bytes, ...]]
"""From the positions whose prekeys are shown to the hashes that take them to h0."""


class Requests(Mapping[int, Struct]):
    """Requests by position, each made when it is asked for: all of them would be every share.

    Args:
        positions: of the receivers.
        make: the request of one.
    """

    def __init__(self, positions: Sequence[int], make: Callable[[int], Struct]) -> None:
        self._positions = positions
        self._make = make

    def __getitem__(self, position: int) -> Struct:
        return self._make(position)

    def __iter__(self) -> Iterator[int]:
        return iter(self._positions)

    def __len__(self) -> int:
        return len(self._positions)


def upload_requests(
    announce: Announce,
    signed_round: SignedRound,
    cohort: Cohort,
    prekeys: Mapping[int, Signed],
    prove: Prove,
) -> Requests:
    """K, P and all prekeys, for everybody who has one.

    Members of the committee get the same request; another's has its own prekey among theirs.

    Args:
        announce: signed K.
        signed_round: signed P.
        cohort: of the session.
        prekeys: by position, U1.
        prove: what takes the prekeys of some positions to h0.
    """
    bitmap = cohort.bits(prekeys)
    committee = frozenset(prekeys.keys() & set(range(announce.claimed.thresholds.committee)))

    def request(shown: frozenset[int]) -> UploadRequest:
        return UploadRequest(
            announce=announce,
            round=signed_round,
            keyed=bitmap,
            prekeys=tuple(prekeys[place] for place in sorted(shown)),
            hashes=prove(shown),
        )

    same = request(committee)
    return Requests(
        sorted(prekeys),
        lambda place: same if place in committee else request(committee | {place}),
    )


def answer_requests(
    members: Sequence[int],
    *,
    h2: bytes,
    cohort: Cohort,
    limits: Thresholds,
    prekeys: Mapping[int, Signed],
    dealt: Mapping[int, Dealing],
    certificate: Certificate | None,
    prove: Prove,
) -> Requests:
    """The set, and for each member its shares.

    Args:
        members: of the committee, who are asked.
        h2: transcript of prekeys and P.
        cohort: of the session.
        limits: m, R, ell.
        prekeys: by position, U1.
        dealt: by position, U3.
        certificate: above 64 gateways.
        prove: as above.
    """
    dealers = sorted(dealt)
    digests = {i: dealing_digest(h2, i, dealt[i].salt, dealt[i].ciphertexts) for i in dealers}
    evaluations = _evaluations(dealt, limits)
    # a dealer's ciphertexts go over the members with a prekey, without itself
    keyed = [place for place in sorted(prekeys) if place < limits.committee]
    places = {member: at for at, member in enumerate(keyed)}
    outside = [dealer for dealer in dealers if dealer >= limits.committee]
    hashes = prove([*keyed, *outside])
    bitmap = cohort.bits(dealers)

    def share(dealer: int, member: int) -> DealtShare:
        at = places[member] - (dealer in places and dealer < member)
        return DealtShare(
            salt=dealt[dealer].salt,
            ciphertext=dealt[dealer].ciphertexts[at],
            digest=digests[dealer],
            evaluation=evaluations[dealer][member].tobytes(),
        )

    def request(member: int) -> AnswerRequest:
        return AnswerRequest(
            included=bitmap,
            certificate=certificate,
            prekeys=tuple(prekeys[dealer] for dealer in outside),
            hashes=hashes,
            shares=tuple(share(dealer, member) for dealer in dealers if dealer != member),
        )

    return Requests(members, request)


def _evaluations(dealt: Mapping[int, Dealing], limits: Thresholds) -> dict[int, NDArray[np.uint16]]:
    """Every dealing proof at every member's point: uint16[m, 8] by dealer."""
    proofs = [
        np.frombuffer(dealing.proof, "<u2").reshape(PROOF_COLUMNS, -1) for dealing in dealt.values()
    ]
    values = evaluate_each(np.stack(proofs), packing_of(limits)).astype("<u2")
    return dict(zip(dealt, values, strict=True))


def check_sizes(
    announce: Announce, signed_round: SignedRound, cohort: Cohort, sealed_bytes: int
) -> None:
    """Refuse a cohort or a model whose largest request does not fit into a frame.

    Args:
        announce: signed K.
        signed_round: signed P.
        cohort: of the session.
        sealed_bytes: of one sealed share.

    Raises:
        ConfigurationError: naming what to change.
    """
    n, params = len(cohort), announce.claimed
    limits = params.thresholds
    bits, key = cohort.bits(()), bytes(32)
    name = max(cohort.ids, key=lambda name: len(str(name)))
    prekey = encode(Prekey(roster=key, round=params.round, member=name, key=key))
    signed = (Signed(body=prekey, signature=bytes(64)),)
    share = DealtShare(
        salt=bytes(SALT_BYTES),
        ciphertext=bytes(sealed_bytes),
        digest=key,
        evaluation=bytes(2 * PROOF_COLUMNS),
    )
    upload = UploadRequest(
        announce=announce,
        round=signed_round,
        keyed=bits,
        prekeys=signed * (limits.committee + 1),
        hashes=(key,) * 2 * n.bit_length(),
    )
    answer = AnswerRequest(
        included=bits,
        certificate=Certificate(signers=bits, signatures=(bytes(64),) * limits.quorum),
        prekeys=signed * (n - limits.committee),
        hashes=(key,) * limits.max_dropouts,
        shares=(share,) * (n - 1),
    )
    for request, cure in ((upload, "average fewer, larger arrays"), (answer, "lower D or n")):
        if (size := len(encode(request))) > wire.MAX_PAYLOAD:
            raise ConfigurationError(
                f"a request of {size} bytes, frames hold {wire.MAX_PAYLOAD}: {cure}"
            )
