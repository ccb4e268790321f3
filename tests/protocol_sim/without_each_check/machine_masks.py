"""Attacks on one machine alone: questions in a wrong order, restarts, other models, bad shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np

from protocol_sim.leaks.masks import Shown
from protocol_sim.leaks.questions import MODEL, Questions, Upload, zeros
from protocol_sim.memory import Exchange
from protocol_sim.parties import MAX_WEIGHT, Parties
from secagg import canonical
from secagg.crypto.labels import Label
from secagg.errors import SecAggError
from secagg.protocol.certificate import Certificate
from secagg.protocol.journal import MemoryJournal
from secagg.protocol.messages import UploadHeader
from secagg.protocol.policy import Policy
from secagg.protocol.sharing import commit_share, seal_share
from secagg.schemes.additive.messages import IncludedRequest
from secagg.schemes.masks import Masks
from secagg.schemes.masks.messages import (
    ConsistencyRequest,
    SealedShares,
    ShareKeysRequest,
    UnmaskingRequest,
)
from secagg.session import Model, SessionSettings, UpdateEncoding
from tests.protocol_sim.without_each_check.endings import (
    ANSWERED,
    COMPLAINS,
    SAME,
    each,
    last,
    replace,
)
from tests.protocol_sim.without_each_check.leaking_sets import FOUR, circulant, of
from tests.protocol_sim.without_each_check.source import find, without

WHOLE = Upload(0, 0, of(0, 1, 2, 3), of(1, 2, 3))


def tried(receive: Callable[[Any], Any], request: Any) -> None:
    """A question whose refusal is expected."""
    with suppress(SecAggError):
        receive(request)


class One:
    """A masks client and its questions."""

    def __init__(self, journal: MemoryJournal | None = None) -> None:
        journals = None if journal is None else {0: journal}
        self.questions = Questions(FOUR, of(3), journals=journals)
        self.client = self.questions.client(0)

    def keys(self) -> One:
        self.client.receive(self.questions.announce)
        self.client.receive(self.questions.keys(0, 0))
        return self

    def accepted(self) -> One:
        self.keys().client.receive(self.questions.request(0, WHOLE))
        return self

    def uploaded(self) -> One:
        for _ in self.accepted().client.upload(lambda: zeros, MODEL):
            pass
        return self

    def consistency(self, u3: frozenset[int]) -> ConsistencyRequest:
        question, names = WHOLE[:3], self.questions.identities
        headers = (self.questions.header(names[j], j, question) for j in sorted(u3 - {0}))
        return ConsistencyRequest(included=self.questions.cohort.bits(u3), headers=tuple(headers))

    def certificate(self, u3: frozenset[int]) -> Certificate:
        names = {i: self.questions.identities[i] for i in u3}
        return self.questions.certificate(Shown(*WHOLE[:3], u3), names)


def unmasking_first() -> str:
    one = One().keys()
    request = UnmaskingRequest(certificate=Certificate(signers=b"\0", signatures=()))
    return last(each(one.client, [request]))


def keys_of_the_others() -> str:
    """U1 without the gateway, consistent in itself."""
    one = One()
    one.client.receive(one.questions.announce)
    adverts = one.questions.keys(0, 0).adverts[1:]
    present = one.questions.cohort.bits(of(1, 2, 3))
    request = ShareKeysRequest(present=present, adverts=adverts, hashes=())
    return last(each(one.client, [request]))


def keys_of_no_neighbour() -> str:
    """On a test-only circulant: six of ten, of whom four next to the gateway are missing."""
    limits = circulant(10, 4, 1, 2, 2)
    with without(find("check_announce: thresholds.verify_thresholds")):
        questions = Questions(limits, of(5))
        client = questions.client(0)
        client.receive(questions.announce)
        own, far = questions.keys(0, 0).adverts[0], (bytes(32),) * 3  # whatever they say
        present = questions.cohort.bits(frozenset(range(10)) - questions.neighbours[0])
        request = ShareKeysRequest(present=present, adverts=(own,), hashes=far)
        return last(each(client, [request]))


def of_another_scheme() -> str:
    one = One().keys()
    return last(each(one.client, [IncludedRequest(included=b"\0")]))


def after_a_refusal() -> str:
    one, everybody = One().uploaded(), of(0, 1, 2, 3)
    tried(one.client.receive, one.consistency(of(1, 2, 3)))
    unmasking = UnmaskingRequest(certificate=one.certificate(everybody))
    return last(each(one.client, [one.consistency(everybody), unmasking]))


def another_set() -> str:
    one = One().uploaded()
    first = one.client.receive(one.consistency(of(0, 1, 2, 3)))

    def again() -> Iterator[Any]:
        yield SAME if one.client.receive(one.consistency(of(0, 1, 2))) == first else ANSWERED

    return last(again())


def just_started() -> str:
    one = One()
    return last(each(one.client, [one.questions.keys(0, 0)]))


def a_second_life() -> str:
    journal = MemoryJournal()
    one = One(journal)
    one.client.receive(one.questions.announce)
    first, life = one.client.receive(one.questions.keys(0, 0)), one.questions.client(0)

    def again() -> Iterator[Any]:
        yield SAME if life.receive(one.questions.keys(0, 0)) == first else ANSWERED

    return last(again())


def two_lives_at_once() -> str:
    """Both have looked into the journal before one of them writes."""
    journal = MemoryJournal()

    def race() -> Iterator[Any]:
        for life in (b"one", b"two"):
            journal.put(bytes(16), "consistency", life, life)
            yield ANSWERED

    return last(race())


def a_forgotten_session() -> str:
    journal = MemoryJournal()
    one = One(journal).keys()
    journal.forget(one.questions.params.session)
    life = one.questions.client(0)
    return last(each(life, [one.questions.announce, one.questions.keys(0, 0)]))


def an_upload_unasked() -> str:
    client = One().keys().client

    def upload() -> Iterator[Any]:
        yield list(client.upload(lambda: zeros, MODEL))

    return last(upload())


def a_set_before_the_upload() -> str:
    one = One().accepted()
    return last(each(one.client, [one.consistency(of(0, 1, 2, 3))]))


def another_model() -> str:
    client = One().accepted().client

    def upload() -> Iterator[Any]:
        yield list(client.upload(lambda: zeros, b"m" * 32))

    return last(upload())


def _shared(sealed: SealedShares) -> str:
    """What a gateway says to a share of its colluding neighbour."""
    one = One().keys()
    request = one.questions.request(0, WHOLE)
    changed = replace(request, shares=(*request.shares[:2], sealed))

    def deal() -> Iterator[Any]:
        signed = one.client.receive(changed)
        header = canonical.decode(UploadHeader, signed.body)
        yield COMPLAINS if one.questions.cohort.set_of(header.complaints) else ANSWERED

    return last(deal())


def a_wrong_commitment() -> str:
    sealed = One().questions.request(0, WHOLE).shares[2]
    return _shared(replace(sealed, seed_share=bytes(32)))


def a_share_of_no_field() -> str:
    """Not below the prime, but sealed and committed to as it should be."""
    questions = Questions(FOUR, of(3))
    dealer, session = questions.client(3), questions.params.session
    dealer.receive(questions.announce)
    dealer.receive(questions.keys(3, 0))
    share, labels = b"\xff" * 39, (Label.COMMIT_SEED_SHARE, Label.COMMIT_KEY_SHARE)
    key = dealer._channel(sender=3, receiver=0)
    promised = [commit_share(label, session, 3, 0, share) for label in labels]
    return _shared(
        SealedShares(
            ciphertext=seal_share(key, share * 2, session=session, sender=3, receiver=0),
            seed_share=promised[0],
            key_share=promised[1],
        )
    )


# -- a model twice ---------------------------------------------------------------------------------


def a_model_again() -> str:
    """Two rounds on one model, by gateways whose policy refuses that."""
    parties, model = Parties(4), Model({"w": np.zeros(7), "steps": np.zeros(3, np.int64)})
    policy = Policy(min_colluding=1)

    def play() -> Iterator[Any]:
        for number in (1, 2):
            exchange = Exchange(parties, number=number, model=model)
            exchange.clients["g0"] = parties.client("g0", number, policy=policy)
            exchange.play()
            if (error := exchange.failed("g0")) is not None:
                raise error
        yield ANSWERED

    return last(play())


def a_model_again_at_once() -> str:
    """Both rounds were accepted before one of them was uploaded in."""
    journal, roster, model = MemoryJournal(), bytes(32), b"m" * 32

    def store() -> Iterator[Any]:
        for number in (1, 2):
            journal.claim(roster, number, bytes([number]))
            journal.spend(roster, number, bytes([number]), model, purpose="train", uses=1)
            yield ANSWERED

    return last(store())


def a_round_spent_twice() -> str:
    """A process and its fork, which have one journal file, both upload."""
    journal, roster, session = MemoryJournal(), bytes(32), bytes(16)
    journal.claim(roster, 1, session)

    def store() -> Iterator[Any]:
        for _ in range(2):
            journal.spend(roster, 1, session, b"m" * 32, purpose="train")
            yield ANSWERED

    return last(store())


# -- bounds ----------------------------------------------------------------------------------------


def another_clip() -> str:
    """Two rounds of which the second has a clip that decides about another update."""
    parties = Parties(4)

    def play() -> Iterator[Any]:
        for number, clip in ((1, 1.0), (2, 2.0)):
            encoding = UpdateEncoding(
                clip=clip, max_weight=MAX_WEIGHT, precision=1.0, metrics={"loss": 100.0}
            )
            update = parties.update("g0")
            settings = SessionSettings.of(Masks(), encoding, update, parties.ids, number=number)
            exchange = Exchange(parties, number, settings=settings).play()
            if (error := exchange.failed("g0")) is not None:
                raise error
        yield ANSWERED

    return last(play())
