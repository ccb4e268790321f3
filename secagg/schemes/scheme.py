"""Defines what a scheme is to the sessions: steps, a client, a server, and what it promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

from secagg.params import RoundParams, SessionParams, Struct, Thresholds
from secagg.protocol.steps import Step
from secagg.schemes.base import ClientContext, Guarantees, ServerContext, UpdatePlan
from secagg.schemes.client import Client
from secagg.schemes.server import Server
from secagg.wire import Span


class Scheme(ABC):
    """A way to open a sum and nothing else.

    Attributes:
        name: in K, and for users.
        family: the protocol it speaks; schemes of one family share steps and messages.
        best_for: when to take it, in a few words.
        steps: exchanges in order.
        messages: wire code -> type of message.
    """

    __slots__ = ()

    name: ClassVar[str]
    family: ClassVar[str]
    best_for: ClassVar[str]
    steps: ClassVar[tuple[Step, ...]]
    messages: ClassVar[Mapping[int, type[Struct]]]

    def steps_for(self, thresholds: Thresholds) -> tuple[Step, ...]:
        """The steps of a first round in which nobody cheats."""
        del thresholds
        return self.steps

    @abstractmethod
    def plan_update(self, gateways: int, max_weight: float, precision: float) -> UpdatePlan:
        """The leanest layout that reaches `precision` (`fixed_point.choose_lanes`)."""

    @abstractmethod
    def spans(self, params: RoundParams, gateways: int) -> tuple[Span, ...]:
        """The frames of an upload, vector by vector."""

    @abstractmethod
    def thresholds(
        self,
        gateways: int,
        *,
        max_colluding: int | None = None,
        max_dropouts: int | None = None,
    ) -> Thresholds:
        """n, C, D and what follows from them; None leaves C or D to the scheme."""

    @abstractmethod
    def client(self, session: bytes, context: ClientContext) -> Client:
        """A gateway's machine, ready for the announcement (or, restarted, for a repetition)."""

    @abstractmethod
    def server(
        self,
        params: Callable[[bytes], SessionParams],
        round_params: Callable[[SessionParams], RoundParams],
        context: ServerContext,
    ) -> Server:
        """A machine ready to start; `params` takes the 32-byte X25519 key of the session."""

    @abstractmethod
    def guarantees(self, thresholds: Thresholds) -> Guarantees:
        """What this scheme promises."""
