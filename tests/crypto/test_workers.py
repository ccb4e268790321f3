from __future__ import annotations

import copy
import pickle
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.errors import ConfigurationError
from secagg.workers import SERIAL, Workers


@given(st.integers(1, 4), st.integers(0, 40))
def test_parts_cover_the_range_in_contiguous_even_pieces(threads, count):
    parts = []
    with Workers(threads) as workers:
        workers.run(lambda first, last: parts.append((first, last)), count)
    parts.sort()

    assert list(range(count)) == [i for first, last in parts for i in range(first, last)]
    assert min(threads, count) == len(parts)
    assert not parts or max(b - a for a, b in parts) - min(b - a for a, b in parts) <= 1


@pytest.mark.parametrize(("workers", "count"), [(SERIAL, 5), (Workers(4), 1)])
def test_one_part_runs_in_the_calling_thread(workers, count):
    seen = []
    workers.run(lambda *part: seen.append((part, threading.current_thread())), count)

    assert [((0, count), threading.current_thread())] == seen
    assert workers._pool is None


def test_parts_run_at_the_same_time():
    barrier = threading.Barrier(2, timeout=10)
    with Workers(2) as workers:
        workers.run(lambda first, last: barrier.wait(), 2)


@pytest.mark.parametrize("threads", [1, 2])
def test_exceptions_come_back(threads):
    def work(first, last):
        raise KeyError(first)

    with Workers(threads) as workers, pytest.raises(KeyError, match="0"):
        workers.run(work, 2)


def test_every_part_has_ended_when_an_exception_comes_back():
    failed, ended = threading.Event(), []

    def work(first, last):
        if first == 0:
            failed.set()
            raise KeyError
        failed.wait(10)
        threading.Event().wait(0.05)
        ended.append(first)

    with Workers(2) as workers:
        with pytest.raises(KeyError):
            workers.run(work, 2)

        assert ended == [1]


def test_threads_are_kept_between_runs():
    with Workers(2) as workers:
        workers.run(lambda first, last: None, 2)
        pool = workers._pool
        workers.run(lambda first, last: None, 2)

        assert pool is workers._pool


def test_closed_workers_start_again():
    workers = Workers(2)
    workers.close()
    for _ in range(2):
        done = []
        workers.run(lambda first, last, done=done: done.append(first), 2)
        workers.close()

        assert sorted(done) == [0, 1]
        assert workers._pool is None


@pytest.mark.parametrize("threads", [0, -1, 10**6, True, 1.5, "2", None])
def test_threads_are_a_whole_number(threads):
    with pytest.raises(ConfigurationError, match="threads is"):
        Workers(threads)


def test_a_copy_makes_threads_of_its_own():
    """A result holds them, and is pickled."""
    with Workers(2) as workers:
        workers.run(lambda first, last: None, 2)
        for copied in (pickle.loads(pickle.dumps(workers)), copy.deepcopy(workers)):
            assert (2, None) == (copied.threads, copied._pool)
