"""The world itself: same seed, same run; what goes wrong goes wrong as it was asked to."""

from __future__ import annotations

import math

import pytest

from protocol_sim.network import Link, Way
from protocol_sim.parties import Parties
from protocol_sim.randomness import dice, entropy
from protocol_sim.scenario import Plan, PlannedAttack, Restart, Scenario
from protocol_sim.scenarios import draw
from protocol_sim.sweep import command, sweep
from protocol_sim.traces import DAY, TRACES
from protocol_sim.world import run
from secagg.errors import BelowThreshold, ConfigurationError
from secagg.protocol.server_machine import ServerMachine
from secagg.schemes import BY_NAME, scheme_of

NAMES = ("masks", "lattice", "ckks")


def kinds(done, kind, gateway=None):
    return [m for m in done.moments if m.kind == kind and gateway in {None, m.gateway}]


# -- determinism -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_same_seed_same_run(seed):
    first, again, other = run(draw(seed)), run(draw(seed)), run(draw(seed + 1))

    assert first == again
    assert first.transcript != other.transcript


def test_every_draw_depends_on_the_name_and_on_nothing_else():
    whole = entropy("a", 1)(100)
    cut = entropy("a", 1)

    assert whole == b"".join(cut(size) for size in (0, 1, 9, 90))
    assert whole != entropy("a", 2)(100)
    assert dice("a").random() == dice("a").random() != dice("b").random()


def test_a_scenario_survives_as_text():
    for seed in range(50):
        scenario = draw(seed)

        assert scenario == Scenario.loads(scenario.dumps())
    with pytest.raises(ConfigurationError, match="no scenario"):
        Scenario.loads("{")


def test_draws_are_of_every_kind():
    drawn = [draw(seed) for seed in range(300)]
    plans = [plan for scenario in drawn for plan in scenario.plans.values()]
    links = [link for scenario in drawn for link in scenario.links.values()]

    assert set(NAMES) == {scenario.scheme for scenario in drawn}
    assert {3, 4, 5, 6} == {scenario.gateways for scenario in drawn}
    assert {1, 2} == {scenario.rounds for scenario in drawn}
    assert any(plan.vanish is not None for plan in plans)
    assert any(plan.away for plan in plans)
    assert any(restart.stale for plan in plans for restart in plan.restarts)
    for fault in ("loss", "duplication", "reordering", "truncation", "flips", "partitions"):
        assert any(getattr(link, fault) for link in links)
    assert any(scenario.attack for scenario in drawn)
    assert any(plan.cheat for plan in plans)


@pytest.mark.parametrize(
    "wrong",
    [{"scheme": "paillier"}, {"gateways": 2}, {"rounds": 0}, {"deadline": 0.0}, {"coordinates": 0}],
)
def test_scenarios_that_make_no_sense(wrong):
    with pytest.raises(ConfigurationError):
        Scenario(**wrong)


# -- an undisturbed world --------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", NAMES)
def test_an_undisturbed_run(scheme):
    done = run(Scenario(scheme=scheme, gateways=4, rounds=2))
    steps = [step.name for step in scheme_of(scheme).steps]

    assert ["sum", "sum"] == [verdict.outcome for verdict in done.verdicts]
    assert all(len(verdict.included) == 4 for verdict in done.verdicts)
    assert done.violation == ""
    assert not kinds(done, "deadline")
    assert not kinds(done, "lost")
    assert len(kinds(done, "completed")) == 2
    assert len(kinds(done, "sent up")) == len(kinds(done, "arrived up"))
    closed = [moment.step for moment in kinds(done, "phase closed")]
    second = closed.index(steps[0] if scheme == "masks" else "upload", 2)
    for phases in (closed[:second], closed[second:]):
        assert [step for step in steps if step in phases] == phases
    assert [m.time for m in done.moments] == sorted(m.time for m in done.moments)


@pytest.mark.parametrize("scheme", ["lattice", "ckks"])
def test_keys_sent_ahead_save_an_exchange_in_the_second_round(scheme):
    done = run(Scenario(scheme=scheme, gateways=4, rounds=2))
    closed = [moment.step for moment in kinds(done, "phase closed")]

    assert ["set_up", "upload", "answer", "upload", "answer"] == closed


def test_time_is_what_links_and_gateways_take():
    slow = Plan(slow=1.0)
    fast = run(Scenario(gateways=3)).clock
    far = run(Scenario(gateways=3, links={"g0": Link(latency=0.5)})).clock
    thinking = run(Scenario(gateways=3, plans={"g0": slow})).clock
    thin = run(
        Scenario(gateways=3, coordinates=40, links={"g0": Link(bandwidth=100)}, deadline=1e4)
    )

    # five exchanges, there and back; answers take a hundredth of a second
    assert 5 * (2 * 0.05 + 0.01) == pytest.approx(fast, abs=0.1)
    assert 5 * (2 * 0.5 + 0.01) == pytest.approx(far, abs=0.1)
    assert 5 * (2 * 0.05 + 1) == pytest.approx(thinking, abs=0.1)
    sizes = sum(m.size for m in thin.moments if m.kind.startswith("sent") and m.gateway == "g0")
    assert sizes / 100 == pytest.approx(thin.clock, rel=0.2)


