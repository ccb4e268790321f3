"""Attacks in K and P: thresholds, rosters, models, layouts, rings, signed anew for the victim."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from protocol_sim.attacks.attack import Attack, Change, Stage, before
from protocol_sim.attacks.attacker import Attacker, CannotAttack, Hook, replace
from protocol_sim.attacks.follow import own
from protocol_sim.attacks.requests import bits
from secagg.fixed_point.units import MAX_WEIGHT
from secagg.params import SUITES, VERSION, Ring, RoundParams, SessionParams, Struct, Thresholds
from secagg.protocol.messages import Announce, sign_round, sign_session
from secagg.protocol.policy import Policy
from secagg.thresholds import MIN_GATEWAYS

CARRIED: Final = Stage(carried=True)
"""So that the first request of an additive round holds K."""
LATER: Final = Stage(past=True)
"""So that the victim has kept the bounds of a round."""


# -- K ---------------------------------------------------------------------------------------------


def _params(message: Any) -> SessionParams:
    announce = message if isinstance(message, Announce) else getattr(message, "announce", None)
    if not isinstance(announce, Announce):
        raise CannotAttack("no K in this request")
    return announce.claimed


def _session(changes: Callable[[Attacker, SessionParams], dict[str, Any]]) -> Change:
    def change(attacker: Attacker, message: Any) -> Struct:
        return attacker.with_session(message, **changes(attacker, _params(message)))

    return change


def _limits(changes: Callable[[Thresholds], dict[str, int]]) -> Change:
    def session(_: Attacker, params: SessionParams) -> dict[str, Any]:
        announced = params.thresholds
        return {"thresholds": replace(announced, **changes(announced))}

    return _session(session)


def _fewer_shares(limits: Thresholds) -> dict[str, int]:
    """C shares are enough in masks; in additive schemes t is one less, and two sets are enough."""
    if limits.committee:
        return {"packed": limits.packed + 1}
    return {"share_threshold": limits.max_colluding}


def _small_cohort(attacker: Attacker, _params: SessionParams) -> dict[str, Any]:
    """The victim, the colluding gateway and one more, with the thresholds that these have."""
    names = {attacker.spare, attacker.victim, attacker.colluder}
    scheme = attacker.play.settings.scheme
    return {
        "cohort": bits(attacker, (attacker.place(name) for name in names)),
        "thresholds": scheme.thresholds(len(names)),
    }


def _without_victim(attacker: Attacker, _params: SessionParams) -> dict[str, Any]:
    """The others, with the thresholds that these have."""
    others = set(attacker.everybody) - {attacker.me}
    if len(others) < MIN_GATEWAYS:
        raise CannotAttack("too few are left for a cohort")
    limits = attacker.play.settings.scheme.thresholds(len(others))
    return {"cohort": bits(attacker, others), "thresholds": limits}


def _signed_by_colluder(attacker: Attacker, message: Any) -> Struct:
    """K, or P where there is one, under the colluding gateway's signature."""
    key = attacker.play.parties.identities[attacker.colluder].key
    if isinstance(message, Announce):
        return sign_session(key, message.claimed)
    if not hasattr(message, "round"):
        raise CannotAttack("nothing that the orchestrator signs")
    request: Struct = replace(message, round=sign_round(key, message.round.claimed))
    return request


# -- P ---------------------------------------------------------------------------------------------


def _round(changes: Callable[[Attacker, RoundParams], dict[str, Any]]) -> Change:
    def change(attacker: Attacker, message: Any) -> Struct:
        if not hasattr(message, "round"):
            raise CannotAttack("no P in this request")
        return attacker.with_round(message, **changes(attacker, message.round.claimed))

    return change


def _vector(changes: Callable[[Attacker, Any], dict[str, Any]]) -> Change:
    """The vector of the update differs."""

    def vectors(attacker: Attacker, params: RoundParams) -> dict[str, Any]:
        first, *others = params.vectors
        return {"vectors": (replace(first, **changes(attacker, first)), *others)}

    return _round(vectors)


def _ring(**changes: Any) -> Change:
    """Another ring; one at all where masks belong."""

    def ring(_: Attacker, params: RoundParams) -> dict[str, Any]:
        honest = params.ring or Ring(degree=2048, moduli=(2**32,), step=1)
        return {"ring": replace(honest, **changes)}

    return _round(ring)


def _other_lanes(_: Attacker, vector: Any) -> dict[str, Any]:
    """As many as keep the limit within a lane, if one more does not."""
    return {"lanes": vector.lanes - 1 if vector.lanes > 1 else 2, "limit": min(vector.limit, 2**20)}


def _check_may_differ(_: Attacker, params: RoundParams) -> dict[str, Any]:
    *others, check = params.vectors
    return {"vectors": (*others, replace(check, limit=1))}


