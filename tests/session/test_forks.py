"""A fork has a copy of a gateway's memory: it says and uploads nothing in its parent's sessions."""

from __future__ import annotations

import copy
import os
import pickle
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from secagg.average import SecureAverage
from secagg.crypto.secret import Secret
from secagg.errors import ConfigurationError, LocalProtocolError, SecAggError
from secagg.protocol.identity import Identity
from secagg.protocol.journal import Journal, MemoryJournal
from secagg.protocol.sqlite_journal import SQLiteJournal
from secagg.schemes.additive import Lattice
from secagg.schemes.masks import Masks
from secagg.workers import Workers

REFUSED = "LocalProtocolError: this {} belongs to the process that made it"
ROSTER, SESSION, MODEL = bytes(32), bytes(16), b"m" * 32


def in_a_fork(work: Callable[[], object]) -> str:
    """How it ends in a child of this process."""
    read, write = os.pipe()
    if not os.fork():
        signal.alarm(30)  # a child that hangs is ended, and has said nothing
        said = "another error"
        try:
            said = f"done: {work()!r}"
        except SecAggError as error:
            said = f"{type(error).__name__}: {error}"
        finally:  # nothing of this child's may run on
            os.write(write, said.encode())
            os._exit(0)
    os.wait()
    os.close(write)
    with os.fdopen(read) as pipe:
        return pipe.read()


@pytest.fixture(params=[MemoryJournal, SQLiteJournal])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    if request.param is MemoryJournal:
        yield MemoryJournal()
        return
    with SQLiteJournal(tmp_path / "journal.db", create=True) as opened:
        yield opened


@pytest.mark.parametrize("scheme", [Masks(), Lattice()], ids=["masks", "lattice"])
def test_a_fork_uploads_nothing(scheme: Masks | Lattice, journal: Journal) -> None:
    """y1 - y2 of a parent and its child opened x1 - x2."""
    parties = Parties(4, scheme, coordinates=300_000)  # more than one frame
    parties.journals["g1"] = journal
    exchange = Exchange(parties)
    exchange.run(until=next(step.name for step in scheme.steps if step.upload))
    while "g1" not in exchange.uploads:
        exchange.step()
    session = exchange.clients["g1"]
    last = exchange.log[-1].data

    assert in_a_fork(lambda: next(exchange.uploads["g1"])).startswith(REFUSED.format("upload"))
    exchange.send([exchange.next_frame("g1")])
    assert in_a_fork(lambda: next(exchange.uploads["g1"])).startswith(REFUSED.format("upload"))
    for use in (
        lambda: exchange.upload("g1"),
        lambda: session.receive(last),
        lambda: session.abort("left"),
        exchange.server.start,
        exchange.server.advance,
        lambda: exchange.server.receive("g1", last),
        lambda: exchange.server.use_model(None),
    ):
        assert in_a_fork(use).startswith(REFUSED.format("session"))
    assert exchange.play().verdict.summed


def test_a_fork_of_a_journal_is_refused(journal: Journal) -> None:
    journal.claim(ROSTER, 1, SESSION)
    journal.store_prekey(ROSTER, 1, b"k" * 32)
    for use in (
        lambda: journal.last_round(ROSTER),
        lambda: journal.claim(ROSTER, 1, SESSION),
        lambda: journal.spend(ROSTER, 1, SESSION, MODEL, purpose="train"),
        lambda: journal.model_used("train", MODEL),
        lambda: journal.pin(ROSTER, "train", {}),
        lambda: journal.get(SESSION, "step"),
        lambda: journal.put(SESSION, "step", b"", b""),
        lambda: journal.forget(SESSION),
        lambda: journal.store_prekey(ROSTER, 2, bytes(32)),
        lambda: journal.prekey(ROSTER, 1),
        lambda: journal.forget_prekeys(ROSTER, 1),
    ):
        assert in_a_fork(use).startswith(REFUSED.format("journal"))
    assert journal.prekey(ROSTER, 1) == b"k" * 32


def test_a_fork_reveals_no_secret() -> None:
    secret = Secret(b"private")

    assert in_a_fork(secret.reveal).startswith(REFUSED.format("secret"))
    assert secret.reveal() == b"private"


def test_what_belongs_to_a_process_is_not_copied(tmp_path: Path) -> None:
    exchange = Exchange(Parties(4))
    with SQLiteJournal(tmp_path / "journal.db", create=True) as journal:
        for each, cure in (
            (MemoryJournal(), "make another"),
            (journal, "open its file again"),
            (SecureAverage(clip=1.0, threads=2), "make another with the same settings"),
            (Identity("g1", bytes(32)), "keep its seed"),
            (exchange.clients["g1"], "make another"),
            (exchange.server, "make another"),
        ):
            said = f"{type(each).__name__} is neither pickled nor copied: {cure}"
            for copied in (copy.copy, copy.deepcopy, pickle.dumps):
                with pytest.raises(LocalProtocolError, match=said):
                    copied(each)


def test_a_fork_of_a_recipe_plays_no_round_of_its_parents_gateways() -> None:
    average, updates = SecureAverage(clip=1.0), {name: {"w": np.zeros(3)} for name in "abc"}

    assert in_a_fork(lambda: average.run(updates)).startswith("done")
    average.run(updates)
    assert in_a_fork(lambda: average.run(updates)).startswith(REFUSED.format("SecureAverage"))


def test_a_fork_makes_threads_of_its_own() -> None:
    """CrypTen#37, fedlearner#229: an inherited pool believes that its threads live."""
    with Workers(2) as workers:
        workers.run(lambda first, last: time.sleep(0.05), 2)

        assert in_a_fork(lambda: workers.run(lambda first, last: None, 4)) == "done: None"
        assert in_a_fork(workers.close) == "done: None"


@pytest.mark.parametrize("journal", ["gateway.db", Path("gateway.db"), None])
def test_what_is_no_journal_is_named(journal: Any) -> None:
    parties = Parties(4)
    with pytest.raises(ConfigurationError, match=r"journal is .+: open SQLiteJournal"):
        parties.client("g1", journal=journal)
