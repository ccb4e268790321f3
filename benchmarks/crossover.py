"""From how many neighbours on the lattice takes less time than masks, all in one run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import count

import numpy as np

from benchmarks.measuring import measured_parts
from benchmarks.parts import GatewayParts
from benchmarks.parts_masks import random_keys
from benchmarks.rounds import Case, World
from benchmarks.timing import Samples, clock_for
from secagg.crypto.prg_fast import MaskAdder, add_masks
from secagg.schemes.auto import VANISHING, WORTH
from secagg.thresholds import MAX_COMPLETE, derive
