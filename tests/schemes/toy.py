"""The server's view of the real client, exactly: every value of every mask in a toy ring.

The client takes its mask generator as an argument. The one here gives each key a value of a tiny
ring, and word number w of the vector stands for combination number w of all inputs and all masks.
So one upload covers them all, and the distribution of the view can be compared for any two inputs:
it may depend on the sum over U3 alone. Keys, shares and answers are the real ones; what the server
can derive from them is derived here. Worst case: whoever is not in U3 has uploaded all the same.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from secagg import Masks, canonical, wire
from secagg.crypto.agreement import agree
from secagg.crypto.shamir import combine
from secagg.params import NO_MODEL
from secagg.protocol.identity import Cohort, Identity, Roster
from secagg.protocol.journal import MemoryJournal
from secagg.protocol.policy import Policy
from secagg.schemes.base import ClientContext, ServerContext
from secagg.schemes.masks.client import MasksClient
from secagg.schemes.masks.keys import edge_secret, mask_private, pair_key, self_key, sign
from secagg.schemes.masks.messages import STEPS, Unmasking
from secagg.schemes.masks.server import MasksServer
from secagg.session import SessionSettings, UpdateEncoding
from secagg.session.server import temporary_file
from tests.schemes.world import entropy

TOY = 0
"""The vector that is looked at."""


class Ring:
    """All combinations of n inputs and n + n(n-1)/2 masks in Z mod `size`."""

    def __init__(self, n, size):
        self.n, self.size = n, size
        masks = n * (n + 1) // 2
        grid = np.indices((size,) * (n + masks), np.uint8).reshape(n + masks, -1)
        self.inputs, self._free = grid[:n], list(grid[n:])
        self.words = grid.shape[1]
        self.masks = {}

    def mask(self, key):
        """The values of a key: one key, one mask. More keys than masks are an error."""
        if key not in self.masks:
            self.masks[key] = self._free.pop()
        return self.masks[key]

    def masker(self):
        """One client's mask generator; the toy is the first vector."""
        return lambda keys: Adder(self, keys)


class Adder:
    def __init__(self, ring, keys):
        self._ring, self._keys = ring, keys

    def add(self, words, first_word):
        if first_word >= self._ring.words:  # of another vector
            return
        for factor, key in self._keys:
            values = self._ring.mask(key)[first_word : first_word + len(words)]
            np.add(words, values if factor == 1 else self._ring.size - values, out=words)
        np.remainder(words, self._ring.size, out=words)


def settings_of(n, words):
    """A word for each coordinate, a coordinate for each combination."""
    tree = {"toy": np.broadcast_to(np.float32(0), words)}
    return SessionSettings.of(Masks(packing=1), UpdateEncoding(clip=1.0), tree, range(n))


