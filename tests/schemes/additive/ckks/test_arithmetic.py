"""Residues, noise and products modulo a prime, each against Python integers or its own law."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.errors import ConfigurationError
from secagg.fixed_point import Noise
from secagg.params import VectorSpec
from secagg.protocol.staging import BadFrame
from secagg.schemes.additive import planning
from secagg.schemes.additive.blocks import AT_ONCE
from secagg.schemes.additive.ckks import RINGS, reference, update_limit
from secagg.schemes.additive.ckks.plan import noise_of, noise_of_sum
from secagg.schemes.additive.ckks.residues import PrimeResidues
from secagg.schemes.additive.ckks.sampling import GaussianStream
from secagg.schemes.additive.ckks.slots import Slots
from secagg.schemes.additive.limbs import Limbs

ROWS = pytest.mark.parametrize("row", RINGS, ids=lambda row: f"{row.degree}")


def residues_of(row):
    return PrimeResidues(row.prime, row.degree)


def random_rows(row, count, seed=0):
    return np.random.default_rng(seed).integers(0, row.prime, (count, row.degree))


def on_the_wire(row, values):
    """Full rows, the last one cut to its used numbers."""
    residues = residues_of(row)
    words = np.empty(len(values) * residues.words(values.shape[1]), np.uint64)
    residues.store(values.copy(), words)
    return words


# -- residues --------------------------------------------------------------------------------------


@ROWS
def test_a_row_is_its_numbers_in_little_endian(row):
    numbers = [0, 1, row.prime - 1, 2**32, 2**32 - 1, 5, 6, 7]
    raw = on_the_wire(row, np.array([numbers])).tobytes()
    if row.bits == 60:
        assert numbers == np.frombuffer(raw, "<u8").tolist()
        return
    low, high = np.frombuffer(raw[:32], "<u4").tolist(), list(raw[32:])

    assert len(high) == 8
    assert numbers == [a | b << 32 for a, b in zip(low, high, strict=True)]


@ROWS
@given(st.data())
def test_store_reduces(row, data):
    inside = st.sampled_from([0, 1, row.prime - 1, row.prime, 2 * row.prime - 1])
    values = data.draw(st.lists(inside, min_size=8, max_size=8))
    words = on_the_wire(row, np.array([values]))
    residues = residues_of(row)
    total = residues.sum_of(len(words))
    residues.add(total, words)

    assert [value % row.prime for value in values] == total.tolist()


@ROWS
@pytest.mark.parametrize("summands", [1, 2, 40])
def test_sums_and_differences(row, summands):
    """Two full batches of rows, a full row, and one of 24 numbers; the largest residues too."""
    residues = residues_of(row)
    full, short = 17, 24
    uploads, exact = [], np.zeros(full * row.degree + short, object)
    for seed in range(summands):
        values = random_rows(row, full + 1, seed)
        values[0] = row.prime - 1
        rest = values[-1:, :short]
        uploads.append(np.concatenate([on_the_wire(row, values[:-1]), on_the_wire(row, rest)]))
        exact += np.concatenate([values[:-1].reshape(-1), rest[0]]).astype(object)
    total = residues.sum_of(len(uploads[0]))
    for words in uploads:
        residues.check(words)
        residues.add(total, words)
    loaded = np.empty((full, row.degree), np.int64)
    residues.load(residues.part(total, 0, full * residues.unit), loaded)
    last = np.empty((1, short), np.int64)
    residues.load(residues.part(total, full * residues.unit, residues.words(short)), last)

    assert all((exact - np.concatenate([loaded.reshape(-1), last[0]])) % row.prime == 0)
    assert all(total < 2**52 if row.bits == 40 else total < row.prime)
    for words in uploads[1:]:
        residues.subtract(total, words)
    first = residues.sum_of(len(uploads[0]))
    residues.add(first, uploads[0])

    np.testing.assert_array_equal(first % row.prime, total % row.prime)


@ROWS
@pytest.mark.parametrize("place", [0, 7, -1])
def test_check_takes_the_largest_residue_and_nothing_above(row, place):
    residues = residues_of(row)
    numbers = random_rows(row, 2)
    numbers.reshape(-1)[place] = row.prime - 1
    residues.check(on_the_wire(row, numbers))
    words = on_the_wire(row, numbers)
    if row.bits == 60:
        words[place] += np.uint64(1)
    else:
        table = words.reshape(2, -1).view("<u4")[:, : row.degree]
        table[0 if place >= 0 else 1, place] += np.uint32(1)
    with pytest.raises(BadFrame, match="no residue"):
        residues.check(words)


@ROWS
def test_ranges(row):
    residues = residues_of(row)
    largest = 2**62 - 1 if row.bits == 60 else 2**55
    numbers = [0, 1, -1, row.prime // 2, -(row.prime // 2), largest, -largest, row.prime]
    values = np.array([numbers])
    centred = values.copy()
    residues.centre(centred)

    assert [n % row.prime for n in numbers] == residues.positive(values.copy())[0].tolist()
    for number, value in zip(numbers, centred[0].tolist(), strict=True):
        assert (number - value) % row.prime == 0
        assert abs(value) <= row.prime // 2 + 2**10


# -- noise -----------------------------------------------------------------------------------------


@ROWS
def test_noise_depends_on_key_and_block_only(row):
    def stream(key=bytes(16)):
        return GaussianStream(key, row.sigma, row.degree, 4)

    batch = stream().noise(3, 4).copy()
    backwards = stream()
    alone = np.concatenate([backwards.noise(block, 1).copy() for block in (6, 5, 4, 3)])

    np.testing.assert_array_equal(batch, alone[::-1])
    assert not (batch == stream(bytes(15) + b"\1").noise(3, 4)).any()
    for one, other in itertools.combinations(batch, 2):
        assert not np.array_equal(one, other)


@ROWS
def test_noise_is_gaussian(row):
    """False alarm below 2^-33 each: 2^20 draws, six and a half standard deviations."""
    blocks = 2**20 // row.degree
    noise = GaussianStream(bytes(16), row.sigma, row.degree, blocks).noise(0, blocks).astype(float)
    noise /= row.sigma
    halves = noise[:, : row.degree // 2], noise[:, row.degree // 2 :]
    count, far = noise.size, 6.5

    assert abs(noise.mean()) < far / count**0.5
    assert abs(noise.var() - 1) < far * (2 / count) ** 0.5
    assert abs((noise**4).mean() - 3) < far * (96 / count) ** 0.5
    assert abs((halves[0] * halves[1]).mean()) < far / (count / 2) ** 0.5
    assert 4.5 < np.abs(noise).max() < 6.7


def test_the_largest_radius():
    """The word 0 is the end of the tail, no infinity."""
    stream = GaussianStream(bytes(16), 16, 2048, 1)

    class Zeros:
        def seek(self, _):
            """There is nothing else anywhere."""

        def chunk(self, _, words):
            return np.zeros(words, np.uint64)

    stream._keystream = Zeros()

    assert 16 * 6.66 == pytest.approx(float(np.abs(stream.noise(0, 1)).max()), rel=1e-3)


# -- slots -----------------------------------------------------------------------------------------


@ROWS
def test_a_short_last_block_is_filled_with_zero_lanes(row):
    limit = 1000
    spec = VectorSpec(name="update/0", length=7, lanes=1, limit=limit, scale=1.0)
    slots = Slots(spec, row.ring, residues_of(row))
    values = np.empty((1, row.degree), np.int64)
    scratch = np.full(row.degree, 2**63, np.uint64)
    asked = []

    def encode(_vector, first, out):
        asked.append((first, len(out)))
        out[:] = (np.arange(7) - 3).view(np.uint64)

    slots.write(encode, 0, 0, values, np.zeros(values.shape, np.float32), scratch)
    expected = reference.embed([*range(-3, 4), *[0] * (row.degree - 7)], row.sigma)

    assert [(0, 7)] == asked
    assert np.abs(values[0] - np.array(expected)).max() <= 0.5 + 2**-10
    assert slots.coefficients(7) == row.degree
    assert slots.coefficients(0) == 0


@ROWS
def test_noise_is_added_before_rounding(row):
    """Or an upload were no rounded sample with continuous noise."""
    spec = VectorSpec(name="update/0", length=row.degree, lanes=1, limit=1000, scale=1.0)
    slots = Slots(spec, row.ring, residues_of(row))
    rng = np.random.default_rng(5)
    lanes = rng.integers(-1000, 1000, row.degree)
    noise = rng.uniform(-2, 2, (1, row.degree)).astype(np.float32)
    values = np.empty((1, row.degree), np.int64)

    def encode(_vector, first, out):
        out[:] = lanes.view(np.uint64)[first : first + len(out)]

    slots.write(encode, 0, 0, values, noise, np.empty(row.degree, np.uint64))
    exact = np.array(reference.embed(lanes.tolist(), row.sigma)) + noise[0]

    assert np.abs(values[0] - exact).max() <= 0.5 + 2**-20
    apart = np.rint(exact - noise[0]) + np.rint(noise[0])
    assert np.abs(apart - exact).max() > 0.7


@ROWS
def test_noise_of_limbs_is_rounded_to_the_nearest(row):
    limbs = Limbs(
        VectorSpec(name="weight", length=1, lanes=1, limit=5, scale=1.0), residues_of(row), 10, 3
    )
    count = limbs.coefficients(1)
    noise = np.array([[1.6, -1.6, 0.4, -0.4, 2.5, 9.9][:count]], np.float32)

    def encode(_vector, _first, out):
        out[:] = 0

    values = np.empty((1, count), np.int64)
    limbs.write(encode, 0, 0, values, noise, np.empty(row.degree, np.uint64))

    assert [round(float(each)) for each in noise[0]] == values[0].tolist()


@ROWS
def test_opening_takes_the_nearest_lane(row):
    spec = VectorSpec(name="update/0", length=row.degree, lanes=1, limit=2**12, scale=1.0)
    slots = Slots(spec, row.ring, residues_of(row))
    step = 2**22  # rounding of coefficients is then below a thousandth of a lane
    slots._to_slots = slots._to_slots * (row.sigma / step)
    lanes = np.random.default_rng(6).integers(-(2**12), 2**12, row.degree)
    values = np.rint([reference.embed(lanes.tolist(), step)]).astype(np.int64)
    out = np.empty(row.degree, np.uint64)
    slots.read(values % row.prime, 0, out, 1)

    np.testing.assert_array_equal(lanes, out.view(np.int64))


@ROWS
def test_the_last_run_of_a_long_vector_asks_for_what_is_left(row):
    length = AT_ONCE * row.degree + 5
    spec = VectorSpec(name="update/0", length=length, lanes=1, limit=1000, scale=1.0)
    slots = Slots(spec, row.ring, residues_of(row))
    asked = []

    def encode(_vector, first, out):
        asked.append((first, len(out)))
        out[:] = 0

    values = np.empty((1, row.degree), np.int64)
    noise, scratch = np.zeros(values.shape, np.float32), np.empty(row.degree, np.uint64)
    slots.write(encode, 0, AT_ONCE * row.degree, values, noise, scratch)

    assert [(AT_ONCE * row.degree, 5)] == asked


# -- the plan --------------------------------------------------------------------------------------


@ROWS
@pytest.mark.parametrize("gateways", [1, 3, 10, 100, 2047])
def test_limits_and_bounds_are_those_of_the_text(row, gateways):
    """The formulas of `plan`, written down once more."""
    deviations = math.sqrt(2 * math.log(2 * 2**65))
    noise = math.ceil(deviations * math.sqrt(gateways * (row.sigma**2 + 1 / 12)))
    room = row.prime // 4 - 1 - noise - math.ceil(row.prime / 2**46)
    limit = math.floor(room / (math.sqrt(2) * gateways * row.sigma))
    spread = math.sqrt(gateways * row.degree / 2 * (row.sigma**2 + 1 / 12)) / row.sigma
    floats = 2**-45 * math.sqrt(row.degree) * gateways * update_limit(row.ring, gateways)

    assert noise == noise_of_sum(row.ring, gateways)
    assert abs(limit - update_limit(row.ring, gateways)) <= limit * 2**-40 + 1
    stated = noise_of(row.ring, gateways)
    assert math.floor(deviations * spread + floats + 0.5) == stated.bound
    assert math.hypot(spread, 12**-0.5) == pytest.approx(stated.rms)


def test_the_first_candidate_that_reaches_the_precision_is_taken():
    noise = Noise(bound=10.0, rms=2.0)
    ring = RINGS[0].ring
    reached = 16 / (1000 * 6) * math.sqrt(6 / 6 + 4) * (1 + 1e-12)
    poor = planning.Candidate(ring, 1, noise, "poor")
    none = planning.Candidate(ring, 0, noise, "none")
    good = planning.Candidate(ring, 1000, noise, "good")
    better = planning.Candidate(ring, 10**6, noise, "better")
    found = planning.choose_candidate([none, poor, good, better], 6, 1.0, reached, name="this")

    assert found.text.startswith("good: the opened sum is off by 10 lane units at most (rms 2)")
    with pytest.raises(ConfigurationError, match=r"nearest possible is 0\.00596"):
        planning.choose_candidate([none, poor, good], 6, 1.0, reached * 0.999, name="this")
    with pytest.raises(ConfigurationError, match="nearest possible is inf"):
        planning.choose_candidate([none], 6, 1.0, 1.0, name="this")
