"""Attacks on one machine alone: questions in a wrong order, restarts, other models, bad shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from protocol_sim.attacks.requests import NO_SHARE
from secagg import canonical
from secagg.crypto.packed import PROOF_COLUMNS
from secagg.protocol.certificate import Certificate
from secagg.protocol.journal import MemoryJournal
from secagg.protocol.prekeys import Prekey
from secagg.schemes.additive.messages import DealtShare, IncludedRequest, KeySum
from secagg.schemes.additive.shares import Channels
from secagg.thresholds import derive, derive_committee
from tests.protocol_sim.without_each_check.endings import ANSWERED, COMPLAINS, each, last, replace
from tests.protocol_sim.without_each_check.leaking_sets import of
from tests.schemes.additive.world import FIRST, ROUND, Stage, View

# -- additive schemes ------------------------------------------------------------------------------


def stage_of(n: int = 4) -> Stage:
    return Stage(derive_committee(n))


def the_key_of_the_round_before() -> str:
    stage, roster = stage_of(), stage_of().roster.hash()
    journal = stage.journal(0)
    stage.prekeys_into(journal, 0, ROUND - 1)
    stage.uploaded(0, journal=journal)
    return "gone" if journal.prekey(roster, ROUND - 1) is None else "still there"


def the_key_of_an_answered_round() -> str:
    stage, roster = stage_of(), stage_of().roster.hash()
    journal = stage.journal(0)
    stage.uploaded(0, journal=journal).receive(stage.question(0, of(0, 1, 2, 3)))
    return "gone" if journal.prekey(roster, ROUND) is None else "still there"


def an_upload_after_the_answer() -> str:
    """By a fork of the process, made before the answer, with the same journal file."""
    stage = stage_of()
    journal = stage.journal(0)
    client = stage.uploaded(0, journal=journal, frames=0)
    client.receive(stage.question(0, of(1, 2, 3)))
    params = client.params

    def upload() -> Iterator[Any]:
        yield ANSWERED
        journal.spend(params.roster, params.round, params.session, bytes(32), purpose="train")

    return last(upload())


def no_key_for_the_round() -> str:
    stage = stage_of()
    client = stage.client(0, FIRST, MemoryJournal())
    return last(each(client, [stage.upload_request()]))


def after_a_restart() -> str:
    stage, journal = stage_of(), stage_of().journal(0)
    stage.uploaded(0, journal=journal)
    client = stage.client(0, FIRST, journal)
    return last(each(client, [stage.question(0, of(0, 1, 2, 3))]))


def a_dealer_without_a_key() -> str:
    stage, view = stage_of(), View(keyed=of(0, 1, 2))
    client = stage.uploaded(0, view)
    question = stage.question(0, of(0, 1, 2), view=view)
    more = replace(
        question, included=stage.cohort.bits(of(0, 1, 2, 3)), shares=(*question.shares, NO_SHARE)
    )
    return last(each(client, [more]))


def a_set_with_half_an_upload() -> str:
    stage = stage_of()
    client = stage.uploaded(0, frames=1)
    return last(each(client, [stage.question(0, of(0, 1, 2, 3))]))


def too_few_keys() -> str:
    stage, view = stage_of(), View(keyed=of(0, 1))
    return last(each(stage.client(0, view), [stage.upload_request(view)]))


def keys_without_its_own() -> str:
    stage = stage_of()
    request = replace(stage.upload_request(), keyed=stage.cohort.bits(of(1, 2, 3)))
    return last(each(stage.client(0), [request]))


def again_for_more() -> str:
    """After complaints about one dealer a set is asked for that is no part of the first."""
    return _again(of(0, 1, 2, 3, 4) - {1}, first=of(0, 1, 2, 3))


def again_with_a_bad_dealer() -> str:
    return _again(of(0, 1, 2, 3), first=of(0, 1, 2, 3, 4))


def _again(second: frozenset[int], *, first: frozenset[int]) -> str:
    stage = stage_of(5)
    client = stage.uploaded(0)
    client.receive(stage.question(0, first, of(1)))
    return last(each(client, [stage.again(second)]))


def _answered(change: Callable[[DealtShare], DealtShare]) -> str:
    """What a member says to a share that is not as it was proved."""
    stage = stage_of()
    client, question = stage.uploaded(0), stage.question(0, of(0, 1, 2, 3))
    first, *others = question.shares

    def answer() -> Iterator[Any]:
        signed = client.receive(replace(question, shares=(change(first), *others)))
        complaints = canonical.decode(KeySum, signed.body).complaints
        yield COMPLAINS if stage.cohort.set_of(complaints) else ANSWERED

    return last(answer())


def a_row_off_its_proof() -> str:
    return _answered(lambda share: replace(share, evaluation=bytes(len(share.evaluation))))


def a_row_of_another_size() -> str:
    """Eight columns of the proof and none of the key, proved as they are."""
    stage, row = stage_of(), np.arange(PROOF_COLUMNS, dtype="<u2").tobytes()
    private = stage.journal(3).prekey(stage.roster.hash(), ROUND)
    own, key = (canonical.decode(Prekey, stage.prekey(i).body) for i in (3, 0))
    channels = Channels(private, own, 3, stage.announce(FIRST).claimed, stage.transcript()[1])
    [sealed] = channels.seal({0: (key.key, row)}, bytes(32))
    share = DealtShare(salt=bytes(32), ciphertext=sealed, digest=bytes(32), evaluation=row)
    question = stage.question(0, of(0, 1, 2, 3))
    changed = replace(question, shares=(*question.shares[:2], share))
    client = stage.uploaded(0)

    def answer() -> Iterator[Any]:
        complaints = canonical.decode(KeySum, client.receive(changed).body).complaints
        yield COMPLAINS if stage.cohort.set_of(complaints) else ANSWERED

    return last(answer())


def a_certified_set_without_it() -> str:
    """Above 64 gateways, to a gateway that has not uploaded."""
    stage = Stage(derive_committee(66, committee=64))
    client = stage.uploaded(0, frames=0)
    included = stage.cohort.bits(range(1, 66))
    return last(each(client, [IncludedRequest(included=included)]))


def a_certificate_too_many() -> str:
    """Up to 64 gateways none is asked for."""
    stage = stage_of()
    certificate = Certificate(signers=stage.cohort.bits(()), signatures=())
    question = stage.question(0, of(0, 1, 2, 3), certificate=certificate)
    return last(each(stage.uploaded(0), [question]))


def thresholds_of_masks() -> str:
    """In an additive scheme: a committee of nobody."""
    stage = Stage(derive(4))
    return last(each(stage.client(0), [stage.upload_request()]))


def an_additive_upload_unasked() -> str:
    stage = Stage(derive_committee(4))

    def upload() -> Iterator[Any]:
        yield stage.upload(stage.client(0), FIRST) or ANSWERED

    return last(upload())
