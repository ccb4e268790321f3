"""Notes what a recipe sees of its gateways, for what their sum alone does not tell."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import numpy as np

from secagg.average.inputs import Inputs
from secagg.errors import EncodingError
from secagg.fixed_point import unit_of, weight_units
from secagg.fixed_point.units import real_of
from secagg.params import GatewayId, LeafSpec
from secagg.pytree import Select
from secagg.pytree.leaves import INTEGERS, Flat, size_of
from secagg.pytree.matching import matching
from secagg.pytree.trees import STEP, flat_of
from secagg.session.precision import Known, grain
from secagg.session.settings import SessionSettings

_SMALL: Final = 2**8
"""Coordinates of a leaf that may decode to 0 everywhere although somebody changed it: the odds that
each rounds to 0 fall with their number."""


class Moves:
    """Looks at the first update that is taken: a glance at small leaves, once a round.

    Where noise hides what nobody changed it looks at all leaves, and where the first gateway may be
    dropped at every update.

    Args:
        inputs: what the gateways bring.
        settings: of the round.
        base: the global model's tree, or None.
        select: as given to `tree_spec`.
    """

    def __init__(
        self, inputs: Inputs, settings: SessionSettings, base: Any, select: Select = None
    ) -> None:
        self._inputs, self._settings, self._base, self._select = inputs, settings, base, select
        self._exact = settings.carried.noise.exact
        self._looks: dict[GatewayId, tuple[frozenset[str], frozenset[str]]] = {}

    def take(self, name: GatewayId) -> Any:
        """The tree of a gateway, for its upload; one that does not fit is for that to refuse.

        Raises:
            EncodingError: as of `Inputs.take`.
        """
        tree = self._inputs.take(name)
        if self._inputs.drop or not self._looks:
            with suppress(EncodingError):
                self._looks[name] = self._look(tree)
        return tree

    def _look(self, tree: Any) -> tuple[frozenset[str], frozenset[str]]:
        """Keys that this update changed, and those that it did not."""
        leaves = self._settings.leaves
        table = matching(leaves, tree, "update", self._select)
        known = {} if self._base is None else matching(leaves, self._base, "base", self._select)
        looked: dict[bool, list[str]] = {True: [], False: []}
        for spec in leaves:
            size = size_of(spec.shape)
            if size and (size <= _SMALL or not self._exact) and spec.dtype not in INTEGERS:
                now = flat_of(spec.key, table[spec.key])
                before = flat_of(spec.key, known[spec.key]) if known else np.zeros(size)
                looked[_changed(spec, now, before)].append(spec.key)
        return frozenset(looked[True]), frozenset(looked[False])

    def known(self, included: Sequence[GatewayId]) -> Known:
        """What was seen of those in the mean."""
        params = self._settings.round_params(None)
        unit, whole = unit_of(params), bool(params.of_kind("integers"))
        weights = [real_of(self._inputs.weight(name)) for name in included]
        units = [weight_units(each, params.max_weight, integers=whole) for each in weights]
        looks = [self._looks[name] for name in included if name in self._looks]
        moved, still = looks[0] if looks else (frozenset(), frozenset())
        return Known(
            moved=moved,
            still=frozenset() if self._exact else still,
            drift=sum(abs(a * unit - b) for a, b in zip(units, weights, strict=True)),
        )


def _changed(spec: LeafSpec, now: Flat, before: Flat) -> bool:
    size = size_of(spec.shape)
    for start in range(0, size, STEP):
        part = slice(start, min(start + STEP, size))
        with np.errstate(invalid="ignore", over="ignore"):  # infinities that are shared
            step = np.abs(now[part] - before[part]).max()
        if step > grain(spec.dtype, before[part]):
            return True
    return False
