"""What the lattice costs: `python -m benchmarks.lattice [--output DIR] [--quick]`.

As benchmarks.masks; and, in one run, from how many neighbours on the lattice takes less time.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.crossover import crossover
from benchmarks.measuring import measure_all, parser_of, write
from benchmarks.rounds import Case

CASES = (
    Case(gateways=10, coordinates=1_000_000, vanished=1, repeats=20, scheme="lattice"),
    Case(gateways=64, coordinates=1_000_000, vanished=6, repeats=4, scheme="lattice"),
    Case(gateways=100, coordinates=1_000_000, vanished=10, repeats=6, scheme="lattice"),
    Case(
        gateways=1_000,
        coordinates=500_000,
        vanished=200,
        repeats=2,
        colluding=100,
        dropouts=200,
        scheme="lattice",
        committee=640,
        brief=True,
    ),
)
QUICK = (
    Case(gateways=5, coordinates=30_000, vanished=1, repeats=1, scheme="lattice"),
    Case(gateways=65, coordinates=3_000, vanished=2, repeats=1, scheme="lattice", brief=True),
)
COMPARED, COMPARED_QUICK = 1_000_000, 10_000
"""Coordinates of the comparison with masks."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write DIR/lattice.json."""
    options = parser_of("lattice", str(__doc__)).parse_args(arguments)
    compared = crossover(COMPARED_QUICK if options.quick else COMPARED)
    print(compared.text(), flush=True)
    records = measure_all(QUICK if options.quick else CASES)
    write(options.output, "lattice", cases=records, crossover=compared.record())


if __name__ == "__main__":
    main()
