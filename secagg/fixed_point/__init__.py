"""Turns real coordinates into signed lanes of 64-bit words, and sums of such words back.

`units` says what weights, metrics and integers count in, `layout` picks the lanes and states the
error, `encode` and `decode` are the fast paths, `reference` is the same in Python integers.
"""

from __future__ import annotations

from secagg.fixed_point.decode import Decoder, check_sum, decode_integers, mean_integers
from secagg.fixed_point.encode import Encoder, Read, check_range, encode_integers
from secagg.fixed_point.layout import (
    Noise,
    choose_lanes,
    clip_of,
    error_of,
    mean_error,
    mean_errors,
    relative_rms,
    update_spec,
)
from secagg.fixed_point.units import (
    cap_units,
    integer_bound,
    integers_of,
    lane_limit,
    metric_limit,
    metric_scale,
    real_of,
    unit_of,
    weight_unit,
    weight_units,
)

__all__ = [
    "Decoder",
    "Encoder",
    "Noise",
    "Read",
    "cap_units",
    "check_range",
    "check_sum",
    "choose_lanes",
    "clip_of",
    "decode_integers",
    "encode_integers",
    "error_of",
    "integer_bound",
    "integers_of",
    "lane_limit",
    "mean_error",
    "mean_errors",
    "mean_integers",
    "metric_limit",
    "metric_scale",
    "real_of",
    "relative_rms",
    "unit_of",
    "update_spec",
    "weight_unit",
    "weight_units",
]
