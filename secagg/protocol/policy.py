"""Decides what a client accepts: checks both announcements against tables and its own policy."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal

from secagg import thresholds
from secagg.crypto.agreement import check_public_key
from secagg.crypto.labels import Label
from secagg.errors import (
    BadPublicKey,
    ConfigurationError,
    ForeignSession,
    KeyAgreementError,
    ModelMismatch,
    NotInCohort,
    PolicyViolation,
    StaleRound,
    ThresholdMismatch,
    UnsupportedParameters,
    WireError,
)
from secagg.fixed_point import clip_of
from secagg.fixed_point.layout import CLIP_SLACK
from secagg.params import (
    MAX_LANES,
    SUITES,
    VERSION,
    GatewayId,
    RoundParams,
    SessionParams,
)
from secagg.protocol.identity import Cohort, Roster
from secagg.protocol.journal import Journal
from secagg.protocol.messages import Announce, SignedRound, Verify
from secagg.protocol.transcript import session_hash
from secagg.protocol.vectors import check_vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Floors a gateway sets for every round, whatever the orchestrator announces.

    Attributes:
        min_colluding: C must be at least this; None asks for the default of the whole roster,
            (m - 1) // 3 of m <= 64 members and m // 10 above, whatever cohort is announced.
        min_gateways: n must be at least this; three is the least that hides anything.
        min_included: n_min must be at least this.
        max_words: largest upload in 64-bit words, a bound on memory (2^30 words are 8 GiB).
        max_weight: largest weight cap, None for any.
        lanes: accepted layouts, in lanes per 64-bit word.
        clips: smallest and largest accepted bound of abs(coordinate) of an update.
        repeat_model: "refuse" a model hash that this gateway has used before, under whatever
            roster: it stops exact differencing by a second round on the same model. Rounds without
            a model (all-zero hash) are not compared.

    Raises:
        ConfigurationError: floors that no session could meet.
    """

    min_colluding: int | None = None
    min_gateways: int = 3
    min_included: int = 3
    max_words: int = 2**30
    max_weight: float | None = None
    lanes: frozenset[int] = frozenset(range(1, MAX_LANES + 1))
    clips: tuple[float, float] = (0.0, inf)
    repeat_model: Literal["allow", "refuse"] = "allow"

    def __post_init__(self) -> None:
        too_few = self.min_colluding is not None and self.min_colluding < 1
        if self.min_gateways < 3 or self.min_included < 3 or too_few:
            raise ConfigurationError("fewer than 3 gateways, 3 included or C = 1 hide nothing")
        if 1 not in self.lanes:
            raise ConfigurationError("layout 1 carries the weights: leave it among the lanes")

    def check_session(self, params: SessionParams, members: int) -> None:
        """Hold K against the floors.

        Args:
            params: K.
            members: of the whole roster: the orchestrator picks the cohort, and could pick C
                colluders and one victim.

        Raises:
            PolicyViolation: naming the field, its value and the floor.
        """
        announced = params.thresholds
        usual = thresholds.usual_colluding(members)
        least = usual if self.min_colluding is None else self.min_colluding
        _at_least("colluding gateways C", announced.max_colluding, least)
        _at_least("gateways n", announced.gateways, self.min_gateways)
        _at_least("included gateways n_min", announced.min_included, self.min_included)

    def check_round(self, params: RoundParams) -> None:
        """Hold P against the floors.

        Raises:
            PolicyViolation: naming the field, its value and the floor.
        """
        if params.words > self.max_words:
            raise PolicyViolation(f"upload of {params.words} words, policy allows {self.max_words}")
        if self.max_weight is not None and params.max_weight > self.max_weight:
            raise PolicyViolation(f"weights up to {params.max_weight}, policy: {self.max_weight}")
        refused = {vector.lanes for vector in params.vectors} - self.lanes
        if refused:
            raise PolicyViolation(f"layouts of {sorted(refused)} lanes are not in the policy")
        low, high = self.clips
        for _, vector in params.of_kind("update"):
            clip = clip_of(vector, params.max_weight) / (1 + CLIP_SLACK)
            slack = 1e-9 * clip  # two roundings of float64 are far below
            if not low - slack <= clip <= high + slack:
                raise PolicyViolation(f"{vector.name} is clipped at {clip:g}, policy: {self.clips}")


def _at_least(name: str, value: int, floor: int) -> None:
    if value < floor:
        raise PolicyViolation(f"{name} = {value}, policy asks for at least {floor}")


def check_announce(
    announce: Announce,
    *,
    roster: Roster,
    me: GatewayId,
    scheme: str,
    committee: bool,
    policy: Policy,
    journal: Journal,
    verify: Verify,
) -> tuple[SessionParams, Cohort]:
    """All a client checks before it sends a key: signature, tables, thresholds, policy, round.

    Args:
        announce: signed K.
        roster: pinned.
        me: own id.
        scheme: name of the scheme this client speaks.
        committee: whether it shares keys among a committee.
        policy: floors.
        journal: the last round.
        verify: signature check.

    Returns:
        K and the session's cohort.

    Raises:
        RemoteProtocolError: the subclass names the check.
        WireError: signed, but no canonical K.
    """
    params = announce.open(SessionParams, roster.orchestrator, Label.SIGN_SESSION, verify)
    if params.version != VERSION or params.suite not in SUITES or params.scheme != scheme:
        raise UnsupportedParameters(
            f"version {params.version}, suite {params.suite}, scheme {params.scheme!r}"
        )
    if params.roster != roster.hash():
        raise ForeignSession("announced under another roster: compare epochs and keys")
    cohort = _cohort(roster, params.cohort)
    if me not in cohort:
        raise NotInCohort(f"{me!r} is not in the announced cohort")
    if params.thresholds.gateways != len(cohort):
        raise UnsupportedParameters(f"n = {params.thresholds.gateways}, cohort of {len(cohort)}")
    if (params.thresholds.committee > 0) != committee:
        raise ThresholdMismatch("thresholds of another kind of scheme")
    thresholds.verify_thresholds(params.thresholds)
    policy.check_session(params, len(roster.members))
    try:
        check_public_key(params.orchestrator_key)
    except KeyAgreementError as error:
        raise BadPublicKey(f"orchestrator: {error}") from None
    last = journal.last_round(params.roster)
    if params.round <= last:
        raise StaleRound(f"round {params.round} announced, this party takes part in {last} already")
    return params, cohort


def _cohort(roster: Roster, bitmap: bytes) -> Cohort:
    try:
        return Cohort(roster, bitmap)
    except WireError as error:
        raise UnsupportedParameters(f"cohort: {error}") from None


def check_round(
    signed: SignedRound,
    *,
    session: SessionParams,
    roster: Roster,
    policy: Policy,
    journal: Journal,
    verify: Verify,
) -> RoundParams:
    """All a client checks of P before it uses it; the model's hash waits for `upload`.

    Raises:
        RemoteProtocolError: the subclass names the check.
        WireError: signed, but no canonical P.
    """
    params = signed.open(RoundParams, roster.orchestrator, Label.SIGN_ROUND, verify)
    if params.session_params != session_hash(session):
        raise ForeignSession("round parameters of another session")
    check_vectors(params, session.thresholds)
    policy.check_round(params)
    if policy.repeat_model == "refuse" and journal.model_used("train", params.model):
        raise ModelMismatch("this model was used for 'train' before: policy refuses")
    return params