@dataclass
class Session:
    """Real clients and a real server until the last answers are out.

    U2 is `dealers`, U3 is `included`; everybody in U2 uploads, only those in U3 are listened to.
    """

    ring: Ring
    included: frozenset[int]
    dealers: frozenset[int]
    kind: type[MasksClient] = MasksClient
    uploads: dict[int, np.ndarray] = field(default_factory=dict)
    answers: dict[int, Unmasking] = field(default_factory=dict)
    corrupt: dict[int, tuple] = field(default_factory=dict)

    def __post_init__(self):
        n = self.ring.n
        names = [Identity.generate(i, entropy("view", i)) for i in range(n)]
        orchestrator = Identity.generate("orchestrator", entropy("view", "orchestrator"))
        roster = Roster.of(1, orchestrator, names)
        settings = settings_of(n, self.ring.words)
        self.server = MasksServer(
            lambda key: settings.session_params(roster, bytes(16), key),
            settings.round_params,
            ServerContext(
                identity=orchestrator,
                cohort=Cohort.of(roster, range(n)),
                rng=entropy("view", "server"),
                max_in_flight=n,
                spool=temporary_file,
            ),
        )
        self.clients = {
            i: self.kind(
                bytes(16),
                ClientContext(
                    identity=names[i],
                    roster=roster,
                    policy=Policy(require_model=False),
                    journal=MemoryJournal(),
                    rng=entropy("view", "client", i),
                ),
                self.ring.masker(),
            )
            for i in range(n)
        }

    def play(self):
        self.server.start()
        for step in STEPS:
            _, requests = self.server.machine.take()
            for position, request in requests.items():
                if step.name != "advertise_keys" and position not in self.dealers:
                    continue
                signed = self.clients[position].receive(request)
                if step.name == "unmasking":
                    self.answers[position] = canonical.decode(Unmasking, signed.body)
                elif step.name != "masked_input" or position in self.included:
                    self.server.receive(position, step.name, signed)
                if step.name == "masked_input":
                    self._upload(position)
            if self.server.machine.phase == step.name != "unmasking":
                self.server.advance()
        return self

    def _upload(self, position):
        client = self.clients[position]
        sent = client.upload(lambda: self._fill(position), NO_MODEL)
        frames = [wire.open(frame).vector() for frame in sent]
        words = np.concatenate([frame.words for frame in frames])
        self.uploads[position] = words[: self.ring.words].astype(np.int64)
        # what this gateway knows, should it collude
        seed, key_seed = (client._secrets[name].reveal() for name in ("seed", "key_seed"))
        held = {j: tuple(s.reveal() for s in pair) for j, pair in client._held.items()}
        self.corrupt[position] = seed, key_seed, held
        if position in self.included:
            for frame in frames:
                self.server.receive_frame(position, frame)

    def _fill(self, position):
        def fill(vector, first_word, out):
            if vector == TOY:
                out[:] = self.ring.inputs[position][first_word : first_word + len(out)]

        return fill

    # -- what the server can derive ----------------------------------------------------------------

    def known(self, colluding):
        """Mask keys that follow from all answers and from everything the colluding hold."""
        seeds, key_seeds, edges, *shares = self._told(colluding)
        threshold = self.server.params.thresholds.share_threshold
        for found, by_dealer in zip((seeds, key_seeds), shares, strict=True):
            for dealer, by_holder in by_dealer.items():
                if len(by_holder) >= threshold:
                    [found[dealer]] = combine(by_holder, threshold)
        for i, key_seed in key_seeds.items():
            private = mask_private(key_seed, self.server._k)
            for j in self.dealers - {i}:
                edges[i, j] = self._edge(private, i, j)
        h2 = self.server._h2
        keys = {self_key(seed, h2=h2, position=i) for i, seed in seeds.items()}
        return keys | {pair_key(edge, h2=h2) for edge in edges.values()}

    def _told(self, colluding):
        """b_i, s_i, M_ij, and dealer -> holder -> share of b_i and of s_i."""
        seeds, key_seeds, edges = {}, {}, {}
        seed_shares, key_shares = defaultdict(dict), defaultdict(dict)
        alive, dead = sorted(self.included), sorted(self.dealers - self.included)
        for i, answer in self.answers.items():
            near, gone = [j for j in alive if j != i], [j for j in dead if j != i]
            seeds[i] = answer.seed
            # a client that says more than it is asked for goes on with the others
            edges |= {(i, j): edge for j, edge in zip(gone + near, answer.edge_secrets)}  # noqa: B905
            for j, share in zip(near + gone, answer.seed_shares):  # noqa: B905
                seed_shares[j][i] = [share]
            for j, share in zip(gone, answer.key_shares, strict=True):
                key_shares[j][i] = [share]
        for i in colluding & self.dealers:
            seeds[i], key_seeds[i], held = self.corrupt[i]
            for j, (seed_share, key_share) in held.items():
                seed_shares[j][i], key_shares[j][i] = [seed_share], [key_share]
        return seeds, key_seeds, edges, seed_shares, key_shares

    def _edge(self, private, i, j):
        peer = self.server._adverts[j][1].mask_key
        return edge_secret(agree(private, peer), h2=self.server._h2, ends=(i, j))

    def view(self, colluding):
        """For each input the sorted codes of what is seen, one for each combination of masks."""
        known = self.known(colluding) & self.ring.masks.keys()
        seen = [self.uploads[i] for i in sorted(self.uploads)]
        seen += [self.ring.masks[key] for key in sorted(known)]
        code = np.zeros(self.ring.words, np.int64)
        for column in seen:
            code = code * self.ring.size + column
        return np.sort(code.reshape(self.ring.size**self.ring.n, -1), axis=1)

    def decoded(self):
        """The sum as the server computes it, for every word."""
        h2, total = self.server._h2, np.zeros(self.ring.words, np.int64)
        for i, answer in self.answers.items():
            total += self.uploads[i]
            total -= self.ring.mask(self_key(answer.seed, h2=h2, position=i))
            gone = sorted(self.dealers - self.included)
            for j, edge in zip(gone, answer.edge_secrets, strict=True):
                mask = self.ring.mask(pair_key(edge, h2=h2)).astype(np.int64)
                total -= sign(i, j) * mask
        return total % self.ring.size
