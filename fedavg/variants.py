"""Plans runs that differ in one setting, and sums them up side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from fedavg.experiment import Report
from fedavg.prepared import IN_SECRET, Prepared, prepare
from fedavg.settings import AXES, Settings
from secagg.errors import ConfigurationError

_OWN: Final = Settings()


@dataclass(frozen=True, slots=True)
class Variant:
    """One run among others.

    Attributes:
        name: the value of the setting that varies.
        settings: all of them.
        scheme: what protected the rounds.
        reason: why "auto" chose that; "" where it was given.
        warnings: of means that are too coarse.
        accuracy: on the holdout set after each round.
        final_accuracy: after the last.
        best_accuracy: after the best.
        rounds_to_target: until the accuracy first reached the target; None if it never did.
        seconds: of the whole run.
        bytes_up: largest number of bytes that one gateway sent in a round.
        bytes_down: largest number that one received.
    """

    name: str
    settings: Settings
    scheme: str
    reason: str
    warnings: tuple[str, ...]
    accuracy: tuple[float, ...]
    final_accuracy: float
    best_accuracy: float
    rounds_to_target: int | None
    seconds: float
    bytes_up: int
    bytes_down: int

    @classmethod
    def of(cls, name: str, report: Report, target: float) -> Self:
        """What to compare of a run."""
        accuracy = tuple(each.accuracy for each in report.rounds)
        reached = (each.number for each in report.rounds if each.accuracy >= target)
        return cls(
            name=name,
            settings=report.settings,
            scheme=report.scheme,
            reason="" if report.plan is None else report.plan.reason,
            warnings=report.warnings,
            accuracy=accuracy,
            final_accuracy=accuracy[-1],
            best_accuracy=max(accuracy),
            rounds_to_target=next(reached, None),
            seconds=sum(report.seconds.values()),
            bytes_up=max(each.bytes_up for each in report.rounds),
            bytes_down=max(each.bytes_down for each in report.rounds),
        )


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Several runs.

    Attributes:
        setting: the one that varies.
        target: the accuracy that `Variant.rounds_to_target` asks for.
        variants: in the order they were named.
        versions: of what the numbers depend on.
    """

    setting: str
    target: float
    variants: tuple[Variant, ...]
    versions: dict[str, str]


def planned(
    settings: Settings, axes: Mapping[str, str | None], target: float
) -> tuple[str, dict[str, Prepared]]:
    """Which runs are asked for, each of them prepared.

    Args:
        settings: what they share.
        axes: for each of `AXES`, comma-separated values, or None.
        target: from above 0 to 1.

    Returns:
        The setting that varies; the runs by its values.

    Raises:
        ConfigurationError: not exactly one axis with two or more values, or a run that cannot be.
    """
    if not 0 < target <= 1:
        raise ConfigurationError(f"target {target}: use a share above 0, at most 1, such as 0.9")
    given = [(AXES[axis], values) for axis, values in axes.items() if values is not None]
    if len(given) != 1:
        options = ", ".join(f"--{axis}" for axis in AXES)
        raise ConfigurationError(f"{len(given)} things to vary: use exactly one of {options}")
    [(setting, values)] = given
    names = [name.strip() for name in values.split(",")]
    if len(names) < 2 or len(set(names)) < len(names):
        raise ConfigurationError(
            f"{setting} {values!r}: name two or more different ones, as in a,b"
        )
    if (one := getattr(settings, setting)) != getattr(_OWN, setting):
        raise ConfigurationError(f"{setting} {one}: it is what varies, so leave it out")
    return setting, {name: prepare(_with(settings, setting, name)) for name in names}


def _with(settings: Settings, setting: str, name: str) -> Settings:
    changes: dict[str, Any] = {setting: name}
    if name == "plain":  # what is set for the other runs
        changes |= {unused: getattr(_OWN, unused) for unused in IN_SECRET}
    return replace(settings, **changes)
