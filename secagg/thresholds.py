"""Computes how many may lie or vanish: from n to C, D, q, n_min, and t and k or m, R and ell.

A bound here closes an attack or keeps a recovery possible; tests/rules enumerates both sides.
Every party computes these numbers itself and refuses a session that announces others.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from secagg.arguments import checked
from secagg.errors import ConfigurationError, LocalProtocolError, ThresholdMismatch
from secagg.params import MAX_COMPLETE, Thresholds

MIN_GATEWAYS: Final = 3
"""With two, the sum minus one's own input is the other's."""
MAX_GATEWAYS: Final = 2048
"""Shamir sharing is exact up to t = 2048, and every message fits into one frame."""
MAX_KEYS: Final = 2047
"""Keys of coefficients up to 16 whose sum stays below half of 65521, the field of their shares."""
KEY_COEFFICIENTS: Final = 2048
"""N, coefficients of an additive scheme's key, each in one value of a share."""
PROOF_COLUMNS: Final = 8
"""Random columns of a dealing proof: a wrong share passes it with probability 2^-128."""
SEAL_BYTES: Final = 16
"""AES-GCM's tag."""
USUAL_SHARE_BYTES: Final = 2**16
"""What the shares of one gateway take at most, where D is not given."""


def quorum(gateways: int, max_colluding: int) -> int:
    """q, the smallest number of signatures that only one included set can gather.

    Two sets with q signatures each share 2q - n signers, more than C: one of them is honest, and
    an honest gateway signs once.

    Args:
        gateways: n.
        max_colluding: C.
    """
    return (gateways + max_colluding) // 2 + 1


@checked()
def derive(
    gateways: int,
    *,
    max_colluding: int | None = None,
    max_dropouts: int | None = None,
    share_threshold: int | None = None,
    min_included: int | None = None,
    degree: int | None = None,
) -> Thresholds:
    """The thresholds of a cohort, and the degree of its sharing graph.

    Up to `MAX_COMPLETE` gateways the graph is complete, k = n - 1. Above it is the circulant of
    Harary, in which it takes k positions to cut a part off: C corrupt and D vanished ones are
    fewer, so the honest gateways that are left hang together and only their whole sum opens.

    Args:
        gateways: n, 3 to 2048.
        max_colluding: C, at least 1. If not given: (n - 1) // 3 or 1, and n // 10 above 64.
        max_dropouts: D. If not given: n - q, the most that C leaves, and n // 10 above 64.
        share_threshold: t, C < t <= k - D + 1; k - D - C + 1, never below C + 1, if not given: it
            survives D vanishing gateways and C bad shares of each dealer.
        min_included: n_min, max(C + 2, q) to n - D; the lowest if not given.
        degree: k, even and at least C + D + 1 above 64 gateways; the lowest if not given.

    Raises:
        ConfigurationError: no such thresholds; the message names the nearest that work.

    Source: docs/protocol.md#sharing-graph; Harary, The maximum connectivity of a graph (1962).
    """
    _check_gateways(gateways)
    n = gateways
    c = usual_colluding(n) if max_colluding is None else max_colluding
    d = _usual_dropouts(n, c) if max_dropouts is None else max_dropouts
    _check_feasible(n, c, d)
    k = _least_degree(n, c, d) if degree is None else degree
    _check_degree(n, c, d, k)
    t = max(c + 1, k - d - c + 1) if share_threshold is None else share_threshold
    floor = _least_included(n, c)
    least = floor if min_included is None else min_included
    # A dealer whose secret is needed is itself one of the D, so D - 1 of its k neighbours are gone.
    _check_range("share_threshold", t, c + 1, k - d + 1)
    _check_range("min_included", least, floor, n - d)
    return Thresholds(
        gateways=n,
        max_colluding=c,
        max_dropouts=d,
        share_threshold=t,
        quorum=quorum(n, c),
        min_included=least,
        degree=k,
    )


