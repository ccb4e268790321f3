"""Writes the measurements of one case: as a table for the terminal, as a record for a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.footprint import Record
from benchmarks.rounds import Case
from benchmarks.timing import Row, table

FLOAT32_BYTES = 4
LIMIT_GATEWAY, LIMIT_SERVER, LIMIT_UPLOAD = 20.0, 3.2, 0.70
"""Encoding and masks to one plaintext add (n = 10); server to the plaintext round (n = 10, one
thread); upload to float32."""
FEW_GATEWAYS, LARGE_MODEL = 10, 10_000_000
"""What the first two limits were set for."""
SPARSE_GATEWAYS, SPARSE_DEGREE, LIMIT_SPARSE = 100, 20, 4.0
"""Server to the plaintext round on a sparse graph."""
LIMIT_SEED, LIMIT_CACHED, LIMIT_UNMASKING, LARGE_ENOUGH = 10.0, 7.0, 8.0, 1_000_000
"""Lattice, ns a coordinate of a model of at least so many: a gateway's encryption, the server's."""
MANY_GATEWAYS, LIMIT_MANY = 1_000, 1.5
"""Lattice: vectors at the server to the plaintext round, the key's recovery apart."""
LIMIT_SHARES, SMALL_BYTES = 65_536, 4
"""Lattice with Q = 2^32: bytes of an upload beyond so many a coordinate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Everything about one case.

    Attributes:
        case: sizes.
        layout: how updates are carried.
        server_masks: masks the server takes off; 0 with the lattice.
        error: largest |difference| to the plaintext mean.
        error_bound: what the library promises for it.
        one: best seconds with one thread, by name.
        two: with two.
        operations: of the set-up: by party, by kind.
        bytes_up: of one gateway, all messages.
        bytes_down: to one gateway, all messages.
        memory: MiB.
    """

    case: Case
    layout: str
    server_masks: int
    error: float
    error_bound: float
    one: Mapping[str, float]
    two: Mapping[str, float]
    operations: Mapping[str, Mapping[str, int]]
    bytes_up: int
    bytes_down: int
    memory: Mapping[str, Record]


def record(measured: Measured) -> dict[str, Any]:
    """The measurements for a JSON file."""
    rows = {
        title: {"reference": reference, "rows": [row.record() for row in rows]}
        for title, reference, rows in _tables(measured)
    }
    return {
        "case": asdict(measured.case),
        "layout": measured.layout,
        "server_masks": measured.server_masks,
        "error": {"of_the_mean": measured.error, "bound": measured.error_bound},
        "times": rows,
        "set_up_operations": measured.operations,
        "wire": _wire(measured),
        "memory": measured.memory,
        "targets": [
            {"name": name, "measured": value, "limit": limit, "met": value <= limit}
            for name, value, limit in _targets(measured)
        ],
    }


def text(measured: Measured) -> str:
    """The measurements for a terminal."""
    wire = _wire(measured)
    title = (
        f"{measured.case}; error of the mean {measured.error:.1e} (bound"
        f" {measured.error_bound:.1e})"
    )
    if measured.server_masks:
        title += f"; the server takes off {measured.server_masks} masks"
    sizes = (
        f"wire, each gateway: up {wire['bytes_up']:,} bytes ({wire['up_to_float32']:.4f} x"
        f" float32), down {wire['bytes_down']:,} bytes besides the model"
    )
    lines = [f"\n== {title} ==", measured.layout]
    lines += ["\n" + table(*each) for each in _tables(measured)]
    lines.append("")
    for who, counts in measured.operations.items():
        lines.append(f"set-up, {who}: " + ", ".join(f"{n} {what}" for what, n in counts.items()))
    lines.append(sizes)
    lines += [_memory_line(who, peak) for who, peak in measured.memory.items()]
    for name, value, limit in _targets(measured):
        verdict = "met" if value <= limit else "MISSED"
        lines.append(f"target: {name}: {value:.2f}, at most {limit:g}: {verdict}")
    return "\n".join(lines)


def _tables(measured: Measured) -> list[tuple[str, str, list[Row]]]:
    d, one, two = measured.case.coordinates, measured.one, measured.two

    def rows(names: Mapping[str, float], reference: float) -> list[Row]:
        return [Row(name, seconds, d, reference) for name, seconds in names.items()]

    tables = [
        ("gateway, 1 thread, CPU", "plain add", rows(_gateway(one), one["plain add"])),
        ("server, 1 thread, CPU", "plain round", rows(_server(one), one["plain round"])),
        ("set-up, last exchanges, 1 thread", "plain round", rows(_keys(one), one["plain round"])),
    ]
    if two:
        add, whole = two["plain add"], two["plain round"]
        tables += [
            ("gateway, 2 threads, wall", "plain add", rows(_brief_gateway(two), add)),
            ("server, 2 threads, wall", "plain round", rows(_brief_server(two), whole)),
        ]
    return tables


def _gateway(one: Mapping[str, float]) -> dict[str, float]:
    with_base = {
        "range check, minus a base": "gateway range check with base",
        "encode, minus a base": "gateway encode with base",
        "ClientSession.upload, minus a base": "gateway upload with base",
        "SHA-256 of a base, once per model": "gateway model hash",
    }
    hiding = {
        name: one[f"gateway {name}"]
        for name in ("masks", "encryption", "encryption, transforms cached")
        if f"gateway {name}" in one
    }
    first = next(iter(hiding))
    return {
        "plaintext: add its own vector": one["plain add"],
        "range check": one["gateway range check"],
        "encode": one["gateway encode"],
        **hiding,
        f"encode + {first}": one["gateway encode"] + hiding[first],
        "frames": one["gateway frames"],
        "GMAC": one["gateway GMAC"],
        "ClientSession.upload": one["gateway upload"],
    } | {title: one[name] for title, name in with_base.items() if name in one}


