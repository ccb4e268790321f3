"""Turns real coordinates into signed lanes of 64-bit words, and sums of such words back.

`layout` picks the lanes and states the error, `encode` and `decode` are the fast paths,
`reference` is the same arithmetic in Python integers.
"""

from __future__ import annotations

from secagg.fixed_point.decode import Decoder, check_sum, decode_integers, mean_integers
from secagg.fixed_point.encode import Encoder, Read, check_range, encode_integers
from secagg.fixed_point.layout import (
    Noise,
    choose_lanes,
    clip_of,
    error_of,
    exact_spec,
    lane_limit,
    mean_error,
    relative_rms,
    update_spec,
    weight_units,
)

__all__ = [
    "Decoder",
    "Encoder",
    "Noise",
    "Read",
    "check_range",
    "check_sum",
    "choose_lanes",
    "clip_of",
    "decode_integers",
    "encode_integers",
    "error_of",
    "exact_spec",
    "lane_limit",
    "mean_error",
    "mean_integers",
    "relative_rms",
    "update_spec",
    "weight_units",
]
