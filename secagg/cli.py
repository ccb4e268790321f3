"""The command `secagg`: says what a round would need, and verifies the record of one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import typer

from secagg.average import SecureAverage
from secagg.console import Json, application
from secagg.errors import ConfigurationError, WireError, printable
from secagg.params import MAX_LENGTH, GatewayId, Thresholds
from secagg.protocol.audit import AuditRecord, Inspection, inspect_record
from secagg.protocol.audit_file import MAX_FILE_BYTES, load_record, load_roster
from secagg.protocol.identity import Cohort, Roster
from secagg.schemes import choices

ROSTER_FILE = "roster.json"
ROUND_FILES = "round-*.json"
NOT_PROVED = (
    "not proved: that the published mean is the sum of these uploads, that updates are honest, and "
    "the reasons for which gateways were dropped (the server's word)"
)
MISSING = "missing, and why by the server's word:"

app = application("secagg", "Secure aggregation for federated learning.")


@app.command()
def plan(
    gateways: Annotated[
        int, typer.Option(help="gateways in the cohort, 3 to 2048 (2047 with a committee)")
    ],
    coordinates: Annotated[
        int, typer.Option(min=1, max=MAX_LENGTH, help="coordinates of the model")
    ],
    clip: Annotated[float, typer.Option(help="bound of |coordinate| of an update")] = 1.0,
    max_weight: Annotated[float, typer.Option(help="largest weight")] = 1.0,
    precision: Annotated[float, typer.Option(help="rms error relative to clip")] = 2.0**-12,
    max_colluding: Annotated[int | None, typer.Option(help="C; default by n")] = None,
    max_dropouts: Annotated[int | None, typer.Option(help="D; default by n")] = None,
    scheme: Annotated[str, typer.Option(help=f"{choices()} or auto (says why)")] = "masks",
    *,
    as_json: Json = False,
) -> None:
    """Print thresholds, layout, bytes and errors of a round; nothing is sent."""
    average = SecureAverage(
        scheme=scheme,
        clip=clip,
        max_weight=max_weight,
        precision=precision,
        max_colluding=max_colluding,
        max_dropouts=max_dropouts,
    )
    # a broadcast array has the shape, not the memory
    template = {"update": np.broadcast_to(np.float32(0), (coordinates,))}
    planned = average.plan(template, gateways)
    typer.echo(_document(planned.by_name()) if as_json else str(planned))


@app.command()
def audit(
    file: Annotated[
        list[Path],
        typer.Argument(help="records of rounds, or directories with round-*.json", metavar="FILE"),
    ],
    roster: Annotated[
        Path | None,
        typer.Option(help="the pinned roster", show_default="roster.json beside the first record"),
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Verify records of rounds offline, with the roster alone.

    Prints what verifies and what does not. Exit code: 0 if all verify, 1 if a record does not, 2 if
    a file cannot be read. docs/audit.md says what a record proves and what it does not.
    """
    paths = _records(file)
    place = roster or paths[0].parent / ROSTER_FILE
    pinned = _pinned(place)
    before, told = 0, list[dict[str, object]]()
    for path in paths:
        record = _loaded(path)
        if not (before or as_json):  # all that can end in one line with exit code 2 has been read
            _tell_roster(place, pinned, found=roster is None)
        number = record.announce.params.round
        inspection = inspect_record(record, pinned)
        faults = list(inspection.faults)
        if number <= before:
            faults.append(f"round {number} does not come after round {before}")
        before = number
        told.append(_by_name(path, record, inspection, faults))
        if not as_json:
            _tell(path, record, inspection, faults, brief=len(paths) > 1)
    if as_json:
        fingerprint = pinned.hash().hex()
        told_of = {"file": str(place), "epoch": pinned.epoch, "fingerprint": fingerprint}
        typer.echo(_document({"roster": told_of, "records": told, "not_proved": NOT_PROVED}))
    else:
        _say(NOT_PROVED)
    if not all(each["verifies"] for each in told):
        raise typer.Exit(1)


def _document(content: object) -> str:
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode()


def _by_name(
    path: Path, record: AuditRecord, inspection: Inspection, faults: Sequence[str]
) -> dict[str, object]:
    """What a record shows, for a program; a position stands where a bad record has no id for it."""
    ids = {} if inspection.cohort is None else dict(enumerate(inspection.cohort.ids))
    return {
        "file": str(path),
        "round": record.announce.params.round,
        "verifies": not faults,
        "faults": faults,
        "gateways": list(ids.values()),
        "included": [ids.get(place, place) for place in sorted(inspection.included)],
        "dropped": [
            {
                "gateway": ids.get(each.position, each.position),
                "phase": each.phase,
                "reason": str(each.reason),
            }
            for each in record.dropped
        ],
    }


