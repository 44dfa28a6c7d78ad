"""Prints how far this library's CLIP is from open_clip and transformers, with random weights.

    python experiments/parity.py --models=clip_vit_b32,clip_rn50

Needs torch (CPU), open_clip_torch and transformers. About a minute a model, on two idle cores. The
goal is 1e-5: absolute for the features of both towers, relative to the largest entry for the
gradient with respect to the images. Each row names the precision of both sides; `rounding` is the
reference in float32 against itself in float64.

A ResNet's gradient in float32 is no measure of parity: a few of its millions of ReLUs have inputs
within rounding of zero, and each that falls on the other side changes the gradient by a jump. The
reference misses its own float64 gradient by as much (row `rounding`), so look at the float64 row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import clip_references
import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from vp_jax.backbones import from_params
from vp_jax.backbones.clip import params as clip_params
from vp_jax.backbones.clip.sizes import SIZES, ClipSize


class Row(NamedTuple):
    """One comparison: the largest errors of image features, text features and image gradient."""

    model: str
    reference: str
    precision: str
    images: float
    texts: float
    gradient: float


def ours(
    tensors: dict[str, np.ndarray], name: str, size: ClipSize, inputs: tuple[np.ndarray, ...]
) -> clip_references.Outputs:
    """What this library computes, in float32, or in float64 where that is enabled."""
    dtype = np.float64 if jax.config.jax_enable_x64 else np.float32
    params = clip_params.from_tensors(tensors, size, file="reference", model=name, dtype=dtype)
    params = jax.tree.map(jnp.asarray, params)
    backbone = from_params(name, params, size=size)
    images, tokens, cotangent = inputs

    @jax.jit
    def image_side(params, images):
        features, pullback = jax.vjp(lambda x: backbone.apply(params, x), images)
        return features, pullback(jnp.asarray(cotangent, features.dtype))[0]

    with jax.default_matmul_precision("highest"):
        features, gradient = image_side(params, jnp.asarray(images, dtype))
        texts = jax.jit(backbone.encode_text)(params, tokens)
    return clip_references.Outputs(*map(np.asarray, (features, texts, gradient)))


def compare(
    model: str,
    reference: str,
    precision: str,
    a: clip_references.Outputs,
    b: clip_references.Outputs,
) -> Row:
    """The errors of `a`, where `b` is right."""
    errors = [float(np.abs(x - y).max()) for x, y in zip(a, b, strict=True)]
    relative = errors[2] / float(np.abs(b.image_gradient).max())
    return Row(model, reference, precision, errors[0], errors[1], relative)


def measure(name: str, size: ClipSize, batch: int) -> Iterator[Row]:
    """Compares one size of CLIP with every reference that has it."""
    inputs = clip_references.inputs(size, batch)
    references = {"open_clip": clip_references.open_clip_model}
    if size.patch_size is not None:
        references["transformers"] = clip_references.transformers_model
    for reference, make in references.items():
        model = make(size)
        tensors = clip_references.state_dict(model)
        single = clip_references.run(model, *inputs)
        yield compare(name, reference, "float32", ours(tensors, name, size, inputs), single)
        double = clip_references.run(model.double(), *inputs)
        yield compare(name, reference, "rounding", single, double)
        with jax.enable_x64(True):
            yield compare(name, reference, "float64", ours(tensors, name, size, inputs), double)


def main(argv: list[str]) -> None:
    del argv
    print(
        f"{'model':13} {'reference':13} {'precision':9} {'images':>8} {'texts':>8} {'gradient':>8}"
    )
    for name in flags.FLAGS.models:
        for row in measure(name, SIZES[name], flags.FLAGS.batch):
            print("{:13} {:13} {:9} {:8.1e} {:8.1e} {:8.1e}".format(*row), flush=True)


if __name__ == "__main__":
    flags.DEFINE_list(
        "models", ["clip_tiny", "clip_vit_b32", "clip_vit_b16", "clip_rn50", "clip_rn101"], "names"
    )
    flags.DEFINE_integer("batch", 2, "images and texts")
    app.run(main)
