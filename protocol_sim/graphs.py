"""Random sharing graphs of the literature: the smallest degree and threshold for given odds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

SIGMA: Final = 40
ETA: Final = 30
"""Bell et al. 2020: security fails with probability 2^-sigma, a sum is lost with 2^-eta."""


@dataclass(frozen=True, slots=True)
class Graph:
    """A sharing graph.

    Attributes:
        gateways: n.
        colluding: C.
        dropouts: D.
        degree: k; n - 1 is the complete graph.
        threshold: t.
    """

    gateways: int
    colluding: int
    dropouts: int
    degree: int
    threshold: int

    @property
    def cut(self) -> bool:
        """Whether D dropouts of the server's choice, with C on its side, single a gateway out."""
        return self.degree < self.gateways - 1 and self.degree <= self.colluding + self.dropouts


def random_graph(
    gateways: int,
    colluding: int,
    dropouts: int,
    *,
    sigma: float = SIGMA,
    eta: float = ETA,
    lying: bool = False,
) -> Graph | None:
    """The smallest k and t of a randomly labelled Harary graph, by union bounds over its nodes.

    Who colludes and who vanishes is fixed before the graph is drawn. Then the numbers of such
    neighbours are hypergeometric, and with an even k it holds but for 2^-sigma that nobody has t
    colluding neighbours and that the graph of the others is connected, and but for 2^-eta that
    everybody keeps t neighbours.

    Args:
        gateways: n.
        colluding: C, gamma n.
        dropouts: D, delta n.
        sigma: of security, shared by the two events.
        eta: of correctness.
        lying: t also tops half of the neighbours and the colluding ones, so that a server that
            tells neighbours different things cannot open both secrets of a gateway.

    Returns:
        None where no k below n - 1 does: the complete graph then.

    Source: Bell et al., Secure Single-Server Aggregation with (Poly)Logarithmic Overhead (2020),
    sections 3 and 4.
    """
    per_node = -(sigma + 1) * math.log(2) - math.log(gateways)
    lost = -eta * math.log(2) - math.log(gateways)
    for k in range(2, gateways - 1, 2):
        if _log_disconnected(gateways, k, colluding + dropouts) > -(sigma + 1) * math.log(2):
            continue
        above = _quantile(gateways - 1, colluding, k, per_node)
        t = (k + above) // 2 + 1 if lying else above + 1
        gone = _quantile(gateways - 1, dropouts, k, lost)
        if t <= k - gone:
            return Graph(gateways, colluding, dropouts, k, max(t, 2))
    return None


def _log_disconnected(n: int, k: int, bad: int) -> float:
    """Log of a bound: two separate stretches of k / 2 nodes in a row are bad.

    Bad nodes lie anywhere; n (n - k - 1) / 2 pairs of stretches.
    """
    if k > bad:
        return -math.inf
    pairs = math.log(n) + math.log(n - k - 1) - math.log(2)
    return pairs + _log_choose(n - k, bad - k) - _log_choose(n, bad)


def _quantile(population: int, marked: int, drawn: int, log_bound: float) -> int:
    """The smallest x with P[X > x] <= exp(log_bound), X hypergeometric."""
    whole, tail = _log_choose(population, drawn), -math.inf
    for x in range(min(marked, drawn), max(0, drawn - (population - marked)) - 1, -1):
        ways = _log_choose(marked, x) + _log_choose(population - marked, drawn - x)
        term = ways - whole
        larger = max(tail, term)
        tail = larger + math.log(math.exp(tail - larger) + math.exp(term - larger))
        if tail > log_bound:
            return x
    return -1


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
