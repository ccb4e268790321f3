"""Adds up what a round cost all parties."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from fedavg.orchestrator import Round


@dataclass(frozen=True, slots=True)
class Totals:
    """One round, all phases of the protocol added up.

    Attributes:
        up: bytes that all gateways sent.
        down: bytes that all gateways received; the global model comes on top.
        server_ms: milliseconds of the orchestrator; None in the clear, where there is no protocol.
        gateway_ms: of all gateways, training not counted; None likewise.
    """

    up: int
    down: int
    server_ms: float | None
    gateway_ms: float | None

    @classmethod
    def of(cls, each: Round) -> Self:
        """The totals of a round that ended."""
        if not each.phases:
            return cls(each.bytes_up * len(each.included), 0, None, None)
        return cls(
            up=sum(phase.bytes_up for phase in each.phases),
            down=sum(phase.bytes_down for phase in each.phases),
            server_ms=1000 * sum(phase.server_seconds for phase in each.phases),
            gateway_ms=1000 * sum(phase.gateway_seconds for phase in each.phases),
        )


def dropped(each: Round) -> str:
    """Who was dropped, in which phase and why; empty if nobody was."""
    return ", ".join(map(str, each.dropped.values()))


def amount(value: float | None) -> str:
    """Three digits or more in at most five characters, up to 99999; "-" for what there is not."""
    if value is None:
        return "-"
    return f"{value:.{3 if value < 10 else 2 if value < 100 else 1 if value < 1000 else 0}f}"
