"""Heads that map source classes, against plain numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vp_jax import heads
from vp_jax.errors import UserError

KEY = jax.random.key(3)
SOURCES, CLASSES, BATCH = 12, 5, 7
LOGITS = np.random.default_rng(0).normal(size=(BATCH, SOURCES)).astype(np.float32)
UNFITTED = {
    "first_k": heads.first_k(),
    "fixed": heads.fixed([3, 3, 0, 11, 7]),
    "random": heads.random(),
    "frequency": heads.frequency(),
    "iterative": heads.iterative(),
    "semantic": heads.semantic(np.eye(SOURCES), np.eye(SOURCES)[4:9]),
}


def counts_of(head, logits, labels, classes, mask=None):
    """Counts of one batch through the head's own votes."""
    mask = np.ones(len(labels)) if mask is None else mask
    votes = head.votes(jnp.asarray(logits), classes)
    return heads.add_votes(heads.zero_counts(logits.shape[1], classes), votes, labels, mask)


@pytest.mark.parametrize("name", UNFITTED)
def test_logits_are_those_of_the_chosen_source_classes(name):
    head = UNFITTED[name]
    params = head.init(KEY, SOURCES, CLASSES)
    indices = np.asarray(params["indices"])
    assert list(params) == ["indices"] and params["indices"].dtype == jnp.int32
    assert indices.shape == (CLASSES,)
    assert head.takes == "logits" and not head.trainable
    result = jax.jit(head.apply)(params, LOGITS)
    assert result.dtype == jnp.float32
    np.testing.assert_array_equal(result, LOGITS[:, indices])
    gradient = jax.grad(lambda x: jax.jit(head.apply)(params, x).sum())(jnp.asarray(LOGITS))
    np.testing.assert_array_equal(gradient[0], np.bincount(indices, minlength=SOURCES))


@pytest.mark.parametrize("name", heads.names())
def test_init_can_be_jitted_and_half_precision_gives_float32(name):
    text = np.eye(CLASSES, SOURCES)
    data = {
        "fixed": ([0] * CLASSES,),
        "semantic": (np.eye(SOURCES), text),
        "text": (text, 2.0),
        "descriptions": ([[row[None] for row in text]], 2.0),
        "mean_frequency": (2,),
        "mean_iterative": (2,),
        "residual": (heads.iterative(),),
        "temperature": (heads.text(text, 2.0),),
    }
    head = getattr(heads, name)(*data.get(name, ()))
    params = jax.jit(head.init, static_argnums=(1, 2))(KEY, SOURCES, CLASSES)
    eager = head.init(KEY, SOURCES, CLASSES)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), params, eager)
    result = jax.eval_shape(head.apply, params, jnp.zeros((2, SOURCES), jnp.bfloat16))
    assert (result.shape, result.dtype) == ((2, CLASSES), jnp.float32)
    assert (head.votes is None) == (head.fit is None) == (head.refit == "never")
    assert head.name == name


def test_first_k_is_the_papers():
    params = heads.first_k().init(None, 1000, 100)
    np.testing.assert_array_equal(params["indices"], np.arange(100))
    heads.first_k().init(None, 10, 10)


@pytest.mark.parametrize("name", ["first_k", "random", "frequency", "iterative"])
def test_too_few_source_classes_are_refused(name):
    with pytest.raises(UserError, match=r"11 (classes|source).*only 10.*head.many_to_one=True"):
        heads.by_name(name).init(KEY, 10, 11)


@pytest.mark.parametrize(("inputs", "classes"), [(0, 1), (1, 0), (2.0, 1), (3, True)])
@pytest.mark.parametrize("name", ["first_k", "random", "bayesian", "linear", "iterative"])
def test_sizes_that_are_none_are_refused(name, inputs, classes):
    with pytest.raises(UserError, match="int of at least 1"):
        heads.by_name(name).init(KEY, inputs, classes)


def test_random_draws_without_replacement_from_its_key_alone():
    head = heads.random()
    for seed in range(20):
        indices = np.asarray(head.init(jax.random.key(seed), 10, 10)["indices"])
        np.testing.assert_array_equal(np.sort(indices), np.arange(10))
    draws = [np.asarray(head.init(jax.random.key(s), 1000, 10)["indices"]) for s in (0, 0, 1)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0] != draws[2]).any() and draws[0].max() >= 10
    with pytest.raises(UserError, match="needs a key"):
        head.init(None, 10, 10)


