"""Rules and transforms that several weight tables share.

Batch normalisation (epsilon 1e-5) in its inference form is folded into the convolution before it,
which is exact: `kernel * s` and `bias - mean * s` with `s = weight / sqrt(var + eps)`.
"""

from __future__ import annotations

import math

import numpy as np

from vp_jax.backbones.weight_table import TRANSPOSE, Rule, Shape, Transform

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


def folded_rules(target: str, conv: str, norm: str) -> tuple[Rule, ...]:
    """The two parameters of a convolution without a bias that batch normalisation follows."""
    scale = (f"{norm}.weight", f"{norm}.running_var")
    return (
        Rule(f"{target}/kernel", (f"{conv}.weight", *scale), FOLDED_KERNEL),
        Rule(f"{target}/bias", (f"{norm}.bias", f"{norm}.running_mean", *scale), FOLDED_BIAS),
    )
