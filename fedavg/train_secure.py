"""FedAvg on handwritten digits, made secure: `python -m fedavg.train_secure`."""

from __future__ import annotations

import sys

from fedavg.learning import measure
from fedavg.settings import Settings
from fedavg.tasks import load
from secagg import SecureAverage


def main(rounds: int = 10) -> None:
    """Train, and print the accuracy on the holdout set after every round."""
    task = load(Settings("digits", gateways=10))
    model = task.build()
    counts = {gateway.name: gateway.count for gateway in task.gateways}
    average = SecureAverage(clip=task.clip, max_weight=task.max_weight)

    for number in range(1, rounds + 1):
        states = {g.name: g.train(model.state_dict(), number) for g in task.gateways}
        result = average.run(states, counts, base=model.state_dict())
        model.load_state_dict(result.mean)

        score = measure(model, task.holdout)
        sys.stdout.write(f"round {number:2}: {score['correct'] / score['samples']:.3f}\n")


if __name__ == "__main__":
    main()
