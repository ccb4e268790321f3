"""Checks of K, of P and of policies."""

from __future__ import annotations

from functools import partial
from typing import Any

from secagg.errors import ConfigurationError
from secagg.protocol.policy import Policy
from tests.protocol_sim.without_each_check import leaking_rounds as rounds
from tests.protocol_sim.without_each_check import leaking_sets as sets
from tests.protocol_sim.without_each_check import machine_additive, machine_masks
from tests.protocol_sim.without_each_check.endings import ANSWERED, NO_NAME
from tests.protocol_sim.without_each_check.endings import LEAK as LEAKS
from tests.protocol_sim.without_each_check.rows import (
    BROKEN,
    EARLY,
    LEAK,
    POLICY,
    REDUNDANT,
    UNNAMED,
    Row,
    row,
)


def policy_of(**floors: Any) -> str:
    try:
        Policy(**floors)
    except ConfigurationError as error:
        return type(error).__name__
    return "accepted"


PUBLIC = (
    "only the orchestrator of the roster decides what is aggregated, not who meddles on its way"
)
ROWS = [
    Row(
        "check_announce: announce.open(",
        BROKEN,
        **row("advertise_keys: K signed by a gateway"),
        ending="sum",
        why=PUBLIC,
    ),
    Row(
        "check_announce: params.version",
        BROKEN,
        **row("advertise_keys: suite"),
        ending="sum",
        why="what K says about primitives is what is used",
    ),
    Row(
        "check_announce: params.roster", LEAK, rounds.under_another_roster, "ForeignSession", LEAKS
    ),
    Row(
        "check_announce: me not in cohort",
        REDUNDANT,
        **row("advertise_keys: not in cohort"),
        ending="UnsupportedParameters",
        why="who has no position raises LocalProtocolError: the error names the peer's lie",
    ),
    Row(
        "check_announce: params.thresholds.gateways",
        LEAK,
        sets.a_smaller_n,
        "UnsupportedParameters",
        LEAKS,
    ),
    Row(
        "check_announce: (params.thresholds.committee",
        REDUNDANT,
        machine_additive.thresholds_of_masks,
        "ThresholdMismatch",
        "UnsupportedParameters",
        "a ring goes with a committee and P is held against K; no degree means no neighbour in U1",
    ),
    Row(
        "check_announce: thresholds.verify_thresholds",
        LEAK,
        sets.shares_that_c_open,
        "ThresholdMismatch",
        LEAKS,
    ),
    Row(
        "check_announce: policy.check_session",
        LEAK,
        sets.few_are_said_to_collude,
        "PolicyViolation",
        LEAKS,
    ),
    Row(
        "check_announce: params.round <= last",
        REDUNDANT,
        rounds.once_more,
        "StaleRound",
        "StaleRound",
        f"{EARLY}: the journal refuses when the upload leaves",
    ),
    Row(
        "check_announce: check_public_key",
        REDUNDANT,
        **row("advertise_keys: K low order"),
        ending="KeyAgreementError",
        why="the key authenticates frames for the orchestrator itself; agreement refuses it too",
    ),
    Row(
        "check_round: signed.open(",
        BROKEN,
        **row("masked_input: P signed by a gateway"),
        ending="sum",
        why=PUBLIC,
    ),
    Row(
        "check_round: params.session_params",
        BROKEN,
        **row("masked_input: P of an older session"),
        ending="sum",
        why=PUBLIC,
    ),
    Row(
        "check_round: check_vectors",
        BROKEN,
        **row("masked_input: leaf outside"),
        ending=NO_NAME,
        why=f"{UNNAMED}; a sum never crosses a lane (tests/protocol/test_layout_of_p.py)",
    ),
    Row(
        "check_round: policy.check_round",
        BROKEN,
        **row("masked_input: policy words"),
        ending="sum",
        why=POLICY,
    ),
    Row(
        "check_round: policy.repeat_model",
        REDUNDANT,
        machine_masks.a_model_again,
        "ModelMismatch",
        "ModelMismatch",
        f"{EARLY}: the journal refuses when the upload leaves",
    ),
    Row(
        "Policy._check_floors: self.min_gateways",
        BROKEN,
        partial(policy_of, min_gateways=2),
        "ConfigurationError",
        "accepted",
        "a policy that hides nothing is a mistake with a name",
    ),
    Row(
        "Policy._check_floors: 1 not in",
        BROKEN,
        partial(policy_of, lanes=(3,)),
        "ConfigurationError",
        "accepted",
        "a policy that refuses every round is a mistake with a name",
    ),
    Row(
        "Policy.check_session: _at_least('colluding",
        LEAK,
        sets.few_are_said_to_collude,
        "PolicyViolation",
        LEAKS,
    ),
    Row(
        "keep_bounds: check_bounds",
        BROKEN,
        machine_masks.another_clip,
        "PolicyViolation",
        ANSWERED,
        "one bound after another reads a value by who uploads (tests/session/test_bisection.py)",
    ),
    *(
        Row(check, BROKEN, **row(name), ending="sum", why=POLICY)
        for check, name in {
            "Policy.check_session: _at_least('gateways": "advertise_keys: policy n",
            "Policy.check_session: _at_least('included": "advertise_keys: policy n_min",
            "Policy.check_round: params.words": "masked_input: policy words",
            "Policy.check_round: refused": "masked_input: policy lanes",
            "Policy.check_round: params.purpose": "masked_input: policy purpose",
            "Policy.check_round: self.require_model": "masked_input: policy model",
            "Policy.check_round: check_bounds": "masked_input: policy metric",
            "check_bounds: value != bound": "masked_input: policy weight",
            "check_announce: policy.check_step": "advertise_keys: policy step",
            "Policy.check_step": "advertise_keys: policy step",
        }.items()
    ),
]
