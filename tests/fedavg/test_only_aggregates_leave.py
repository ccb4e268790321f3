"""No orchestrator object, file, log, event or frame holds what is one gateway's alone."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import numpy as np
import pytest
from typer.testing import CliRunner

from fedavg import experiment
from fedavg.commands import app
from fedavg.gateway import Gateway
from fedavg.orchestrator import Orchestrator
from secagg.average import everybody
from secagg.errors import SessionAborted
from secagg.params import Ring
from secagg.protocol.events import PhaseClosed, Send
from secagg.schemes.additive.ckks.sampling import GaussianStream
from secagg.schemes.additive.lattice import LatticeRing
from secagg.schemes.additive.lattice.sampling import NoiseStream
from secagg.schemes.additive.product import Multiplier
from secagg.schemes.additive.server import AdditiveServer
from secagg.schemes.masks.client import MasksClient
from secagg.schemes.masks.server import MasksServer
from secagg.session import ServerSession
from secagg.session.update import Update
from tests.fedavg.spy import WINDOW, Private

ODD_WEIGHT, ODD_METRIC = 20481 / 2**16, 12289 / 2**16
"""Taken from weights and metrics: whole numbers would be everywhere, such ones are somebody's."""
RUN = ("run", "--task", "threshold", "--gateways", "5", "--rounds", "2", "--vanish", "1")


class Spy:
    """Knows the gateways' secrets, looks at everything else."""

    def __init__(self) -> None:
        self.private = Private()
        self.found: dict[str, set[str]] = {}
        self.servers: list[ServerSession] = []
        self.orchestrators: list[Orchestrator] = []
        self.events: list[object] = []
        self.walks = 0

    def saw(self, where: str, names: set[str]) -> None:
        if names:
            self.found.setdefault(where, set()).update(names)

    def look(self, where: str) -> None:
        """Everything the orchestrator's side can reach."""
        self.walks += 1
        held = [*self.servers, *self.orchestrators, *self.events]
        self.saw(f"objects {where}", self.private.in_objects(held))


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    watching = Spy()
    _learn_secrets(watching, monkeypatch)
    _learn_encodings(watching, monkeypatch)
    _watch_server(watching, monkeypatch)
    _watch_run(watching, monkeypatch)
    return watching


def _learn_secrets(spy: Spy, patch: pytest.MonkeyPatch) -> None:
    """What gateways train, measure and weigh."""
    train, measure = Gateway.train, Gateway.measure
    patch.setattr(Gateway, "count", property(lambda self: len(self._samples) - ODD_WEIGHT))

    def trained(self, state, number):
        made = train(self, state, number)
        for key, value in made.items():
            name = f"{self.name}, round {number}, {key}"
            update = (value.double() - state[key].double()).numpy()
            for array in (value.numpy(), update, update * self.count):
                for kind in (np.float32, np.float64):
                    # what did not change is the global model's
                    spy.private.array(name, array.astype(kind), mine=update != 0)
        spy.private.number(f"weight of {self.name}", self.count)
        return made

    def measured(self, state):
        made = {key: value - ODD_METRIC for key, value in measure(self, state).items()}
        for key, value in made.items():
            spy.private.number(f"{key} of {self.name}", value)
        return made

    patch.setattr(Gateway, "train", trained)
    patch.setattr(Gateway, "measure", measured)


def _learn_encodings(spy: Spy, patch: pytest.MonkeyPatch) -> None:
    """What gateways encode, before a mask is added, and as coefficients of a ring."""
    source = Update.source

    def spied(self):
        fill, ring = source(self), self._params.ring

        def filled(vector, first_word, out):
            fill(vector, first_word, out)
            spy.private.array(f"encoded vector {vector}", out)
            if ring is not None and vector == 0:  # the update: other vectors are cut into limbs
                for low in _coefficients(out.view(np.int64), ring):
                    spy.private.array(f"encoded vector {vector}", low)
            if len(out) < WINDOW:
                for each in out.tolist():
                    spy.private.word(f"encoded number of vector {vector}", each)

        return filled

    patch.setattr(Update, "source", spied)


