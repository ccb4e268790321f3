"""Checks of journals, machines and certificates."""

from __future__ import annotations

from tests.protocol_sim.without_each_check import leaking_rounds as rounds
from tests.protocol_sim.without_each_check import leaking_sets as sets
from tests.protocol_sim.without_each_check import machine_masks
from tests.protocol_sim.without_each_check.endings import ANSWERED, NO_NAME, SAME
from tests.protocol_sim.without_each_check.endings import LEAK as LEAKS
from tests.protocol_sim.without_each_check.rows import (
    BROKEN,
    LEAK,
    POLICY,
    REDUNDANT,
    UNNAMED,
    Row,
    row,
)

ROWS = [
    Row(
        "Client.upload: params.model != model",
        BROKEN,
        machine_masks.another_model,
        "ModelMismatch",
        ANSWERED,
        "a mean of updates is of updates on one model",
    ),
    Row(
        "Client._accept: context.journal.claim",
        REDUNDANT,
        rounds.parallel_sessions,
        "StaleRound",
        "StaleRound",
        "nothing is spent that was not claimed: no upload leaves at all",
    ),
    Row(
        "Client._spend: self._context.journal.spend",
        BROKEN,
        machine_masks.a_model_again,
        "ModelMismatch",
        ANSWERED,
        POLICY,
    ),
    Row("MemoryJournal.claim: round <= last", LEAK, rounds.parallel_sessions, "StaleRound", LEAKS),
    Row(
        "MemoryJournal.spend: self._rounds",
        BROKEN,
        machine_masks.a_round_spent_twice,
        "StaleRound",
        ANSWERED,
        "one upload in a round, also of two processes of one session",
    ),
    Row(
        "MemoryJournal.spend: uses",
        BROKEN,
        machine_masks.a_model_again_at_once,
        "ModelMismatch",
        ANSWERED,
        POLICY,
    ),
    Row(
        "MemoryJournal.put: session in self._over",
        BROKEN,
        machine_masks.a_forgotten_session,
        "SecondQuestion",
        ANSWERED,
        "a session that is over says nothing new: in additive schemes it dealt a second key",
    ),
    Row(
        "MemoryJournal.put: self._answers",
        BROKEN,
        machine_masks.two_lives_at_once,
        "SecondQuestion",
        ANSWERED,
        "one answer to a step, also of two processes: two signatures make two certificates",
    ),
    Row(
        "ClientMachine.receive: self.failure",
        BROKEN,
        machine_masks.after_a_refusal,
        "LocalProtocolError",
        NO_NAME,
        "who has failed says no more, by name",
    ),
    Row(
        "ClientMachine._receive: type(request)",
        BROKEN,
        machine_masks.of_another_scheme,
        "UnexpectedMessage",
        NO_NAME,
        UNNAMED,
    ),
    Row(
        "ClientMachine._receive: before.request",
        REDUNDANT,
        machine_masks.another_set,
        "SecondQuestion",
        SAME,
        "the first answer is repeated then, and nothing new leaves; the error names the lie",
    ),
    Row(
        "ClientMachine._receive: not self._reaches",
        BROKEN,
        machine_masks.unmasking_first,
        "UnexpectedMessage",
        NO_NAME,
        UNNAMED,
    ),
    Row(
        "ClientMachine._receive: self._next == 0",
        REDUNDANT,
        machine_masks.just_started,
        "StateLost",
        "UnexpectedMessage",
        "no check: it says which of two errors it is",
    ),
    Row(
        "ClientMachine._receive: self._journal.put",
        BROKEN,
        machine_masks.a_second_life,
        SAME,
        "StateLost",
        "a gateway that restarts repeats its answer, so that the round outlives it",
    ),
    Row(
        "verify_certificate: not signers <= included",
        REDUNDANT,
        **row("unmasking: a quorum with one who is not included"),
        ending="sum",
        why="q signatures of the cohort certify one set, whoever is in it; the audit record asks",
    ),
    Row(
        "verify_certificate: len(signers) != len",
        BROKEN,
        **row("unmasking: signature twice"),
        ending=NO_NAME,
        why=UNNAMED,
    ),
    Row("verify_certificate: len(signers) < quorum", LEAK, sets.two_sets, "no leak", LEAKS),
    Row("verify_certificate: verify(", LEAK, sets.two_sets, "no leak", LEAKS),
]
