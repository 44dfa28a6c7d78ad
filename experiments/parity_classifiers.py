"""Prints how far this library's classifiers are from timm's, with random weights.

    python experiments/parity_classifiers.py --models=resnet18,resnet50

Needs torch (CPU) and timm. Up to two minutes a model, on two idle cores. The goal is 1e-5: absolute
for features and source logits, relative to the largest entry for the gradient with respect to the
images. Each row names the precision of both sides; `rounding` is the reference in float32 against
itself in float64. A deep ResNet's gradient in float32 is no measure of parity, for the reason that
`parity.py` gives: look at the float64 row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import classifier_references
import clip_references
import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from classifier_references import REFERENCES

from vp_jax.backbones import classifier
from vp_jax.backbones.loading.classifiers import CLASSIFIERS
from vp_jax.backbones.source_classes import source_classes


class Row(NamedTuple):
    """One comparison: the largest errors of features, source logits and image gradient."""

    model: str
    precision: str
    features: float
    logits: float
    gradient: float


def ours(
    tensors: dict[str, np.ndarray], name: str, images: np.ndarray, cotangent: np.ndarray
) -> classifier_references.Outputs:
    """What this library computes, in float32, or in float64 where that is enabled."""
    dtype = np.float64 if jax.config.jax_enable_x64 else np.float32
    model = CLASSIFIERS[name]
    params = classifier.from_tensors(tensors, model, file="reference", name=name, dtype=dtype)
    backbone = classifier.backbone(name, model, params)

    @jax.jit
    def compute(params, images):
        def forward(images):
            features = backbone.apply(params, images)
            return backbone.classify(params, features), features

        logits, pullback, features = jax.vjp(forward, images, has_aux=True)
        return features, logits, pullback(jnp.asarray(cotangent, logits.dtype))[0]

    with jax.default_matmul_precision("highest"):
        outputs = compute(backbone.params, jnp.asarray(images, dtype))
    return classifier_references.Outputs(*map(np.asarray, outputs))


def compare(
    model: str, precision: str, a: classifier_references.Outputs, b: classifier_references.Outputs
) -> Row:
    """The errors of `a`, where `b` is right."""
    errors = [float(np.abs(x - y).max()) for x, y in zip(a, b, strict=True)]
    relative = errors[2] / float(np.abs(b.image_gradient).max())
    return Row(model, precision, errors[0], errors[1], relative)


def measure(name: str, batch: int) -> Iterator[Row]:
    """Compares one classifier with its reference."""
    model = CLASSIFIERS[name]
    reference = classifier_references.random_model(REFERENCES[name], model.image_size)
    classes = len(source_classes(model.classes))
    inputs = classifier_references.inputs(model.image_size, classes, batch)
    tensors = clip_references.state_dict(reference)
    single = classifier_references.run(reference, *inputs)
    yield compare(name, "float32", ours(tensors, name, *inputs), single)
    double = classifier_references.run(reference.double(), *inputs)
    yield compare(name, "rounding", single, double)
    with jax.enable_x64(True):
        yield compare(name, "float64", ours(tensors, name, *inputs), double)


def main(argv: list[str]) -> None:
    del argv
    print(f"{'model':21} {'precision':9} {'features':>8} {'logits':>8} {'gradient':>8}")
    for name in flags.FLAGS.models:
        for row in measure(name, flags.FLAGS.batch):
            print("{:21} {:9} {:8.1e} {:8.1e} {:8.1e}".format(*row), flush=True)


if __name__ == "__main__":
    flags.DEFINE_list("models", list(REFERENCES), "names")
    flags.DEFINE_integer("batch", 2, "images")
    app.run(main)
