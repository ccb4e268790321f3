"""Without any one check the oracle finds a leak, or another promise is broken.

The checks are those of a client, and those of a server on what it is told. Where nothing breaks, a
check is listed as redundant, with what stops the lie in its place. They are found in the source
(`without_each_check.source`), so a new one without a row fails here.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from protocol_sim.leaks.real_gateways import RealGateways
from protocol_sim.leaks.strategies import every_strategy, tally
from secagg.errors import BadSignature, SecAggError
from secagg.protocol import certificate
from secagg.schemes.additive import client as additive_client
from secagg.schemes.masks import client as masks_client
from secagg.schemes.masks.client import MasksClient
from secagg.thresholds import derive
from tests.protocol_sim.without_each_check import additive as of_additive
from tests.protocol_sim.without_each_check import announced, masks, opened, server, shared
from tests.protocol_sim.without_each_check.endings import LEAK as LEAKS
from tests.protocol_sim.without_each_check.rows import BROKEN, LEAK, REDUNDANT
from tests.protocol_sim.without_each_check.source import Check, checks, find, without

ROWS = [*masks.ROWS, *shared.ROWS, *announced.ROWS, *of_additive.ROWS, *server.ROWS, *opened.ROWS]
SECURITY = Path(__file__).parents[2] / "SECURITY.md"
CASES = [
    pytest.param(row, id=str(row), marks=[pytest.mark.deep] if row.slow else []) for row in ROWS
]


def test_every_check_has_a_row():
    listed = {find(row.check) if ":" in row.check else whole(row.check) for row in ROWS}

    assert sorted(map(str, checks())) == sorted(map(str, listed))


def whole(where: str) -> Check:
    (found,) = (check for check in checks() if check.where == where)
    return found


@pytest.mark.parametrize("row", CASES)
def test_an_attack_is_refused_with_the_check_and_not_without_it(row):
    assert row.refused == row.play()
    with without(find(row.check) if ":" in row.check else whole(row.check)):
        assert row.ending == row.play()


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_rows_say_what_they_show(row):
    if row.kind == LEAK:
        assert (LEAKS, "") == (row.ending, row.why)
    else:
        assert row.ending != LEAKS
        assert row.why
    if row.kind != REDUNDANT:
        assert row.ending != row.refused


def test_security_md_says_how_many():
    found = Counter(row.kind for row in ROWS)
    said = " ".join(SECURITY.read_text().split())

    assert f"each of {len(ROWS)} checks away" in said
    assert f"{found[LEAK]} then leak, {found[BROKEN]} break another promise" in said
    assert f"{found[REDUNDANT]} are covered by another check" in said


KEYS = ("MasksClient._check", "MasksClient._share")
SETS = [row for row in masks.ROWS if row.kind == REDUNDANT and not row.check.startswith(KEYS)]


def strategies_without(row, worlds):
    """All strategies of all sets that the weaker client accepts."""
    with without(find(row.check) if ":" in row.check else whole(row.check)):
        gateways = RealGateways(derive(4), frozenset({3}), forge=True)
        found = tally(gateways, every_strategy(gateways, worlds))

    assert (0, 0) == (found.leaks, found.broken)
    assert found.opened > 0
    assert [] == gateways.unnamed


def test_without_all_floors_no_strategy_leaks():
    [floors] = (row for row in SETS if row.check == "MasksClient._require_floor")
    strategies_without(floors, ((0, 0),))


@pytest.mark.deep
@pytest.mark.parametrize("row", SETS, ids=str)
def test_without_a_redundant_check_of_a_set_no_strategy_leaks(row):
    strategies_without(row, ((0, 0), (0, 1), (1, 0), (1, 1)))


# -- the tool itself -------------------------------------------------------------------------------


def test_a_check_is_back_when_the_weaker_gateway_is_gone():
    before = vars(MasksClient)["_share"]
    with without(find("MasksClient._share: self._require_self")):
        assert before is not vars(MasksClient)["_share"]

    assert before is vars(MasksClient)["_share"]


def test_also_after_an_error():
    before = vars(MasksClient)["_require_self"]
    with pytest.raises(SecAggError), without(whole("MasksClient._require_self")):
        raise BadSignature

    assert before is vars(MasksClient)["_require_self"]
    assert isinstance(vars(MasksClient)["_require_floor"], staticmethod)


def test_a_function_is_replaced_wherever_it_was_imported_to():
    with without(find("verify_certificate: len(signers) < quorum")):
        weaker = certificate.verify_certificate
        assert weaker is masks_client.verify_certificate is additive_client.verify_certificate
        assert "without" in weaker.__code__.co_filename
