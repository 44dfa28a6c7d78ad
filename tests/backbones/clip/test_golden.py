"""Small CLIPs against files of what open_clip and transformers computed; needs no torch."""

import jax
import numpy as np
import pytest
from tiny_clips import GOLDEN, GOLDEN_FOLDER, golden_weights

from vp_jax import backbones
from vp_jax.backbones.clip import params as clip_params
from vp_jax.backbones.weights import files as weight_files

TOLERANCE = 1e-5


@pytest.fixture(scope="module", params=GOLDEN)
def model(request):
    size, layout = GOLDEN[request.param]
    path = golden_weights(request.param)
    tensors = weight_files.read(path)
    assert clip_params.layout(tensors, str(path)) == layout
    params = clip_params.from_tensors(tensors, size, file=path.name, model=request.param)
    with np.load(GOLDEN_FOLDER / f"{request.param}_io.npz", allow_pickle=False) as file:
        expected = {name: x.astype(np.float32) for name, x in file.items() if name != "tokens"}
        expected["tokens"] = file["tokens"]
    backbone = backbones.from_params(request.param, params, size=size)

    @jax.jit
    def run(params, images, tokens, cotangent):
        visual, text = {"visual": params["visual"]}, {"text": params["text"]}  # all that is used
        features, pullback = jax.vjp(lambda x: backbone.apply(visual, x), images)
        return features, backbone.encode_text(text, tokens), pullback(cotangent)[0]

    with jax.default_matmul_precision("highest"):
        inputs = (expected[name] for name in ("images", "tokens", "cotangent"))
        return run(backbone.params, *inputs), expected


def test_image_features(model):
    (features, _, _), expected = model
    assert features.dtype == np.float32
    assert np.abs(features - expected["image_features"]).max() <= TOLERANCE


def test_text_features(model):
    (_, features, _), expected = model
    assert features.dtype == np.float32
    assert np.abs(features - expected["text_features"]).max() <= TOLERANCE


def test_image_gradient(model):
    (_, _, gradient), expected = model
    error = np.abs(gradient[0] - expected["first_gradient"]).max()
    assert error <= TOLERANCE * np.abs(expected["first_gradient"]).max()
