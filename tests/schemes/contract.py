"""What every scheme must do, said without knowing any: sessions in, frames and sums out.

Each check takes a scheme and raises AssertionError. `CHECKS` lists them; test_contract.py runs them
on all schemes.
"""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from secagg import canonical, wire
from secagg.errors import (
    AuditFailure,
    BelowThreshold,
    LocalProtocolError,
    WireError,
)
from secagg.protocol.audit import AuditRecord, verify_record
from secagg.protocol.events import Aborted, Completed, PhaseClosed
from secagg.protocol.identity import Identity, Roster
from secagg.protocol.journal import MemoryJournal
from secagg.schemes.scheme import Scheme
from secagg.session.loopback import Frame
from tests.schemes.world import VERIFY, World, block_words, entropy, phases, upload_phase


def assert_right(world: World) -> None:
    """The opened sum is that of the included gateways, and the mean is within its bound."""
    assert world.aborted is None
    assert len(world.included) >= world.settings.thresholds.min_included
    result = world.server.result
    assert_sum(world)
    weights = {i: world.weight(i) for i in world.included}
    total = sum(weights.values())
    real = sum(w * world.update(i)["w"] for i, w in weights.items()) / total
    mean = result.mean(world.update(0))

    assert total == pytest.approx(result.total_weight, abs=len(weights) * 2**-17)
    assert np.abs(mean["w"] - real).max() <= result.error.bound
    assert sum(world.metrics(i)["loss"] for i in weights) == pytest.approx(result.metrics["loss"])


def assert_forgotten(world: World) -> None:
    """The session is over, and with it the orchestrator's key."""
    with pytest.raises(LocalProtocolError, match="erased"):
        world.server._server._private.agree(bytes([9] + [0] * 31))


def assert_sum(world: World) -> None:
    """Every vector is the integer oracle's, updates but for the noise that the scheme states."""
    noise = world.server.settings.carried.noise.bound
    expected = world.expected(world.included)
    for spec, right, sums in zip(
        world.server._server.round.vectors, expected, world.opened, strict=True
    ):
        if not noise or spec.kind != "update":
            assert right == sums
        off = np.abs(np.subtract(right, sums, dtype=object))
        assert off.max() <= noise


SMALL_FRAMES = {
    # the last is long enough for several chunks of any generator inside one frame
    1: ((2, 99), (64, 500), (130, 999), (1 << 14, 250_000)),
    1024: ((1024, 5_000), (2048, 9_000), (3072, 30_000)),
    1280: ((1280, 5_000), (2560, 9_000), (4000, 30_000)),
    4096: ((4096, 10_000), (8192, 20_000), (13_000, 60_000)),
}
"""By words that a scheme keeps together: words of a frame, and coordinates that fill several."""


# -- an honest round -------------------------------------------------------------------------------


def an_honest_round_includes_everybody(scheme: Scheme) -> None:
    for n in (3, 4, 7):
        world = World(scheme, n).play()

        assert {} == world.dropped
        assert tuple(range(n)) == world.included
        assert_right(world)
        assert_forgotten(world)


def events_name_the_phases_in_order(scheme: Scheme) -> None:
    world = World(scheme).play()
    closed = [event for event in world.events if isinstance(event, PhaseClosed)]

    steps = scheme.steps_for(world.settings.thresholds)
    assert [step.name for step in steps] == [event.phase for event in closed]
    assert [step for step in scheme.steps if step in steps] == [*steps]
    assert {step for step in scheme.steps if not step.optional} <= {*steps}
    assert [tuple(world.ids)] * len(closed) == [event.answered for event in closed]
    assert sum(isinstance(event, Completed) for event in world.events) == 1
    assert "done" == world.server.phase


def no_upload_shows_its_input(scheme: Scheme) -> None:
    """Not a proof: equal inputs must not be equal on the wire, nor be the encoded words."""
    tree = {"w": np.zeros(64, np.float32), "steps": np.zeros(3, np.int64)}
    first, second = World(scheme, shared=tree).play(), World(scheme, shared=tree, seed="b").play()
    words = [*first.uploaded().values(), *second.uploaded().values()]

    assert len(words) == 8
    for one, other in itertools.combinations(words, 2):
        assert not (one == other).any()
    for each in words:
        assert each.all()


# -- dropouts --------------------------------------------------------------------------------------


def one_silent_gateway_costs_at_most_its_own_input(scheme: Scheme) -> None:
    for n, i, (at, phase) in itertools.product((4, 5), (0, 2), enumerate(phases(scheme))):
        world = World(scheme, n, vanish={i: phase}).play()
        left_out = {i} if at <= upload_phase(scheme) else set()

        assert {i: "SILENT"} == world.dropped
        assert tuple(j for j in range(n) if j not in left_out) == world.included
        assert_right(world)


