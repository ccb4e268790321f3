"""Encodes one gateway's update: checks it whole first, then encodes chunk by chunk."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Self

from secagg import canonical
from secagg.crypto.kdf import derive_key
from secagg.crypto.labels import Label
from secagg.crypto.prg import STREAM_KEY_BYTES
from secagg.errors import EncodingError
from secagg.fixed_point import Encoder, check_range, encode_integers, weight_units
from secagg.params import NO_MODEL, WEIGHT_FRACTION_BITS, Kind, RoundParams
from secagg.pytree import Reader, Select, model_hash
from secagg.schemes.base import Fill, Words


class Model:
    """A global model and its hash, computed once for many uploads.

    Args:
        tree: state_dict or nested arrays; must not change while it is used.
    """

    def __init__(self, tree: Any) -> None:
        self.tree = tree
        self.hash = NO_MODEL if tree is None else model_hash(tree)

    @classmethod
    def of(cls, base: Any) -> Self:
        """`base` itself if it is a Model already."""
        return base if isinstance(base, cls) else cls(base)


class Update:
    """A checked update.

    Args:
        params: P, the layout.
        tree: what the gateway trained.
        weight: its weight.
        base: the global model's tree, None to encode `tree` itself.
        metrics: value by name, exactly the names of P.
        rounding: 32 bytes that decide the stochastic rounding.
        select: as the orchestrator's; keys it leaves out may be anything.

    Raises:
        EncodingError: NaN, infinity, beyond clip, wrong keys, shapes or dtypes, wrong weight or
            metrics; names what is wrong.
    """

    def __init__(
        self,
        params: RoundParams,
        tree: Any,
        *,
        weight: float,
        base: Any,
        metrics: Mapping[str, float] | None,
        rounding: bytes,
        select: Select = None,
    ) -> None:
        self._params = params
        self._rounding = rounding
        self._units = weight_units(weight, params.max_weight)
        self._reader = Reader(params.leaves, tree, base, select=select)
        clipped = sum(
            check_range(
                partial(self._reader.read, index),
                vector,
                params.max_weight,
                saturate=params.clipping == "saturate",
                key_of=partial(self._reader.key_of, index),
            )
            for index, vector in params.of_kind("update")
        )
        small: dict[Kind | None, list[int]] = {
            "weight": [self._units],
            "metrics": _metric_units(params, metrics or {}),
            "clipped": [clipped],
            "check": [0, 0],
        }
        self._exact: dict[int, Words] = {}
        for index, vector in enumerate(params.vectors):
            if vector.kind == "integers":
                values = self._reader.integers(index)
                self._exact[index] = encode_integers(values, vector, factor=self._units)
            elif vector.kind in small:
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
            weight=self._units / 2**WEIGHT_FRACTION_BITS,
            max_weight=self._params.max_weight,
            rounding_key=key,
        )


def _metric_units(params: RoundParams, metrics: Mapping[str, float]) -> list[int]:
    expected = [metric.name for metric in params.metrics]
    if set(metrics) != set(expected):
        raise EncodingError(f"metrics are {sorted(metrics)}: this round sums {sorted(expected)}")
    units: list[int] = []
    scale = next((vector.scale for _, vector in params.of_kind("metrics")), 1.0)
    for metric in params.metrics:
        try:
            value = float(metrics[metric.name])
        except (TypeError, ValueError, OverflowError):
            given = metrics[metric.name]
            raise EncodingError(f"metric {metric.name!r} is {given!r}: use a number") from None
        if not abs(value) <= metric.bound:
            raise EncodingError(f"metric {metric.name!r} is {value}: its bound is {metric.bound}")
        units.append(round(value * scale))
    return units


def rounding_key(seed: bytes | None, name: str | int, fresh: bytes) -> bytes:
    """32 bytes that decide one gateway's stochastic rounding.

    Args:
        seed: from the caller for reproducible means, None for fresh randomness.
        name: gateway id; str and int ids that look alike differ.
        fresh: 32 random bytes.
    """
    if seed is None:
        return fresh
    return derive_key(seed, salt=b"", label=Label.KDF_ROUNDING, context=(repr(name).encode(),))
