"""Above 64 gateways a member answers for the one set that a quorum has certified."""

from __future__ import annotations

from functools import lru_cache

import pytest
from msgspec.structs import replace

from secagg import canonical, errors
from secagg.protocol.certificate import Certificate, Consistency, sign_consistency
from secagg.protocol.transcript import included_hash
from secagg.schemes.additive.messages import IncludedRequest
from secagg.thresholds import derive_committee
from tests.schemes.additive.world import FIRST, Reply, Stage, View

N = 65
ME, OUTSIDE = 3, N - 1
"""Inside the committee, and outside."""


@lru_cache
def stage_of() -> Stage:
    return Stage(derive_committee(N, max_colluding=6, max_dropouts=6, committee=24))


EVERYBODY = frozenset(range(N))
SMALLER = EVERYBODY - {0}
"""Another set that would do."""


def certificate(included, signers=None, *, view=FIRST, about=None) -> Certificate:
    """A quorum's signatures on a set, or what looks like them."""
    stage = stage_of()
    signers = sorted(included)[: stage.limits.quorum] if signers is None else sorted(signers)
    h3 = included_hash(*stage.transcript(view), N, included if about is None else about)
    session = stage.announce(FIRST).claimed.session
    signatures = tuple(
        sign_consistency(stage.identities[i].key, session, h3).signature for i in signers
    )
    return Certificate(signers=stage.cohort.bits(signers), signatures=signatures)


def asked(included, made: Certificate | None, me: int = ME):
    return stage_of().question(me, included, certificate=made)


def test_thresholds_have_gateways_outside_the_committee():
    limits = stage_of().limits

    assert limits.committee < N
    assert OUTSIDE >= limits.committee > ME
    assert limits.quorum < N - 1


@pytest.mark.parametrize("certifies", [True, False], ids=["signed too", "did not sign"])
def test_a_certified_set_is_answered_for(certifies):
    stage = stage_of()
    client = stage.uploaded(ME)
    if certifies:
        client.receive(IncludedRequest(included=stage.cohort.bits(EVERYBODY)))

    assert stage.reply(client, asked(EVERYBODY, certificate(EVERYBODY))).shares
    assert client.done


def quorum() -> int:
    return stage_of().limits.quorum


UNCERTIFIED = {
    "none": (lambda: None, errors.NoQuorum),
    "one signature too few": (
        lambda: certificate(EVERYBODY, range(quorum() - 1)),
        errors.NoQuorum,
    ),
    "of another set": (lambda: certificate(SMALLER), errors.BadSignature),
    "of another P": (
        lambda: certificate(EVERYBODY, view=View(params=1)),
        errors.BadSignature,
    ),
    "of other prekeys": (
        lambda: certificate(EVERYBODY, view=View(keyed=SMALLER)),
        errors.BadSignature,
    ),
    "a signature twice": (
        lambda: replace(
            certificate(EVERYBODY), signatures=certificate(EVERYBODY).signatures[:1] * quorum()
        ),
        errors.BadSignature,
    ),
    "fewer signatures than signers": (
        lambda: replace(certificate(EVERYBODY), signatures=certificate(EVERYBODY).signatures[1:]),
        errors.NoQuorum,
    ),
    "signers of another cohort": (
        lambda: replace(certificate(EVERYBODY), signers=bytes(8)),
        errors.WireError,
    ),
}


@pytest.mark.parametrize(("make", "error"), UNCERTIFIED.values(), ids=UNCERTIFIED.keys())
def test_without_a_quorum_on_its_own_h3_it_says_nothing(make, error):
    stage = stage_of()
    client = stage.uploaded(ME)

    assert Reply(error=error) == stage.reply(client, asked(EVERYBODY, make()))
    assert client.done


def test_a_signer_outside_the_set_does_not_count():
    stage = stage_of()
    made = certificate(SMALLER, range(quorum()))  # gateway 0 among them
    reply = stage.reply(stage.uploaded(ME), asked(SMALLER, made))

    assert Reply(error=errors.NoQuorum) == reply


def test_who_certified_one_set_answers_for_no_other():
    stage = stage_of()
    client = stage.uploaded(ME)
    client.receive(IncludedRequest(included=stage.cohort.bits(EVERYBODY)))
    reply = stage.reply(client, asked(SMALLER, certificate(SMALLER)))

    assert Reply(error=errors.NotASubset) == reply


def test_one_set_is_certified_and_no_second():
    stage = stage_of()
    client = stage.uploaded(ME)
    signed = client.receive(IncludedRequest(included=stage.cohort.bits(EVERYBODY)))
    said = canonical.decode(Consistency, signed.body)

    assert included_hash(*stage.transcript(), N, EVERYBODY) == said.h3
    with pytest.raises(errors.SecondQuestion):
        client.receive(IncludedRequest(included=stage.cohort.bits(SMALLER)))


SETS = {
    "without me": (EVERYBODY - {ME}, errors.SelfMissing),
    "below the floor": (frozenset(range(20)), errors.BelowFloor),
}


@pytest.mark.parametrize(("included", "error"), SETS.values(), ids=SETS.keys())
def test_a_set_that_is_not_allowed_is_neither_certified_nor_answered_for(included, error):
    stage = stage_of()
    request = IncludedRequest(included=stage.cohort.bits(included))
    reply = stage.reply(stage.uploaded(ME), asked(included, certificate(included)))

    with pytest.raises(error):
        stage.uploaded(ME).receive(request)
    assert Reply(error=error) == reply


def test_nobody_certifies_before_its_upload():
    stage = stage_of()
    for frames, error in ((0, errors.SecAggError), (1, errors.UnexpectedMessage)):
        client = stage.uploaded(ME, frames=frames)

        with pytest.raises(error):
            client.receive(IncludedRequest(included=stage.cohort.bits(EVERYBODY)))


def test_complaints_are_the_last_word():
    """Another set would take another certificate: those who complain count among the D."""
    stage = stage_of()
    client = stage.uploaded(ME)
    question = stage.question(
        ME, EVERYBODY, frozenset({5, OUTSIDE}), certificate=certificate(EVERYBODY)
    )

    assert Reply(complaints=frozenset({5, OUTSIDE})) == stage.reply(client, question)
    again = stage.reply(client, stage.again(EVERYBODY - {5, OUTSIDE}))
    assert again.error is not None


def test_another_prekey_of_a_dealer_outside_the_committee_is_refused():
    """h0 has its hash."""
    stage = stage_of()
    question = asked(EVERYBODY, certificate(EVERYBODY))
    for other in (
        stage.prekey(OUTSIDE, FIRST.number + 1),
        replace(stage.prekey(OUTSIDE), signature=bytes(64)),
        stage.prekey(OUTSIDE - 1),
    ):
        changed = replace(question, prekeys=(*question.prekeys[:-1], other))

        assert Reply(error=errors.HeaderMismatch) == stage.reply(stage.uploaded(ME), changed)


def test_a_gateway_outside_the_committee_certifies_and_has_nothing_to_answer():
    stage = stage_of()
    client = stage.uploaded(OUTSIDE)
    client.receive(IncludedRequest(included=stage.cohort.bits(EVERYBODY)))
    other = stage.uploaded(OUTSIDE)
    question = stage.question(ME, EVERYBODY, certificate=certificate(EVERYBODY))

    assert client.done
    assert Reply(error=errors.UnexpectedMessage) == stage.reply(other, question)
