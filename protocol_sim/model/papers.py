"""Computes the tables of the literature anew, and ours beside them: bytes, and sharing graphs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocol_sim.graphs import ETA, SIGMA, Graph, random_graph
from protocol_sim.model.expansion import WIDE, Bonawitz, Expansion, bonawitz, formula, measured
from protocol_sim.model.traffic import limits_of
from secagg.pages.tables import Section, Table
from secagg.params import Thresholds
from secagg.schemes.additive import Lattice
from secagg.schemes.masks import Masks
from secagg.thresholds import MAX_GATEWAYS, MAX_KEYS

SIZES: Final = ((2**10, 2**20), (2**14, 2**24))
"""(clients, entries) for which the paper prints an expansion."""
PRINTED: Final = (1.73, 1.98)
"""Bonawitz et al. 2017, abstract."""
REAL: Final = (12, 2**14)
"""(gateways, coordinates) of the real sessions that are measured."""
COHORTS: Final = (10, 20, 50, 64, 65, 100, 200, 500, 1000, 2000, 2047, 2048)
LARGER: Final = (10**4, 10**5, 10**6)


@dataclass(frozen=True, slots=True)
class Row:
    """One size in the table of graphs.

    Attributes:
        gateways: n.
        masks: thresholds of masks; above the largest cohort by formula.
        additive: thresholds of additive schemes, None above the largest cohort.
        honest: random graph for a server that follows the protocol.
        lying: for one that shows its clients different things, as far as the paper goes.
    """

    gateways: int
    masks: Thresholds
    additive: Thresholds | None
    honest: Graph | None
    lying: Graph | None


@dataclass(frozen=True, slots=True)
class Tables:
    """Everything `protocol_sim papers` prints.

    Attributes:
        printed: expansions as the paper prints them, for each of `paper`.
        paper: the same, computed.
        real: our schemes, measured in real sessions.
        formula: the same by formula, then at the paper's sizes.
        rows: graphs and thresholds.
    """

    printed: tuple[float, ...]
    paper: tuple[Bonawitz, ...]
    real: tuple[Expansion, ...]
    formula: tuple[Expansion, ...]
    rows: tuple[Row, ...]

    def sections(self) -> tuple[Section, ...]:
        """All tables, with their notes."""
        return _expansions(self), _ours(self), _graphs(self)


def tables() -> Tables:
    """Compute all, play the real sessions: a few seconds."""
    gateways, coordinates = REAL
    ours = [formula(variant, gateways, coordinates) for variant in WIDE]
    ours += [
        formula(variant, n, d)
        for n, d in SIZES
        for variant in WIDE
        if variant.family == "masks" or n <= MAX_KEYS
    ]
    return Tables(
        PRINTED,
        tuple(bonawitz(n, d) for n, d in SIZES),
        tuple(measured(variant, gateways, coordinates) for variant in WIDE),
        tuple(ours),
        tuple(row(n) for n in (*COHORTS, *LARGER)),
    )


def row(gateways: int) -> Row:
    """Ours and the literature's, for the same C and D: the default of masks.

    Args:
        gateways: n, 3 or more.
    """
    limits = limits_of(Masks(), gateways)
    c, d = limits.max_colluding, limits.max_dropouts
    return Row(
        gateways,
        limits,
        Lattice().thresholds(gateways) if gateways <= MAX_KEYS else None,
        random_graph(gateways, c, d),
        random_graph(gateways, c, d, lying=True),
    )


# -- as text ---------------------------------------------------------------------------------------


def _expansions(found: Tables) -> Section:
    heading = ("clients", "entries", "keys", "shares", "vector", "expansion", "printed")
    rows = [
        (
            f"{paper.clients:,}",
            f"{paper.entries:,}",
            f"{paper.keys:,}",
            f"{paper.shares:,}",
            f"{paper.vector:,.0f}",
            f"{paper.expansion:.3f}",
            f"{printed:.2f}",
            f"{paper.whole:.3f}",
        )
        for paper, printed in zip(found.paper, found.printed, strict=True)
    ]
    return Section(
        "Communication expansion, Bonawitz et al. 2017, inputs of 16 bits",
        "Bytes that one client sends and receives, over 2 bytes an entry. The paper counts "
        "public keys, shares and the masked vector, and our count of the same parts agrees "
        "with what it prints to the last digit. The last column adds what it leaves out: tags "
        "of sealed shares, and the signatures of its protocol against active adversaries.",
        Table("Expansion", (*heading, "with tags and signatures"), rows),
    )


def _ours(found: Tables) -> Section:
    heading = ("scheme", "n", "d", "bits of an input", "keys and shares", "upload", "expansion")
    rows = [
        (
            each.scheme,
            f"{each.gateways:,}",
            f"{each.coordinates:,}",
            each.bits,
            f"{each.keys:,.0f}",
            f"{each.upload:,}",
            f"{each.expansion:.3f}",
            "sessions" if each.measured else "formula",
        )
        for each in (*found.real, *found.formula)
    ]
    return Section(
        "Our schemes, inputs of at least 16 bits",
        "A first round, everybody present, the mean gateway: everything it sends and receives. "
        f"Real sessions are of {REAL[0]} gateways and {REAL[1]:,} coordinates; the formula "
        "counts the fields of every message and gives the same bytes there, and then those at "
        "the paper's sizes (2,048 gateways are the most that run; lattice and ckks end at "
        "2,047). The vector dominates: a masked entry takes 4 bytes because lanes are 32 bits "
        "wide, where the paper packs ceil(log2 R) bits (26 and 30); lattice and ckks take 5. "
        "With few coordinates, shares of keys dominate in lattice and ckks: 4 KB to each of a "
        "small committee. Three lanes of 21 bits, the default of masks, would carry 10 bits of "
        "1,024 inputs.",
        Table("Our schemes", (*heading, "from"), rows),
    )


def _graphs(found: Tables) -> Section:
    heading = ("n", "C", "D", "q", "masks k, t", "lattice m, R, ell", "random k, t", "lying k, t")
    rows = [
        (
            f"{each.gateways:,}{'*' if each.gateways > MAX_GATEWAYS else ''}",
            f"{each.masks.max_colluding:,}",
            f"{each.masks.max_dropouts:,}",
            f"{each.masks.quorum:,}",
            f"{each.masks.degree:,}, {each.masks.share_threshold:,}",
            _committee(each.additive),
            _pair(each.honest),
            _pair(each.lying),
            _cut(each),
        )
        for each in found.rows
    ]
    return Section(
        "Who shares with whom",
        "Ours: masks with k neighbours and t shares, additive schemes with m members, R shares "
        "and ell values in each. Random: a randomly labelled Harary graph (Bell et al. 2020), "
        f"smallest k and t with sigma = {SIGMA}, eta = {ETA}, for a server that follows the "
        "protocol / that shows its clients different things; - where only the complete graph "
        "does. All with the same C and D.",
        "The random graph is not deployed here. Its odds hold if who vanishes does not depend "
        "on the graph. The server of our promise lies: it sees the graph, or has drawn it, and "
        "says afterwards who has vanished. A gateway with k <= C + D neighbours is then "
        "singled out by calling those vanished that are not on its side (last column), and its "
        "mask comes off alone. A circulant with k >= C + D + 1 over all positions leaves nothing "
        "to odds, and costs more.",
        Table("Graphs", (*heading, "singled out"), rows),
        "* by formula: no session takes more than 2,048 gateways.",
    )


def _committee(limits: Thresholds | None) -> str:
    if limits is None:
        return "-"
    return f"{limits.committee:,}, {limits.share_threshold:,}, {limits.packed:,}"


def _pair(graph: Graph | None) -> str:
    return "-" if graph is None else f"{graph.degree:,}, {graph.threshold:,}"


def _cut(each: Row) -> str:
    known = [graph for graph in (each.honest, each.lying) if graph is not None]
    return "yes" if any(graph.cut for graph in known) else "no" if known else "-"
