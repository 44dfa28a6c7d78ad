"""The greedy matching against a loop that does what its definition says."""

import time

import numpy as np
import pytest

from vp_jax.errors import UserError
from vp_jax.heads.mappings.matching import greedy, many_to_one, one_to_one


def by_definition(scores):
    """The largest score over all free pairs, again and again; ties: lowest source, then target."""
    sources, classes = scores.shape
    pairs = {(s, t): scores[s, t] for s in range(sources) for t in range(classes)}
    result = np.full(classes, -1)
    while pairs:
        s, t = min(pairs, key=lambda pair: (-pairs[pair], *pair))
        result[t] = s
        pairs = {(a, b): v for (a, b), v in pairs.items() if a != s and b != t}
    return result


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("largest", [1, 3, 100])
def test_counts_full_of_ties(seed, largest):
    random = np.random.default_rng(seed)
    classes = random.integers(1, 9)
    scores = random.integers(0, largest + 1, (classes + random.integers(0, 6), classes))
    scores[:, random.random(classes) < 0.3] = 0  # classes nobody voted for
    result = one_to_one(scores.astype(np.float32))
    np.testing.assert_array_equal(result, by_definition(scores))
    np.testing.assert_array_equal(result, one_to_one(scores))  # integers as well
    assert result.dtype == np.int32


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("largest", [1, 3, 100])
def test_several_of_each(seed, largest):
    """Against the same loop, in which a class is free until it has all of its own."""
    random = np.random.default_rng(seed)
    classes, each = random.integers(1, 6), random.integers(1, 4)
    scores = random.integers(0, largest + 1, (classes * each + random.integers(0, 6), classes))
    scores[:, random.random(classes) < 0.3] = 0
    pairs = {(s, t): scores[s, t] for s, t in np.ndindex(scores.shape)}
    expected = [[] for _ in range(classes)]
    while pairs:
        s, t = min(pairs, key=lambda pair: (-pairs[pair], *pair))
        expected[t].append(s)
        full = len(expected[t]) == each
        pairs = {(a, b): v for (a, b), v in pairs.items() if a != s and not (full and b == t)}
    np.testing.assert_array_equal(greedy(scores, each), expected)


@pytest.mark.parametrize("seed", range(10))
def test_negative_scores(seed):
    scores = np.random.default_rng(seed).normal(size=(9, 6)) - 3
    np.testing.assert_array_equal(one_to_one(scores), by_definition(scores))


def test_as_many_sources_as_classes_is_a_permutation():
    scores = np.random.default_rng(0).integers(0, 3, (40, 40))
    np.testing.assert_array_equal(np.sort(one_to_one(scores)), np.arange(40))


def test_without_any_count_the_order_is_kept():
    np.testing.assert_array_equal(one_to_one(np.zeros((5, 3))), [0, 1, 2])


def test_classes_without_counts_take_the_free_sources_in_order():
    scores = np.zeros((6, 4))
    scores[1, 0], scores[0, 2] = 5, 2
    np.testing.assert_array_equal(one_to_one(scores), [1, 2, 0, 3])


def test_the_scores_are_left_alone():
    for layout in "CF":
        scores = np.asarray(np.random.default_rng(0).random((7, 4)), order=layout)
        before = scores.copy()
        one_to_one(scores)
        np.testing.assert_array_equal(scores, before)


def test_one_to_one_of_fewer_sources_is_refused():
    with pytest.raises(UserError, match="5 classes.*only 4.*--config.head.many_to_one=True"):
        one_to_one(np.zeros((4, 5)))


def test_many_to_one_takes_the_lowest_of_the_best():
    scores = np.array([[1, 0, 2], [3, 0, 2], [3, 1, 0]])
    np.testing.assert_array_equal(many_to_one(scores), [1, 2, 0])


def large_cases():
    random = np.random.default_rng(0)
    shape = (21_843, 1_000)
    sparse = np.zeros(shape, np.float32)
    np.add.at(sparse, (random.zipf(1.3, 200_000) % shape[0], random.integers(0, 1000, 200_000)), 1)
    yield "counts", sparse
    one = np.zeros(shape, np.float32)
    one[7] = 50  # every image is of one source class
    yield "one source class for all", one
    yield "dense", random.random(shape, np.float32)


@pytest.mark.slow
def test_large_tables_are_fast():
    for name, scores in large_cases():
        start = time.process_time()
        result = one_to_one(scores)
        seconds = time.process_time() - start
        assert len(set(result)) == 1_000
        assert seconds < 3, f"{name}: {seconds:.1f} s"  # 0.1 to 0.3 s where nothing else runs
