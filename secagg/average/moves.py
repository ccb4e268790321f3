"""Notes what a recipe sees of its gateways, for what their sum alone does not tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from secagg.average.inputs import Inputs
from secagg.errors import EncodingError
from secagg.fixed_point import unit_of, weight_units
from secagg.fixed_point.units import real_of
from secagg.params import GatewayId
from secagg.pytree import Select
from secagg.pytree.leaves import INTEGERS, size_of
from secagg.pytree.matching import matching
from secagg.pytree.trees import flat_of
from secagg.session.precision import Known, grain
from secagg.session.settings import SessionSettings

_SMALL: Final = 2**8
"""Coordinates of a leaf that may decode to 0 everywhere although somebody changed it: the odds that
each rounds to 0 fall with their number."""


class Moves:
    """Looks at the first update that is taken: a glance at small leaves, once a round.

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
        self._first: GatewayId | None = None
        self._moved: frozenset[str] = frozenset()

    def take(self, name: GatewayId) -> Any:
        """The tree of a gateway, for its upload; one that does not fit is for that to refuse.

        Raises:
            EncodingError: as of `Inputs.take`.
        """
        tree = self._inputs.take(name)
        if self._first is None:
            try:
                self._moved = self._look(tree)
            except EncodingError:
                return tree
            self._first = name
        return tree

    def _look(self, tree: Any) -> frozenset[str]:
        leaves, moved = self._settings.leaves, []
        table = matching(leaves, tree, "update", self._select)
        known = {} if self._base is None else matching(leaves, self._base, "base", self._select)
        for spec in leaves:
            size = size_of(spec.shape)
            if 0 < size <= _SMALL and spec.dtype not in INTEGERS:
                now = flat_of(spec.key, table[spec.key])[:size]
                before = flat_of(spec.key, known[spec.key])[:size] if known else np.zeros(size)
                with np.errstate(invalid="ignore", over="ignore"):  # infinities that are shared
                    step = np.abs(now - before).max()
                if step > grain(spec.dtype, before):
                    moved.append(spec.key)
        return frozenset(moved)

    def known(self, included: Sequence[GatewayId]) -> Known:
        """What was seen of those in the mean."""
        params = self._settings.round_params(None)
        unit, whole = unit_of(params), bool(params.of_kind("integers"))
        weights = [real_of(self._inputs.weight(name)) for name in included]
        units = [weight_units(each, params.max_weight, integers=whole) for each in weights]
        return Known(
            moved=self._moved if self._first in included else frozenset(),
            drift=sum(abs(a * unit - b) for a, b in zip(units, weights, strict=True)),
        )
