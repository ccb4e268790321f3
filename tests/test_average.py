"""The recipe: the numbers of a plain weighted mean, within the bound that it reports."""

from __future__ import annotations

import collections
import copy
import math
import weakref
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg import Lattice, Masks, SecureAverage
from secagg.errors import BelowThreshold, ConfigurationError
from secagg.protocol.audit import verify_record
from secagg.protocol.events import Completed, GatewayDropped, PhaseClosed
from secagg.protocol.messages import DropReason
from secagg.pytree import flatten
from secagg.schemes.scheme import Scheme
from secagg.session import ClientSession, ServerSession
from tests.means import assert_mean, plain

IDS = ("hospital", "bank", 7, -1, "größe")
STEPS = ("advertise_keys", "share_keys", "masked_input", "consistency", "unmasking")


def tree(seed: object, dtype: type = np.float32) -> dict[str, Any]:
    rng = np.random.default_rng(zlib.crc32(str(seed).encode()))
    return {
        "layers": [
            {"w": rng.uniform(-1, 1, (5, 7)).astype(dtype), "b": rng.uniform(-1, 1, 3)},
            (rng.uniform(-1, 1, ()).astype(dtype),),
        ],
        "head": collections.OrderedDict(w=rng.uniform(-1, 1, 11)),
        "seen": rng.integers(0, 1000, 2),
        "flag": rng.integers(0, 2, 3).astype(bool),
    }


def trees(ids: tuple[Any, ...] = IDS) -> dict[Any, dict[str, Any]]:
    return {name: tree(name) for name in ids}


WEIGHTS = {"hospital": 1.0, "bank": 8.0, 7: 0.25, -1: 3.5, "größe": 2.0**-16}


SCHEMES = pytest.mark.parametrize("scheme", [Masks(), Lattice()], ids=lambda each: each.name)


@SCHEMES
def test_the_numbers_of_a_weighted_mean(scheme: Scheme) -> None:
    metrics = {name: {"loss": 0.5, "correct": float(place)} for place, name in enumerate(IDS)}
    average = SecureAverage(clip=1.0, max_weight=8, scheme=scheme)
    result = average.run(trees(), WEIGHTS, metrics=metrics)
    plan = result.report.plan

    assert IDS == result.included
    assert {} == result.dropped
    assert_mean(result, trees(), WEIGHTS)
    assert {"loss": 2.5, "correct": 10.0} == result.metrics
    assert (scheme.name, "", True) == (plan.scheme, plan.reason, plan.exact)
    assert type(tree(0)["head"]) is type(result.mean["head"])
    assert isinstance(result.mean["layers"][1], tuple)


def test_weights_are_one_by_default() -> None:
    assert_mean(SecureAverage(clip=1.0).run(trees()), trees())


def test_weights_of_any_kind_of_number() -> None:
    numbers = {"a": np.int64(3), "b": np.float32(1.5), "c": 2, "d": np.float64(0.5), "e": True}
    updates = trees(tuple(numbers))
    result = SecureAverage(clip=1.0, max_weight=8).run(updates, numbers)

    assert_mean(result, updates, {name: float(number) for name, number in numbers.items()})


def test_a_weight_is_rounded_once_and_the_rounded_one_multiplies() -> None:
    third = dict.fromkeys(IDS, 1 / 3)
    result = SecureAverage(clip=1.0).run(trees(), third)

    assert 5 * round(2**24 / 3) / 2**24 == result.total_weight
    expected = plain(trees(), third)["head.w"]
    assert np.abs(expected - result.mean["head"]["w"]).max() <= result.report.error_bound


def test_what_is_averaged_is_the_difference_to_the_base() -> None:
    base = tree("base")
    base["head"]["w"] += 1000.0
    updates = {name: copy.deepcopy(base) for name in IDS}
    for place, each in enumerate(updates.values()):
        each["head"]["w"] += 0.1 * place - 0.2
        each["seen"] += place
    before = copy.deepcopy((base, updates))
    result = SecureAverage(clip=0.25, warn_above=math.inf).run(updates, base=base)  # steps cancel

    expected = plain(updates, dict.fromkeys(IDS, 1.0))
    assert np.abs(expected["head.w"] - result.mean["head"]["w"]).max() <= (
        result.report.error_bound + 1e-12
    )
    assert (base["seen"] + 2).tolist() == result.mean["seen"].tolist()
    assert np.array_equal(base["layers"][0]["w"], result.mean["layers"][0]["w"])
    for old, new in zip(flatten(before[0]).values(), flatten(base).values(), strict=True):
        assert np.array_equal(old, new)
    for name in IDS:
        assert np.array_equal(before[1][name]["seen"], updates[name]["seen"])


