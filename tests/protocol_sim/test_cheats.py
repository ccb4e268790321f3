"""Hostile gateways against real servers and real gateways: each cheat ends as its row says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from protocol_sim import play as play_module
from protocol_sim.cheats import (
    CHEATS,
    Cheat,
    Expect,
    judge_run,
    markdown,
    play,
    play_cast,
    random_cheat,
    surprise,
)
from protocol_sim.cheats.cheat import LARGE, SMALL
from protocol_sim.memory import Exchange, points
from protocol_sim.parties import Parties
from protocol_sim.randomness import dice
from secagg.canonical import decode
from secagg.crypto.macs import AnswerMac
from secagg.crypto.sealing import FrameMac
from secagg.protocol.prekeys import Prekey
from secagg.protocol.sharing import Verdict
from secagg.schemes import scheme_of
from secagg.schemes.additive import recovery, shares
from secagg.schemes.additive import server as additive_server
from secagg.schemes.additive.ckks.residues import PrimeResidues
from secagg.schemes.additive.recovery import Complaints
from secagg.schemes.additive.rings import RoundRing
from secagg.schemes.masks import server as masks_server
from secagg.schemes.masks import unmask

OWN = ("upload: first frame", "upload: garbage", "upload: no residues", "upload: huge")
"""What depends on the ring: in ckks, the rest is the code that lattice runs."""


def cells(
    wanted: Callable[[Cheat, str], bool], *, gateways: int = SMALL
) -> list[tuple[Cheat, str]]:
    return [
        (cheat, scheme)
        for cheat in CHEATS.values()
        for scheme in cheat.schemes
        if cheat.gateways == gateways and wanted(cheat, scheme)
    ]


def of_its_own(cheat: Cheat, scheme: str) -> bool:
    return scheme != "ckks" or any(part in cheat.name for part in OWN)


def each(chosen: list[tuple[Cheat, str]]) -> Any:
    return pytest.mark.parametrize(
        ("cheat", "scheme"), chosen, ids=[f"{scheme}-{cheat.name}" for cheat, scheme in chosen]
    )


def cheaters(cheat: Cheat) -> tuple[str, ...]:
    """One; and one more if it takes an accomplice."""
    return ("g1", "g2") if cheat.accomplice else ("g1",)


def assert_as_expected(cheat: Cheat, scheme: str, names: tuple[str, ...]) -> None:
    outcome = play(cheat, scheme, names)

    assert "" == outcome.violation
    assert "" == surprise(outcome, cheat)


# -- the table -------------------------------------------------------------------------------------


@each(cells(of_its_own))
def test_one_cheater_comes_to_what_its_row_says(cheat, scheme):
    assert_as_expected(cheat, scheme, cheaters(cheat))


UNPROVEN = {"MALFORMED", "UNEXPECTED", "BAD_SIGNATURE", "FOREIGN", "BAD_FRAME"}


def unproven(cheat: Cheat, scheme: str) -> bool:
    return of_its_own(cheat, scheme) and cheat.expect.dropped in UNPROVEN and not cheat.accomplice


@each(cells(unproven))
def test_where_nobody_vouches_a_cheater_is_dropped_for_what_is_its_own(cheat, scheme):
    """What is signed and wrong, at once; the rest may be another's: it is late then, or in."""
    outcome = play(cheat, scheme, ("g1",), vouched=False)
    phase, reason = outcome.named.get("g1", ("", ""))

    assert "" == outcome.violation
    assert () == outcome.wronged
    assert reason in {cheat.expect.dropped, "SILENT", "VANISHED", ""}
    assert "sum" == outcome.verdict.outcome
    assert phase in {cheat.step, cheat.expect.phase, ""}


@pytest.mark.deep
@each(cells(lambda cheat, scheme: not of_its_own(cheat, scheme)))
def test_and_so_in_the_other_ring(cheat, scheme):
    assert_as_expected(cheat, scheme, cheaters(cheat))


def needs_both(cheat: Cheat, scheme: str) -> bool:
    """Where C cheaters come to something else, or honest gateways vanish besides."""
    return scheme != "ckks" and bool(cheat.together or cheat.missing) and not cheat.accomplice


@each(cells(needs_both))
def test_as_many_cheaters_as_may_collude(cheat, scheme):
    assert_as_expected(cheat, scheme, ("g1", "g2"))


@pytest.mark.deep
@each(cells(lambda cheat, scheme: not needs_both(cheat, scheme) and not cheat.accomplice))
def test_as_many_cheaters_as_may_collude_everywhere(cheat, scheme):
    assert_as_expected(cheat, scheme, ("g1", "g2"))


@pytest.mark.deep
@each(cells(lambda _cheat, _scheme: True, gateways=LARGE))
@pytest.mark.parametrize("several", [1, 6])
def test_the_step_that_only_large_cohorts_have(cheat, scheme, several):
    assert_as_expected(cheat, scheme, tuple(f"g{place}" for place in range(1, 1 + several)))


# -- whoever cheats, and whatever they do together -------------------------------------------------