def _records(given: Sequence[Path]) -> list[Path]:
    paths: list[Path] = []
    for place in given:
        if not place.exists():
            raise ConfigurationError(f"{place}: No such file or directory")
        inside = place.glob(ROUND_FILES) if place.is_dir() else [place]
        # round-9999 comes before round-10000
        found = sorted(inside, key=lambda each: (len(each.name), each.name))
        if not found:
            raise ConfigurationError(f"{place}: no {ROUND_FILES} in this directory")
        paths += found
    return paths


def _pinned(path: Path) -> Roster:
    """The roster of a file, or a line on the terminal and exit code 2."""
    try:
        return load_roster(_read(path))
    except (OSError, WireError) as error:
        reason = f"roster {path}: {_reason(error)}; name it with --roster"
        raise ConfigurationError(reason) from None


def _loaded(path: Path) -> AuditRecord:
    try:
        return load_record(_read(path))
    except (OSError, WireError) as error:
        raise ConfigurationError(f"{path}: {_reason(error)}") from None


def _read(path: Path) -> bytes:
    """One byte more than is allowed tells that a file is too long; the rest stays where it is."""
    with path.open("rb") as file:
        return file.read(MAX_FILE_BYTES + 1)


def _reason(error: OSError | WireError) -> str:
    return str(getattr(error, "strerror", None) or error)


def _say(line: str) -> None:
    typer.echo(printable(line))


def _tell_roster(place: Path, pinned: Roster, *, found: bool) -> None:
    _say(f"roster {place}: epoch {pinned.epoch}, {len(pinned.members)} gateways")
    fingerprint = f"fingerprint {pinned.hash().hex()}"
    if found:
        fingerprint += ": it was beside the record, so compare it with the pinned one"
    _say(fingerprint)


def _tell(
    path: Path,
    record: AuditRecord,
    inspection: Inspection,
    faults: Sequence[str],
    *,
    brief: bool,
) -> None:
    session = record.announce.params
    limits = session.thresholds
    size = f"{len(inspection.included)} of {limits.gateways} gateways in the sum"
    verdict = "DOES NOT VERIFY" if faults else f"verifies; {size}"
    _say(f"{path}: round {session.round} {verdict}")
    for fault in faults:
        _say(f"  - {fault}")
    if brief or faults or inspection.cohort is None:
        return
    for line in _story(record, inspection, inspection.cohort):
        _say(f"  {line}")


def _story(record: AuditRecord, inspection: Inspection, cohort: Cohort) -> list[str]:
    """What a good record shows, in words."""
    limits = record.announce.params.thresholds
    reasons = {each.position: f"{each.phase}: {each.reason}" for each in record.dropped}
    signers = len(record.certificate.signatures)
    lines = [
        "parameters signed by the orchestrator of the roster; thresholds computed anew:",
        (
            f"  n {limits.gateways}, C {limits.max_colluding}, D {limits.max_dropouts},"
            f" {_held(limits)}, q {limits.quorum}, n_min {limits.min_included}"
        ),
    ]
    everybody = frozenset(range(len(cohort)))
    steps = [
        ("sent keys", everybody, inspection.present),
        ("dealt shares", inspection.present, inspection.dealers),
        ("are in the sum", inspection.dealers, inspection.included),
    ]
    if limits.committee:  # shares are dealt with the upload: U2 is U1, and says nothing more
        del steps[1]
    for what, before, after in steps:
        lost = [_named(cohort.ids[i], reasons.get(i)) for i in sorted(before - after)]
        lines.append(f"{len(after)} {what}" + (f"; {MISSING} {', '.join(lost)}" if lost else ""))
    lines.append("every one of them signed a header under this transcript")
    lines.append(f"certificate: {signers} of them signed this very set, {limits.quorum} are needed")
    return lines


def _held(limits: Thresholds) -> str:
    """How keys are shared, in symbols."""
    if not limits.committee:
        return f"k {limits.degree}, t {limits.share_threshold}"
    return f"m {limits.committee}, R {limits.share_threshold}, ell {limits.packed}"


def _named(name: GatewayId, reason: str | None) -> str:
    return f"{name} ({reason})" if reason else str(name)


if __name__ == "__main__":
    app(prog_name="secagg")
