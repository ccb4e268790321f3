"""A lying orchestrator changes one request to one gateway: the check that notices, by its name.

What every scheme checks of K and P is tested in tests/schemes/test_client_rows.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec
import pytest

from secagg import errors, wire
from secagg.canonical import decode
from secagg.crypto.labels import Label
from secagg.params import Ring
from secagg.protocol.events import Aborted, Send
from secagg.protocol.journal import MemoryJournal
from secagg.protocol.messages import COMMON, Answer, Signed, sign_round, sign_session
from secagg.protocol.prekeys import Prekey
from secagg.schemes.additive import Lattice
from secagg.schemes.additive.messages import (
    MESSAGES,
    AnswerAgainRequest,
    AnswerRequest,
    IncludedRequest,
    UploadRequest,
)
from secagg.session.loopback import Frame
from secagg.thresholds import derive
from secagg.wire import VECTOR, Codec, MessageTable
from tests.schemes.world import World

CODEC = Codec(MessageTable(dict(COMMON) | dict(MESSAGES)))
VICTIM = 2
LARGE = 66
OUTSIDE = 65
"""A position outside the committee of 66 gateways."""
replace = msgspec.structs.replace


@dataclass
class Lied(World):
    """One request to the victim arrives changed, and nothing after it."""

    victim: int = VICTIM
    kind: type = UploadRequest
    change: Callable[[World, Any], Any] = lambda _, m: m
    reasons: list[Exception] = field(default_factory=list)
    afterwards: list[str] = field(default_factory=list)

    def arrive(self, i: int, data: bytes) -> list[Frame]:
        if i == self.victim:
            if self.reasons:
                return []
            message = CODEC.decode(wire.open(data))
            if isinstance(message, self.kind):
                self.lie(i, self.change(self, message))
                return []
        return super().arrive(i, data)

    def lie(self, i: int, message: Any) -> None:
        for event in self.clients[i].receive(CODEC.encode(message, self.server.session)):
            if isinstance(event, Aborted):
                self.reasons.append(event.reason)
            elif isinstance(event, Send):
                answer = CODEC.decode(wire.open(event.frame))
                assert isinstance(answer, Answer)
                self.afterwards.append(answer.step)


def bits(world: World, *positions: int) -> bytes:
    return world.server._cohort.bits(positions)


def keyed(world: World, request: UploadRequest, keep: int) -> UploadRequest:
    """Only the first prekeys."""
    prekeys = request.prekeys[:keep]
    return replace(request, keyed=bits(world, *range(keep)), prekeys=prekeys)


def swapped(request: UploadRequest, at: int, signed: Signed) -> UploadRequest:
    prekeys = list(request.prekeys)
    prekeys[at] = signed
    return replace(request, prekeys=tuple(prekeys))


def prekey_of(world: World, i: int, request: UploadRequest, **changes: Any) -> Signed:
    """A prekey that its owner, who colludes, has signed."""
    prekey = decode(Prekey, request.prekeys[i].body)
    return Signed.make(world.identities[i].key, Label.SIGN_PREKEY, replace(prekey, **changes))


def key_of(request: UploadRequest, i: int) -> bytes:
    return decode(Prekey, request.prekeys[i].body).key


def with_round(world: World, request: UploadRequest, **changes: Any) -> UploadRequest:
    params = replace(request.round.claimed, **changes)
    return replace(request, round=sign_round(world.orchestrator.key, params))


def with_ring(world: World, request: UploadRequest, **changes: Any) -> UploadRequest:
    return with_round(world, request, ring=replace(request.round.claimed.ring, **changes))


def other_session(world: World, request: UploadRequest) -> UploadRequest:
    """Another K of the same session id."""
    params = replace(request.announce.claimed, round=request.announce.claimed.round + 1)
    return replace(request, announce=sign_session(world.orchestrator.key, params))


def other_scheme(world: World, request: UploadRequest) -> Any:
    params = replace(request.announce.claimed, scheme="masks")
    return replace(request, announce=sign_session(world.orchestrator.key, params))


def limited(world: World, request: UploadRequest) -> UploadRequest:
    """One coordinate more than fits."""
    vectors = list(request.round.claimed.vectors)
    vectors[0] = replace(vectors[0], limit=vectors[0].limit + 1)
    return with_round(world, request, vectors=tuple(vectors))


@lru_cache(1)
def earlier() -> UploadRequest:
    """The request of the round before, under the same roster."""
    world = World(Lattice(), 4, round=7).play()
    frames = (frame.data for frame in world.log if not frame.up)
    messages = (CODEC.decode(wire.open(data)) for data in frames if wire.open(data).type != VECTOR)
    return next(message for message in messages if isinstance(message, UploadRequest))


def masks_thresholds(world: World, request: UploadRequest) -> UploadRequest:
    params = replace(request.announce.claimed, thresholds=derive(4))
    return replace(request, announce=sign_session(world.orchestrator.key, params))


UPLOADS: dict[str, tuple[Callable[[World, Any], Any], type[Exception]]] = {
    "another K": (other_session, errors.ForeignSession),
    "P of a stranger": (
        lambda w, m: replace(m, round=sign_round(w.identities[0].key, m.round.claimed)),
        errors.BadSignature,
    ),
    "no ring": (lambda w, m: with_round(w, m, ring=None), errors.UnsupportedParameters),
    "a small ring": (lambda w, m: with_ring(w, m, degree=1024), errors.UnsupportedParameters),
    "another modulus": (
        lambda w, m: with_ring(w, m, moduli=(2**33,)),
        errors.UnsupportedParameters,
    ),
    "a step of nothing": (lambda w, m: with_ring(w, m, step=0), errors.UnsupportedParameters),
    "a limit that overflows": (limited, errors.UnsupportedParameters),
    "keys without mine": (
        lambda w, m: replace(m, keyed=bits(w, 0, 1, 3), prekeys=(*m.prekeys[:2], m.prekeys[3])),
        errors.SelfMissing,
    ),
    "a prekey too few": (
        lambda w, m: replace(m, prekeys=m.prekeys[:3]),
        errors.WireError,
    ),
    "a hash too many": (lambda w, m: replace(m, hashes=(bytes(32),)), errors.WireError),
    "another in the place of mine": (
        lambda w, m: swapped(m, VICTIM, m.prekeys[0]),
        errors.OwnMessageAltered,
    ),
    "a prekey signed by nobody": (
        lambda w, m: swapped(m, 0, Signed(body=m.prekeys[0].body, signature=bytes(64))),
        errors.BadSignature,
    ),
    "anothers prekey": (lambda w, m: swapped(m, 0, m.prekeys[1]), errors.BadSignature),
    "a prekey of another round": (
        lambda w, m: swapped(m, 0, earlier().prekeys[0]),
        errors.ForeignSession,
    ),
    "a prekey of another roster": (
        lambda w, m: swapped(m, 0, prekey_of(w, 0, m, roster=bytes(32))),
        errors.ForeignSession,
    ),
    "a prekey in anothers name": (
        lambda w, m: swapped(m, 0, prekey_of(w, 0, m, member=1)),
        errors.ForeignSession,
    ),
    "a prekey of low order": (
        lambda w, m: swapped(m, 0, prekey_of(w, 0, m, key=bytes(32))),
        errors.BadPublicKey,
    ),
    "a key twice": (
        lambda w, m: swapped(m, 0, prekey_of(w, 0, m, key=key_of(m, 1))),
        errors.BadPublicKey,
    ),
    "the orchestrators key": (
        lambda w, m: swapped(m, 0, prekey_of(w, 0, m, key=m.announce.claimed.orchestrator_key)),
        errors.BadPublicKey,
    ),
    "something else under the label": (
        lambda w, m: swapped(
            m,
            0,
            Signed.make(w.identities[0].key, Label.SIGN_PREKEY, Ring(degree=1, moduli=(), step=1)),
        ),
        errors.WireError,
    ),
}

ANSWERS: dict[str, tuple[Callable[[World, Any], Any], type[Exception]]] = {
    "a set without me": (
        lambda w, m: replace(m, included=bits(w, 0, 1, 3)),
        errors.SelfMissing,
    ),
    "a set below the floor": (
        lambda w, m: replace(m, included=bits(w, 0, VICTIM), shares=m.shares[:1]),
        errors.BelowFloor,
    ),
    "a bitmap of another size": (lambda w, m: replace(m, included=b""), errors.WireError),
    "a share too few": (lambda w, m: replace(m, shares=m.shares[:2]), errors.WireError),
    "a prekey too many": (
        lambda w, m: replace(m, prekeys=(Signed(body=b"", signature=b""),)),
        errors.WireError,
    ),
    "asked again first": (
        lambda w, m: AnswerAgainRequest(included=m.included),
        errors.UnexpectedMessage,
    ),
    "a set to certify": (
        lambda w, m: IncludedRequest(included=m.included),
        errors.UnexpectedMessage,
    ),
}


def refused(world: Lied, error: type[Exception]) -> None:
    """The victim has named the check, said goodbye, and forgotten its secrets."""
    world.play()
    client = world.clients[world.victim]._client

    assert [error] == [type(reason) for reason in world.reasons]
    assert ["abort"] == world.afterwards
    assert client is None or not client._rows._rows
    assert client is None or client.done


@pytest.mark.parametrize("row", UPLOADS)
def test_an_upload_request(row):
    change, error = UPLOADS[row]
    refused(Lied(Lattice(), 4, round=8, change=change), error)


@pytest.mark.parametrize("row", ANSWERS)
def test_an_answer_request(row):
    change, error = ANSWERS[row]
    refused(Lied(Lattice(), 4, kind=AnswerRequest, change=change), error)


def test_thresholds_of_masks():
    """The first request after a set-up of the round before is the first sight of K."""
    journals = {i: MemoryJournal() for i in range(4)}
    setup = World(Lattice(), 4, journals=journals).play().server.setup
    again = {"round": 2, "session": "2", "journals": journals, "setup": setup}
    refused(Lied(Lattice(), 4, change=masks_thresholds, **again), errors.ThresholdMismatch)


def test_too_few_prekeys():
    world = Lied(Lattice(), 10, change=lambda w, m: keyed(w, m, 6))  # m - D is 7
    refused(world, errors.TooFewPrekeys)


def test_as_many_prekeys_as_needed():
    world = Lied(Lattice(), 10, change=lambda w, m: keyed(w, m, 7)).play()

    assert [] == world.reasons
    assert ["upload"] == world.afterwards


def test_a_gateway_that_has_no_prekey_for_the_round():
    world = World(Lattice(), 4)
    requests = []

    def passes(frame: Frame) -> Iterator[bytes]:
        message = CODEC.decode(wire.open(frame.data)) if not frame.up else None
        if isinstance(message, UploadRequest) and frame.gateway == VICTIM:
            requests.append(frame.data)
        else:
            yield frame.data

    world.passes = passes
    world.play()
    restarted = World(Lattice(), 4, journals={i: MemoryJournal() for i in range(4)})
    events = list(restarted.clients[VICTIM].receive(requests[0]))

    assert [errors.StateLost] == [type(e.reason) for e in events if isinstance(e, Aborted)]


class Idle(Lied):
    """The victim deals its key, and is still training when the others are asked."""

    def upload(self, i):
        return iter(()) if i == VICTIM else super().upload(i)

    def asked(self) -> AnswerRequest:
        """What the victim would be asked, had it uploaded."""
        self.play()
        assert self.included == (0, 1, 3)
        request = self.server._server._ask_answers(frozenset(self.ids))[VICTIM]
        return replace(request, certificate=None)  # made by now, for the audit record


def test_a_set_with_my_upload_before_it_has_left():
    world = Idle(Lattice(), 4, kind=type(None))
    request = world.asked()
    world.lie(VICTIM, replace(request, included=bits(world, 0, 1, 2, 3)))

    assert [errors.UnexpectedMessage] == [type(reason) for reason in world.reasons]


def test_a_member_without_an_upload_answers_and_has_spent_the_round():
    """It opens the others' sum, and can upload no more, in whatever session."""
    world = Idle(Lattice(), 4, kind=type(None))
    world.lie(VICTIM, world.asked())
    client = world.clients[VICTIM]._client

    assert [] == world.reasons
    assert ["answer"] == world.afterwards
    assert client.done
    assert client._context.journal.last_round(world.roster.hash()) == 1


