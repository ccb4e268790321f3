"""The machines say what the reference says, byte for byte, and come to the same sum."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from secagg import Masks, canonical, wire
from secagg.crypto import shamir
from secagg.crypto.agreement import agree
from secagg.crypto.kdf import derive_key
from secagg.crypto.labels import Label
from secagg.errors import BelowThreshold
from secagg.protocol.certificate import Consistency
from secagg.protocol.messages import COMMON, Answer, UploadHeader
from secagg.schemes.masks.keys import edge_secret, mask_private, pair_key, self_key, sign
from secagg.schemes.masks.reference import PHASES, Coins, combine, run_masks, split
from secagg.wire import VECTOR, Codec, MessageTable
from tests.schemes.world import World, entropy

# n, thresholds given, who falls silent when
SESSIONS = [
    (3, {}, {}),
    (4, {}, {}),
    *((4, {}, {2: phase}) for phase in PHASES),
    (5, {}, {}),
    *((5, {}, {i: phase}) for i, phase in enumerate(PHASES)),
    # as many shares as there may be dealers: who is left in round 1 has fewer holders than t
    (5, {"share_threshold": 4}, {0: "advertise_keys"}),
    (5, {"share_threshold": 4}, {0: "share_keys"}),
    (5, {"share_threshold": 4}, {4: "unmasking"}),
    (6, {}, {0: "masked_input", 1: "unmasking"}),
    (6, {}, {5: "masked_input", 0: "unmasking"}),
    (6, {}, {2: "masked_input", 3: "consistency"}),
    (6, {}, {4: "share_keys", 1: "masked_input"}),
    (6, {"share_threshold": 4}, {3: "consistency", 4: "unmasking"}),
    (7, {"max_colluding": 1, "max_dropouts": 2}, {0: "masked_input", 6: "masked_input"}),
]
ABORTED = [
    (3, {}, {1: "share_keys"}),
    (4, {}, {0: "advertise_keys", 1: "masked_input"}),
    (4, {}, {0: "masked_input", 1: "masked_input"}),
    (5, {}, {0: "masked_input", 1: "consistency"}),
    (5, {"share_threshold": 4}, {0: "masked_input", 1: "unmasking"}),
    (5, {"share_threshold": 4}, {0: "consistency", 1: "unmasking"}),
]


def reference(world):
    server = world.server._server
    draws = [world.entropy("client", i) for i in world.ids]
    return run_masks(
        server.params,
        server.round,
        [identity.key for identity in world.identities],
        [Coins(rng(32), rng(32), rng(32), rng) for rng in draws],
        [world.encoded(i) for i in world.ids],
        world.vanish,
    )


def said(world):
    """The signed messages on the wire."""
    codec = Codec(MessageTable(COMMON))
    messages = {}
    for frame in world.log:
        if frame.up and wire.open(frame.data).type != VECTOR:
            answer = codec.decode(wire.open(frame.data))
            assert isinstance(answer, Answer)
            assert (answer.step, frame.gateway) not in messages
            messages[answer.step, frame.gateway] = answer.signed
    return messages


def described(session):
    return f"{session[0]}-{session[1]}-{session[2]}"


@pytest.mark.parametrize("session", SESSIONS, ids=described)
def test_machines_are_the_reference(session):
    n, limits, vanish = session
    world = World(Masks(), n, limits=limits, vanish=vanish).play()
    expected = reference(world)
    audit = world.server.audit
    headers = [canonical.decode(UploadHeader, header.body) for header in audit.headers]
    signed = next(m for (step, _), m in said(world).items() if step == "consistency")
    h3 = canonical.decode(Consistency, signed.body).h3

    assert expected.said == said(world)
    assert expected.masked == _by_vector(world)
    assert expected.included == list(world.included)
    assert expected.sums == world.opened
    assert expected.sums == world.expected(world.included)
    assert {expected.transcript} == {(header.h0, header.h2, h3) for header in headers}


def _by_vector(world):
    ends = np.cumsum([spec.words for spec in world.server._server.round.vectors])[:-1]
    return {i: [v.tolist() for v in np.split(y, ends)] for i, y in world.uploaded().items()}


@pytest.mark.parametrize("session", ABORTED, ids=described)
def test_machines_end_where_the_reference_ends(session):
    n, limits, vanish = session
    world = World(Masks(), n, limits=limits, vanish=vanish).play()
    with pytest.raises(BelowThreshold) as expected:
        reference(world)

    assert expected.value.args == world.aborted.args


@pytest.mark.parametrize("packing", [1, 2, 4, 5])
def test_machines_are_the_reference_in_every_layout(packing):
    world = World(Masks(packing=packing), vanish={1: "masked_input"}, coordinates=23).play()
    expected = reference(world)

    assert expected.masked == _by_vector(world)
    assert expected.sums == world.opened


def test_every_dropout_of_one_gateway_in_four_gives_the_sum_of_the_others():
    for i, phase in itertools.product(range(4), PHASES):
        world = World(Masks(), vanish={i: phase})
        left_out = {i} if PHASES.index(phase) <= PHASES.index("masked_input") else set()
        included = [j for j in range(4) if j not in left_out]
        outcome = reference(world)

        assert included == outcome.included
        assert world.expected(included) == outcome.sums


def test_reference_shares_are_those_of_the_fast_twin():
    rng = entropy("coins")
    coins = Coins(rng(32), b"\xff" * 32, bytes(32), entropy("coefficients"))
    holders = [0, 3, 4, 63]
    shares = split(coins, 3, holders)
    expected = shamir.split([coins.seed, coins.key_seed], 3, holders, entropy("coefficients"))

    assert [tuple(pair) for pair in expected] == [shares[j] for j in holders]
    for chosen in itertools.combinations(holders, 3):
        assert coins.seed == combine({j: shares[j][0] for j in chosen})
        assert coins.key_seed == combine({j: shares[j][1] for j in chosen})


def test_reference_coefficients_are_rejected_and_drawn_again():
    stream = iter(b"\xff\xff\x1f" + b"\xf7\xff\xff" + bytes(3 * 26))
    coins = Coins(b"", bytes(32), bytes(32), lambda size: bytes(next(stream) for _ in range(size)))

    assert {0: (bytes(39), bytes(39))} == split(coins, 2, [0])
    assert list(stream) == []


def test_keys_are_derived_as_written_down():
    # docs/protocol.md#masked-upload, spelled out: what is salt, what is context, and in which order
    u64 = canonical.u64
    secret, salt, peer = bytes(range(32)), b"h2" * 16, b"\x09" + bytes(31)
    dh = agree(secret, peer)

    assert mask_private(secret, salt) == derive_key(secret, salt=salt, label=Label.KDF_MASK_KEY)
    expected = derive_key(dh, salt=salt, label=Label.KDF_EDGE, context=(u64(2), u64(7)))
    assert expected == edge_secret(dh, h2=salt, ends=(7, 2))
    assert expected == edge_secret(dh, h2=salt, ends=(2, 7))
    expected = derive_key(secret, salt=salt, label=Label.KDF_PAIR, length=16)
    assert expected == pair_key(secret, h2=salt)
    expected = derive_key(secret, salt=salt, label=Label.KDF_SELF, context=(u64(5),), length=16)
    assert expected == self_key(secret, h2=salt, position=5)
    assert [1, -1] == [sign(2, 7), sign(7, 2)]


def test_coins_are_never_printed():
    assert "Coins()" == repr(Coins(b"1" * 32, b"2" * 32, b"3" * 32, entropy()))
