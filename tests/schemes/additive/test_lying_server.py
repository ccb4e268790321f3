"""Every question of a lying server to real gateways, and everything their answers say together.

What a gateway answers is found by asking it: a fresh one for each question, and for each second
question after complaints. Over the table that comes out `protocol_sim.leaks.additive` judges every
strategy of the server, that is every assignment of sets to the honest gateways.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import pytest
from msgspec.structs import replace

from protocol_sim.leaks.additive import (
    Asked,
    Set,
    Sharing,
    Tally,
    eliminate,
    every_strategy,
    tally,
)
from secagg import errors
from secagg.crypto.packed import PRIME, PROOF_COLUMNS
from secagg.params import Thresholds
from secagg.thresholds import derive_committee
from tests.schemes.additive.world import NOBODY, Floorless, Reply, Stage, subsets

CASES = [(4, 1, 1), (4, 1, 0), (5, 1, 1), (5, 1, 0), (5, 2, 1), (5, 2, 0)]
"""n = m, C, D: whatever the thresholds allow. D = 0 packs two values into a share or more."""
UPLOADED = pytest.mark.parametrize("uploaded", [True, False], ids=["uploaded", "absent"])


@lru_cache
def stage_of(n: int, c: int, d: int) -> Stage:
    return Stage(derive_committee(n, max_colluding=c, max_dropouts=d))


def colluding_of(limits: Thresholds) -> Set:
    return frozenset(range(limits.gateways - limits.max_colluding, limits.gateways))


def honest_of(limits: Thresholds) -> list[int]:
    return list(range(limits.gateways - limits.max_colluding))


def sharing_of(limits: Thresholds, colluding: Set | None = None) -> Sharing:
    return Sharing(
        members=limits.committee,
        packed=limits.packed,
        threshold=limits.share_threshold,
        colluding=colluding_of(limits) if colluding is None else colluding,
    )


def least_honest(limits: Thresholds) -> int:
    """Honest gateways in the smallest set that may be opened."""
    return max(limits.min_included, limits.quorum) - limits.max_colluding


# -- what a gateway answers ------------------------------------------------------------------------


def refusal(limits: Thresholds, me: int, included: Set, *, uploaded: bool) -> type | None:
    """docs/protocol.md#one-set-one-answer: in U3 if and only if it uploaded, #U3 at the floor."""
    if uploaded and me not in included:
        return errors.SelfMissing
    if not uploaded and me in included:
        return errors.UnexpectedMessage
    if len(included) < max(limits.min_included, limits.quorum):
        return errors.BelowFloor
    return None


def sum_of(stage: Stage, me: int, included: Set) -> bytes:
    """The one sum that may be released, out of the shares as they were dealt."""
    rows = [stage.row(me, dealer) for dealer in sorted(included)]
    return (sum(rows)[:-PROOF_COLUMNS] % PRIME).astype("<u2").tobytes()


@UPLOADED
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_gateway_sums_what_it_may_and_nothing_else(case, uploaded):
    """Every set, with every subset of the shares spoiled."""
    stage = stage_of(*case)
    for me in honest_of(stage.limits):
        for included in subsets(stage.everybody):
            for spoiled in subsets(included - {me}):
                client = stage.uploaded(me, frames=None if uploaded else 0)
                reply = stage.reply(client, stage.question(me, included, spoiled))
                error = refusal(stage.limits, me, included, uploaded=uploaded)
                if error is not None:
                    expected = Reply(error=error)
                elif spoiled:
                    expected = Reply(complaints=spoiled)
                else:
                    expected = Reply(sum_of(stage, me, included))

                assert expected == reply, (me, included, spoiled)


def second_questions(stage: Stage, me: int, *, uploaded: bool) -> Iterator[tuple[Set, Set, Set]]:
    """First set, the dealers whose shares are spoiled in it, second set."""
    for first in subsets(stage.everybody):
        if refusal(stage.limits, me, first, uploaded=uploaded) is None:
            for spoiled in subsets(first - {me}):
                if spoiled:
                    for second in subsets(stage.everybody):
                        yield first, spoiled, second


