"""Questions that come twice, from elsewhere or too late: a round is answered once."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from msgspec.structs import replace

from secagg import canonical, errors
from secagg.crypto.packed import PRIME
from secagg.params import Struct
from secagg.protocol.prekeys import Prekey
from secagg.schemes.additive.shares import Channels
from secagg.thresholds import derive_committee
from tests.schemes.additive.world import FIRST, ROUND, Reply, Stage, View, subsets

ME = 0
ALL = frozenset(range(4))
PART = frozenset({0, 1, 2})
ELSEWHERE = {
    "session": View(session=1),
    "parameters": View(params=1),
    "prekeys": View(keyed=PART),
}


@lru_cache
def small() -> Stage:
    """n = 4, C = D = 1: q = n_min = R = 3."""
    return Stage(derive_committee(4))


def test_an_identical_question_gets_the_identical_bytes():
    stage, journal = small(), small().journal(ME)
    client = stage.uploaded(ME, journal=journal)
    question = stage.question(ME, ALL)
    first = client.receive(question)
    restarted = stage.client(ME, journal=journal)

    assert first == client.receive(question)
    assert first == restarted.receive(question)


def test_identical_complaints_and_second_answers_get_the_identical_bytes():
    stage, journal = small(), small().journal(ME)
    client = stage.uploaded(ME, journal=journal)
    questions = stage.question(ME, ALL, frozenset({3})), stage.again(PART)
    answers = [client.receive(question) for question in questions]
    restarted = stage.client(ME, journal=journal)

    assert answers == [client.receive(question) for question in questions]
    assert answers == [restarted.receive(question) for question in questions]


def seconds(stage: Stage) -> list[Struct]:
    """Every question but the one about all."""
    sets = [each for each in subsets(ALL) if each != ALL]
    return [
        *(stage.question(ME, each) for each in sets),
        *(stage.question(ME, ALL, frozenset({i})) for i in (1, 2, 3)),
        *(stage.again(each) for each in subsets(ALL)),
    ]


@pytest.mark.parametrize("restarts", [False, True], ids=["alive", "restarted"])
def test_a_second_question_is_never_answered(restarts):
    stage = small()
    for second in seconds(stage):
        journal = stage.journal(ME)
        client = stage.uploaded(ME, journal=journal)
        assert stage.reply(client, stage.question(ME, ALL)).shares
        if restarts:
            client = stage.client(ME, journal=journal)
        reply = stage.reply(client, second)

        assert reply.error in {errors.SecondQuestion, errors.UnexpectedMessage, errors.StateLost}


def test_after_a_refusal_not_even_the_right_question_is_answered():
    stage = small()
    client = stage.uploaded(ME)

    assert Reply(error=errors.BelowFloor) == stage.reply(client, stage.question(ME, {0, 1}))
    assert Reply(error=errors.LocalProtocolError) == stage.reply(client, stage.question(ME, ALL))


def test_a_second_set_after_complaints_is_asked_once():
    stage = small()
    client = stage.uploaded(ME)
    client.receive(stage.question(ME, ALL, frozenset({3})))

    assert stage.reply(client, stage.again(PART)).shares
    assert Reply(error=errors.SecondQuestion) == stage.reply(client, stage.again({0, 1}))


def test_another_first_question_after_complaints_is_refused():
    stage = small()
    client = stage.uploaded(ME)
    client.receive(stage.question(ME, ALL, frozenset({3})))

    assert Reply(error=errors.SecondQuestion) == stage.reply(client, stage.question(ME, PART))


def test_the_second_set_is_not_asked_first():
    stage = small()

    assert errors.UnexpectedMessage is stage.reply(stage.uploaded(ME), stage.again(ALL)).error


def test_after_a_restart_complaints_lead_nowhere():
    """The rows are gone with the process."""
    stage, journal = small(), small().journal(ME)
    stage.uploaded(ME, journal=journal).receive(stage.question(ME, ALL, frozenset({3})))
    restarted = stage.client(ME, journal=journal)

    assert errors.StateLost is stage.reply(restarted, stage.again(PART)).error


@pytest.mark.parametrize("view", ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_shares_dealt_under_another_view_do_not_open(view):
    stage = small()
    question = stage.question(ME, PART)
    elsewhere = tuple(stage.share(dealer, ME, view) for dealer in (1, 2))
    reply = stage.reply(stage.uploaded(ME), replace(question, shares=elsewhere))
    mixed = (question.shares[0], elsewhere[1])
    other = stage.reply(stage.uploaded(ME), replace(question, shares=mixed))

    assert Reply(complaints=frozenset({1, 2})) == reply
    assert Reply(complaints=frozenset({2})) == other


def test_shares_of_another_member_or_dealer_do_not_open():
    stage = small()
    question = stage.question(ME, PART)
    swapped = replace(question, shares=question.shares[::-1])
    another = replace(question, shares=(stage.share(1, 3), stage.share(2, ME)))

    assert Reply(complaints=frozenset({1, 2})) == stage.reply(stage.uploaded(ME), swapped)
    assert Reply(complaints=frozenset({1})) == stage.reply(stage.uploaded(ME), another)


# -- what a lying server, or a colluding dealer, may send instead of a share -----------------------


def changed(row: np.ndarray) -> np.ndarray:
    return np.where(np.arange(len(row)) == 11, row + 1, row) % PRIME


ROWS = {
    "the dealt one": (lambda row: row, False),
    "another value": (changed, True),
    "a value too few": (lambda row: row[1:], True),
    "a value too many": (lambda row: np.append(row, 0), True),
    "nothing": (lambda row: row[:0], True),
    "zeros": (np.zeros_like, True),
}


@pytest.mark.parametrize(("change", "bad"), ROWS.values(), ids=ROWS.keys())
def test_a_sealed_row_is_complained_about_unless_it_is_what_was_proved(change, bad):
    stage, dealer = small(), 3
    row = change(stage.row(ME, dealer)).astype("<u2").tobytes()
    own, mine = (canonical.decode(Prekey, stage.prekey(i).body) for i in (dealer, ME))
    private = stage.journal(dealer).prekey(stage.roster.hash(), ROUND)
    params, h2 = stage.announce(FIRST).claimed, stage.transcript()[1]
    [sealed] = Channels(private, own, dealer, params, h2).seal(
        {ME: (mine.key, row)}, stage.dealing(dealer).salt
    )
    question = stage.question(ME, ALL)
    shares = (*question.shares[:2], replace(question.shares[2], ciphertext=sealed))
    reply = stage.reply(stage.uploaded(ME), replace(question, shares=shares))

    assert (frozenset({dealer}) if bad else frozenset()) == reply.complaints
    assert bad == (not reply.shares)


RELAYED = {
    "another evaluation": {"evaluation": bytes(16)},
    "an evaluation too short": {"evaluation": bytes(14)},
    "an evaluation too long": {"evaluation": bytes(18)},
    "another digest": {"digest": bytes(32)},
    "no ciphertext": {"ciphertext": b""},
    "another salt": {"salt": bytes(32)},
}


@pytest.mark.parametrize("changes", RELAYED.values(), ids=RELAYED.keys())
def test_what_the_server_relays_wrongly_is_complained_about(changes):
    stage = small()
    question = stage.question(ME, ALL)
    shares = (replace(question.shares[0], **changes), *question.shares[1:])
    reply = stage.reply(stage.uploaded(ME), replace(question, shares=shares))

    assert Reply(complaints=frozenset({1})) == reply


# -- other sessions, other rounds ------------------------------------------------------------------


@pytest.mark.parametrize("frames", [None, 0])
def test_who_takes_part_in_one_session_takes_part_in_no_other(frames):
    """Whether it uploads or, its update having failed, only answers for the others."""
    stage, other, journal = small(), View(session=1), small().journal(ME)
    second = stage.client(ME, other, journal)
    second.receive(stage.announce(other))
    first = stage.uploaded(ME, FIRST, journal, frames=frames)
    third = stage.client(ME, View(session=2), journal)

    with pytest.raises(errors.StaleRound, match="takes part in"):
        second.receive(stage.upload_request(other))
    with pytest.raises(errors.StaleRound, match="announced"):
        third.receive(stage.upload_request(View(session=2)))
    included = ALL if frames is None else ALL - {ME}
    assert stage.reply(first, stage.question(ME, included)).shares


def test_who_answers_without_an_upload_does_not_upload_afterwards():
    stage = small()
    client = stage.uploaded(ME, frames=0)

    assert stage.reply(client, stage.question(ME, ALL - {ME})).shares
    with pytest.raises(errors.LocalProtocolError):
        stage.upload(client, FIRST)


def test_half_an_upload_is_answered_for_with_nothing():
    """Neither a set with it, which nobody can open, nor one without."""
    stage = small()
    for included, error in ((ALL, errors.UnexpectedMessage), (ALL - {ME}, errors.SelfMissing)):
        client = stage.uploaded(ME, frames=1)

        assert Reply(error=error) == stage.reply(client, stage.question(ME, included))


@pytest.mark.parametrize("number", [ROUND, ROUND - 1])
def test_a_round_that_is_spent_is_not_begun_again(number):
    stage, journal = small(), small().journal(ME)
    for earlier in (ROUND - 1, ROUND):
        stage.prekeys_into(journal, ME, earlier)
    stage.uploaded(ME, journal=journal).receive(stage.question(ME, ALL))
    view = View(session=1, number=number)
    for request in (stage.announce(view), stage.upload_request(view)):
        client = stage.client(ME, view, journal)

        with pytest.raises(errors.StaleRound):
            client.receive(request)


def test_the_key_of_a_round_is_gone_once_it_is_answered():
    stage, journal, roster = small(), small().journal(ME), small().roster.hash()
    client = stage.uploaded(ME, journal=journal)
    before = journal.prekey(roster, ROUND)
    client.receive(stage.question(ME, ALL))

    assert before is not None
    assert journal.prekey(roster, ROUND) is None
    assert journal.prekey(roster, ROUND + 1) is not None


def test_the_key_of_a_round_is_gone_once_a_later_one_is_seen():
    stage, journal, roster = small(), small().journal(ME), small().roster.hash()
    stage.prekeys_into(journal, ME, ROUND + 1)
    client = stage.uploaded(ME, journal=journal, frames=0)
    later = stage.client(ME, View(number=ROUND + 1), journal)
    later.receive(stage.upload_request(View(number=ROUND + 1)))

    assert journal.prekey(roster, ROUND) is None
    assert client.round is not None


@pytest.mark.parametrize("included", [ALL, frozenset({0, 1})], ids=["answered", "refused"])
def test_the_secrets_are_gone_when_it_is_over(included):
    stage = small()
    client = stage.uploaded(ME)
    secrets = [client._secret, client._channels._private, client._rows._rows[ME]]
    stage.reply(client, stage.question(ME, included))

    assert client.done
    assert not client._rows._rows
    for secret in secrets:
        with pytest.raises(errors.LocalProtocolError):
            secret.reveal()


def test_shares_of_one_round_do_not_open_in_the_next():
    stage, after = small(), View(number=ROUND + 1)
    journal = stage.journal(ME)
    stage.prekeys_into(journal, ME, ROUND + 1)
    stage.uploaded(ME, journal=journal).receive(stage.question(ME, ALL))
    client = stage.uploaded(ME, after, journal)
    question = replace(
        stage.question(ME, ALL, view=after),
        shares=tuple(stage.share(dealer, ME) for dealer in (1, 2, 3)),
    )

    assert Reply(complaints=ALL - {ME}) == stage.reply(client, question)
