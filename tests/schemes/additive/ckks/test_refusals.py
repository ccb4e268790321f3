"""What is no round, no upload or no sum of this scheme: named errors, and nobody else is harmed."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from secagg import Ckks
from secagg.errors import (
    AggregateOutOfRange,
    ConfigurationError,
    LocalProtocolError,
    UnsupportedParameters,
)
from secagg.params import Ring
from secagg.protocol.staging import BadFrame
from secagg.schemes.additive.ckks import CkksRing, check_ring, plan, reference, update_limit
from secagg.workers import SERIAL
from tests.schemes.additive.ckks.rounds import (
    DEGREES,
    SIGMA,
    SMALLEST,
    planned,
    ring_of,
)
from tests.schemes.additive.lattice.rounds import PUBLIC, draw, source_of, stream, upload
from tests.schemes.additive.test_client_rows import Lied, refused, with_ring, with_round
from tests.schemes.contract import assert_right
from tests.schemes.world import World

SMALL, LARGE = map(ring_of, DEGREES)
replace = msgspec.structs.replace

# -- rings, limits, plans --------------------------------------------------------------------------

FOREIGN = {
    "the lattice's": Ring(degree=2048, moduli=(2**32,), step=1),
    "a power of two": replace(SMALL, moduli=(2**40,)),
    "half the degree": replace(SMALL, degree=1024),
    "twice the degree": replace(SMALL, degree=4096),
    "a prime of 54 bits": replace(SMALL, moduli=(2**54 - 77823,), step=3),
    "the other prime": replace(SMALL, moduli=LARGE.moduli),
    "less noise": replace(SMALL, step=8),
    "less noise in the larger": replace(LARGE, step=SIGMA[2048]),
    "no noise": replace(SMALL, step=0),
    "two primes": replace(SMALL, moduli=SMALL.moduli + LARGE.moduli),
    "no prime": replace(SMALL, moduli=()),
}


@pytest.mark.parametrize("foreign", FOREIGN)
def test_no_ring_but_those_of_the_table(foreign):
    ring, p = FOREIGN[foreign], planned(10, 2048, SMALLEST)
    for check in (check_ring, update_limit):
        with pytest.raises(ConfigurationError, match=r"use N = 2048 .* or N = 4096"):
            check(ring, 10)
    with pytest.raises(UnsupportedParameters, match=r"use N = 2048 .* or N = 4096"):
        CkksRing(p.replace(ring=ring), 10)


def test_no_round_without_a_ring():
    with pytest.raises(UnsupportedParameters, match="no ring"):
        CkksRing(planned(10, 2048, SMALLEST).replace(ring=None), 10)


@pytest.mark.parametrize("degree", DEGREES)
@pytest.mark.parametrize(
    ("vector", "lanes", "beyond", "sentence"),
    [
        (0, 1, 1, r"limit of update/0 is \d+: this ring's is"),
        (0, 1, None, "limit of update/0 is 0"),
        (0, 2, 0, "rings take 1"),
        (1, 3, 0, "rings take 1"),
    ],
)
def test_no_vectors_that_do_not_fit(degree, vector, lanes, beyond, sentence):
    p = planned(10, degree, SMALLEST)
    largest = update_limit(p.ring, 10) if lanes == 1 else 1
    limit = 0 if beyond is None else largest + beyond
    vectors = list(p.vectors)
    vectors[vector] = replace(vectors[vector], lanes=lanes, limit=limit)
    CkksRing(p, 10)
    with pytest.raises(UnsupportedParameters, match=sentence):
        CkksRing(p.replace(vectors=tuple(vectors)), 10)


@pytest.mark.parametrize("gateways", [0, 2048])
def test_no_cohort_whose_keys_cannot_be_shared(gateways):
    for check in (check_ring, update_limit):
        with pytest.raises(ConfigurationError, match=f"{gateways} gateways"):
            check(SMALL, gateways)
    check_ring(SMALL, 2047)


@pytest.mark.parametrize("degree", DEGREES)
def test_the_limit_is_the_largest_with_room_for_the_noise(degree):
    ring, half = ring_of(degree), ring_of(degree).moduli[0] / 4
    for gateways in (3, 10, 100, 2047):
        largest = math.sqrt(2) * gateways * ring.step * update_limit(ring, gateways)
        noise = 10 * math.sqrt(gateways) * ring.step

        assert 0.99 * (half - noise) < largest < half - 0.9 * noise


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((10, 1.0, 2**-60), "out of reach of 10 gateways with ckks: the nearest possible is"),
        ((10, 1.0, 2**-30, 2048), "nearest possible is"),
        ((10, 1.0, math.nan), "positive"),
        ((10, 0.0, 2**-12), "max_weight"),
        ((0, 1.0, 2**-12), "0 gateways"),
        ((2048, 1.0, 2**-12), "2048 gateways"),
    ],
)
def test_no_plan_that_cannot_hold(arguments, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        plan(*arguments)


def test_more_precision_takes_the_larger_ring():
    assert SMALL == plan(10, 1.0, 2**-12).ring
    assert LARGE == plan(10, 1.0, 2**-24).ring
    assert LARGE == plan(10, 1.0, 2**-12, 4096).ring
    with pytest.raises(ConfigurationError, match="use 2048, 4096 or None"):
        Ckks(ring_degree=1024)


# -- uploads and sums ------------------------------------------------------------------------------


def encrypting(degree: int, lengths: dict[str, int]):
    """(encoding, what writes an upload)."""
    p = planned(10, degree, lengths)
    encoding = CkksRing(p, 10)
    secret = encoding.secret(stream(0))
    make = encoding.encrypt(source_of(draw(p, 0)), secret, public=PUBLIC, rng=stream(1))
    return encoding, make()


@pytest.mark.parametrize("degree", DEGREES)
def test_no_span_that_tears_a_block(degree):
    encoding, fill = encrypting(degree, {"update/0": 3 * degree, "weight": 1})
    running, unit, (update, weight) = encoding.running_sum(), encoding.unit, encoding.words
    torn = [
        (0, 1, unit),
        (0, 0, unit - 1),
        (0, 0, unit + 8),
        (0, unit // 2, unit // 2),
        (0, 2 * unit, 2 * unit),
        (0, update, unit),
        (1, 0, weight - 1),
        (1, 0, weight + 1),
    ]
    for vector, first, size in torn:
        out = np.zeros(size, np.uint64)
        for use in (fill, running.add, running.subtract):
            with pytest.raises(LocalProtocolError, match="no whole blocks"):
                use(vector, first, out)
    fill(0, unit, np.empty(2 * unit, np.uint64))
    fill(1, 0, np.empty(weight, np.uint64))


@pytest.mark.parametrize("degree", DEGREES)
@pytest.mark.parametrize("place", ["the first", "in the middle", "the last"])
@pytest.mark.parametrize("vector", ["update/0", "weight"])
def test_no_number_that_is_no_residue(degree, place, vector):
    encoding, fill = encrypting(degree, {"update/0": 2 * degree, "weight": 1})
    v = 0 if vector == "update/0" else 1
    words = np.empty(encoding.words[v], np.uint64)
    fill(v, 0, words)
    running, prime = encoding.running_sum(), reference.PRIMES[degree]
    running.check(words)
    count = degree if v == 0 else len(words) * 8 // (5 if degree == 2048 else 8)
    k = {"the first": 0, "in the middle": count // 2, "the last": count - 1}[place]
    for number, right in ((prime - 1, True), (prime, False), (2**63 | prime, False)):
        _write(words, count, k, number % 2 ** (40 if degree == 2048 else 64))
        if right:
            running.check(words)
            continue
        with pytest.raises(BadFrame, match="no residue"):
            running.check(words)


def _write(words: np.ndarray, count: int, k: int, number: int) -> None:
    """One number of the last block of `count` numbers, in place."""
    if len(words) * 8 % (8 * count) == 0:
        words[-count:][k] = number
        return
    block = words.view(np.uint8)[-5 * count :]
    block[4 * k : 4 * k + 4] = list((number % 2**32).to_bytes(4, "little"))
    block[4 * count + k] = number >> 32


@pytest.mark.parametrize("degree", DEGREES)
@pytest.mark.parametrize("lengths", [{"check": 2048}, {"weight": 1}], ids=["check", "weight"])
def test_no_sum_under_a_wrong_key(degree, lengths):
    p = planned(10, degree, lengths)
    encoding, rng = CkksRing(p, 10), stream(0)
    secret, running = encoding.secret(rng), encoding.running_sum()
    (words,) = upload(encoding, draw(p, 0), secret, rng)
    running.add(0, 0, words)
    running.open(secret, public=PUBLIC, included=1, workers=SERIAL)
    wrong = secret.copy()
    wrong[7] += 1
    for key, public in ((wrong, PUBLIC), (secret, PUBLIC[::-1])):
        with pytest.raises(AggregateOutOfRange):
            running.open(key, public=public, included=1, workers=SERIAL)


@pytest.mark.parametrize("degree", DEGREES)
def test_no_more_summands_than_said(degree):
    p, largest = planned(10, degree, {"weight": 1}), 2**64 - 1
    encoding, total = CkksRing(p, 10), 0
    running = encoding.running_sum()
    for seed in range(2):
        rng = stream(seed)
        secret = encoding.secret(rng)
        total = total + secret
        running.add(0, 0, upload(encoding, [np.full(1, largest, np.uint64)], secret, rng)[0])
    with pytest.raises(AggregateOutOfRange, match="beyond 1 times its limit"):
        running.open(total, public=PUBLIC, included=1, workers=SERIAL)
    running.open(total, public=PUBLIC, included=2, workers=SERIAL)


@pytest.mark.parametrize("degree", DEGREES)
def test_no_sum_of_keys_that_are_not_small(degree):
    encoding = CkksRing(planned(10, degree, SMALLEST), 10)
    total = np.zeros(degree, np.int64)
    total[3] = -48

    assert encoding.check_secret(total, 3)
    assert not encoding.check_secret(total, 2)
    assert not encoding.check_secret(-total, 2)
    assert not encoding.check_secret(total[1:], 3)


# -- sessions --------------------------------------------------------------------------------------

LIES = {
    "no ring": lambda w, m: with_round(w, m, ring=None),
    "the lattice's ring": lambda w, m: with_ring(w, m, moduli=(2**32,), step=1),
    "less noise": lambda w, m: with_ring(w, m, step=1),
    "half the degree": lambda w, m: with_ring(w, m, degree=1024),
    "a modulus of the server's": lambda w, m: with_ring(w, m, moduli=(2**40 - 87,)),
    "the other ring, with limits of this": lambda w, m: with_round(w, m, ring=SMALL),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_gateway_refuses_a_ring_of_the_orchestrators_own(lie):
    scheme = Ckks(ring_degree=4096 if lie.startswith("the other") else None)
    refused(Lied(scheme, 4, change=LIES[lie]), UnsupportedParameters)


@pytest.mark.parametrize("scheme", [Ckks(), Ckks(ring_degree=4096)], ids=["2048", "4096"])
@pytest.mark.parametrize("vector", [0, 3])
def test_who_sends_no_residues_is_dropped_and_the_others_are_summed(scheme, vector):
    world = World(scheme, 4)
    honestly = world.upload

    def garbage(i: int):
        client = world.clients[i]._client
        encrypt = client._ring.encrypt

        def spoiled(source, secret, **rest):
            make = encrypt(source, secret, **rest)

            def filling():
                fill = make()

                def everything(v, first, out):
                    fill(v, first, out)
                    out[...] = out if v != vector else 2**64 - 1

                return everything

            return filling

        client._ring.encrypt = spoiled
        return honestly(i)

    world.upload = lambda i: garbage(i) if i == 1 else honestly(i)
    world.play()

    assert {1: "BAD_FRAME"} == world.dropped
    assert (0, 2, 3) == world.included
    assert_right(world)


@pytest.mark.parametrize("scheme", [Ckks(), Ckks(ring_degree=4096)], ids=["2048", "4096"])
@pytest.mark.parametrize("cut", [1, 8, 100])
def test_who_sends_truncated_uploads_is_dropped_and_the_others_are_summed(scheme, cut):
    world = World(scheme, 4)
    longest = max(
        (frame.data for frame in World(scheme, 4).play().log if frame[:2] == (1, True)), key=len
    )

    def cut_off(frame):
        yield frame.data[:-cut] if frame.data == longest else frame.data

    world.passes = cut_off
    world.play()

    assert {1: "MALFORMED"} == world.dropped
    assert (0, 2, 3) == world.included
    assert_right(world)
