"""Who asks for one value under one bound after another learns nothing from who uploads.

A lying orchestrator chose a bound, a limit, a cap or a tie in each session and saw whether the
gateway uploaded: 52 sessions read a metric to its last bit, 24 a weight, 40 a coordinate. Here all
sessions are real and the orchestrator has nothing but its questions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import msgspec
import numpy as np
import pytest

from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from secagg import wire
from secagg.errors import EncodingError
from secagg.params import RoundParams
from secagg.protocol.events import Aborted, UpdateDue
from secagg.protocol.journal import MemoryJournal
from secagg.protocol.messages import COMMON, sign_round
from secagg.protocol.policy import Policy
from secagg.schemes.additive import Lattice
from secagg.schemes.masks import Masks
from secagg.session.settings import SessionSettings, UpdateEncoding
from secagg.wire import Codec, MessageTable

replace = msgspec.structs.replace
Params = RoundParams
ME = "g2"
POLICY = Policy(min_colluding=1, require_model=False)
CLIP, CAP, BOUND = 1.11, 8.0, 10.0
UPLOADS, REFUSES = "uploads", "refuses the update"

TREE = {"a": np.full(3, 0.5), "b": np.full(3, 0.5), "steps": np.full(2, 7), "empty": np.zeros(0)}
TIED = np.zeros(3)


@dataclass(frozen=True)
class Data:
    """What the gateway has: it is within every bound but where a test says otherwise."""

    tree: Mapping[str, Any] = field(default_factory=dict)
    weight: float = 2.0
    loss: float = 1.0

    def upload(self, client: Any) -> Iterator[Any]:
        return client.upload(TREE | self.tree, self.weight, metrics={"loss": self.loss})


@dataclass(frozen=True)
class Question:
    """What one session shows.

    Attributes:
        encoding: that differ from the honest settings.
        gateways: n.
        scheme: of the session.
        template: a tree like the gateway's, in another order or with other ties.
        lie: changes P as no honest orchestrator would make it.
    """

    encoding: Mapping[str, Any] = field(default_factory=dict)
    gateways: int = 4
    scheme: Any = field(default_factory=Masks)
    template: Mapping[str, Any] = field(default_factory=lambda: TREE)
    lie: Callable[[Params], Params] = lambda params: params

    def settings(self, ids: tuple[str, ...], number: int) -> SessionSettings:
        honest = {"clip": CLIP, "max_weight": CAP, "metrics": {"loss": BOUND}, "precision": 1.0}
        encoding = UpdateEncoding(**(honest | self.encoding))
        cohort = ids[: self.gateways]
        return SessionSettings.of(self.scheme, encoding, self.template, cohort, number=number)


class Asked:
    """One gateway with one journal, asked again and again under one roster."""

    def __init__(self, policy: Policy = POLICY) -> None:
        self.policy, self.journal, self.rounds = policy, MemoryJournal(), count(1)
        self.epoch = 1

    def answer(self, question: Question, data: Data) -> str:
        """UPLOADS, REFUSES, or the error by which P was refused before the update was looked at."""
        number, scheme = next(self.rounds), question.scheme
        parties = Parties(
            6, scheme, epoch=self.epoch
        )  # one seed: the same identities and roster each time
        settings = question.settings(parties.ids, number)
        exchange = Exchange(parties, number, cohort=settings.cohort, settings=settings)
        exchange.clients[ME] = client = parties.client(
            ME, number, policy=self.policy, journal=self.journal
        )
        exchange.play_until("masked_input" if scheme.name == "masks" else "upload")
        asked = next(frame for frame in exchange.pending if frame.gateway == ME)
        codec = Codec(MessageTable(dict(COMMON) | dict(scheme.messages)))
        request = codec.decode(wire.open(asked.data))
        params = question.lie(request.round.claimed)
        lie = replace(request, round=sign_round(parties.orchestrator.key, params))
        for event in client.receive(codec.encode(lie, exchange.server.session)):
            if isinstance(event, Aborted):
                return type(event.reason).__name__
            if isinstance(event, UpdateDue):
                try:
                    return UPLOADS if list(data.upload(client)) else "nothing"
                except EncodingError:
                    return REFUSES
        raise AssertionError("neither an update nor an end")


def vector(name: str, **changes: Callable[[Any], Any]) -> Callable[[Params], Params]:
    """A lie about one vector."""

    def lie(params: Params) -> Params:
        changed = [
            replace(each, **{key: change(each) for key, change in changes.items()})
            if each.name.startswith(name)
            else each
            for each in params.vectors
        ]
        return params.replace(vectors=tuple(changed))

    return lie


FACTORS = (0.1, 0.99, 1 - 1e-8, 1 + 1e-8, 10.0)
HONEST = Question()
QUESTIONS = {
    "honest": [HONEST, HONEST],
    "bound of the update": [Question({"clip": CLIP * f}) for f in FACTORS],
    "bound of one key": [Question({"clip": {"b": CLIP * f, "*": CLIP}}) for f in FACTORS],
    "groups": [Question({"clip": {"b": CLIP * (1 + 1e-10), "*": CLIP}})],
    "cap": [Question({"max_weight": CAP * f}) for f in FACTORS],
    "bound of the metric": [Question({"metrics": {"loss": BOUND * f}}) for f in FACTORS],
    "bound of integers": [Question({"integers": b}) for b in (1, 6, 7, 8, 1000)],
    "clipping": [Question({"clipping": "saturate"})],
    "lanes": [Question({"precision": p}) for p in (1.0, 2**-12, 2**-20, 2**-30)],
    "n": [Question(gateways=n) for n in (4, 5, 6)],
    "scheme": [Question(scheme=Lattice()), Question({"precision": 2**-20}, scheme=Lattice())],
    "order": [Question(template=dict(reversed(TREE.items())))],
    "ties": [Question(template=TREE | {"a": TIED, "b": TIED})],
    "scale": [
        Question(lie=vector("update", scale=lambda v, f=f: v.scale / f), scheme=scheme)
        for f in FACTORS
        for scheme in (Masks(), Lattice())
    ],
    "limit": [
        Question(lie=vector("update", limit=lambda v, f=f: max(1, int(v.limit * f))), scheme=scheme)
        for f in FACTORS[:2]
        for scheme in (Masks(), Lattice())
    ],
    "limit and scale": [
        Question(
            lie=vector(
                "update",
                limit=lambda v, f=f: max(1, int(v.limit * f)),
                scale=lambda v, f=f: v.scale * max(1, int(v.limit * f)) / v.limit,
            ),
            scheme=scheme,
        )
        for f in FACTORS[:2]
        for scheme in (Masks(), Lattice())
    ],
    "limits and scales of the rest": [
        Question(lie=vector(name, **change))
        for name in ("integers", "weight", "metrics", "counts")
        for change in ({"limit": lambda v: v.limit // 2}, {"scale": lambda v: v.scale / 2})
    ],
    "a metric twice": [
        Question(lie=lambda params: params.replace(metrics=params.metrics * 2)),
    ],
}
EDGE = CLIP * (1 + 2.0**-22)
LEAST = CAP * 2.0**-24 / 2
DATA = {
    "everything within": (Data(), UPLOADS),
    "a coordinate beyond": (Data({"b": np.array([0.5, 1.12, 0.5])}), REFUSES),
    "one at the edge": (Data({"b": np.full(3, CLIP)}), UPLOADS),
    "one that float32 takes back": (Data({"b": np.full(3, EDGE * (1 + 1e-9))}), UPLOADS),
    "one that it leaves": (Data({"b": np.full(3, EDGE * (1 + 2.0**-23))}), REFUSES),
    "one beyond float32": (Data({"b": np.full(3, 1e39)}), REFUSES),
    "a weight beyond": (Data(weight=CAP * (1 + 1e-12)), REFUSES),
    "a weight at the cap": (Data(weight=CAP), UPLOADS),
    "the least weight": (Data(weight=LEAST), UPLOADS),
    "a weight below": (Data(weight=LEAST * (1 - 1e-12)), REFUSES),
    "a metric beyond": (Data(loss=4905.153086955222), UPLOADS),
    "a metric that is none": (Data(loss=float("nan")), UPLOADS),
    "an integer beyond": (Data({"steps": np.array([2**63 - 1, -(2**63)])}), UPLOADS),
    "leaves that differ": (Data({"a": np.full(3, 0.25)}), UPLOADS),
    "tied leaves, one beyond": (Data({"a": np.full(3, 2.0)}), REFUSES),
}
ACCEPTED = {"honest", "groups", "bound of integers", "lanes", "n", "scheme", "order"}
"""Levers that decide nothing, and that an honest orchestrator uses from round to round."""


@pytest.mark.parametrize("lever", QUESTIONS)
def test_a_session_says_nothing_that_the_gateways_own_bounds_do_not(lever: str) -> None:
    """For one set of data the answer never depends on P, and what P is refused not on the data."""
    refused = set()
    for data, answer in DATA.values():
        gateway = Asked()
        assert answer == gateway.answer(HONEST, data)
        answers = [gateway.answer(question, data) for question in QUESTIONS[lever]]
        before = tuple(each if each not in {UPLOADS, REFUSES} else "" for each in answers)
        refused.add(before)

        assert {*answers} - {*before} <= {answer}
    assert 1 == len(refused)
    assert not any(before) if lever in ACCEPTED else all(before)


@pytest.mark.parametrize(
    ("lever", "data", "value"),
    [
        (lambda b: Question({"clip": b}), Data({"b": np.full(3, 0.126106176)}), 0.126106176),
        (lambda b: Question({"max_weight": b}), Data(weight=1.17), 1.17),
    ],
)
def test_where_no_bounds_are_kept_the_same_questions_read_a_value(
    lever: Callable[[float], Question], data: Data, value: float
) -> None:
    """The control: what the test above says, it could find out."""
    gateway = Asked(msgspec.structs.replace(POLICY, keep_bounds=False))
    data = dataclasses.replace(data, tree={"a": np.zeros(3)} | data.tree)
    low, high = 0.0, 8.0
    for _ in range(20):
        middle = (low + high) / 2
        if gateway.answer(lever(middle), data) == UPLOADS:
            high = middle
        else:
            low = middle

    assert value == pytest.approx(high, abs=2e-5)
