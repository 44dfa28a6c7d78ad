"""BiT: names, weight layouts, the loaded head, and the parts against plain numpy."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_classifiers import GOLDEN, GOLDEN_FOLDER

from vp_jax import backbones
from vp_jax.backbones import classifier
from vp_jax.backbones.resnets import bit_weights
from vp_jax.backbones.resnets.bit import (
    GROUP_NORM_EPSILON,
    KERNEL_EPSILON,
    StandardizedConv,
    _norm_relu,
    standardize,
)
from vp_jax.backbones.resnets.bit_sizes import BITS
from vp_jax.backbones.weights import files as weight_files
from vp_jax.backbones.weights.table import needed_shapes, to_state_dict
from vp_jax.errors import UserError

TINY = GOLDEN["bit"]
GOOGLE = TINY.tables[1]


def _tensors():
    return dict(weight_files.read(GOLDEN_FOLDER / "bit.safetensors"))


def _convert(tensors):
    return classifier.from_tensors(tensors, TINY, file="some/file", name="bit")


@pytest.mark.parametrize(
    ("name", "classes", "image_size", "resize_size", "parameters"),
    [
        ("bit_m_r50x1", 21_843, 224, 256, 68_256_659),
        ("bit_m_r50x1_1k", 1_000, 448, 448, 25_549_352),
    ],
)
def test_sizes(name, classes, image_size, resize_size, parameters):
    model = BITS[name]
    shapes = classifier.shapes(model)
    assert name in backbones.names()
    assert sum(np.prod(x.shape, dtype=int) for x in jax.tree.leaves(shapes)) == parameters
    assert shapes["classifier"]["kernel"].shape == (2048, classes)
    assert (model.image_size, model.resize_size) == (image_size, resize_size)
    assert model.resize_method == "bilinear" and model.mean == model.std == (0.5, 0.5, 0.5)
    images = jax.ShapeDtypeStruct((2, image_size, image_size, 3), jnp.float32)
    features = jax.eval_shape(
        lambda p, x: model.trunk(None).apply({"params": p}, x), shapes["visual"], images
    )
    assert features.shape == (2, 2048)


def test_layouts_of_the_released_files():
    model = BITS["bit_m_r50x1"]
    timm, google = (needed_shapes(table, classifier.shapes(model)) for table in model.tables)
    assert len(timm) == len(google)
    assert timm["stem.conv.weight"] == (64, 3, 7, 7)
    assert timm["stages.3.blocks.0.downsample.conv.weight"] == (2048, 1024, 1, 1)
    assert timm["head.fc.weight"] == (21_843, 2048, 1, 1)
    assert google["resnet/root_block/standardized_conv2d/kernel"] == (7, 7, 3, 64)
    assert google["resnet/block1/unit01/a/group_norm/gamma"] == (64,)
    assert google["resnet/block1/unit01/a/proj/standardized_conv2d/kernel"] == (1, 1, 64, 256)
    assert google["resnet/block3/unit06/b/standardized_conv2d/kernel"] == (3, 3, 256, 256)
    assert google["resnet/group_norm/beta"] == (2048,)
    assert google["resnet/head/conv2d/kernel"] == (1, 1, 2048, 21_843)


def test_googles_npz_gives_the_same_tree(tmp_path):
    params = _convert(_tensors())
    np.savez(tmp_path / "bit.npz", **to_state_dict(params, GOOGLE))
    again = _convert(weight_files.read(tmp_path / "bit.npz"))
    jax.tree.map(np.testing.assert_array_equal, again, params)
    again = _convert(to_state_dict(params, bit_weights.TIMM))
    jax.tree.map(np.testing.assert_array_equal, again, params)


@pytest.mark.parametrize("table", TINY.tables, ids=lambda table: table.name)
def test_the_head_is_the_files_and_prompts_have_a_gradient(table):
    """BiT's code, and the paper's after it, zeroes the head: constant loss, no gradient."""
    tensors = _tensors()
    weight = tensors["head.fc.weight"].astype(np.float32)
    params = _convert(to_state_dict(_convert(tensors), table))
    np.testing.assert_array_equal(params["classifier"]["kernel"], weight[:, :, 0, 0].T)
    np.testing.assert_array_equal(params["classifier"]["bias"], tensors["head.fc.bias"])
    assert np.abs(params["classifier"]["kernel"]).min(axis=0).max() > 0

    backbone = classifier.backbone("bit", TINY, params)

    @jax.jit
    @jax.grad
    def gradient(prompt):
        features = backbone.apply(backbone.params, images + prompt)
        return -jax.nn.log_softmax(backbone.classify(backbone.params, features))[:, 0].mean()

    images = jnp.asarray(np.random.default_rng(0).normal(size=(2, 40, 40, 3)), jnp.float32)
    assert np.abs(gradient(jnp.zeros(images.shape[1:]))).max() > 1e-5


def test_a_missing_head_is_listed_like_any_tensor():
    tensors = to_state_dict(_convert(_tensors()), GOOGLE)
    del tensors["resnet/head/conv2d/kernel"], tensors["resnet/block2/unit02/c/group_norm/beta"]
    tensors["resnet/block2/unit03/a/group_norm/beta"] = np.zeros(64, np.float32)
    tensors["resnet/head/conv2d/bias"] = np.zeros(11, np.float32)
    with pytest.raises(UserError) as caught:
        _convert(tensors)
    for line in (
        "2 tensors are missing:",
        "  resnet/head/conv2d/kernel: needed is (1, 1, 64, 10)",
        "  resnet/block2/unit02/c/group_norm/beta: needed is (16,)",
        "1 tensor is unexpected:",
        "  resnet/block2/unit03/a/group_norm/beta: (64,)",
        "  resnet/head/conv2d/bias: the file has (11,), needed is (10,)",
    ):
        assert line in str(caught.value).split("\n")


@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_standardised_kernel_is_big_transfers(scale):
    """bit_jax: subtract the mean over (h, w, in), divide by sqrt(variance + 1e-10)."""
    rng = np.random.default_rng(0)
    kernel = (1 + rng.normal(size=(3, 3, 8, 5))) * scale
    expected = np.empty_like(kernel)
    for out in range(5):
        values = kernel[..., out].ravel()
        mean = sum(values) / len(values)
        variance = sum((values - mean) ** 2) / len(values)
        expected[..., out] = (kernel[..., out] - mean) / np.sqrt(variance + 1e-10)
    found = standardize(jnp.asarray(kernel, jnp.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    other = expected * np.sqrt(kernel.var((0, 1, 2)) + 1e-10)
    other /= np.sqrt(kernel.var((0, 1, 2)) + 1e-8)  # timm's epsilon is told apart
    assert scale == 1.0 or np.abs(found - other).max() > 1e-2
    assert KERNEL_EPSILON == 1e-10


def test_standardisation_is_part_of_the_forward_pass():
    """Scale and shift of a kernel change nothing, and have no gradient: as fine-tuning needs."""
    conv = StandardizedConv(4, 3)
    x = jax.random.normal(jax.random.key(0), (1, 5, 5, 3))
    params = conv.init(jax.random.key(1), x)["params"]
    same = {"kernel": 3 * params["kernel"] + 2}
    y, z = (conv.apply({"params": p}, x) for p in (params, same))
    np.testing.assert_allclose(y, z, atol=1e-4)
    slope = jax.grad(lambda p: (conv.apply({"params": p}, x) ** 3).sum())(params)["kernel"]
    assert np.abs(slope).max() > 1
    np.testing.assert_allclose(slope.sum((0, 1, 2)), 0, atol=1e-3 * np.abs(slope).max())


def test_group_norm():
    rng = np.random.default_rng(0)
    x = 3 + 2 * rng.normal(size=(2, 4, 5, 8)).astype(np.float32)
    scale, bias = rng.normal(size=(2, 8)).astype(np.float32)

    class Norm(nn.Module):
        @nn.compact
        def __call__(self, x):
            return _norm_relu(x, 4, "norm", None)

    found = Norm().apply({"params": {"norm": {"scale": scale, "bias": bias}}}, x)
    for image in range(2):
        for group in range(4):
            part = slice(2 * group, 2 * group + 2)
            values = x[image, :, :, part].astype(np.float64)
            normal = (values - values.mean()) / np.sqrt(values.var() + GROUP_NORM_EPSILON)
            expected = np.maximum(normal * scale[part] + bias[part], 0)
            np.testing.assert_allclose(found[image, :, :, part], expected, atol=2e-5)


@pytest.mark.slow
def test_the_root_pool_sees_zeros_around_negative_values():
    """Where all inputs at a corner are negative the maximum is the zero beside them, as in BiT."""
    trunk = TINY.trunk(None)
    params = _convert(_tensors())["visual"]
    _, state = trunk.apply(
        {"params": params}, -jnp.ones((1, 40, 40, 3)), capture_intermediates=True
    )
    root = np.asarray(state["intermediates"]["root_conv"]["__call__"][0])
    block = np.asarray(state["intermediates"]["stage_0_block_0"]["norm1"]["__call__"][0])
    assert root.shape == (1, 20, 20, 8) and block.shape == (1, 10, 10, 8)
    padded = np.pad(root, ((0, 0), (1, 1), (1, 1), (0, 0)))
    pooled = np.stack(
        [
            [padded[0, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max((0, 1)) for j in range(10)]
            for i in range(10)
        ]
    )
    inside = root[0, :2, :2].max((0, 1))
    assert (pooled[0, 0] > inside).any(), "no channel shows the difference"
    mean, variance = (f(pooled.reshape(100, 4, 2), axis=(0, 2)) for f in (np.mean, np.var))
    mean, variance = np.repeat(mean, 2), np.repeat(variance, 2)
    norm = params["stage_0_block_0"]["norm1"]
    expected = (pooled - mean) / np.sqrt(variance + 1e-5) * norm["scale"] + norm["bias"]
    np.testing.assert_allclose(block[0], expected, atol=1e-4)


def test_wrong_image_size_is_refused():
    with pytest.raises(UserError, match="the backbone takes"):
        TINY.trunk(None).apply(
            {"params": _convert(_tensors())["visual"]}, jnp.zeros((1, 32, 32, 3))
        )


def test_bfloat16_computation_gives_float32_features():
    params = _convert(_tensors())
    images = jnp.asarray(np.random.default_rng(0).normal(size=(2, 40, 40, 3)), jnp.float32)
    features = []
    for dtype in (None, jnp.bfloat16):
        model = classifier.backbone("bit", TINY, params, dtype)
        features.append(jax.jit(model.apply)(model.params, images))
    assert features[1].dtype == jnp.float32
    assert 0 < np.abs(features[0] - features[1]).max() < 0.1 * np.abs(features[0]).max()