def _server(one: Mapping[str, float]) -> dict[str, float]:
    return {
        "plaintext: sum of the survivors, scale": one["plain round"],
        "plaintext, into fresh memory": one["plain fresh"],
        "GMAC of all uploads": one["server GMAC"],
        "staging": one["server staging"],
        "sum": one["server sum"],
        **{part: one[f"server {part}"] for part in ("masks", "product") if f"server {part}" in one},
        "range check": one["server range check"],
        "decode, into fresh memory": one["server decode"],
        "vectors: sum to decode": _vectors(one, "sum", *AFTER_THE_SUM),
        "vectors: GMAC to decode": _vectors(one),
        **({"key recovery": one["server key recovery"]} if "server key recovery" in one else {}),
        "signatures after the set-up": one["server signatures"],
        **_brief_server(one),
        "first frame to mean, without GMAC": one["server total"] - one["server GMAC"],
    } | (
        {"first frame to mean, plus a base": one["server total with base"]}
        if "server total with base" in one
        else {}
    )


AFTER_THE_SUM = ("masks", "product", "range check", "decode")


def _vectors(one: Mapping[str, float], *parts: str) -> float:
    """All that grows with the model, or so much of it."""
    parts = parts or ("GMAC", "staging", "sum", *AFTER_THE_SUM)
    return sum(one.get(f"server {part}", 0.0) for part in parts)


def _brief_gateway(best: Mapping[str, float]) -> dict[str, float]:
    return {
        "plaintext: add its own vector, 1 thread": best["plain add"],
        "ClientSession.upload": best["gateway upload"],
    }


def _brief_server(best: Mapping[str, float]) -> dict[str, float]:
    return {
        "ServerSession: frames (receiving, sum)": best["server receiving"],
        "ServerSession: certificate, unmasking, range check": best["server unmasking"],
        "Aggregate.mean": best["server mean"],
        "first frame to mean": best["server total"],
    }


def _keys(one: Mapping[str, float]) -> dict[str, float]:
    return {
        "gateway: keys and shares": one["gateway set-up"],
        "gateway: consistency, unmasking": one["gateway last exchanges"],
        "server: keys and shares of all": one["server set-up"],
    }


def _wire(measured: Measured) -> dict[str, float]:
    plain = FLOAT32_BYTES * measured.case.coordinates
    return {
        "bytes_up": measured.bytes_up,
        "bytes_down": measured.bytes_down,
        "up_to_float32": measured.bytes_up / plain,
        "down_to_float32": measured.bytes_down / plain,
    }


def _targets(measured: Measured) -> list[tuple[str, float, float]]:
    own = _lattice_targets if measured.case.scheme == "lattice" else _masks_targets
    targets = own(measured)
    for who, peak in measured.memory.items():
        traced, resident, limit = peak["traced_mib"], peak["resident_mib"], peak["limit_mib"]
        targets.append((f"MiB of {who}", max(traced or 0.0, resident or 0.0), limit or 0.0))
    return targets


def _lattice_targets(measured: Measured) -> list[tuple[str, float, float]]:
    one, case = measured.one, measured.case
    d = case.coordinates
    beyond = measured.bytes_up - SMALL_BYTES * d
    targets: list[tuple[str, float, float]] = [
        ("bytes of an upload beyond 4 a coordinate", beyond, LIMIT_SHARES)
    ]
    if d >= LARGE_ENOUGH:
        limits = {
            "gateway encryption": LIMIT_SEED,
            "gateway encryption, transforms cached": LIMIT_CACHED,
            "server product": LIMIT_UNMASKING,
        }
        targets += [
            (f"{name}, ns/coord", 1e9 * one[name] / d, limit) for name, limit in limits.items()
        ]
    if case.gateways == MANY_GATEWAYS:
        vectors = _vectors(one, "sum", *AFTER_THE_SUM) / one["plain round"]
        targets.append(("server, sum to decode / plaintext round", vectors, LIMIT_MANY))
    return targets


def _masks_targets(measured: Measured) -> list[tuple[str, float, float]]:
    one, case = measured.one, measured.case
    targets = []
    if case.gateways == FEW_GATEWAYS and case.coordinates == LARGE_MODEL:
        gateway = (one["gateway encode"] + one["gateway masks"]) / one["plain add"]
        server = one["server total"] / one["plain round"]
        targets = [
            ("gateway, encode + masks / plaintext add", gateway, LIMIT_GATEWAY),
            ("server, first frame to mean / plaintext round", server, LIMIT_SERVER),
        ]
    if (case.gateways, case.thresholds.degree) == (SPARSE_GATEWAYS, SPARSE_DEGREE):
        targets = [
            ("server, vectors / plaintext round", _vectors(one) / one["plain round"], LIMIT_SPARSE),
            (
                "server, first frame to mean / plaintext round",
                one["server total"] / one["plain round"],
                LIMIT_SPARSE,
            ),
        ]
    upload = _wire(measured)["up_to_float32"]
    return [*targets, ("upload / float32, all messages", upload, LIMIT_UPLOAD)]


def _memory_line(who: str, peak: Record) -> str:
    resident = peak["resident_mib"]
    shown = "unknown" if resident is None else f"{resident:.1f} MiB"
    return f"memory, {who}: {peak['traced_mib']:.1f} MiB traced, {shown} resident"
