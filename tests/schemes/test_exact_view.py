"""The exact view of the real client (toy.py): it depends on the sum alone."""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from secagg import canonical
from secagg.crypto.labels import Label
from secagg.crypto.prg_fast import MaskAdder
from secagg.params import VectorSpec
from secagg.protocol.messages import Signed
from secagg.schemes.masks.client import MasksClient
from secagg.schemes.masks.keys import stream_starts
from secagg.schemes.masks.messages import Unmasking
from secagg.thresholds import derive
from secagg.workers import Workers
from tests.schemes.toy import Ring, Session


def situations(n):
    """U3 and U2 as the thresholds allow them."""
    everybody, limits = frozenset(range(n)), derive(n)
    for gone in range(limits.max_dropouts + 1):
        for absent in map(frozenset, itertools.combinations(range(n), gone)):
            yield everybody - absent, everybody
            if absent:
                yield everybody - absent, everybody - absent


def first_leak(session):
    """Two inputs with one honest sum over U3 whose views differ, or None."""
    ring = session.ring
    inputs = ring.inputs.reshape(ring.n, ring.size**ring.n, -1)[:, :, 0].T.astype(int)
    for colluding in (frozenset(), *(frozenset({i}) for i in range(ring.n))):
        view, first = session.view(colluding), {}
        for number, x in enumerate(inputs):
            honest = sum(x[i] for i in session.included - colluding) % ring.size
            allowed = (honest, *(x[i] for i in sorted(colluding)))
            other = first.setdefault(allowed, number)
            if not np.array_equal(view[number], view[other]):
                return colluding, tuple(x), tuple(inputs[other])
    return None


def sums(session):
    return sum(session.ring.inputs[i].astype(int) for i in session.included) % session.ring.size


SITUATIONS = [
    *((3, 2, *each) for each in situations(3)),
    *((3, 3, *each) for each in situations(3)),
    *((3, 4, *each) for each in situations(3)),
    *((4, 2, *each) for each in situations(4)),
    *((5, 2, *each) for each in situations(5)),
]


def named(value):
    return "".join(map(str, sorted(value))) if isinstance(value, frozenset) else str(value)


@pytest.mark.parametrize(("n", "size", "included", "dealers"), SITUATIONS, ids=named)
def test_the_view_depends_on_the_sum_alone(n, size, included, dealers):
    session = Session(Ring(n, size), included, dealers).play()

    assert included == session.answers.keys()
    np.testing.assert_array_equal(sums(session), session.decoded())
    assert first_leak(session) is None


@pytest.mark.deep
@pytest.mark.parametrize(("included", "dealers"), [*situations(4)], ids=named)
def test_the_view_depends_on_the_sum_alone_at_four_in_a_ring_of_three(included, dealers):
    session = Session(Ring(4, 3), included, dealers).play()

    np.testing.assert_array_equal(sums(session), session.decoded())
    assert first_leak(session) is None


# -- controls: a client that errs must be noticed --------------------------------------------------


class WithoutSelfMask(MasksClient):
    def _mask_keys(self):
        return super()._mask_keys()[1:]


class AddsEveryMask(MasksClient):
    def _mask_keys(self):
        return [(1, key) for _, key in super()._mask_keys()]


class TurnsOneSign(MasksClient):
    def _mask_keys(self):
        own, (factor, key), *others = super()._mask_keys()
        first = self._position == 0
        return [own, (-factor if first else factor, key), *others]


class LeavesOutOneEdge(MasksClient):
    def _mask_keys(self):
        keys = super()._mask_keys()
        return keys[:-1] if self._position == 0 else keys


class OpensBothSecretsOfTheDead(MasksClient):
    def _unmask(self, request):
        dead = sorted((self._u2 - self._u3) & self._neighbours)
        shares = tuple(self._held[j][0].reveal() for j in dead)
        answer = super()._unmask(request)
        return _more(self, answer, "seed_shares", shares)


class OpensBothSecretsOfTheLiving(MasksClient):
    def _unmask(self, request):
        alive = sorted(self._u3 & self._neighbours)
        edges = tuple(self._edges[j].reveal() for j in alive)
        answer = super()._unmask(request)
        return _more(self, answer, "edge_secrets", edges)


def _more(client, signed, name, secrets):
    answer = canonical.decode(Unmasking, signed.body)
    changed = replace(answer, **{name: getattr(answer, name) + secrets})
    return Signed.make(client._answer_mac(), Label.MAC_UNMASKING, changed)


