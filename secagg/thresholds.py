"""From n gateways to C, D, t, q, n_min and k: how many may lie, how many may vanish.

A bound here closes an attack or keeps a recovery possible; tests/rules enumerates both sides.
Every party computes these numbers itself and refuses a session that announces others.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from secagg.errors import ConfigurationError, LocalProtocolError, ThresholdMismatch
from secagg.params import Thresholds

MIN_GATEWAYS: Final = 3
"""With two, the sum minus one's own input is the other's."""
MAX_COMPLETE: Final = 64
"""Largest cohort in which everybody is everybody's neighbour."""


def quorum(gateways: int, max_colluding: int) -> int:
    """q, the smallest number of signatures that only one included set can gather.

    Two sets with q signatures each share 2q - n signers, more than C: one of them is honest, and
    an honest gateway signs once.

    Args:
        gateways: n.
        max_colluding: C.
    """
    return (gateways + max_colluding) // 2 + 1


def derive(
    gateways: int,
    *,
    max_colluding: int | None = None,
    max_dropouts: int | None = None,
    share_threshold: int | None = None,
    min_included: int | None = None,
) -> Thresholds:
    """The thresholds of a cohort whose sharing graph is complete.

    Args:
        gateways: n, 3 to 64.
        max_colluding: C, at least 1; (n - 1) // 3 or 1 if not given.
        max_dropouts: D; n - q, the most that C leaves, if not given.
        share_threshold: t, C < t <= n - D; n - D - C, never below C + 1, if not given: it survives
            D vanishing gateways and C bad shares of each dealer.
        min_included: n_min, max(C + 2, q) to n - D; the lowest if not given.

    Raises:
        ConfigurationError: no such thresholds; the message names the nearest that work.

    Source: DESIGN section 4, Thresholds.
    """
    given = {
        "gateways": gateways,
        "max_colluding": max_colluding,
        "max_dropouts": max_dropouts,
        "share_threshold": share_threshold,
        "min_included": min_included,
    }
    for name, value in given.items():
        if value is not None and not isinstance(value, int):
            raise ConfigurationError(f"{name} is {value!r}: it takes a whole number")
    if gateways < MIN_GATEWAYS:
        raise ConfigurationError(f"{gateways} gateways: it takes {MIN_GATEWAYS} or more")
    if gateways > MAX_COMPLETE:
        raise ConfigurationError(
            f"{gateways} gateways: not yet, this version takes up to MAX_COMPLETE = {MAX_COMPLETE}"
        )
    n = gateways
    c = max(1, (n - 1) // 3) if max_colluding is None else max_colluding
    d = max(0, n - quorum(n, c)) if max_dropouts is None else max_dropouts
    if not _feasible(n, c, d):
        raise ConfigurationError(_infeasible(n, c, d))
    t = max(c + 1, n - d - c) if share_threshold is None else share_threshold
    floor = _least_included(n, c)
    least = floor if min_included is None else min_included
    _check_range("share_threshold", t, c + 1, n - d)
    _check_range("min_included", least, floor, n - d)
    return Thresholds(
        gateways=n,
        max_colluding=c,
        max_dropouts=d,
        share_threshold=t,
        quorum=quorum(n, c),
        min_included=least,
        degree=n - 1,
    )


def verify(thresholds: Thresholds) -> None:
    """Compute announced thresholds anew and refuse what differs.

    Args:
        thresholds: as the orchestrator announced them. C, D, t and n_min are free within their
            ranges (a `Policy` sets floors); q and k follow.

    Raises:
        ThresholdMismatch: a number is out of its range or is not what follows from the others.
    """
    try:
        expected = derive(
            thresholds.gateways,
            max_colluding=thresholds.max_colluding,
            max_dropouts=thresholds.max_dropouts,
            share_threshold=thresholds.share_threshold,
            min_included=thresholds.min_included,
        )
    except ConfigurationError as error:
        raise ThresholdMismatch(f"announced thresholds cannot work: {error}") from error
    for name in Thresholds.__struct_fields__:
        announced, computed = getattr(thresholds, name), getattr(expected, name)
        if announced != computed:
            raise ThresholdMismatch(f"announced {name} is {announced}, computed is {computed}")


@lru_cache(maxsize=4 * MAX_COMPLETE)
def neighbours(thresholds: Thresholds, position: int) -> frozenset[int]:
    """The positions with which a gateway shares keys and secrets.

    Args:
        thresholds: n and k are used. k = n - 1 is the complete graph; an even k below is the
            circulant that links a position to the k / 2 on either side.
        position: of the gateway, 0 to n - 1.

    Raises:
        LocalProtocolError: no such position.
    """
    n = thresholds.gateways
    if not 0 <= position < n:
        raise LocalProtocolError(f"position is {position}: it takes 0 to {n - 1}")
    # Half of k, rounded up: with an even n the complete graph's opposite position counts once.
    reach = (thresholds.degree + 1) // 2
    steps = (*range(-reach, 0), *range(1, reach + 1))
    return frozenset((position + step) % n for step in steps)


def _least_included(n: int, c: int) -> int:
    # q leaves two honest gateways in every sum, but for C = n - 1, which C + 2 rules out.
    return max(c + 2, quorum(n, c))


def _feasible(n: int, c: int, d: int) -> bool:
    """Whether some t and n_min exist: C < t <= n - D follows from C + 2 <= n - D."""
    return c >= 1 and d >= 0 and _least_included(n, c) <= n - d


def _infeasible(n: int, c: int, d: int) -> str:
    most_c, most_d = n - 2, n - quorum(n, 1)
    kept_c, kept_d = min(max(c, 1), most_c), min(max(d, 0), most_d)
    # Keep C and lower D; keep D and lower C; keep both and ask for more gateways.
    settings = {(n, kept_c, min(kept_d, n - quorum(n, kept_c))): None}
    settings[n, min(kept_c, n - 2 * kept_d - 1), kept_d] = None
    settings |= {(m, c, d): None for m in range(n + 1, MAX_COMPLETE + 1) if _feasible(m, c, d)}
    named = "; ".join(f"n={m} C={a} D={b}" for m, a, b in [*settings][:3])
    return (
        f"{n} gateways, {c} colluding (C), {d} vanishing (D) cannot work: it takes "
        f"C >= 1, D >= 0 and max(C + 2, (n + C) // 2 + 1) <= n - D. Nearest that do: {named}"
    )


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ConfigurationError(f"{name} is {value}: it takes {low} to {high}")