def ask_again(stage: Stage, me: int, cases, *, uploaded: bool) -> None:
    for first, spoiled, second in cases:
        client = stage.uploaded(me, frames=None if uploaded else 0)
        complained = stage.reply(client, stage.question(me, first, spoiled))
        reply = stage.reply(client, stage.again(second))
        error = refusal(stage.limits, me, second, uploaded=uploaded)
        if error is None and (not second <= first or second & spoiled):
            error = errors.NotASubset
        expected = Reply(sum_of(stage, me, second)) if error is None else Reply(error=error)

        assert Reply(complaints=spoiled) == complained
        assert expected == reply, (me, first, spoiled, second)


@UPLOADED
@pytest.mark.parametrize("case", [(4, 1, 1), (4, 1, 0)], ids=str)
def test_after_complaints_a_gateway_sums_over_a_part_of_the_same_set(case, uploaded):
    stage = stage_of(*case)
    for me in honest_of(stage.limits):
        ask_again(stage, me, second_questions(stage, me, uploaded=uploaded), uploaded=uploaded)


@UPLOADED
@pytest.mark.parametrize("case", [(5, 1, 1), (5, 2, 1)], ids=str)
def test_after_one_complaint_a_gateway_sums_over_a_part_of_the_same_set_at_five(case, uploaded):
    stage = stage_of(*case)
    cases = [q for q in second_questions(stage, 0, uploaded=uploaded) if len(q[1]) == 1]

    ask_again(stage, 0, cases, uploaded=uploaded)


@pytest.mark.deep
@UPLOADED
@pytest.mark.parametrize("case", CASES[2:], ids=str)
def test_after_complaints_a_gateway_sums_over_a_part_of_the_same_set_at_five(case, uploaded):
    stage = stage_of(*case)
    for me in honest_of(stage.limits):
        ask_again(stage, me, second_questions(stage, me, uploaded=uploaded), uploaded=uploaded)


# -- everything the server can learn -------------------------------------------------------------


def answered(stage: Stage, me: int) -> set[Set]:
    """All sets that a real gateway sums over, whether it has uploaded or not.

    A complaint first opens no further set, as the tests above show.
    """
    sums = set()
    for frames in (None, 0):
        for included in subsets(stage.everybody):
            client = stage.uploaded(me, frames=frames)
            if stage.reply(client, stage.question(me, included)).shares:
                sums.add(included)
    return sums


@lru_cache
def table_of(case: tuple[int, int, int]) -> list[set[Set]]:
    stage = stage_of(*case)
    return [answered(stage, me) for me in range(stage.n)]


def choices(table: list[set[Set]], colluding: Set) -> dict[int, set[Set]]:
    """By honest gateway the honest parts of what it answers."""
    honest = [me for me in range(len(table)) if me not in colluding]
    return {me: {told - colluding for told in table[me]} - {NOBODY} for me in honest}


# By hand: with n = 4, C = 1, q = 3 the honest parts are the pairs and the triple, so each of three
# gateways has five choices. A set opens when two honest gateways answer for it, who with the
# colluding one are t + 1 = 3: four sets, three alike or two and one other: 4 * (1 + 3 * 4).
# With n = 5, C = 1, q = 4: five sets, three alike of four: 5 * (1 + 4 * 5). With C = 2 as at four.
OPENED = {(4, 1): Tally(125, 52, 0), (5, 1): Tally(1296, 105, 0), (5, 2): Tally(125, 52, 0)}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_no_assignment_of_sets_opens_anything_but_one_sum(case):
    """Whoever colludes with the server."""
    n, c, _ = case
    limits = stage_of(*case).limits
    for colluding in map(frozenset, itertools.combinations(range(n), c)):
        strategies = every_strategy(choices(table_of(case), colluding))
        found = tally(sharing_of(limits, colluding), strategies, least_honest(limits))

        assert OPENED[n, c] == found, colluding


