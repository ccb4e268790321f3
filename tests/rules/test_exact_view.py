"""The server's view, exactly: all masks of a toy ring enumerated, no statistics.

For each set U3 and each set of colluding gateways the distribution of everything the server sees
must be one and the same for all inputs with equal honest sum. Worst case: who is not in U3 has
uploaded all the same, and all edge secrets of those that dropped out are known.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest

# position, input, self mask, edge mask by neighbour, ring size -> what is uploaded. The masks are
# arrays over all their values; another implementation is tested by adding it to MASKING.
MaskVector = Callable[[int, int, np.ndarray, Mapping[int, np.ndarray], int], np.ndarray]


def mask_vector(position, value, self_mask, edges, ring):
    """docs/protocol.md#masked-upload: the lower position adds, the higher subtracts."""
    masked = value + self_mask
    for other, mask in edges.items():
        masked = masked + mask if position < other else masked - mask
    return masked % ring


def without_self_mask(position, value, self_mask, edges, ring):
    return mask_vector(position, value, np.zeros_like(self_mask), edges, ring)


MASKING: dict[str, MaskVector] = {"model": mask_vector}


@dataclass
class Toy:
    """n gateways over Z mod `ring`; each mask takes every value of `support` equally often."""

    gateways: int
    ring: int
    mask: MaskVector = mask_vector
    support: range | None = None
    opened_too: str = ""  # a fault: "self masks of the dropped", "edges of the included"
    masks: dict[frozenset[int], np.ndarray] = field(init=False)

    def __post_init__(self):
        members = range(self.gateways)
        names = [frozenset({i}) for i in members]
        names += map(frozenset, itertools.combinations(members, 2))
        values = np.array(self.support or range(self.ring), np.int64)
        grid = np.indices((len(values),) * len(names)).reshape(len(names), -1)
        self.masks = {name: values[row] for name, row in zip(names, grid, strict=True)}

    def uploads(self, inputs):
        everyone = frozenset(range(self.gateways))
        return [
            self.mask(
                i,
                inputs[i],
                self.masks[frozenset({i})],
                {j: self.masks[frozenset({i, j})] for j in sorted(everyone - {i})},
                self.ring,
            )
            for i in range(self.gateways)
        ]

    def known(self, included, colluding):
        """Masks the server holds in the end."""
        dropped = frozenset(range(self.gateways)) - included
        selfs, edges = included | colluding, dropped | colluding
        if self.opened_too == "self masks of the dropped":
            selfs |= dropped
        if self.opened_too == "edges of the included":
            edges |= included
        return [
            name for name in self.masks if (name <= selfs if len(name) == 1 else bool(name & edges))
        ]

    def view(self, inputs, included, colluding):
        """The exact distribution of the view: sorted codes of what is seen, one for each draw.

        All that is seen lies in range(ring), so that a code stands for one view only.
        """
        code = np.zeros_like(self.masks[frozenset({0})])
        seen = [self.masks[name] for name in self.known(included, colluding)]
        for column in (*self.uploads(inputs), *seen):
            code = code * self.ring + column
        return np.sort(code)

    def decoded(self, inputs, included):
        """The sum as the server computes it, for every draw of the masks."""
        uploads = self.uploads(inputs)
        total = sum(uploads[i] for i in included)
        for i in included:
            total = total - self.masks[frozenset({i})]
            for j in set(range(self.gateways)) - included:
                edge = self.masks[frozenset({i, j})]
                total = total - edge if i < j else total + edge
        return total % self.ring


def situations(n):
    """U3 and who colludes (nobody, or one gateway in or out of U3), two honest in U3 or more."""
    for size in range(2, n + 1):
        for included in map(frozenset, itertools.combinations(range(n), size)):
            for colluding in (frozenset(), *(frozenset({i}) for i in range(n))):
                if len(included - colluding) >= 2:
                    yield included, colluding


def first_leak(toy):
    """Two inputs with equal honest sum whose views differ, or None."""
    for included, colluding in situations(toy.gateways):
        views = {}
        for inputs in itertools.product(range(toy.ring), repeat=toy.gateways):
            honest_sum = sum(inputs[i] for i in included - colluding) % toy.ring
            allowed = (honest_sum, *(inputs[i] for i in sorted(colluding)))
            view = toy.view(inputs, included, colluding)
            first, expected = views.setdefault(allowed, (inputs, view))
            if not np.array_equal(view, expected):
                return included, colluding, first, inputs
    return None


@pytest.mark.parametrize("mask", MASKING.values(), ids=MASKING)
@pytest.mark.parametrize(("n", "ring"), [(3, 2), (3, 3), (3, 4), (4, 2)])
def test_the_view_depends_on_the_sum_alone(mask, n, ring):
    assert first_leak(Toy(n, ring, mask)) is None


@pytest.mark.deep
@pytest.mark.parametrize("mask", MASKING.values(), ids=MASKING)
def test_the_view_depends_on_the_sum_alone_at_four_in_a_ring_of_three(mask):
    assert first_leak(Toy(4, 3, mask)) is None


@pytest.mark.parametrize("mask", MASKING.values(), ids=MASKING)
@pytest.mark.parametrize(("n", "ring"), [(3, 2), (3, 3), (4, 2)])
def test_the_server_decodes_the_sum_whatever_the_masks(mask, n, ring):
    toy = Toy(n, ring, mask)
    for included, _ in situations(n):
        for inputs in itertools.product(range(ring), repeat=n):
            expected = sum(inputs[i] for i in included) % ring

            assert set(toy.decoded(inputs, included)) == {expected}


@pytest.mark.parametrize("n", [3, 4])
@pytest.mark.parametrize(
    "fault",
    [
        {"mask": without_self_mask},
        {"opened_too": "self masks of the dropped"},
        {"opened_too": "edges of the included"},
    ],
    ids=["no-self-mask", "both-secrets-of-the-dropped", "both-secrets-of-the-included"],
)
def test_control_a_missing_or_opened_mask_shows(n, fault):
    assert first_leak(Toy(n, 2, **fault)) is not None


def test_control_masks_that_never_take_the_last_value_show():
    assert first_leak(Toy(3, 3, support=range(2))) is not None
