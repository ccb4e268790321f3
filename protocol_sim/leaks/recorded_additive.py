"""The additive schemes: shares of keys and sums of shares as equations, out of the real messages.

An upload opens exactly where its key does, so the inputs here are the keys: the values that one
column of a dealing carries. All columns are alike. A key counts whether its upload has come or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from protocol_sim.leaks.additive import Matrix, Sharing
from protocol_sim.leaks.equations import Equation
from protocol_sim.leaks.names import Agreed, Input, Unknown
from protocol_sim.leaks.recorder import Line, Recorder
from secagg import canonical
from secagg.canonical import members
from secagg.crypto.reed_solomon import PRIME
from secagg.params import SessionParams, Thresholds
from secagg.protocol.messages import Announce, UploadHeader
from secagg.protocol.prekeys import Prekey
from secagg.protocol.transcript import (
    advert_hash,
    included_hash,
    round_hash,
    session_hash,
    shares_hash,
    shown_keys_hash,
)
from secagg.schemes.additive.messages import (
    AnswerAgainRequest,
    AnswerRequest,
    Dealing,
    KeySum,
    UploadRequest,
)

Positions = frozenset[int]


@dataclass(frozen=True)
class Dealt:
    """One gateway's dealing, and what it was shown.

    Attributes:
        line: session and gateway.
        params: K.
        position: of the gateway.
        h0, h2: its transcript.
        keys: prekeys of those that it was shown, by position.
        message: its shares.
    """

    line: Line
    params: SessionParams
    position: int
    h0: bytes
    h2: bytes
    keys: Mapping[int, Prekey]
    message: Dealing

    @property
    def receivers(self) -> list[int]:
        """Positions that the shares are for, in order."""
        committee = self.params.thresholds.committee
        return sorted(i for i in self.keys if i < committee and i != self.position)


def read(recorder: Recorder, colluding: frozenset[str]) -> tuple[list[Equation], list[Agreed]]:
    """Equations over the keys of honest gateways, and the sets that they have answered for.

    Args:
        recorder: what the server has sent and received.
        colluding: gateways whose keys it has; `Recorder.keys` under "" are its own.
    """
    privates = {key for name in (*colluding, "") for key in recorder.keys[name]}
    dealt = [each for line in recorder.lines() for each in _dealt(recorder, line)]
    honest = {
        sealed: each
        for each in dealt
        for sealed in each.message.ciphertexts
        if each.line.gateway not in colluding
    }
    equations = [
        _row(receiver, [each])
        for each in dealt
        if each.line.gateway not in colluding
        for receiver in each.receivers
        if each.keys[receiver].key in privates
    ]
    names = {(each.line.session, each.position): each.line.gateway for each in dealt}
    agreed = []
    for each in dealt:
        if each.line.gateway not in colluding:
            for included, summed in _answers(recorder, each, honest):
                equations.append(_row(each.position, summed))
                session, limits = each.line.session, each.params.thresholds
                who = frozenset(names.get((session, i), f"position {i}") for i in included)
                agreed.append(Agreed(each.params.round, session, who, limits.min_included))
    return equations, agreed


def _row(member: int, dealings: Sequence[Dealt]) -> Equation:
    """A member's share, or the sum of its shares, in one column."""
    row: Equation = {}
    for dealt in dealings:
        limits = dealt.params.thresholds
        numbers = [int(number) for number in _matrix(limits)[member]]
        place = dealt.params.round, dealt.line.gateway, dealt.line.session
        for at, number in enumerate(numbers):
            inside = at < limits.packed
            name = Input(*place, at) if inside else Unknown(("random", dealt.message.salt, at))
            row[name] = (row.get(name, 0) + number) % PRIME
    return {name: value for name, value in row.items() if value}


@lru_cache(16)
def _matrix(limits: Thresholds) -> Matrix:
    return Sharing(limits.committee, limits.packed, limits.share_threshold, frozenset()).matrix


def _dealt(recorder: Recorder, line: Line) -> Iterator[Dealt]:
    """Each dealing with the request that it answers: its h2 says which."""
    for message in recorder.answers(line, "upload", Dealing):
        header = canonical.decode(UploadHeader, message.header.body)
        for request, params in _shown(recorder, line):
            n = params.thresholds.gateways
            h0, keys = _keyring(request, params, header.position)
            keyed = members(request.keyed, n)
            if header.h2 == shares_hash(h0, round_hash(request.round.claimed), n, keyed):
                yield Dealt(line, params, header.position, h0, header.h2, keys, message)
                break


def _shown(recorder: Recorder, line: Line) -> Iterator[tuple[UploadRequest, SessionParams]]:
    """Every request with every K: a gateway may have begun with another than comes with it."""
    announced = [announce.claimed for announce in recorder.requests(line, Announce)]
    for request in recorder.requests(line, UploadRequest):
        for params in dict.fromkeys([request.announce.claimed, *announced]):
            yield request, params


def _keyring(
    request: UploadRequest, params: SessionParams, position: int
) -> tuple[bytes, dict[int, Prekey]]:
    """h0, and the prekeys that a gateway was shown."""
    limits = params.thresholds
    keyed = members(request.keyed, limits.gateways)
    shown = sorted(keyed & {*range(limits.committee), position})
    signed = dict(zip(shown, request.prekeys, strict=False))
    hashes = {place: advert_hash(each) for place, each in signed.items()}
    keys = {place: canonical.decode(Prekey, each.body) for place, each in signed.items()}
    h0 = shown_keys_hash(session_hash(params), limits.gateways, keyed, hashes, request.hashes)
    return h0, keys


def _answers(
    recorder: Recorder, dealt: Dealt, honest: Mapping[bytes, Dealt]
) -> Iterator[tuple[Positions, list[Dealt]]]:
    """Each sum that a member has released: over which set, and of which honest dealings."""
    n, line = dealt.params.thresholds.gateways, dealt.line
    for step in ("answer", "answer_again"):
        for answer in recorder.answers(line, step, KeySum):
            if not answer.shares:
                continue
            for request in recorder.requests(line, AnswerRequest):
                for included in _sets(recorder, line, request, n):
                    if answer.h3 == included_hash(dealt.h0, dealt.h2, n, included):
                        yield included, _summed(dealt, request, included, honest)


def _sets(recorder: Recorder, line: Line, request: AnswerRequest, n: int) -> set[Positions]:
    again = (each.included for each in recorder.requests(line, AnswerAgainRequest))
    return {members(bits, n) for bits in (request.included, *again)}


def _summed(
    dealt: Dealt, request: AnswerRequest, included: Positions, honest: Mapping[bytes, Dealt]
) -> list[Dealt]:
    n = dealt.params.thresholds.gateways
    dealers = sorted(members(request.included, n) - {dealt.position})
    sealed = dict(zip(dealers, (share.ciphertext for share in request.shares), strict=True))
    others = (honest.get(sealed[dealer]) for dealer in sorted(included - {dealt.position}))
    own = [dealt] if dealt.position in included else []
    return own + [each for each in others if each is not None]
