from __future__ import annotations

import pytest

from secagg import Ckks, Lattice, Masks
from tests.schemes import contract, contract_noise

SCHEMES = [
    Masks(),
    Masks(packing=1),
    Masks(packing=5),
    Lattice(),
    Lattice(modulus=2**40),
    Lattice(keep_uploads=True),
    Ckks(),
    Ckks(ring_degree=4096),
]


@pytest.mark.parametrize(
    "check", [*contract.CHECKS, *contract_noise.CHECKS], ids=lambda check: check.__name__
)
@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
def test_scheme(scheme, check):
    check(scheme)


def test_masks_promise_the_exact_sum():
    assert Masks().plan_update(4, 1.0, 2**-12).noise.exact


@pytest.mark.parametrize("part", [contract, contract_noise], ids=lambda part: part.__name__)
def test_every_check_is_listed(part):
    defined = {name for name, each in vars(part).items() if _is_check(part, name, each)}

    assert defined == {check.__name__ for check in part.CHECKS}


def _is_check(part, name, each):
    ours = getattr(each, "__module__", "") == part.__name__ and not isinstance(each, type)
    helper = name.startswith(("_", "assert_")) or name == "phases"
    return ours and callable(each) and not helper
