import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vp_jax import heads
from vp_jax.errors import UserError
from vp_jax.heads.text import TEXTS_PER_CALL

WIDTH = 6


def tokenize(texts):
    """One row of numbers a text, different for different texts."""
    return np.array([[len(t), sum(map(ord, t)) % 97] for t in texts], np.int32)


def encode(tokens):
    angles = jnp.asarray(tokens, jnp.float32).sum(-1, keepdims=True) * jnp.arange(1, WIDTH + 1)
    return 5.0 * jnp.sin(angles)


def test_texts_as_the_paper_writes_them():
    texts = heads.class_texts(["Aquarium_Fish", "T-shirt", "oak tree"])
    assert texts == [
        "This is a photo of a aquarium fish",
        "This is a photo of a t shirt",
        "This is a photo of a oak tree",
    ]


def test_braces_in_a_class_name_are_kept():
    assert heads.class_texts(["a{}b", "{0}"], "x {}") == ["x a{}b", "x {0}"]


@pytest.mark.parametrize("template", ["no place", "{} and {}", "{name}", "{0}", "{} {x}", ""])
def test_templates_without_exactly_one_place_are_refused(template):
    with pytest.raises(UserError, match=r"exactly one \{\}.*head.templates"):
        heads.class_texts(["a"], template)


def test_features_have_unit_length():
    features = heads.text_features(encode, tokenize, ["cat", "dog", "fox"])
    assert features.shape == (3, WIDTH) and features.dtype == jnp.float32
    np.testing.assert_allclose(jnp.linalg.norm(features, axis=-1), 1, atol=1e-6)


def test_several_templates_average_the_normalised_features():
    templates = ("a {}", "the {} here", "{}")
    names = ["cat", "dog"]
    features = heads.text_features(encode, tokenize, names, templates)
    each = [np.asarray(encode(tokenize([t.format(n) for n in names]))) for t in templates]
    mean = np.mean([f / np.linalg.norm(f, axis=-1, keepdims=True) for f in each], axis=0)
    mean /= np.linalg.norm(mean, axis=-1, keepdims=True)
    np.testing.assert_allclose(features, mean, atol=1e-6)


def test_more_texts_than_one_call_takes():
    names = [f"class {i}" for i in range(TEXTS_PER_CALL + 7)]
    whole = heads.text_features(encode, tokenize, names)
    tail = heads.text_features(encode, tokenize, names[-9:])
    np.testing.assert_allclose(whole[-9:], tail, atol=1e-6)


@pytest.mark.parametrize(("names", "templates"), [((), ("{}",)), (("a",), ())])
def test_nothing_to_encode_is_refused(names, templates):
    with pytest.raises(UserError, match="at least one"):
        heads.text_features(encode, tokenize, names, templates)


def test_logits_are_scaled_cosine_similarities():
    text, image = jax.random.normal(jax.random.key(0), (2, 5, WIDTH))
    text = text / jnp.linalg.norm(text, axis=-1, keepdims=True)
    logits = heads.text_head({"text_features": text, "logit_scale": 100.0}, 7.0 * image)
    cosine = image @ text.T / jnp.linalg.norm(image, axis=-1, keepdims=True)
    np.testing.assert_allclose(logits, 100 * cosine, rtol=1e-5, atol=1e-4)


@pytest.mark.slow
def test_a_zero_feature_has_finite_logits_and_gradient():
    params = {"text_features": jnp.eye(3, WIDTH), "logit_scale": 10.0}
    zeros = jnp.zeros((1, WIDTH))
    gradient = jax.grad(lambda x: heads.text_head(params, x).sum())(zeros)
    assert np.isfinite(heads.text_head(params, zeros)).all() and np.isfinite(gradient).all()


def test_the_head_is_the_formula():
    text, image = jax.random.normal(jax.random.key(0), (2, 5, WIDTH))
    text = text / jnp.linalg.norm(text, axis=-1, keepdims=True)
    head = heads.text(text, 100.0)
    params = head.init(None, WIDTH, 5)
    assert head.takes == "features" and head.trainable and head.refit == "never"
    assert {name: value.dtype for name, value in params.items()} == {
        "text_features": jnp.float32,
        "logit_scale": jnp.float32,
    }
    expected = heads.text_head({"text_features": text, "logit_scale": 100.0}, image)
    np.testing.assert_allclose(jax.jit(head.apply)(params, image), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("features", "scale", "message"),
    [
        (np.eye(3)[0], 1.0, r"\[classes, width\], got shape \(3,\)"),
        (np.zeros((0, 3)), 1.0, r"\[classes, width\]"),
        (np.diag([1.0, 2.0, 1.0]), 1.0, "row 1 has 2;.*heads.text_features"),
        (np.diag([1.0, np.nan, 1.0]), 1.0, "row 1 has nan"),
        (np.eye(3), 0.0, "positive number.*exp"),
        (np.eye(3), np.inf, "positive number"),
        (np.eye(3), np.nan, "positive number"),
        (np.eye(3), [1.0, 2.0], "positive number"),
    ],
)
def test_impossible_text_heads_are_refused(features, scale, message):
    with pytest.raises(UserError, match=message):
        heads.text(features, scale)


@pytest.mark.parametrize(("inputs", "classes"), [(WIDTH, 4), (WIDTH + 1, 5)])
def test_text_of_another_task_or_backbone_is_refused(inputs, classes):
    head = heads.text(np.eye(5, WIDTH), 1.0)
    with pytest.raises(
        UserError, match=f"5 classes and width {WIDTH}.*{classes} classes.*{inputs}"
    ):
        head.init(None, inputs, classes)