def as_many_as_promised_may_vanish_anywhere(scheme: Scheme) -> None:
    n = 6
    assert scheme.thresholds(n).max_dropouts == 2
    for first, second in itertools.product(phases(scheme), repeat=2):
        world = World(scheme, n, vanish={1: first, 4: second}).play()

        assert {1: "SILENT", 4: "SILENT"} == world.dropped
        assert_right(world)


def one_more_than_promised_ends_the_round_or_is_right(scheme: Scheme) -> None:
    for each in itertools.combinations_with_replacement(phases(scheme), 2):
        world = World(scheme, 4, vanish=dict(zip((0, 3), each, strict=True))).play()
        if world.aborted is None:
            assert_right(world)
        else:
            assert isinstance(world.aborted, BelowThreshold)
            assert isinstance(world.events[-1], Aborted)
            assert world.dropped.keys() == world.aborted.dropped.keys()
            with pytest.raises(LocalProtocolError):
                _ = world.server.result
            assert_forgotten(world)
    everybody = dict.fromkeys(range(4), phases(scheme)[-1])
    world = World(scheme, 4, vanish=everybody).play()

    assert isinstance(world.aborted, BelowThreshold)


def half_an_upload_is_not_in_the_sum(scheme: Scheme) -> None:
    honest = World(scheme).play()
    sent = sum(frame.up and frame.gateway == 2 for frame in honest.log)
    for frames, interleaved, in_flight in itertools.product(range(sent + 1), (False, True), (0, 2)):
        settings = {"interleaved": interleaved, "max_in_flight": in_flight}
        world = World(scheme, vanish={2: frames}, **settings).play()

        assert world.dropped.get(2) in ({"SILENT", "VANISHED"} if frames < sent else {None})
        assert_right(world)


# -- the same bytes --------------------------------------------------------------------------------


def same_randomness_gives_the_same_bytes(scheme: Scheme) -> None:
    first, second = (World(scheme, vanish={3: phases(scheme)[-1]}).play() for _ in range(2))
    other = World(scheme, seed="b", vanish={3: phases(scheme)[-1]}).play()

    assert first.log == second.log
    assert {frame.data for frame in first.log}.isdisjoint(frame.data for frame in other.log)
    for world in (first, other):
        assert_sum(world)


def a_repeated_question_gets_the_same_answer(scheme: Scheme) -> None:
    answers: dict[tuple[int, bytes], list[list[bytes]]] = {}

    def twice(frame: Frame) -> Iterator[bytes]:
        yield frame.data
        yield frame.data

    class Listening(World):
        def arrive(self, i: int, data: bytes) -> list[Frame]:
            said = super().arrive(i, data)
            answers.setdefault((i, data), []).append([frame.data for frame in said])
            return said

    once = World(scheme).play()
    world = Listening(scheme, passes=twice).play()

    assert {} == world.dropped
    assert once.opened == world.opened
    assert len(answers) == 4 * len(phases(scheme))
    assert all(len(said) == 2 for said in answers.values())
    for first, second in answers.values():
        assert first == second
        assert len(first) == 1
    assert {(f.gateway, f.data) for f in once.log} == {(f.gateway, f.data) for f in world.log}


def threads_change_nothing(scheme: Scheme) -> None:
    silent, (words, coordinates) = {0: phases(scheme)[-1]}, SMALL_FRAMES[block_words(scheme)][1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire, "FRAME_WORDS", words)
        worlds = [
            World(scheme, coordinates=4 * coordinates, threads=threads, vanish=silent).play()
            for threads in (1, 2, 3)
        ]
    for world in worlds:
        world.workers.close()
        assert worlds[0].log == world.log
        assert worlds[0].opened == world.opened
    assert_right(worlds[1])


def frames_change_no_word(scheme: Scheme) -> None:
    for frame_words, coordinates in SMALL_FRAMES[block_words(scheme)]:
        whole = World(scheme, 3, coordinates=coordinates).play()
        expected = whole.uploaded()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(wire, "FRAME_WORDS", frame_words)
            world = World(scheme, 3, coordinates=coordinates).play()
            uploads = world.uploaded()

        assert len(world.log) > len(whole.log)
        for i in world.ids:
            np.testing.assert_array_equal(expected[i], uploads[i])
        for one, other in zip(whole.opened_words, world.opened_words, strict=True):
            np.testing.assert_array_equal(one, other)


def arrival_changes_nothing(scheme: Scheme) -> None:
    words, coordinates = SMALL_FRAMES[block_words(scheme)][1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire, "FRAME_WORDS", words)
        worlds = [
            World(
                scheme, coordinates=coordinates, interleaved=interleaved, max_in_flight=places
            ).play()
            for interleaved, places in itertools.product((False, True), (0, 1, 4))
        ]
    for world in worlds:
        assert worlds[0].opened == world.opened
        assert worlds[0].server.audit == world.server.audit


