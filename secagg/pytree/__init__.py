"""Reads trees of arrays (a state_dict, nested lists, ...) as flat vectors, and builds them back.

Knows no framework: leaves other than numpy's are handled by plug-ins, loaded when one is met.
"""

from __future__ import annotations

from secagg.pytree.layout import Group, tree_spec
from secagg.pytree.leaves import Flat, LeafAdapter, is_model
from secagg.pytree.reader import Reader
from secagg.pytree.rebuild import rebuild
from secagg.pytree.selection import Select, deciding
from secagg.pytree.trees import (
    bit_sums,
    called,
    chosen,
    flatten,
    held,
    leaves_of,
    map_leaves,
    model_hash,
)

__all__ = [
    "Flat",
    "Group",
    "LeafAdapter",
    "Reader",
    "Select",
    "bit_sums",
    "called",
    "chosen",
    "deciding",
    "flatten",
    "held",
    "is_model",
    "leaves_of",
    "map_leaves",
    "model_hash",
    "rebuild",
    "tree_spec",
]
