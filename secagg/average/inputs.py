"""Checks what a round is given, and gives out its updates one at a time."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from numbers import Integral
from typing import Any

from secagg.errors import BelowThreshold, ConfigurationError, EncodingError, SecAggError, shown
from secagg.params import GatewayId, LeafSpec
from secagg.protocol.events import GatewayDropped
from secagg.protocol.messages import DropReason
from secagg.protocol.steps import upload_index
from secagg.pytree import bit_sums, flatten, is_model, leaves_of
from secagg.schemes.scheme import Scheme
from secagg.session.loopback import Name

UpdateSource = Any
"""A tree of arrays, or a function without arguments that returns one."""


class Inputs:
    """What each gateway brings into a round.

    Args:
        updates: by id.
        weights: by id, or None.
        metrics: by id, or None.
        drop: an exception of a gateway's own function becomes its `EncodingError`.

    Attributes:
        ids: of all gateways, each an int or a str.

    Raises:
        ConfigurationError: no updates, no mapping, an id that is neither str nor int, or weights or
            metrics of somebody without an update.
        EncodingError: a gateway without a weight or metrics.
    """

    def __init__(
        self,
        updates: Mapping[Name, UpdateSource],
        weights: Mapping[Name, float] | None,
        metrics: Mapping[Name, Mapping[str, float]] | None,
        *,
        drop: bool = False,
    ) -> None:
        _check_tables(updates, weights, metrics)
        self._updates, self._weights, self._metrics = updates, weights, metrics
        self._drop = drop
        # looked up as they were given: they may be numpy's integers
        self._given = dict(zip(plain_ids(updates), updates, strict=True))
        self.ids = tuple(self._given)
        self._ahead: dict[GatewayId, Any] = {}

    def take(self, name: GatewayId) -> Any:
        """The tree of a gateway, for its upload: a function is called once, its tree not kept.

        Raises:
            EncodingError: its function raised an exception, and `drop` is set.
        """
        return _tree(self._ahead.pop(name) if name in self._ahead else self._make(name))

    def _make(self, name: GatewayId) -> Any:
        """Its tree, or why there is none."""
        try:
            update = self._updates[self._given[name]]  # which may load it
            return update() if callable(update) and not is_model(update) else update
        except Exception as error:
            if not self._drop:
                raise
            kind = type(error).__name__
        # without the exception: its text may be private, and its frames hold what was trained
        return EncodingError(f"its function raised {kind}: invalid='raise' lets it through")

    def ahead(self, name: GatewayId) -> Any:
        """What `take` will give, ahead of its turn; it is kept until then."""
        self._ahead[name] = self._make(name)
        return self._ahead[name]

    def template(self, layout: Callable[[Any], Hashable], scheme: Scheme, needed: int) -> Any:
        """A tree that the round is laid out by: with `drop` the first that another one equals.

        Args:
            layout: keys, shapes and dtypes of a tree.
            scheme: of the round.
            needed: gateways.

        Raises:
            ConfigurationError: settings that serve no tree.
            BelowThreshold: with `drop`, no tree can be averaged.
            EncodingError: with `drop`, one tree was written to while another was made.
        """
        if not self._drop:
            return self.ahead(self.ids[0])
        found: dict[Hashable, Any] = {}
        bits: dict[GatewayId, bytes] = {}
        refused: dict[GatewayId, SecAggError] = {}
        for name in self.ids:
            made = self.ahead(name)
            try:
                laid_out = layout(_tree(made))
            except (ConfigurationError, EncodingError) as error:
                refused[name] = error
                continue
            with suppress(EncodingError):
                bits[name] = _bits(made)
            if laid_out in found:
                break
            found[laid_out] = made
        else:
            laid_out = next(iter(found), None)
        self._check_kept(bits)
        if laid_out in found:
            return found[laid_out]
        raise next(
            (each for each in refused.values() if isinstance(each, ConfigurationError)),
            _nobody(refused, scheme, needed),
        )

    def _check_kept(self, bits: Mapping[GatewayId, bytes]) -> None:
        for name, before in bits.items():
            if _bits(self._ahead[name]) != before:
                error = EncodingError(
                    "the update changed while the next one was made, which invalid='drop' does"
                    " ahead without a base: return a copy (copy.deepcopy), or pass `base`"
                )
                error.gateway = name
                raise error

    def weight(self, name: GatewayId) -> float:
        """Its weight, 1 where nobody has any."""
        return 1.0 if self._weights is None else self._weights[self._given[name]]

    def metrics(self, name: GatewayId) -> Mapping[str, float] | None:
        """What it has summed beside its update."""
        return None if self._metrics is None else self._metrics[self._given[name]]

    @property
    def metric_names(self) -> tuple[str, ...]:
        """What most gateways call their metrics; of these all others are told to be wrong.

        Raises:
            EncodingError: nobody's are a mapping.
        """
        if self._metrics is None:
            return ()
        tables: list[object] = [self._metrics[given] for given in self._given.values()]
        named = [tuple(each) for each in tables if isinstance(each, Mapping)]
        if not named:
            raise EncodingError(
                f"metrics of a gateway are a {type(tables[0]).__name__}: use a mapping by name,"
                " such as {'loss': ...}"
            )
        usual, _ = Counter(map(frozenset, named)).most_common(1)[0]
        return next(names for names in named if usual == frozenset(names))


def _bits(made: Any) -> bytes:
    return bit_sums(flatten(made))


def _tree(made: Any) -> Any:
    if isinstance(made, EncodingError):
        raise made
    return made


def _nobody(
    refused: Mapping[GatewayId, SecAggError], scheme: Scheme, needed: int
) -> BelowThreshold:
    phase = scheme.steps[upload_index(scheme.steps)].name
    error = BelowThreshold(0, needed, phase, asked=len(refused))
    error.dropped = {
        name: GatewayDropped(name, phase, DropReason.INVALID, f"{type(each).__name__}: {each}")
        for name, each in refused.items()
    }
    return error


def _check_tables(updates: Any, weights: Any, metrics: Any) -> None:
    for what, table in (("updates", updates), ("weights", weights), ("metrics", metrics)):
        # a list of trees is the usual mistake, and its items must not be taken for ids
        if not isinstance(table, Mapping) and (what == "updates" or table is not None):
            kind = type(table).__name__
            raise ConfigurationError(
                f"{what} is a {kind}: pass a mapping by gateway, such as dict(enumerate({what}))"
            )
    if not len(updates):  # a mapping of another package may have no truth
        raise ConfigurationError("no updates: secure aggregation takes 3 gateways or more")
    for what, table in (("weights", weights), ("metrics", metrics)):
        if table is None:
            continue
        missing = [name for name in plain_ids(updates) if name not in table]
        if missing:
            raise EncodingError(f"{what} lack gateways: {missing[:3]}")
        strangers = [name for name in plain_ids(table) if name not in updates]
        if strangers:
            raise ConfigurationError(f"{what} have gateways without an update: {strangers[:3]}")


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


def plain_ids(ids: Iterable[object]) -> list[GatewayId]:
    """Ids as `int` or `str`, whatever integers or text they were.

    Raises:
        ConfigurationError: one that is neither.
    """
    return [_plain(name) for name in ids]


def _plain(name: object) -> GatewayId:
    if isinstance(name, str):
        return str.__str__(name)
    if isinstance(name, bool) or not isinstance(name, Integral):
        raise ConfigurationError(f"a gateway id is a {type(name).__name__}: use str or int")
    return operator.index(name)


def vanishing(
    vanish: Mapping[Name, str] | None, inputs: Inputs, scheme: Scheme
) -> dict[GatewayId, list[str]]:
    """The phases in which a gateway does not answer: the one it is said to vanish in and all after.

    Raises:
        ConfigurationError: ids or phases that the round does not have; names them.
    """
    if not isinstance(vanish, Mapping | None):
        raise ConfigurationError(f"vanish is a {type(vanish).__name__}: pass the phase by gateway")
    phases = [step.name for step in scheme.steps]
    for name, phase in (vanish or {}).items():
        given: object = phase
        if name not in inputs.ids or not isinstance(given, str) or given not in phases:
            what = f"{shown(name)}: {shown(given)}"
            raise ConfigurationError(f"vanish has {what}: use an id of updates and one of {phases}")
    return {name: phases[phases.index(phase) :] for name, phase in (vanish or {}).items()}
