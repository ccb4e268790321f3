"""Checks what a round is given, and gives out its updates one at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from secagg.errors import ConfigurationError, EncodingError
from secagg.params import GatewayId, LeafSpec
from secagg.pytree import leaves_of
from secagg.schemes.scheme import Scheme
from secagg.session.loopback import Name

UpdateSource = Any
"""A tree of arrays, or a function without arguments that returns one."""


class Provider:
    """Updates when they are due: a function is called once, and its tree is not kept."""

    def __init__(self, updates: Mapping[Name, UpdateSource]) -> None:
        self._updates = updates
        self._peeked: dict[GatewayId, Any] = {}

    def peek(self, name: GatewayId) -> Any:
        """The tree of a gateway ahead of its turn; it is kept until then."""
        self._peeked[name] = self.take(name)
        return self._peeked[name]

    def take(self, name: GatewayId) -> Any:
        """The tree of a gateway, for its upload."""
        if name in self._peeked:
            return self._peeked.pop(name)
        update = self._updates[name]
        return update() if callable(update) else update


def check_updates(
    updates: Mapping[Name, UpdateSource],
    weights: Mapping[GatewayId, float] | None,
    metrics: Mapping[GatewayId, Mapping[str, float]] | None,
) -> None:
    """Refuse a round that lacks something.

    Raises:
        ConfigurationError: no updates, no mapping, or an id that is neither str nor int.
        EncodingError: a gateway without a weight or metrics.
    """
    for what, table in (("updates", updates), ("weights", weights), ("metrics", metrics)):
        # a list of trees is the usual mistake, and its items must not be taken for ids
        if not isinstance(table, Mapping | None):
            kind = type(table).__name__
            raise ConfigurationError(
                f"{what} is a {kind}: pass a mapping by gateway, such as dict(enumerate({what}))"
            )
    if not updates:
        raise ConfigurationError("no updates: secure aggregation takes 3 gateways or more")
    check_ids(updates)
    for what, table in (("weights", weights), ("metrics", metrics)):
        missing = [name for name in updates if table is not None and name not in table]
        if missing:
            raise EncodingError(f"{what} lack gateways: {missing[:3]}")


def check_left_out(template: Any, base: Any, leaves: Sequence[LeafSpec]) -> None:
    """Refuse to leave keys out of a tree that a gateway trained: the mean would publish them.

    Raises:
        ConfigurationError: names one.
    """
    averaged = {leaf.key for leaf in leaves}
    left = [key for key, _ in leaves_of(template) if key not in averaged]
    if left and base is None:
        raise ConfigurationError(
            f"select leaves {left[0]!r} out: pass `base`, whose value it keeps in the mean"
        )


def check_vanish(
    vanish: Mapping[GatewayId, str], updates: Mapping[Name, UpdateSource], scheme: Scheme
) -> None:
    """Refuse gateways and phases that the round does not have.

    Raises:
        ConfigurationError: names them.
    """
    phases = [step.name for step in scheme.steps]
    for name, phase in vanish.items():
        if name not in updates or phase not in phases:
            raise ConfigurationError(
                f"vanish has {name!r}: {phase!r}: use an id of updates and one of {phases}"
            )


def check_ids(ids: Iterable[object]) -> None:
    """Refuse ids that are neither str nor int.

    Raises:
        ConfigurationError: names it.
    """
    for name in ids:
        if isinstance(name, bool) or not isinstance(name, (str, int)):
            raise ConfigurationError(f"a gateway id is a {type(name).__name__}: use str or int")
