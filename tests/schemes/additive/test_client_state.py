"""What a gateway checks, keeps and erases besides the tables of test_client_rows.py."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from msgspec.structs import replace

from protocol_sim.randomness import entropy
from secagg import canonical, errors
from secagg.crypto.labels import Label
from secagg.crypto.packed import Packing, deal
from secagg.protocol.certificate import Certificate, sign_consistency
from secagg.protocol.journal import MemoryJournal
from secagg.protocol.messages import Signed, sign_session
from secagg.protocol.policy import Policy
from secagg.protocol.prekeys import Prekey
from secagg.protocol.sqlite_journal import SQLiteJournal
from secagg.protocol.transcript import included_hash
from secagg.schemes.additive import Lattice
from secagg.schemes.additive import client as client_module
from secagg.schemes.additive.client import AdditiveClient
from secagg.schemes.additive.messages import Dealing, IncludedRequest, KeySum
from secagg.thresholds import derive_committee
from tests.schemes.additive import test_certificate as large
from tests.schemes.additive.world import FIRST, Reply, Stage, Toy, View, _zeros
from tests.schemes.world import World

ME = 0
ALL = frozenset(range(4))
OVER = errors.LocalProtocolError("over")


@pytest.fixture(scope="module")
def stage():
    return Stage(derive_committee(4))


def erased(secret):
    with pytest.raises(errors.LocalProtocolError, match="erased"):
        secret.reveal()
    return True


# -- sets and certificates -------------------------------------------------------------------------


def test_a_set_with_a_gateway_that_has_no_key(stage):
    view = View(keyed=frozenset({0, 1, 2}))
    question = replace(stage.question(ME, {0, 1, 2}, view=view), included=stage.cohort.bits(ALL))

    assert Reply(error=errors.NotASubset) == stage.reply(stage.uploaded(ME, view), question)


def test_who_did_not_upload_does_not_certify_the_others():
    client = large.stage_of().uploaded(large.ME, frames=0)
    others = large.stage_of().cohort.bits(large.EVERYBODY - {large.ME})
    with pytest.raises(errors.SelfMissing):
        client.receive(IncludedRequest(included=others))


def test_a_certificate_where_none_is_needed(stage):
    empty = Certificate(signers=stage.cohort.bits(ALL), signatures=())
    question = stage.question(ME, ALL, certificate=empty)

    assert Reply(error=errors.WireError) == stage.reply(stage.uploaded(ME), question)


def test_the_announced_floor_counts_where_it_is_above_the_quorum():
    stage = Stage(derive_committee(7, max_colluding=1, max_dropouts=1, min_included=6))
    assert 5 == stage.limits.quorum
    question = stage.question(ME, range(5))

    assert Reply(error=errors.BelowFloor) == stage.reply(stage.uploaded(ME), question)


@pytest.mark.parametrize("gateways", [64, 65])
def test_sets_are_certified_above_sixty_four(gateways):
    stage = Stage(derive_committee(gateways, max_colluding=6, max_dropouts=6))
    client = stage.client(ME)
    client.receive(stage.upload_request())
    stage.upload(client, FIRST, None)
    request = IncludedRequest(included=stage.cohort.bits(range(gateways)))
    if gateways == 64:
        with pytest.raises(errors.UnexpectedMessage):
            client.receive(request)
    else:
        assert client.receive(request)


def test_a_dealer_outside_the_committee_with_a_members_key():
    usual = large.stage_of()
    prekey = canonical.decode(Prekey, usual.prekey(large.OUTSIDE).body)
    copied = canonical.decode(Prekey, usual.prekey(5).body).key
    stage = Stage(usual.limits)
    stage._known["_made", large.OUTSIDE, FIRST.number] = Signed.make(
        usual.identities[large.OUTSIDE].key, Label.SIGN_PREKEY, replace(prekey, key=copied)
    )
    h3 = included_hash(*stage.transcript(FIRST), large.N, large.EVERYBODY)
    session = stage.announce(FIRST).claimed.session
    signers = sorted(large.EVERYBODY)[: stage.limits.quorum]
    signed = [sign_consistency(stage.identities[i].key, session, h3) for i in signers]
    made = Certificate(
        signers=stage.cohort.bits(signers), signatures=tuple(each.signature for each in signed)
    )
    question = replace(
        usual.question(large.ME, large.EVERYBODY, certificate=made),
        prekeys=tuple(stage.prekey(i) for i in sorted(large.EVERYBODY - stage.committee)),
        hashes=(),
    )

    assert Reply(error=errors.BadPublicKey) == stage.reply(stage.uploaded(large.ME), question)


# -- answers ---------------------------------------------------------------------------------------


def test_an_evaluation_of_an_odd_size_is_complained_about(stage):
    question = stage.question(ME, ALL)
    odd = replace(question.shares[0], evaluation=bytes(15))
    question = replace(question, shares=(odd, *question.shares[1:]))

    assert Reply(complaints=frozenset({1})) == stage.reply(stage.uploaded(ME), question)


def test_complaints_carry_no_signature(stage):
    signed = stage.uploaded(ME).receive(stage.question(ME, ALL, frozenset({3})))

    assert b"" == canonical.decode(KeySum, signed.body).consistency


def test_neither_do_answers_above_sixty_four():
    client = large.stage_of().uploaded(large.ME)
    signed = client.receive(large.asked(large.EVERYBODY, large.certificate(large.EVERYBODY)))

    assert b"" == canonical.decode(KeySum, signed.body).consistency


# -- the upload ------------------------------------------------------------------------------------


def test_when_an_upload_is_due(stage):
    assert not stage.client(ME).upload_due
    client = stage.uploaded(ME, frames=0)
    assert client.upload_due
    client.abort(OVER)
    assert not client.upload_due
    assert not stage.uploaded(ME).upload_due


def test_another_model_ends_the_session_and_spends_nothing(stage):
    client = stage.uploaded(ME, frames=0)
    with pytest.raises(errors.ModelMismatch):
        client.upload(lambda: _zeros, bytes([9]) * 32)

    assert client.done
    assert ME not in client._rows
    assert 0 == client._context.journal.model_used("train", bytes([9]) * 32)


@pytest.mark.parametrize("sent", [0, 1])
def test_a_session_that_failed_hands_out_no_further_frame(stage, sent):
    client = stage.uploaded(ME, frames=0)
    frames = client.upload(lambda: _zeros, stage.round_params(FIRST).model)
    for _ in range(sent):
        next(frames)
    client.abort(OVER)

    assert [] == list(frames)


def spend(journal, roster, model):
    journal.claim(roster, 7, b"session 7")
    journal.spend(roster, 7, b"session 7", model, purpose="train")


def test_a_model_is_uploaded_on_once_where_the_policy_says_so():
    stage = Stage(derive_committee(4), policy=Policy(min_colluding=1))
    journal, view = stage.journal(ME, 8), View(params=5, number=8)
    client = stage.uploaded(ME, view, journal, frames=0)
    spend(journal, bytes(32), bytes([5]) * 32)  # under another roster
    with pytest.raises(errors.ModelMismatch):
        stage.upload(client, view)


@pytest.mark.parametrize(("repeat", "model"), [("refuse", 0), ("allow", 5)])
def test_otherwise_a_model_may_be_used_again(repeat, model):
    stage = Stage(
        derive_committee(4),
        policy=Policy(min_colluding=1, require_model=False, repeat_model=repeat),
    )
    journal, view = stage.journal(ME, 8), View(params=model, number=8)
    spend(journal, stage.roster.hash(), bytes([model]) * 32)
    stage.uploaded(ME, view, journal)

    assert 8 == journal.last_round(stage.roster.hash())


def test_a_scheme_it_does_not_speak(stage):
    request = stage.upload_request()
    params = replace(request.announce.claimed, scheme="masks")
    announce = sign_session(stage.orchestrator.key, params)
    with pytest.raises(errors.UnsupportedParameters):
        stage.client(ME).receive(replace(request, announce=announce))


# -- secrets ---------------------------------------------------------------------------------------


def test_the_key_of_an_upload_is_held_until_it_has_left(stage):
    assert erased(stage.uploaded(ME)._secret)


@pytest.mark.parametrize("frames", [0, None])
def test_an_abort_erases_everything(stage, frames):
    client = stage.uploaded(ME, frames=frames)
    secrets = [client._secret, client._channels._private, *client._channels._shared.values()]
    assert 2 + len(ALL - {ME}) == len(secrets)
    client.abort(OVER)

    assert client.done
    assert all(map(erased, secrets))
    assert ME not in client._rows


def test_a_request_that_is_refused_costs_no_key(stage):
    """A round far ahead, say, would otherwise be the last one of its roster."""
    roster, journal = stage.roster.hash(), stage.journal(ME)
    stage.prekeys_into(journal, ME, FIRST.number - 1)
    far = View(number=2**62)
    with pytest.raises(errors.PolicyViolation, match="a step of round numbers"):
        stage.client(ME, far, journal).receive(stage.announce(far))
    with pytest.raises(errors.WireError):
        stage.client(ME, FIRST, journal).receive(replace(stage.upload_request(), prekeys=()))

    for number in (FIRST.number - 1, FIRST.number):
        assert journal.prekey(roster, number) is not None


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_forgotten_session_that_is_replayed_deals_nothing_more(stage, kind, tmp_path):
    """A second dealing under the keys of the first would be a two-time pad."""
    journal = (
        MemoryJournal() if kind == "memory" else SQLiteJournal(tmp_path / "journal", create=True)
    )
    stage.prekeys_into(journal, ME, FIRST.number)
    first = stage.client(ME, FIRST, journal)
    first.receive(stage.upload_request())
    first.abort(OVER)
    journal.forget(stage.announce(FIRST).claimed.session)
    with pytest.raises(errors.StaleRound):
        stage.client(ME, FIRST, journal).receive(stage.upload_request())


def test_two_dealings_of_one_session_have_no_key_in_common(stage):
    """Even if a journal was lost between them: equal rows are sealed to different bytes."""
    usual = stage.client(ME)._context
    sealed = []
    for coins in ("one", "another"):
        kept = stage.journal(ME)
        context = dataclasses.replace(usual, journal=kept, rng=entropy(coins))
        client = AdditiveClient(stage.announce(FIRST).claimed.session, context, "lattice", Toy)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(client_module, "deal", lambda *_: stage_dealt())
            signed = client.receive(stage.upload_request())
        sealed.append(canonical.decode(Dealing, signed.body).ciphertexts)

    assert not {*sealed[0]} & {*sealed[1]}


def stage_dealt():
    """The same rows, whatever is dealt."""
    return deal(np.zeros(2048, np.int64), Packing(4, 1, 3), entropy("rows"))


def test_the_orchestrator_hears_nothing_about_this_machine(tmp_path):
    """A disk that fails is named here, with its file, and not in the farewell."""
    world = World(Lattice(), 4)
    journal = SQLiteJournal(tmp_path / "a customers name", create=True)
    world.journals = dict.fromkeys(world.ids, journal)
    client = world.client(ME)
    announce = next(iter(world.server.start())).frame
    journal._run("DROP TABLE prekeys")
    farewell, aborted = client.receive(announce)

    assert "a customers name" in str(aborted.reason)
    assert b"a customers name" not in bytes(farewell.frame)
    assert b"ConfigurationError" in bytes(farewell.frame)
