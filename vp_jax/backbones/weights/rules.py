"""Rules and transforms that several weight tables share.

Batch normalisation (epsilon 1e-5) in its inference form is folded into the convolution before it,
which is exact: `kernel * s` and `bias - mean * s` with `s = weight / sqrt(var + eps)`.
"""

from __future__ import annotations

import math

import numpy as np

from vp_jax.backbones.weights.table import TRANSPOSE, Rule, Shape, Transform

BATCH_NORM_EPSILON = 1e-5


def _patch_size(kernel: Shape) -> int:
    return math.isqrt(kernel[0] // 3)


def _patches_backward(kernel: np.ndarray) -> tuple[np.ndarray]:
    size = _patch_size(kernel.shape)
    return (kernel.reshape(size, size, 3, -1).transpose(3, 2, 0, 1),)


# Convolution [width, 3, size, size] -> Dense over patches flattened as (row, column, channel).
PATCHES = Transform(
    lambda shape: ((shape[1], 3, _patch_size(shape), _patch_size(shape)),),
    lambda x: x.transpose(2, 3, 1, 0).reshape(-1, x.shape[0]),
    _patches_backward,
)


def _nhwc(shape: Shape) -> Shape:
    size = _patch_size(shape)
    return (size, size, 3, shape[1])


# Convolution [size, size, 3, width] -> Dense over the same patches.
NHWC_PATCHES = Transform(
    lambda shape: (_nhwc(shape),),
    lambda x: x.reshape(-1, x.shape[-1]),
    lambda x: (x.reshape(_nhwc(x.shape)),),
)


def split_heads(parts: int, head_width: int) -> Transform:
    """Projections whose heads have an axis of their own in the file, fused into one.

    The parameter is `[..., parts * width]`, each of the tensors `[..., heads, head_width]`.

    Args:
      parts: number of tensors: three for queries, keys and values.
      head_width: length of one head's queries.
    """

    def source_shapes(shape: Shape) -> tuple[Shape, ...]:
        return ((*shape[:-1], shape[-1] // parts // head_width, head_width),) * parts

    def backward(x: np.ndarray) -> tuple[np.ndarray, ...]:
        parted = np.split(x, parts, axis=-1)
        return tuple(part.reshape(*part.shape[:-1], -1, head_width) for part in parted)

    return Transform(
        source_shapes,
        lambda *xs: np.concatenate([x.reshape(*x.shape[:-2], -1) for x in xs], axis=-1),
        backward,
    )


def merged_heads(head_width: int) -> Transform:
    """The projection of all heads, `[heads, head_width, out]` in the file -> `[width, out]`."""
    return Transform(
        lambda shape: ((shape[0] // head_width, head_width, shape[1]),),
        lambda x: x.reshape(-1, x.shape[-1]),
        lambda x: (x.reshape(-1, head_width, x.shape[-1]),),
    )


def _scale(weight: np.ndarray, variance: np.ndarray) -> np.ndarray:
    return weight.astype(np.float64) / np.sqrt(variance.astype(np.float64) + BATCH_NORM_EPSILON)


def _folded_kernel(kernel: np.ndarray, weight: np.ndarray, variance: np.ndarray) -> np.ndarray:
    return kernel.astype(np.float64).transpose(2, 3, 1, 0) * _scale(weight, variance)


def _folded_bias(
    bias: np.ndarray, mean: np.ndarray, weight: np.ndarray, variance: np.ndarray
) -> np.ndarray:
    return bias.astype(np.float64) - mean.astype(np.float64) * _scale(weight, variance)


# Convolution [out, in, h, w], without a bias, and batch normalisation -> kernel [h, w, in, out].
FOLDED_KERNEL = Transform(
    lambda shape: (shape[:1:-1] + shape[:2], shape[-1:], shape[-1:]), _folded_kernel
)
FOLDED_BIAS = Transform(lambda shape: (shape,) * 4, _folded_bias)


def layer_norm_rules(target: str, source: str) -> tuple[Rule, ...]:
    """The two parameters of a LayerNorm, which every layout calls weight and bias."""
    return (
        Rule(f"{target}/scale", (f"{source}.weight",)),
        Rule(f"{target}/bias", (f"{source}.bias",)),
    )


def dense_rules(target: str, source: str) -> tuple[Rule, ...]:
    """The two parameters of a linear layer, which torch stores as [out, in]."""
    return (
        Rule(f"{target}/kernel", (f"{source}.weight",), TRANSPOSE),
        Rule(f"{target}/bias", (f"{source}.bias",)),
    )


def as_named(target: str, source: str, *params: str) -> tuple[Rule, ...]:
    """Parameters that have the same last name and the same shape in the file."""
    return tuple(Rule(f"{target}/{name}", (f"{source}/{name}",)) for name in params)


def folded_rules(target: str, conv: str, norm: str) -> tuple[Rule, ...]:
    """The two parameters of a convolution without a bias that batch normalisation follows."""
    scale = (f"{norm}.weight", f"{norm}.running_var")
    return (
        Rule(f"{target}/kernel", (f"{conv}.weight", *scale), FOLDED_KERNEL),
        Rule(f"{target}/bias", (f"{norm}.bias", f"{norm}.running_mean", *scale), FOLDED_BIAS),
    )


def stage_rules(stage: int, prefix: str = "") -> tuple[Rule, ...]:
    """The convolutions of all blocks of a ResNet's stage, the first being 0, in torch's names.

    Args:
      stage: its number.
      prefix: of the tensors' names.
    """
    target, source = rf"visual/stage_{stage}_block_(\d+)", rf"{prefix}layer{stage + 1}.\1"
    return (
        *folded_rules(rf"{target}/conv([123])", rf"{source}.conv\2", rf"{source}.bn\2"),
        *folded_rules(f"{target}/downsample", f"{source}.downsample.0", f"{source}.downsample.1"),
    )
