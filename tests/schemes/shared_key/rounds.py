"""Uploads and sums of the shared key, and how far off a sum may be."""

from __future__ import annotations

import numpy as np

BOTH = ("lean", "customary")
# rms noise of a value: lean, of fresh coefficients, 3.2 sqrt(N / 2) / 2^42. Customary, SEAL divides
# by its special prime: what is left is the rounding of both halves, sqrt(N / 18 N / 2) / 2^40
RMS = {"lean": 2.33e-11, "customary": 1.24e-9}
# times the rms, in one of 10^4 values: once in 10^7 runs. Lean noise is normal; the customary one
# is rounding times the key's value at the slot, both normal: Laplace
MOST = {"lean": 7, "customary": 18}


def updates(gateways, length, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (gateways, length))


def uploads(scheme, vectors):
    return [scheme.serialise(scheme.encrypt(vector)) for vector in vectors]


def summed(scheme, sent, length):
    running = scheme.running_sum(length)
    for upload in sent:
        running.add(upload)
    return running.total()