def _other_bound(_: Attacker, params: RoundParams) -> dict[str, Any]:
    return {"metrics": tuple(replace(each, bound=each.bound / 2) for each in params.metrics)}


def _attack(
    name: str, sentence: str, make: Callable[[Attacker], Hook], stage: Stage = CARRIED
) -> Attack:
    return Attack(name=name, sentence=sentence, make=make, stage=stage)


PARAMS: Final = (
    _attack(
        "lowered C", "Nobody is said to collude.", before(_limits(lambda _: {"max_colluding": 0}))
    ),
    _attack(
        "raised D",
        "One more may vanish than the thresholds bear.",
        before(_limits(lambda limits: {"max_dropouts": limits.max_dropouts + 1})),
    ),
    _attack(
        "lowered t",
        "As many shares open a secret as the colluding gateways hold, or as two sets can gather.",
        before(_limits(_fewer_shares)),
    ),
    _attack(
        "lowered q",
        "A quorum that two sets can have.",
        before(_limits(lambda limits: {"quorum": limits.quorum - 1})),
    ),
    _attack(
        "lowered n_min",
        "A sum over one gateway less.",
        before(_limits(lambda limits: {"min_included": limits.min_included - 1})),
    ),
    _attack(
        "small cohort",
        "The cohort is the victim, the colluding gateway and one more, fewer than the victim's"
        " policy asks for.",
        before(_session(_small_cohort)),
        Stage(carried=True, policy=Policy(min_gateways=6, require_model=False)),
    ),
    _attack(
        "not in the cohort",
        "The announced cohort does not have the victim in it.",
        before(_session(_without_victim)),
    ),
    _attack(
        "foreign roster",
        "The session is announced under another roster.",
        before(_session(lambda _attacker, _params: {"roster": bytes(32)})),
    ),
    _attack(
        "round far ahead",
        "The largest number of a round, so that no other can follow.",
        before(_session(lambda _attacker, _params: {"round": 2**63 - 2})),
    ),
    _attack(
        "unknown version",
        "A protocol version that does not exist.",
        before(_session(lambda _attacker, _params: {"version": VERSION + 1})),
    ),
    _attack(
        "unknown suite",
        "A cipher suite that does not exist.",
        before(_session(lambda _attacker, _params: {"suite": SUITES[-1] + 1})),
    ),
    _attack(
        "unknown scheme",
        "A scheme that does not exist.",
        before(_session(lambda _attacker, _params: {"scheme": "none"})),
    ),
    Attack(
        "stranger's signature",
        "K or P is signed by the colluding gateway instead of the orchestrator.",
        before(_signed_by_colluder),
    ),
    Attack(
        "own K",
        "The victim alone is told another round number, and then asked on.",
        own(_session(lambda _, params: {"round": params.round + 1})),
    ),
    Attack(
        "own P",
        "The victim alone is told another clip, and then asked on.",
        own(_vector(lambda _, vector: {"scale": vector.scale / 2})),
    ),
    Attack(
        "moved clip",
        "The victim is told another clip than in the round before.",
        before(_vector(lambda _, vector: {"scale": vector.scale / 2})),
        LATER,
    ),
    Attack(
        "moved bound of a metric",
        "The victim is told another bound than in the round before.",
        before(_round(_other_bound)),
        LATER,
    ),
    Attack(
        "other purpose",
        "P names a purpose that the victim's policy does not serve.",
        before(_round(lambda _attacker, _params: {"purpose": "statistics"})),
    ),
    Attack(
        "P of another session",
        "P names another K than was announced.",
        before(_round(lambda _attacker, _params: {"session_params": bytes(32)})),
    ),
    Attack(
        "other model",
        "The victim alone is told another model than the one its update was made on.",
        before(_round(lambda _attacker, _params: {"model": bytes(31) + b"\x01"})),
    ),
    Attack(
        "crafted limit",
        "A coordinate may be larger than sums have room for.",
        before(_vector(lambda _, vector: {"limit": 2 ** (64 // vector.lanes - 1) - 1})),
    ),
    Attack("crafted lanes", "Another number of lanes in a word.", before(_vector(_other_lanes))),
    Attack(
        "crafted weight cap",
        "A weight that swallows every other.",
        before(_round(lambda _attacker, _params: {"max_weight": 2.0 * MAX_WEIGHT})),
    ),
    Attack(
        "check that may differ",
        "The words that must sum to zero may hold something.",
        before(_round(_check_may_differ)),
    ),
    Attack(
        "crafted degree",
        "A ring of half the degree, or one where masks belong.",
        before(_ring(degree=1024)),
    ),
    Attack(
        "crafted modulus", "A modulus of the attacker's choice.", before(_ring(moduli=(2**33,)))
    ),
    Attack(
        "crafted step",
        "An update is multiplied by so much that its sums leave the ring.",
        before(_ring(step=2**40)),
    ),
)
