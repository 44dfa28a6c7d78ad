"""Small classifiers against files of what timm computed; needs no torch.

`golden/make_classifier_golden.py` makes the files.
"""

import jax
import numpy as np
import pytest
from tiny_classifiers import GOLDEN, GOLDEN_FOLDER

from vp_jax.backbones import classifier
from vp_jax.backbones.weights import files as weight_files

TOLERANCE = 1e-5


@pytest.fixture(scope="module", params=GOLDEN)
def outputs(request):
    """What this library computes, and what the reference did."""
    name, model = request.param, GOLDEN[request.param]
    tensors = weight_files.read(GOLDEN_FOLDER / f"{name}.safetensors")
    params = classifier.from_tensors(tensors, model, file="golden", name=name)
    backbone = classifier.backbone(name, model, params)
    with np.load(GOLDEN_FOLDER / f"{name}_io.npz", allow_pickle=False) as file:
        expected = {key: x.astype(np.float32) for key, x in file.items()}

    @jax.jit
    def run(params, images, cotangent):
        visual = {"visual": params["visual"]}  # all that apply uses
        layer = {"classifier": params["classifier"]}  # all that classify uses

        def forward(images):
            features = backbone.apply(visual, images)
            return backbone.classify(layer, features), features

        logits, pullback, features = jax.vjp(forward, images, has_aux=True)
        return {"features": features, "logits": logits, "gradient": pullback(cotangent)[0]}

    with jax.default_matmul_precision("highest"):
        found = run(backbone.params, expected["images"], expected["cotangent"])
    return found, expected


@pytest.mark.parametrize("what", ["features", "logits"])
def test_outputs(outputs, what):
    found, expected = outputs
    assert found[what].dtype == np.float32
    assert found[what].shape == expected[what].shape
    assert np.abs(found[what] - expected[what]).max() <= TOLERANCE


def test_image_gradient(outputs):
    found, expected = outputs
    error = np.abs(found["gradient"][0] - expected["first_gradient"]).max()
    assert error <= TOLERANCE * np.abs(expected["first_gradient"]).max()


def test_outputs_differ_between_images(outputs):
    """A golden file whose model ignores its input would prove nothing."""
    _, expected = outputs
    for what in ("features", "logits"):
        assert np.ptp(expected[what], axis=0).max() > 100 * TOLERANCE
