"""Arrays of packages that the suite does not install (`make outside`): skipped by name elsewhere.

As jax 0.10.2, pandas 3.1.1, astropy 8.0.2, galois 0.4.11, tensordict 0.15.3, frozendict 2.5.1 and
ml_dtypes 0.6.0 had them; stand-ins of their behaviour are in tests/pytree/test_leaves.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from secagg import SecureAverage
from secagg.errors import EncodingError
from secagg.pytree import flatten


def jax_tree(jax: Any, value: float) -> Any:
    full = jax.numpy.full
    return {"w": full((2, 3), value), "half": full(2, value, jax.numpy.bfloat16), "lr": value}


def tensor_dict(package: Any, value: float) -> Any:
    torch = pytest.importorskip("torch")
    inner = package.TensorDict({"b": torch.full((1,), value)})
    return package.TensorDict({"w": torch.full((2,), value), "deep": inner})


TAKEN = {
    "jax": jax_tree,
    "tensordict": tensor_dict,
    "frozendict": lambda package, value: package.frozendict(w=np.full(2, value)),
    "ml_dtypes": lambda package, value: [np.full(2, value, package.bfloat16)],
}
REFUSED = {
    "jax": (lambda jax: jax.random.key(0), "numpy has no dtype"),
    "pandas": (lambda pandas: pandas.Series([1.0]), "Series, no array: .*pass its to_numpy"),
    "astropy.units": (lambda units: np.ones(2) * units.km, "Quantity, no array: its unit would"),
    "galois": (lambda galois: galois.GF(31)([1]), "arithmetic of its own: pass a plain numpy"),
    "ml_dtypes": (lambda package: np.ones(2, package.float8_e4m3fn), "dtype float8_e4m3fn is not"),
}


@pytest.mark.parametrize("name", TAKEN)
def test_they_are_averaged(name):
    package = pytest.importorskip(name, exc_type=ImportError)
    base = TAKEN[name](package, 0.0)
    updates = {i: TAKEN[name](package, i / 4) for i in range(4)}
    for mean in (
        SecureAverage(clip=1.0).run(updates, base=base).mean,
        SecureAverage(clip=1.0).run(updates).mean,
    ):
        assert type(mean) in {dict, list}
        for key, leaf in flatten(mean).items():
            array = np.asarray(leaf)
            assert np.asarray(flatten(base)[key]).dtype == array.dtype
            assert np.abs(array.astype(float) - 0.375).max() < 0.002


@pytest.mark.parametrize("name", REFUSED)
def test_they_are_refused_with_the_way_out(name):
    make, words = REFUSED[name]
    leaf = make(pytest.importorskip(name, exc_type=ImportError))
    with pytest.raises(EncodingError, match=f"'x'.*{words}"):
        flatten({"x": leaf})
