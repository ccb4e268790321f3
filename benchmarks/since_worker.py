"""Times rounds for `benchmarks.since`: orders come in as lines of JSON, seconds go out.

It runs on top of either tree and so uses only what both have: the rounds of `benchmarks.rounds`,
`Plain`, `Clock` and `Samples`.
"""

from __future__ import annotations

import gc
import inspect
import json
import sys
from collections.abc import Mapping
from typing import Any

from benchmarks.parts import Plain
from benchmarks.rounds import Case, Round, World
from benchmarks.timing import Samples, clock_for
from secagg.session import Model
from secagg.workers import Workers

AFTER = ("server receiving", "server unmasking", "server mean")


def main() -> None:
    """Answer order after order, until there are no more."""
    gc.disable()  # a collection would look at the objects of all parties, between rounds only
    case = world = None
    for line in sys.stdin:
        order = json.loads(line)
        if case != order["case"]:
            case = order["case"]
            world = None  # before the next is made: both may not fit
            world = World(Case(**case))
        assert world is not None
        gc.collect()
        print(json.dumps(measure(world, order["threads"], based=order["based"])), flush=True)


def measure(world: World, threads: int, *, based: bool) -> Mapping[str, float]:
    """Seconds of one round and its parts, CPU on one thread, wall on more.

    Args:
        world: who takes part.
        threads: of everybody.
        based: updates are relative to a model, whose hash is timed too; the round ends with the
            uploads.
    """
    clock, samples = clock_for(threads), Samples()
    plain = Plain(world)
    samples.time("plain", plain.round, clock)
    samples.time("plain", plain.round, clock)
    with Workers(threads) as workers:
        base = None
        if based:
            takes = inspect.signature(Model).parameters
            shared: dict[str, Any] = {"workers": workers} if "workers" in takes else {}
            start = clock()
            base = Model(world.base.tree, **shared)
            samples.add("model hash", clock() - start)
        start = clock()
        play = Round(world, base, workers, clock, samples)
        play.set_up()
        uploads = play.uploads()
        if not based:
            play.deliver(uploads)
            play.open()
        samples.add("round", clock() - start)
    best = samples.best()
    best["gateway"] = best["gateway upload"] + best.get("model hash", 0.0)
    if not based:
        best["server after set-up"] = sum(best[phase] for phase in AFTER)
        best["server"] = best["server set-up"] + best["server after set-up"]
    return best


if __name__ == "__main__":
    main()
