"""A behaviour: one thing that an orchestrator does wrong, in whatever phase it is told to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from protocol_sim.liars.liar import FAMILIES, Liar, Lie, attempt
from secagg.params import Struct
from secagg.protocol.policy import Policy
from secagg.session.loopback import Frame

Change = Callable[[Liar, Any], Struct | bytes]
"""From an honest request to what is asked instead."""

LARGE: Final = 65
"""Gateways above which graphs are sparse in masks, and sets certified in additive schemes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What a behaviour is played on.

    Attributes:
        gateways: n.
        limits: C and D that are not the scheme's own.
        victim: position of the victim, from the end if negative.
        policy: of the victim.
        past: an earlier round was played; the round is the second.
        carried: likewise, and its prekeys serve this one, so that no set-up comes first.
        absent: one honest gateway takes no part.
        spoiled: the colluding gateway deals bad shares, and the server keeps uploads, so that
            gateways are asked for another answer.
    """

    gateways: int = 6
    limits: Mapping[str, int] = field(default_factory=dict)
    victim: int = 1
    policy: Policy = field(default_factory=lambda: Policy(min_colluding=1))
    past: bool = False
    carried: bool = False
    absent: bool = False
    spoiled: bool = False

    def enlarged(self) -> Stage:
        """The same above 64 gateways, with few that collude or vanish: small shares."""
        return replace(self, gateways=LARGE, limits={"max_colluding": 1, "max_dropouts": 2})


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One thing that an orchestrator does wrong.

    Attributes:
        name: of it.
        sentence: what it does.
        make: the lie of one liar.
        stage: what it is played on.
        large: families of schemes in which it is played above 64 gateways.
        sessions: plays sessions of its own: in `memory` only.
    """

    name: str
    sentence: str
    make: Callable[[Liar], Lie]
    stage: Stage = field(default_factory=Stage)
    large: frozenset[str] = frozenset()
    sessions: bool = False

    def stage_of(self, scheme: str, phase: str) -> Stage:
        """What it is played on in one phase of a scheme.

        Args:
            scheme: its name.
            phase: of the lie.
        """
        family, stage = FAMILIES[scheme], self.stage
        if family in self.large or (family, phase) == ("additive", "consistency"):
            stage = stage.enlarged()
        spoiled = phase == "answer_again"  # by then somebody is absent anyway
        return replace(
            stage,
            carried=stage.carried and phase == "upload",
            absent=stage.absent and not spoiled,
            spoiled=spoiled,
        )


def compose(first: Behaviour, second: Behaviour) -> Behaviour:
    """Both at once: what arrives for the first is what the second begins with.

    Args:
        first: is asked first.
        second: sees what is left.
    """

    def make(liar: Liar) -> Lie:
        one, two = first.make(liar), second.make(liar)

        def lie(frame: Frame) -> list[bytes]:
            passed = attempt(one, frame)
            return [data for each in passed for data in attempt(two, frame._replace(data=each))]

        return lie

    return replace(
        first,
        name=f"{first.name} + {second.name}",
        sentence=f"{first.sentence} {second.sentence}",
        make=make,
        large=first.large | second.large,
        sessions=first.sessions or second.sessions,
    )


def _asked(liar: Liar, frame: Frame) -> bool:
    """Whether this is the request to lie in."""
    return not frame.up and (frame.gateway, frame.step) == (liar.victim, liar.phase)


def _bytes(liar: Liar, made: Struct | bytes) -> bytes:
    return made if isinstance(made, bytes) else liar.frame(made)


def told(change: Change, order: str) -> Callable[[Liar], Lie]:
    """A lie that changes the victim's request.

    Args:
        change: what is asked.
        order: "instead" of the honest request, "before" it or "after" it.
    """

    def make(liar: Liar) -> Lie:
        def lie(frame: Frame) -> list[bytes]:
            if not _asked(liar, frame):
                return [frame.data]
            changed = _bytes(liar, change(liar, liar.open(frame.data)))
            return {
                "instead": [changed],
                "before": [changed, frame.data],
                "after": [frame.data, changed],
            }[order]

        return lie

    return make


def before(change: Change) -> Callable[[Liar], Lie]:
    """The changed request first; the honest one comes after it, in vain if the lie was noticed."""
    return told(change, "before")


def after(change: Change) -> Callable[[Liar], Lie]:
    """The honest request, and then another one."""
    return told(change, "after")


def instead(change: Change) -> Callable[[Liar], Lie]:
    """The changed request alone."""
    return told(change, "instead")
