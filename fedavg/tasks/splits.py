"""Deals samples to gateways."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch import Tensor

from fedavg.rules import ALPHA
from fedavg.settings import Settings

LEAST: Final = 5
"""Samples a gateway has at least in a skewed split: fewer make a batch of repetitions."""
MOST: Final = 4
"""Shares of an even split that a gateway has at most in a skewed one: the mean of weights far below
the cap is coarse, and a cap must be public."""


def deal(labels: Tensor, gateways: int, settings: Settings) -> list[Tensor]:
    """Positions in `labels` for each gateway: every position once, nobody without any.

    Args:
        labels: int64 [n], already in random order; n >= `gateways`, in a skewed split
            n >= LEAST * gateways.
        gateways: how many.
        settings: which split, its alpha, and the seed that decides a skewed one.
    """
    if settings.split == "iid":
        return list(torch.arange(len(labels)).tensor_split(gateways))
    return dirichlet(labels, gateways, alpha=settings.alpha or ALPHA, seed=settings.seed)


def largest(count: int, gateways: int, split: str) -> int:
    """Samples that no gateway exceeds when `count` are dealt: known without looking at any."""
    even = -(-count // gateways)
    return even if split == "iid" else min(MOST * even, count)


def dirichlet(labels: Tensor, gateways: int, *, alpha: float, seed: int) -> list[Tensor]:
    """Shares of each class, drawn from Dir(alpha), then levelled to LEAST and `largest`.

    Source: Hsu, Qi, Brown 2019, arXiv 1909.06335, with shares drawn per class (Yurochkin et al.
    2019, arXiv 1905.12022).
    """
    draw = np.random.default_rng(seed)
    dealt: list[list[int]] = [[] for _ in range(gateways)]
    for label in sorted(set(labels.tolist())):
        positions = draw.permutation(np.flatnonzero(labels.numpy() == label))
        shares = draw.dirichlet(np.full(gateways, alpha))
        cuts = (shares.cumsum()[:-1] * len(positions)).astype(int)
        for mine, part in zip(dealt, np.split(positions, cuts), strict=True):
            mine.extend(part.tolist())
    _level(dealt, least=LEAST, most=largest(len(labels), gateways, "dirichlet"), draw=draw)
    return [torch.tensor(sorted(mine)) for mine in dealt]


def _level(dealt: list[list[int]], *, least: int, most: int, draw: np.random.Generator) -> None:
    """Move samples from who has most to who has fewest, until all have `least` to `most`."""
    for mine in dealt:
        draw.shuffle(mine)
    while True:
        rich, poor = max(dealt, key=len), min(dealt, key=len)
        if len(rich) <= most and len(poor) >= least:
            return
        poor.append(rich.pop())
