"""One row for each check of a client: what the server changes, and the error that names it.

What a lying orchestrator may do beside is in `protocol_sim.attacks`; what happens without
a check, `tests/protocol_sim/test_leaks_checks.py` says.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec
import pytest

from protocol_sim.memory import Exchange
from protocol_sim.parties import MAX_WEIGHT, Parties
from secagg import errors
from secagg.canonical import bitmap, decode
from secagg.crypto.agreement import public_key
from secagg.crypto.labels import Label
from secagg.protocol.bounds import Bounds
from secagg.protocol.messages import Announce, Signed, SignedRound, sign_round, sign_session
from secagg.protocol.policy import Policy
from secagg.schemes.masks import Masks
from secagg.schemes.masks.messages import AdvertiseKeys
from tests.schemes.attacks import (
    ME,
    R1,
    R2,
    R3,
    R4,
    Attack,
    K,
    Liar,
    assert_refused,
    play,
    said,
)

replace = msgspec.structs.replace
LOW_ORDER = bytes(32)
FIVE = {"max_dropouts": 1, "share_threshold": 5}
"""n = 6, D = 1: q = n_min = 4, and t = 5 is above both."""
INCLUDED = {"max_dropouts": 1, "min_included": 5}
"""n = 6, D = 1: q = t = 4, and n_min is above both."""


def swapped(items: tuple[Any, ...], index: int, item: Any) -> tuple[Any, ...]:
    return (*items[:index], item, *items[index + 1 :])


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


def orchestrators(o: Liar) -> bytes:
    """The key that K announced."""
    exchange = Exchange(o.parties)  # of the same seed, so with the same key
    return exchange.server._server.params.orchestrator_key


def thinned(m: Any, keep: int) -> Any:
    """U1 of the first gateways only, consistent in itself."""
    return replace(m, present=bitmap(range(keep), 6), adverts=m.adverts[:keep])


ROWS = [
    Attack("suite", K, lambda o, m: o.session(m, suite=9), errors.UnsupportedParameters),
    Attack(
        "cohort padding", K, lambda o, m: o.session(m, cohort=b"\xff"), errors.UnsupportedParameters
    ),
    Attack(
        "not in cohort",
        K,
        lambda o, m: o.session(m, cohort=bitmap([0, 2, 3, 4], 5)),
        errors.NotInCohort,
    ),
    *(
        Attack(
            f"policy {name}",
            K,
            lambda _, m: m,
            errors.PolicyViolation,
            policy=Policy(require_model=False, **asked),
        )
        for name, asked in {
            "C": {"min_colluding": 2},
            "n": {"min_gateways": 6},
            "n_min": {"min_included": 5},
            "step": {"max_round_step": 0},
        }.items()
    ),
    Attack(
        "K low order", K, lambda o, m: o.session(m, orchestrator_key=LOW_ORDER), errors.BadPublicKey
    ),
    Attack(
        "K signed by a gateway",
        K,
        lambda o, m: sign_session(o.parties.identities["g2"].key, m.claimed),
        errors.BadSignature,
    ),
    Attack(
        "a small cohort of a large roster",
        K,
        lambda _, m: m,
        errors.PolicyViolation,
        gateways=9,
        cohort=5,
        policy=Policy(),
    ),
    Attack("advert missing", R1, lambda _, m: replace(m, adverts=m.adverts[:-1]), errors.WireError),
    Attack("hash too many", R1, lambda _, m: replace(m, hashes=(bytes(32),)), errors.WireError),
    Attack(
        "own advert altered",
        R1,
        lambda o, m: o.advert(m, ME, channel_key=bytes(31) + b"\x09"),
        errors.OwnMessageAltered,
    ),
    Attack("advert position", R1, lambda o, m: o.advert(m, 2, position=3), errors.ForeignSession),
    Attack("low order", R1, lambda o, m: o.advert(m, 2, mask_key=LOW_ORDER), errors.BadPublicKey),
    Attack("own keys of an older session", R1, old_advert(ME), errors.OwnMessageAltered),
    Attack("a peer's keys of an older session", R1, old_advert(2), errors.ForeignSession),
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
        "leaf outside",
        R2,
        lambda o, m: o.round(
            m,
            leaves=tuple(replace(leaf, vector=9) for leaf in m.round.claimed.leaves),
        ),
        errors.UnsupportedParameters,
    ),
    *(
        Attack(
            f"policy {name}",
            R2,
            lambda _, m: m,
            errors.PolicyViolation,
            policy=Policy(**{"require_model": False, **asked}),
        )
        for name, asked in {
            "words": {"max_words": 3},
            "lanes": {"lanes": (1, 2)},
            "model": {"require_model": True},
            "purpose": {"bounds": {"evaluate": Bounds()}},
            "clip": {"bounds": {"train": Bounds(clip={"w": 0.5})}},
            "weight": {"bounds": {"train": Bounds(max_weight=MAX_WEIGHT / 2)}},
            "metric": {"bounds": {"train": Bounds(metrics={"loss": 99.0})}},
            "integers": {"bounds": {"train": Bounds(integers=7)}},
            "clipping": {"bounds": {"train": Bounds(clipping="saturate")}},
        }.items()
    ),
    Attack(
        "U2 without me",
        R2,
        lambda _, m: replace(m, dealers=bitmap([0, 2, 3, 4], 5)),
        errors.SelfMissing,
    ),
    Attack("shares missing", R2, lambda _, m: replace(m, shares=m.shares[:-1]), errors.WireError),
    Attack(
        "P signed by a gateway",
        R2,
        lambda o, m: replace(m, round=sign_round(o.parties.identities["g2"].key, m.round.claimed)),
        errors.BadSignature,
    ),
    Attack(  # nothing is made of P before its signature is verified
        "no P, nor signed",
        R2,
        lambda _, m: replace(m, round=SignedRound(body=b"no P", signature=bytes(64))),
        errors.BadSignature,
    ),
    Attack(
        "no P, but signed",
        R2,
        lambda o, m: replace(m, round=o.signed(SignedRound, Label.SIGN_ROUND, b"no P")),
        errors.WireError,
    ),
    Attack(
        "no K, but signed",
        K,
        lambda o, m: o.signed(Announce, Label.SIGN_SESSION, m.body + b"\0"),
        errors.WireError,
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
        lambda _, m: replace(m, dealers=bitmap(range(5), 5), shares=(*m.shares, m.shares[0])),
        errors.NotASubset,
        vanish={"g4": K},
    ),
    Attack(
        "U2 below t",
        R2,
        lambda _, m: replace(m, dealers=bitmap(range(4), 6), shares=m.shares[:3]),
        errors.BelowFloor,
        limits=FIVE,
        gateways=6,
    ),
    Attack(
        "U2 below n_min",
        R2,
        lambda _, m: replace(m, dealers=bitmap(range(4), 6), shares=m.shares[:3]),
        errors.BelowFloor,
        limits=INCLUDED,
        gateways=6,
    ),
    Attack(
        "headers missing", R3, lambda _, m: replace(m, headers=m.headers[:-1]), errors.WireError
    ),
    Attack(
        "U3 below n_min",
        R3,
        lambda _, m: replace(m, included=bitmap(range(4), 6), headers=m.headers[:3]),
        errors.BelowFloor,
        limits=INCLUDED,
        gateways=6,
    ),
    Attack(
        "signature twice",
        R4,
        lambda _, m: replace(
            m,
            certificate=replace(
                m.certificate, signatures=(*m.certificate.signatures, m.certificate.signatures[0])
            ),
        ),
        errors.NoQuorum,
    ),
    Attack(
        "a quorum with one who is not included",
        R4,
        lambda o, m: o.certificate(m, [0, 1, 2, 3]),
        errors.NoQuorum,
        vanish={"g0": R2},
    ),
]


@pytest.mark.parametrize("attack", ROWS, ids=str)
def test_the_check_is_named_and_nothing_is_released(attack):
    assert_refused(play(attack), attack)


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


def test_a_machine_takes_no_announcement_of_another_scheme():
    """Sessions route by the announced name; a machine by itself holds it against its own."""
    exchange = Exchange(Parties(5))
    params, key = exchange.server._server.params, exchange.parties.orchestrator.key
    machine = Masks().client(params.session, exchange.clients["g1"]._context)

    with pytest.raises(errors.UnsupportedParameters):
        machine.receive(sign_session(key, replace(params, scheme="lattice")))
