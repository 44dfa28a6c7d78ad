"""Runs on weights whose last layer is of other classes than the model's."""

import numpy as np
import pytest
import safetensors.numpy

from vp_jax import backbones, config, runs
from vp_jax.backbones import classifier
from vp_jax.backbones.loading.classifiers import CLASSIFIERS
from vp_jax.errors import UserError

NAME = "resnet20_cifar"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of 37 classes, with random weights."""
    rng = np.random.default_rng(0)
    shapes = classifier.layouts(CLASSIFIERS[NAME])[0]
    shapes |= {"linear.weight": (37, 64), "linear.bias": (37,)}
    tensors = {name: rng.normal(size=shape) / 9 for name, shape in shapes.items()}
    tensors |= {name: np.ones(x.shape) for name, x in tensors.items() if "running_var" in name}
    path = tmp_path_factory.mktemp("weights") / "fine_tuned.safetensors"
    safetensors.numpy.save_file({n: x.astype(np.float32) for n, x in tensors.items()}, path)
    return path


def _settings(weights, head, tune):
    settings = config.default()
    settings.backbone.name, settings.backbone.weights = NAME, str(weights)
    settings.task.name, settings.task.shots = "digits", 2
    settings.head.name, settings.tune = head, tune
    settings.prompt, settings.epochs, settings.batch_size = "normalize | pad(2)", 1, 8
    return settings


@pytest.mark.slow(seconds=5)
def test_a_linear_probe_needs_features_only(weights, tmp_path):
    result = runs.train(_settings(weights, "linear", ("head",)), tmp_path / "run")
    assert 0 < result["test_accuracy"] < 1
    again = runs.evaluate(tmp_path / "run")
    assert again["test_accuracy"] == result["test_accuracy"]


@pytest.mark.parametrize("head", ["first_k", "frequency", "semantic"])
def test_a_mapping_is_refused_in_one_sentence(head, weights, tmp_path):
    settings = _settings(weights, head, ("prompt",))
    own = backbones.load(NAME, weights)
    for backbone in (None, own):
        with pytest.raises(UserError) as caught:
            runs.train(settings, tmp_path / "run", backbone=backbone)
        assert str(caught.value) == (
            f"the head {head!r} maps source classes, and these weights of {NAME} have no last "
            "layer of its classes; give --config.head.name=linear, other weights, or, in Python, "
            "the names of the classes that they have: backbones.load(..., source_classes=NAMES)"
        )
    assert not (tmp_path / "run").exists()