@pytest.mark.parametrize("case", CASES, ids=str)
def test_no_assignment_opens_two_sums_in_two_sessions_of_one_round(case):
    """A gateway deals in both, another key in each, and answers in one of them."""
    limits = stage_of(*case).limits
    table = choices(table_of(case), colluding_of(limits))
    options = (
        [(0, None), *((session, told) for session in (0, 1) for told in table[me])] for me in table
    )
    strategies = list(itertools.product(*options))
    in_each = [
        [tuple(told if at == session else None for at, told in each) for each in strategies]
        for session in (0, 1)
    ]
    first, second = (sharing_of(limits).judge(told, least_honest(limits)) for told in in_each)

    assert not (first.leaks | second.leaks).any()
    assert not (first.opened & second.opened).any()
    assert first.opened.any()


# -- the same on real bytes ------------------------------------------------------------------------


def told_really(stage: Stage, strategy: Asked) -> dict[int, tuple[Set, np.ndarray]]:
    """What real gateways answer, those colluding in every set: without the colluding's shares."""
    colluding, sums = colluding_of(stage.limits), {}
    for me, told in zip(honest_of(stage.limits), strategy, strict=True):
        if told is None:
            continue
        client = stage.uploaded(me, frames=None if me in told else 0)
        shares = stage.reply(client, stage.question(me, told | colluding)).shares
        known = sum(stage.row(me, dealer)[:-PROOF_COLUMNS] for dealer in sorted(colluding))
        sums[me] = told, (np.frombuffer(shares, "<u2") - known) % PRIME
    return sums


def solved(stage: Stage, strategy: Asked) -> tuple[np.ndarray, np.ndarray]:
    """What the server computes: int64[equations, honest, ell] and their values in each column."""
    limits, sharing = stage.limits, sharing_of(stage.limits)
    held = [
        (member, {dealer}, stage.row(member, dealer)[:-PROOF_COLUMNS])
        for member in sorted(sharing.colluding)
        for dealer in sharing.honest
    ]
    told = [(me, *answer) for me, answer in told_really(stage, strategy).items()]
    rows = [np.concatenate([sharing.row(m, dealers), sums]) for m, dealers, sums in held + told]
    [open_] = eliminate(np.array([rows]), sharing.unknown)
    open_ = open_[open_.any(axis=1)]
    functionals, values = np.split(open_, [sharing.values], axis=1)
    return functionals.reshape(-1, len(sharing.honest), limits.packed), values


def keys_of(stage: Stage) -> np.ndarray:
    """int64[honest, ell, columns]: the keys as they lie in the columns."""
    limits, sharing = stage.limits, sharing_of(stage.limits)
    keys = []
    for i in sharing.honest:
        members = range(limits.share_threshold)
        inside = sharing.opened({m: stage.row(m, i)[:-PROOF_COLUMNS] for m in members})
        keys.append(inside[: limits.packed])
        padding = [0] * (keys[-1].size - len(stage.key(i)))

        assert sorted([*stage.key(i) % PRIME, *padding]) == sorted(keys[-1].ravel())
    return np.array(keys)


def sampled(case: tuple[int, int, int], count: int) -> list[Asked]:
    limits = stage_of(*case).limits
    strategies = list(every_strategy(choices(table_of(case), colluding_of(limits))))
    return random.Random(repr(case)).sample(strategies, count)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_real_answers_say_what_the_oracle_says(case):
    stage = stage_of(*case)
    sharing, keys = sharing_of(stage.limits), keys_of(stage)
    everybody = (frozenset(honest_of(stage.limits)),) * len(keys)
    for strategy in (everybody, *sampled(case, 12)):
        functionals, values = solved(stage, strategy)
        expected = np.einsum("ehl,hlc->ec", functionals, keys) % PRIME

        assert sharing.judge([strategy], 1).opened[0] == (len(functionals) > 0)
        np.testing.assert_array_equal(expected, values)


