"""What every cell of the matrix must end in: the victim's named error, or the exact sum.

An error is what the victim names, while the round goes on to the exact sum without it. Behind a
comma stands how the round ended if not so; "BelowThreshold" alone is a round that ended before the
victim had anything to name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from protocol_sim.attacks.attacker import FAMILIES
from secagg.schemes import BY_NAME

PHASES: Final[Mapping[str, tuple[str, ...]]] = {
    name: tuple(step.name for step in BY_NAME[name].steps) for name in FAMILIES
}
"""By scheme; in additive ones `consistency` is played above 64 gateways, `answer_again` after bad
dealings."""

Row = tuple[str, str, str, str, str]
NONE: Final[Row] = ("", "", "", "", "")


def _everywhere(outcome: str) -> tuple[Row, Row]:
    row = (outcome, outcome, outcome, outcome, outcome)
    return row, row


def _begun(outcome: str) -> tuple[Row, Row]:
    """Of a session that has begun at the victim; before, there is none to end."""
    row = ("sum", outcome, outcome, outcome, outcome)
    return row, row


def _announced(error: str) -> tuple[Row, Row]:
    """Noticed in K, which an additive upload request may be the first to hold."""
    return (error, "", "", "", ""), (error, error, "", "", "")


def _laid_out(error: str) -> tuple[Row, Row]:
    """Noticed in P."""
    return ("", "", error, "", ""), ("", error, "", "", "")


def _certified(error: str) -> tuple[Row, Row]:
    """Noticed in the certificate."""
    return ("", "", "", "", error), ("", "", "", error, "")


_STALE: Final = "StaleRound"
_AGAIN: Final = "StaleRound, BelowThreshold"
_SUBSET: Final = "NotASubset"

TABLE: Final[Mapping[str, tuple[Row, Row]]] = {
    # -- sets --------------------------------------------------------------------------------------
    "own set": (
        ("", "HeaderMismatch", "HeaderMismatch", "NoQuorum", ""),
        ("", _SUBSET, _SUBSET, "SecondQuestion", "SecondQuestion"),
    ),
    "left out": (
        ("", "SelfMissing", "SelfMissing", "SelfMissing", ""),
        ("", "SelfMissing", "SelfMissing", "SelfMissing", "SelfMissing"),
    ),
    "thinned": (
        ("", "BelowFloor", "BelowFloor", "BelowFloor", ""),
        ("", "TooFewPrekeys", "BelowFloor", "BelowFloor", "BelowFloor"),
    ),
    "more missing": (("", "", "", "TooManyDropped", ""), NONE),
    "not a subset": (
        ("", "BadSignature", _SUBSET, _SUBSET, ""),
        ("", "BadSignature", _SUBSET, _SUBSET, _SUBSET),
    ),
    "malformed set": (
        ("", "WireError", "WireError", "WireError", ""),
        ("", "WireError", "WireError", "WireError", "WireError"),
    ),
    "one too few": (
        ("", "WireError", "WireError", "WireError", ""),
        ("", "WireError", "", "WireError", ""),
    ),
    "second question": _everywhere("SecondQuestion"),
    "cut by dropouts": (("", "BelowFloor", "", "TooManyDropped", ""), NONE),
    "cut by dealers": (("", "", "HeaderMismatch", "", ""), NONE),
    # -- keys --------------------------------------------------------------------------------------
    "second key": (
        ("ForeignSession", "HeaderMismatch", "", "", ""),
        ("ForeignSession", _SUBSET, "", "", ""),
    ),
    "foreign key": (("", "BadSignature", "", "", ""), ("", "BadSignature", "", "", "")),
    "own key altered": (
        ("", "OwnMessageAltered", "", "", ""),
        ("", "OwnMessageAltered", "", "", ""),
    ),
    "old key": (("", "ForeignSession", "", "", ""), ("", "ForeignSession", "", "", "")),
    "repeated key": (("", "BadPublicKey", "", "", ""), ("", "BadPublicKey", "", "", "")),
    "low-order key": (
        ("BadPublicKey", "BadPublicKey", "", "", ""),
        ("BadPublicKey", "BadPublicKey", "", "", ""),
    ),
    "non-canonical key": (
        ("BadPublicKey", "BadPublicKey", "", "", ""),
        ("BadPublicKey", "BadPublicKey", "", "", ""),
    ),
    # -- K and P -----------------------------------------------------------------------------------
    "lowered C": _announced("ThresholdMismatch"),
    "raised D": _announced("ThresholdMismatch"),
    "lowered t": _announced("ThresholdMismatch"),
    "lowered q": _announced("ThresholdMismatch"),
    "lowered n_min": _announced("ThresholdMismatch"),
    "small cohort": _announced("PolicyViolation"),
    "not in the cohort": _announced("NotInCohort"),
    "foreign roster": _announced("ForeignSession"),
    "round far ahead": _announced("PolicyViolation"),
    "unknown version": _announced("UnsupportedParameters"),
    "unknown suite": _announced("UnsupportedParameters"),
    "unknown scheme": _announced("UnsupportedParameters"),
    "stranger's signature": (
        ("BadSignature", "", "BadSignature", "", ""),
        ("BadSignature", "BadSignature", "", "", ""),
    ),
    "own K": (("ForeignSession", "", "", "", ""), ("ForeignSession", "ForeignSession", "", "", "")),
    "own P": (("", "", "HeaderMismatch", "", ""), ("", _SUBSET, "", "", "")),
    "moved clip": _laid_out("PolicyViolation"),
    "moved bound of a metric": _laid_out("PolicyViolation"),
    "other purpose": _laid_out("PolicyViolation"),
    "P of another session": _laid_out("ForeignSession"),
    "other model": _laid_out("ModelMismatch"),
    "crafted limit": _laid_out("UnsupportedParameters"),
    "crafted lanes": _laid_out("UnsupportedParameters"),
    "crafted weight cap": _laid_out("UnsupportedParameters"),
    "check that may differ": _laid_out("UnsupportedParameters"),
    "crafted degree": _laid_out("UnsupportedParameters"),
    "crafted modulus": _laid_out("UnsupportedParameters"),
    "crafted step": _laid_out("UnsupportedParameters"),
    # -- certificates, and what gateways have sent -------------------------------------------------
    "below the quorum": _certified("NoQuorum"),
    "signature twice": _certified("NoQuorum"),
    "forged signature": _certified("BadSignature"),
    "another set's signature": _certified("BadSignature"),
    "signer from outside": _certified("NoQuorum"),
    "no certificate": (NONE, ("", "", "", "NoQuorum", "")),
    "asked outside": (NONE, ("", "", "", "UnexpectedMessage", "")),
    "garbage shares": (("", "", "sum", "", ""), ("", "", "", "sum", "")),
    "one garbage share": (("", "", "sum", "", ""), ("", "", "", "sum", "")),
    "crossed request": (
        ("sum", "sum", "sum", "BadSignature", "sum"),
        ("sum", "sum", "sum", "sum", "sum"),
    ),
    "header of another h0": (("", "", "", "HeaderMismatch", ""), NONE),
    "header of another h2": (("", "", "", "HeaderMismatch", ""), NONE),
    "header of another position": (("", "", "", "HeaderMismatch", ""), NONE),
    "foreign header": (("", "", "", "BadSignature", ""), NONE),
    # -- order, form and other sessions ------------------------------------------------------------
    "replayed": _everywhere("sum"),
    "reordered": (
        ("StateLost", "UnexpectedMessage", "UnexpectedMessage", "UnexpectedMessage", ""),
        ("StateLost", "UnexpectedMessage", "NoQuorum", "UnexpectedMessage", ""),
    ),
    "too early": (("", "", "UnexpectedMessage", "", ""), ("", "UnexpectedMessage", "", "", "")),
    "silence": _everywhere("sum"),
    "silence to most": _everywhere("BelowThreshold"),
    "farewell": _begun("AbortedByPeer"),
    "forged farewell": _begun("BadSignature"),
    "old farewell": _begun("ForeignSession"),
    "oversize": _everywhere("WireError"),
    "truncated": _everywhere("WireError"),
    "garbage": _everywhere("WireError"),
    "second spelling": _everywhere("WireError"),
    "other role": _everywhere("WireError"),
    "old round": (
        (_STALE, "ForeignSession", "ForeignSession", "ForeignSession", "ForeignSession"),
        (_STALE, "ForeignSession", "ForeignSession", "ForeignSession", ""),
    ),
    "old content": (
        (
            "UnsupportedParameters",
            "OwnMessageAltered",
            "ForeignSession",
            "HeaderMismatch",
            "BadSignature",
        ),
        ("UnsupportedParameters", "ForeignSession", "", "SecondQuestion", ""),
    ),
    "once more": (("sum", "sum", "sum", _AGAIN, _AGAIN), ("sum", "sum", _AGAIN, _AGAIN, _AGAIN)),
    "parallel": (
        (_STALE, _STALE, _STALE, _STALE, _STALE),
        (_STALE, "StateLost", _STALE, _STALE, _STALE),
    ),
}
"""Attack -> what it ends in by phase, in masks and in the additive schemes; "" where there is
nothing to attack: the set of an announcement, say."""


def expected(attack: str, scheme: str, phase: str) -> str:
    """What a cell must end in.

    Args:
        attack: its name.
        scheme: its name.
        phase: of the attack.

    Returns:
        "" for a cell that does not exist.
    """
    masks, additive = TABLE.get(attack, (NONE, NONE))
    if phase not in PHASES[scheme]:
        return ""
    place = PHASES[scheme].index(phase)
    return (masks if FAMILIES[scheme] == "masks" else additive)[place]


def phases_of(attack: str, scheme: str) -> tuple[str, ...]:
    """Phases of a scheme in which an attack has something to attack."""
    return tuple(phase for phase in PHASES[scheme] if expected(attack, scheme, phase))
