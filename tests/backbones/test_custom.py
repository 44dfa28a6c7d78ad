"""Backbones out of pure functions."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vp_jax import backbones
from vp_jax.errors import UserError

SIZE = 4
PREPARATION = {"image_size": SIZE, "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}


def _params(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "w": rng.normal(size=(SIZE * SIZE * 3, 5)).astype(np.float32),
        "head": rng.normal(size=(5, 7)).astype(np.float32),
    }


def _features(params, images):
    return images.reshape(len(images), -1) @ params["w"]


def _logits(params, features):
    return features @ params["head"]


def _images(seed=1):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(2, SIZE, SIZE, 3)), jnp.float32)


def test_one_function():
    params = _params()
    backbone = backbones.from_fn(_features, params, **PREPARATION)
    assert (backbone.name, backbone.embed_dim, backbone.image_size) == ("custom", 5, SIZE)
    assert (backbone.mean, backbone.std) == ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    assert (backbone.resize_size, backbone.resize_method) == (SIZE, "bicubic")
    assert backbone.source_classes == ("0", "1", "2", "3", "4")
    assert backbone.encode_text is backbone.tokenizer is backbone.logit_scale is None
    assert isinstance(backbone.params["visual"]["w"], jax.Array)

    outputs = jax.jit(backbone.apply)(backbone.image_params(), _images())
    np.testing.assert_allclose(outputs, _features(params, _images()), rtol=1e-5)
    # without a classifier the outputs are the logits, whatever parameters there are
    np.testing.assert_array_equal(backbone.classify({}, outputs), outputs)


def test_features_and_classifier():
    params, names = _params(), [f"class {i}" for i in range(7)]
    backbone = backbones.from_fn(
        _features,
        params,
        **PREPARATION,
        classify=_logits,
        source_classes=names,
        name="mine",
        resize_size=6,
        resize_method="bilinear",
    )
    assert (backbone.name, backbone.embed_dim) == ("mine", 5)
    assert backbone.source_classes == tuple(names)
    assert (backbone.resize_size, backbone.resize_method) == (6, "bilinear")
    used = backbone.image_params("logits")
    logits = backbone.classify(used, backbone.apply(used, _images()))
    np.testing.assert_allclose(logits, _logits(params, _features(params, _images())), rtol=1e-5)


def test_outputs_are_float32_and_images_have_a_gradient():
    def half(params, images):
        return _features(params, images).astype(jnp.bfloat16)

    backbone = backbones.from_fn(half, _params(), **PREPARATION, classify=_logits)
    logits, features = jax.eval_shape(
        lambda p, x: (backbone.classify(p, backbone.apply(p, x)), backbone.apply(p, x)),
        backbone.params,
        _images(),
    )
    assert (logits.shape, logits.dtype) == ((2, 7), jnp.float32)
    assert (features.shape, features.dtype) == ((2, 5), jnp.float32)
    gradient = jax.grad(lambda x: backbone.apply(backbone.params, x).sum())(_images())
    assert gradient.shape == _images().shape and np.abs(gradient).min() > 0


class _Pair(NamedTuple):
    w: np.ndarray
    rest: list


def test_any_pytree_of_arrays():
    w = _params()["w"]
    backbone = backbones.from_fn(
        lambda p, x: x.reshape(len(x), -1) @ p.w * p.rest[0] + p.rest[1]["shift"],
        _Pair(w, [2.0, {"shift": np.ones(5, np.float32), "unused": None}]),
        **PREPARATION,
    )
    outputs = backbone.apply(backbone.params, _images())
    expected = 2 * _features({"w": w}, _images()) + 1
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-5)


def test_a_flax_module():
    module = nn.Sequential([lambda x: x.mean((1, 2)), nn.Dense(6)])
    variables = module.init(jax.random.key(0), _images())
    backbone = backbones.from_fn(module.apply, variables, **PREPARATION)
    assert backbone.embed_dim == 6
    np.testing.assert_allclose(
        backbone.apply(backbone.params, _images()), module.apply(variables, _images()), rtol=1e-6
    )


def test_fingerprint_follows_name_and_values():
    def fingerprint(params, name="custom"):
        return backbones.from_fn(_features, params, **PREPARATION, name=name).fingerprint

    first = fingerprint(_params())
    assert first.startswith("custom:sha256:")
    assert fingerprint(jax.tree.map(jnp.asarray, _params())) == first
    assert fingerprint(_params(), name="mine").removeprefix("mine") == first.removeprefix("custom")
    changed = _params()
    changed["head"][3, 3] += 1e-3
    assert fingerprint(changed) != first


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        (lambda p, x: x, r"shape \(2, N\).*it returns \(\(2, 4, 4, 3\), 'float32'\)"),
        (lambda p, x: x.mean(), r"it returns \(\(\), 'float32'\)"),
        (lambda p, x: _features(p, x)[:1], r"it returns \(\(1, 5\), 'float32'\)"),
        (lambda p, x: _features(p, x).astype(int), r"it returns \(\(2, 5\), 'int"),
        (lambda p, x: (_features(p, x), 0), r"must return one float array.*'float32'"),
        (lambda p, x: x @ p["w"], r"apply\(params, x\) fails for x of shape \(2, 4, 4, 3\): "),
        (lambda p, x: p["other"], r"apply\(params, x\) fails .*KeyError: 'other'"),
    ],
    ids=["images", "scalar", "one row", "int", "tuple", "product", "key"],
)
def test_functions_that_do_not_fit(apply, message):
    with pytest.raises(UserError, match=message):
        backbones.from_fn(apply, _params(), **PREPARATION)


def test_classifiers_that_do_not_fit():
    with pytest.raises(UserError, match=r"classify\(params, x\) fails for x of shape \(2, 5\)"):
        backbones.from_fn(
            _features, _params(), **PREPARATION, classify=lambda p, x: x @ p["head"].T
        )
    with pytest.raises(UserError, match=r"classify\(params, x\) must return .*\(\(7,\), "):
        backbones.from_fn(
            _features, _params(), **PREPARATION, classify=lambda p, x: _logits(p, x)[0]
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mean": (0.5, 0.5)}, r"mean is \(0.5, 0.5\); it must be three numbers"),
        ({"mean": 0.5}, "mean is 0.5; it must be three numbers"),
        ({"mean": ("a", 0, 0)}, "mean is .*three numbers"),
        ({"std": (0.2, float("nan"), 0.2)}, r"std is \(0.2, nan, 0.2\); it must be three"),
        ({"std": (0.2, 0, 0.2)}, "all three must be positive"),
        ({"std": (0.2, -1, 0.2)}, "all three must be positive"),
        ({"source_classes": ["a", "b"]}, "2 source class names were given for the 5 outputs of"),
        ({"params": {**_params(), "title": "mine"}}, "must be a pytree of arrays"),
    ],
)
def test_other_mistakes(changes, message):
    with pytest.raises(UserError, match=message):
        backbones.from_fn(_features, **{"params": _params(), **PREPARATION, **changes})