# -- what may happen to gateways -------------------------------------------------------------------


@pytest.mark.parametrize("scheme", NAMES)
def test_a_gateway_that_vanishes_costs_a_deadline(scheme):
    point = "upload" if scheme != "masks" else "masked_input"
    done = run(Scenario(scheme=scheme, gateways=5, plans={"g1": Plan(vanish=point)}))

    assert "sum" == done.verdicts[0].outcome
    assert ("g0", "g2", "g3", "g4") == done.verdicts[0].included
    assert {"g1": (point, "SILENT")} == done.verdicts[0].dropped
    assert [point] == [moment.step for moment in kinds(done, "deadline")]
    assert kinds(done, "vanished", "g1")
    assert done.clock > 10


@pytest.mark.parametrize("scheme", NAMES)
def test_a_gateway_that_is_away_finds_its_mail_later(scheme):
    away = Plan(away=((0.0, 3.0),))
    in_time = run(Scenario(scheme=scheme, gateways=5, plans={"g1": away}))
    too_late = run(Scenario(scheme=scheme, gateways=5, plans={"g1": away}, deadline=2.0))

    assert 5 == len(in_time.verdicts[0].included)
    assert in_time.clock > 3
    assert ("g0", "g2", "g3", "g4") == too_late.verdicts[0].included
    assert done_first(in_time) == "sum" == done_first(too_late)


def done_first(done):
    assert done.violation == ""
    return done.verdicts[0].outcome


@pytest.mark.parametrize("scheme", NAMES)
@pytest.mark.parametrize("time", [0.02, 0.08, 0.12, 0.2, 0.3, 0.4])
def test_a_gateway_that_restarts_is_back_or_absent(scheme, time):
    for stale in (False, True):
        plans = {"g1": Plan(restarts=(Restart(time=time, stale=stale),))}
        done = run(Scenario(scheme=scheme, gateways=5, plans=plans))

        assert done_first(done) == "sum"
        assert len(done.verdicts[0].included) >= 4
        assert kinds(done, "restarted", "g1") or done.clock < time


@pytest.mark.parametrize("scheme", NAMES)
def test_a_partition_costs_its_gateway_only(scheme):
    cut = {"g1": Link(partitions=((0.0, 0.2),))}
    done = run(Scenario(scheme=scheme, gateways=5, links=cut, deadline=2.0))

    assert ("g0", "g2", "g3", "g4") == done.verdicts[0].included
    assert kinds(done, "lost", "g1")
    assert not kinds(done, "lost", "g0")
    assert done_first(done) == "sum"


def test_a_lossy_link_costs_its_gateway_only():
    for fault in ("loss", "truncation", "flips"):
        links = {"g1": Link(**{fault: 1.0})}
        done = run(Scenario(gateways=5, links=links, deadline=2.0))

        assert {"g1"} == set(done.verdicts[0].dropped)
        assert done_first(done) == "sum"


@pytest.mark.parametrize("scheme", NAMES)
def test_duplicates_and_overtaking_are_no_harm_or_a_drop(scheme):
    links = {name: Link(duplication=1.0, jitter=0.2) for name in ("g0", "g1", "g2", "g3")}
    done = run(Scenario(scheme=scheme, gateways=4, links=links))

    # a frame that comes once more after the next one is no upload's next frame
    assert {"BAD_FRAME"} >= {reason for _, reason in done.verdicts[0].dropped.values()}
    assert done_first(done) in {"sum", "BelowThreshold"}


# -- the network -----------------------------------------------------------------------------------


def arrivals(count=400, **link):
    way = Way(Link(**link), dice("test", sorted(link.items())))
    return [list(way.carry(0.01 * at, b"\0" * 100)) for at in range(count)]


def test_an_honest_link_is_first_in_first_out():
    found = [each for (each,) in arrivals(jitter=1.0)]

    assert [each.time for each in found] == sorted(each.time for each in found)
    assert all(each.data == b"\0" * 100 for each in found)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_faults_happen_as_often_as_they_should(share):
    """False alarm below 2^-40: eight standard deviations of 400 draws."""
    far = 8 * math.sqrt(400 * share * (1 - share))
    lost = sum(not each for each in arrivals(loss=share))
    twice = sum(len(each) == 2 for each in arrivals(duplication=share))
    short = sum(len(each[0].data) < 100 for each in arrivals(truncation=share))
    flipped = [each[0].data for each in arrivals(flips=share) if each[0].data != b"\0" * 100]

    for count in (lost, twice, short, len(flipped)):
        assert abs(count - 400 * share) <= far
    assert all(sum(byte.bit_count() for byte in data) == 1 for data in flipped)
    times = [each[0].time for each in arrivals(reordering=share)]
    assert (times == sorted(times)) == (share in {0.0, 1.0})


