"""Gateways of masks that deal something else than their secrets, and when that is found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from protocol_sim.cheats.cheat import (
    ALL,
    EXACT,
    MASKS,
    ONE,
    Cheat,
    Expect,
    Make,
    altering,
    drops,
    ends,
    then,
    with_machine,
)
from protocol_sim.cheats.dealers import Pair, masks_dealer
from protocol_sim.cheats.envelopes import silent_from
from protocol_sim.cheats.masks_answers import R1, R2, R4, garbled
from protocol_sim.cheats.vectors import silent_after
from secagg.crypto.shamir import SHARE_BYTES


def _deals(what: str, sentence: str, make: Make, expect: Expect, **more: Any) -> Cheat:
    return Cheat(MASKS, R1, what, sentence, make, expect, **more)


def _other_seed(secrets: Pair) -> Pair:
    return ONE, secrets[1]


def _other_key(secrets: Pair) -> Pair:
    return secrets[0], ONE


def _nothing(dealt: Sequence[Pair]) -> Sequence[Pair]:
    """Well-formed shares that lie on no polynomial of a secret."""
    each = [bytes([place, 7, 1]) * (SHARE_BYTES // 3) for place in range(len(dealt))]
    return [(share, share) for share in each]


SILENT_AT_LAST: Final = silent_from(R4)
"""Its upload is in the sum, and its seed is missed."""
SILENT_UPLOAD: Final = silent_after(0)
"""Its header is there, its upload never: the gateway is dead."""


SILENT: Final = ends("InconsistentAnswers", blamed=True, dropped="SILENT", phase=R4)
DEAD: Final = ends("InconsistentAnswers", blamed=True, dropped="VANISHED", phase=R2)
PROVED: Final = ends("InconsistentAnswers", blamed=True, dropped="BAD_DEALER", phase=R2)
OTHER_SEED: Final = with_machine(masks_dealer(secrets=_other_seed))
OTHER_SEED_SILENT: Final = with_machine(masks_dealer(secrets=_other_seed), SILENT_AT_LAST)
NOTHING_SILENT: Final = with_machine(masks_dealer(shares=_nothing), SILENT_AT_LAST)
OTHER_KEY_DEAD: Final = with_machine(masks_dealer(secrets=_other_key), SILENT_UPLOAD)

MASKS_DEALINGS: Final = (
    _deals("other seed", "Shares a seed that is not its own.", OTHER_SEED, EXACT),
    _deals(
        "other seed, then silence",
        "Shares another seed than it commits to, and does not release its own.",
        OTHER_SEED_SILENT,
        SILENT,
    ),
    _deals(
        "no polynomial, then silence",
        "Deals well-formed shares of nothing, and does not release its seed.",
        NOTHING_SILENT,
        SILENT,
    ),
    _deals(
        "other key, then dead",
        "Shares another key than it advertises, and dies: nobody needs it.",
        OTHER_KEY_DEAD,
        drops("VANISHED", R2),
    ),
    _deals(
        "other key, then needed",
        "Shares another key, and dies; one that alone knows their edge falls silent.",
        OTHER_KEY_DEAD,
        DEAD,
        missing=(R4,),
    ),
    _deals(
        "garbage for all, then needed",
        "Seals garbage for all, and one that alone knows their edge falls silent.",
        altering(R1, garbled(ALL)),
        PROVED,
        missing=(R4,),
    ),
    _deals(
        "garbage for two, then silence",
        "Seals garbage for no more than C, and does not release its seed.",
        then(altering(R1, garbled(2)), SILENT_AT_LAST),
        Expect(dropped="SILENT", phase=R4, disputed=True),
    ),
)
