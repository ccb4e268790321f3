"""Checks of an opened sum: what one gateway's own words make of it without each of them."""

from __future__ import annotations

from functools import partial

from protocol_sim.cheats.cheat import with_machine
from protocol_sim.cheats.dealers import masks_uploader
from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from tests.protocol_sim.without_each_check.endings import NO_NAME
from tests.protocol_sim.without_each_check.rows import BROKEN, REDUNDANT, UNNAMED, Row
from tests.schemes.additive.test_wrong_keys import session, short

BEYOND = "no gateway moves the result by more than honest words could"
CHECKED = (
    "masks look at these words before, for a wrong edge; a ring reads its whole block of zeros"
)
REFUSED = "AggregateOutOfRange"


def uploads(vector: str, word: int) -> str:
    """How a round ends in which a gateway's first word of a vector is another."""
    exchange = Exchange(Parties(5))
    exchange.passes = with_machine(masks_uploader(vector, word))(exchange, "g1")
    try:
        exchange.play()
    except Exception:  # noqa: BLE001 - what has no name is what is looked for
        return NO_NAME
    return exchange.verdict.outcome


def opens(check: str, vector: str, word: int, ending: str = "sum", why: str = BEYOND) -> Row:
    kind = REDUNDANT if ending == REFUSED else BROKEN
    play = partial(uploads, vector, word)
    return Row(f"check_opened: {check}", kind, play, REFUSED, ending, why)


def wrong_key() -> str:
    """A member's last answer makes the sum of keys wrong by one."""
    return type(session(3, {}, short(1, 1)).aborted).__name__


ROWS = [
    Row(
        "Zeros.read",
        REDUNDANT,
        wrong_key,
        REFUSED,
        REFUSED,
        "spare bits see a wrong key too, each garbled word by half: only many words are enough",
    ),
    opens("check_sum(spec, words, 0", "check", 1, REFUSED, CHECKED),
    opens("_within(spec, [units]", "weight", 2**40, NO_NAME, UNNAMED),
    opens("check_sum(spec, words, reach", "update/0", 900_000),  # three lanes of 21 bits
    opens("check_sum(spec, words, bound * units", "integers", 2**62),
    opens("_within(spec, decode_integers(spec, words), [-most", "metrics", 2**62),
    opens("_within(spec, decode_integers(spec, words), [0]", "counts", 2**64 - 1),
]
