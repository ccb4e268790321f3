"""More attacks on a gateway, on the floors that need other thresholds or an older session.

The rows of `test_client_rows` change one field; here a liar puts real messages together wrongly.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec
import pytest

from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from secagg import errors
from secagg.crypto.agreement import public_key
from secagg.crypto.labels import Label
from secagg.encoding import bitmap, decode
from secagg.params import Ring
from secagg.protocol.messages import Signed, sign_round, sign_session
from secagg.protocol.policy import Policy
from secagg.schemes.masks.messages import AdvertiseKeys
from secagg.thresholds import derive_committee
from tests.schemes.attacks import Attack, check, play, said
from tests.schemes.test_client_rows import ME, R1, R2, R3, R4, K, Liar, swapped

replace = msgspec.structs.replace
PRIME = 2**255 - 19
FIVE = {"max_dropouts": 1, "share_threshold": 5}
"""n = 6, D = 1: q = n_min = 4, and t = 5 is above both."""
INCLUDED = {"max_dropouts": 1, "min_included": 5}
"""n = 6, D = 1: q = t = 4, and n_min is above both."""


@lru_cache(1)
def earlier() -> dict[tuple[str, str], Signed]:
    """What everybody said in a session of the same gateways that did not come to its end."""
    exchange = Exchange(Parties(5), number=99).play()
    return {
        (name, step): signed for name in exchange.cohort for step, signed in said(exchange, name)
    }


def advert(message: Any, peer: int) -> AdvertiseKeys:
    return decode(AdvertiseKeys, message.adverts[peer].body)


def old_advert(peer: int):
    return lambda _, m: replace(
        m, adverts=swapped(m.adverts, peer, earlier()[f"g{peer}", "advertise_keys"])
    )


def old_header(_: Liar, m: Any) -> Any:
    return replace(m, headers=swapped(m.headers, 1, earlier()["g2", "masked_input"]))


def relabelled(o: Liar, m: Any) -> Any:
    """A header that its owner signed as something else."""
    body = m.headers[1].body
    signature = o.parties.identities["g2"].key.sign(Label.SIGN_SHARES, body)
    return replace(m, headers=swapped(m.headers, 1, Signed(body=body, signature=signature)))


def orchestrators(o: Liar) -> bytes:
    """The key that K announced."""
    exchange = Exchange(o.parties)  # of the same seed, so with the same key
    return exchange.server._server.params.orchestrator_key


def of_gateways(n: int, *positions: int) -> bytes:
    return bitmap(positions, n)


def thinned(m: Any, keep: int) -> Any:
    """U1 of the first gateways only, consistent in itself."""
    return replace(m, present=of_gateways(6, *range(keep)), adverts=m.adverts[:keep])


ROWS = [
    # -- announcement ------------------------------------------------------------------------------
    Attack(
        "K signed by a gateway",
        K,
        lambda o, m: sign_session(o.parties.identities["g2"].key, m.params),
        errors.BadSignature,
    ),
    Attack(
        "orchestrator's key with its high bit",
        K,
        lambda o, m: o.session(m, orchestrator_key=(2**255 + 9).to_bytes(32, "little")),
        errors.BadPublicKey,
    ),
    Attack(
        "orchestrator's key not canonical",
        K,
        lambda o, m: o.session(m, orchestrator_key=(PRIME + 9).to_bytes(32, "little")),
        errors.BadPublicKey,
    ),
    Attack(
        "t above n - D", K, lambda o, m: o.limits(m, share_threshold=5), errors.ThresholdMismatch
    ),
    Attack("D of more", K, lambda o, m: o.limits(m, max_dropouts=4), errors.ThresholdMismatch),
    Attack("C of none", K, lambda o, m: o.limits(m, max_colluding=0), errors.ThresholdMismatch),
    Attack(
        "thresholds of a committee",
        K,
        lambda o, m: o.session(m, thresholds=derive_committee(5)),
        errors.ThresholdMismatch,
    ),
    Attack(
        "a ring where masks belong",
        R2,
        lambda o, m: o.round(m, ring=Ring(degree=2048, moduli=(2**32,), step=1)),
        errors.UnsupportedParameters,
    ),
    Attack("q above", K, lambda o, m: o.limits(m, quorum=5), errors.ThresholdMismatch),
    Attack("n_min above", K, lambda o, m: o.limits(m, min_included=5), errors.ThresholdMismatch),
    Attack(
        "a small cohort of a large roster",
        K,
        lambda _, m: m,
        errors.PolicyViolation,
        gateways=9,
        cohort=5,
        policy=Policy(),
    ),
    # -- round 1 -----------------------------------------------------------------------------------
    Attack("own keys of an older session", R1, old_advert(ME), errors.OwnMessageAltered),
    Attack("a peer's keys of an older session", R1, old_advert(2), errors.ForeignSession),
    Attack(
        "own keys in another's place",
        R1,
        lambda _, m: replace(m, adverts=swapped(m.adverts, 2, m.adverts[ME])),
        errors.BadSignature,
    ),
    Attack(
        "own keys under a second signature",
        R1,
        lambda _, m: replace(
            m,
            adverts=swapped(m.adverts, ME, replace(m.adverts[ME], signature=bytes(64))),
        ),
        errors.OwnMessageAltered,
    ),
    Attack(
        "two adverts in each other's place",
        R1,
        lambda _, m: replace(m, adverts=(*m.adverts[:3], m.adverts[4], m.adverts[3])),
        errors.BadSignature,
    ),
    Attack(
        "an advert too many",
        R1,
        lambda _, m: replace(m, adverts=(*m.adverts, m.adverts[0])),
        errors.WireError,
    ),
    Attack(
        "an advert that nothing was left of",
        R1,
        lambda o, m: replace(
            m,
            adverts=swapped(
                m.adverts,
                2,
                Signed(
                    body=b"\x90",
                    signature=o.parties.identities["g2"].key.sign(Label.SIGN_ADVERTISE, b"\x90"),
                ),
            ),
        ),
        errors.WireError,
    ),
    Attack(
        "one key for both",
        R1,
        lambda o, m: o.advert(m, 2, mask_key=advert(m, 2).channel_key),
        errors.BadPublicKey,
    ),
    Attack(
        "channel key of another",
        R1,
        lambda o, m: o.advert(m, 2, channel_key=advert(m, 3).channel_key),
        errors.BadPublicKey,
    ),
    Attack(
        "my channel key as another's mask key",
        R1,
        lambda o, m: o.advert(m, 2, mask_key=advert(m, ME).channel_key),
        errors.BadPublicKey,
    ),
    Attack(
        "my mask key as another's channel key",
        R1,
        lambda o, m: o.advert(m, 2, channel_key=advert(m, ME).mask_key),
        errors.BadPublicKey,
    ),
    Attack(
        "the orchestrator's key as a gateway's",
        R1,
        lambda o, m: o.advert(m, 2, channel_key=orchestrators(o)),
        errors.BadPublicKey,
    ),
    *(
        Attack(
            f"{field} {fault}",
            R1,
            lambda o, m, field=field, u=u: o.advert(m, 2, **{field: u.to_bytes(32, "little")}),
            errors.BadPublicKey,
        )
        for field in ("channel_key", "mask_key")
        for fault, u in {
            "of order one": 1,
            "of order two": PRIME - 1,
            "is the prime": PRIME,
            "with its high bit": 2**255 + 9,
        }.items()
    ),
    Attack(
        "channel key too short",
        R1,
        lambda o, m: o.advert(m, 2, channel_key=b"k"),
        errors.BadPublicKey,
    ),
    Attack(
        "U1 below t", R1, lambda _, m: thinned(m, 4), errors.BelowFloor, limits=FIVE, gateways=6
    ),
    Attack(
        "U1 below n_min",
        R1,
        lambda _, m: thinned(m, 4),
        errors.BelowFloor,
        limits=INCLUDED,
        gateways=6,
    ),
    Attack(
        "nobody in U1", R1, lambda _, m: replace(m, present=b"\0", adverts=()), errors.SelfMissing
    ),
    # -- round 2 -----------------------------------------------------------------------------------
    Attack(
        "P signed by a gateway",
        R2,
        lambda o, m: replace(m, round=sign_round(o.parties.identities["g2"].key, m.round.params)),
        errors.BadSignature,
    ),
    Attack(
        "P of an older session",
        R2,
        lambda o, m: replace(m, round=Exchange(o.parties, number=9).server._server._signed_round),
        errors.ForeignSession,
    ),
    Attack(
        "U2 with one who sent no keys",
        R2,
        lambda _, m: replace(m, dealers=of_gateways(5, *range(5)), shares=(*m.shares, m.shares[0])),
        errors.NotASubset,
        vanish={"g4": K},
    ),
    Attack(
        "U2 below t",
        R2,
        lambda _, m: replace(m, dealers=of_gateways(6, 0, 1, 2, 3), shares=m.shares[:3]),
        errors.BelowFloor,
        limits=FIVE,
        gateways=6,
    ),
    Attack(
        "U2 below n_min",
        R2,
        lambda _, m: replace(m, dealers=of_gateways(6, 0, 1, 2, 3), shares=m.shares[:3]),
        errors.BelowFloor,
        limits=INCLUDED,
        gateways=6,
    ),
    Attack(
        "a share too many",
        R2,
        lambda _, m: replace(m, shares=(*m.shares, m.shares[0])),
        errors.WireError,
    ),
    # -- round 3 -----------------------------------------------------------------------------------
    Attack(
        "U3 with one who dealt nothing",
        R3,
        lambda _, m: replace(
            m, included=of_gateways(5, *range(5)), headers=(*m.headers, m.headers[0])
        ),
        errors.NotASubset,
        vanish={"g4": R1},
    ),
    Attack(
        "U3 below n_min",
        R3,
        lambda _, m: replace(m, included=of_gateways(6, 0, 1, 2, 3), headers=m.headers[:3]),
        errors.BelowFloor,
        limits=INCLUDED,
        gateways=6,
    ),
    Attack(
        "more than D left out of U3",
        R3,
        lambda _, m: replace(m, included=of_gateways(6, 0, 1, 2, 3), headers=m.headers[:3]),
        errors.TooManyDropped,
        limits={"max_dropouts": 1},
        gateways=6,
    ),
    Attack("a header of an older session", R3, old_header, errors.HeaderMismatch),
    Attack("a header under another label", R3, relabelled, errors.BadSignature),
    Attack(
        "a header too many",
        R3,
        lambda _, m: replace(m, headers=(*m.headers, m.headers[0])),
        errors.WireError,
    ),
    Attack(
        "a header unsigned",
        R3,
        lambda _, m: replace(
            m, headers=swapped(m.headers, 3, replace(m.headers[3], signature=b""))
        ),
        errors.BadSignature,
    ),
    # -- round 4 -----------------------------------------------------------------------------------
    Attack(
        "a quorum with one who is not included",
        R4,
        lambda o, m: o.certificate(m, [0, 1, 2, 3]),
        errors.NoQuorum,
        vanish={"g0": R2},
    ),
    Attack(
        "one signature fewer than signers",
        R4,
        lambda _, m: replace(
            m, certificate=replace(m.certificate, signatures=m.certificate.signatures[1:])
        ),
        errors.NoQuorum,
    ),
    Attack(
        "one signature for all",
        R4,
        lambda _, m: replace(
            m,
            certificate=replace(m.certificate, signatures=(m.certificate.signatures[ME],) * 4),
        ),
        errors.BadSignature,
    ),
    Attack(
        "nobody signed",
        R4,
        lambda o, m: o.certificate(m, []),
        errors.NoQuorum,
    ),
    Attack(
        "signatures of an older session",
        R4,
        lambda _, m: replace(
            m,
            certificate=replace(
                m.certificate,
                signatures=tuple(earlier()[f"g{i}", "consistency"].signature for i in range(4)),
            ),
        ),
        errors.BadSignature,
    ),
]


@pytest.mark.parametrize("attack", ROWS, ids=str)
def test_the_check_is_named_and_nothing_is_released(attack):
    check(attack)


@pytest.mark.parametrize(
    ("limits", "vanish"),
    [
        (FIVE, {"g5": K}),
        (INCLUDED, {"g5": R1}),
        (INCLUDED, {"g5": R2}),
        (INCLUDED, {"g5": R3}),
        ({"max_dropouts": 2}, {"g4": R3, "g5": R3}),
    ],
    ids=str,
)
def test_sets_and_certificates_at_their_floor_are_accepted(limits, vanish):
    """The other side of each boundary: the same thresholds, met exactly."""
    honest = Attack(
        "none", R4, lambda _, m: m, errors.SecAggError, gateways=6, limits=limits, vanish=vanish
    )
    exchange = play(honest)

    assert "done" == exchange.server.phase
    assert [] == [error for name, error in exchange.refused if name == "g1"]
    assert exchange.verdict.summed


def test_a_new_key_of_an_orchestrator_changes_nothing_for_others():
    """The control of the rows on keys: another good key is accepted."""
    fresh = public_key(b"another key".ljust(32))
    honest = Attack("", K, lambda o, m: o.session(m, orchestrator_key=fresh), errors.SecAggError)
    exchange = play(honest)

    assert K == said(exchange)[0][0]
