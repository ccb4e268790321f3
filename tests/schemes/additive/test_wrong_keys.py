"""A sum of keys that is wrong by a short element: the block of zeros, or the spare bit, shows it.

With R answers there is no redundancy. Before, a member's lie in the last message could be found by
lattice reduction that passed 16 coefficients of zeros, and every update was uniform (A3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from secagg.crypto.packed import PRIME
from secagg.errors import AggregateOutOfRange
from secagg.params import RoundParams
from secagg.protocol.outcome import check_opened
from secagg.schemes.additive import Lattice
from secagg.schemes.additive.ckks import CkksRing
from secagg.schemes.additive.client import AdditiveClient
from secagg.schemes.additive.lattice import LatticeRing
from secagg.schemes.additive.messages import KeySum
from secagg.schemes.additive.reference import lagrange
from secagg.schemes.base import Fill, Source
from secagg.wire import Span
from secagg.workers import SERIAL
from tests.schemes.additive.cheats import Cheats, added, assert_exact, assert_nothing_opened
from tests.schemes.additive.ckks import rounds as ckks
from tests.schemes.additive.lattice import rounds as lattice
from tests.schemes.additive.lattice.rounds import PUBLIC, source_of, stream

LIAR = 1
SESSIONS: tuple[tuple[int, dict[int, str]], ...] = (
    (3, {}),
    (4, {0: "answer"}),
    (10, {0: "answer", 4: "answer", 9: "answer"}),
)
"""n, and who falls silent before it answers, so that R answers are left."""
DEGREE = 2048


def short(places: int, size: int) -> np.ndarray:
    """An error of the sum of keys."""
    draw, delta = np.random.default_rng(places), np.zeros(DEGREE, np.int64)
    delta[draw.choice(DEGREE, places, replace=False)] = size * draw.choice([-1, 1], places)
    return delta


DELTAS = pytest.mark.parametrize("delta", [short(1, 1), short(130, 3)], ids=["one", "many"])


class Plants(AdditiveClient):
    """Encrypts all but its update with a key that is off by the very error it will answer with."""

    delta: np.ndarray

    def _protect(self, source: Source, params: RoundParams) -> tuple[Source, Sequence[Span]]:
        assert self._secret is not None
        secret = np.frombuffer(self._secret.reveal(), "<i2").astype(np.int64)
        rng = self._context.rng
        planted = self._ring.encrypt(source, secret + self.delta, public=self._p, rng=rng)
        honest, spans = super()._protect(source, params)
        return mixed(params, planted, honest), spans


def mixed(params: RoundParams, planted: Source, honest: Source) -> Source:
    def make() -> Fill:
        fills = planted(), honest()
        return lambda vector, first, out: fills[params.vectors[vector].kind == "update"](
            vector, first, out
        )

    return make


def session(n: int, silent: Mapping[int, str], delta: np.ndarray, **options: Any) -> Cheats:
    """The liar's answer makes the sum of keys wrong by delta: it knows who else will answer."""
    world = Cheats(Lattice(), gateways=n, vanish=dict(silent), coordinates=300, **options)
    limits = world.server.settings.thresholds
    members = [j + 1 for j in range(n) if j not in silent]
    assert (1, len(members)) == (limits.packed, limits.share_threshold)
    weight = lagrange(members, PRIME - 1)[members.index(LIAR + 1)]
    shares = delta * pow(weight, -1, PRIME) % PRIME

    def wrong(said: KeySum) -> KeySum:
        for column in np.flatnonzero(shares):
            said = added(said, int(shares[column]), slice(column, column + 1))
        return said

    world.lies = {(LIAR, "answer"): wrong}
    return world.play()


@DELTAS
@pytest.mark.parametrize(("n", "silent"), SESSIONS, ids=str)
def test_a_lie_in_the_last_answer_is_no_sum(n, silent, delta):
    world = session(n, silent, delta)

    assert_nothing_opened(world)
    assert isinstance(world.aborted, AggregateOutOfRange)


@DELTAS
@pytest.mark.parametrize(("n", "silent"), SESSIONS, ids=str)
def test_a_lie_that_its_own_upload_makes_up_for_meets_the_spare_bit(n, silent, delta):
    """Where nothing but updates shows it: what lattice reduction bought, without the reduction."""
    kind = type("Plants", (Plants,), {"delta": delta})
    world = session(n, silent, delta, kinds={LIAR: kind})

    assert_nothing_opened(world)
    assert isinstance(world.aborted, AggregateOutOfRange)
    assert "update/0: a lane is beyond" in str(world.aborted)


@pytest.mark.parametrize(("n", "silent"), SESSIONS, ids=str)
def test_the_control_without_a_lie_is_summed(n, silent):
    assert_exact(session(n, silent, short(1, 0)), range(n))


@DELTAS
@pytest.mark.parametrize("scheme", ["lattice", "ckks"])
def test_of_a_block_of_updates_half_the_lanes_are_out_of_reach(scheme, delta):
    lengths = {"update/0": DEGREE, "weight": 1, "check": DEGREE}
    if scheme == "lattice":
        params = lattice.planned(10, 2**32, lengths)
        ring: Any = LatticeRing(params, 10)
    else:
        params = ckks.planned(10, DEGREE, lengths)
        ring = CkksRing(params, 10)
    unit = 2**32
    specs = [
        type(spec)(name="weight", length=1, lanes=1, limit=unit, scale=float(unit))
        if spec.kind == "weight"
        else type(spec)(name=spec.name, length=spec.length, lanes=1, limit=spec.limit, scale=1.0)
        for spec in params.vectors
    ]
    params = params.replace(vectors=tuple(specs))
    words = [np.zeros(DEGREE, np.uint64), np.array([unit], np.uint64), np.zeros(DEGREE, np.uint64)]
    secret = ring.secret(stream(0))
    source = source_of(words)
    planted = ring.encrypt(source, secret + delta, public=PUBLIC, rng=stream(1))
    honest = ring.encrypt(source, secret, public=PUBLIC, rng=stream(1))
    fill, running = mixed(params, planted, honest)(), ring.running_sum()
    for vector, size in enumerate(ring.words):
        out = np.empty(size, np.uint64)
        fill(vector, 0, out)
        running.add(vector, 0, out)
    opened = running.open(secret + delta, public=PUBLIC, included=1, workers=SERIAL)
    lanes = opened[0].view(np.int64)
    out = np.count_nonzero(np.abs(lanes) > 10 * params.vectors[0].limit + ring.noise)

    assert [unit] == opened[1].tolist()
    assert out > 0.45 * DEGREE
    with pytest.raises(AggregateOutOfRange, match="update/0"):
        check_opened(params, opened, 1, gateways=10, noise=ring.noise)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("scheme", ["lattice", "ckks"])
def test_the_block_of_zeros_is_held_against_the_noise_by_coefficient(scheme, sign):
    ring: Any
    if scheme == "lattice":
        ring = LatticeRing(lattice.planned(10, 2**32, {"check": DEGREE}), 10)
    else:
        ring = CkksRing(ckks.planned(10, DEGREE, {"check": DEGREE}), 10)
    [zeros], residues = ring._blocks._lifts, ring._blocks.residues
    bound = zeros._noise
    for value, fine in ((bound, True), (bound + 1, False)):
        values = np.zeros((1, DEGREE), residues.dtype)
        values[0, DEGREE - 1] = sign * value
        out = np.full(DEGREE, 7, np.uint64)
        if fine:
            zeros.read(values, 0, out, 10)
            assert not out.any()
        else:
            with pytest.raises(AggregateOutOfRange, match="more than noise where zeros belong"):
                zeros.read(values, 0, out, 10)
