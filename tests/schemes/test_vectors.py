"""Frozen messages and sessions of the masks scheme: said as written, and what must fail fails."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import msgspec
import pytest

from secagg import canonical, errors, params, wire
from secagg.crypto.signing import SigningKey
from secagg.protocol import audit, certificate, identity, messages
from secagg.protocol.events import Aborted
from secagg.schemes.masks import messages as masks
from secagg.schemes.masks.reference import Coins, run_masks
from secagg.session.loopback import Frame
from tests.vectors import generate_masks, messages_by_hand
from tests.vectors.lies import CODEC, LIAR, TO_CLIENT, TO_SERVER

VECTORS = Path(generate_masks.__file__).parent
MESSAGES, SESSION = (
    json.loads((VECTORS / name).read_text("utf-8"))["operations"] for name in generate_masks.FILES
)
FIRST, SECOND = (each for each in SESSION if each["operation"] == "session")
LIES = [each for each in SESSION if each["operation"] == "lie"]
FRAMES = [(way, i, bytes.fromhex(data)) for way, i, data in FIRST["frames"]]


def named(operation):
    what = operation.get("what", operation.get("type", operation["operation"]))
    return f"{operation['operation']}-{what}".replace(" ", "-")


@pytest.mark.parametrize("name", generate_masks.FILES)
def test_generator_reproduces_frozen_file(name):
    expected = (VECTORS / name).read_text("utf-8")

    assert expected == generate_masks.render(generate_masks.FILES[name]())
    assert len(expected) < 200_000


# -- messages and frames ---------------------------------------------------------------------------


def kind(name):
    places = (params, identity, messages, masks, certificate, audit)
    return next(getattr(place, name) for place in places if hasattr(place, name))


def perform(operation):
    if operation["operation"] == "message":
        decoded = canonical.decode(kind(operation["type"]), bytes.fromhex(operation["expected"]))
        fields = messages_by_hand.plain(_builtins(decoded))
        return fields, canonical.encode(decoded).hex()
    frame = bytes.fromhex(operation["frame"])
    if operation["operation"] == "vector":
        parts = wire.open(frame).vector()
        return parts.sequence, list(map(str, parts.words.tolist())), parts.tag.hex()
    envelope = wire.open(frame)
    if envelope.session != bytes.fromhex(operation["session"]):
        raise errors.ForeignSession
    message = CODEC.decode(envelope)
    return type(message).__name__, CODEC.encode(message, envelope.session).hex()


def _builtins(value):
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.astuple(value)
    return [*map(_builtins, value)] if isinstance(value, tuple) else value


def expected_of(operation):
    if operation["operation"] == "message":
        return operation["fields"], operation["expected"]
    if operation["operation"] == "vector":
        return operation["sequence"], operation["words"], operation["tag"]
    return operation["type"], operation["frame"]


@pytest.mark.parametrize("operation", MESSAGES, ids=named)
def test_frozen_message(operation):
    if not operation["success"]:
        with pytest.raises(getattr(errors, operation["error"])):
            perform(operation)
        return

    assert expected_of(operation) == perform(operation)


def test_every_message_of_the_scheme_is_frozen():
    frozen = {operation["type"] for operation in MESSAGES if operation["operation"] == "message"}
    framed = {operation.get("type") for operation in MESSAGES if operation["operation"] == "frame"}
    table = dict(messages.COMMON) | dict(masks.MESSAGES)

    assert framed >= {each.__name__ for each in table.values()}
    assert frozen >= framed - {None} | {step.answer.__name__ for step in masks.STEPS}


# -- sessions --------------------------------------------------------------------------------------


@pytest.mark.parametrize("i", range(4))
def test_a_client_says_what_is_frozen(i):
    said = _said(generate_masks.first_world(), i, FRAMES)

    assert [data for way, sender, data in FRAMES if (way, sender) == ("up", i)] == said


def _said(world, i, frames):
    """What a gateway answers to those of the frames that are for it."""
    said = []
    for way, to, data in frames:
        if (way, to) == ("down", i):
            said += [frame.data for frame in world.arrive(i, data)]
            while i in world.uploads and (frame := world.next_frame(i)):
                said.append(frame.data)
    return said


class Orchestrator:
    """The server, given the frames of gateways; time is up when it owes a frame."""

    def __init__(self):
        self.world = generate_masks.first_world()
        self.sent = []
        self._note(self.world.start())

    def take(self, frames):
        for way, i, data in frames:
            if way == "up":
                self._note(self.world.deliver(Frame(i, up=True, step="", data=data)))
            elif (way, i, data) not in self.sent:
                self.time_is_up()
                assert (way, i, data) in self.sent

    def time_is_up(self):
        self._note(self.world.advance())

    def _note(self, frames):
        self.sent += [("down", frame.gateway, frame.data) for frame in frames]


def test_the_server_says_what_is_frozen():
    orchestrator = Orchestrator()
    orchestrator.take(FRAMES)
    world = orchestrator.world

    assert [3] == [to for way, to, data in orchestrator.sent if (way, to, data) not in FRAMES]
    assert FIRST["included"] == [*world.included]
    assert FIRST["sums"] == [list(map(str, sums)) for sums in world.opened]
    assert FIRST["audit"] == canonical.encode(world.server.audit).hex()


def test_the_reference_says_what_is_frozen():
    k = canonical.decode(params.SessionParams, bytes.fromhex(FIRST["K"]))
    p = canonical.decode(params.RoundParams, bytes.fromhex(FIRST["P"]))
    coins, keys = [], []
    for client in FIRST["clients"]:
        stream = iter(bytes.fromhex(client["coefficients"]))
        secrets = (bytes.fromhex(client[name]) for name in ("channel_key", "key_seed", "seed"))
        coins.append(Coins(*secrets, lambda size, s=stream: bytes(next(s) for _ in range(size))))
        keys.append(SigningKey(bytes.fromhex(client["identity"])))
    inputs = [[list(map(int, x)) for x in vectors] for vectors in FIRST["inputs"]]
    vanish = {int(i): phase for i, phase in FIRST["vanish"].items()}
    outcome = run_masks(k, p, keys, coins, inputs, vanish)
    session = k.session
    small = {
        (i, CODEC.encode(messages.Answer(step=step, signed=signed), session))
        for (step, i), signed in outcome.said.items()
    }
    vectors = {
        (i, tuple(wire.open(data).vector().words.tolist()))
        for way, i, data in FRAMES
        if way == "up" and wire.open(data).type == wire.VECTOR
    }

    assert FIRST["included"] == outcome.included
    assert FIRST["sums"] == [list(map(str, sums)) for sums in outcome.sums]
    assert small == {
        (i, data) for way, i, data in FRAMES if way == "up" and wire.open(data).type != wire.VECTOR
    }
    assert vectors == {(i, tuple(y)) for i, ys in outcome.masked.items() for y in ys}


def test_the_second_session_is_frozen_in_digests():
    world = generate_masks.second_world().play()

    assert SECOND["digests"] == generate_masks.digests(world)
    assert SECOND["sums"] == [list(map(str, sums)) for sums in world.opened]
    assert SECOND["included"] == [*world.included]


@pytest.mark.parametrize("session", [FIRST, SECOND], ids=["first", "second"])
def test_the_frozen_audit_record_verifies(session):
    roster = canonical.decode(identity.Roster, bytes.fromhex(session["roster"]))
    record = canonical.decode(audit.AuditRecord, bytes.fromhex(session["audit"]))

    assert set(session["included"]) == audit.verify_record(record, roster)


# -- what must fail --------------------------------------------------------------------------------


@pytest.mark.parametrize("lie", LIES, ids=named)
def test_a_frozen_lie_is_not_believed(lie):
    way = FRAMES[lie["instead_of"]][0]
    before, after = FRAMES[: lie["instead_of"]], FRAMES[lie["instead_of"] + 1 :]
    if way == "down":
        assert lie["error"] == _error_at_client(before, bytes.fromhex(lie["frame"]))
    else:
        assert lie["error"] == _reason_at_server(before, bytes.fromhex(lie["frame"]), after)


def _error_at_client(before, frame):
    world = generate_masks.first_world()
    _said(world, LIAR, before)
    try:
        events = list(world.clients[LIAR].receive(frame))
    except (errors.WireError, errors.ForeignSession) as error:
        return type(error).__name__
    # a farewell, and the reason; no answer
    farewell, aborted = events
    answer = CODEC.decode(wire.open(farewell.frame))
    assert isinstance(aborted, Aborted)
    assert answer.step == "abort"
    return type(aborted.reason).__name__


def _reason_at_server(before, frame, after):
    orchestrator = Orchestrator()
    orchestrator.take([*before, ("up", LIAR, frame)])
    # what else comes in this phase
    orchestrator.take(itertools.takewhile(lambda f: f[0] == "up" or f in orchestrator.sent, after))
    if orchestrator.world.running:
        orchestrator.time_is_up()
    return orchestrator.world.dropped.get(LIAR)


def test_every_message_is_lied_about():
    assert set(TO_CLIENT) == {step.request for step in masks.STEPS}
    assert set(TO_SERVER) == {step.answer for step in masks.STEPS}
    assert {False} == {lie["success"] for lie in LIES}
