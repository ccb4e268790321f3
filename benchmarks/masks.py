"""What secure aggregation with masks costs: `python -m benchmarks.masks [--output DIR] [--quick]`.

One process, everything interleaved, best of several; ratios to a plaintext float32 FedAvg round.
CPU time for one thread, wall time for two. A target that is missed is reported, nothing fails.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.measuring import measure_all, parser_of, write
from benchmarks.rounds import Case

CASES = (
    Case(gateways=10, coordinates=10_000_000, vanished=1, repeats=10),
    Case(gateways=10, coordinates=1_000_000, vanished=1, repeats=20),
    Case(gateways=64, coordinates=1_000_000, vanished=6, repeats=4),
    Case(gateways=100, coordinates=1_000_000, vanished=10, repeats=6, colluding=9, dropouts=10),
    Case(
        gateways=100,
        coordinates=1_000_000,
        vanished=10,
        repeats=4,
        colluding=33,
        dropouts=10,
        share_threshold=35,
        brief=True,
    ),
    Case(
        gateways=1_000,
        coordinates=100_000,
        vanished=50,
        repeats=2,
        colluding=50,
        dropouts=50,
        brief=True,
    ),
)
QUICK = (
    Case(gateways=5, coordinates=30_000, vanished=1, repeats=1),
    Case(gateways=65, coordinates=3_000, vanished=2, repeats=1, brief=True),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write DIR/masks.json."""
    options = parser_of("masks", str(__doc__)).parse_args(arguments)
    records = measure_all(QUICK if options.quick else CASES)
    write(options.output, "masks", cases=records)


if __name__ == "__main__":
    main()
