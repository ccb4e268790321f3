"""How a session ends for a gateway that is lied to: by name, without one, in a leak or in a sum."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from protocol_sim.leaks.knowledge import Knowledge, leaks
from protocol_sim.leaks.masks import judge
from protocol_sim.leaks.real_gateways import RealGateways
from protocol_sim.leaks.recorder import CODEC, Recorder
from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from secagg import wire
from secagg.errors import SecAggError
from secagg.schemes.additive import Lattice
from secagg.session.loopback import Frame
from tests.schemes.additive.world import Floorless
from tests.schemes.attacks import Attack, staged

replace = msgspec.structs.replace
LEAK, NO_NAME = "leak", "an error without a name"


def ending(exchange: Exchange, recorder: Recorder, victim: str, allies: tuple[str, ...]) -> str:
    """How it ended: a leak is worst, then a wrong number; then the victim's error; then the sum."""
    if leaks(Knowledge.of(recorder, allies)):
        return LEAK
    if exchange.verdict.violation:
        return f"wrong: {exchange.verdict.violation}"
    failed = exchange.failed(victim)
    return exchange.verdict.outcome if failed is None else type(failed).__name__


def play(exchange: Exchange, recorder: Recorder, victim: str, allies: tuple[str, ...]) -> str:
    recorder.play = exchange
    try:
        exchange.play()
    except Exception as error:
        if isinstance(error, SecAggError):
            raise
        return NO_NAME
    return ending(exchange, recorder, victim, allies)


def attacked(attack: Attack, *, allies: tuple[str, ...] = ("g2",)) -> str:
    """A row of tests/schemes: one request to g1 arrives changed, and the honest one never."""
    exchange, recorder = staged(attack, afterwards=False), Recorder()
    exchange.passes = recorder.around(exchange.passes)
    return play(exchange, recorder, "g1", allies)


class Orchestrator:
    """What a row of the additive schemes may use."""

    def __init__(self, exchange: Exchange) -> None:
        self.server = exchange.server
        self.orchestrator = exchange.parties.orchestrator
        self.identities = list(exchange.parties.identities.values())


def attacked_additive(
    change: Callable[[Any, Any], Any],
    kind: type,
    *,
    vanish: Mapping[str, str] | None = None,
    gateways: int = 4,
    victim: str = "g2",
    scheme: Lattice | None = None,
) -> str:
    """One kind of request to the victim arrives changed."""
    exchange = Exchange(Parties(gateways, scheme or Lattice()), vanish=vanish)
    orchestrator, recorder = Orchestrator(exchange), Recorder()

    def passes(frame: Frame) -> list[bytes]:
        if frame.up or frame.gateway != victim:
            return [frame.data]
        message = CODEC.decode(wire.open(frame.data))
        if not isinstance(message, kind):
            return [frame.data]
        return [CODEC.encode(change(orchestrator, message), exchange.server.session)]

    exchange.passes = recorder.around(passes)
    return play(exchange, recorder, victim, ("g0",))


def strategy(limits, shown, allies, policy=None, gateways=None) -> str:
    """A strategy of sets against real masks clients."""
    floors = policy or Floorless(min_colluding=1)
    gateways = RealGateways(limits, allies, forge=True, policy=floors, gateways=gateways)
    asked = [i for i, view in enumerate(shown) if view is not None and view.u2 is not None]
    try:
        accepted = all(gateways.uploads(i, shown) for i in asked)
        verdict = judge(gateways, shown, allies) if accepted else None
    except SecAggError as error:  # what the colluding gateways refuse, the others do as well
        return type(error).__name__
    if gateways.unnamed:
        return NO_NAME
    if verdict is None:
        return "refused"
    return LEAK if verdict.leaks else "no leak"


ANSWERED, SAME, COMPLAINS = "answered", "the same bytes", "complains"


def named(play) -> str:
    """What a lie leads to, or the error that stops it."""
    try:
        found = play()
    except SecAggError as error:
        return type(error).__name__
    return LEAK if found else "no leak"


def last(steps: Iterator[Any]) -> str:
    """How the last of some steps ended; the ones before may be refused."""
    found = ""
    while True:
        try:
            said = next(steps, None)
        except SecAggError as error:
            return type(error).__name__
        except Exception:  # noqa: BLE001 - what has no name is what is looked for
            return NO_NAME
        if said is None:
            return found
        found = said if isinstance(said, str) else ANSWERED


def each(client: Any, requests: list[Any]) -> Iterator[Any]:
    for request in requests:
        yield client.receive(request)
