"""Decides what a client accepts: checks both announcements against tables and its own policy."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, Self

from secagg import thresholds
from secagg.arguments import check_fields, checked
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
from secagg.files import write
from secagg.params import (
    MAX_LANES,
    SUITES,
    VERSION,
    GatewayId,
    RoundParams,
    SessionParams,
    Struct,
    check_purpose,
)
from secagg.protocol.audit_file import dump, load
from secagg.protocol.bounds import Bounds, Pin, check_bounds, keep_bounds, quantities
from secagg.protocol.identity import Cohort, Roster
from secagg.protocol.journal import Journal
from secagg.protocol.messages import Announce, SignedRound, Verify
from secagg.protocol.transcript import session_hash
from secagg.protocol.vectors import check_vectors

MODELLED: Final = ("train", "evaluate")
"""Purposes whose rounds are about a model."""
RETRIES: Final = 3
"""Further uploads on one model that `repeat_model="refuse"` allows, in announced retries."""
POLICY: Final = "secagg gateway policy"


class Policy(Struct, frozen=True):
    """What a gateway asks of every round, whatever the orchestrator announces.

    Attributes:
        min_colluding: C must be at least this; None asks for the default of the whole roster,
            (m - 1) // 3 of m <= 64 members and m // 10 above, whatever cohort is announced.
        min_gateways: n must be at least this; three is the least that hides anything.
        min_included: n_min must be at least this.
        max_words: largest upload in 64-bit words, a bound on memory (2^30 words are 8 GiB).
        lanes: accepted layouts, in lanes per 64-bit word.
        bounds: by purpose, `Bounds` of what is uploaded; other purposes are refused. Without any,
            "train" alone is served, under the bounds of its first round.
        keep_bounds: keep the first round's bounds where `bounds` has none; False where the
            orchestrator is this party itself.
        require_model: refuse rounds of "train" and "evaluate" that name no model: the orchestrator
            could give every gateway another one, and the sum would be one gateway's update.
        repeat_model: "refuse" a model that this gateway has used before for the same purpose, under
            whatever roster, but for three retries: it stops exact differencing by a second round on
            the same model. Rounds without a model are not compared.
        max_round_step: largest step from the last round to the next, None for any: a round with the
            largest number would be the last one of its roster.

    Raises:
        ConfigurationError: floors that no session could meet, or values of other types.
    """

    min_colluding: int | None = None
    min_gateways: int = 3
    min_included: int = 3
    max_words: int = 2**30
    lanes: tuple[int, ...] = tuple(range(1, MAX_LANES + 1))
    bounds: dict[str, Bounds] = {}  # noqa: RUF012 - msgspec copies it for each object
    keep_bounds: bool = True
    require_model: bool = True
    repeat_model: Literal["allow", "refuse"] = "refuse"
    max_round_step: int | None = 2**20

    def __post_init__(self) -> None:
        check_fields(self)
        self._check_floors()
        _check_ranges(self)
        for purpose in self.bounds:
            check_purpose(purpose)

    def _check_floors(self) -> None:
        too_few = self.min_colluding is not None and self.min_colluding < 1
        if self.min_gateways < 3 or self.min_included < 3 or too_few:
            raise ConfigurationError("fewer than 3 gateways, 3 included or C = 1 hide nothing")
        if 1 not in self.lanes:
            raise ConfigurationError("layout 1 carries the weights: leave it among the lanes")

    def dump(self) -> bytes:
        """Its file, in JSON: `bounds` in the order given, since the first pattern decides."""
        return dump(POLICY, self)

    @classmethod
    def load(cls, data: bytes) -> Self:
        """The policy of a file's content.

        Raises:
            WireError: not a policy, of another version, or not exactly as `dump` writes it.
        """
        return load(POLICY, cls, data)

    @checked()
    def save(self, path: str | Path) -> None:
        """Write its file; an older one is whole until the new one is.

        Raises:
            OSError: it cannot be written.
        """
        write(path, self.dump())

    def check_session(self, params: SessionParams, members: int) -> None:
        """Hold K against the floors.

        Args:
            params: K.
            members: of the whole roster: the orchestrator picks the cohort, and could pick C
                colluders and one victim.

        Raises:
            PolicyViolation: naming the field.
        """
        announced = params.thresholds
        usual = thresholds.usual_colluding(members)
        least = usual if self.min_colluding is None else self.min_colluding
        _at_least(
            "colluding gateways C",
            announced.max_colluding,
            least,
            f"max_colluding={least} at the orchestrator, the default of {members} members, or"
            f" Policy(min_colluding={announced.max_colluding}) here",
        )
        _at_least("gateways n", announced.gateways, self.min_gateways)
        _at_least("included gateways n_min", announced.min_included, self.min_included)

    def check_step(self, number: int, last: int) -> None:
        """Hold the step from the last round to this one against the largest.

        Raises:
            PolicyViolation: it is larger.
        """
        if self.max_round_step is not None and number - last > self.max_round_step:
            raise PolicyViolation("a step of round numbers", number - last, self.max_round_step)

    def check_round(self, params: RoundParams) -> None:
        """Hold P against the policy; quantities without a bound in it wait for `settle`.

        Raises:
            PolicyViolation: naming the field.
        """
        if params.purpose not in (self.bounds or {"train"}):
            raise PolicyViolation(f"purpose {params.purpose!r}, for which it has no bounds")
        if self.require_model and params.purpose in MODELLED and not any(params.model):
            raise PolicyViolation("rounds without a model: announce one, as `base`")
        if params.words > self.max_words:
            raise PolicyViolation("the words of an upload", params.words, self.max_words)
        refused = {vector.lanes for vector in params.vectors}.difference(self.lanes)
        if refused:
            raise PolicyViolation("a layout of lanes", sorted(refused), self.lanes)
        announced = quantities(params)
        check_bounds(announced, self._bounds(params).fixed(announced))

    def settle(self, params: RoundParams, pin: Pin) -> dict[str, float]:
        """Keep the bounds of P where there are none yet, and hold the others against them.

        Args:
            params: P, accepted by `check_round`.
            pin: keeps values durably for this purpose, each the first time.

        Returns:
            The clip of every real leaf by its key.

        Raises:
            PolicyViolation: another bound than is kept.
        """
        kept = pin if self.keep_bounds else dict
        return keep_bounds(quantities(params), self._bounds(params), kept)

    def _bounds(self, params: RoundParams) -> Bounds:
        return self.bounds.get(params.purpose, Bounds())

    def uses(self, *, retry: bool) -> int | None:
        """Uploads on one model for one purpose, this one among them; None for any number."""
        if self.repeat_model == "allow":
            return None
        return 1 + RETRIES if retry else 1


def _check_ranges(policy: Policy) -> None:
    if strange := set(policy.lanes).difference(range(1, MAX_LANES + 1)):
        raise ConfigurationError(f"lanes of {sorted(strange)}: a layout has 1 to {MAX_LANES}")
    if policy.max_words < 0 or (policy.max_round_step or 0) < 0:
        raise ConfigurationError("max_words and max_round_step are 0 at the least")
    for name in (
        "min_colluding",
        "min_gateways",
        "min_included",
        "max_words",
        "max_round_step",
    ):
        if (getattr(policy, name) or 0) >= 2**63:
            raise ConfigurationError(f"{name} has more than 63 bits, which no file holds")


def _at_least(name: str, value: int, floor: int, cure: str = "") -> None:
    if value < floor:
        raise PolicyViolation(name, value, floor, cure=cure)


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
    policy.check_step(params.round, last)
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
    if policy.repeat_model == "refuse" and journal.model_used(params.purpose, params.model):
        raise ModelMismatch(
            f"this model was used for {params.purpose!r} before: announce a retry, or another model"
        )
    return params
