"""Presents masks to the sessions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from secagg.arguments import check_fields, checked
from secagg.errors import ConfigurationError
from secagg.fixed_point import choose_lanes
from secagg.fixed_point.layout import update_limit
from secagg.params import MAX_LANES, RoundParams, SessionParams, Struct, Thresholds
from secagg.protocol.steps import Step
from secagg.schemes.base import (
    ClientContext,
    Guarantees,
    ServerContext,
    UpdatePlan,
    hides,
    survives,
)
from secagg.schemes.masks.client import MasksClient
from secagg.schemes.masks.messages import MESSAGES, STEPS
from secagg.schemes.masks.server import MasksServer
from secagg.schemes.scheme import Scheme
from secagg.thresholds import derive
from secagg.wire import Span, frame_spans


@dataclass(frozen=True, slots=True)
class Masks(Scheme):
    """Pairwise masks: exact sums, the smallest upload, best with few neighbours or dropouts.

    Attributes:
        packing: lanes in a 64-bit word, 1 to 5; None lets the planner choose 3, 2 or 1 by
            precision.
        neighbours: k, of each gateway in cohorts above 64: more than the least bear no more
            dropouts by themselves, but leave room for a larger opening threshold. None: the least.

    Raises:
        ConfigurationError: another packing, or neighbours that are no whole number above 0.
    """

    name: ClassVar[str] = "masks"
    family: ClassVar[str] = "masks"
    best_for: ClassVar[str] = "few gateways, exact sums, small uploads"
    steps: ClassVar[tuple[Step, ...]] = STEPS
    messages: ClassVar[Mapping[int, type[Struct]]] = MESSAGES

    packing: int | None = None
    neighbours: int | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        if self.packing not in (None, *range(1, MAX_LANES + 1)):
            raise ConfigurationError(f"packing is {self.packing}: use 1 to {MAX_LANES} or None")
        if self.neighbours is not None and self.neighbours < 1:
            raise ConfigurationError(f"neighbours is {self.neighbours}: use one or more, or None")

    @checked()
    def plan_update(self, gateways: int, max_weight: float, precision: float) -> UpdatePlan:
        """As many lanes in a word as reach the precision.

        Raises:
            ConfigurationError: none does; names the nearest possible.
        """
        allowed = (3, 2, 1) if self.packing is None else (self.packing,)
        lanes = choose_lanes(gateways, max_weight, precision, allowed)
        return UpdatePlan(
            lanes=lanes,
            limit=update_limit(lanes, gateways),
            text=f"{lanes} lanes of {64 // lanes} bits in a word; sums are exact.",
        )

    @checked()
    def spans(self, params: RoundParams, gateways: int) -> tuple[Span, ...]:
        """The frames of an upload."""
        del gateways  # masks leave words as long as they are
        return frame_spans([vector.words for vector in params.vectors])

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
        return derive(
            gateways,
            max_colluding=max_colluding,
            max_dropouts=max_dropouts,
            degree=self.neighbours,
        )

    @checked()
    def client(self, session: bytes, context: ClientContext) -> MasksClient:
        """A gateway's machine."""
        return MasksClient(session, context)

    @checked()
    def server(
        self,
        params: Callable[[bytes], SessionParams],
        round_params: Callable[[SessionParams], RoundParams],
        context: ServerContext,
    ) -> MasksServer:
        """The orchestrator's machine."""
        return MasksServer(params, round_params, context)

    @checked()
    def guarantees(self, thresholds: Thresholds) -> Guarantees:
        """What holds with these thresholds."""
        return Guarantees(
            hides=hides(thresholds),
            survives=survives(thresholds),
            not_promised=(
                "What the sum itself reveals, and that gateways submit honest updates, are not"
                " this scheme's promise."
            ),
        )
