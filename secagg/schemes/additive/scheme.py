"""Presents lattice and ckks to the sessions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from secagg.arguments import check_fields, checked
from secagg.errors import ConfigurationError
from secagg.params import RoundParams, SessionParams, Struct, Thresholds
from secagg.protocol.steps import Step
from secagg.schemes.additive import ckks, lattice
from secagg.schemes.additive.ckks import CkksRing
from secagg.schemes.additive.client import AdditiveClient
from secagg.schemes.additive.lattice import LatticeRing
from secagg.schemes.additive.messages import MESSAGES, STEPS
from secagg.schemes.additive.rings import RingOf
from secagg.schemes.additive.server import AdditiveServer
from secagg.schemes.base import (
    ClientContext,
    Guarantees,
    ServerContext,
    UpdatePlan,
    hides,
    survives,
)
from secagg.schemes.scheme import Scheme
from secagg.thresholds import derive_committee
from secagg.wire import Span, frame_spans


@dataclass(frozen=True, slots=True)
class Additive(Scheme):
    """What the additive schemes have in common: all but the ring.

    Attributes:
        committee: m, members that hold shares in cohorts above 64; None: the m with the smallest
            shares.
        keep_uploads: the orchestrator keeps every upload in a temporary file until the sum is open,
            at about the cost of summing once more: a round of up to 64 gateways then survives
            dealers that R or more members reject. Otherwise such a round ends in `BadDealing`.
    """

    family: ClassVar[str] = "additive"
    ring: ClassVar[RingOf]
    precision: ClassVar[str]
    steps: ClassVar[tuple[Step, ...]] = STEPS
    messages: ClassVar[Mapping[int, type[Struct]]] = MESSAGES

    committee: int | None = field(default=None, kw_only=True)
    keep_uploads: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        check_fields(self)
        if self.committee is not None and self.committee < 1:
            raise ConfigurationError(f"committee is {self.committee}: use one or more, or None")

    @checked()
    def steps_for(self, thresholds: Thresholds) -> tuple[Step, ...]:
        """All but the second question, and but certificates where answers certify the set."""
        left_out = {"answer_again"} if thresholds.certified else {"consistency", "answer_again"}
        return tuple(step for step in self.steps if step.name not in left_out)

    @checked()
    def spans(self, params: RoundParams, gateways: int) -> tuple[Span, ...]:
        """The frames of an upload.

        Raises:
            UnsupportedParameters: a ring this scheme would not choose.
        """
        ring = type(self).ring(params, gateways)
        return frame_spans(ring.words, ring.unit)

    @checked()
    def thresholds(
        self,
        gateways: int,
        *,
        max_colluding: int | None = None,
        max_dropouts: int | None = None,
    ) -> Thresholds:
        """n, C, D and what follows from them.

        Raises:
            ConfigurationError: they cannot work; the message names what would.
        """
        return derive_committee(
            gateways,
            max_colluding=max_colluding,
            max_dropouts=max_dropouts,
            committee=self.committee,
        )

    @checked()
    def client(self, session: bytes, context: ClientContext) -> AdditiveClient:
        """A gateway's machine."""
        return AdditiveClient(session, context, self.name, type(self).ring)

    @checked()
    def server(
        self,
        params: Callable[[bytes], SessionParams],
        round_params: Callable[[SessionParams], RoundParams],
        context: ServerContext,
    ) -> AdditiveServer:
        """The orchestrator's machine."""
        return AdditiveServer(
            params, round_params, context, type(self).ring, keep_uploads=self.keep_uploads
        )

    @checked()
    def guarantees(self, thresholds: Thresholds) -> Guarantees:
        """What holds with these thresholds."""
        return Guarantees(
            hides=hides(thresholds),
            survives=survives(thresholds),
            not_promised=(
                f"{self.precision} What the sum itself reveals, and that gateways submit honest"
                " updates, are not this scheme's promise; neither is secrecy beyond the hardness of"
                " ring learning with errors at these parameters."
            ),
        )


@dataclass(frozen=True, slots=True)
class Lattice(Additive):
    """One-time lattice masks: two exchanges, one unmasking a round; best with many gateways.

    Attributes:
        modulus: Q, 2^32 or 2^40; None lets the planner choose the smaller one that is precise
            enough.
        committee, keep_uploads: see `Additive`.

    Raises:
        ConfigurationError: another modulus.
    """

    name: ClassVar[str] = "lattice"
    best_for: ClassVar[str] = "many gateways or dropouts, slow links"
    ring: ClassVar[RingOf] = LatticeRing
    precision: ClassVar[str] = (
        "Sums are exact where the plan says so, and within its stated bound otherwise."
    )

    modulus: int | None = None

    def __post_init__(self) -> None:
        Additive.__post_init__(self)
        if self.modulus is not None and self.modulus not in lattice.MODULI:
            raise ConfigurationError(f"modulus is {self.modulus!r}: use 2**32, 2**40 or None")

    @checked()
    def plan_update(self, gateways: int, max_weight: float, precision: float) -> UpdatePlan:
        """The smallest modulus that reaches the precision, exact if it can be.

        Raises:
            ConfigurationError: none does; names the nearest possible.
        """
        return lattice.plan(gateways, max_weight, precision, self.modulus)


@dataclass(frozen=True, slots=True)
class Ckks(Additive):
    """CKKS without a key holder: one-time keys, of which only a sum ever opens.

    A gateway's upload is a CKKS ciphertext under a key that serves once and that nobody else has.
    The orchestrator learns the sum of the keys over one agreed set, which decrypts the sum of the
    uploads over that set and nothing else.

    Attributes:
        ring_degree: N, 2048 (5 bytes a coordinate) or 4096 (8 bytes, 180 times as precise, half as
            much time again at the gateway, key shares of twice the size); None lets the planner
            choose the smaller one that is precise enough. Each pattern of clips that matches takes
            whole ring elements: 10 KiB at the least, 32 KiB with N = 4096.
        committee, keep_uploads: see `Additive`.

    Raises:
        ConfigurationError: another ring degree.
    """

    name: ClassVar[str] = "ckks"
    best_for: ClassVar[str] = "where CKKS is required"
    ring: ClassVar[RingOf] = CkksRing
    precision: ClassVar[str] = (
        "Sums of updates are within the plan's stated bound, not exact; weights, integers and"
        " metrics are exact."
    )

    ring_degree: int | None = None

    def __post_init__(self) -> None:
        Additive.__post_init__(self)
        ckks.check_degree(self.ring_degree)

    @checked()
    def plan_update(self, gateways: int, max_weight: float, precision: float) -> UpdatePlan:
        """The smaller ring that reaches the precision.

        Raises:
            ConfigurationError: none does; names the nearest possible.
        """
        return ckks.plan(gateways, max_weight, precision, self.ring_degree)
