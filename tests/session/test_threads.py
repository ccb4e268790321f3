"""Sessions and journals made in one thread are used in others, as network drivers do."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from secagg.protocol.events import Aborted, Completed, Event, Send, UpdateDue
from secagg.protocol.sqlite_journal import SQLiteJournal
from secagg.schemes.additive import Lattice
from secagg.schemes.masks import Masks
from secagg.session.loopback import Observer


@pytest.fixture(params=[Masks(), Lattice()], ids=["masks", "lattice"])
def parties(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Parties]:
    made = Parties(4, request.param)
    journals = {name: SQLiteJournal(tmp_path / name, create=True) for name in made.ids}
    made.journals |= journals
    yield made
    for journal in journals.values():
        journal.close()


def of(events: Iterable[Event]) -> list[Send]:
    return [event for event in events if isinstance(event, Send)]


class Gateway(threading.Thread):
    """One gateway's loop over its inbox, until its session is over."""

    def __init__(self, exchange: Exchange, name: str, arrived: queue.Queue[Any]) -> None:
        super().__init__(daemon=True)
        self.exchange, self.who, self.arrived = exchange, name, arrived
        self.inbox: queue.Queue[bytes] = queue.Queue()

    def run(self) -> None:
        events: list[Event] = []
        while not any(isinstance(event, Completed | Aborted) for event in events):
            events = list(self.exchange.clients[self.who].receive(self.inbox.get()))
            due = any(isinstance(event, UpdateDue) for event in events)
            for send in [*of(events), *(self.exchange.upload(self.who) if due else ())]:
                self.arrived.put((self.who, send.frame))


def test_four_gateways_in_threads_finish(parties: Parties) -> None:
    exchange, arrived = Exchange(parties), queue.Queue[Any]()
    gateways = {name: Gateway(exchange, name, arrived) for name in parties.ids}
    for gateway in gateways.values():
        gateway.start()
    events = list(exchange.server.start())
    while True:
        for send in of(events):
            gateways[str(send.to)].inbox.put(bytes(send.frame))
        if exchange.server.phase == "done":
            break
        events = list(exchange.server.receive(*arrived.get(timeout=30)))
    for gateway in gateways.values():
        gateway.join(timeout=30)

    assert not any(gateway.is_alive() for gateway in gateways.values())
    assert Completed() == events[-1]


class ToThread(Observer):
    """Does every call of a gateway in whatever thread asyncio takes."""

    def call(self, _phase: str, party: Any, work: Callable[[], Any]) -> Any:
        return work() if party is None else asyncio.run(asyncio.to_thread(work))


def test_asyncio_to_thread_finishes(parties: Parties) -> None:
    for number in (1, 2):
        assert Exchange(parties, number, observer=ToThread()).play().verdict.summed