def test_a_restored_index_out_of_range_gives_nan_and_no_other_class():
    result = heads.first_k().apply({"indices": jnp.array([0, 99])}, LOGITS)
    np.testing.assert_array_equal(np.isnan(result), np.broadcast_to([False, True], (BATCH, 2)))


def test_fixed_by_name_and_number():
    names = ["cat", "crane", "dog", "crane"]
    head = heads.fixed(("dog", 1, "crane #3", np.int64(0)), names)
    np.testing.assert_array_equal(head.init(None, 4, 4)["indices"], [2, 1, 3, 0])


@pytest.mark.parametrize(
    ("table", "names", "message"),
    [
        ((), None, "needs a table"),
        ("cat", None, "needs a table"),
        ((0, -1), None, "entry 1 .*at least 0.*-1"),
        ((0, 1.0), None, "entry 1 .*1.0"),
        ((True,), None, "entry 0 .*True"),
        ((0, "cat"), None, "entry 1 .*'cat'.*source_names"),
        (("cta",), ["cat", "dog"], "unknown source class 'cta'; did you mean 'cat'"),
        (("crane",), ["crane", "owl", "crane"], "2 classes.*'crane #0' or 'crane #2'"),
    ],
)
def test_impossible_tables_are_refused(table, names, message):
    with pytest.raises(UserError, match=message):
        heads.fixed(table, names)


@pytest.mark.parametrize(
    ("table", "names", "inputs", "classes", "message"),
    [
        ((0, 1), None, 3, 3, "2 entries, but there are 3 classes"),
        ((0, 3, 1), None, 3, 3, "entry 1 .* is 3, .* 0 to 2"),
        (("a", "b"), ["a", "b"], 3, 2, "2 source class names, .* 3 source classes"),
    ],
)
def test_tables_for_another_task_are_refused(table, names, inputs, classes, message):
    with pytest.raises(UserError, match=message):
        heads.fixed(table, names).init(None, inputs, classes)


def test_swapped():
    table = (7, 2, 5)
    assert heads.swapped(table, 2, 0) == [5, 2, 7] and table == (7, 2, 5)
    assert heads.swapped(["a", "b"], 1, 1) == ["a", "b"]
    for bad in (3, -1, 1.0, True):
        with pytest.raises(UserError, match="swapped"):
            heads.swapped(table, 0, bad)


@pytest.mark.parametrize("seed", range(5))
def test_counts_against_a_loop(seed):
    random = np.random.default_rng(seed)
    logits = random.normal(size=(50, SOURCES)).astype(np.float32)
    labels, mask = random.integers(0, CLASSES, 50), random.random(50) < 0.7
    expected = np.zeros((SOURCES, CLASSES))
    for row, label, counts in zip(logits, labels, mask, strict=True):
        expected[row.argmax(), label] += counts
    result = counts_of(heads.frequency(), logits, labels, CLASSES, mask)
    assert result.dtype == jnp.float32
    np.testing.assert_array_equal(result, expected)


