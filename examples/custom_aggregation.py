"""An aggregation of your own on the secure sum: `python -m examples.custom_aggregation`.

It gets sums over all included gateways, their total weight and the present state, and never sees a
single update. This one takes the mean, but never steps further than a radius: one bad round cannot
carry the model far, and the price is slower first rounds.
"""

from __future__ import annotations

import sys
import time
from functools import partial

import torch

from fedavg.aggregation import Sums, mean_of
from fedavg.learning import State
from fedavg.orchestrator import Orchestrator
from fedavg.settings import Settings
from fedavg.tasks import load
from secagg import SecureAverage


def within(radius: float, sums: Sums, total_weight: float, state: State) -> State:
    """The mean, or the point on the way to it whose L2 distance from the state is `radius`."""
    mean = mean_of(sums, total_weight, state)
    real = [key for key, value in mean.items() if value.is_floating_point()]
    steps = {key: mean[key] - state[key] for key in real}
    length = float(torch.cat([step.flatten() for step in steps.values()]).norm())
    part = min(1.0, radius / length) if length > 0 else 1.0
    return mean | {key: state[key] + part * steps[key] for key in real}


def main(rounds: int = 10, radius: float = 2.0) -> None:
    """Print accuracy on the holdout set, and how far the model went, after every round."""
    task = load(Settings("digits"))
    orchestrator = Orchestrator(
        task.build(),
        task.gateways,
        task.holdout,
        average=SecureAverage(clip=task.clip, max_weight=task.max_weight),
        clock=time.perf_counter,
        aggregate=partial(within, radius),
    )
    for number in range(1, rounds + 1):
        before = orchestrator.state
        # the seed decides the rounding, never a mask: each run prints the same
        done = orchestrator.round(rounding_seed=str(number).encode())
        gone = torch.cat([(v - before[k]).flatten() for k, v in orchestrator.state.items()]).norm()
        sys.stdout.write(f"round {done.number:2}: {done.accuracy:.3f}, moved by {gone:.2f}\n")


if __name__ == "__main__":
    main()