@settings(max_examples=15)
@given(
    values=st.lists(st.lists(st.floats(-1, 1), min_size=4, max_size=4), min_size=3, max_size=5),
    data=st.data(),
)
def test_any_values_within_clip_stay_within_the_bound(values: Any, data: st.DataObject) -> None:
    updates = {place: {"w": np.array(each)} for place, each in enumerate(values)}
    weights = {place: data.draw(st.integers(1, 64 * 2**16)) / 2**16 for place in updates}
    average = SecureAverage(clip=1.0, max_weight=64, warn_above=math.inf)
    result = average.run(updates, weights)

    assert_mean(result, updates, weights)


@pytest.mark.parametrize("packing", [1, 2, 3, 4, 5])
def test_every_packing_keeps_its_bound(packing: int) -> None:
    average = SecureAverage(clip=1.0, max_weight=8, scheme=Masks(packing), precision=1.0)

    assert_mean(average.run(trees(), WEIGHTS), trees(), WEIGHTS)


def test_the_error_is_as_small_as_reported() -> None:
    """20,000 coordinates: the measured rms is within 5% of the predicted one; fixed draws."""
    draw = np.random.default_rng(5)
    updates = {i: {"w": draw.uniform(-1, 1, 20_000).astype(np.float32)} for i in range(5)}
    result = SecureAverage(clip=1.0).run(updates, rounding_seed=b"fixed")
    error = result.mean["w"] - plain(updates, dict.fromkeys(range(5), 1.0))["w"]

    assert np.sqrt(np.mean(error**2)) == pytest.approx(result.report.rms_error, rel=0.05)
    assert abs(error.mean()) < 5 * result.report.rms_error / np.sqrt(20_000)
    assert np.abs(error).max() <= result.report.error_bound


# -- reproducible, whatever the order --------------------------------------------------------------


def test_a_rounding_seed_gives_the_same_numbers_again() -> None:
    runs = [
        SecureAverage(clip=1.0).run(trees(), rounding_seed=seed)
        for seed in (b"one", b"one", b"two", None, None)
    ]
    means = [result.mean["layers"][0]["w"].tobytes() for result in runs]

    assert means[0] == means[1]
    assert 4 == len(set(means))


def test_the_order_of_updates_does_not_matter() -> None:
    forward = SecureAverage(clip=1.0, max_weight=8).run(trees(), WEIGHTS, rounding_seed=b"s")
    backward = SecureAverage(clip=1.0, max_weight=8).run(
        trees(IDS[::-1]), WEIGHTS, rounding_seed=b"s"
    )

    assert IDS == forward.included == backward.included[::-1]
    for one, other in zip(
        flatten(forward.mean).values(), flatten(backward.mean).values(), strict=True
    ):
        assert one.tobytes() == other.tobytes()


def test_threads_change_no_number() -> None:
    draw = np.random.default_rng(1)
    updates = {i: {"w": draw.uniform(-1, 1, 400_000).astype(np.float32)} for i in range(3)}
    means = [
        SecureAverage(clip=1.0, threads=threads).run(updates, rounding_seed=b"s").mean["w"]
        for threads in (1, 3)
    ]

    assert means[0].tobytes() == means[1].tobytes()


# -- functions that make updates -------------------------------------------------------------------


