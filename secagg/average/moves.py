"""Notes what a recipe sees of its gateways, for what their sum alone does not tell."""

from __future__ import annotations

from collections.abc import Collection, Sequence
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

_LOOKS: Final = 2
"""Updates looked at: what the first gateway left as it was another may have changed."""
_CHUNK: Final = 2**12
"""Coordinates compared at first: most leaves differ in them."""


class Moves:
    """Looks at the first two updates that are not dropped, for which keys they changed.

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
        self._looks: dict[GatewayId, tuple[frozenset[str], frozenset[str]]] = {}

    def take(self, name: GatewayId, dropped: Collection[GatewayId]) -> Any:
        """The tree of a gateway, for its upload; one that does not fit is for that to refuse.

        Args:
            name: the gateway.
            dropped: whom the round goes on without so far.

        Raises:
            EncodingError: as of `Inputs.take`.
        """
        tree = self._inputs.take(name)
        if len(self._looks.keys() - dropped) < _LOOKS:
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
            if size and spec.dtype not in INTEGERS:
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
        moved = frozenset[str]().union(*(each for each, _ in looks))
        still = frozenset[str]().union(*(each for _, each in looks))
        return Known(
            moved=moved,
            still=still - moved,
            drift=sum(abs(a * unit - b) for a, b in zip(units, weights, strict=True)),
        )


def _changed(spec: LeafSpec, now: Flat, before: Flat) -> bool:
    size = size_of(spec.shape)
    start, stop = 0, _CHUNK
    while start < size:
        part = slice(start, min(stop, size))
        start, stop = stop, min(4 * stop, stop + STEP)
        after, known = now[part], before[part]
        if np.array_equal(after, known):
            continue
        with np.errstate(invalid="ignore", over="ignore"):  # infinities that are shared
            step = np.abs(after - known).max()
        if step > grain(spec.dtype, known):
            return True
    return False
