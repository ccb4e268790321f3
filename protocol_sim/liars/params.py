"""Lies in K and P: thresholds, rosters, models, layouts and rings, signed anew for the victim."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from protocol_sim.liars.behaviour import Behaviour, Change, Stage, before
from protocol_sim.liars.follow import own
from protocol_sim.liars.liar import CannotLie, Liar, Lie, replace
from protocol_sim.liars.requests import bits
from secagg.crypto.labels import Label
from secagg.encoding import encode
from secagg.fixed_point.layout import MAX_WEIGHT
from secagg.params import SUITES, VERSION, Ring, RoundParams, SessionParams, Struct, Thresholds
from secagg.protocol.messages import Announce
from secagg.protocol.policy import Policy
from secagg.thresholds import MIN_GATEWAYS

CARRIED: Final = Stage(carried=True)
"""So that the first request of an additive round holds K."""


# -- K ---------------------------------------------------------------------------------------------


def _params(message: Any) -> SessionParams:
    announce = message if isinstance(message, Announce) else getattr(message, "announce", None)
    if not isinstance(announce, Announce):
        raise CannotLie("no K in this request")
    return announce.params


def _session(changes: Callable[[Liar, SessionParams], dict[str, Any]]) -> Change:
    def change(liar: Liar, message: Any) -> Struct:
        return liar.with_session(message, **changes(liar, _params(message)))

    return change


def _limits(changes: Callable[[Thresholds], dict[str, int]]) -> Change:
    def session(_: Liar, params: SessionParams) -> dict[str, Any]:
        announced = params.thresholds
        return {"thresholds": replace(announced, **changes(announced))}

    return _session(session)


def _fewer_shares(limits: Thresholds) -> dict[str, int]:
    """C shares are enough in masks; in additive schemes t is one less, and two sets are enough."""
    if limits.committee:
        return {"packed": limits.packed + 1}
    return {"share_threshold": limits.max_colluding}


def _small_cohort(liar: Liar, _params: SessionParams) -> dict[str, Any]:
    """The victim, the colluding gateway and one more, with the thresholds that these have."""
    names = {liar.spare, liar.victim, liar.colluder}
    scheme = liar.play.settings.scheme
    return {
        "cohort": bits(liar, (liar.place(name) for name in names)),
        "thresholds": scheme.thresholds(len(names)),
    }


def _without_victim(liar: Liar, _params: SessionParams) -> dict[str, Any]:
    """The others, with the thresholds that these have."""
    others = set(liar.everybody) - {liar.me}
    if len(others) < MIN_GATEWAYS:
        raise CannotLie("too few are left for a cohort")
    limits = liar.play.settings.scheme.thresholds(len(others))
    return {"cohort": bits(liar, others), "thresholds": limits}


def _signed_by_colluder(liar: Liar, message: Any) -> Struct:
    """K, or P where there is one, under the colluding gateway's signature."""
    key = liar.play.parties.identities[liar.colluder].key
    if isinstance(message, Announce):
        signature = key.sign(Label.SIGN_SESSION, encode(message.params))
        return Announce(params=message.params, signature=signature)
    if not hasattr(message, "round"):
        raise CannotLie("nothing that the orchestrator signs")
    signature = key.sign(Label.SIGN_ROUND, encode(message.round.params))
    request: Struct = replace(message, round=replace(message.round, signature=signature))
    return request


# -- P ---------------------------------------------------------------------------------------------


def _round(changes: Callable[[Liar, RoundParams], dict[str, Any]]) -> Change:
    def change(liar: Liar, message: Any) -> Struct:
        if not hasattr(message, "round"):
            raise CannotLie("no P in this request")
        return liar.with_round(message, **changes(liar, message.round.params))

    return change


def _vector(changes: Callable[[Liar, Any], dict[str, Any]]) -> Change:
    """The vector of the update differs."""

    def vectors(liar: Liar, params: RoundParams) -> dict[str, Any]:
        first, *others = params.vectors
        return {"vectors": (replace(first, **changes(liar, first)), *others)}

    return _round(vectors)


def _ring(**changes: Any) -> Change:
    """Another ring; one at all where masks belong."""

    def ring(_: Liar, params: RoundParams) -> dict[str, Any]:
        honest = params.ring or Ring(degree=2048, moduli=(2**32,), step=1)
        return {"ring": replace(honest, **changes)}

    return _round(ring)