@pytest.mark.parametrize(
    "wrong", [{"loss": 1.5}, {"flips": -0.1}, {"latency": -1.0}, {"bandwidth": 0.0}]
)
def test_links_that_make_no_sense(wrong):
    with pytest.raises(ConfigurationError):
        Link(**wrong)


@pytest.mark.parametrize("name", TRACES)
def test_traces_are_intervals_of_a_day(name):
    away = [TRACES[name](dice("trace", name, device), DAY) for device in range(60)]
    for intervals in away:
        ends = [end for interval in intervals for end in interval]

        assert ends == sorted(ends)
        assert all(0 <= end <= DAY for end in ends)
        assert all(begin < end for begin, end in intervals)
    share = sum(end - begin for intervals in away for begin, end in intervals) / (60 * DAY)
    # churn: ten minutes of forty; diurnal: a half; charging: sixteen or seventeen hours of a day
    expected = {"churn": 0.25, "diurnal": 0.5, "charging": 0.68}[name]
    assert abs(share - expected) < 0.1


# -- the sweep -------------------------------------------------------------------------------------


def test_a_sweep_finds_nothing():
    told = []
    tally = sweep(60, on_progress=lambda so_far: told.append(so_far.played))

    assert [] == tally.violations
    assert [50, 60] == told
    assert 60 <= sum(tally.outcomes.values())
    assert {scheme for scheme, _ in tally.outcomes} == set(BY_NAME)
    assert any(outcome == "sum" for _, outcome in tally.outcomes)


def never(machine, needed):
    raise BelowThreshold(len(machine.waiting_for), needed, machine.phase)


def test_a_server_that_never_opens_a_sum_is_seen_wherever_one_is_due(monkeypatch):
    honest = [run(draw(seed)) for seed in range(20)]
    monkeypatch.setattr(ServerMachine, "_need", never)
    runs = [run(draw(seed)) for seed in range(20)]

    for before, now in zip(honest, runs, strict=True):
        due = any(not verdict.excuse for verdict in before.verdicts)
        assert now.violation.startswith("a sum was due") or not due
        assert now.violation or now.verdicts[-1].excuse
    # it aborts before most gateways would be absent
    assert 19 == sum(bool(each.violation) for each in runs)


@pytest.mark.parametrize(
    ("scenario", "why"),
    [
        ({"links": {"g0": Link(loss=1.0)}}, "g0 (late in "),
        ({"plans": {"g0": Plan(slow=9.0)}}, "g0 (late in "),
        ({"plans": {"g0": Plan(away=((0.0, 9.0),))}}, "g0 (late in "),
        ({"plans": {"g0": Plan(vanish=1)}}, "g0 (late in "),
        ({"links": {"g0": Link(flips=1.0)}}, "g0 (other frames arrive than were sent)"),
        ({"links": {"g0": Link(truncation=1.0)}}, "g0 (other frames arrive than were sent)"),
        ({"plans": {"g0": Plan(restarts=(Restart(time=0.3),))}}, "g0 (its process died)"),
        ({"plans": {"g0": Plan(cheat="advertise_keys: low order")}}, "g0 (other frames"),
        ({"plans": {"g0": Plan(slow=3.0)}}, ""),
        (
            {"attack": PlannedAttack(name="silence", phase="share_keys", victim="g0")},
            "g0 (late in ",
        ),
    ],
)
def test_who_counts_as_absent(scenario, why):
    """Three gateways of which none may be absent: each absence is the reason of what follows."""
    (verdict,) = run(Scenario(gateways=3, deadline=4.0, **scenario)).verdicts

    assert "" == verdict.violation
    assert verdict.excuse.startswith(why and f"1 of 3 are absent, 0 may be: {why}")
    assert bool(why) == bool(verdict.excuse) == (verdict.outcome != "sum")


def test_a_sweep_in_processes_is_the_same():
    one, two = sweep(4, seed=7), sweep(4, seed=7, processes=2)

    assert one == two


def test_a_sweep_names_the_seed_of_what_must_not_happen(monkeypatch):
    expected = Parties.expected

    def wrong(self, *args):
        sums = expected(self, *args)
        return [sums[0] + 10**9, *sums[1:]] if self.seed == 8 else sums

    monkeypatch.setattr(Parties, "expected", wrong)
    tally = sweep(3, seed=7, scenario_of=_small)

    assert [8] == [seed for seed, _ in tally.violations]
    assert "update/0 is off by" in tally.violations[0][1]
    assert command(8) == "protocol_sim replay 8"


def test_a_crash_is_a_violation():
    tally = sweep(1, scenario_of=lambda _seed: Scenario(plans={"g0": Plan(vanish="nowhere")}))

    assert 1 == tally.played == len(tally.violations)
    assert "KeyError" in tally.violations[0][1]


def _small(seed):
    return Scenario(gateways=3, seed=seed)
