"""What happens without each check of a client: the table of `test_leaks_checks`.

LEAK: the oracle finds a sum that must not open, or a second one. BROKEN: another promise is, and
the row says which. REDUNDANT: none is; another check or a lack of keys stops the same lie, and the
row says what.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from secagg.schemes.additive import Lattice
from secagg.schemes.additive.messages import AnswerRequest, IncludedRequest, UploadRequest
from tests.protocol_sim.without_each_check.endings import attacked, attacked_additive
from tests.schemes.additive.test_client_rows import ANSWERS, CERTIFIED, UPLOADS
from tests.schemes.test_client_rows import ROWS as ATTACKED

LEAK, BROKEN, REDUNDANT = "leak", "broken", "redundant"
ATTACKS = {str(attack): attack for attack in ATTACKED}
UNNAMED = "a lie ends in an error with a name, and the round goes on without its victim"
POLICY = "what the gateway's own policy says, whatever is announced"
EARLY = "spares work, or a round, for a set that cannot open"


@dataclass(frozen=True)
class Row:
    """One check and what stands on it.

    Attributes:
        check: the beginning of its name.
        kind: LEAK, BROKEN or REDUNDANT.
        play: a session with an attack, played with the check and without it; says how it ends.
        refused: how it ends with the check.
        ending: how it ends without.
        why: which promise is broken, or why none is.
        slow: more than 64 gateways.
    """

    check: str
    kind: str
    play: Callable[[], str]
    refused: str
    ending: str
    why: str = ""
    slow: bool = False

    def __str__(self) -> str:
        return self.check[:70]


def row(name: str) -> dict[str, Any]:
    """A lie out of the tables of tests/schemes, and its name."""
    return {"play": partial(attacked, ATTACKS[name]), "refused": ATTACKS[name].error.__name__}


def additive(name: str) -> dict[str, Any]:
    kind = UploadRequest if name in UPLOADS else AnswerRequest
    change, error = (UPLOADS | ANSWERS)[name]
    return {"play": partial(attacked_additive, change, kind), "refused": error.__name__}


def certified(change: Callable[..., Any], kind: type = AnswerRequest, victim: str = "g2") -> Any:
    scheme = Lattice(committee=64)
    return partial(attacked_additive, change, kind, gateways=66, scheme=scheme, victim=victim)


def large(name: str) -> dict[str, Any]:
    change, error = CERTIFIED[name]
    return {"play": certified(change), "refused": error.__name__, "slow": True}


def asked_for_shares(_: Any, request: IncludedRequest) -> AnswerRequest:
    return AnswerRequest(included=request.included, certificate=None, prekeys=(), shares=())
