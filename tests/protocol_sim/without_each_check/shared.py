"""Checks of journals, machines and certificates."""

from __future__ import annotations

from functools import partial

from secagg.crypto.labels import Label
from secagg.crypto.signing import SigningKey, verify
from secagg.errors import BadSignature, SecAggError
from secagg.protocol.identity import Member, Roster
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

NEUTRAL = (1).to_bytes(32, "little")
"""The point that any number of it is: under it one signature fits every message."""
FORGED = "anybody signs as this gateway"


def roster(*members: tuple[str, bytes]) -> str:
    """What these are taken for: no roster, one, or one in which anybody signs as the first."""
    keys = [SigningKey(bytes([place]) * 32).public for place in range(1, 5)]
    others = [Member(id=f"g{place}", key=key) for place, key in enumerate(keys[1:])]
    mine = [Member(id=name, key=key) for name, key in members]
    try:
        Roster(epoch=1, orchestrator=keys[0], members=(*mine, *others))
        verify(mine[0].key, Label.SIGN_HEADER, b"whatever", NEUTRAL + bytes(32))
    except BadSignature:
        return "a roster"
    except SecAggError as error:
        return type(error).__name__
    return FORGED


OWN = SigningKey(b"\7" * 32).public
TWICE = "one name in logs, and one signature, belong to one party"
ROWS = [
    Row(
        "check_parties: check_verifying_key",
        BROKEN,
        partial(roster, ("a", NEUTRAL)),
        "ConfigurationError",
        FORGED,
        "a signature says who has signed",
    ),
    Row(
        "check_parties: (repeated",
        BROKEN,
        partial(roster, ("e\u0301", OWN), ("\u00e9", SigningKey(b"\6" * 32).public)),
        "ConfigurationError",
        "a roster",
        TWICE,
    ),
    Row(
        "check_parties: len(",
        BROKEN,
        partial(roster, ("a", OWN), ("b", OWN)),
        "ConfigurationError",
        "a roster",
        TWICE,
    ),
    Row(
        "Client.check_model: params.model != model",
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
