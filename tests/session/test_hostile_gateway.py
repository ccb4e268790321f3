"""A lying gateway against a real server and honest others: exact, or an error that blames it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from msgspec import structs

from secagg import encoding
from secagg.crypto.labels import Label
from secagg.errors import AggregateOutOfRange, InconsistentAnswers, WireError
from secagg.params import Struct
from secagg.protocol.events import GatewayDropped, Send, SharesDisputed
from secagg.protocol.messages import COMMON, Abort, Answer, Signed
from secagg.schemes.masks.messages import MESSAGES, STEPS
from secagg.session.client import ABORT
from secagg.wire import VECTOR, Codec, MessageTable, type_of, vector_frame_parts
from tests.session.harness import POINTS, Frame, Parties, World, assert_exact
from tests.strategies import altered, flipped, machine_settings

CODEC = Codec(MessageTable(dict(COMMON) | dict(MESSAGES)))
WORDS = ("zeros", "random", "large", "check")
STEP_OF = {step.name: step for step in STEPS}


class LyingGateway(RuleBasedStateMachine):
    """Five gateways of which one may lie (C = D = 1), or seven of which one more vanishes."""

    def __init__(self) -> None:
        super().__init__()
        self.signed_a_lie = False
        self.world: World | None = None

    @initialize(
        liar=st.sampled_from(["g0", "g2", "g4"]),
        gone=st.sampled_from([None, *POINTS]),
        prefix=st.sampled_from([step.name for step in STEPS]),
        deliveries=st.integers(0, 30),
        interleaved=st.booleans(),
        words=st.sampled_from([None, None, None, *WORDS]),
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
    ) -> None:
        self.liar, self.words = liar, words
        parties = Parties(7 if gone else 5)
        vanish = {"g1": gone} if gone else {}
        world = World(
            parties, vanish=vanish, interleaved=interleaved, max_in_flight=1, keep_log=True
        )
        honestly = world.upload
        if words is not None:
            world.upload = lambda name: (self.anything if name == liar else honestly)(name)
        self.world = world
        world.play_until(prefix)
        for _ in range(deliveries):
            self.world.step()

    # -- honest moves ------------------------------------------------------------------------------

    @rule(moves=st.integers(1, 12))
    def go_on(self, moves: int) -> None:
        for _ in range(moves):
            self.world.step()

    # -- hostile moves: each leaves the honest gateways' frames alone ------------------------------

    def pending(self) -> list[int]:
        """Places of the liar's frames that are under way."""
        frames = enumerate(self.world.pending)
        return [place for place, frame in frames if frame.up and frame.gateway == self.liar]

    def say(self, data: bytes, at: int | None = None) -> None:
        frame = Frame(self.liar, up=True, step=self.world.server.phase, data=data)
        if at is None:
            self.world.pending.append(frame)
        else:
            self.world.pending[at] = frame

    @precondition(lambda self: self.world and self.pending())
    @rule()
    def keep_silent(self) -> None:
        del self.world.pending[self.pending()[-1]]

    @precondition(lambda self: self.world and self.pending())
    @rule()
    def say_it_twice(self) -> None:
        at = self.pending()[0]
        self.world.pending.insert(at, self.world.pending[at])

    @precondition(lambda self: self.world and len(self.pending()) > 1)
    @rule()
    def say_it_in_another_order(self) -> None:
        places = self.pending()
        pending = self.world.pending
        pending[places[0]], pending[places[-1]] = pending[places[-1]], pending[places[0]]

    @rule(at=st.integers(0, 300))
    def say_what_somebody_said_before(self, at: int) -> None:
        said = [frame for frame in self.world.log if frame.up]
        if said:
            self.say(bytes(said[-1 - at % len(said)].data))

    @rule(at=st.integers(0, 300))
    def send_a_request_back(self, at: int) -> None:
        heard = [frame for frame in self.world.log if not frame.up]
        if heard:
            self.say(bytes(heard[-1 - at % len(heard)].data))

    @rule(data=st.binary(max_size=80))
    def say_nothing_known(self, data: bytes) -> None:
        self.say(data)

    @precondition(lambda self: self.world and self.pending())
    @rule(data=st.data())
    def flip_a_bit(self, data: st.DataObject) -> None:
        at = self.pending()[0]
        self.say(data.draw(flipped(bytes(self.world.pending[at].data))), at)

    @rule(reason=st.text(max_size=10))
    def leave(self, reason: str) -> None:
        session = self.world.server.session
        self.sign(ABORT, Label.SIGN_ABORT, Abort(session=session, reason=reason))

    def sign(self, step: str, label: Label, body: Struct, at: int | None = None) -> None:
        key = self.world.parties.identities[self.liar].key
        # past the checks of `encode`, which no liar runs
        raw = msgspec.msgpack.encode(body)
        answer = Answer(step=step, signed=Signed(body=raw, signature=key.sign(label, raw)))
        self.say(CODEC.encode(answer, self.world.server.session), at)

    @precondition(lambda self: self.world and self.signable())
    @rule(data=st.data())
    def sign_a_lie(self, data: st.DataObject) -> None:
        """The answer under way with one field of its body changed, and a good signature."""
        at = self.signable()[0]
        self.lie(answer_of(self.world.pending[at].data), at, data)

    @rule(at=st.integers(0, 40), data=st.data())
    def sign_a_lie_afterwards(self, at: int, data: st.DataObject) -> None:
        """Another version of something that it has said before."""
        said = [
            frame
            for frame in self.world.log
            if frame.up and frame.gateway == self.liar and answer_of(frame.data)
        ]
        if said:
            self.lie(answer_of(said[-1 - at % len(said)].data), None, data)

    def lie(self, answer: Answer, at: int | None, data: st.DataObject) -> None:
        step = STEP_OF[answer.step]
        body = encoding.decode(step.answer, answer.signed.body)
        name = data.draw(st.sampled_from(step.answer.__struct_fields__))
        value = data.draw(altered(getattr(body, name)))
        self.signed_a_lie = True
        self.sign(answer.step, step.label, structs.replace(body, **{name: value}), at)

    def signable(self) -> list[int]:
        pending = self.world.pending
        return [at for at in self.pending() if answer_of(pending[at].data)]

    # -- the end -----------------------------------------------------------------------------------

    def teardown(self) -> None:
        if self.world is None:
            return
        world = self.world.play()
        for event in world.events:
            if isinstance(event, GatewayDropped):
                assert event.id == self.liar or event.id in world.vanish
            if isinstance(event, SharesDisputed):
                assert self.liar in {event.holder, event.dealer}
        error = world.aborted
        if error is None:
            self.assert_exact(world)
        else:
            assert self.signed_a_lie or self.words
            assert isinstance(error, (AggregateOutOfRange, InconsistentAnswers)), error
            assert {self.liar}.issuperset(getattr(error, "culprits", ()))

    def assert_exact(self, world: World) -> None:
        included = world.server.result.included
        assert set(world.cohort) - {self.liar} - set(world.vanish) <= set(included)
        if self.words is None or self.liar not in included:
            assert_exact(world)
        else:
            # zeros are an input like any other; nothing else passes
            assert "zeros" == self.words
            assert world.expected(set(included) - {self.liar}) == world.opened

    def anything(self, name: str) -> Iterator[Send]:
        """Frames with good masks and tags over words that no codec makes."""
        last, draw = len(self.world.settings.vectors) - 1, np.random.default_rng(1)

        def fill(vector: int, _first: int, out: np.ndarray) -> None:
            out[:] = {"large": 2**62, "check": int(vector == last)}.get(self.words, 0)
            if self.words == "random":
                out[:] = draw.integers(0, 2**64, len(out), np.uint64)

        client = self.world.clients[name]._client
        return (Send(None, frame) for frame in client.upload(lambda: fill, bytes(32)))


def answer_of(data: bytes) -> Answer | None:
    """The answer in a frame, if it is one and nobody has flipped a bit that matters."""
    try:
        message = CODEC.decode(data, session=None)
        step = STEP_OF.get(message.step) if isinstance(message, Answer) else None
        if step is not None:
            encoding.decode(step.answer, message.signed.body)
    except WireError:
        return None
    return message if step is not None else None


TestLyingGateway = LyingGateway.TestCase
TestLyingGateway.settings = machine_settings(examples=120, steps=8)


def test_a_garbled_word_inside_an_authentic_frame_is_found() -> None:
    """A flip under the tag is a bad frame; the honest sum is untouched."""

    def passes(frame: Frame) -> tuple[bytes, ...]:
        data = bytearray(frame.data)
        if frame.up and frame.gateway == "g2" and type_of(data) == VECTOR:
            words = vector_frame_parts(bytes(data)).words
            assert len(words) > 0
            data[40] ^= 1
        return (bytes(data),)

    world = World(Parties(5), passes=passes).play()

    assert_exact(world)
    assert {"g2": ("masked_input", "BAD_FRAME")} == world.dropped
