"""The stage on which a table of attacks on one gateway is played.

Everybody is honest until the victim's request of one step comes: a row's change of it arrives
first, and the honest request after it. The orchestrator signs what it changes with its own key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from secagg import errors, wire
from secagg.canonical import bitmap, decode
from secagg.crypto.labels import Label
from secagg.protocol.certificate import Certificate
from secagg.protocol.events import Aborted
from secagg.protocol.messages import (
    COMMON,
    Signed,
    sign_round,
    sign_session,
)
from secagg.protocol.policy import Policy
from secagg.schemes.masks.messages import MESSAGES, STEPS, AdvertiseKeys
from secagg.session.loopback import Frame
from secagg.thresholds import derive
from secagg.wire import VECTOR, Codec, MessageTable

replace = msgspec.structs.replace
CODEC = Codec(MessageTable(dict(COMMON) | dict(MESSAGES)))
ME = 1  # C = 1, D = 1, t = 3, q = n_min = 4
VICTIM = f"g{ME}"
K, R1, R2, R3, R4 = "advertise_keys", "share_keys", "masked_input", "consistency", "unmasking"
NAMES = [step.name for step in STEPS]
KINDS = {step.name: step.answer for step in STEPS}


@dataclass
class Liar:
    """What a row's change may use."""

    parties: Parties
    seen: dict[tuple[str, str], Signed]

    def session(self, message: Any, **changes: Any) -> Any:
        return sign_session(self.parties.orchestrator.key, replace(message.claimed, **changes))

    def round(self, message: Any, **changes: Any) -> Any:
        params = replace(message.round.claimed, **changes)
        return replace(message, round=sign_round(self.parties.orchestrator.key, params))

    def signed(self, kind: Any, label: Label, body: bytes) -> Any:
        """What the orchestrator signs, whatever is in it."""
        return kind(body=body, signature=self.parties.orchestrator.key.sign(label, body))

    def advert(self, message: Any, peer: int, /, **changes: Any) -> Any:
        """Another key message of a gateway that colludes: its own key signs it."""
        adverts = list(message.adverts)
        body = decode(AdvertiseKeys, adverts[peer].body)
        key = self.parties.identities[f"g{peer}"].key
        adverts[peer] = Signed.make(key, Label.SIGN_ADVERTISE, replace(body, **changes))
        return replace(message, adverts=tuple(adverts))

    def certificate(self, message: Any, signers: list[int]) -> Any:
        """A certificate by gateways whose keys the liar borrows."""
        body = self.seen[VICTIM, "consistency"].body
        signatures = tuple(
            self.parties.identities[f"g{i}"].key.sign(Label.SIGN_CONSISTENCY, body) for i in signers
        )
        made = Certificate(signers=bitmap(signers, 5), signatures=signatures)
        return replace(message, certificate=made)


@dataclass(frozen=True)
class Attack:
    """One row.

    Attributes:
        name: what is wrong.
        step: whose request is changed.
        change: takes the liar and the honest request, gives what arrives first.
        error: what the victim must name.
        vanish: gateways that fall silent, and where.
        limits: thresholds that are not the default.
        gateways: in the roster.
        cohort: how many of them take part, the first ones; 0 for all.
        policy: the victim's floors.
    """

    name: str
    step: str
    change: Callable[[Liar, Any], Any]
    error: type[errors.SecAggError]
    vanish: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    gateways: int = 5
    cohort: int = 0
    policy: Policy = field(default_factory=lambda: Policy(min_colluding=1, require_model=False))

    def __str__(self) -> str:
        return f"{self.step}: {self.name}"


def staged(attack: Attack, *, afterwards: bool = True) -> Exchange:
    """A session that is still to be played; the honest request comes afterwards, or never."""
    parties = Parties(attack.gateways)
    cohort = parties.ids[: attack.cohort or None]
    thresholds = derive(len(cohort), **attack.limits)
    settings = parties.settings(1, cohort, thresholds=thresholds)
    exchange = Exchange(parties, cohort=cohort, settings=settings, vanish=attack.vanish)
    exchange.clients[VICTIM] = parties.client(VICTIM, 1, policy=attack.policy)
    liar = Liar(parties, {})

    def passes(frame: Frame) -> list[bytes]:
        if frame.up and wire.open(frame.data).type != VECTOR:
            answer = CODEC.decode(wire.open(frame.data))
            liar.seen[frame.gateway, answer.step] = answer.signed
        if frame.up or (frame.gateway, frame.step) != (VICTIM, attack.step):
            return [frame.data]
        changed = attack.change(liar, CODEC.decode(wire.open(frame.data)))
        lie = CODEC.encode(changed, exchange.server.session)
        return [lie, frame.data] if afterwards else [lie]

    exchange.passes = passes
    return exchange


def play(attack: Attack) -> Exchange:
    """The whole session, to its end."""
    return staged(attack).play()


def said(exchange: Exchange, gateway: str = VICTIM) -> list[tuple[str, Signed]]:
    """All signed answers of a gateway, in order."""
    frames = (f.data for f in exchange.log if f.up and f.gateway == gateway)
    answers = (CODEC.decode(wire.open(data)) for data in frames if wire.open(data).type != VECTOR)
    return [(answer.step, answer.signed) for answer in answers]


def body(exchange: Exchange, step: str, gateway: str = VICTIM) -> Any:
    """The body of a gateway's answer to one step."""
    return decode(KINDS[step], dict(said(exchange, gateway))[step].body)


def uploaded(exchange: Exchange, gateway: str = VICTIM) -> int:
    """Frames of its upload that have left."""
    return sum(
        f.up and f.gateway == gateway and wire.open(f.data).type == VECTOR for f in exchange.log
    )


def assert_refused(exchange: Exchange, attack: Attack) -> None:
    """The victim named the check; nothing but a farewell has left it since; its secrets are gone.

    The honest request that came after the changed one was refused by the session, which is over.
    """
    reasons = [type(e.reason) for e in exchange.client_events[VICTIM] if isinstance(e, Aborted)]
    assert [attack.error] == reasons
    before = NAMES[: NAMES.index(attack.step)]
    assert [*before, "abort"] == [step for step, _ in said(exchange)]
    assert bool(uploaded(exchange)) == ("masked_input" in before)
    afterwards = [type(error) for name, error in exchange.refused if name == VICTIM]
    assert errors.LocalProtocolError in afterwards
    assert_erased(exchange)


def assert_erased(exchange: Exchange) -> None:
    client: Any = exchange.clients[VICTIM]._client
    stores = ("_secrets", "_edges", "_channels", "_held")
    assert client is None or not any(getattr(client, store) for store in stores)