@pytest.mark.deep
@each(cells(lambda cheat, scheme: scheme != "ckks" and not cheat.accomplice))
def test_at_every_place_of_the_cohort(cheat, scheme):
    """At other places a lie may come too late to be named; it is never believed."""
    everybody = [f"g{place}" for place in range(SMALL)]
    pairs = dice(cheat.name, scheme).sample([*combinations(everybody, 2)], 6)
    for names in [*combinations(everybody, 1), *pairs]:
        assert "" == play(cheat, scheme, names).violation


def mixed(seed: int, scheme: str) -> Any:
    """Cheaters of different kinds at random places, and honest gateways that vanish."""
    rng = dice("mixed", seed, scheme)
    gateways = rng.choice([4, 5, 6, 7, 7, 8])
    limits = scheme_of(scheme).thresholds(gateways)
    known = [each for each in CHEATS.values() if scheme in each.schemes and each.gateways == SMALL]
    names = rng.sample(range(gateways), rng.randint(1, limits.max_colluding))
    cast = {
        f"g{place}": rng.choice([rng.choice(known), random_cheat((seed, place), scheme)])
        for place in names
    }
    where = list(points(scheme_of(scheme), limits, 4))
    missing = [rng.choice(where) for _ in range(rng.randint(0, limits.max_dropouts))]
    return play_cast(
        cast,
        scheme,
        gateways=gateways,
        missing=missing if rng.random() < 0.6 else (),
        keeps=rng.random() < 0.3,
    )


FEW = {"masks": 30, "lattice": 10, "ckks": 3}
MANY = {"masks": 2000, "lattice": 1000, "ckks": 300}


@pytest.mark.parametrize("scheme", FEW)
def test_random_companies_of_cheaters(scheme):
    for seed in range(FEW[scheme]):
        assert "" == mixed(seed, scheme).violation, f"mixed({seed}, {scheme!r})"


@pytest.mark.deep
@pytest.mark.parametrize("scheme", MANY)
def test_many_random_companies_of_cheaters(scheme):
    for seed in range(FEW[scheme], MANY[scheme]):
        assert "" == mixed(seed, scheme).violation, f"mixed({seed}, {scheme!r})"


@pytest.mark.deep
@pytest.mark.parametrize("scheme", ["masks", "lattice"])
@pytest.mark.parametrize("seed", range(30))
def test_random_cheats_above_64_gateways(scheme, seed):
    """On a circulant, false complaints may cost an honest dealer its place: no more than that."""
    rng = dice("large", seed, scheme)
    cheat = rng.choice([each for each in CHEATS.values() if scheme in each.schemes])
    names = rng.sample(range(LARGE), scheme_of(scheme).thresholds(LARGE).max_colluding)
    cast = {f"g{place}": cheat for place in names}

    assert "" == play_cast(cast, scheme, gateways=LARGE).violation


def test_the_same_seed_is_the_same_session():
    cheat = CHEATS["unmasking: garbage shares"]

    assert play(cheat, "masks", seed=4) == play(cheat, "masks", seed=4)
    assert mixed(7, "masks") == mixed(7, "masks")


# -- the catalogue ---------------------------------------------------------------------------------


def test_there_are_cheats_at_every_step_of_every_scheme():
    for scheme in ("masks", "lattice", "ckks"):
        steps = {step.name for step in scheme_of(scheme).steps}
        if scheme == "ckks":
            steps.remove("consistency")  # the same code as in lattice, above 64 gateways
        assert steps <= {each.step for each in CHEATS.values() if scheme in each.schemes}
    assert all(cheat.name.startswith(cheat.step) for cheat in CHEATS.values())
    assert {cheat.accomplice for cheat in CHEATS.values()} <= {"", *CHEATS}


def test_the_table_has_a_row_for_every_cheat():
    table = markdown().splitlines()

    assert 2 + len(CHEATS) == len(table)
    assert all(5 == row.count("|") for row in table)
    assert "| masked_input: garbage | masks | `AggregateOutOfRange` |  |" in table


# -- checks disabled: a row of each must fail ------------------------------------------------------


def nothing(*_args: Any, **_named: Any) -> None:
    """No check."""


def unjudged(*_args: Any, **_named: Any) -> Verdict:
    return Verdict(frozenset(), frozenset(), ())


def unweighed(complaints: Any, _colluding: int) -> Complaints:
    return Complaints(frozenset(), frozenset(), (), frozenset(complaints))


def believed(recovered: Any, dealers: Any, released: Any, _label: Any, _drop: Any) -> Any:
    """The first t shares, whatever they are."""
    threshold = recovered.params.thresholds.share_threshold
    found: dict[int, dict[int, bytes]] = {dealer: {} for dealer in sorted(dealers)}
    for holder, dealer, share in released:
        if dealer in found and len(found[dealer]) < threshold:
            found[dealer][holder] = share
    return found


def unchecked(self: Any, position: int, dealt: Any, _signed: Any) -> bool:
    """Shares are taken as they come."""
    self._dealt[position] = dealt
    return True


def unopened(signed: Any, **_named: Any) -> Prekey:
    return decode(Prekey, signed.body)


def uncorrected(members: Any, sums: Any, packing: Any, length: int) -> Any:
    """The last R answers, whatever they are worth."""
    last = slice(len(members) - packing.threshold, None)
    return HONEST(members[last], sums[last], packing, length)


