"""Scheme masks, out of the real messages: who dealt what, who uploaded under which transcript.

An answer belongs to the request whose hashes it carries, whatever else its gateway was shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from protocol_sim.leaks.recorder import Line, Recorder
from secagg import canonical
from secagg.canonical import members
from secagg.params import SessionParams, VectorSpec
from secagg.protocol.messages import Announce, UploadHeader
from secagg.protocol.transcript import (
    advert_hash,
    included_hash,
    round_hash,
    session_hash,
    shares_hash,
    shown_keys_hash,
)
from secagg.schemes.masks.messages import (
    AdvertiseKeys,
    ConsistencyRequest,
    MaskedInputRequest,
    ShareKeys,
    ShareKeysRequest,
    Unmasking,
)
from secagg.thresholds import neighbours

Edge = tuple[bytes, int, int, frozenset[bytes]]
"""h2, both positions, both mask keys."""
Positions = frozenset[int]


@dataclass(frozen=True)
class Dealt:
    """What one gateway dealt, and the keys it was shown.

    Attributes:
        line: session and gateway.
        params: K.
        position: of the gateway.
        keys: of itself and its neighbours, by position.
        message: its shares.
    """

    line: Line
    params: SessionParams
    position: int
    keys: Mapping[int, AdvertiseKeys]
    message: ShareKeys

    @property
    def holders(self) -> list[int]:
        """Positions that the shares are for, in order."""
        return sorted(self.keys.keys() - {self.position})


@dataclass(frozen=True)
class Hidden:
    """One upload: under which transcript, and over which dealers.

    Attributes:
        dealt: by the same gateway under the same h0.
        h2: its transcript.
        u2: dealers.
        vectors: of P; small here, one frame each.
        number: of the uploads of this gateway in this session.
    """

    dealt: Dealt
    h2: bytes
    u2: Positions
    vectors: tuple[VectorSpec, ...]
    number: int

    def edges(self) -> Iterator[tuple[int, Edge]]:
        """Neighbours, and the names of the secrets shared with them."""
        mine = self.dealt.position
        for peer in sorted(self.dealt.keys.keys() & self.u2 - {mine}):
            keys = frozenset(self.dealt.keys[end].mask_key for end in (mine, peer))
            yield peer, (self.h2, min(mine, peer), max(mine, peer), keys)


def dealings(recorder: Recorder) -> list[Dealt]:
    """Everybody's shares."""
    return [each for line in recorder.lines() for each in _dealt(recorder, line)]


def _dealt(recorder: Recorder, line: Line) -> Iterator[Dealt]:
    """Each set of shares, with the request that it answers: h0 says which."""
    announced = {
        session_hash(each.claimed): each.claimed for each in recorder.requests(line, Announce)
    }
    adverts = {
        each.session: each.position
        for each in recorder.answers(line, "advertise_keys", AdvertiseKeys)
    }
    for message in recorder.answers(line, "share_keys", ShareKeys):
        for request in recorder.requests(line, ShareKeysRequest):
            for k, position in adverts.items():
                keys = _keys(request, announced[k], position)
                if keys is not None and _h0(request, announced[k], position) == message.h0:
                    yield Dealt(line, announced[k], position, keys, message)


def _near(params: SessionParams, position: int, u1: Positions) -> list[int]:
    return sorted(u1 & (neighbours(params.thresholds, position) | {position}))


def _keys(
    request: ShareKeysRequest, params: SessionParams, position: int
) -> dict[int, AdvertiseKeys] | None:
    near = _near(params, position, members(request.present, params.thresholds.gateways))
    if len(near) != len(request.adverts):
        return None
    bodies = (canonical.decode(AdvertiseKeys, signed.body) for signed in request.adverts)
    return dict(zip(near, bodies, strict=True))


def _h0(request: ShareKeysRequest, params: SessionParams, position: int) -> bytes:
    n = params.thresholds.gateways
    u1 = members(request.present, n)
    near = _near(params, position, u1)
    hashes = dict(zip(near, map(advert_hash, request.adverts), strict=True))
    return shown_keys_hash(session_hash(params), n, u1, hashes, request.hashes)


def uploads(recorder: Recorder, dealt: Sequence[Dealt]) -> Iterator[Hidden]:
    """Uploads of which the server has a frame at least."""
    for each in dealt:
        if recorder.frames[each.line]:
            yield from _headers(recorder, each)


def _headers(recorder: Recorder, dealt: Dealt) -> Iterator[Hidden]:
    n = dealt.params.thresholds.gateways
    headers = recorder.answers(dealt.line, "masked_input", UploadHeader)
    for number, header in enumerate(headers):
        for request in recorder.requests(dealt.line, MaskedInputRequest):
            u2 = members(request.dealers, n)
            if header.h2 == shares_hash(dealt.message.h0, round_hash(request.round.claimed), n, u2):
                yield Hidden(dealt, header.h2, u2, request.round.claimed.vectors, number)
                break


Opening = tuple[Hidden, Positions, Unmasking]


def answers(recorder: Recorder, dealt: Sequence[Dealt]) -> Iterator[Opening]:
    """Each last answer with the upload and the U3 that it is about: h3 says which."""
    for each in dealt:
        n = each.params.thresholds.gateways
        for answer in recorder.answers(each.line, "unmasking", Unmasking):
            for upload in _headers(recorder, each):
                for request in recorder.requests(each.line, ConsistencyRequest):
                    u3 = members(request.included, n)
                    if answer.h3 == included_hash(each.message.h0, upload.h2, n, u3):
                        yield upload, u3, answer
                        break
