"""Gives out the updates of a round, one at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from secagg.params import GatewayId
from secagg.session.loopback import Key

Update = Any
"""A tree of arrays, or a function without arguments that returns one."""


class Provider:
    """Updates when they are due: a function is called once, and its tree is not kept."""

    def __init__(self, updates: Mapping[Key, Update]) -> None:
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
