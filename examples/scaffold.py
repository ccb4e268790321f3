"""SCAFFOLD beside FedAvg on unevenly dealt digits: `python -m examples.scaffold`.

A gateway corrects its gradients by control variates: its own, c_i, and the mean of all, c. Model
and control travel in one tree through one secure sum, each with a clip of its own.

Source: Karimireddy et al. 2020, SCAFFOLD, arXiv 1910.06378, Algorithm 1, option II, global rate 1.
"""

from __future__ import annotations

import sys

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy

from fedavg.learning import Samples, State, measure
from fedavg.settings import Settings
from fedavg.tasks.base import seeded
from fedavg.tasks.splits import deal
from secagg import SecureAverage

STEPS, BATCH, RATE = 50, 32, 0.1


class Site:
    """A gateway: its samples and its control variate c_i stay here."""

    def __init__(self, samples: Samples, model: nn.Module, seed: int) -> None:
        self.samples, self.model = samples, model
        self.draw = torch.Generator().manual_seed(seed)
        self.control = zeros(model.state_dict())

    def train(self, model: State, control: State) -> dict[str, State]:
        """STEPS steps of y -= RATE * (gradient - c_i + c); y, and c with the change of c_i."""
        self.model.load_state_dict(model)
        weights = dict(self.model.named_parameters())
        for _ in range(STEPS):
            batch = self.samples.at(torch.randint(len(self.samples), (BATCH,), generator=self.draw))
            loss = cross_entropy(self.model(batch.inputs), batch.labels)
            gradients = torch.autograd.grad(loss, list(weights.values()))
            for key, gradient in zip(weights, gradients, strict=True):
                weights[key].data -= RATE * (gradient - self.control[key] + control[key])
        trained = self.model.state_dict()
        self.change = {k: (model[k] - trained[k]) / (STEPS * RATE) - control[k] for k in trained}
        return {"model": trained, "control": {k: control[k] + self.change[k] for k in trained}}

    def keep(self) -> None:
        """Once the update is in the mean, c_i changes: so c stays the mean of all c_i."""
        self.control = {key: value + self.change[key] for key, value in self.control.items()}


class Federation:
    """Ten gateways and their orchestrator; FedAvg is SCAFFOLD whose controls stay zero."""

    def __init__(self, *, controlled: bool, seed: int = 0) -> None:
        inputs, labels = load_digits(return_X_y=True)
        shuffled = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
        digits = Samples(torch.tensor(inputs / 16).float(), torch.tensor(labels)).at(shuffled)
        self.holdout, mine = digits.at(torch.arange(360)), digits.at(torch.arange(360, 1797))
        shares = deal(mine.labels, 10, Settings(split="dirichlet", alpha=0.1, seed=seed))
        build = seeded(lambda: nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)), seed)
        self.sites = [Site(mine.at(s), build(), number) for number, s in enumerate(shares)]
        self.model, self.controlled, self.bound = build(), controlled, 0.0
        self.control = zeros(self.model.state_dict())
        self.average = SecureAverage(clip={"model.*": 2.0, "control.*": 1.0})

    def round(self, number: int, vanish: dict[int, str] | None = None) -> float:
        """Accuracy on the holdout set after it; `bound` adds up the bounds of the errors."""
        tree = {"model": self.model.state_dict(), "control": self.control}
        updates = {i: lambda s=site: s.train(**tree) for i, site in enumerate(self.sites)}
        seed = str(number).encode()
        result = self.average.run(updates, base=tree, vanish=vanish, rounding_seed=seed)
        if self.controlled:
            part, mean = len(result.included) / len(self.sites), result.mean["control"]
            self.control = {k: torch.lerp(c, mean[k], part) for k, c in self.control.items()}
            for index in result.included:
                self.sites[int(index)].keep()
        self.bound += result.report.error_bound
        self.model.load_state_dict(result.mean["model"])
        return measure(self.model, self.holdout)["correct"] / len(self.holdout)


def zeros(state: State) -> State:
    """Of the same keys and shapes."""
    return {key: torch.zeros_like(value) for key, value in state.items()}


def main(rounds: int = 15) -> None:
    """Print the accuracy of both after every round."""
    scaffold, fedavg = Federation(controlled=True), Federation(controlled=False)
    for number in range(1, rounds + 1):
        ours, theirs = scaffold.round(number), fedavg.round(number)
        sys.stdout.write(f"round {number:2}: SCAFFOLD {ours:.3f}, FedAvg {theirs:.3f}\n")


if __name__ == "__main__":
    main()