def _other_lanes(_: Liar, vector: Any) -> dict[str, Any]:
    """As many as keep the limit within a lane, if one more does not."""
    return {"lanes": vector.lanes - 1 if vector.lanes > 1 else 2, "limit": min(vector.limit, 2**20)}


def _check_may_differ(_: Liar, params: RoundParams) -> dict[str, Any]:
    *others, check = params.vectors
    return {"vectors": (*others, replace(check, limit=1))}


def _behaviour(
    name: str, sentence: str, make: Callable[[Liar], Lie], stage: Stage = CARRIED
) -> Behaviour:
    return Behaviour(name=name, sentence=sentence, make=make, stage=stage)


PARAMS: Final = (
    _behaviour(
        "lowered C", "Nobody is said to collude.", before(_limits(lambda _: {"max_colluding": 0}))
    ),
    _behaviour(
        "raised D",
        "One more may vanish than the thresholds bear.",
        before(_limits(lambda limits: {"max_dropouts": limits.max_dropouts + 1})),
    ),
    _behaviour(
        "lowered t",
        "As many shares open a secret as the colluding gateways hold, or as two sets can gather.",
        before(_limits(_fewer_shares)),
    ),
    _behaviour(
        "lowered q",
        "A quorum that two sets can have.",
        before(_limits(lambda limits: {"quorum": limits.quorum - 1})),
    ),
    _behaviour(
        "lowered n_min",
        "A sum over one gateway less.",
        before(_limits(lambda limits: {"min_included": limits.min_included - 1})),
    ),
    _behaviour(
        "small cohort",
        "The cohort is the victim, the colluding gateway and one more, fewer than the victim's"
        " policy asks for.",
        before(_session(_small_cohort)),
        Stage(carried=True, policy=Policy(min_gateways=6)),
    ),
    _behaviour(
        "not in the cohort",
        "The announced cohort does not have the victim in it.",
        before(_session(_without_victim)),
    ),
    _behaviour(
        "foreign roster",
        "The session is announced under another roster.",
        before(_session(lambda _liar, _params: {"roster": bytes(32)})),
    ),
    _behaviour(
        "unknown version",
        "A protocol version that does not exist.",
        before(_session(lambda _liar, _params: {"version": VERSION + 1})),
    ),
    _behaviour(
        "unknown suite",
        "A cipher suite that does not exist.",
        before(_session(lambda _liar, _params: {"suite": SUITES[-1] + 1})),
    ),
    _behaviour(
        "unknown scheme",
        "A scheme that does not exist.",
        before(_session(lambda _liar, _params: {"scheme": "none"})),
    ),
    Behaviour(
        "stranger's signature",
        "K or P is signed by the colluding gateway instead of the orchestrator.",
        before(_signed_by_colluder),
    ),
    Behaviour(
        "own K",
        "The victim alone is told another round number, and then asked on.",
        own(_session(lambda _, params: {"round": params.round + 1})),
    ),
    Behaviour(
        "own P",
        "The victim alone is told another clip, and then asked on.",
        own(_vector(lambda _, vector: {"scale": vector.scale / 2})),
    ),
    Behaviour(
        "P of another session",
        "P names another K than was announced.",
        before(_round(lambda _liar, _params: {"session_params": bytes(32)})),
    ),
    Behaviour(
        "other model",
        "The victim alone is told another model than the one its update was made on.",
        before(_round(lambda _liar, _params: {"model": bytes(31) + b"\x01"})),
    ),
    Behaviour(
        "crafted limit",
        "A coordinate may be larger than sums have room for.",
        before(_vector(lambda _, vector: {"limit": 2 ** (64 // vector.lanes - 1) - 1})),
    ),
    Behaviour("crafted lanes", "Another number of lanes in a word.", before(_vector(_other_lanes))),
    Behaviour(
        "crafted weight cap",
        "A weight that swallows every other.",
        before(_round(lambda _liar, _params: {"max_weight": 2.0 * MAX_WEIGHT})),
    ),
    Behaviour(
        "check that may differ",
        "The words that must sum to zero may hold something.",
        before(_round(_check_may_differ)),
    ),
    Behaviour(
        "crafted degree",
        "A ring of half the degree, or one where masks belong.",
        before(_ring(degree=1024)),
    ),
    Behaviour("crafted modulus", "A modulus of the liar's choice.", before(_ring(moduli=(2**33,)))),
    Behaviour(
        "crafted step",
        "An update is multiplied by so much that its sums leave the ring.",
        before(_ring(step=2**40)),
    ),
)
