"""Keeps the bounds of a gateway: whether a value encodes is decided by them, whatever P shows.

An orchestrator that could choose a bound from round to round would bisect one gateway's metric,
weight or largest coordinate by who uploads (docs/protocol.md#bounds). So each quantity has one
bound for each purpose: the policy's, or else that of the first round, which the journal keeps.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from math import inf, prod
from typing import Final, Literal

from secagg.arguments import check_fields
from secagg.errors import ConfigurationError, PolicyViolation
from secagg.fixed_point import cap_units, clip_of
from secagg.fixed_point.layout import CLIP_SLACK
from secagg.params import RoundParams, Struct
from secagg.pytree import deciding

SLACK: Final = 1e-9
"""Relative difference of two clips that count as one: P holds limit and scale, and their quotient
is rounded (3.3e-16 over 64 values of n)."""

Quantities = dict[str, float | str]
"""Bound by quantity: "max_weight", "clipping", "integers", "metric NAME", "clip KEY", "tie KEY"."""
Pin = Callable[[Mapping[str, bytes]], Mapping[str, bytes]]
"""Keeps values by name, and gives back what was kept first."""


class Bounds(Struct, frozen=True):
    """A gateway's bounds for one purpose. What is left out takes that of the first round.

    Attributes:
        clip: bound of abs(coordinate) of an update, for all keys or by name or fnmatch pattern of
            keys: a key's own name decides, else the first pattern that matches.
        max_weight: weight cap.
        metrics: bound of abs(value) by name.
        integers: bound of abs(value) of integer leaves; None takes whatever is announced, since
            integers beyond it are clamped and their number is hidden in a sum.
        clipping: "error" or "saturate".

    Raises:
        ConfigurationError: a bound that is no positive number.
    """

    clip: float | dict[str, float] | None = None
    max_weight: float | None = None
    metrics: dict[str, float] = {}  # noqa: RUF012 - msgspec copies it for each object
    integers: int | None = None
    clipping: Literal["error", "saturate"] | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        clips = self.clip if isinstance(self.clip, dict) else {"": self.clip}
        named = {(f"clip of {name!r}" if name else "clip"): bound for name, bound in clips.items()}
        named |= {"max_weight": self.max_weight, "integers": self.integers}
        named |= {f"metric bound of {name!r}": bound for name, bound in self.metrics.items()}
        for name, bound in named.items():
            if bound is not None and not 0 < bound < inf:
                raise ConfigurationError(f"{name} is {bound}: use a positive number")
        if (self.integers or 0) >= 2**63:
            raise ConfigurationError("integers are bounded by 63 bits")
        for name in (*clips, *self.metrics):
            if any(0xD800 <= ord(each) < 0xE000 for each in name):
                raise ConfigurationError(f"{name!a} has a lone surrogate, no character: no key has")

    def fixed(self, announced: Quantities) -> Quantities:
        """Of these quantities, those that have a bound here, and it."""
        mine = {name: self._of(*name.split(" ", 1)) for name in announced}
        return {name: bound for name, bound in mine.items() if bound is not None}

    def _of(self, kind: str, name: str = "") -> float | str | None:
        match kind:
            case "clip":
                table = self.clip if isinstance(self.clip, dict) else {"*": self.clip}
                entry = deciding(name, table)
                return None if entry is None else table[entry]
            case "metric":
                return self.metrics.get(name)
            case "tie":
                return None
            case _:
                bound: float | str | None = getattr(self, kind)
                return bound


def check_bounds(announced: Quantities, mine: Quantities) -> None:
    """Hold what P announces against own bounds.

    Raises:
        PolicyViolation: names a quantity whose bound is another.
    """
    for name, bound in mine.items():
        value = announced[name]
        if value != bound and not (name.startswith("clip ") and _close(value, bound)):
            raise PolicyViolation(f"the bound of {name!r}", value, bound)


def keep_bounds(announced: Quantities, bounds: Bounds, pin: Pin) -> dict[str, float]:
    """Keep what P announces where nothing is kept yet, and hold it against the rest.

    Args:
        announced: `quantities` of P.
        bounds: the policy's.
        pin: keeps values durably, each the first time.

    Returns:
        The clip of every real leaf by its key: this party's own, not P's quotient.

    Raises:
        PolicyViolation: as for `check_bounds`.
    """
    mine = bounds.fixed(announced)
    # integers beyond their bound are clamped: whatever it is, nothing is seen of one gateway
    rest = {n: _bytes(v) for n, v in announced.items() if n not in mine and n != "integers"}
    kept = {name: _value(announced[name], stored) for name, stored in pin(rest).items()}
    check_bounds(announced, kept)
    return _clips(announced | kept | mine)


def quantities(params: RoundParams) -> Quantities:
    """What P says about everything that decides whether a value encodes."""
    found: Quantities = {"max_weight": params.max_weight, "clipping": params.clipping}
    found |= {f"metric {metric.name}": metric.bound for metric in params.metrics}
    for _, vector in params.of_kind("integers"):
        found["integers"] = vector.limit // cap_units(params.max_weight, integers=True)
    first: dict[tuple[int, int], str] = {}
    for leaf in sorted(params.leaves, key=lambda leaf: leaf.key):
        if not prod(leaf.shape):
            continue
        # leaves in one place are tied: they go by the first of their keys, in whatever order
        found[f"tie {leaf.key}"] = first.setdefault((leaf.vector, leaf.start), leaf.key)
        vector = params.vectors[leaf.vector]
        if vector.kind == "update":
            found[f"clip {leaf.key}"] = clip_of(vector, params.max_weight) / (1 + CLIP_SLACK)
    return found


def announced_clips(params: RoundParams) -> dict[str, float]:
    """The clip of every real leaf by its key, as P has it."""
    return _clips(quantities(params))


def _clips(bounds: Quantities) -> dict[str, float]:
    return {
        name.removeprefix("clip "): float(bound)
        for name, bound in bounds.items()
        if name.startswith("clip ")
    }


def _close(one: float | str, other: float | str) -> bool:
    return abs(float(one) - float(other)) <= SLACK * float(other)


def _bytes(value: float | str) -> bytes:
    return value.encode() if isinstance(value, str) else struct.pack(">d", value)


def _value(like: float | str, stored: bytes) -> float | str:
    return stored.decode() if isinstance(like, str) else float(struct.unpack(">d", stored)[0])
