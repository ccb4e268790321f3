"""An attack: one thing that an orchestrator does wrong, in whatever phase it is told to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from protocol_sim.attacks.attacker import FAMILIES, Attacker, Hook, attempt
from secagg.params import Struct
from secagg.protocol.policy import Policy
from secagg.session.loopback import Frame

Change = Callable[[Attacker, Any], Struct | bytes]
"""Makes of an honest request what is asked instead."""

LARGE: Final = 65
"""Gateways above which graphs are sparse in masks, and sets certified in additive schemes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What an attack is played on.

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
    policy: Policy = field(default_factory=lambda: Policy(min_colluding=1, require_model=False))
    past: bool = False
    carried: bool = False
    absent: bool = False
    spoiled: bool = False

    def enlarged(self) -> Stage:
        """The same above 64 gateways, with few that collude or vanish: small shares."""
        return replace(self, gateways=LARGE, limits={"max_colluding": 1, "max_dropouts": 2})


@dataclass(frozen=True, slots=True)
class Attack:
    """One thing that an orchestrator does wrong.

    Attributes:
        name: of it.
        sentence: what it does.
        make: the attack of one attacker.
        stage: what it is played on.
        large: families of schemes in which it is played above 64 gateways.
        sessions: plays sessions of its own: in `memory` only.
    """

    name: str
    sentence: str
    make: Callable[[Attacker], Hook]
    stage: Stage = field(default_factory=Stage)
    large: frozenset[str] = frozenset()
    sessions: bool = False

    def stage_of(self, scheme: str, phase: str) -> Stage:
        """What it is played on in one phase of a scheme.

        Args:
            scheme: its name.
            phase: of the attack.
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


def compose(first: Attack, second: Attack) -> Attack:
    """Both at once: what arrives for the first is what the second begins with.

    Args:
        first: is asked first.
        second: sees what is left.
    """

    def make(attacker: Attacker) -> Hook:
        one, two = first.make(attacker), second.make(attacker)

        def hook(frame: Frame) -> list[bytes]:
            passed = attempt(one, frame)
            return [data for each in passed for data in attempt(two, frame._replace(data=each))]

        return hook

    return replace(
        first,
        name=f"{first.name} + {second.name}",
        sentence=f"{first.sentence} {second.sentence}",
        make=make,
        large=first.large | second.large,
        sessions=first.sessions or second.sessions,
    )


def _asked(attacker: Attacker, frame: Frame) -> bool:
    """Whether this is the request to change."""
    return not frame.up and (frame.gateway, frame.step) == (attacker.victim, attacker.phase)


def _bytes(attacker: Attacker, made: Struct | bytes) -> bytes:
    return made if isinstance(made, bytes) else attacker.frame(made)


def changing(change: Change, order: str) -> Callable[[Attacker], Hook]:
    """An attack that changes the victim's request.

    Args:
        change: what is asked.
        order: "instead" of the honest request, "before" it or "after" it.
    """

    def make(attacker: Attacker) -> Hook:
        def hook(frame: Frame) -> list[bytes]:
            if not _asked(attacker, frame):
                return [frame.data]
            changed = _bytes(attacker, change(attacker, attacker.open(frame.data)))
            return {
                "instead": [changed],
                "before": [changed, frame.data],
                "after": [frame.data, changed],
            }[order]

        return hook

    return make


def before(change: Change) -> Callable[[Attacker], Hook]:
    """The changed request first; the honest one comes after it, in vain if this was noticed."""
    return changing(change, "before")


def after(change: Change) -> Callable[[Attacker], Hook]:
    """The honest request, and then another one."""
    return changing(change, "after")


def instead(change: Change) -> Callable[[Attacker], Hook]:
    """The changed request alone."""
    return changing(change, "instead")
