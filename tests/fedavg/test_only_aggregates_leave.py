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
from secagg.average import recipe
from secagg.errors import SessionAborted
from secagg.protocol.events import PhaseClosed, Send
from secagg.schemes.masks import masking
from secagg.schemes.masks.client import MasksClient
from secagg.session import ServerSession
from tests.fedavg.spy import Private

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
    _watch_server(watching, monkeypatch)
    return watching


def _learn_secrets(spy: Spy, patch: pytest.MonkeyPatch) -> None:
    """What gateways train and measure, and what they encode before a mask is added."""
    train, measure, write = Gateway.train, Gateway.measure, masking._Thread.write
    # a weight that is nobody's by chance
    patch.setattr(Gateway, "count", property(lambda self: len(self._samples) - 0.6875))

    def trained(self, state, number):
        made = train(self, state, number)
        for key, value in made.items():
            name = f"{self.name}, round {number}, {key}"
            update = (value.double() - state[key].double()).numpy()
            for array in (value.numpy(), update, update.astype(np.float32), update * self.count):
                spy.private.array(name, array)
        spy.private.number(f"weight of {self.name}", self.count)
        return made

    def measured(self, state):
        made = measure(self, state)
        for key, value in made.items():
            spy.private.number(f"{key} of {self.name}", value)
        return made

    def written(self, vector, first_word, out):
        fill = self._fill

        def filled(vector, first_word, out):
            fill(vector, first_word, out)
            spy.private.array(f"encoded vector {vector}", out)

        self._fill = filled
        try:
            write(self, vector, first_word, out)
        finally:
            self._fill = fill

    patch.setattr(Gateway, "train", trained)
    patch.setattr(Gateway, "measure", measured)
    patch.setattr(masking._Thread, "write", written)


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

        def receive(self, sender, frame):
            spy.saw("frames up", spy.private.in_bytes(bytes(frame)))
            return self._watched(super().receive(sender, frame))

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
    patch.setattr(recipe, "ServerSession", Watched)


def run(spy: Spy, output, caplog, *more: str):
    caplog.set_level(logging.DEBUG)
    done = CliRunner().invoke(app, [*RUN, *more, "--output", str(output)])
    spy.look("at the end")
    spy.saw("log", spy.private.in_text(caplog.text))
    spy.saw("terminal", spy.private.in_text(done.output))
    for path in output.rglob("*.*") if output.exists() else ():
        data = path.read_bytes()
        spy.saw(
            f"file {path.name}", spy.private.in_bytes(data) | spy.private.in_text(data.decode())
        )
    return done


def test_nothing_of_one_gateway_is_with_the_orchestrator(spy, tmp_path, caplog):
    done = run(spy, tmp_path / "out", caplog)

    assert 0 == done.exit_code, done.output
    assert {} == spy.found
    # it has looked, at all phases of both rounds, and there was something to find
    assert 2 * 5 + 1 == spy.walks
    assert len(spy.private.arrays) > 500
    assert len(spy.private.numbers) > 2 * 5
    assert (tmp_path / "out" / "report.html").exists()
    assert 2 == len(spy.servers)


def test_control_uploads_without_masks_are_found(spy, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(MasksClient, "_mask_keys", lambda _: [])
    done = run(spy, tmp_path / "out", caplog)

    # the check words say that masks are missing; what was uploaded has been seen all the same
    assert 1 == done.exit_code
    assert isinstance(done.exception, SystemExit | SessionAborted)
    assert any(name.startswith("encoded vector 0") for name in spy.found["frames up"])


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