@checked()
def derive_committee(
    gateways: int,
    *,
    max_colluding: int | None = None,
    max_dropouts: int | None = None,
    committee: int | None = None,
    min_included: int | None = None,
) -> Thresholds:
    """The thresholds of an additive scheme, whose keys are shared among a committee.

    All C colluding gateways and all D that vanish may be members. floor((m + C) / 2) shares say
    nothing: with the floor floor((n + C) / 2) + 1 on sets, and not without it, one sum opens. R = m
    - D shares open a secret. The difference is ell, the values in a share: the fewer may vanish,
    the smaller the shares. Above 64 gateways the members are the first m positions and nothing is
    sampled: an orchestrator would grind the cohort until it liked the sample.

    Args:
        gateways: n, 3 to 2047.
        max_colluding: C, as in `derive`.
        max_dropouts: D. If not given, up to 64 gateways: the most with which the shares of one
            gateway fit into `USUAL_SHARE_BYTES`; above: n // 10.
        committee: m. All up to 64 gateways; above, if not given, the m with the smallest shares.
        min_included: n_min, as in `derive`.

    Raises:
        ConfigurationError: no such thresholds; the message names the nearest that work.

    Source: docs/protocol.md#committee; Franklin and Yung, Communication complexity of secure
    computation (1992), for packed shares.
    """
    _check_gateways(gateways)
    if gateways > MAX_KEYS:
        raise ConfigurationError(f"{gateways} gateways: additive schemes take {MAX_KEYS} at most")
    n = gateways
    c = usual_colluding(n) if max_colluding is None else max_colluding
    d = _usual_absent(n, c) if max_dropouts is None else max_dropouts
    _check_feasible(n, c, d)
    m = _usual_committee(n, c, d) if committee is None else committee
    _check_committee(n, c, d, m)
    floor = _least_included(n, c)
    least = floor if min_included is None else min_included
    _check_range("min_included", least, floor, n - d)
    return Thresholds(
        gateways=n,
        max_colluding=c,
        max_dropouts=d,
        share_threshold=m - d,
        quorum=quorum(n, c),
        min_included=least,
        degree=0,
        committee=m,
        packed=_packed(m, c, d),
    )


