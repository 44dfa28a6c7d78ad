"""Several prompts of one kind: for every view, every class, every cluster."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vp_jax import prompts
from vp_jax.errors import UserError
from vp_jax.prompts import views
from vp_jax.prompts.routing import Routing

KEY = jax.random.key(0)
SHAPE = (8, 8, 3)
IMAGES = jax.random.uniform(jax.random.key(1), (4, *SHAPE))
INNER = prompts.chain(prompts.pad(3), prompts.random_patch(2), prompts.clip())
GIVEN = {"rng": jax.random.key(2)}
ROUTED = {"features": jnp.array([[0.0, 1], [2, 0], [0, 5], [9, 1]]), "centroids": jnp.eye(2) * 3}
TARGET = jnp.array([1, 0, 2, 1])


def pick(params, number):
    return jax.tree.map(lambda x: x[number], params)


def made(prompt, params, number, images=IMAGES, **more):
    """What the prompt of a number makes of images."""
    return prompt.apply(pick(params, number), images, **{**GIVEN, **more})


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("stage", "more"),
    [
        (prompts.ensemble(INNER, 1), {}),
        (prompts.ensemble(INNER, 1, "confidence"), {}),
        (prompts.class_wise(INNER, 1), {}),
        (prompts.class_wise(INNER, 1), {"target": jnp.zeros(4, jnp.int32)}),
        (prompts.cluster(INNER, 1), {**ROUTED, "centroids": jnp.zeros((1, 2))}),
    ],
    ids=str,
)
def test_one_is_the_prompt_itself(stage, more, dtype):
    images, params = IMAGES.astype(dtype), stage.init(KEY, SHAPE)
    jax.tree.map(np.testing.assert_array_equal, pick(params, 0), INNER.init(KEY, SHAPE))
    found = jax.jit(stage.apply)(params, images, **GIVEN, **more)
    expected = INNER.apply(pick(params, 0), images, **GIVEN)
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)
    assert found.dtype == images.dtype


@pytest.mark.slow
def test_an_ensemble_sees_every_image_with_each():
    stage = prompts.ensemble(prompts.pad(3), 3)
    params = stage.init(KEY, SHAPE)
    found = stage.apply(params, IMAGES)
    assert found.shape == (3, *IMAGES.shape)
    for number in range(3):
        np.testing.assert_array_equal(found[number], made(prompts.pad(3), params, number))
    patch = prompts.ensemble(prompts.random_patch(2), 3)
    placed = patch.apply(jax.tree.map(jnp.ones_like, patch.init(KEY, SHAPE)), 0 * IMAGES, rng=KEY)
    assert len({x.tobytes() for x in np.asarray(placed[:, 0])}) > 1  # each at a place of its own
    chain = prompts.parse("ensemble(pad(3), 3) | pad(1)")
    drawn = chain.init(KEY, SHAPE)
    assert chain.apply(drawn, IMAGES, normalization=((0.0,) * 3, (1.0,) * 3)).ndim == 5
    assert chain.combine is views.mean_probabilities and INNER.combine is None


def test_each_class_has_its_own():
    stage = prompts.class_wise(prompts.chain(prompts.pad(3), prompts.full()), 3)
    params, inner = stage.init(KEY, SHAPE), stage.arguments["prompt"]
    found = stage.apply(params, IMAGES, target=TARGET)
    for number, (image, target) in enumerate(zip(IMAGES, TARGET, strict=True)):
        np.testing.assert_allclose(found[number], made(inner, params, target, image), atol=1e-6)
    assert stage.apply(params, IMAGES).shape == (3, *IMAGES.shape)
    assert stage.formula.classes == 3 and stage.combine is views.own_class
    joint = prompts.class_wise(inner, 3, joint=True)
    np.testing.assert_array_equal(
        joint.apply(params, IMAGES, target=TARGET), stage.apply(params, IMAGES)
    )


def test_each_cluster_has_its_own():
    stage = prompts.cluster(prompts.full(), 2, by="average")
    params = stage.init(KEY, SHAPE)
    found = jax.jit(stage.apply)(params, IMAGES, **ROUTED)
    for number, nearest in enumerate([1, 0, 1, 0]):
        expected = made(prompts.full(), params, nearest, IMAGES[number])
        np.testing.assert_allclose(found[number], expected, atol=1e-6)
    one = {**ROUTED, "features": ROUTED["features"][1]}
    np.testing.assert_array_equal(stage.apply(params, IMAGES[1], **one), found[1])
    assert prompts.parse("pad(1) | within(cluster(full, 2), 8)").routings == (Routing(2, "kmeans"),)
    slopes = jax.grad(lambda p, x: stage.apply(p, IMAGES, **{**ROUTED, "centroids": x}).sum(), 1)
    np.testing.assert_array_equal(slopes(params, ROUTED["centroids"]), 0)
    with pytest.raises(UserError, match="needs centroids"):
        stage.apply(params, IMAGES, features=ROUTED["features"])


@pytest.mark.parametrize(
    ("stage", "more"),
    [
        (prompts.ensemble(prompts.pad(2, init="zeros"), 2), {}),
        (prompts.class_wise(prompts.pad(2, init="zeros"), 2), {"target": TARGET // 2}),
        (prompts.cluster(prompts.pad(2, init="zeros"), 2), ROUTED),
    ],
    ids=str,
)
def test_they_learn_and_many_are_stacked(stage, more):
    params = jax.vmap(lambda key: stage.init(key, SHAPE))(jax.random.split(KEY, 2))

    @jax.jit
    @jax.vmap
    def slopes(params):
        return jax.grad(lambda p: stage.apply(p, IMAGES, **more).sum())(params)

    for slope in slopes(params).values():
        assert slope.shape[:2] == (2, 2) and (np.abs(slope).sum(axis=(2, 3, 4)) > 0).all()


LOGITS = jax.random.normal(jax.random.key(3), (5, 3, 3)) * 2


@pytest.mark.slow
def test_answers_are_combined():
    p = np.asarray(jax.nn.softmax(LOGITS), np.float64)
    found = jax.nn.softmax(views.mean_probabilities(LOGITS))
    np.testing.assert_allclose(found, p.mean(axis=1), atol=1e-6)
    certainty = np.log(3) + (p * np.log(p)).sum(axis=2)
    weights = certainty / certainty.sum(axis=1, keepdims=True)
    found = jax.nn.softmax(views.by_confidence(LOGITS))
    np.testing.assert_allclose(found, (weights[..., None] * p).sum(axis=1), atol=1e-5)
    own = np.exp(np.asarray(views.own_class(LOGITS)))
    np.testing.assert_allclose(own, p[:, [0, 1, 2], [0, 1, 2]], atol=1e-6)
    for combine in (views.mean_probabilities, views.by_confidence, views.own_class):
        same = jnp.broadcast_to(LOGITS[:, :1], LOGITS.shape)  # views that agree are one
        np.testing.assert_allclose(jax.nn.softmax(combine(same)), p[:, 0], atol=1e-6)
    nothing = views.by_confidence(jnp.zeros((2, 3, 4)))
    np.testing.assert_allclose(jax.nn.softmax(nothing), 0.25, atol=1e-6)


def test_views_lie_side_by_side():
    batch = jnp.arange(6.0).reshape(2, 3, 1, 1, 1)
    np.testing.assert_array_equal(views.flat(batch).ravel(), [0, 3, 1, 4, 2, 5])
    assert views.flat(IMAGES) is IMAGES
    rows = jnp.arange(12.0).reshape(6, 2)
    total = views.combined(rows, 3, lambda x: x.sum(axis=1))
    np.testing.assert_array_equal(total, rows.reshape(3, 2, 2).sum(axis=1))
    assert views.combined(rows, 6, views.own_class) is rows
    assert views.combined(rows, 3, None) is rows


def test_pictures_have_all_of_them():
    stage = prompts.parse("normalize | ensemble(full(init='uniform'), 3)")
    picture = prompts.to_image(stage, stage.init(KEY, SHAPE), SHAPE)
    assert picture.shape == (16, 16, 3)
    assert (picture[8:, 8:] == 128).all() and (picture[8:, :8] != 128).any()
    cluster = prompts.cluster(prompts.full(), 2)
    params = cluster.init(KEY, SHAPE)
    one = {"features": ROUTED["features"][:1], "centroids": ROUTED["centroids"]}
    np.testing.assert_array_equal(
        prompts.to_image(cluster, jax.device_get(params), SHAPE, **one),
        prompts.to_image(prompts.full(), pick(params, 1), SHAPE),
    )


MISTAKES = {
    "ensemble(pad(3), 0)": "k must be an int of at least 1 and at most 1000, got 0",
    "ensemble(pad(3), 1001)": "k must be an int of at least 1 and at most 1000, got 1001",
    "ensemble(pad(3), 2, by='max')": "by of ensemble: 'max'.*valid: confidence, mean",
    "cluster(pad(3), 2, by='ward')": "by of cluster: 'ward'",
    "class_wise(pad(3))": "class_wise needs classes",
    "ensemble(pad(3), 2) | class_wise(pad(3), 4)": "makes several images of one, and so does ens",
    "within(ensemble(pad(3), 2), 8)": "within takes images one by one, and ensemble.* outside",
    "ensemble(class_wise(pad(3), 2), 2)": "ensemble takes images one by one, and class_wise",
    "cluster(pad(3) | cluster(full, 2), 2)": "cluster: images are told .* within it",
    "cluster(pad(3), 2) | within(cluster(full, 2), 8)": "by centroids, and so does cluster",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes(text):
    with pytest.raises(UserError, match=MISTAKES[text]):
        prompts.parse(text)
