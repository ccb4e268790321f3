from __future__ import annotations

import numpy as np
import pytest
import torch

from fedavg.aggregation import (
    SERVER_OPTIMISERS,
    FedAdam,
    FedAvg,
    FedAvgM,
    FedYogi,
    checked,
    mean_of,
    server_optimiser,
)
from fedavg.plain import weighted_mean
from secagg.errors import ConfigurationError

# References, written from the papers in numpy: from a start x and the means of some rounds to x
# after each round, which is rounded to the dtype of the leaf as the model is.


def _rounded(x, dtype):
    return x.astype(dtype).astype(np.float64)


def _fedavg(x, means, eta, dtype):
    for mean in means:
        x = _rounded(x + eta * (mean - x), dtype)
        yield x


def _fedavgm(x, means, eta, dtype, beta=0.9):
    """Hsu et al. 2019, section 4.3."""
    v = np.zeros_like(x)
    for mean in means:
        v = beta * v + (mean - x)
        x = _rounded(x + eta * v, dtype)
        yield x


def _adaptive(second):
    """Reddi et al. 2021, Algorithm 2, with a rule for v."""

    def states(x, means, eta, dtype, beta1=0.9, tau=1e-3):
        m, v = np.zeros_like(x), np.full_like(x, tau**2)
        for mean in means:
            delta = mean - x
            m = beta1 * m + (1 - beta1) * delta
            v = second(v, delta)
            x = _rounded(x + eta * m / (np.sqrt(v) + tau), dtype)
            yield x

    return states


REFERENCES = {
    "fedavg": _fedavg,
    "fedavgm": _fedavgm,
    "fedadam": _adaptive(lambda v, delta: 0.99 * v + 0.01 * delta**2),
    "fedyogi": _adaptive(lambda v, delta: v - 0.01 * delta**2 * np.sign(v - delta**2)),
}


@pytest.mark.parametrize("name", SERVER_OPTIMISERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("eta", [0.03, 1.0])
def test_steps_are_those_of_the_paper(name, dtype, eta):
    draw = np.random.default_rng(5)
    # Some means far below tau, some far above.
    means = [(np.geomspace(1e-6, 10, 40) * draw.normal(size=40)).astype(dtype) for _ in range(12)]
    start = np.linspace(-1, 1, 40).astype(dtype)
    wide = [each.astype(np.float64) for each in means]
    expected = REFERENCES[name](start.astype(np.float64), wide, eta, dtype)
    server, state = server_optimiser(name, rate=eta), {"w": torch.from_numpy(start.copy())}
    for mean, after in zip(means, expected, strict=True):
        state = server.step(state, {"w": torch.from_numpy(mean)})

        # One unit in the last place; where a state is nearly zero, of what was added up.
        np.testing.assert_allclose(after, state["w"].numpy(), rtol=np.finfo(dtype).eps, atol=1e-14)
    assert not np.allclose(start, state["w"].numpy(), rtol=1e-3)


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        (FedAvg(rate=0.5), [1.0, 2.5]),
        (FedAvgM(rate=0.5, beta=0.8), [1.0, 1 + 0.5 * (0.8 * 2 + 3)]),
        # v = 4, then 0.75 * 4 + 0.25 * 3.5^2.
        (FedAdam(rate=1, beta1=0, beta2=0.75, tau=2), [0.5, 0.5 + 3.5 / (6.0625**0.5 + 2)]),
        # v = 1 + 0.25 * 4.
        (FedYogi(rate=1, beta1=0, beta2=0.75, tau=1), [2 / (2**0.5 + 1)]),
    ],
)
def test_steps_by_hand(server, expected):
    state = {"w": torch.zeros(1, dtype=torch.float64)}
    for mean, after in zip((2.0, 4.0), expected, strict=False):
        state = server.step(state, {"w": torch.tensor([mean], dtype=torch.float64)})

        assert after == pytest.approx(state["w"].item(), rel=1e-12)


def test_fedavg_is_the_mean_itself():
    state = {"w": torch.tensor([1e10, 1.0])}
    mean = {"w": torch.tensor([1e-10, 3.0])}

    assert mean["w"].equal(FedAvg().step(state, mean)["w"])
    assert [5e9, 2.0] == FedAvg(rate=0.5).step(state, mean)["w"].tolist()


