"""Gateways of the additive schemes that deal bad shares, or good shares of another key."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from msgspec.structs import replace

from protocol_sim.cheats import dealers
from protocol_sim.cheats.additive_answers import ANSWER, UPLOAD
from protocol_sim.cheats.cheat import ADDITIVE, ALL, Cheat, Expect, ends, with_machine
from protocol_sim.cheats.dealers import additive_dealer
from secagg.crypto.reed_solomon import PRIME
from secagg.schemes.additive.messages import Dealing


def _deals(what: str, sentence: str, kind: type, expect: Expect, **more: Any) -> Cheat:
    return Cheat(ADDITIVE, UPLOAD, what, sentence, with_machine(kind), expect, **more)


def _wrong_proof(dealing: Dealing) -> Dealing:
    proof = np.frombuffer(dealing.proof, "<u2").astype(np.int64)
    proof[0] = (proof[0] + 1) % PRIME
    return replace(dealing, proof=proof.astype("<u2").tobytes())


def _resealed(dealing: Dealing) -> Dealing:
    return replace(dealing, ciphertexts=dealers.garbled(1)(dealing.ciphertexts))


SOME: Final = additive_dealer(rows=dealers.bumped(2))
MANY: Final = additive_dealer(rows=dealers.bumped(3))
RANDOM: Final = additive_dealer(rows=dealers.random_rows)
OFF: Final = additive_dealer(rows=dealers.off_polynomial)
ROLLED: Final = additive_dealer(rows=dealers.next_ones)
UNPROVED: Final = additive_dealer(said=_wrong_proof)
RESEALED: Final = additive_dealer(said=_resealed)
CLOSED: Final = additive_dealer(sealed=dealers.garbled(ALL))
OTHER_KEY: Final = additive_dealer(key=lambda key: np.roll(key, 1))
LARGE_KEY: Final = additive_dealer(key=lambda key: key + 20_000)
GUILTY: Final = Expect(dropped="BAD_DEALER", phase=ANSWER, disputed=True)

DISPUTED: Final = Expect(disputed=True)
PROVED: Final = ends("BadDealing", blamed=True, disputed=True, dropped="BAD_DEALER", phase=ANSWER)
INCONSISTENT: Final = ends("InconsistentAnswers")
OUT_OF_RANGE: Final = ends("AggregateOutOfRange")

ADDITIVE_DEALINGS: Final = (
    _deals("garbage for two", "Deals no more than D members a wrong share.", SOME, DISPUTED),
    _deals("garbage for three", "Deals more than C members a wrong share.", MANY, PROVED),
    _deals("garbage for all", "Deals shares of nothing.", RANDOM, PROVED),
    _deals("off the polynomial", "Deals a polynomial of a higher degree.", OFF, PROVED),
    _deals("rolled", "Deals everybody the next one's share.", ROLLED, PROVED),
    _deals("wrong proof", "Proves something else.", UNPROVED, PROVED),
    _deals("resealed", "Changes a share after the proof.", RESEALED, PROVED),
    _deals("closed", "Seals shares that do not open.", CLOSED, PROVED),
    _deals("garbage for all, kept", "Deals shares of nothing.", RANDOM, GUILTY, keeps=True),
    _deals("wrong proof, kept", "Proves something else.", UNPROVED, GUILTY, keeps=True),
    _deals("closed, kept", "Seals shares that do not open.", CLOSED, GUILTY, keeps=True),
    _deals(
        "garbage for three, kept",
        "Deals more than C members a wrong share.",
        MANY,
        PROVED,
        keeps=True,
    ),
    _deals("other key", "Deals another key.", OTHER_KEY, OUT_OF_RANGE, unnamed=True),
    _deals("large key", "Deals a key no gateway has.", LARGE_KEY, INCONSISTENT, unnamed=True),
)
