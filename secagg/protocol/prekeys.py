"""Makes and opens one-time keys, signed a round ahead so that an upload can be sealed at once.

Whoever reads a gateway's long-term key later opens no old round: a prekey serves one round, and its
private half is deleted once that round is answered or a later one is seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Final

from secagg.crypto.agreement import check_public_key, public_key
from secagg.crypto.labels import Label
from secagg.errors import ForeignSession, SecAggError
from secagg.params import Entropy, GatewayId, Struct
from secagg.protocol.identity import Cohort, Identity
from secagg.protocol.journal import Journal
from secagg.protocol.messages import Signed, Verify
from secagg.thresholds import MAX_GATEWAYS

_LONGEST: Final = 512
"""Bytes that no signed prekey reaches: its id has up to 128."""


class Prekey(Struct, frozen=True):
    """A gateway's X25519 key for one round under one roster, whatever the session.

    Attributes:
        roster: 32-byte hash of the roster.
        round: the only round it is for.
        member: id of the gateway.
        key: 32-byte public key.
    """

    roster: bytes
    round: int
    member: GatewayId
    key: bytes


def make_prekey(
    identity: Identity,
    journal: Journal,
    rng: Entropy,
    *,
    roster: bytes,
    round: int,  # noqa: A002, the papers' word
) -> Signed:
    """The gateway's prekey for a round: made and journalled once, the same until forgotten.

    Args:
        identity: own id and signing key.
        journal: keeps the private half.
        rng: source of a new key.
        roster: hash of the roster.
        round: the round.
    """
    # the journal keeps the first key anyway: a second is not even drawn
    private = journal.store_prekey(roster, round, journal.prekey(roster, round) or rng(32))
    prekey = Prekey(roster=roster, round=round, member=identity.id, key=public_key(private))
    return Signed.make(identity.key, Label.SIGN_PREKEY, prekey)


def open_prekey(
    signed: Signed,
    *,
    cohort: Cohort,
    position: int,
    roster: bytes,
    round: int,  # noqa: A002
    verify: Verify,
) -> Prekey:
    """The prekey inside, if it is that of this gateway for this round.

    Raises:
        BadSignature: not signed by the gateway at `position`.
        WireError: signed, but no prekey.
        ForeignSession: for another roster, round or gateway.
        KeyAgreementError: no X25519 key.
    """
    prekey = signed.open(Prekey, cohort.key(position), Label.SIGN_PREKEY, verify)
    if (prekey.roster, prekey.round, prekey.member) != (roster, round, cohort.ids[position]):
        raise ForeignSession(f"a prekey of {cohort.ids[position]!r} is for another round or roster")
    check_public_key(prekey.key)
    return prekey


@lru_cache(2 * MAX_GATEWAYS)
def _verified(verify: Verify, key: bytes, label: Label, body: bytes, signature: bytes) -> None:
    verify(key, label, body, signature)


def verify_once(verify: Verify) -> Verify:
    """The same check, which remembers what has passed: a server meets a prekey in two sessions."""

    def check(key: bytes, label: Label, body: bytes, signature: bytes) -> None:
        # what is remembered outlives the session: a liar's megabytes are not to
        known = verify if len(body) > _LONGEST else partial(_verified, verify)
        known(key, label, body, signature)

    return check


def usable(
    setup: Mapping[GatewayId, Signed],
    *,
    cohort: Cohort,
    roster: bytes,
    round: int,  # noqa: A002
    verify: Verify,
) -> dict[int, tuple[Signed, Prekey]]:
    """The prekeys of an earlier round that serve this one, by position; others are passed over.

    Whoever has none that serves is asked for one, so nothing is lost by a bad one.
    """
    found: dict[int, tuple[Signed, Prekey]] = {}
    for position, name in enumerate(cohort.ids):
        if name not in setup:
            continue
        try:
            prekey = open_prekey(
                setup[name],
                cohort=cohort,
                position=position,
                roster=roster,
                round=round,
                verify=verify,
            )
        except SecAggError:
            continue
        found[position] = setup[name], prekey
    # of those that show one key all but one have copied it: asked again, they prove whose it is
    times = Counter(prekey.key for _, prekey in found.values())
    return {place: each for place, each in found.items() if times[each[1].key] == 1}
