"""Cheats in the answers of the additive schemes: another content, under a good signature."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np
from msgspec.structs import replace

from protocol_sim.cheats.cheat import (
    ADDITIVE,
    BAD_KEY,
    EXACT,
    FOREIGN,
    MALFORMED,
    ONE,
    Change,
    Cheat,
    Expect,
    altered,
    drops,
    ends,
    field,
    next_position,
)
from protocol_sim.cheats.cheater import Cheater
from secagg import canonical
from secagg.crypto.agreement import public_key
from secagg.crypto.labels import Label
from secagg.crypto.reed_solomon import PRIME
from secagg.protocol.messages import Signed, UploadHeader
from secagg.protocol.prekeys import Prekey
from secagg.schemes.additive.messages import Dealing, KeySum, SetUp
from secagg.schemes.additive.shares import packing_of

PREKEY, UPLOAD, ANSWER, AGAIN = "set_up", "upload", "answer", "answer_again"

BAD_SIGNATURE: Final = drops("BAD_SIGNATURE")


_row = partial(altered, ADDITIVE)


# -- prekeys ---------------------------------------------------------------------------------------


def _prekey(**fields: Any) -> Change:
    """The prekey in it is another, as well signed."""

    def change(body: SetUp, cheater: Cheater) -> Any:
        other = replace(canonical.decode(Prekey, body.prekey.body), **fields)
        return replace(body, prekey=cheater.signed(Label.SIGN_PREKEY, other))

    return change


def _orchestrators_key(body: SetUp, cheater: Cheater) -> Any:
    return _prekey(key=cheater.params.orchestrator_key)(body, cheater)


PREKEYS: Final = (
    _row(PREKEY, "other roster", "Gives a key for another roster.", _prekey(roster=ONE), BAD_KEY),
    _row(PREKEY, "other round", "Gives a key for another round.", _prekey(round=9), BAD_KEY),
    _row(PREKEY, "other member", "Gives a key in another's name.", _prekey(member="g9"), BAD_KEY),
    _row(PREKEY, "other session", "Gives it in another session.", field(session=ONE), FOREIGN),
    _row(PREKEY, "other position", "Gives it in another's place.", next_position, FOREIGN),
    _row(PREKEY, "no proof", "Does not prove that it is its own.", field(proof=b""), EXACT),
    _row(PREKEY, "low order", "Gives a key of low order.", _prekey(key=bytes(32)), BAD_KEY),
    _row(PREKEY, "not canonical", "Spells a key anew.", _prekey(key=b"\xff" * 32), BAD_KEY),
    _row(PREKEY, "no key", "Gives a key of no size.", _prekey(key=b""), BAD_KEY),
    _row(PREKEY, "key of the orchestrator", "Gives its key.", _orchestrators_key, BAD_KEY),
)


# -- dealings --------------------------------------------------------------------------------------


def _header(**fields: Any) -> Change:
    """The header inside says something else."""

    def change(body: Dealing, cheater: Cheater) -> Any:
        header = canonical.decode(UploadHeader, body.header.body)
        return replace(body, header=cheater.signed(Label.SIGN_HEADER, replace(header, **fields)))

    return change


def _unsigned_header(body: Dealing, _cheater: Cheater) -> Any:
    return replace(body, header=Signed(body=body.header.body, signature=bytes(64)))


def _complaining_header(body: Dealing, cheater: Cheater) -> Any:
    return _header(complaints=cheater.cohort.bits([0]))(body, cheater)


def _short_salt(body: Dealing, _cheater: Cheater) -> Any:
    return replace(body, salt=body.salt[1:])


def _share_less(body: Dealing, _cheater: Cheater) -> Any:
    return replace(body, ciphertexts=body.ciphertexts[1:])


def _shares_twice(body: Dealing, _cheater: Cheater) -> Any:
    return replace(body, ciphertexts=body.ciphertexts * 2)


def _longer_share(body: Dealing, _cheater: Cheater) -> Any:
    first, *others = body.ciphertexts
    return replace(body, ciphertexts=(first + b"\0", *others))


def _short_proof(body: Dealing, _cheater: Cheater) -> Any:
    return replace(body, proof=body.proof[2:])


def _proof_beyond(body: Dealing, _cheater: Cheater) -> Any:
    return replace(body, proof=b"\xff" * len(body.proof))


def _next_prekey(*, ahead: int) -> Change:
    """Another key of its own, for a round so many after this one."""

    def change(body: Any, cheater: Cheater) -> Any:
        prekey = Prekey(
            roster=cheater.params.roster,
            round=cheater.params.round + ahead,
            member=cheater.name,
            key=public_key(ONE),
        )
        return replace(body, next_prekey=cheater.signed(Label.SIGN_PREKEY, prekey))

    return change


FORMS: Final = (
    _row(UPLOAD, "other keys", "Uploads under another h0.", _header(h0=ONE), FOREIGN),
    _row(UPLOAD, "other round", "Uploads under another h2.", _header(h2=ONE), FOREIGN),
    _row(UPLOAD, "other position", "Uploads in another's name.", _header(position=2**11), FOREIGN),
    _row(UPLOAD, "unsigned header", "Does not sign it.", _unsigned_header, BAD_SIGNATURE),
    _row(
        UPLOAD, "early complaint", "Rejects what is not dealt yet.", _complaining_header, MALFORMED
    ),
    _row(UPLOAD, "padding", "Has positions that are none.", _header(complaints=b"\xff"), MALFORMED),
    _row(UPLOAD, "short salt", "Sends a salt too short.", _short_salt, MALFORMED),
    _row(UPLOAD, "a share less", "Deals too few shares.", _share_less, MALFORMED),
    _row(UPLOAD, "shares twice", "Deals too many shares.", _shares_twice, MALFORMED),
    _row(UPLOAD, "longer share", "Deals a share too long.", _longer_share, MALFORMED),
    _row(UPLOAD, "short proof", "Sends a proof too short.", _short_proof, MALFORMED),
    _row(UPLOAD, "proof beyond the field", "Proves in no numbers.", _proof_beyond, MALFORMED),
    _row(UPLOAD, "old prekey", "Gives a key for this round again.", _next_prekey(ahead=0), BAD_KEY),
)


# -- answers ---------------------------------------------------------------------------------------


def _added(amount: int, columns: slice = slice(None)) -> Change:
    """A sum of shares that is wrong by an amount."""

    def change(body: KeySum, _cheater: Cheater) -> Any:
        sums = np.frombuffer(body.shares, "<u2").astype(np.int64)
        sums[columns] = (sums[columns] + amount) % PRIME
        return replace(body, shares=sums.astype("<u2").tobytes())

    return change


def _agreed(body: KeySum, cheater: Cheater) -> Any:
    """A sum that lies on one polynomial with other liars' and with R - 1 honest ones.

    It differs from the right sum by a polynomial of degree R - 1 that is zero at the last R - 1
    members. To the code, two liars who do that are right, and the honest gateway that is left lies.
    """
    packing = packing_of(cheater.limits)
    roots = packing.points[-(packing.threshold - 1) :].tolist()

    def value(point: int) -> int:
        product = 1
        for root in roots:
            product = product * (point - root) % PRIME
        return product

    # the key comes out one off in one coefficient, which looks like any small key
    scale = pow(value(int(packing.slots[0])), -1, PRIME)
    amount = scale * value(int(packing.points[cheater.position])) % PRIME
    return _added(amount, slice(0, 1))(body, cheater)


def _complains(count: Callable[[Cheater], int]) -> Change:
    """About the last so many others, whatever they have dealt, instead of a sum."""

    def change(body: KeySum, cheater: Cheater) -> Any:
        complaints = cheater.cohort.bits(cheater.others(count(cheater)))
        return replace(body, complaints=complaints, shares=b"", consistency=b"")

    return change


def _complains_besides(body: KeySum, cheater: Cheater) -> Any:
    return replace(body, complaints=cheater.cohort.bits(cheater.others(1)))


def _complains_about_itself(body: KeySum, cheater: Cheater) -> Any:
    bits = cheater.cohort.bits([cheater.position])
    return replace(body, complaints=bits, shares=b"", consistency=b"")


def _short(body: KeySum, _cheater: Cheater) -> Any:
    return replace(body, shares=body.shares[2:])


def _beyond(body: KeySum, _cheater: Cheater) -> Any:
    return replace(body, shares=b"\xff" * len(body.shares))


DISPUTED: Final = Expect(disputed=True)
PAIRS: Final = ends("BadDealing", disputed=True)
TOO_MANY: Final = ends("InconsistentAnswers")
WRONGED: Final = ends("AggregateOutOfRange", wronged=("g0",))
CONTRADICTED: Final = drops("CONTRADICTED")
EQUIVOCATED: Final = drops("EQUIVOCATED")
ACCOMPLICE: Final = "upload: garbage for all, kept"

SUMS: Final = (
    _row(ANSWER, "other set", "Sums over another set.", field(h3=ONE), FOREIGN),
    _row(ANSWER, "other position", "Sums in another's name.", next_position, FOREIGN),
    _row(ANSWER, "padding", "Rejects nobody there.", field(complaints=b"\xff"), MALFORMED),
    _row(ANSWER, "about itself", "Rejects itself.", _complains_about_itself, MALFORMED),
    _row(ANSWER, "sum and complaint", "Sums and rejects.", _complains_besides, MALFORMED),
    _row(ANSWER, "no sum", "Neither sums nor rejects.", field(shares=b""), MALFORMED),
    _row(ANSWER, "short sum", "Sums over too few columns.", _short, MALFORMED),
    _row(ANSWER, "beyond the field", "Sums to no numbers.", _beyond, MALFORMED),
    _row(ANSWER, "uncertified", "Signs no set.", field(consistency=bytes(64)), BAD_SIGNATURE),
    _row(ANSWER, "other prekey", "Gives a second key.", _next_prekey(ahead=1), EQUIVOCATED),
    _row(ANSWER, "old prekey", "Gives a key for this round.", _next_prekey(ahead=0), BAD_KEY),
    _row(
        ANSWER,
        "wrong sum",
        "Gives a wrong sum of shares: one of seven is corrected.",
        _added(1),
        CONTRADICTED,
        together=TOO_MANY,
        unnamed=True,
    ),
    _row(
        ANSWER,
        "wrong in one column",
        "Gives a sum that is wrong in one column.",
        _added(9, slice(5, 6)),
        CONTRADICTED,
        together=TOO_MANY,
        unnamed=True,
    ),
    _row(
        ANSWER,
        "agreed sum",
        "Gives a wrong sum that fits another liar's: beyond what the code corrects.",
        _agreed,
        CONTRADICTED,
        together=WRONGED,
        unnamed=True,
    ),
    _row(
        ANSWER,
        "wrong sum, one missing",
        "Gives a wrong sum where one of six is more than the code corrects.",
        _added(1),
        TOO_MANY,
        missing=(ANSWER,),
        unnamed=True,
    ),
    _row(ANSWER, "one complaint", "Rejects a good share.", _complains(lambda _: 1), DISPUTED),
    _row(
        ANSWER,
        "C complaints",
        "Rejects C good shares.",
        _complains(lambda cheater: cheater.most),
        DISPUTED,
    ),
    _row(
        ANSWER,
        "more complaints",
        "Rejects C + 1.",
        _complains(lambda cheater: cheater.most + 1),
        drops("BAD_HOLDER"),
    ),
    _row(
        ANSWER,
        "all complaints",
        "Rejects all.",
        _complains(lambda cheater: len(cheater.cohort)),
        drops("BAD_HOLDER"),
    ),
    _row(
        ANSWER,
        "complaint, D missing",
        "Rejects a good share when D gateways vanish: R sums are missed.",
        _complains(lambda _: 1),
        PAIRS,
        missing=(ANSWER, ANSWER),
    ),
)


def _again(what: str, sentence: str, change: Change, expect: Expect, **more: Any) -> Cheat:
    return _row(AGAIN, what, sentence, change, expect, accomplice=ACCOMPLICE, keeps=True, **more)


SECOND_SUMS: Final = (
    _again("other set", "Sums over another set.", field(h3=ONE), FOREIGN),
    _again("short sum", "Sums over too few columns.", _short, MALFORMED),
    _again("uncertified", "Signs no set.", field(consistency=bytes(64)), BAD_SIGNATURE),
    _again("complaint", "Rejects again.", _complains(lambda _: 1), MALFORMED),
    _again("wrong sum", "Gives a wrong sum: one of six.", _added(1), TOO_MANY, unnamed=True),
)

ADDITIVE_ANSWERS: Final = (*PREKEYS, *FORMS, *SUMS, *SECOND_SUMS)
