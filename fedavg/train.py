"""FedAvg on handwritten digits, in the clear: `python -m fedavg.train`."""

from __future__ import annotations

import sys

from fedavg.learning import measure
from fedavg.plain import weighted_mean
from fedavg.settings import Settings
from fedavg.tasks import load


def main(rounds: int = 10) -> None:
    """Train, and print the accuracy on the holdout set after every round."""
    task = load(Settings("digits", gateways=10))
    model = task.build()
    counts = {gateway.name: gateway.count for gateway in task.gateways}

    for number in range(1, rounds + 1):
        states = {g.name: g.train(model.state_dict(), number) for g in task.gateways}
        model.load_state_dict(weighted_mean(states, counts))

        score = measure(model, task.holdout)
        sys.stdout.write(f"round {number:2}: {score['correct'] / score['samples']:.3f}\n")


if __name__ == "__main__":
    main()