# -- controls: without one of the rules the same enumeration finds the attack ----------------------


def weak(monkeypatch: pytest.MonkeyPatch, limits: Thresholds, **changes: int) -> Stage:
    """Gateways that take any thresholds."""
    monkeypatch.setattr("secagg.thresholds.verify_thresholds", lambda _thresholds: None)
    return Stage(replace(limits, **changes), policy=Floorless(min_colluding=1))


def played(stage: Stage, *, uploaded: bool = False) -> tuple[list[Asked], Sharing]:
    """All strategies, or those in which everybody has uploaded."""
    table = choices([answered(stage, me) for me in range(stage.n)], colluding_of(stage.limits))
    if uploaded:
        table = {me: {told for told in sets if me in told} for me, sets in table.items()}
    return list(every_strategy(table)), sharing_of(stage.limits)


def test_control_without_a_floor_three_sets_leak(monkeypatch):
    """A, B and A + B, one member asked for each: CRYPTO_REVIEW item 9."""
    stage = weak(monkeypatch, stage_of(4, 1, 1).limits, min_included=1, quorum=1)
    strategies, sharing = played(stage)
    one, two, both = frozenset({0}), frozenset({1}), frozenset({0, 1})

    assert Tally(512, 190, 36) == tally(sharing, strategies, smallest=1)
    assert sharing.judge([(one, two, both)], smallest=1).leaks.all()


def test_control_without_a_floor_one_gateway_is_opened_on_real_bytes(monkeypatch):
    stage = weak(monkeypatch, stage_of(4, 1, 1).limits, min_included=1, quorum=1)
    functionals, values = solved(stage, (frozenset({0}),) * 3)
    [weight, *others] = functionals[0, :, 0]

    assert others == [0, 0]
    opened = values[0] * pow(int(weight), -1, PRIME) % PRIME
    np.testing.assert_array_equal(stage.key(0) % PRIME, opened)


def test_control_a_lower_privacy_threshold_leaks(monkeypatch):
    """t = 1 instead of floor((m + C) / 2) = 2."""
    stage = weak(monkeypatch, stage_of(4, 1, 1).limits, packed=2)
    strategies, sharing = played(stage)
    certain, _ = played(stage, uploaded=True)

    assert 0 < tally(sharing, strategies, least_honest(stage.limits)).leaks
    assert Tally(64, 63, 47) == tally(sharing, certain, least_honest(stage.limits))


def test_control_a_lower_privacy_threshold_leaks_with_two_colluding(monkeypatch):
    """t = 2 instead of floor((m + C) / 2) = 3."""
    stage = weak(monkeypatch, stage_of(5, 2, 1).limits, packed=2)
    strategies, sharing = played(stage)

    assert Tally(125, 124, 96) == tally(sharing, strategies, least_honest(stage.limits))


def test_control_a_lower_privacy_threshold_shows_two_sums_on_real_bytes(monkeypatch):
    stage = weak(monkeypatch, stage_of(4, 1, 1).limits, packed=2)
    strategy = (None, frozenset({0, 1}), frozenset({0, 2}))
    functionals, values = solved(stage, strategy)
    expected = np.einsum("ehl,hlc->ec", functionals, keys_of(stage)) % PRIME

    np.testing.assert_array_equal(expected, values)
    assert sharing_of(stage.limits).judge([strategy], 1).leaks.all()


def test_control_one_answer_in_each_of_two_sessions_opens_two_sums():
    limits = stage_of(4, 1, 1).limits
    sums = [(frozenset({0, 1}),) * 3, (frozenset({0, 2}),) * 3]

    assert sharing_of(limits).judge(sums, least_honest(limits)).opened.all()
