"""Turns the settings of a recipe into those of a round."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from secagg.average.inputs import Inputs, check_left_out
from secagg.errors import ConfigurationError, EncodingError
from secagg.params import GatewayId, Thresholds
from secagg.protocol.bounds import Bounds
from secagg.protocol.identity import Roster
from secagg.protocol.policy import Policy
from secagg.pytree import tree_spec
from secagg.schemes import scheme_of
from secagg.schemes.auto import Choice, choose
from secagg.schemes.masks import Masks
from secagg.schemes.scheme import Scheme
from secagg.session.settings import (
    METRIC_BOUND,
    SessionSettings,
    UpdateEncoding,
    check_colluding,
)
from secagg.session.update import Model
from secagg.workers import Workers


class Planner:
    """What all rounds of a recipe have in common.

    Args:
        encoding: how updates become vectors.
        scheme: an object, its name, "auto", or None for masks.
        max_colluding: C, or None for the usual one.
        max_dropouts: D, likewise.
        workers: threads for the hash of a model.

    Raises:
        ConfigurationError: no scheme.
    """

    def __init__(
        self,
        encoding: UpdateEncoding,
        scheme: Scheme | str | None,
        max_colluding: int | None,
        max_dropouts: int | None,
        workers: Workers,
    ) -> None:
        self.encoding = encoding
        self.scheme = scheme_or_auto(scheme)
        self._max_colluding = max_colluding
        self._max_dropouts = max_dropouts
        self._workers = workers

    def policy(self, template: Any, gateways: int, metrics: Sequence[str]) -> Policy:
        """As `SecureAverage.policy`."""
        encoding = self.encoding
        limits = self.thresholds(self.choice(template, gateways).scheme, gateways)
        bounds = Bounds(
            clip=dict(encoding.clip) if isinstance(encoding.clip, Mapping) else encoding.clip,
            max_weight=encoding.max_weight,
            metrics=self._metric_bounds(metrics),
            integers=None if encoding.integers is None else int(encoding.integers),
            clipping=encoding.clipping,
        )
        return Policy(
            min_colluding=limits.max_colluding,
            min_gateways=gateways,
            min_included=limits.min_included,
            bounds={encoding.purpose: bounds},
        )

    def _metric_bounds(self, names: Sequence[str]) -> dict[str, float]:
        return {name: self.encoding.metrics.get(name, METRIC_BOUND) for name in names}

    def thresholds(self, scheme: Scheme, gateways: int) -> Thresholds:
        """Of a cohort of that size."""
        return scheme.thresholds(
            gateways, max_colluding=self._max_colluding, max_dropouts=self._max_dropouts
        )

    def choice(self, template: Any, gateways: int) -> Choice:
        """The scheme of a round, and why."""
        if not isinstance(self.scheme, str):
            return Choice(self.scheme)
        encoding = self.encoding
        _, groups = tree_spec(template, clips=encoding.clip, select=encoding.select)
        return choose(
            gateways,
            sum(group.length for group in groups if group.clip is not None),
            max_colluding=self._max_colluding,
            max_dropouts=self._max_dropouts,
            max_weight=encoding.max_weight,
            precision=encoding.precision,
        )

    def settings(
        self,
        scheme: Scheme,
        cohort: Sequence[GatewayId],
        template: Any,
        base: Any,
        metrics: Sequence[str],
        number: int = 1,
        *,
        retry: bool = False,
    ) -> SessionSettings:
        """As `SecureAverage.params`."""
        encoding = replace(self.encoding, metrics=self._metric_bounds(metrics))
        return SessionSettings.of(
            scheme,
            encoding,
            template,
            cohort,
            thresholds=self.thresholds(scheme, len(cohort)),
            model=self.model(base).hash,
            number=number,
            retry=retry,
        )

    def check_roster(self, scheme: Scheme, ids: Sequence[GatewayId], roster: Roster) -> None:
        """Refuse a C that nobody has chosen and gateways of the roster refuse by default.

        Raises:
            ConfigurationError: says what to pass.
        """
        if self._max_colluding is None:
            limits = self.thresholds(scheme, len(ids))
            check_colluding(limits.max_colluding, len({*ids, *(m.id for m in roster.members)}))

    def model(self, base: Any) -> Model:
        """The global model, of the keys that are averaged."""
        return Model.of(base, self._workers, select=self.encoding.select)

    def round(
        self, inputs: Inputs, model: Model, number: int
    ) -> tuple[Any, Choice, SessionSettings]:
        """The template of a round, why it has its scheme, and its settings."""
        n, template, names = len(inputs.ids), model.tree, inputs.metric_names
        if template is None:
            scheme = Masks() if isinstance(self.scheme, str) else self.scheme
            needed = self.thresholds(scheme, n).min_included
            template = inputs.template(self._layout, scheme, needed)
        try:
            choice = self.choice(template, n)
            settings = self.settings(choice.scheme, inputs.ids, template, model, names, number)
        except EncodingError as error:
            if model.tree is None:
                error.gateway = inputs.ids[0]
            raise
        check_left_out(template, model.tree, settings.leaves)
        return template, choice, settings

    def _layout(self, tree: Any) -> Hashable:
        leaves, _ = tree_spec(tree, clips=self.encoding.clip, select=self.encoding.select)
        return tuple((leaf.key, leaf.shape, leaf.dtype) for leaf in leaves)


def scheme_or_auto(given: Scheme | str | None) -> Scheme | Literal["auto"]:
    """The scheme that an argument means.

    Raises:
        ConfigurationError: none.
    """
    if given is None:
        return Masks()
    if not isinstance(given, str):
        return given
    if given == "auto":
        return "auto"
    try:
        return scheme_of(given)
    except ConfigurationError as error:
        raise ConfigurationError(f"{error}, auto") from None
