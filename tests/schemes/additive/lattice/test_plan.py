from __future__ import annotations

import math

import pytest

from secagg.errors import ConfigurationError
from secagg.fixed_point.layout import MAX_UPDATE_LIMIT
from secagg.params import Ring
from secagg.schemes.additive.elements import PolynomialRing
from secagg.schemes.additive.lattice import MODULI, check_ring, noise_bound, plan, update_limit
from secagg.schemes.additive.lattice.plan import exact_step, noise_of, noise_of_sum
from secagg.schemes.additive.limbs import limb_bits
from secagg.schemes.additive.product import rounding_slack

SMALL, LARGE = MODULI
COUNTS = (1, 2, 3, 10, 64, 100, 1000, 2047)


def ring(modulus: int = SMALL, step: int = 1, degree: int = 2048) -> Ring:
    return Ring(degree=degree, moduli=(modulus,), step=step)


@pytest.mark.parametrize("gateways", COUNTS)
def test_the_noise_of_a_sum_is_certain_or_has_the_stated_tail(gateways):
    bound = noise_of_sum(LARGE, gateways)
    tail = 2 * math.exp(-(bound**2) / (16 * gateways))

    assert bound == 16 * gateways or tail <= 2.0**-64
    assert bound <= 16 * gateways
    assert (
        rounding_slack(PolynomialRing(2048, SMALL), gateways)
        == noise_of_sum(SMALL, gateways) - bound
    )


@pytest.mark.parametrize("gateways", COUNTS)
@pytest.mark.parametrize("modulus", MODULI)
def test_the_exact_step_is_the_smallest_exact_one(modulus, gateways):
    step = exact_step(modulus, gateways)

    assert 0.0 == noise_bound(ring(modulus, step), gateways)
    assert 2 * noise_of_sum(modulus, gateways) == step - 1
    assert noise_of_sum(modulus, gateways) == noise_bound(ring(modulus, 1), gateways)


@pytest.mark.parametrize("gateways", COUNTS)
@pytest.mark.parametrize("modulus", MODULI)
@pytest.mark.parametrize("exact", [True, False])
def test_the_limit_is_the_largest_whose_sum_stays_below_a_quarter_of_q(modulus, gateways, exact):
    step = exact_step(modulus, gateways) if exact else 1
    limit = update_limit(ring(modulus, step), gateways)
    noise = noise_of_sum(modulus, gateways) + step // 2

    assert gateways * limit * step + noise < modulus // 4
    assert gateways * (limit + 1) * step + noise >= modulus // 4
    assert limit <= MAX_UPDATE_LIMIT


@pytest.mark.parametrize("gateways", COUNTS)
@pytest.mark.parametrize("modulus", MODULI)
def test_limbs_are_as_few_as_fit_and_even(modulus, gateways):
    noise = noise_of_sum(modulus, gateways)
    bits = limb_bits(modulus, noise, gateways)
    limbs = -(-64 // bits)
    fewer = -(-64 // (limbs - 1))

    def most(width: int) -> int:
        return gateways * (2**width - 1) * (2 * noise + 1) + 2 * noise

    assert most(bits) < modulus <= most(fewer)
    assert -(-64 // limbs) == bits


@pytest.mark.parametrize(
    ("gateways", "precision", "modulus", "exact"),
    [
        (3, 2**-12, SMALL, True),
        (10, 2**-12, SMALL, True),
        (100, 2**-12, SMALL, True),
        (735, 2**-12, SMALL, True),
        (736, 2**-12, SMALL, False),
        (2047, 2**-12, SMALL, False),
        (1000, 2**-16, SMALL, False),
        (1000, 2**-19.55, LARGE, True),
        (1000, 2**-26, LARGE, False),
        (3, 2**-22, SMALL, False),
        (3, 2**-25, LARGE, True),
    ],
)
def test_the_plan_takes_the_smaller_modulus_then_the_exact_sum(gateways, precision, modulus, exact):
    chosen = plan(gateways, 1000.0, precision)

    assert (modulus, exact) == (chosen.ring.moduli[0], chosen.noise.exact)
    assert exact == (chosen.ring.step > 1)
    assert 1 == chosen.lanes
    assert update_limit(chosen.ring, gateways) == chosen.limit
    assert noise_of(chosen.ring, gateways) == chosen.noise
    assert f"Delta = {chosen.ring.step}" in chosen.text
    assert ("sum is exact" in chosen.text) == exact


@pytest.mark.parametrize(("gateways", "precision"), [(10, 2**-12), (384, 2**-12), (30, 2**-22.5)])
def test_the_plan_says_how_many_gateways_are_summed_exactly(gateways, precision):
    chosen = plan(gateways, 1.0, precision)
    most = int(chosen.text.rpartition("up to n = ")[2])

    assert chosen.noise.exact
    assert plan(most, 1.0, precision).noise.exact
    assert not plan(most + 1, 1.0, precision).noise.exact
    assert most == 735 or precision != 2**-12


@pytest.mark.parametrize(("gateways", "largest"), [(10, 2**19), (100, 2**14)])
def test_fifteen_bit_inputs_of_up_to_100_gateways_are_summed_exactly(gateways, largest):
    chosen = plan(gateways, 1.0, 2**-12)

    assert chosen.noise.exact
    assert SMALL == chosen.ring.moduli[0]
    assert chosen.limit >= largest


def test_the_precision_is_reached_and_not_much_less_than_what_is_refused():
    gateways = 1000
    chosen = plan(gateways, 1.0, 2**-16)
    variance = gateways / 6 + chosen.noise.rms**2
    reached = 16 / (chosen.limit * gateways) * math.sqrt(variance)

    assert chosen == plan(gateways, 1.0, reached * 1.0001)
    assert LARGE == plan(gateways, 1.0, reached * 0.9999).ring.moduli[0]


def test_a_given_modulus_is_kept_or_refused_but_never_changed():
    assert LARGE == plan(10, 1.0, 2**-12, LARGE).ring.moduli[0]
    with pytest.raises(ConfigurationError, match=r"nearest possible is \d"):
        plan(1000, 1.0, 2**-21, SMALL)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((1000, 1.0, 2**-40), "precision 9.09e-13 is out of reach of 1000 .* nearest possible is"),
        ((1000, 1.0, 0.0), "positive"),
        ((1000, 1.0, math.nan), "positive"),
        ((1000, 2.0**33, 2**-12), "max_weight"),
        ((1000, 0.0, 2**-12), "max_weight"),
        ((0, 1.0, 2**-12), "0 gateways"),
        ((2048, 1.0, 2**-12), "up to 2047"),
        ((10, 1.0, 2**-12, 2**31), "use one, 2"),
    ],
)
def test_the_plan_refuses(arguments, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        plan(*arguments)


@pytest.mark.parametrize(
    ("refused", "sentence"),
    [
        (ring(degree=1024), "about 85 bits"),
        (ring(degree=4096), "N is 4096: use 2048$"),
        (ring(2**30), "moduli"),
        (Ring(degree=2048, moduli=(SMALL, SMALL), step=1), "moduli"),
        (Ring(degree=2048, moduli=(), step=1), "moduli"),
        (ring(step=0), "use 1, or 173"),
        (ring(step=174), "use 1, or 173"),
    ],
)
def test_a_ring_that_the_planner_would_not_choose_is_refused(refused, sentence):
    for check in (check_ring, update_limit, noise_bound):
        with pytest.raises(ConfigurationError, match=sentence):
            check(refused, 10)
    check_ring(ring(step=173), 10)