def _coefficients(lanes: np.ndarray, ring: Ring) -> Iterator[np.ndarray]:
    """The lower 32 bits of what the ring elements of an update are without keys and noise."""
    if ring.moduli[0] % 2 == 0:  # the lattice: a lane a coefficient
        yield (lanes * ring.step).astype(np.int32)
        return
    for block in range(0, len(lanes), ring.degree):  # ckks: a block of lanes in slots
        slots = np.zeros(ring.degree)
        slots[: len(lanes) - block] = lanes[block : block + ring.degree]
        turn = np.exp(-1j * np.pi / ring.degree * np.arange(ring.degree // 2))
        parts = np.fft.fft(slots.view(complex)) * turn * (2 * ring.step / ring.degree)
        embedded = np.rint(parts.view(float)).astype(np.int64)
        yield (embedded % ring.moduli[0]).astype(np.uint32)


def _watch_run(spy: Spy, patch: pytest.MonkeyPatch) -> None:
    """What the application is told while it runs, and the report in the end."""
    run_all = experiment.run

    def told(handler):
        def keeping(*what):
            spy.events.extend(what)
            return handler(*what)

        return keeping

    def watched(settings, *, clock, **handlers):
        assert {"on_round", "on_event", "on_record"} >= handlers.keys()
        report = run_all(settings, clock=clock, **{k: told(h) for k, h in handlers.items()})
        spy.events.append(report)
        return report

    patch.setattr(experiment, "run", watched)


def _watch_server(spy: Spy, patch: pytest.MonkeyPatch) -> None:
    """Frames both ways, events, the session at every phase, the orchestrator."""
    made = Orchestrator.__init__

    def begun(self, *arguments, **named):
        made(self, *arguments, **named)
        spy.orchestrators.append(self)

    class Watched(ServerSession):
        def __init__(self, *arguments, **named):
            super().__init__(*arguments, **named)
            spy.servers.append(self)

        def start(self):
            return self._watched(super().start())

        def receive(self, sender, frame, **trust):
            spy.saw("frames up", spy.private.in_bytes(bytes(frame)))
            return self._watched(super().receive(sender, frame, **trust))

        def advance(self):
            return self._watched(super().advance())

        def _watched(self, events) -> Iterator[object]:
            for event in events:
                if isinstance(event, Send):
                    spy.saw("frames down", spy.private.in_bytes(bytes(event.frame)))
                else:
                    spy.events.append(event)
                if isinstance(event, PhaseClosed):
                    spy.look(f"after {event.phase}")
                yield event

    patch.setattr(Orchestrator, "__init__", begun)
    patch.setattr(everybody, "ServerSession", Watched)


def run(spy: Spy, output, caplog, *more: str):
    caplog.set_level(logging.DEBUG)
    done = CliRunner().invoke(app, [*RUN, *more, "--output", str(output)])
    spy.look("at the end")
    spy.saw("log", spy.private.in_text(caplog.text))
    spy.saw("terminal", spy.private.in_text(done.output))
    for path in output.rglob("*.*") if output.exists() else ():
        data = path.read_bytes()
        text = data.decode(errors="replace")
        spy.saw(f"file {path.name}", spy.private.in_bytes(data) | spy.private.in_text(text))
    return done


@pytest.mark.parametrize(
    ("scheme", "phases"), [("masks", 5 + 5), ("lattice", 3 + 2), ("ckks", 3 + 2)]
)
def test_nothing_of_one_gateway_is_with_the_orchestrator(scheme, phases, spy, tmp_path, caplog):
    done = run(spy, tmp_path / "out", caplog, "--scheme", scheme)

    assert 0 == done.exit_code, done.output
    assert {} == spy.found
    # it has looked, at all phases of both rounds, and there was something to find
    assert phases + 1 == spy.walks
    assert len(spy.private.patterns) > 1000
    owners = {name.partition(" of ")[0] for name in spy.private.numbers.values()}
    assert {"weight", "loss", "correct", "samples", "encoded number"} == owners
    assert (tmp_path / "out" / "report.html").exists()
    assert 2 == len(spy.servers)
    assert {"PhaseClosed", "Round", "AuditRecord", "Roster", "Report"} <= {
        type(each).__name__ for each in spy.events
    }


def _without_masks(patch: pytest.MonkeyPatch) -> None:
    """The check words say that masks are missing; what was uploaded has been seen all the same."""
    patch.setattr(MasksClient, "_mask_keys", lambda _: [])


def _without_encryption(patch: pytest.MonkeyPatch) -> None:
    """Without products and noise the sum opens all the same."""
    for kind in (NoiseStream, GaussianStream):
        patch.setattr(kind, "noise", lambda *what, noise=kind.noise: noise(*what) * 0)
    product = Multiplier.product

    def nothing(self, *what):
        ring = self._public.ring
        return product(self, *what) * 0 + (ring.modulus if ring.prime else 0)  # `product` says why

    patch.setattr(Multiplier, "product", nothing)


@pytest.mark.parametrize(
    ("scheme", "server", "bare", "phase", "exit_code"),
    [
        ("masks", MasksServer, _without_masks, "masked_input", 1),
        ("lattice", AdditiveServer, _without_encryption, "upload", 0),
        ("ckks", AdditiveServer, _without_encryption, "upload", 0),
    ],
)
def test_control_bare_uploads_and_a_server_that_keeps_them_are_found(
    scheme, server, bare, phase, exit_code, spy, tmp_path, caplog, monkeypatch
):
    """What it keeps is found in it, so what it has of hidden uploads would be as well."""
    receive = server.receive_frame

    def keeping(self, position, frame, **trust):
        self.__dict__.setdefault("kept", []).append(frame.words)
        receive(self, position, frame, **trust)

    monkeypatch.setattr(server, "receive_frame", keeping)
    bare(monkeypatch)
    done = run(spy, tmp_path / "out", caplog, "--scheme", scheme)
    numbers = {"encoded number of vector 1", "encoded number of vector 2"}

    assert exit_code == done.exit_code, done.output
    assert isinstance(done.exception, SystemExit | SessionAborted | None)
    assert {"encoded vector 0"} | (numbers if scheme == "masks" else set()) == (
        spy.found["frames up"]
    )
    assert spy.found["frames up"] == spy.found[f"objects after {phase}"]


def test_control_uploads_without_a_key_and_noise_are_found(spy, tmp_path, caplog, monkeypatch):
    """The encoded words themselves are on the wire."""

    def bare(self, source, secret, *, public, rng):
        del secret, public, rng

        def make():
            encode = source()

            def fill(vector, first, out):
                words = np.zeros(2 * len(out), np.uint64)
                length = self._blocks.lengths[vector]
                encode(vector, 2 * first, words[: min(len(words), length - 2 * first)])
                out[:] = words[: len(out)]

            return fill

        return make

    monkeypatch.setattr(LatticeRing, "encrypt", bare)
    run(spy, tmp_path / "out", caplog, "--scheme", "lattice")

    assert "encoded vector 0" in spy.found["frames up"]


def test_control_an_orchestrator_that_keeps_updates_is_found(spy, tmp_path, caplog, monkeypatch):
    updates = Orchestrator.updates

    def keeping(self, *arguments):
        def kept(name, promise):
            def update():
                state = promise()
                self.__dict__.setdefault("kept", []).append((name, state))
                return state

            return update

        return {name: kept(name, each) for name, each in updates(self, *arguments).items()}

    monkeypatch.setattr(Orchestrator, "updates", keeping)
    run(spy, tmp_path / "out", caplog)

    assert any(name.startswith("g01, round 1") for name in spy.found["objects after masked_input"])


def test_control_a_file_and_a_log_line_are_found(spy, tmp_path, caplog, monkeypatch):
    run_all = experiment.run
    output = tmp_path / "out"

    def telling(*arguments, **named):
        done = run_all(*arguments, **named)
        weight = next(iter(spy.private.numbers))
        logging.getLogger("fedavg").debug("a gateway's number: %r", weight)
        (output / "more.json").write_text(json.dumps([weight]))
        return done

    monkeypatch.setattr(experiment, "run", telling)
    run(spy, output, caplog)

    assert {"log", "file more.json"} <= spy.found.keys()


def test_control_metrics_kept_by_the_orchestrator_are_found(spy, tmp_path, caplog, monkeypatch):
    measure = Gateway.measure
    kept = []

    def keeping(self, state):
        made = measure(self, state)
        kept.append(made)
        return made

    monkeypatch.setattr(Gateway, "measure", keeping)
    spy.events.append(kept)  # as an event handler of the application might
    run(spy, tmp_path / "out", caplog)

    assert any(name.startswith("loss of") for name in spy.found["objects at the end"])