# -- what is promised ------------------------------------------------------------------------------


def guarantees_are_sentences_with_the_numbers(scheme: Scheme) -> None:
    for limits in (scheme.thresholds(4), scheme.thresholds(9, max_colluding=2, max_dropouts=1)):
        promise = scheme.guarantees(limits)
        for sentence in (promise.hides, promise.survives, promise.not_promised):
            assert sentence.strip().endswith(".")
            assert sentence[0].isupper()
        for number in (limits.min_included, limits.gateways, limits.max_colluding):
            assert str(number) in promise.hides
        assert str(limits.max_dropouts) in promise.survives


def the_audit_record_verifies_offline(scheme: Scheme) -> None:
    for vanish in ({}, {0: phases(scheme)[upload_phase(scheme)], 5: phases(scheme)[-1]}):
        world = World(scheme, 6, vanish=vanish).play()
        record = canonical.decode(AuditRecord, canonical.encode(world.server.audit))

        assert frozenset(world.included) == verify_record(record, world.roster)
        assert world.dropped == {drop.position: drop.reason for drop in record.dropped}

        strangers = [Identity.generate(i, entropy("stranger", i)) for i in world.ids]
        with pytest.raises(AuditFailure):
            verify_record(record, Roster.of(1, world.orchestrator, strangers))
        _refuse_every_change(record, world)


def _refuse_every_change(record: AuditRecord, world: World) -> None:
    """Flip every seventh byte of all but the last field, which is the server's word."""
    data = canonical.encode(record)
    for at in range(1, len(data) - len(canonical.encode(record.dropped)), 7):
        changed = bytearray(data)
        changed[at] ^= 4
        with pytest.raises((WireError, AuditFailure)):
            verify_record(canonical.decode(AuditRecord, bytes(changed)), world.roster, VERIFY)


def a_round_is_uploaded_once(scheme: Scheme) -> None:
    """Whatever the session, and however the first one ended; the next round is another matter."""
    upload = phases(scheme)[upload_phase(scheme)]
    for vanish in ({}, {0: upload, 1: upload}):
        journals = {i: MemoryJournal() for i in range(4)}
        first = World(scheme, journals=journals, vanish=vanish).play()
        again = World(scheme, journals=journals, session="again").play()
        following = World(scheme, journals=journals, session="next", round=2).play()

        assert bool(vanish) == (first.aborted is not None)
        assert {} == again.uploaded()
        assert isinstance(again.aborted, BelowThreshold)
        assert_right(following)


def memory_of_the_server_does_not_grow_with_the_gateways(scheme: Scheme) -> None:
    """Nearly complete uploads of all gateways wait at the server at once."""
    tree = {"w": np.zeros(500_000, np.float32), "steps": np.zeros(3, np.int64)}
    peaks = {n: _peak_while_uploads_wait(scheme, n, tree) for n in (4, 9)}
    size = World(scheme, shared=tree).server._server.round.words * 8

    assert size > 5 * 10**5
    assert peaks[9] - peaks[4] < size / 2


def _peak_while_uploads_wait(scheme: Scheme, n: int, tree: dict[str, np.ndarray]) -> int:
    class Waiting(World):
        def turn(self) -> None:
            """All frames of an upload but the last leave now."""
            name, held = next(iter(self.uploads)), None
            while (frame := self.next_frame(name)) is not None:
                if held is not None:
                    self.carry(held)
                held = frame
            last.append(held)

    last: list[Frame] = []
    world = Waiting(scheme, n, shared=tree, limits={"max_dropouts": 0})
    world.log = _Nothing()
    tracemalloc.start()
    try:
        world.send(world.start())
        while len(last) < n:
            world.step()
        for frame in last:
            world.carry(frame)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert world.server.phase == phases(scheme)[upload_phase(scheme) + 1]
    return peak


class _Nothing(list):
    def append(self, _frame: Frame) -> None:
        """A log would keep every frame."""


CHECKS = [
    an_honest_round_includes_everybody,
    events_name_the_phases_in_order,
    no_upload_shows_its_input,
    one_silent_gateway_costs_at_most_its_own_input,
    as_many_as_promised_may_vanish_anywhere,
    one_more_than_promised_ends_the_round_or_is_right,
    half_an_upload_is_not_in_the_sum,
    same_randomness_gives_the_same_bytes,
    a_repeated_question_gets_the_same_answer,
    threads_change_nothing,
    frames_change_no_word,
    arrival_changes_nothing,
    guarantees_are_sentences_with_the_numbers,
    the_audit_record_verifies_offline,
    a_round_is_uploaded_once,
    memory_of_the_server_does_not_grow_with_the_gateways,
]
