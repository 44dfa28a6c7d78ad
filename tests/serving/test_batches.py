"""Batches have fixed shapes, and nobody's item is anybody else's matter."""

import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

from vp_jax.serving.batches import Batcher, shape_for

SHAPES = {"a": (1, 4, 16), "b": (2,)}


class Computer:
    """Squares numbers; waits before its first batch until it is let go; remembers batches."""

    def __init__(self, held=False):
        self.batches, self.begun, self.go = [], threading.Event(), threading.Event()
        if not held:
            self.go.set()

    def __call__(self, lane, items, size):
        self.begun.set()
        assert self.go.wait(10)
        self.batches.append((lane, list(items), size))
        if "broken" in items:
            raise ValueError("cannot be computed")
        return [x * x for x in items]


@pytest.fixture
def held():
    """A batcher that is busy with an item 0 of lane b until its computer is let go."""
    computer = Computer(held=True)
    batcher = Batcher(computer, SHAPES)
    first = batcher.submit("b", 0)
    assert computer.begun.wait(10)
    yield batcher, computer
    computer.go.set()
    batcher.stop()
    assert first.result() == 0


@pytest.mark.parametrize("waiting", range(1, 40))
def test_a_shape_is_full_or_nearly_so(waiting):
    shapes = (1, 4, 16)
    size = shape_for(waiting, shapes)
    assert size in shapes
    assert size <= waiting or waiting >= 0.75 * size
    larger = [s for s in shapes if s > size]
    assert not larger or waiting < 0.75 * larger[0]


def test_the_only_shape_is_taken_however_little_fills_it():
    assert shape_for(1, (8,)) == 8 and shape_for(100, (8,)) == 8


def test_what_waits_is_gathered_in_order_in_its_shapes(held):
    batcher, computer = held
    answers = [batcher.submit("a", i) for i in range(1, 22)]
    computer.go.set()
    assert [x.result(10) for x in answers] == [i * i for i in range(1, 22)]
    assert computer.batches[1:] == [
        ("a", list(range(1, 17)), 16),
        ("a", [17, 18, 19, 20], 4),
        ("a", [21], 1),
    ]


def test_lanes_are_never_mixed_and_the_oldest_goes_first(held):
    batcher, computer = held
    answers = [batcher.submit(lane, i) for i, lane in enumerate("abab", 1)]
    computer.go.set()
    assert [x.result(10) for x in answers] == [1, 4, 9, 16]
    lanes = [lane for lane, _, _ in computer.batches[1:]]
    assert lanes[0] == "a" and sorted(lanes) == lanes or lanes.count("b") == 1
    assert all(size in SHAPES[lane] for lane, _, size in computer.batches)
    assert all(len(items) <= size for _, items, size in computer.batches)


def test_what_nobody_waits_for_is_not_computed(held):
    batcher, computer = held
    answers = [batcher.submit("a", i) for i in range(1, 5)]
    assert answers[1].cancel()
    computer.go.set()
    assert [answers[i].result(10) for i in (0, 2, 3)] == [1, 9, 16]
    with pytest.raises(CancelledError):
        answers[1].result(10)
    assert computer.batches[1:] == [("a", [1, 3, 4], 4)]


def test_when_all_are_cancelled_nothing_is_computed(held):
    batcher, computer = held
    assert all([batcher.submit("a", i).cancel() for i in range(5)])
    computer.go.set()
    assert batcher.submit("a", 7).result(10) == 49
    assert computer.batches[1:] == [("a", [7], 1)]


def test_an_error_is_that_of_its_batch_alone(held):
    batcher, computer = held
    broken, mate = batcher.submit("b", "broken"), batcher.submit("b", 3)
    later = batcher.submit("b", 4)
    computer.go.set()
    for answer in (broken, mate):
        with pytest.raises(ValueError, match="cannot be computed"):
            answer.result(10)
    assert later.result(10) == 16


def test_too_few_results_are_an_error_and_no_answer_hangs():
    batcher = Batcher(lambda lane, items, size: items[:-1], {"a": (4,)})
    with pytest.raises(ValueError):
        batcher.submit("a", 1).result(10)
    batcher.stop()


def test_stop_computes_what_waits(held):
    batcher, computer = held
    answers = [batcher.submit("a", i) for i in range(6)]
    stopping = threading.Thread(target=batcher.stop)
    stopping.start()
    time.sleep(0.05)
    computer.go.set()
    stopping.join(10)
    assert [x.result(0) for x in answers] == [0, 1, 4, 9, 16, 25]
    with pytest.raises(RuntimeError):
        batcher.submit("a", 1)


def test_many_threads_get_their_own_answers():
    seen = []
    computer = Computer()
    batcher = Batcher(computer, SHAPES, lambda *batch: seen.append(batch))

    def work(i):
        future = batcher.submit("ab"[i % 2], i)
        return (
            future.cancel() or future.result(10) == i * i
            if i % 7 == 0
            else (future.result(10) == i * i)
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(400)))
    batcher.stop()
    assert [(lane, len(items), size) for lane, items, size in computer.batches] == seen
