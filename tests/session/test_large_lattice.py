"""Committees that are a part of the cohort, at the sizes they are for."""

from __future__ import annotations

import numpy as np
import pytest

from secagg import Lattice, SecureAverage
from secagg.protocol.audit import verify_record


def played(gateways, coordinates, average, vanish):
    rng = np.random.default_rng(0)
    updates = {
        i: {"w": rng.uniform(-1, 1, coordinates).astype(np.float32)} for i in range(gateways)
    }
    result = average.run(updates, vanish=vanish, rounding_seed=b"large")
    included = [updates[i]["w"].astype(np.float64) for i in result.included]
    return result, np.abs(result.mean["w"] - np.mean(included, axis=0)).max()


def test_a_hundred_gateways_lose_as_many_as_promised():
    average = SecureAverage(clip=1.0, scheme=Lattice())
    limits = average.plan({"w": np.zeros(50, np.float32)}, 100).thresholds
    assert (93, 10) == (limits.committee, limits.max_dropouts)
    phases = ("set_up", "upload", "consistency", "answer")
    vanish = {7 * i: phases[i % 4] for i in range(limits.max_dropouts)}
    result, error = played(100, 50, average, vanish)

    assert result.report.plan.exact
    assert error <= result.report.error_bound
    gone = {i for i, phase in vanish.items() if phase in {"set_up", "upload"}}
    assert set(range(100)) - gone == set(result.included)
    included = verify_record(result.report.audit, result.report.roster)
    assert set(result.included) == set(included)


@pytest.mark.slow
@pytest.mark.parametrize("precision", [2**-11, 2**-16], ids=["exact", "within its bound"])
def test_a_thousand_gateways_of_which_two_hundred_vanish(precision):
    average = SecureAverage(
        clip=1.0,
        precision=precision,
        scheme=Lattice(committee=640),
        max_colluding=100,
        max_dropouts=200,
    )
    result, error = played(1000, 2000, average, dict.fromkeys(range(0, 1000, 5), "upload"))

    assert 800 == len(result.included)
    assert result.report.plan.exact == (precision == 2**-11)
    assert error <= result.report.error_bound