STATE = {
    "weight": torch.tensor([1.0, 2.0]),
    "running_mean": torch.tensor([0.0, 0.0]),
    "1.running_var": torch.tensor([1.0, 20.0]),
    "1.num_batches_tracked": torch.tensor(3),
    "codebook": torch.tensor([0.5], dtype=torch.float16),
}
MEAN = {
    "weight": torch.tensor([1.5, -2.0]),
    "running_mean": torch.tensor([0.1, -0.1]),
    "1.running_var": torch.tensor([0.01, 0.02]),
    "1.num_batches_tracked": torch.tensor(21),
    "codebook": torch.tensor([0.25], dtype=torch.float16),
}


@pytest.mark.parametrize("name", SERVER_OPTIMISERS[1:])
def test_counts_and_statistics_take_the_mean(name):
    server = server_optimiser(name, rate=100.0)
    state, before = STATE, {key: value.clone() for key, value in STATE.items()}
    for _ in range(3):
        state = server.step(state, MEAN)

    same = [key for key, value in state.items() if value.equal(MEAN[key])]

    assert ["running_mean", "1.running_var", "1.num_batches_tracked"] == same
    assert all(value.dtype == MEAN[key].dtype for key, value in state.items())
    assert all(value.equal(before[key]) for key, value in STATE.items())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: server_optimiser("sgd"), "use one of fedavg, fedavgm, fedadam, fedyogi"),
        (lambda: server_optimiser("fedadam", rate=0.0), "server rate 0.0: use a number above 0"),
        (lambda: server_optimiser("fedavg", rate=float("nan")), "server rate nan: use"),
        (lambda: FedAvg(rate="fast"), "server rate 'fast': use"),
        (lambda: FedAvgM(beta=1.0), "beta 1.0: use a number from 0 to below 1"),
        (lambda: FedAdam(beta1=-0.1), "beta1 -0.1: use"),
        (lambda: FedYogi(beta2=float("nan")), "beta2 nan: use"),
        (lambda: FedYogi(tau=0.0), "tau 0.0: use a finite number above 0"),
    ],
)
def test_what_no_server_can_be_is_refused(make, said):
    with pytest.raises(ConfigurationError, match=said):
        make()


def test_the_mean_of_sums_is_fedavg():
    states = {name: {"w": torch.rand(3), "n": torch.tensor(n)} for name, n in (("a", 4), ("b", 7))}
    base, weights = (
        {"w": torch.rand(3), "n": torch.tensor(2), "kept": torch.ones(1)},
        {"a": 1, "b": 1},
    )
    sums = {
        key: sum(state[key].double() - base[key].double() for state in states.values()).numpy()
        for key in ("w", "n")
    }
    mean = mean_of(sums, 2.0, base)
    exact = weighted_mean(states, weights, base)

    # (4 - 2 + 7 - 2) / 2 = 3.5 is rounded half to even: 2 + 4.
    assert 6 == mean["n"].item() == exact["n"].item()
    assert exact["w"].tolist() == mean["w"].tolist()
    assert base["kept"].equal(mean["kept"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"more": torch.zeros(1)}, r"left out \[\] and added \['more'\]"),
        ({"weight": torch.zeros(3)}, r"made weight torch.float32 \(3,\): return .*\(2,\)"),
        ({"weight": torch.zeros(2).double()}, "return torch.float32"),
        ({"weight": torch.tensor([0.0, float("nan")])}, "made weight NaN or infinite: a lower"),
        ({"codebook": torch.tensor([float("inf")]).half()}, "codebook NaN or infinite"),
    ],
)
def test_what_no_next_state_can_be_is_refused(changes, said):
    with pytest.raises(ConfigurationError, match=said):
        checked(STATE | changes, STATE)


def test_a_state_with_a_leaf_missing_is_refused():
    with pytest.raises(ConfigurationError, match=r"left out \['weight'\] and added \[\]"):
        checked({key: value for key, value in STATE.items() if key != "weight"}, STATE)
