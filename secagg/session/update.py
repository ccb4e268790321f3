"""Encodes one gateway's update: checks it whole first, then encodes chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import isnan
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from secagg import canonical
from secagg.arguments import checked
from secagg.crypto.kdf import derive_key
from secagg.crypto.labels import Label
from secagg.crypto.prg import STREAM_KEY_BYTES
from secagg.errors import ConfigurationError, EncodingError, ModelMismatch
from secagg.fixed_point import (
    Encoder,
    cap_units,
    encode_integers,
    metric_scale,
    real_of,
    unit_of,
    weight_units,
)
from secagg.params import NO_MODEL, Kind, LeafSpec, RoundParams
from secagg.protocol.bounds import announced_clips
from secagg.protocol.counts import counts_of
from secagg.pytree import Reader, Select, bit_sums, flatten, held, model_hash
from secagg.schemes.base import Fill, Words
from secagg.session.clips import check_clips
from secagg.workers import SERIAL, Workers


class Model:
    """A global model and its hash, computed once for many uploads.

    Args:
        tree: state_dict or nested arrays; must not change while it is used, which is checked at
            the end of every upload.
        workers: threads for the hash.
        select: keys that are averaged, as the orchestrator's: all others stay out of the hash, and
            may differ from gateway to gateway.

    Attributes:
        keys: those in the hash.
        hash: 32 bytes, `NO_MODEL` without a tree.

    Raises:
        EncodingError: a tree that cannot be averaged.
    """

    @checked()
    def __init__(self, tree: Any, workers: Workers = SERIAL, *, select: Select = None) -> None:
        self.tree = held(tree)
        leaves = {} if tree is None else flatten(self.tree, select)
        self.keys = frozenset(leaves)
        self.hash = model_hash(leaves, workers) if leaves else NO_MODEL
        self._sums = bit_sums(leaves)

    def __repr__(self) -> str:
        return f"Model({self.hash.hex()[:16]})"

    @classmethod
    def of(cls, base: Any, workers: Workers = SERIAL, *, select: Select = None) -> Self:
        """`base` itself if it is a Model already, of these keys."""
        if not isinstance(base, cls):
            return cls(base, workers, select=select)
        same = base.tree is None or flatten(base.tree, select).keys() == base.keys
        return base if same else cls(base.tree, workers, select=select)

    @classmethod
    def averaged(cls, base: Any, leaves: Sequence[LeafSpec], workers: Workers) -> Self:
        """`base` as a Model of the keys of a layout."""
        shared = {leaf.key for leaf in leaves}
        return cls.of(base, workers, select=shared.__contains__)

    def check(self) -> None:
        """Hold the tree against what was hashed.

        Raises:
            ModelMismatch: it has changed.
        """
        if self.keys and bit_sums(flatten(self.tree, self.keys.__contains__)) != self._sums:
            raise ModelMismatch("`base` has changed since it was hashed: train on a copy of it")


class Update:
    """A checked update.

    Args:
        params: P, the layout.
        gateways: n.
        tree: what the gateway trained.
        weight: its weight.
        base: the global model's tree, None to encode `tree` itself.
        metrics: value by name, exactly the names of P.
        rounding: 32 bytes that decide the stochastic rounding.
        select: as the orchestrator's; keys it leaves out may be anything.
        clips: the gateway's own clip by key; None takes those of P.
        admit: called once both trees have the announced leaves, before any value is looked at.

    Raises:
        EncodingError: NaN, infinity, beyond clip, wrong keys, shapes or dtypes, wrong weight, other
            metrics, an update in the memory of its base; names what is wrong. Metrics and integers
            beyond their bound are clamped and counted, tied leaves that differ are counted.
    """

    def __init__(
        self,
        params: RoundParams,
        gateways: int,
        tree: Any,
        *,
        weight: float,
        base: Any,
        metrics: Mapping[str, float] | None,
        rounding: bytes,
        select: Select = None,
        clips: Mapping[str, float] | None = None,
        admit: Callable[[], object] | None = None,
    ) -> None:
        self._params = params
        self._rounding = rounding
        integers = params.of_kind("integers")
        self._units = weight_units(weight, params.max_weight, integers=bool(integers))
        self._reader = Reader(params.leaves, tree, base, select=select)
        if admit is not None:
            admit()
        clipped = check_clips(params, self._reader, clips or announced_clips(params))
        metric_units, clamped = _metric_units(params, {} if metrics is None else metrics, gateways)
        counts = {"coordinates": clipped, "tied leaves": self._reader.untied} | clamped
        self._exact: dict[int, Words] = {}
        for index, vector in integers:
            bound = vector.limit // cap_units(params.max_weight, integers=True)
            values, counts["integers"] = self._reader.integers(index, bound)
            self._exact[index] = encode_integers(values, vector, factor=self._units)
        small: dict[Kind | None, Sequence[int] | NDArray[np.int64]] = {
            "weight": [self._units],
            "metrics": metric_units,
            "counts": [counts[entry.name] for entry in counts_of(params)],
            "check": np.zeros(params.vectors[-1].length, np.int64),
        }
        for index, vector in enumerate(params.vectors):
            if vector.kind in small:
                self._exact[index] = encode_integers(small[vector.kind], vector)

    def source(self) -> Fill:
        """An encoder with buffers of its own, for one thread."""
        encoders: dict[int, Encoder] = {}

        def fill(vector: int, first_word: int, out: Words) -> None:
            if vector in self._exact:
                out[:] = self._exact[vector][first_word : first_word + len(out)]
                return
            if vector not in encoders:
                encoders[vector] = self._encoder(vector)
            encoders[vector].encode(partial(self._reader.read, vector), first_word, out)

        return fill

    def _encoder(self, vector: int) -> Encoder:
        key = derive_key(
            self._rounding,
            salt=b"",
            label=Label.KDF_ROUNDING,
            context=(canonical.u64(vector),),
            length=STREAM_KEY_BYTES,
        )
        return Encoder(
            self._params.vectors[vector],
            weight=self._units * unit_of(self._params),
            max_weight=self._params.max_weight,
            rounding_key=key,
        )


def _metric_units(
    params: RoundParams, metrics: Mapping[str, float], gateways: int
) -> tuple[list[int], dict[str, int]]:
    """Lanes of the metrics, and for each entry of the counts whether it was clamped."""
    expected = [metric.name for metric in params.metrics]
    if not isinstance(metrics, Mapping):
        raise EncodingError(f"metrics are a {type(metrics).__name__}: use a mapping by name")
    if set(metrics) != set(expected):
        given = sorted(map(str, metrics))
        raise EncodingError(f"metrics are {given}: this round sums {sorted(expected)}")
    units: list[int] = []
    clamped: dict[str, int] = {}
    for metric in params.metrics:
        try:
            value = real_of(metrics[metric.name])
        except TypeError:
            kind = type(metrics[metric.name]).__name__
            text, key = f"metric {metric.name!r} is a {kind}: use a number", f"metric {metric.name}"
            raise EncodingError(text, key=key) from None
        inside = 0.0 if isnan(value) else min(max(value, -metric.bound), metric.bound)
        clamped[f"metric {metric.name}"] = int(inside != value)
        units.append(round(inside * metric_scale(metric.bound, gateways)))
    return units, clamped


def check_seed(seed: object) -> None:
    """Accept a seed of the rounding, or none.

    Raises:
        ConfigurationError: it is not bytes.
    """
    if not isinstance(seed, bytes | None):
        kind = type(seed).__name__
        raise ConfigurationError(f"rounding_seed is a {kind}: pass bytes, such as b'round 1'")


def rounding_key(seed: bytes | None, name: str | int, fresh: bytes) -> bytes:
    """32 bytes that decide one gateway's stochastic rounding.

    Args:
        seed: from the caller for reproducible means, None for fresh randomness.
        name: gateway id; str and int ids that look alike differ.
        fresh: 32 random bytes.
    """
    check_seed(seed)
    if seed is None:
        return fresh
    return derive_key(seed, salt=b"", label=Label.KDF_ROUNDING, context=(repr(name).encode(),))
