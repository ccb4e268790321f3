"""A lying gateway against a real server and honest others: exact, or an error that blames it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from msgspec import structs

from protocol_sim.memory import Exchange, points
from protocol_sim.parties import Parties
from secagg import canonical, wire
from secagg.crypto.labels import Label
from secagg.errors import AggregateOutOfRange, InconsistentAnswers, WireError
from secagg.params import Struct
from secagg.protocol.events import GatewayDropped, Send, SharesDisputed
from secagg.protocol.messages import Abort, Answer, Signed, Signer
from secagg.schemes.masks import Masks
from secagg.schemes.masks.messages import STEPS
from secagg.session.client import ABORT
from secagg.session.loopback import Frame
from secagg.thresholds import derive
from tests.session.deceit import CODEC
from tests.strategies import altered, flipped, machine_settings

POINTS = tuple(points(Masks(), derive(4), frames=4))
WORDS = ("zeros", "random", "large", "check")
STEP_OF = {step.name: step for step in STEPS}


class Babble(Exchange):
    """One gateway may upload good masks and tags over words that no codec makes.

    Args:
        liar: name.
        words: one of `WORDS`; None for its honest ones.
    """

    def __init__(self, parties: Parties, liar: str, words: str | None, **options: Any) -> None:
        super().__init__(parties, **options)
        self.liar, self.words = liar, words

    def upload(self, name: str) -> Iterator[Send]:
        if self.words is None or name != self.liar:
            return super().upload(name)
        last, draw = len(self.settings.vectors) - 1, np.random.default_rng(1)

        def fill(vector: int, _first: int, out: np.ndarray) -> None:
            out[:] = {"large": 2**62, "check": (vector == last) << 30}.get(self.words, 0)
            if self.words == "random":
                out[:] = draw.integers(0, 2**64, len(out), np.uint64)

        client = self.clients[name]._client
        return (Send(None, frame) for frame in client.upload(lambda: fill, bytes(32)))


class LyingGateway(RuleBasedStateMachine):
    """Five gateways of which one may lie (C = D = 1), or seven of which one more vanishes."""

    def __init__(self) -> None:
        super().__init__()
        self.signed_a_lie = False
        self.exchange: Exchange | None = None

    @initialize(
        liar=st.sampled_from(["g0", "g2", "g4"]),
        gone=st.sampled_from([None, *POINTS]),
        prefix=st.sampled_from([step.name for step in STEPS]),
        deliveries=st.integers(0, 30),
        interleaved=st.booleans(),
        words=st.sampled_from([None, None, None, *WORDS]),
        vouched=st.booleans(),
    )
    def honest_prefix(
        self,
        *,
        liar: str,
        gone: str | None,
        prefix: str,
        deliveries: int,
        interleaved: bool,
        words: str | None,
        vouched: bool,
    ) -> None:
        self.liar, self.words = liar, words
        parties = Parties(7 if gone else 5)
        vanish = {"g1": gone} if gone else {}
        self.exchange = Babble(
            parties,
            liar,
            words,
            vanish=vanish,
            interleaved=interleaved,
            max_in_flight=1,
            vouched=vouched,
        ).play_until(prefix)
        for _ in range(deliveries):
            self.exchange.step()

    # -- honest moves ------------------------------------------------------------------------------

    @rule(moves=st.integers(1, 12))
    def go_on(self, moves: int) -> None:
        for _ in range(moves):
            self.exchange.step()

    # -- hostile moves: each leaves the honest gateways' frames alone ------------------------------

    def pending(self) -> list[int]:
        """Places of the liar's frames that are under way."""
        frames = enumerate(self.exchange.pending)
        return [place for place, frame in frames if frame.up and frame.gateway == self.liar]

    def say(self, data: bytes, at: int | None = None) -> None:
        frame = Frame(self.liar, up=True, step=self.exchange.server.phase, data=data)
        if at is None:
            self.exchange.pending.append(frame)
        else:
            self.exchange.pending[at] = frame

    @precondition(lambda self: self.exchange and self.pending())
    @rule()
    def keep_silent(self) -> None:
        del self.exchange.pending[self.pending()[-1]]

    @precondition(lambda self: self.exchange and self.pending())
    @rule()
    def say_it_twice(self) -> None:
        at = self.pending()[0]
        self.exchange.pending.insert(at, self.exchange.pending[at])

    @precondition(lambda self: self.exchange and len(self.pending()) > 1)
    @rule()
    def say_it_in_another_order(self) -> None:
        places = self.pending()
        pending = self.exchange.pending
        pending[places[0]], pending[places[-1]] = pending[places[-1]], pending[places[0]]

    @rule(at=st.integers(0, 300))
    def say_what_somebody_said_before(self, at: int) -> None:
        said = [frame for frame in self.exchange.log if frame.up]
        if said:
            self.say(bytes(said[-1 - at % len(said)].data))

    @rule(at=st.integers(0, 300))
    def send_a_request_back(self, at: int) -> None:
        heard = [frame for frame in self.exchange.log if not frame.up]
        if heard:
            self.say(bytes(heard[-1 - at % len(heard)].data))

    @rule(data=st.binary(max_size=80))
    def say_nothing_known(self, data: bytes) -> None:
        self.say(data)

    @precondition(lambda self: self.exchange and self.pending())
    @rule(data=st.data())
    def flip_a_bit(self, data: st.DataObject) -> None:
        at = self.pending()[0]
        self.say(data.draw(flipped(bytes(self.exchange.pending[at].data))), at)

    @rule(reason=st.text(max_size=10))
    def leave(self, reason: str) -> None:
        session = self.exchange.server.session
        key = self.exchange.parties.identities[self.liar].key
        self.sign(ABORT, key, Label.SIGN_ABORT, Abort(session=session, reason=reason))

    def sign(
        self, step: str, key: Signer, label: Label, body: Struct, at: int | None = None
    ) -> None:
        # past the checks of `encode`, which no liar runs
        raw = msgspec.msgpack.encode(body)
        answer = Answer(step=step, signed=Signed(body=raw, signature=key.sign(label, raw)))
        self.say(CODEC.encode(answer, self.exchange.server.session), at)

    @precondition(lambda self: self.exchange and self.signable())
    @rule(data=st.data())
    def sign_a_lie(self, data: st.DataObject) -> None:
        """The answer under way with one field of its body changed, and a good signature."""
        at = self.signable()[0]
        self.lie(answer_of(self.exchange.pending[at].data), at, data)

    @rule(at=st.integers(0, 40), data=st.data())
    def sign_a_lie_afterwards(self, at: int, data: st.DataObject) -> None:
        """Another version of something that it has said before."""
        said = [
            frame
            for frame in self.exchange.log
            if frame.up and frame.gateway == self.liar and answer_of(frame.data)
        ]
        if said:
            self.lie(answer_of(said[-1 - at % len(said)].data), None, data)

    def lie(self, answer: Answer, at: int | None, data: st.DataObject) -> None:
        step = STEP_OF[answer.step]
        body = canonical.decode(step.answer, answer.signed.body)
        name = data.draw(st.sampled_from(step.answer.__struct_fields__))
        value = data.draw(altered(getattr(body, name)))
        self.signed_a_lie = True
        key = self.exchange.signer(self.liar, step)
        self.sign(answer.step, key, step.label, structs.replace(body, **{name: value}), at)

    def signable(self) -> list[int]:
        pending = self.exchange.pending
        return [at for at in self.pending() if answer_of(pending[at].data)]

    # -- the end -----------------------------------------------------------------------------------

    def teardown(self) -> None:
        if self.exchange is None:
            return
        exchange = self.exchange.play()
        for event in exchange.events:
            if isinstance(event, GatewayDropped):
                assert event.id == self.liar or event.id in exchange.allowed
            if isinstance(event, SharesDisputed):
                assert self.liar in {event.holder, event.dealer}
        error = exchange.aborted
        if error is None:
            self.assert_exact(exchange)
        else:
            assert self.signed_a_lie or self.words
            assert isinstance(error, (AggregateOutOfRange, InconsistentAnswers)), error
            assert {self.liar}.issuperset(getattr(error, "culprits", ()))

    def assert_exact(self, exchange: Exchange) -> None:
        included = exchange.included
        assert set(exchange.cohort) - {self.liar} - set(exchange.allowed) <= set(included)
        if self.words is None or self.liar not in included:
            assert exchange.verdict.summed
        else:
            # zeros are an input like any other; nothing else passes
            assert "zeros" == self.words
            others = [name for name in included if name != self.liar]
            right = exchange.parties.expected(exchange.server._server.round, others)
            np.testing.assert_equal(exchange.opened, right)


def answer_of(data: bytes) -> Answer | None:
    """The answer in a frame, if it is one and nobody has flipped a bit that matters."""
    try:
        message = CODEC.decode(wire.open(data))
        step = STEP_OF.get(message.step) if isinstance(message, Answer) else None
        if step is not None:
            canonical.decode(step.answer, message.signed.body)
    except WireError:
        return None
    return message if step is not None else None


TestLyingGateway = LyingGateway.TestCase
TestLyingGateway.settings = machine_settings(examples=120, steps=8)
