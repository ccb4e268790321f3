"""The real masks clients, asked every question of a lying server once.

A client's answers follow from what it was shown, so a fresh one is asked for each distinct view and
its answer is kept. Over these answers `masks.judge` plays any number of strategies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from protocol_sim.leaks.masks import (
    Released,
    Set,
    Shown,
    Strategy,
    World,
    never_asked,
    subsets,
    view_of,
)
from protocol_sim.leaks.questions import MODEL, Questions, Upload, asked, zeros
from secagg import canonical
from secagg.errors import SecAggError
from secagg.params import Struct, Thresholds
from secagg.protocol.certificate import Certificate
from secagg.protocol.messages import Signed
from secagg.schemes.masks.client import MasksClient
from secagg.schemes.masks.messages import ConsistencyRequest, Unmasking, UnmaskingRequest

Other = tuple[int, World | None, Set]
"""A peer, and under which (h0, P) and U2 it has uploaded, if it has."""


class RealGateways:
    """One session of a lying server with fresh real clients for each question.

    Args:
        limits: thresholds of the session.
        colluding: positions on the server's side, one at least.
        forge: also try headers and certificates that are not signed by whom they name.
        options: of `Questions`.

    Attributes:
        thresholds: of the session.
        neighbours: of each position.
        questions: as they are asked.
        unnamed: errors that clients raised and that have no name of their own.
    """

    def __init__(
        self, limits: Thresholds, colluding: Set, *, forge: bool = False, **options: Any
    ) -> None:
        self.thresholds, self.colluding = limits, colluding
        self.questions = Questions(limits, colluding, **options)
        self.neighbours = self.questions.neighbours
        self.unnamed: list[Exception] = []
        self._forge = forge
        self._once = self.questions.once
        self._everybody = range(len(self.questions.cohort))

    def _says(self, client: MasksClient, request: Struct) -> Signed | None:
        try:
            return client.receive(request)
        except SecAggError:
            return None
        except Exception as error:  # noqa: BLE001 - a weakened client may raise anything
            self.unnamed.append(error)
            return None

    def _uploading(self, i: int, question: Upload) -> tuple[MasksClient, Signed | None]:
        """A client that was asked for its upload and has handed it over, and its header."""
        client = self.questions.client(i)
        self._says(client, self.questions.announce)
        self._says(client, self.questions.keys(i, question.h0))
        header = self._says(client, self._once(self.questions.request, i, question))
        if header is not None:
            for _ in client.upload(lambda: zeros, MODEL):
                pass
        return client, header

    def _header(self, i: int, question: Upload) -> Signed | None:
        return self._uploading(i, question)[1]

    # -- what it accepts ---------------------------------------------------------------------------

    def views(self, i: int, worlds: Sequence[World], *, absent: bool = False) -> list[Shown]:
        """See `masks.Gateways`: of every U2 and U3 there is, those that a real client accepts."""
        shown = []
        for h0, params in worlds:
            for u2 in subsets(frozenset(self._everybody)):
                if self._once(self._header, i, self._alone(i, h0, params, u2)) is None:
                    continue
                shown.append(Shown(h0, params, u2, None))
                whole = (Shown(h0, params, u2, u3) for u3 in subsets(frozenset(self._everybody)))
                shown += [view for view in whole if self._once(self._signs_among, i, view, ())]
        return shown + (never_asked(worlds) if absent else [])

    def _alone(self, i: int, h0: int, params: int, u2: Set) -> Upload:
        return Upload(h0, params, u2, self.neighbours[i] & u2)

    def uploads(self, i: int, shown: Strategy) -> bool:
        """Whether a real client uploads when it sees this."""
        return self._once(self._header, i, self._alone(i, *asked(view_of(shown, i)))) is not None

    # -- Gateways ----------------------------------------------------------------------------------

    def signs(self, i: int, shown: Strategy) -> bool:
        """See `masks.Gateways`. A client holds one header after the other against its own h2.

        So each header is shown to it among good ones; `signs_at_once` shows all of them.
        """
        view = view_of(shown, i)
        others = self._others(i, shown)
        return all(self._once(self._signs_among, i, view, (other,)) for other in others)

    def signs_at_once(self, i: int, shown: Strategy) -> bool:
        """The same with the headers that the others have really sent, all of them."""
        return self._once(self._signs_among, i, view_of(shown, i), tuple(self._others(i, shown)))

    def _others(self, i: int, shown: Strategy) -> Iterator[Other]:
        """Honest neighbours in U3 with another h2 than this gateway's, or with no upload at all."""
        view = view_of(shown, i)
        for j in sorted(self.neighbours[i] & (view.u3 or frozenset())):
            other = shown[j]
            if other is None or other.h2 == view.h2:
                continue
            if other.u2 is None:
                yield j, None, frozenset()
            else:
                yield j, (other.h0, other.params), other.u2

    def _signs_among(self, i: int, view: Shown, others: Sequence[Other]) -> bool:
        return any(
            self._says(self._ready(i, view, opens=None), request) is not None
            for request in self._consistency(i, view, others)
        )

    def _ready(self, i: int, view: Shown, opens: Set | None) -> MasksClient:
        question = self._alone(i, *asked(view))
        return self._uploading(i, question if opens is None else question._replace(opens=opens))[0]

    def _consistency(
        self, i: int, view: Shown, others: Sequence[Other]
    ) -> Iterator[ConsistencyRequest]:
        """U3 with the headers that there are; then with forged ones."""
        members = sorted(self.neighbours[i] & (view.u3 or frozenset()))
        bits = self.questions.cohort.bits(view.u3 or ())
        headers = {j: self._shown_header(j, asked(view)) for j in members}
        for j, world, u2 in others:
            headers[j] = (
                self._forged(j, view) if world is None else self._shown_header(j, (*world, u2))
            )
        yield ConsistencyRequest(included=bits, headers=tuple(headers.values()))
        if self._forge:
            forged = tuple(self._forged(j, view) for j in members)
            yield ConsistencyRequest(included=bits, headers=forged)

    def _shown_header(self, j: int, question: tuple[int, int, Set]) -> Signed:
        """What a gateway has signed that was asked for this, if it does not refuse."""
        if j in self.colluding:
            return self.questions.header(self.questions.identities[j], j, question)
        header = self._once(self._header, j, self._alone(j, *question))
        return header or self.questions.header(self.questions.orchestrator, j, question)

    def _forged(self, j: int, view: Shown) -> Signed:
        return self.questions.header(self.questions.orchestrator, j, asked(view))

    def answers(self, i: int, shown: Strategy, signers: Set) -> Released | None:
        """See `masks.Gateways`."""
        view = view_of(shown, i)
        peers = self.neighbours[i] & (view.u2 or frozenset())
        opens = frozenset(j for j in peers if (o := shown[j]) is None or o.h0 == view.h0)
        return self._once(self._released, i, view, opens, signers)

    def _released(self, i: int, view: Shown, opens: Set, signers: Set) -> Released | None:
        for certificate in self._certificates(view, signers):
            client = self._ready(i, view, opens)
            if self._says(client, next(self._consistency(i, view, ()))) is None:
                return None
            signed = self._says(client, UnmaskingRequest(certificate=certificate))
            if signed is not None:
                return self._read(i, view, canonical.decode(Unmasking, signed.body))
        return None

    def _certificates(self, view: Shown, signers: Set) -> Iterator[Certificate]:
        """A certificate of the included signers, one of all signers, and a forged one."""
        u3, make = view.u3 or frozenset(), self.questions.certificate
        identities = self.questions.identities
        yield make(view, {j: identities[j] for j in signers & u3})
        if self._forge:
            yield make(view, {j: identities[j] for j in signers})
            yield make(view, dict.fromkeys(u3, self.questions.orchestrator))

    def _read(self, i: int, view: Shown, answer: Unmasking) -> Released:
        """Whose secrets an answer holds: empty shares are those that were complained about."""
        u2, u3 = view.u2 or frozenset(), view.u3 or frozenset()
        alive = sorted(u3 & self.neighbours[i])
        dead = sorted((u2 - u3) & self.neighbours[i])
        return Released(
            _given(alive, answer.seed_shares),
            _given(dead, answer.edge_secrets),
            _given(dead, answer.key_shares),
        )


def _given(peers: Sequence[int], secrets: Sequence[bytes]) -> Set:
    return frozenset(j for j, secret in zip(peers, secrets, strict=True) if secret)
