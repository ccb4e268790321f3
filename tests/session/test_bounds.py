"""A gateway's own bounds: the policy's from the first round on, else those of the first round."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from secagg import SecureAverage
from secagg.errors import ConfigurationError, ModelMismatch, PolicyViolation, WireError
from secagg.protocol.bounds import Bounds
from secagg.protocol.events import Aborted
from secagg.protocol.journal import MemoryJournal
from secagg.protocol.policy import RETRIES, Policy
from secagg.session import Model
from tests.session.test_bisection import (
    BOUND,
    CAP,
    CLIP,
    HONEST,
    POLICY,
    TREE,
    UPLOADS,
    Asked,
    Data,
    Question,
)

RECIPE = SecureAverage(clip={"a": CLIP, "*": CLIP}, max_weight=CAP, metric_bounds={"loss": BOUND})
OTHERS = [
    Question({"clip": 2 * CLIP}),
    Question({"max_weight": 2 * CAP}),
    Question({"metrics": {"loss": 2 * BOUND}}),
    Question({"clipping": "saturate"}),
    Question({"purpose": "evaluate"}),
    Question(gateways=4),
]


def policy(**changes: Any) -> Policy:
    made = RECIPE.policy(TREE, 4, metrics=["loss"])
    return msgspec.structs.replace(made, require_model=False, **changes)


def test_the_policy_of_a_recipe_takes_its_rounds_and_no_others() -> None:
    gateway = Asked(policy(min_colluding=1))

    assert ["PolicyViolation"] * 5 == [gateway.answer(each, Data()) for each in OTHERS[:5]]
    assert UPLOADS == gateway.answer(HONEST, Data())


def test_a_policy_is_a_file() -> None:
    made = policy(bounds={"train": Bounds(clip={"b": 0.5, "*": 2}, integers=7), "sum": Bounds()})

    assert made == Policy.load(made.dump())
    assert ["b", "*"] == list(Policy.load(made.dump()).bounds["train"].clip)
    assert Policy() == Policy.load(Policy().dump())
    with pytest.raises(WireError, match="clip"):
        Policy.load(made.dump().replace(b'"b": 0.5', b'"b": "0.5"'))
    with pytest.raises(WireError, match="not a secagg gateway policy"):
        Policy.load(b"{}")


def test_a_policy_is_saved_whole(tmp_path: Any) -> None:
    path = tmp_path / "policy.json"
    policy().save(path)

    assert policy() == Policy.load(path.read_bytes())


@pytest.mark.parametrize(
    "wrong",
    [
        {"clip": 0.0},
        {"clip": {"a": -1}},
        {"clip": "1"},
        {"max_weight": float("inf")},
        {"max_weight": True},
        {"metrics": {"loss": float("nan")}},
        {"metrics": [1.0]},
        {"integers": 0},
        {"clipping": "drop"},
    ],
)
def test_a_bound_is_a_positive_number(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong)).removesuffix("s")):
        Bounds(**wrong)


def test_numbers_of_other_libraries_are_taken() -> None:
    assert Bounds(clip=np.float32(1), integers=np.int64(7)) == Bounds(clip=1.0, integers=7)


def test_a_purpose_is_a_word() -> None:
    with pytest.raises(ConfigurationError, match="purpose"):
        Policy(bounds={"Train!": Bounds()})


def test_purposes_have_bounds_of_their_own() -> None:
    gateway = Asked(
        msgspec.structs.replace(POLICY, bounds={"train": Bounds(), "evaluate": Bounds()})
    )
    wider = {"clip": 2 * CLIP}

    assert UPLOADS == gateway.answer(HONEST, Data())
    assert UPLOADS == gateway.answer(Question(wider | {"purpose": "evaluate"}), Data())
    assert "PolicyViolation" == gateway.answer(Question(wider), Data())
    assert "PolicyViolation" == gateway.answer(Question({"purpose": "evaluate"}), Data())
    assert "PolicyViolation" == gateway.answer(Question({"purpose": "statistics"}), Data())


def test_a_new_roster_keeps_the_policys_bounds_and_no_others() -> None:
    kept, given = (
        Asked(),
        Asked(msgspec.structs.replace(POLICY, bounds={"train": Bounds(clip=CLIP)})),
    )
    wider = Question({"clip": 2 * CLIP})
    for gateway in (kept, given):
        assert UPLOADS == gateway.answer(HONEST, Data())
        assert "PolicyViolation" == gateway.answer(wider, Data())
        gateway.epoch += 1

    assert UPLOADS == kept.answer(wider, Data())
    assert "PolicyViolation" == given.answer(wider, Data())


def test_what_a_policy_accepts_is_not_told() -> None:
    """The orchestrator hears which quantity it is; the error's attributes have the rest."""
    parties = Parties(4)
    exchange = Exchange(parties)
    strict = Policy(min_colluding=1, require_model=False, bounds={"train": Bounds(clip=0.4242)})
    exchange.clients["g2"] = parties.client("g2", policy=strict)
    exchange.play()
    (ended,) = [each for each in exchange.client_events["g2"] if isinstance(each, Aborted)]
    told = exchange.server.dropped["g2"].detail

    assert isinstance(ended.reason, PolicyViolation)
    assert "PolicyViolation: the policy of this gateway refuses the bound of 'clip w'" == told
    assert "4242" not in str(ended.reason) + repr(ended.reason)
    assert (pytest.approx(1.0), 0.4242) == (ended.reason.announced, ended.reason.accepted)


# -- a model again ---------------------------------------------------------------------------------


class Training:
    """Rounds on one model, by gateways with the default policy; the last keeps its journal."""

    def __init__(self) -> None:
        self.model, self.journal, self.number = Model({"w": np.zeros(7)}), MemoryJournal(), 0

    def round(self, *, retry: bool = False, purpose: str = "train", epoch: int = 1) -> Any:
        self.number += 1
        parties = Parties(4, epoch=epoch)
        average = SecureAverage(clip=1.0, purpose=purpose)
        settings = average.params(
            parties.ids, self.model.tree, round=self.number, base=self.model, retry=retry
        )
        exchange = Exchange(parties, self.number, settings=settings, model=self.model)
        allowed = Policy(bounds={"train": Bounds(), "evaluate": Bounds()})
        for name in parties.ids:
            exchange.clients[name] = parties.client(
                name, self.number, policy=allowed,
                journal=self.journal if name == "g3" else MemoryJournal(),
            )  # fmt: skip
        exchange.prepare = lambda name: (
            lambda: exchange.clients[name].upload({"w": np.full(7, 0.5)}, base=self.model)
        )
        exchange.run()
        (*_, last) = exchange.client_events["g3"]
        return type(last.reason) if isinstance(last, Aborted) else exchange.server.result


def test_a_model_is_used_once_and_in_three_retries() -> None:
    training = Training()

    assert ("g0", "g1", "g2", "g3") == training.round().included
    assert ModelMismatch is training.round()
    for _ in range(RETRIES):
        assert "g3" in training.round(retry=True).included
    with pytest.raises(ModelMismatch):  # by the first frame: its hash is not that in P
        training.round(retry=True)
    assert "g3" in training.round(purpose="evaluate").included


def test_a_model_stays_used_under_another_roster() -> None:
    training = Training()
    training.round()

    assert ModelMismatch is training.round(epoch=2)