LEAKY = [WithoutSelfMask, OpensBothSecretsOfTheDead, OpensBothSecretsOfTheLiving]
WRONG = [AddsEveryMask, TurnsOneSign, LeavesOutOneEdge]
ONE_DEAD = (frozenset({0, 1, 2}), frozenset(range(4)))


@pytest.mark.parametrize("kind", LEAKY, ids=lambda kind: kind.__name__)
def test_control_a_mask_that_is_missing_or_opened_shows(kind):
    session = Session(Ring(4, 2), *ONE_DEAD, kind=kind).play()

    assert first_leak(session) is not None


def test_control_a_missing_self_mask_shows_even_when_nobody_vanishes():
    everybody = frozenset(range(3))
    session = Session(Ring(3, 3), everybody, everybody, kind=WithoutSelfMask).play()

    # y_i = x_i + pair masks: only all three together are known, so nothing leaks about one of them
    # before somebody vanishes. But with a colluding gateway its edges are known, and two remain.
    assert first_leak(session) is None
    assert (session.decoded() != sums(session)).any()


@pytest.mark.parametrize("kind", WRONG, ids=lambda kind: kind.__name__)
def test_control_masks_that_do_not_cancel_give_another_sum(kind):
    everybody = frozenset(range(3))
    session = Session(Ring(3, 3), everybody, everybody, kind=kind).play()

    assert (session.decoded() != sums(session)).any()


def test_control_a_mask_that_never_takes_the_last_value_shows():
    everybody = frozenset(range(3))
    session = Session(Ring(3, 3), everybody, everybody).play()
    for key, values in session.ring.masks.items():
        session.ring.masks[key] = values.clip(0, 1)
    narrow = Session(session.ring, everybody, everybody).play()

    np.testing.assert_array_equal(sums(narrow), narrow.decoded())
    assert first_leak(narrow) is not None


# -- keys ------------------------------------------------------------------------------------------


def keys_of(dealers):
    """The keys that each client masks with, and their signs."""
    everybody = frozenset(range(4))
    used = []

    class Records(MasksClient):
        def _mask_keys(self):
            keys = super()._mask_keys()
            used.append({key: factor for factor, key in keys})
            return keys

    Session(Ring(4, 2), dealers & everybody, dealers, kind=Records).play()
    return used


def test_one_key_has_one_stream():
    factors = defaultdict(list)
    for client in keys_of(frozenset(range(4))):
        for key, factor in client.items():
            factors[key].append(factor)

    # four own masks and six of pairs
    assert [[-1, 1]] * 6 + [[1]] * 4 == sorted(map(sorted, factors.values()))


def test_another_set_of_dealers_gives_other_keys():
    keys = [
        {key for client in keys_of(dealers) for key in client}
        for dealers in (frozenset(range(4)), frozenset(range(3)))
    ]

    assert keys[0].isdisjoint(keys[1])
    assert [10, 6] == list(map(len, keys))


class Places(MaskAdder):
    """Notes which words of its streams are used."""

    used: list[range]

    def add(self, words, first_word):
        self.used.append(range(first_word, first_word + len(words)))
        super().add(words, first_word)


@pytest.mark.parametrize("threads", [1, 2])
def test_no_word_of_a_stream_is_used_twice(threads):
    """Over all frames of all vectors of an upload, whatever thread makes them (ADR 7)."""
    Places.used = []
    # frames of more than one vector, odd numbers of words
    parties = Parties(3, coordinates=200_001)
    exchange = Exchange(parties)
    name = parties.ids[0]
    with Workers(threads) as workers:
        client = exchange.clients[name] = parties.client(name, 1, workers=workers)
        exchange.play_until("masked_input")
        (request,) = (f.data for f in exchange.pending if (f.gateway, f.up) == (name, False))
        list(client.receive(request))
        client._client._masker = Places
        list(exchange.upload(name))
    words = [word for part in Places.used for word in part]

    assert 200_001 // 3 + 3 + 1 + 1 + 2 + 2 == len(words)
    assert len(words) == len(set(words))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_streams_give_every_vector_a_place_of_its_own(lengths):
    vectors = [
        VectorSpec(name=str(i), length=length, lanes=1, limit=1, scale=1.0)
        for i, length in enumerate(lengths)
    ]
    starts = stream_starts(vectors)

    assert all(start % 2 == 0 for start in starts)
    ends = [start + length for start, length in zip(starts[:-1], lengths, strict=True)]
    assert all(end <= start for end, start in zip(ends, starts[1:], strict=True))