class Factory:
    """Makes trees and watches how many of them live."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.alive: list[weakref.ref[np.ndarray]] = []
        self.most = 0

    def __getitem__(self, name: Any) -> Any:
        def make() -> dict[str, Any]:
            made = tree(name)
            self.calls.append(name)
            self.alive.append(weakref.ref(made["head"]["w"]))
            self.most = max(self.most, sum(ref() is not None for ref in self.alive))
            return made

        return make


def test_functions_are_called_once_when_due_and_one_update_lives_at_a_time() -> None:
    factory, average = Factory(), SecureAverage(clip=2.0)
    base = tree("base")
    result = average.run({name: factory[name] for name in IDS}, base=base)

    assert list(IDS) == factory.calls
    assert 1 == factory.most
    assert_mean(result, trees())


def test_without_a_base_the_first_update_is_the_template_too() -> None:
    factory = Factory()
    result = SecureAverage(clip=1.0).run({name: factory[name] for name in IDS})

    assert list(IDS) == factory.calls
    assert factory.most <= 2
    assert_mean(result, trees())


@pytest.mark.parametrize(("phase", "called"), [("share_keys", False), ("consistency", True)])
def test_who_is_gone_before_its_upload_is_not_asked(*, phase: str, called: bool) -> None:
    factory = Factory()
    updates = {name: factory[name] for name in IDS}
    SecureAverage(clip=2.0).run(updates, base=tree("base"), vanish={7: phase})

    assert called == (7 in factory.calls)


# -- vanishing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("phase", STEPS)
def test_whoever_vanishes_before_the_set_is_agreed_does_not_count(phase: str, name: Any) -> None:
    result = SecureAverage(clip=1.0, max_weight=8).run(trees(), WEIGHTS, vanish={name: phase})
    gone = phase in STEPS[:3]

    assert {name: GatewayDropped(name, phase, DropReason.SILENT)} == result.dropped
    assert tuple(i for i in IDS if i != name or not gone) == result.included
    assert_mean(result, trees(), WEIGHTS)


def test_too_many_vanished_is_an_error_and_the_next_round_is_good() -> None:
    average = SecureAverage(clip=1.0)
    with pytest.raises(BelowThreshold, match="3 of 5 answered in phase masked_input, 4 are"):
        average.run(trees(), vanish={7: "masked_input", -1: "masked_input"})

    assert_mean(average.run(trees()), trees())


def test_events_are_those_of_the_orchestrator() -> None:
    events: list[object] = []
    SecureAverage(clip=1.0, on_event=events.append).run(trees(), vanish={7: "masked_input"})

    assert list(STEPS) == [event.phase for event in events if isinstance(event, PhaseClosed)]
    assert [7] == [event.id for event in events if isinstance(event, GatewayDropped)]
    assert isinstance(events[-1], Completed)


# -- many rounds -----------------------------------------------------------------------------------


def test_one_object_serves_many_rounds_of_changing_cohorts() -> None:
    average = SecureAverage(clip=1.0, max_weight=8)
    draw = np.random.default_rng(2)
    rosters = set()
    for number in range(8):
        ids = tuple(draw.permutation(9)[: draw.integers(3, 8)].tolist())
        updates = {name: tree((number, name)) for name in ids}
        weights = {name: float(draw.integers(1, 9)) for name in ids}
        result = average.run(updates, weights)
        rosters.add(result.report.roster.hash())

        # in the order of the roster, which is that of first appearance
        assert set(ids) == set(result.included)
        assert_mean(result, updates, weights)
        positions = verify_record(result.report.audit, result.report.roster)
        assert frozenset(range(len(ids))) == positions
        assert number + 1 == result.report.audit.announce.params.round
    assert 1 < len(rosters) <= 8


def test_identities_stay_and_sessions_do_not() -> None:
    average = SecureAverage(clip=1.0)
    one, two = average.run(trees()).report, average.run(trees()).report

    assert one.roster == two.roster
    assert one.audit.announce.params.session != two.audit.announce.params.session
    assert (1, 2) == (one.audit.announce.params.round, two.audit.announce.params.round)


# -- costs -----------------------------------------------------------------------------------------


def test_the_report_counts_the_bytes_that_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    up: collections.Counter[Any] = collections.Counter()
    down: collections.Counter[Any] = collections.Counter()
    to_server, to_client = ServerSession.receive, ClientSession.receive

    def server_receive(self: ServerSession, sender: Any, frame: bytes, **how: Any) -> Any:
        up[sender] += len(frame)
        return to_server(self, sender, frame, **how)

    def client_receive(self: ClientSession, frame: bytes) -> Any:
        down[id(self)] += len(frame)
        return to_client(self, frame)

    monkeypatch.setattr(ServerSession, "receive", server_receive)
    monkeypatch.setattr(ClientSession, "receive", client_receive)
    draw = np.random.default_rng(3)
    updates = {i: {"w": draw.uniform(-1, 1, 300_000).astype(np.float32)} for i in range(5)}
    average = SecureAverage(clip=1.0)
    report = average.run(updates).report
    plan = average.plan(updates[0], 5)

    assert max(up.values()) == report.bytes_up
    assert max(down.values()) == report.bytes_down
    assert plan.upload_bytes < report.bytes_up < plan.upload_bytes + 4096
    assert 300_000 * 8 / 3 < plan.upload_bytes < 300_000 * 8 / 3 * 1.01
    assert report.bytes_down < 16_384


@SCHEMES
def test_the_plan_is_what_happens(scheme: Scheme) -> None:
    average = SecureAverage(clip=1.0, max_weight=16, scheme=scheme)
    plan = average.plan(tree(0), 5, metrics=("loss",))
    report = average.run(trees(), metrics={name: {"loss": 1.0} for name in IDS}).report
    phases = tuple(step.name for step in scheme.steps_for(plan.thresholds))

    assert plan == report.plan
    assert plan.vectors == report.audit.round.params.vectors
    # all weights are the average weight the plan assumes
    assert 1.0 == plan.average_weight
    assert plan.rms_error == pytest.approx(report.rms_error)
    assert plan.error_bound == pytest.approx(report.error_bound)
    assert phases == plan.phases
    assert [*phases, "mean"] == [cost.phase for cost in report.phases]
    assert plan.upload_bytes < report.bytes_up < plan.upload_bytes + 2**16


def test_enrolled_gateways_keep_one_roster_over_changing_cohorts() -> None:
    average = SecureAverage(clip=1.0)
    roster = average.enroll(IDS)
    updates = trees()
    first = average.run({name: updates[name] for name in IDS[:4]})
    second = average.run({name: updates[name] for name in IDS[1:]})

    assert roster == first.report.roster == second.report.roster
    assert tuple(IDS) == tuple(member.id for member in roster.members)
    with pytest.raises(ConfigurationError, match="is True: pass their ids"):
        average.enroll([True])
