"""A server that holds the orchestrator's key and one corrupt gateway, and shows everybody what it
likes: requests for real `ClientSession`s, built by hand for each of them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from protocol_sim.attacks.requests import NO_SEAL, UNSIGNED
from protocol_sim.parties import VERIFY, Parties
from protocol_sim.randomness import entropy
from secagg import canonical, wire
from secagg.crypto.agreement import public_key
from secagg.crypto.labels import Label
from secagg.errors import SecAggError
from secagg.params import Struct
from secagg.protocol.certificate import Consistency, make_certificate, sign_consistency
from secagg.protocol.identity import Cohort
from secagg.protocol.journal import MemoryJournal
from secagg.protocol.messages import (
    COMMON,
    Answer,
    Signed,
    UploadHeader,
    sign_round,
    sign_session,
)
from secagg.protocol.policy import Policy
from secagg.protocol.transcript import (
    advert_hash,
    included_hash,
    keys_hash,
    round_hash,
    session_hash,
    shares_hash,
)
from secagg.schemes.masks.messages import (
    MESSAGES,
    ConsistencyRequest,
    MaskedInputRequest,
    SealedShares,
    ShareKeys,
    ShareKeysRequest,
    Unmasking,
    UnmaskingRequest,
)
from secagg.session import ClientSession
from secagg.wire import Codec, MessageTable

CODEC = Codec(MessageTable(dict(COMMON) | dict(MESSAGES)))


@dataclass
class View:
    """What one gateway was shown and answered."""

    adverts: dict[int, Signed] = field(default_factory=dict)
    h0: bytes = bytes(32)
    h2: bytes = bytes(32)
    h3: bytes = bytes(32)
    u2: frozenset[int] = frozenset()
    u3: frozenset[int] = frozenset()


class Deceit:
    """One session of a lying server.

    Args:
        parties: everybody; the server knows the orchestrator's and the corrupt gateway's keys.
        corrupt: position of the gateway on the server's side.
        name: makes session ids and keys differ.
    """

    def __init__(self, parties: Parties, corrupt: int, name: object) -> None:
        self.parties, self.corrupt, self.name = parties, corrupt, name
        settings = parties.settings()
        draw = entropy(parties.seed, "deceit", name)
        self.session, private = draw(16), draw(32)
        self.params = settings.session_params(parties.roster, self.session, public_key(private))
        self.limits = self.params.thresholds
        self.cohort = Cohort(parties.roster, self.params.cohort)
        self.n = len(self.cohort)
        key = parties.orchestrator.key
        self.announce = sign_session(key, self.params)
        self.round = sign_round(key, settings.round_params(self.params))
        self.k = session_hash(self.params)
        self.views = {p: View() for p in range(self.n)}
        self.shown: dict[bytes, View] = {}
        self.adverts: dict[int, Signed] = {corrupt: self._mine(self.announce)}
        self.dealt: dict[tuple[int, bytes], tuple[ShareKeys, tuple[int, ...]]] = {}
        self.headers: dict[int, Signed] = {}
        self.signatures: dict[bytes, dict[int, bytes]] = {}
        self.unmasked: dict[int, tuple[View, Unmasking]] = {}

    def client(self, position: int, life: int = 0) -> ClientSession:
        """A gateway's session; each life after a restart draws other randomness."""
        return self.parties.client(self.cohort.ids[position], self.name, life)

    # -- questions ---------------------------------------------------------------------------------

    def request(self, position: int, step: str, shown: Collection[int]) -> bytes:
        """The frame of a request to one gateway, with a set of the server's choice."""
        view = View(**vars(self.views[position]))
        made = getattr(self, f"_{step}")(position, view, frozenset(shown))
        frame = CODEC.encode(made, self.session)
        self.shown[frame] = view
        return frame

    def _advertise_keys(self, position: int, view: View, shown: frozenset[int]) -> Struct:
        return self.announce

    def _share_keys(self, position: int, view: View, shown: frozenset[int]) -> Struct:
        view.adverts = {p: self.adverts[p] for p in sorted(shown & self.adverts.keys())}
        hashes = {p: advert_hash(signed) for p, signed in view.adverts.items()}
        view.h0 = keys_hash(self.k, self.n, hashes)
        return ShareKeysRequest(
            present=self.cohort.bits(view.adverts),
            adverts=tuple(view.adverts.values()),
            hashes=(),
        )

    def _masked_input(self, position: int, view: View, shown: frozenset[int]) -> Struct:
        view.u2 = shown
        view.h2 = shares_hash(view.h0, round_hash(self.round.claimed), self.n, shown)
        shares = tuple(self._sealed(p, position, view) for p in sorted(shown - {position}))
        return MaskedInputRequest(round=self.round, dealers=self.cohort.bits(shown), shares=shares)

    def _consistency(self, position: int, view: View, shown: frozenset[int]) -> Struct:
        view.u3 = shown
        view.h3 = included_hash(view.h0, view.h2, self.n, shown)
        headers = tuple(self._header(p, view) for p in sorted(shown - {position}))
        return ConsistencyRequest(included=self.cohort.bits(shown), headers=headers)

    def _unmasking(self, position: int, view: View, shown: frozenset[int]) -> Struct:
        known = dict(self.signatures.get(view.h3, {}))
        mine = self.parties.identities[self.cohort.ids[self.corrupt]].key
        known[self.corrupt] = sign_consistency(mine, self.session, view.h3).signature
        chosen = {p: known[p] for p in sorted(shown & known.keys())}
        return UnmaskingRequest(certificate=make_certificate(self.cohort, chosen, len(chosen)))

    def _sealed(self, dealer: int, holder: int, view: View) -> SealedShares:
        if dealer == self.corrupt and (dealer, view.h0) not in self.dealt:
            self._deal(view)
        dealt = self.dealt.get((dealer, view.h0))
        if dealt is None or holder not in dealt[1]:
            return NO_SEAL
        shares, place = dealt[0], dealt[1].index(holder)
        seed_share, key_share = shares.commitments[place]
        return SealedShares(
            ciphertext=shares.ciphertexts[place], seed_share=seed_share, key_share=key_share
        )

    def _header(self, position: int, view: View) -> Signed:
        if position != self.corrupt:
            return self.headers.get(position, UNSIGNED)
        header = UploadHeader(
            h0=view.h0, h2=view.h2, position=position, complaints=self.cohort.bits(())
        )
        key = self.parties.identities[self.cohort.ids[position]].key
        return Signed.make(key, Label.SIGN_HEADER, header)

    def _mine(self, *requests: Struct) -> Signed:
        """What the corrupt gateway would answer, were it honest in this view."""
        name = self.cohort.ids[self.corrupt]
        client = ClientSession(
            self.parties.identities[name],
            self.parties.roster,
            Policy(require_model=False),
            MemoryJournal(),
            rng=entropy(self.parties.seed, name, self.name, "corrupt"),
            verify=VERIFY,
        )
        for request in requests:
            (event,) = client.receive(CODEC.encode(request, self.session))
            signed = CODEC.decode(wire.open(event.frame)).signed
        return signed

    def _deal(self, view: View) -> None:
        """Good shares of the corrupt gateway for whatever set of keys this view shows."""
        request = ShareKeysRequest(
            present=self.cohort.bits(view.adverts),
            adverts=tuple(view.adverts.values()),
            hashes=(),
        )
        try:
            signed = self._mine(self.announce, request)
        except (SecAggError, ValueError):
            return  # it is not among the keys shown
        self._keep_shares(self.corrupt, view, signed)

    # -- answers -----------------------------------------------------------------------------------

    def take(self, position: int, request: bytes, answer: Answer) -> None:
        """Learn from the answer to a request."""
        signed, view = answer.signed, self.views[position]
        self._accepted(view, answer.step, self.shown[request])
        if answer.step == "advertise_keys":
            self.adverts[position] = signed
        elif answer.step == "share_keys":
            self._keep_shares(position, view, signed)
        elif answer.step == "masked_input":
            self.headers[position] = signed
        elif answer.step == "consistency":
            body = canonical.decode(Consistency, signed.body)
            self.signatures.setdefault(body.h3, {})[position] = signed.signature
        elif answer.step == "unmasking":
            self.unmasked[position] = view, canonical.decode(Unmasking, signed.body)

    def _accepted(self, view: View, step: str, shown: View) -> None:
        """Bring a gateway's view up to what it has just been shown."""
        if step == "share_keys":
            view.adverts, view.h0 = shown.adverts, shown.h0
        elif step == "masked_input":
            view.u2 = shown.u2
            view.h2 = shares_hash(view.h0, round_hash(self.round.claimed), self.n, view.u2)
        elif step == "consistency":
            view.u3 = shown.u3
            view.h3 = included_hash(view.h0, view.h2, self.n, view.u3)

    def _keep_shares(self, position: int, view: View, signed: Signed) -> None:
        shares = canonical.decode(ShareKeys, signed.body)
        holders = tuple(p for p in sorted(view.adverts) if p != position)
        self.dealt[position, shares.h0] = shares, holders

    # -- what it has learned -----------------------------------------------------------------------

    def opened(self) -> tuple[set[int], set[int]]:
        """Honest positions whose b, and whose s, the server can compute with its corrupt shares."""
        seeds: dict[int, set[int]] = {p: set() for p in range(self.n)}
        keys: dict[int, set[int]] = {p: set() for p in range(self.n)}
        direct = set(self.unmasked)
        for holder, (view, answer) in self.unmasked.items():
            alive = sorted(view.u3 - {holder})
            dead = sorted(view.u2 - view.u3 - {holder})
            for dealer, share in zip(alive, answer.seed_shares, strict=True):
                seeds[dealer] |= {holder} if share else set()
            for dealer, share in zip(dead, answer.key_shares, strict=True):
                keys[dealer] |= {holder} if share else set()
        t = self.limits.share_threshold
        honest = set(range(self.n)) - {self.corrupt}
        open_seeds = {p for p in honest if p in direct or len(seeds[p] | {self.corrupt}) >= t}
        return open_seeds, {p for p in honest if len(keys[p] | {self.corrupt}) >= t}
