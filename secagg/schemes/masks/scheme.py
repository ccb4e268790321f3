"""The masks scheme as sessions see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from secagg.errors import ConfigurationError
from secagg.params import MAX_LANES, RoundParams, SessionParams, Struct, Thresholds
from secagg.protocol.machine import Step
from secagg.schemes.base import ClientContext, Guarantees, ServerContext
from secagg.schemes.masks.client import MasksClient
from secagg.schemes.masks.messages import MESSAGES, STEPS
from secagg.schemes.masks.server import MasksServer
from secagg.thresholds import derive


@dataclass(frozen=True, slots=True)
class Masks:
    """Pairwise masks: exact sums, the smallest upload, best with few neighbours or dropouts.

    Attributes:
        packing: lanes in a 64-bit word, 1 to 5; None lets the planner choose 3, 2 or 1 by
            precision.
        degree: k, neighbours of each gateway in cohorts above 64: more than the least bear no more
            dropouts by themselves, but leave room for a larger share threshold. None: the least.

    Raises:
        ConfigurationError: another packing.
    """

    name: ClassVar[str] = "masks"
    steps: ClassVar[tuple[Step, ...]] = STEPS
    messages: ClassVar[Mapping[int, type[Struct]]] = MESSAGES

    packing: int | None = None
    degree: int | None = None

    def __post_init__(self) -> None:
        if self.packing is not None and not 1 <= self.packing <= MAX_LANES:
            raise ConfigurationError(f"packing is {self.packing}: use 1 to {MAX_LANES} or None")

    @property
    def lanes(self) -> tuple[int, ...]:
        """Layouts to choose from."""
        return (3, 2, 1) if self.packing is None else (self.packing,)

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
            degree=self.degree,
        )

    def client(self, session: bytes, context: ClientContext) -> MasksClient:
        """A gateway's machine."""
        return MasksClient(session, context)

    def server(
        self,
        params: Callable[[bytes], SessionParams],
        round_params: Callable[[SessionParams], RoundParams],
        context: ServerContext,
    ) -> MasksServer:
        """The orchestrator's machine."""
        return MasksServer(params, round_params, context)

    def guarantees(self, thresholds: Thresholds) -> Guarantees:
        """What holds with these thresholds."""
        n, c, d = thresholds.gateways, thresholds.max_colluding, thresholds.max_dropouts
        colluding = "1 gateway is" if c == 1 else f"up to {c} gateways are"
        return Guarantees(
            hides=(
                f"The orchestrator learns the sum over one agreed set of at least"
                f" {thresholds.min_included} of {n} gateways and nothing else about any of them,"
                f" even if it lies and {colluding} on its side."
            ),
            exact=True,
            survives=(
                f"Any {d} of {n} gateways may vanish at any moment."
                if d
                else f"None of the {n} gateways may vanish: the round would end without a result."
            ),
            not_promised=(
                "What the sum itself reveals, and that gateways submit honest updates, are not"
                " this scheme's promise."
            ),
        )
