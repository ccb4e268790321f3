from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.crypto.kdf import labelled
from secagg.crypto.labels import Label
from secagg.crypto.merkle import MerkleTree, hidden_parts, opened_root
from secagg.errors import WireError
from secagg.thresholds import derive, neighbours


def leaves(count: int) -> list[bytes]:
    return [hashlib.sha256(bytes([i % 256, i // 256])).digest() for i in range(count)]


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(labelled(Label.HASH_NODE, left, right)).digest()


def by_definition(some: list[bytes]) -> bytes:
    """RFC 6962, section 2.1."""
    if len(some) == 1:
        return some[0]
    left = 1
    while 2 * left < len(some):
        left *= 2
    return node(by_definition(some[:left]), by_definition(some[left:]))


subsets = st.integers(1, 70).flatmap(
    lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1), min_size=1))
)


@given(subsets)
def test_any_leaves_are_opened_by_their_proof(case):
    count, places = case
    some, shown = leaves(count), sorted(places)
    tree = MerkleTree(some)
    proof = tree.prove(shown)

    assert by_definition(some) == tree.root
    assert tree.root == opened_root(count, {place: some[place] for place in shown}, proof)
    assert len(proof) == len(hidden_parts(count, shown))
    assert (len(shown) == count) == (proof == ())


def test_a_run_of_a_circle_takes_two_hashes_for_each_level():
    limits = derive(1000)
    for position in range(1000):
        near = sorted(neighbours(limits, position) | {position})

        assert len(hidden_parts(1000, near)) <= 18  # of 798


COUNT, SHOWN = 11, (2, 3, 4)
SOME = leaves(COUNT)
TREE = MerkleTree(SOME)
PROOF = TREE.prove(SHOWN)
OPENED = {place: SOME[place] for place in SHOWN}

LIES = {
    "another leaf": (COUNT, OPENED | {3: SOME[5]}, PROOF),
    "two leaves exchanged": (COUNT, OPENED | {2: SOME[3], 3: SOME[2]}, PROOF),
    "a leaf at another place": (COUNT, {1: SOME[2], 2: SOME[3], 3: SOME[4]}, PROOF),
    "hashes exchanged": (COUNT, OPENED, (PROOF[1], PROOF[0], *PROOF[2:])),
    "another hash": (COUNT, OPENED, (SOME[9], *PROOF[1:])),
    "half a hash": (COUNT, OPENED, (PROOF[0][:16], *PROOF[1:])),
    "the parts of a hash": (COUNT, OPENED, (SOME[0] + SOME[1], *PROOF[1:])),
    "no leaf but the root of a part": (3, {0: TREE.prove([8])[0]}, TREE.prove([0])[-2:]),
    "a last leaf twice": (COUNT + 1, OPENED, (*PROOF[:-1], node(PROOF[-1], SOME[10]))),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_is_no_part_of_the_tree_has_another_root(lie):
    try:
        root = opened_root(*LIES[lie])
    except WireError:
        return

    assert TREE.root != root


def test_trees_of_other_leaves_have_other_roots():
    # 10 leaves of which the last stands twice; a leaf that is a node; a leaf more, or less
    others = [
        SOME[:10],
        [*SOME[:10], SOME[9]],
        [*SOME, SOME[10]],
        [node(SOME[0], SOME[1]), *SOME[2:]],
        [*SOME[1:], SOME[0]],
        [SOME[0]],
        [],
    ]
    roots = {MerkleTree(each).root for each in others}

    assert len(others) == len(roots | {TREE.root}) - 1


@pytest.mark.parametrize("proof", [PROOF[:-1], (*PROOF, SOME[0]), ()])
def test_a_proof_has_as_many_hashes_as_it_takes(proof):
    with pytest.raises(WireError, match="not one hash"):
        opened_root(COUNT, OPENED, proof)
