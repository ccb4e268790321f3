"""Hashes many hashes to one, so that some can be opened without the others.

The tree over m leaves is that of RFC 6962: the left part has the largest power of two below m. No
leaf stands in it twice, and m fixes its shape, so m is to be hashed beside the root. Leaves are
labelled hashes of another kind than the nodes', so neither passes for the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from secagg.crypto.kdf import digest
from secagg.crypto.labels import Label
from secagg.errors import WireError


class MerkleTree:
    """The tree over all leaves, from which proofs are cut.

    Args:
        leaves: hashes; of none the root is a constant, as in RFC 6962.

    Attributes:
        root: the hash of all.
    """

    __slots__ = ("_count", "_nodes", "root")

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._count = len(leaves)
        self._nodes: dict[tuple[int, int], bytes] = {}
        self.root = self._grow(leaves, 0, len(leaves)) if leaves else digest(Label.HASH_NODE)

    def prove(self, shown: Sequence[int]) -> tuple[bytes, ...]:
        """The hashes that `opened_root` needs beside some leaves: of the largest parts without any.

        A run of leaves takes fewer than two for each level.

        Args:
            shown: places of those leaves, rising.
        """
        return tuple(self._nodes[part] for part in hidden_parts(self._count, shown))

    def _grow(self, leaves: Sequence[bytes], first: int, last: int) -> bytes:
        if last - first == 1:
            node = leaves[first]
        else:
            middle = _middle(first, last)
            node = _node(self._grow(leaves, first, middle), self._grow(leaves, middle, last))
        self._nodes[first, last] = node
        return node


def opened_root(count: int, shown: Mapping[int, bytes], proof: Sequence[bytes]) -> bytes:
    """The root over `count` leaves of which some are shown.

    Args:
        count: of all leaves, at least one.
        shown: place -> leaf.
        proof: as `MerkleTree.prove` makes it for these places.

    Raises:
        WireError: not as many hashes as are needed.
    """
    hidden = hidden_parts(count, sorted(shown))
    if len(hidden) != len(proof):
        raise WireError("not one hash for each part of the tree that is not shown")
    known = dict(zip(hidden, proof, strict=False))

    def visit(first: int, last: int) -> bytes:
        if (first, last) in known:
            return known[first, last]
        if last - first == 1:
            return shown[first]
        middle = _middle(first, last)
        return _node(visit(first, middle), visit(middle, last))

    return visit(0, count)


def hidden_parts(count: int, shown: Sequence[int]) -> list[tuple[int, int]]:
    """The largest parts of a tree over `count` leaves of which no leaf is shown, in order.

    Args:
        count: of all leaves.
        shown: places of those that are shown, rising.
    """
    hidden: list[tuple[int, int]] = []
    start = 0
    for end in (*shown, count):
        while start < end:
            # the largest part that begins here, by the power of two in `start`; the tree's last
            # parts are cut short, and so whole as soon as they reach its end
            size = start & -start or 1 << count.bit_length()
            if start + size < count or end < count:
                size = min(size, 1 << (end - start).bit_length() - 1)
            hidden.append((start, min(start + size, count)))
            start += size
        start = end + 1
    return hidden


def _middle(first: int, last: int) -> int:
    return first + (1 << (last - first - 1).bit_length() - 1)


def _node(left: bytes, right: bytes) -> bytes:
    return digest(Label.HASH_NODE, left, right)
