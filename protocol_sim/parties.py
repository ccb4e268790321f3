"""Who takes part: keys, journals and inputs of gateways over many sessions, and what is right."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocol_sim.randomness import entropy
from secagg.crypto.signing import verify
from secagg.fixed_point.reference import unpack
from secagg.params import RoundParams, Thresholds
from secagg.protocol.identity import Identity, Roster
from secagg.protocol.journal import Journal, MemoryJournal
from secagg.protocol.policy import Policy
from secagg.schemes.masks import Masks
from secagg.schemes.scheme import Scheme
from secagg.session import ClientSession, Model, SessionSettings, UpdateEncoding
from secagg.session.update import Update, rounding_key

ROUNDING: Final = b"the same numbers again"
MAX_WEIGHT: Final = 8.0
VERIFY: Final = lru_cache(1 << 16)(verify)
"""Everybody checks the same signatures, and so do many worlds; what does not verify is not kept."""
POLICY: Final = Policy(min_colluding=1, require_model=False)


class Parties:
    """The gateways "g0", "g1", ..., their orchestrator, and what each of them has trained.

    Args:
        gateways: members of the roster.
        scheme: of their rounds.
        seed: names keys and inputs.
        coordinates: real coordinates of an update; three integers come with them.
        epoch: of the roster.

    Attributes:
        ids: names, in the order of the roster.
        identities: by name.
        journals: by name; a restarted gateway keeps its own.
        orchestrator: identity.
        roster: pinned by everybody.
    """

    def __init__(
        self,
        gateways: int,
        scheme: Scheme | None = None,
        *,
        seed: object = "a",
        coordinates: int = 7,
        epoch: int = 1,
    ) -> None:
        self.scheme: Scheme = scheme or Masks()
        self.seed = seed
        self.coordinates = coordinates
        self.ids = tuple(f"g{place}" for place in range(gateways))
        self.place = {name: place for place, name in enumerate(self.ids)}
        self.orchestrator = Identity.generate("orchestrator", entropy(seed, "orchestrator"))
        self.identities = {name: Identity.generate(name, entropy(seed, name)) for name in self.ids}
        self.journals: dict[str, Journal] = {name: MemoryJournal() for name in self.ids}
        self.roster = Roster.of(epoch, self.orchestrator, list(self.identities.values()))

    # -- inputs ------------------------------------------------------------------------------------

    def update(self, name: str) -> dict[str, NDArray[Any]]:
        """What a gateway trained: {"w": float64[coordinates] in [-1, 1], "steps": int64[3]}."""
        return _update(self.place[name], self.coordinates)

    def weight(self, name: str) -> float:
        """Its weight."""
        return 0.5 + self.place[name] % 7

    def metrics(self, name: str) -> dict[str, float]:
        """Its metrics."""
        return {"loss": 0.25 * (self.place[name] % 400) - 1}

    def expected(
        self, params: RoundParams, included: Iterable[str], gateways: int | None = None
    ) -> list[NDArray[np.object_]]:
        """The oracle: the sum of each vector over these gateways, in Python integers.

        Args:
            params: P.
            included: names.
            gateways: n; everybody by default.
        """
        blank = params.replace(session_params=bytes(32), model=bytes(32))
        n = gateways or len(self.ids)
        each = [self._integers(blank, n, name) for name in included]
        return [sum(vectors[1:], vectors[0]) for vectors in zip(*each, strict=True)]

    def _integers(
        self, params: RoundParams, gateways: int, name: str
    ) -> Sequence[NDArray[np.object_]]:
        return _integers(
            params,
            gateways,
            name,
            self.place[name],
            self.coordinates,
            self.weight(name),
            self.metrics(name)["loss"],
        )

    # -- sessions ----------------------------------------------------------------------------------

    def client(self, name: str, *salt: object, **options: Any) -> ClientSession:
        """A session of this gateway; `salt` makes its randomness another.

        Args:
            name: of the gateway.
            salt: what the session is called.
            options: of `ClientSession`, and `journal`.
        """
        return ClientSession(
            self.identities[name],
            options.pop("roster", self.roster),
            options.pop("policy", POLICY),
            options.pop("journal", self.journals[name]),
            rng=entropy(self.seed, name, *salt),
            schemes=options.pop("schemes", (self.scheme,)),
            verify=VERIFY,
            **options,
        )

    def settings(
        self,
        number: int = 1,
        cohort: Iterable[str] | None = None,
        *,
        model: Model | None = None,
        limits: Mapping[str, int] | None = None,
        thresholds: Thresholds | None = None,
    ) -> SessionSettings:
        """Settings of one round.

        Args:
            number: of the round.
            cohort: names; everybody by default.
            model: that updates are made on.
            limits: `max_colluding`, `max_dropouts`.
            thresholds: instead of those that the scheme derives from `limits`.
        """
        ids = tuple(cohort or self.ids)
        # a precision that every layout reaches
        encoding = UpdateEncoding(
            clip=1.0, max_weight=MAX_WEIGHT, precision=1.0, metrics={"loss": 100.0}
        )
        return SessionSettings.of(
            self.scheme,
            encoding,
            self.update(self.ids[0]),
            ids,
            thresholds=thresholds or self.scheme.thresholds(len(ids), **(limits or {})),
            model=(model or Model(None)).hash,
            number=number,
        )

    def snapshot(self, name: str) -> Journal:
        """A copy of a gateway's journal as it is now: what a backup would bring back."""
        journal, backup = self.journals[name], MemoryJournal()
        vars(backup).update(
            {key: copy.deepcopy(it) for key, it in vars(journal).items() if key != "_turn"}
        )
        return backup


@lru_cache(1 << 12)
def _update(place: int, coordinates: int) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(place)
    return {"w": rng.uniform(-1, 1, coordinates), "steps": rng.integers(-(10**6), 10**6, 3)}


@lru_cache(1 << 12)
def _integers(
    params: RoundParams,
    gateways: int,
    name: str,
    place: int,
    coordinates: int,
    weight: float,
    loss: float,
) -> tuple[NDArray[np.object_], ...]:
    """One gateway's coordinates of every vector as Python integers."""
    fill = Update(
        params,
        gateways,
        _update(place, coordinates),
        weight=weight,
        base=None,
        metrics={"loss": loss},
        rounding=rounding_key(ROUNDING, name, b""),
    ).source()
    vectors = []
    for index, spec in enumerate(params.vectors):
        words = np.empty(spec.words, np.uint64)
        fill(index, 0, words)
        vectors.append(np.array(unpack(spec, words.tolist())[: spec.length], object))
    return tuple(vectors)
