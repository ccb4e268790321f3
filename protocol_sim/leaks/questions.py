"""Questions that a lying server asks of masks clients: requests made by hand, for real clients.

The server holds the orchestrator's key and the keys of the colluding gateways. One of these has two
faces, that is two sets of keys, so that there are two transcripts h0; there are two P as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeVar

from protocol_sim.leaks.masks import Set, Shown
from protocol_sim.parties import VERIFY
from protocol_sim.randomness import entropy
from secagg import canonical
from secagg.crypto.agreement import public_key
from secagg.crypto.labels import Label
from secagg.crypto.merkle import MerkleTree
from secagg.params import SUITES, VERSION, RoundParams, SessionParams, Thresholds, VectorSpec
from secagg.protocol.bounds import Bounds
from secagg.protocol.certificate import Certificate, sign_consistency
from secagg.protocol.identity import Cohort, Identity, Roster
from secagg.protocol.journal import Journal, MemoryJournal
from secagg.protocol.messages import Signed, SignedRound, UploadHeader, sign_round, sign_session
from secagg.protocol.policy import Policy
from secagg.protocol.transcript import (
    advert_hash,
    included_hash,
    keys_hash,
    round_hash,
    session_hash,
    shares_hash,
)
from secagg.schemes.base import ClientContext, Words
from secagg.schemes.masks.client import MasksClient
from secagg.schemes.masks.messages import (
    MaskedInputRequest,
    SealedShares,
    ShareKeys,
    ShareKeysRequest,
)
from secagg.thresholds import neighbours

T = TypeVar("T")
MakeClient = Callable[[bytes, ClientContext], MasksClient]
PURPOSES: Final = {"one": Bounds(), "other": Bounds()}
"""By which two P differ."""
MODEL: Final = bytes(32)
VECTORS: Final = (
    VectorSpec(name="weight", length=1, lanes=1, limit=2**32, scale=2.0**32),
    VectorSpec(name="check", length=2, lanes=1, limit=0, scale=1.0),
)


class Upload(NamedTuple):
    """The question for an upload as one gateway meets it.

    Attributes:
        h0: which keys it was shown: 0, or 1 with other keys of a colluding gateway.
        params: which P.
        u2: dealers.
        opens: neighbours in U2 that have dealt under the same h0, so that their shares open.
    """

    h0: int
    params: int
    u2: Set
    opens: Set


class Questions:
    """One session: what its server can show to a gateway, and clients that have not seen it yet.

    Args:
        limits: thresholds of the session.
        colluding: positions on the server's side, one at least.
        client: makes a gateway's machine.
        policy: of all gateways.
        name: of the session: another has other keys, of the same roster and round.
        journals: by position; without, every client has a fresh one.
        gateways: in the cohort, if not as many as the thresholds are for.

    Attributes:
        neighbours: of each position.
        cohort: of the session.
        identities: by position.
        orchestrator: whose key the server holds.
        params: K.
        announce: signed K.
        asked: clients that were started.
    """

    def __init__(
        self,
        limits: Thresholds,
        colluding: Set,
        *,
        client: MakeClient = MasksClient,
        policy: Policy | None = None,
        name: object = "",
        journals: Mapping[int, Journal] | None = None,
        gateways: int | None = None,
    ) -> None:
        self._everybody = range(gateways or limits.gateways)
        self.neighbours = tuple(
            neighbours(limits, i) if i < limits.gateways else frozenset() for i in self._everybody
        )
        self.asked = 0
        self._limits, self._make, self._name = limits, client, name
        self._two_faced, self._journals = min(colluding), journals or {}
        self._policy = policy or Policy(min_colluding=1, bounds=PURPOSES)
        self.orchestrator = Identity.generate(
            "orchestrator", entropy("real gateways", "orchestrator")
        )
        self.identities = [
            Identity.generate(i, entropy("real gateways", i)) for i in self._everybody
        ]
        self._roster = Roster.of(1, self.orchestrator, self.identities)
        self.cohort = Cohort.of(self._roster, self._everybody)
        self.params = self._session_params()
        self.announce = sign_session(self.orchestrator.key, self.params)
        self._known: dict[tuple[object, ...], object] = {}

    def once(self, make: Callable[..., T], *name: object) -> T:
        """What never changes is made once."""
        place = (make.__name__, *name)
        if place not in self._known:
            self._known[place] = make(*name)
        return self._known[place]  # type: ignore[return-value]

    def client(self, i: int, face: int = 0) -> MasksClient:
        """A gateway that has been shown nothing yet; it draws the same in every life."""
        self.asked += 1
        context = ClientContext(
            identity=self.identities[i],
            roster=self._roster,
            policy=self._policy,
            journal=self._journals.get(i) or MemoryJournal(),
            rng=entropy("real gateways", "client", self._name, i, face),
            verify=VERIFY,
        )
        return self._make(self.params.session, context)

    # -- what is shown -----------------------------------------------------------------------------

    def _session_params(self) -> SessionParams:
        draw = entropy("real gateways", "server", self._name)
        return SessionParams(
            version=VERSION,
            suite=SUITES[0],
            scheme="masks",
            session=draw(16),
            round=1,
            roster=self._roster.hash(),
            cohort=self.cohort.bitmap,
            thresholds=self._limits,
            orchestrator_key=public_key(draw(32)),
        )

    def round_params(self, params: int) -> RoundParams:
        """P: two that differ."""
        return RoundParams(
            session_params=session_hash(self.params),
            model=MODEL,
            purpose=list(PURPOSES)[params],
            leaves=(),
            vectors=VECTORS,
            max_weight=1.0,
            metrics=(),
            clipping="error",
        )

    def signed_round(self, params: int) -> SignedRound:
        """P under the orchestrator's signature."""
        return sign_round(self.orchestrator.key, self.round_params(params))

    def _face(self, i: int, h0: int) -> int:
        """Which keys a gateway shows: one of the colluding has others where h0 is 1."""
        return h0 if i == self._two_faced else 0

    def _advert(self, i: int, h0: int) -> Signed:
        if i >= self._limits.gateways:  # nobody's neighbour: only its hash is ever shown
            return Signed(body=b"", signature=b"")
        return self.once(self._advertise, i, self._face(i, h0))

    def _advertise(self, i: int, face: int) -> Signed:
        return self.client(i, face).receive(self.announce)

    def keys(self, i: int, h0: int) -> ShareKeysRequest:
        """U1 is everybody."""
        near = self.neighbours[i] | {i}
        return ShareKeysRequest(
            present=self.cohort.bits(self._everybody),
            adverts=tuple(self._advert(j, h0) for j in sorted(near)),
            hashes=self.once(self._tree, h0).prove(sorted(near)),
        )

    def _tree(self, h0: int) -> MerkleTree:
        return MerkleTree([advert_hash(self._advert(j, h0)) for j in sorted(self._everybody)])

    def _dealt(self, i: int, h0: int) -> ShareKeys:
        return self.once(self._deal, i, h0)

    def _deal(self, i: int, h0: int) -> ShareKeys:
        client = self.client(i, self._face(i, h0))
        client.receive(self.announce)
        return canonical.decode(ShareKeys, client.receive(self.keys(i, h0)).body)

    def request(self, i: int, question: Upload) -> MaskedInputRequest:
        """P, U2 and the shares that those in it have dealt to this gateway."""
        shares = []
        for dealer in sorted(self.neighbours[i] & question.u2):
            h0 = question.h0 if dealer in question.opens else 1 - question.h0
            dealt = self._dealt(dealer, h0)
            at = sorted(self.neighbours[dealer]).index(i)
            sealed = SealedShares(
                ciphertext=dealt.ciphertexts[at],
                seed_share=dealt.commitments[at][0],
                key_share=dealt.commitments[at][1],
            )
            shares.append(sealed)
        return MaskedInputRequest(
            round=self.signed_round(question.params),
            dealers=self.cohort.bits(question.u2),
            shares=tuple(shares),
        )

    def h2(self, h0: int, params: int, u2: Set) -> tuple[bytes, bytes]:
        """h0 and h2."""
        n = len(self.cohort)
        hashes = {j: advert_hash(self._advert(j, h0)) for j in self._everybody}
        keys = keys_hash(session_hash(self.params), n, hashes)
        return keys, shares_hash(keys, round_hash(self.round_params(params)), n, u2)

    def h3(self, view: Shown) -> bytes:
        """h3 of a view with a U3."""
        keys, h2 = self.once(self.h2, *asked(view))
        return included_hash(keys, h2, len(self.cohort), view.u3 or ())

    def header(self, signer: Identity, j: int, question: tuple[int, int, Set]) -> Signed:
        """The header that a gateway would send, signed by whomever the server likes."""
        keys, h2 = self.once(self.h2, *question)
        header = UploadHeader(h0=keys, h2=h2, position=j, complaints=self.cohort.bits(()))
        return Signed.make(signer.key, Label.SIGN_HEADER, header)

    def certificate(self, view: Shown, signers: Mapping[int, Identity]) -> Certificate:
        """Signatures on the h3 of a view: position -> whose key signs for it."""
        h3 = self.once(self.h3, view)
        signatures = (
            sign_consistency(signers[j].key, self.params.session, h3).signature
            for j in sorted(signers)
        )
        return Certificate(signers=self.cohort.bits(signers), signatures=tuple(signatures))


def asked(view: Shown) -> tuple[int, int, Set]:
    """h0, P and U2 of a view in which an upload was asked for."""
    return view.h0, view.params, view.u2 or frozenset()


def zeros(_vector: int, _first: int, out: Words) -> None:
    """An input of zeros."""
    out[:] = 0
