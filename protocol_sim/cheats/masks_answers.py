"""Cheats in the answers of masks: a field is something else, under a good signature."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from msgspec.structs import replace

from protocol_sim.cheats.cheat import (
    ALL,
    BAD_KEY,
    EXACT,
    FOREIGN,
    MALFORMED,
    MASKS,
    ONE,
    Change,
    Expect,
    altered,
    drops,
    ends,
    field,
    next_position,
)
from protocol_sim.cheats.cheater import Cheater
from secagg.crypto.shamir import SHARE_BYTES

K, R1, R2, R3, R4 = "advertise_keys", "share_keys", "masked_input", "consistency", "unmasking"


_row = partial(altered, MASKS)


def _same_key(body: Any, _cheater: Cheater) -> Any:
    return replace(body, mask_key=body.channel_key)


def _orchestrators_key(body: Any, cheater: Cheater) -> Any:
    return replace(body, channel_key=cheater.params.orchestrator_key)


BAD_DEALER: Final = drops("BAD_DEALER", R2)
DISPUTED: Final = Expect(disputed=True)
NOT_ITS_OWN: Final = drops("ABORTED", R1)
"""Nobody asks, but its own machine does not know such an advert."""

ADVERTS: Final = (
    _row(K, "other session", "Advertises keys for another session.", field(session=ONE), FOREIGN),
    _row(K, "other position", "Advertises another's keys.", next_position, FOREIGN),
    _row(K, "low order", "Advertises a key of low order.", field(mask_key=bytes(32)), BAD_KEY),
    _row(
        K,
        "not canonical",
        "Advertises a second spelling of a key.",
        field(channel_key=b"\xff" * 32),
        BAD_KEY,
    ),
    _row(K, "no key", "Advertises a key of no size.", field(channel_key=b""), BAD_KEY),
    _row(K, "no proof", "Gives a proof of no size.", field(proof=b""), MALFORMED),
    _row(K, "wrong proof", "Proves nothing.", field(proof=bytes(16)), NOT_ITS_OWN),
    _row(K, "one key for both", "Advertises one key twice.", _same_key, BAD_KEY),
    _row(K, "key of the orchestrator", "Advertises its key.", _orchestrators_key, BAD_KEY),
)


# -- shares ----------------------------------------------------------------------------------------


def _swapped(items: Sequence[Any], place: int, item: Any) -> tuple[Any, ...]:
    return (*items[:place], item, *items[place + 1 :])


def _one_less(name: str) -> Change:
    return lambda body, _cheater: replace(body, **{name: getattr(body, name)[1:]})


def _one_more(name: str) -> Change:
    return lambda body, _cheater: replace(body, **{name: (*getattr(body, name), b"")})


def _oversize(body: Any, _cheater: Cheater) -> Any:
    return replace(body, ciphertexts=_swapped(body.ciphertexts, 0, bytes(2**17)))


def garbled(count: int) -> Change:
    """The ciphertexts for the last so many neighbours do not open."""

    def change(body: Any, _cheater: Cheater) -> Any:
        kept = max(0, len(body.ciphertexts) - count)
        garbage = tuple(bytes(len(each)) for each in body.ciphertexts[kept:])
        return replace(body, ciphertexts=(*body.ciphertexts[:kept], *garbage))

    return change


def _rolled(body: Any, _cheater: Cheater) -> Any:
    first, *others = body.ciphertexts
    return replace(body, ciphertexts=(*others, first))


def _no_commitments(body: Any, _cheater: Cheater) -> Any:
    return replace(body, commitments=((ONE, ONE),) * len(body.commitments))


SHARES: Final = (
    _row(R1, "other keys", "Deals under keys that nobody was shown.", field(h0=ONE), FOREIGN),
    _row(R1, "other position", "Deals in another's name.", next_position, FOREIGN),
    _row(R1, "a commitment less", "Commits to too few.", _one_less("commitments"), MALFORMED),
    _row(R1, "a share less", "Deals too few.", _one_less("ciphertexts"), MALFORMED),
    _row(R1, "a share more", "Deals too many.", _one_more("ciphertexts"), MALFORMED),
    _row(R1, "oversize share", "Deals a share of 128 KiB.", _oversize, MALFORMED),
    _row(
        R1,
        "short commitment",
        "Commits in too few bytes.",
        field(seed_commitment=bytes(31)),
        MALFORMED,
    ),
    _row(R1, "garbage for all", "Seals garbage for everybody.", garbled(ALL), BAD_DEALER),
    _row(R1, "garbage for three", "Seals garbage for more than C.", garbled(3), BAD_DEALER),
    _row(R1, "garbage for two", "Seals garbage for no more than C.", garbled(2), DISPUTED),
    _row(R1, "shares rolled", "Seals each share for the next neighbour.", _rolled, BAD_DEALER),
    _row(R1, "no commitments", "Commits to nothing.", _no_commitments, BAD_DEALER),
    _row(
        R1,
        "other seed committed",
        "Commits to another seed than it shares and releases.",
        field(seed_commitment=ONE),
        ends("InconsistentAnswers", blamed=True, dropped="BAD_SEED", phase=R4),
    ),
)


# -- headers ---------------------------------------------------------------------------------------


def _complains(count: Callable[[Cheater], int]) -> Change:
    """About the last so many others, whatever they have dealt."""
    return lambda body, cheater: replace(
        body, complaints=cheater.cohort.bits(cheater.others(count(cheater)))
    )


def _complains_about_itself(body: Any, cheater: Cheater) -> Any:
    return replace(body, complaints=cheater.cohort.bits([cheater.position]))


BAD_HOLDER: Final = drops("BAD_HOLDER")

HEADERS: Final = (
    _row(R2, "other keys", "Uploads under another h0.", field(h0=ONE), FOREIGN),
    _row(R2, "other dealers", "Uploads under another h2.", field(h2=ONE), FOREIGN),
    _row(R2, "other position", "Uploads in another's name.", next_position, FOREIGN),
    _row(
        R2,
        "padding",
        "Complains about positions that are none.",
        field(complaints=b"\xff"),
        MALFORMED,
    ),
    _row(R2, "long bitmap", "Complains in too many bytes.", field(complaints=bytes(9)), MALFORMED),
    _row(R2, "about itself", "Complains about itself.", _complains_about_itself, MALFORMED),
    _row(R2, "one complaint", "Rejects a good share.", _complains(lambda _: 1), DISPUTED),
    _row(
        R2,
        "C complaints",
        "Rejects the good shares of C dealers.",
        _complains(lambda cheater: cheater.most),
        DISPUTED,
    ),
    _row(
        R2,
        "more than C complaints",
        "Rejects C + 1 dealers' shares.",
        _complains(lambda cheater: cheater.most + 1),
        BAD_HOLDER,
    ),
    _row(
        R2,
        "all complaints",
        "Rejects everybody's shares.",
        _complains(lambda cheater: len(cheater.cohort)),
        BAD_HOLDER,
    ),
    _row(
        R2,
        "complaint about the missing",
        "Rejects the share of a dealer that does not release its seed.",
        _complains(lambda _: 1),
        DISPUTED,
        missing=(R4,),
    ),
    _row(
        R2,
        "complaint about the dead",
        "Rejects the share of a dealer that dies, before a neighbour of it falls silent.",
        _complains(lambda _: 1),
        # who is dead when the complaints are judged has no part in a dispute
        EXACT,
        missing=(R2, R4),
    ),
)


# -- the last two answers --------------------------------------------------------------------------


def _all(name: str, item: bytes) -> Change:
    return lambda body, _cheater: replace(body, **{name: (item,) * len(getattr(body, name))})


GARBAGE: Final = bytes(SHARE_BYTES)
BAD_SHARE: Final = drops("BAD_SHARE")
BAD_EDGE: Final = drops("BAD_EDGE")

ANSWERS: Final = (
    _row(R3, "other session", "Certifies another session.", field(session=bytes(16)), FOREIGN),
    _row(R3, "other set", "Certifies another set.", field(h3=ONE), FOREIGN),
    _row(R4, "other set", "Opens another set.", field(h3=ONE), FOREIGN),
    _row(R4, "other position", "Opens in another's name.", next_position, FOREIGN),
    _row(
        R4, "other seed", "Releases a seed that is not its own.", field(seed=ONE), drops("BAD_SEED")
    ),
    _row(R4, "no seed", "Releases no seed.", field(seed=b""), drops("BAD_SEED")),
    _row(R4, "a share less", "Releases too few shares.", _one_less("seed_shares"), MALFORMED),
    _row(R4, "a share more", "Releases too many shares.", _one_more("seed_shares"), MALFORMED),
    _row(
        R4,
        "edges of nobody",
        "Releases edges with the living.",
        _one_more("edge_secrets"),
        MALFORMED,
    ),
    _row(R4, "keys of nobody", "Releases keys of the living.", _one_more("key_shares"), MALFORMED),
    _row(
        R4,
        "garbage unused",
        "Releases garbage that nobody needs.",
        _all("seed_shares", GARBAGE),
        EXACT,
    ),
    _row(
        R4,
        "garbage shares",
        "Releases garbage for a seed that is needed.",
        _all("seed_shares", GARBAGE),
        BAD_SHARE,
        missing=(R4,),
    ),
    _row(
        R4,
        "shares withheld",
        "Releases no share of a seed that is needed.",
        _all("seed_shares", b""),
        BAD_SHARE,
        missing=(R4,),
    ),
    _row(
        R4,
        "garbage edges",
        "Releases another edge secret than it has with a dead gateway.",
        _all("edge_secrets", ONE),
        BAD_EDGE,
        missing=(R2,),
    ),
    _row(
        R4,
        "edges withheld",
        "Releases no edge secret with a dead gateway.",
        _all("edge_secrets", b""),
        BAD_EDGE,
        missing=(R2,),
    ),
    _row(
        R4,
        "long edges",
        "Releases 4 KiB for an edge secret with a dead gateway.",
        _all("edge_secrets", bytes(4096)),
        BAD_EDGE,
        missing=(R2,),
    ),
    _row(
        R4,
        "garbage keys",
        "Releases garbage for the key of a dead gateway that is needed.",
        _all("key_shares", GARBAGE),
        BAD_SHARE,
        missing=(R2, R4),
    ),
    _row(
        R4,
        "keys withheld",
        "Releases no share of the key of a dead gateway that is needed.",
        _all("key_shares", b""),
        BAD_SHARE,
        missing=(R2, R4),
    ),
)


MASKS_ANSWERS: Final = (*ADVERTS, *SHARES, *HEADERS, *ANSWERS)
