"""Mask against homomorphic overhead: `python -m benchmarks.overhead [--output DIR] [--quick]`.

All schemes take turns in one process, on the same vectors; best of several; CPU time of one thread.
DIR gets overhead.json, overhead.md and overhead.html, a page that needs nothing else. A target that
is missed is reported, nothing fails.

`--readme` measures nothing: it writes the README's table and docs/overhead.svg from
docs/overhead.json. `--readme DIR/overhead.json` stores another run's figures there first.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarks.measuring import machine, parser_of
from benchmarks.overhead_cases import CUSTOMARY, FULL, LEAN, NVFLARE, PLAIN, QUICK, Setting
from benchmarks.overhead_page import page_of
from benchmarks.overhead_peers import NvflareEncryptor, Plaintext, SharedKey
from benchmarks.overhead_readme import picture, update_readme
from benchmarks.overhead_result import Cell, Overhead, dump, load
from benchmarks.overhead_schemes import Contender, InSession
from benchmarks.overhead_tables import markdown, text
from benchmarks.timing import Samples
from secagg.errors import install_hint
from secagg.session.update import Model

ROOT = Path(__file__).parents[1]
STORED, README, PICTURE = (
    ROOT / "docs/overhead.json",
    ROOT / "README.md",
    ROOT / "docs/overhead.svg",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = parser_of("overhead", str(__doc__))
    parser.add_argument(
        "--readme",
        type=Path,
        nargs="?",
        const=STORED,
        metavar="FILE",
        help="write the README's part from stored figures; measure nothing",
    )
    options = parser.parse_args(arguments)
    if options.readme is not None:
        stored = load(options.readme)
        if stored.quick:
            parser.error(f"{options.readme} is of a quick run, whose figures mean nothing")
        update_readme(README, stored)
        STORED.write_bytes(dump(stored))
        PICTURE.write_bytes(picture(stored))
        return
    run = measure(QUICK if options.quick else FULL, quick=options.quick)
    print(text(run), flush=True)
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "overhead.json").write_bytes(dump(run))
        (options.output / "overhead.md").write_text(markdown(run))
        (options.output / "overhead.html").write_bytes(page_of(run))


def measure(settings: Sequence[Setting], *, quick: bool) -> Overhead:
    """All settings, one after the other; within one, schemes take turns.

    Cyclic garbage is collected between measurements only: as in `benchmarks.measuring`.
    """
    start, missing, cells = time.monotonic(), unavailable(), list[Cell]()
    gc.disable()
    try:
        for setting in settings:
            print(setting, flush=True)
            cells += _measured(setting, missing)
            gc.collect()
        model_hash = model_hash_of(max(cell.coordinates for cell in cells))
    finally:
        gc.enable()
    return Overhead(
        machine={name: str(value) for name, value in machine().items()},
        quick=quick,
        cells=cells,
        missing=dict(missing),
        minutes=(time.monotonic() - start) / 60,
        model_hash=model_hash,
    )


def model_hash_of(coordinates: int) -> float:
    """CPU ns a coordinate of the hash of a model of so many float32, the best of five."""
    tree = {"w": np.ones(coordinates, np.float32)}
    samples = Samples()
    for _ in range(5):
        samples.time("hash", lambda: Model(tree).hash, time.process_time)
    return samples.best()["hash"] / coordinates * 1e9


def _measured(setting: Setting, missing: Mapping[str, str]) -> list[Cell]:
    contenders = [_contender(setting, each) for each in setting.schemes if each not in missing]
    for _ in range(setting.repeats):
        for contender in contenders:
            gc.collect()
            contender.once()
    return [contender.cell() for contender in contenders]


def _contender(setting: Setting, scheme: str) -> Contender:
    if scheme == PLAIN:
        return Plaintext(setting)
    if scheme in {LEAN, CUSTOMARY}:
        return SharedKey(setting, scheme)
    if scheme == NVFLARE:
        return NvflareEncryptor(setting)
    return InSession(setting, scheme)


def unavailable() -> dict[str, str]:
    """Schemes that cannot be measured here, and why."""
    missing: dict[str, str] = {}
    if find_spec("tenseal") is None:
        reason = f"it needs the extra seal: {install_hint('seal')}"
        missing |= dict.fromkeys((LEAN, CUSTOMARY), reason)
    if find_spec("nvflare") is None or find_spec("tenseal") is None:
        missing[NVFLARE] = "the package nvflare is not installed"
    return missing


if __name__ == "__main__":
    main()