def share_bytes(
    committee: int, threshold: int, packed: int, coefficients: int = KEY_COEFFICIENTS
) -> int:
    """What one gateway sends to deal its key, in bytes: a sealed share each, and the proof.

    Args:
        committee: m.
        threshold: R.
        packed: ell.
        coefficients: N.
    """
    columns = -(-coefficients // packed)
    return committee * (2 * (columns + PROOF_COLUMNS) + SEAL_BYTES) + 2 * PROOF_COLUMNS * threshold


@checked()
def verify_thresholds(thresholds: Thresholds) -> None:
    """Compute announced thresholds anew and refuse what differs.

    Args:
        thresholds: as the orchestrator announced them. C, D, n_min are free within their ranges (a
            `Policy` sets floors), and so are t and, above 64 gateways, k in masks, m in additive
            schemes; the rest follows.

    Raises:
        ThresholdMismatch: a number is out of its range or is not what follows from the others.
    """
    try:
        expected = _expected(thresholds)
    except ConfigurationError as error:
        raise ThresholdMismatch(f"announced thresholds cannot work: {error}") from error
    for name in Thresholds.__struct_fields__:
        announced, computed = getattr(thresholds, name), getattr(expected, name)
        if announced != computed:
            raise ThresholdMismatch(f"announced {name} is {announced}, computed is {computed}")


def _expected(announced: Thresholds) -> Thresholds:
    if announced.committee:
        return derive_committee(
            announced.gateways,
            max_colluding=announced.max_colluding,
            max_dropouts=announced.max_dropouts,
            committee=announced.committee,
            min_included=announced.min_included,
        )
    return derive(
        announced.gateways,
        max_colluding=announced.max_colluding,
        max_dropouts=announced.max_dropouts,
        share_threshold=announced.share_threshold,
        min_included=announced.min_included,
        degree=announced.degree,
    )


@lru_cache(maxsize=MAX_GATEWAYS)
def neighbours(thresholds: Thresholds, position: int) -> frozenset[int]:
    """The positions with which a gateway shares keys and secrets.

    Args:
        thresholds: n and k are used. k = n - 1 is the complete graph; an even k below is the
            circulant that links a position to the k / 2 on either side, whoever is absent.
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


def usual_colluding(members: int) -> int:
    """C where nothing else is said, of a roster or a cohort of this size."""
    return max(1, (members - 1) // 3) if members <= MAX_COMPLETE else members // 10


def _usual_dropouts(n: int, c: int) -> int:
    most = max(0, n - quorum(n, c))
    return most if n <= MAX_COMPLETE else min(most, n // 10)


def _packed(m: int, c: int, d: int) -> int:
    """ell, the values in a share: R less the shares that say nothing."""
    return m - d - (m + c) // 2


def _least_committee(c: int, d: int) -> int:
    """The smallest m with ell >= 1: (m - C) / 2, rounded up, is above D."""
    return c + 2 * d + 1


def _usual_absent(n: int, c: int) -> int:
    """D of an additive scheme: the most that C leaves and whose shares are not too large."""
    if n > MAX_COMPLETE:
        return _usual_dropouts(n, c)
    for d in range(_usual_dropouts(n, c), 0, -1):
        if share_bytes(n, n - d, _packed(n, c, d)) <= USUAL_SHARE_BYTES:
            return d
    return 0


def _usual_committee(n: int, c: int, d: int) -> int:
    if n <= MAX_COMPLETE:
        return n
    sizes = range(_least_committee(c, d), n + 1)
    return min(sizes, key=lambda m: share_bytes(m, m - d, _packed(m, c, d)), default=n)


def _check_committee(n: int, c: int, d: int, m: int) -> None:
    if n <= MAX_COMPLETE and m != n:
        raise ConfigurationError(
            f"committee is {m}: up to {MAX_COMPLETE} gateways everybody is a member, use {n} or"
            " leave it out"
        )
    _check_range("committee", m, _least_committee(c, d), n)


def _least_degree(n: int, c: int, d: int) -> int:
    """The complete graph's, or the least even number of neighbours that C + D cannot be."""
    return n - 1 if n <= MAX_COMPLETE else min(n - 1, 2 * (-(-(c + d + 1) // 2)))


def _check_degree(n: int, c: int, d: int, k: int) -> None:
    if n <= MAX_COMPLETE:
        if k != n - 1:
            raise ConfigurationError(
                f"{k} neighbours: up to {MAX_COMPLETE} gateways everybody is everybody's neighbour,"
                f" use {n - 1} or leave it out"
            )
        return
    least = _least_degree(n, c, d)
    if not least <= k <= n - 1 or (k % 2 and k != n - 1):
        raise ConfigurationError(
            f"{k} neighbours: it takes an even number from {least}, the least above C + D ="
            f" {c + d}, or {n - 1} for the complete graph"
        )


def _least_included(n: int, c: int) -> int:
    # q leaves two honest gateways in every sum, but for C = n - 1, which C + 2 rules out.
    return max(c + 2, quorum(n, c))


def _feasible(n: int, c: int, d: int) -> bool:
    """Whether some t and n_min exist: C < t <= n - D follows from C + 2 <= n - D."""
    return c >= 1 and d >= 0 and _least_included(n, c) <= n - d


def _check_feasible(n: int, c: int, d: int) -> None:
    if _feasible(n, c, d):
        return
    most_c, most_d = n - 2, n - quorum(n, 1)
    kept_c, kept_d = min(max(c, 1), most_c), min(max(d, 0), most_d)
    # Keep C and lower D; keep D and lower C; keep both and ask for more gateways.
    settings = {(n, kept_c, min(kept_d, n - quorum(n, kept_c))): None}
    settings[n, min(kept_c, n - 2 * kept_d - 1), kept_d] = None
    settings |= {(m, c, d): None for m in range(n + 1, MAX_GATEWAYS + 1) if _feasible(m, c, d)}
    named = "; ".join(f"n={m} C={a} D={b}" for m, a, b in [*settings][:3])
    raise ConfigurationError(
        f"{n} gateways, {c} colluding (C), {d} vanishing (D) cannot work: it takes "
        f"C >= 1, D >= 0 and max(C + 2, (n + C) // 2 + 1) <= n - D. Nearest that do: {named}"
    )


def _check_gateways(gateways: int) -> None:
    if not MIN_GATEWAYS <= gateways <= MAX_GATEWAYS:
        raise ConfigurationError(
            f"{gateways} gateways: it takes {MIN_GATEWAYS} or more, and at most {MAX_GATEWAYS}"
        )


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ConfigurationError(f"{name} is {value}: it takes {low} to {high}")