def test_another_scheme_than_was_announced():
    """A gateway that speaks several schemes stays with the one it began with."""
    world = Lied(Lattice(), 4, change=other_scheme)
    refused(world, errors.ForeignSession)


# -- above 64 gateways -----------------------------------------------------------------------------

CERTIFIED: dict[str, tuple[Callable[[World, Any], Any], type[Exception]]] = {
    "no certificate": (lambda w, m: replace(m, certificate=None), errors.NoQuorum),
    "a signature too few": (
        lambda w, m: replace(
            m,
            certificate=replace(
                m.certificate,
                signers=bits(w, *range(len(m.certificate.signatures) - 1)),
                signatures=m.certificate.signatures[:-1],
            ),
        ),
        errors.NoQuorum,
    ),
    "a signature on something else": (
        lambda w, m: replace(
            m,
            certificate=replace(
                m.certificate,
                signatures=(m.certificate.signatures[1], *m.certificate.signatures[1:]),
            ),
        ),
        errors.BadSignature,
    ),
    "another set than was certified": (
        lambda w, m: replace(m, included=bits(w, *range(LARGE - 1))),
        errors.NotASubset,
    ),
    "a dealers other prekey": (
        lambda w, m: replace(
            m, prekeys=(Signed(body=m.prekeys[0].body, signature=bytes(64)), *m.prekeys[1:])
        ),
        errors.HeaderMismatch,
    ),
    "no prekeys": (lambda w, m: replace(m, prekeys=()), errors.WireError),
}


