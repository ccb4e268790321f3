"""Real gateways of an additive scheme, and a server that shows each of them what it likes.

A `Stage` is one roster in one round. The server holds the orchestrator's key and knows everything
its colluding gateways know; honest ones are `AdditiveClient`s with journals of their own.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from protocol_sim.leaks.additive import Set
from protocol_sim.leaks.questions import PURPOSES
from protocol_sim.parties import VERIFY
from protocol_sim.randomness import entropy
from secagg import canonical
from secagg.crypto.agreement import public_key
from secagg.crypto.merkle import MerkleTree
from secagg.crypto.packed import PROOF_COLUMNS, evaluate
from secagg.errors import SecAggError
from secagg.params import (
    Entropy,
    Ring,
    RoundParams,
    SessionParams,
    Struct,
    Thresholds,
    VectorSpec,
)
from secagg.protocol.bounds import Bounds
from secagg.protocol.certificate import Certificate
from secagg.protocol.identity import Cohort, Identity, Roster
from secagg.protocol.journal import Journal, MemoryJournal
from secagg.protocol.messages import Announce, Signed, sign_round, sign_session
from secagg.protocol.policy import Policy
from secagg.protocol.prekeys import Prekey, make_prekey
from secagg.protocol.transcript import (
    advert_hash,
    keys_hash,
    round_hash,
    session_hash,
    shares_hash,
)
from secagg.schemes.additive import Lattice
from secagg.schemes.additive.client import AdditiveClient
from secagg.schemes.additive.messages import (
    AnswerAgainRequest,
    AnswerRequest,
    Dealing,
    DealtShare,
    KeySum,
    UploadRequest,
)
from secagg.schemes.additive.shares import Channels, dealing_digest, packing_of
from secagg.schemes.base import ClientContext, Source, UpdatePlan, Words
from secagg.session import SessionSettings
from secagg.thresholds import KEY_COEFFICIENTS

T = TypeVar("T")
NOBODY: Set = frozenset()
ROUND = 7
RING = Ring(degree=KEY_COEFFICIENTS, moduli=(2**32,), step=1)


def subsets(members: Set) -> Iterator[Set]:
    """All of them, the empty one too."""
    for size in range(len(members) + 1):
        yield from map(frozenset, itertools.combinations(sorted(members), size))


class Toy:
    """A ring without noise or product: it is the keys and their shares that are looked at."""

    coefficients = KEY_COEFFICIENTS
    unit = 1

    def __init__(self, params: RoundParams, gateways: int) -> None:
        self.words = [vector.words for vector in params.vectors]

    def secret(self, rng: Entropy) -> NDArray[np.int64]:
        return np.frombuffer(rng(KEY_COEFFICIENTS), np.uint8).astype(np.int64) % 33 - 16

    def encrypt(self, source: Source, secret: Any, *, public: bytes, rng: Entropy) -> Source:
        return source


class View(NamedTuple):
    """What one gateway is shown before it deals.

    Attributes:
        session: which of the server's sessions.
        params: which P in that session.
        keyed: U1; None for everybody.
        number: of the round.
    """

    session: int = 0
    params: int = 0
    keyed: Set | None = None
    number: int = ROUND


FIRST = View()


class Reply(NamedTuple):
    """What came back: a sum of shares, complaints, or a refusal that ends the session."""

    shares: bytes = b""
    complaints: Set = NOBODY
    error: type[SecAggError] | None = None


class Floorless(Policy, frozen=True):
    """The policy of a gateway that asks for nothing: for controls."""

    require_model: bool = False
    bounds: dict[str, Bounds] = msgspec.field(
        default_factory=lambda: PURPOSES | {"train": Bounds()},
    )

    def check_session(self, params: SessionParams, members: int) -> None:
        pass


class Stage:
    """One roster, and views of its rounds.

    Args:
        limits: thresholds, of the whole roster.
        policy: of all gateways.
        seed: all bytes follow from it.
    """

    def __init__(
        self, limits: Thresholds, *, policy: Policy | None = None, seed: str = "stage"
    ) -> None:
        self.limits, self.seed = limits, seed
        self.policy = Policy(min_colluding=1, require_model=False) if policy is None else policy
        self.n = limits.gateways
        self.everybody = frozenset(range(self.n))
        self.committee = frozenset(range(limits.committee))
        self.orchestrator = Identity.generate("orchestrator", entropy(seed, "orchestrator"))
        self.identities = [Identity.generate(i, entropy(seed, i)) for i in range(self.n)]
        self.roster = Roster.of(1, self.orchestrator, self.identities)
        self.cohort = Cohort.of(self.roster, range(self.n))
        self._known: dict[tuple[Any, ...], Any] = {}

    def _once(self, make: Callable[..., T], *name: Any) -> T:
        """What never changes is made once."""
        place = make.__name__, *name
        if place not in self._known:
            self._known[place] = make(*name)
        return self._known[place]

    # -- what the server shows ---------------------------------------------------------------------

    def announce(self, view: View) -> Announce:
        """K."""
        return self._once(self._announce, view)

    def _announce(self, view: View) -> Announce:
        draw = entropy(self.seed, "server", view.session, view.number)
        params = self.settings(view).session_params(self.roster, draw(16), public_key(draw(32)))
        return sign_session(self.orchestrator.key, params)

    def settings(self, view: View) -> SessionSettings:
        return SessionSettings(
            scheme=Lattice(),
            round=view.number,
            cohort=tuple(range(self.n)),
            thresholds=self.limits,
            model=bytes([view.params]) * 32,
            leaves=(),
            vectors=(
                VectorSpec(name="weight", length=1, lanes=1, limit=2**32, scale=2.0**32),
                VectorSpec(name="check", length=RING.degree, lanes=1, limit=0, scale=1.0),
            ),
            max_weight=1.0,
            carried=UpdatePlan(lanes=1, limit=1, text="", ring=RING),
        )

    def round_params(self, view: View) -> RoundParams:
        """P."""
        return self._once(self._round_params, view)

    def _round_params(self, view: View) -> RoundParams:
        return self.settings(view).round_params(self.announce(view).claimed)

    def prekey(self, i: int, number: int = ROUND) -> Signed:
        """The one key that a gateway has for a round: the same in all its lives."""
        return self._once(self._made, i, number)

    def _made(self, i: int, number: int, journal: Journal | None = None) -> Signed:
        return make_prekey(
            self.identities[i],
            journal or MemoryJournal(),
            entropy(self.seed, "prekey", i, number),
            roster=self.roster.hash(),
            round=number,
        )

    def journal(self, i: int, number: int = ROUND) -> MemoryJournal:
        """What a gateway remembers that has given its prekey."""
        journal = MemoryJournal()
        self.prekeys_into(journal, i, number)
        return journal

    def prekeys_into(self, journal: Journal, i: int, number: int) -> None:
        self._made(i, number, journal)

    def upload_request(self, view: View = FIRST, receiver: int = 0) -> UploadRequest:
        """K, P and U1: one for all members of the committee, one for each other gateway."""
        return self._once(self._upload_request, view, max(receiver, self.limits.committee - 1))

    def _upload_request(self, view: View, receiver: int) -> UploadRequest:
        keyed = self.keyed(view)
        shown = sorted(keyed & (self.committee | {receiver}))
        return UploadRequest(
            announce=self.announce(view),
            round=sign_round(self.orchestrator.key, self.round_params(view)),
            keyed=self.cohort.bits(keyed),
            prekeys=tuple(self.prekey(i, view.number) for i in shown),
            hashes=self.proof(view, shown),
        )

    def proof(self, view: View, shown: Iterable[int]) -> tuple[bytes, ...]:
        """What takes the prekeys of some of U1 to h0."""
        keyed = sorted(self.keyed(view))
        tree = MerkleTree([advert_hash(self.prekey(i, view.number)) for i in keyed])
        return tree.prove([place for place, i in enumerate(keyed) if i in set(shown)])

    def keyed(self, view: View) -> Set:
        """U1."""
        return self.everybody if view.keyed is None else view.keyed

    def transcript(self, view: View = FIRST) -> tuple[bytes, bytes]:
        """h0 and h2."""
        return self._once(self._transcript, view)

    def _transcript(self, view: View) -> tuple[bytes, bytes]:
        keyed = self.keyed(view)
        hashes = {i: advert_hash(self.prekey(i, view.number)) for i in keyed}
        h0 = keys_hash(session_hash(self.announce(view).claimed), self.n, hashes)
        return h0, shares_hash(h0, round_hash(self.round_params(view)), self.n, keyed)

    # -- gateways ----------------------------------------------------------------------------------

    def client(self, i: int, view: View = FIRST, journal: Journal | None = None) -> AdditiveClient:
        """A gateway that has been shown nothing yet; it draws the same in every life."""
        context = ClientContext(
            identity=self.identities[i],
            roster=self.roster,
            policy=self.policy,
            journal=self.journal(i, view.number) if journal is None else journal,
            rng=entropy(self.seed, "client", i, view),
            verify=VERIFY,
        )
        session = self.announce(view).claimed.session
        return AdditiveClient(session, context, "lattice", Toy)

    def uploaded(
        self, i: int, view: View = FIRST, journal: Journal | None = None, frames: int | None = None
    ) -> AdditiveClient:
        """A gateway that has dealt and handed over its upload, or its first frames."""
        client = self.client(i, view, journal)
        client.receive(self.upload_request(view, i))
        if frames != 0:
            self.upload(client, view, frames)
        return client

    def upload(self, client: AdditiveClient, view: View, frames: int | None = None) -> None:
        sent = client.upload(lambda: _zeros, self.round_params(view).model)
        for _ in itertools.islice(sent, frames):
            pass

    # -- what everybody deals ----------------------------------------------------------------------

    def dealing(self, i: int, view: View = FIRST) -> Dealing:
        return self._deals(i, view)[0]

    def _deals(self, i: int, view: View) -> tuple[Dealing, bytes]:
        return self._once(self._deal, i, view)

    def _deal(self, i: int, view: View) -> tuple[Dealing, bytes]:
        client = self.client(i, view)
        signed = client.receive(self.upload_request(view, i))
        own = client._rows._rows[i].reveal() if i in self.committee else b""
        return canonical.decode(Dealing, signed.body), own

    def dealt_to(self, i: int, request: UploadRequest) -> Dealing:
        """What a gateway deals when it is shown this, whatever it is."""
        return canonical.decode(Dealing, self.client(i).receive(request).body)

    def key(self, i: int, view: View = FIRST) -> NDArray[np.int64]:
        """The key that a gateway deals, out of its own client."""
        client = self.client(i, view)
        client.receive(self.upload_request(view, i))
        return np.frombuffer(client._secret.reveal(), "<i2").astype(np.int64)

    def row(self, member: int, dealer: int, view: View = FIRST) -> NDArray[np.int64]:
        """The share that a member holds, opened with its prekey: columns, then the proof's."""
        own = self._deals(dealer, view)[1]
        if member == dealer:
            return np.frombuffer(own, "<u2").astype(np.int64)
        private = self.journal(member, view.number).prekey(self.roster.hash(), view.number)
        keys = [
            canonical.decode(Prekey, self.prekey(i, view.number).body) for i in (member, dealer)
        ]
        channels = Channels(
            private, keys[0], member, self.announce(view).claimed, self.transcript(view)[1]
        )
        opened = channels.open({dealer: (keys[1].key, self.share(dealer, member, view))})
        return np.frombuffer(opened[dealer], "<u2").astype(np.int64)

    def sealed(self, dealer: int, member: int, view: View = FIRST) -> bytes:
        """A dealer's ciphertexts go over the members in U1 but itself."""
        receivers = sorted(self.keyed(view) & self.committee - {dealer})
        return self.dealing(dealer, view).ciphertexts[receivers.index(member)]

    # -- questions ---------------------------------------------------------------------------------

    def question(
        self,
        member: int,
        included: Collection[int],
        spoiled: Set = NOBODY,
        view: View = FIRST,
        *,
        certificate: Certificate | None = None,
    ) -> AnswerRequest:
        """Asks for the sum over a set; the shares of `spoiled` dealers will not open."""
        dealers = sorted(set(included) - {member})
        return AnswerRequest(
            included=self.cohort.bits(included),
            certificate=certificate,
            prekeys=tuple(
                self.prekey(i, view.number) for i in sorted(set(included) - self.committee)
            ),
            hashes=self.proof(view, self.committee | set(included)),
            shares=tuple(self.share(d, member, view, spoiled=d in spoiled) for d in dealers),
        )

    def share(
        self, dealer: int, member: int, view: View = FIRST, *, spoiled: bool = False
    ) -> DealtShare:
        dealt = self.dealing(dealer, view)
        proof = np.frombuffer(dealt.proof, "<u2").reshape(PROOF_COLUMNS, -1)
        sealed = self.sealed(dealer, member, view)
        return DealtShare(
            salt=dealt.salt,
            ciphertext=sealed[:-1] + bytes([sealed[-1] ^ spoiled]),
            digest=dealing_digest(self.transcript(view)[1], dealer, dealt.salt, dealt.ciphertexts),
            evaluation=evaluate(proof, packing_of(self.limits))[member].astype("<u2").tobytes(),
        )

    def again(self, included: Collection[int]) -> AnswerAgainRequest:
        return AnswerAgainRequest(included=self.cohort.bits(included))

    def reply(self, client: AdditiveClient, request: Struct) -> Reply:
        """Asks one question."""
        try:
            signed = client.receive(request)
        except SecAggError as error:
            return Reply(error=type(error))
        answer = canonical.decode(KeySum, signed.body)
        return Reply(answer.shares, self.cohort.set_of(answer.complaints))


def _zeros(_vector: int, _first: int, out: Words) -> None:
    out[:] = 0