def test_counts_of_batches_add_up_under_jit():
    head = heads.bayesian_plus(top_share=0.6)
    labels = np.arange(BATCH) % CLASSES

    @jax.jit
    def step(counts, logits, labels, mask):
        return heads.add_votes(counts, head.votes(logits, CLASSES), labels, mask)

    counts = heads.zero_counts(SOURCES, CLASSES)
    for rows in (slice(0, 4), slice(3, 7)):  # row 3 is in both, masked in the second
        counts = step(counts, LOGITS[rows], labels[rows], np.arange(7)[rows] >= rows.start // 3 * 4)
    whole = counts_of(head, LOGITS, labels, CLASSES)
    np.testing.assert_allclose(counts, whole, rtol=1e-6)


@pytest.mark.parametrize("name", ["frequency", "bayesian", "bayesian_plus"])
@pytest.mark.parametrize("mask_dtype", [bool, np.int32, np.float32])
def test_masked_rows_count_nothing_whatever_they_hold(name, mask_dtype):
    logits, labels = LOGITS.copy(), np.arange(BATCH) % CLASSES
    logits[-2:], labels[-2:] = np.nan, -1
    mask = (np.arange(BATCH) < BATCH - 2).astype(mask_dtype)
    head = heads.by_name(name)
    counts = counts_of(head, logits, labels, CLASSES, mask)
    np.testing.assert_allclose(counts, counts_of(head, logits[:-2], labels[:-2], CLASSES))


@pytest.mark.parametrize("make", [heads.frequency, heads.iterative])
def test_frequency_finds_a_hidden_permutation(make):
    random = np.random.default_rng(1)
    hidden = random.permutation(SOURCES)[:CLASSES]
    labels = random.integers(0, CLASSES, 300)
    logits = random.normal(size=(300, SOURCES)).astype(np.float32)
    logits[np.arange(300), hidden[labels]] += 3
    head = make()
    params = head.fit(np.asarray(counts_of(head, logits, labels, CLASSES)))
    assert params["indices"].dtype == np.int32
    np.testing.assert_array_equal(params["indices"], hidden)
    correct = np.mean(head.apply(params, logits).argmax(1) == labels)
    assert correct > 0.8


def test_frequency_is_fitted_once_and_iterative_every_epoch():
    assert [heads.by_name(n).refit for n in ("frequency", "iterative")] == ["once", "epoch"]


def test_many_to_one_shares_source_classes():
    head = heads.iterative(many_to_one=True)
    counts = np.array([[9, 8, 0, 0, 0], [1, 2, 0, 3, 0], [0, 0, 0, 3, 0]], np.float32)
    params = head.init(None, 3, 5)
    assert params["indices"].tolist() == [0, 1, 2, 0, 1]
    # Classes 2 and 4 have no count: they take the source class that is left over, 2, and again.
    assert head.fit(counts)["indices"].tolist() == [0, 0, 2, 1, 2]
    everything_taken = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
    assert head.fit(everything_taken)["indices"].tolist() == [0, 1, 0]
    with pytest.raises(UserError, match="5 classes.*only 3.*--config.head.many_to_one=True"):
        heads.iterative().fit(counts)


@pytest.mark.parametrize("name", ["frequency", "iterative", "bayesian", "bayesian_plus"])
@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (np.ones(3), r"got shape \(3,\)"),
        (np.ones((0, 2)), "got shape"),
        (np.array([[1, np.nan]]).T, "not finite"),
        (np.array([[1, -1]]).T, "negative"),
    ],
)
def test_impossible_counts_are_refused(name, counts, message):
    with pytest.raises(UserError, match=message):
        heads.by_name(name).fit(counts)


@pytest.mark.parametrize("bad", ["True", None, 1])
def test_many_to_one_is_a_bool(bad):
    for make in (
        heads.frequency,
        heads.iterative,
        lambda b: heads.semantic(np.eye(2), np.eye(2), b),
    ):
        with pytest.raises(UserError, match="many_to_one must be True or False"):
            make(bad)


def test_semantic_pairs_the_most_similar_first():
    source = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]]) * [[5], [1], [0.1]]
    target = np.array([[0.9, 0.5], [0.85, 0.55]])
    # Cosines with target 0: .874, .990, .486; with target 1: .840, .998, .543.
    indices = heads.semantic(source, target).init(None, 3, 2)["indices"]
    np.testing.assert_array_equal(indices, [0, 1])
    shared = heads.semantic(source, target, many_to_one=True).init(None, 3, 2)["indices"]
    np.testing.assert_array_equal(shared, [1, 1])


def test_semantic_mistakes():
    eye = np.eye(3)
    with pytest.raises(UserError, match=r"target_features must be \[classes, width\]"):
        heads.semantic(eye, eye[0])
    with pytest.raises(UserError, match="row 1 of source_features"):
        heads.semantic(np.diag([1, 0, 1]), eye)
    with pytest.raises(UserError, match="row 2 of target_features"):
        heads.semantic(eye, np.diag([1, 1, np.nan]))
    with pytest.raises(UserError, match="3 numbers a class and target_features 2"):
        heads.semantic(eye, np.ones((3, 2)))
    with pytest.raises(UserError, match="3 classes.*only 2.*many_to_one"):
        heads.semantic(eye[:2], eye)
    with pytest.raises(UserError, match="3 source classes and 2 classes.*3 .*3 classes"):
        heads.semantic(eye, eye[:2]).init(None, 3, 3)


def test_names_and_settings():
    assert set(heads.names()) <= set(heads.__all__) and len(heads.names()) == 16
    assert heads.by_name("fixed", table=(1, 0)).init(None, 2, 2)["indices"].tolist() == [1, 0]
    with pytest.raises(UserError, match="unknown head 'baysian'; did you mean 'bayesian'"):
        heads.by_name("baysian")
    with pytest.raises(UserError, match="unknown head None"):
        heads.by_name(None)
    with pytest.raises(UserError, match="setting of head 'iterative': 'many' .*many_to_one"):
        heads.by_name("iterative", many=True)
    with pytest.raises(UserError, match="'text' needs 'text_features' and 'logit_scale'.*heads.te"):
        heads.by_name("text")
