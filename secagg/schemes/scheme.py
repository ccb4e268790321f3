"""Defines what a scheme is to the sessions: steps, a client, a server, and what it promises."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Protocol

from secagg.params import RoundParams, SessionParams, Struct, Thresholds
from secagg.protocol.machine import Step
from secagg.schemes.base import ClientContext, Guarantees, ServerContext, UpdatePlan
from secagg.schemes.client import Client
from secagg.schemes.server import Server
from secagg.wire import Span


class Scheme(Protocol):
    """A way to open a sum and nothing else."""

    name: ClassVar[str]
    steps: ClassVar[tuple[Step, ...]]
    messages: ClassVar[Mapping[int, type[Struct]]]

    def plan_update(self, gateways: int, max_weight: float, precision: float) -> UpdatePlan:
        """The leanest layout that reaches `precision` (`fixed_point.choose_lanes`)."""
        ...

    def spans(self, params: RoundParams, gateways: int) -> tuple[Span, ...]:
        """The frames of an upload, vector by vector."""
        ...

    def thresholds(
        self,
        gateways: int,
        *,
        max_colluding: int | None = None,
        max_dropouts: int | None = None,
    ) -> Thresholds:
        """n, C, D and what follows from them; None leaves C or D to the scheme."""
        ...

    def client(self, session: bytes, context: ClientContext) -> Client:
        """A gateway's machine, ready for the announcement (or, restarted, for a repetition)."""

    def server(
        self,
        params: Callable[[bytes], SessionParams],
        round_params: Callable[[SessionParams], RoundParams],
        context: ServerContext,
    ) -> Server:
        """A machine ready to start; `params` takes the 32-byte X25519 key of the session."""

    def guarantees(self, thresholds: Thresholds) -> Guarantees:
        """What this scheme promises."""