HONEST = recovery.reconstruct
PLACES = {
    "play": play_module,
    "masks": masks_server,
    "server": masks_server.MasksServer,
    "unmask": unmask,
    "additive": additive_server,
    "committee": additive_server.AdditiveServer,
    "recovery": recovery,
    "shares": shares,
    "mac": FrameMac,
    "answers": AnswerMac,
    "ring": RoundRing,
    "residues": PrimeResidues,
}
CONTROLS = [
    ("play", "VERIFY", nothing, "advertise_keys: no signature", "masks"),
    ("answers", "verify", nothing, "share_keys: no signature", "masks"),
    ("answers", "verify", nothing, "unmasking: other label", "masks"),
    ("play", "VERIFY", nothing, "answer: other label", "lattice"),
    ("masks", "check_public_keys", nothing, "advertise_keys: low order", "masks"),
    ("server", "_check_shares", nothing, "share_keys: other keys", "masks"),
    ("server", "_take_shares", unchecked, "share_keys: oversize share", "masks"),
    ("masks", "judge", unjudged, "share_keys: garbage for all", "masks"),
    ("masks", "judge", unjudged, "masked_input: all complaints", "masks"),
    ("mac", "verify", nothing, "masked_input: first frame forged words", "masks"),
    ("mac", "verify", nothing, "upload: last frame forged tag", "lattice"),
    ("masks", "check_answer", nothing, "unmasking: other seed", "masks"),
    ("unmask", "_good_shares", believed, "unmasking: garbage shares", "masks"),
    ("unmask", "_without_lies", lambda _r, e, *_: e, "unmasking: garbage edges", "masks"),
    (
        "unmask",
        "check_opened",
        lambda *_, **__: 2**16,
        "masked_input: garbage but for the check words",
        "masks",
    ),
    ("committee", "_check_set_up", nothing, "set_up: other session", "lattice"),
    ("additive", "open_prekey", unopened, "set_up: low order", "lattice"),
    ("additive", "weigh", unweighed, "answer: more complaints", "lattice"),
    ("additive", "check_opened", lambda *_, **__: 2**16, "upload: huge weight", "lattice"),
    ("shares", "check_row", lambda *_: True, "upload: garbage for two", "lattice"),
    ("recovery", "reconstruct", uncorrected, "answer: agreed sum", "lattice"),
    ("ring", "check_secret", lambda *_: True, "upload: large key", "lattice"),
    ("residues", "check", nothing, "upload: no residues", "ckks"),
]


@pytest.mark.parametrize(
    ("place", "name", "instead", "cheat", "scheme"),
    CONTROLS,
    ids=[f"{place} {name} {cheat}" for place, name, _, cheat, _ in CONTROLS],
)
def test_without_a_check_its_row_fails(place, name, instead, cheat, scheme, monkeypatch):
    monkeypatch.setattr(PLACES[place], name, instead)
    names = ("g1", "g2") if cheat == "answer: agreed sum" else ("g1",)

    assert "" != surprise(play(CHEATS[cheat], scheme, names), CHEATS[cheat])


def test_the_oracle_tells_cheaters_from_others():
    """Whoever is dropped, accused or left out and is no cheater is a violation."""
    dropped = CHEATS["share_keys: garbage for all"]
    disputed = CHEATS["masked_input: one complaint"]
    blamed = CHEATS["share_keys: other seed, then silence"]
    garbage = CHEATS["masked_input: garbage"]

    assert "honest g1 was dropped in masked_input: BAD_DEALER" == untold(dropped)
    assert "a dispute between honest g1 and g6" == untold(disputed)
    assert untold(garbage).startswith("a sum was due, and it ended in AggregateOutOfRange")
    assert "honest g1 was dropped in unmasking: SILENT" == untold(blamed, {"g5": dropped})
    assert untold(garbage, {"g5": dropped}).startswith("nobody is named")


def untold(cheat: Cheat, cast: dict[str, Cheat] | None = None) -> str:
    """What the oracle says of a session when it is not told that g1 cheats."""
    exchange = Exchange(Parties(SMALL), 2)
    hook = cheat.make(exchange, "g1")
    exchange.passes = lambda frame: hook(frame) if frame.gateway == "g1" else (frame.data,)
    return judge_run(exchange.play(), cast or {}).violation


@pytest.mark.parametrize(
    "other",
    [
        Expect(),
        Expect(dropped="BAD_SEED"),
        Expect(dropped="BAD_SHARE", phase="consistency"),
        Expect(dropped="BAD_SHARE", blamed=True),
        Expect(dropped="BAD_SHARE", disputed=True),
        Expect(dropped="BAD_SHARE", wronged=("g0",)),
        Expect(dropped="BAD_SHARE", outcome="InconsistentAnswers"),
    ],
)
def test_another_expectation_is_noticed(other):
    cheat = CHEATS["unmasking: garbage shares"]
    outcome = play(cheat, "masks")

    assert "" == surprise(outcome, cheat)
    assert "" != surprise(outcome, replace(cheat, expect=other))