@pytest.mark.parametrize("row", CERTIFIED)
def test_a_certified_answer_request(row):
    change, error = CERTIFIED[row]
    scheme = Lattice(committee=LARGE - 2)
    refused(Lied(scheme, LARGE, kind=AnswerRequest, change=change), error)


@pytest.mark.parametrize(
    ("positions", "error"),
    [
        ([i for i in range(LARGE) if i != VICTIM], errors.SelfMissing),
        (range(30), errors.BelowFloor),
    ],
)
def test_a_set_that_is_not_to_be_certified(positions, error):
    world = Lied(
        Lattice(committee=LARGE - 2),
        LARGE,
        kind=IncludedRequest,
        change=lambda w, m: IncludedRequest(included=bits(w, *positions)),
    )
    refused(world, error)


def test_only_members_of_the_committee_are_asked_for_shares():
    """Before it certifies, that is: a gateway outside is done when it has."""
    answers = []

    def remember(world: World, request: IncludedRequest) -> Any:
        answers.append(request)
        return AnswerRequest(
            included=request.included, certificate=None, prekeys=(), hashes=(), shares=()
        )

    world = Lied(
        Lattice(committee=LARGE - 2),
        LARGE,
        victim=OUTSIDE,
        kind=IncludedRequest,
        change=remember,
    )
    refused(world, errors.UnexpectedMessage)
