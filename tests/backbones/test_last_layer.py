"""Weights whose last layer is of other classes, of another form or missing: features only."""

import jax
import numpy as np
import pytest
import safetensors.numpy
from tiny_classifiers import GOLDEN, GOLDEN_FOLDER

from vp_jax import backbones
from vp_jax.backbones import classifier
from vp_jax.backbones.loading.classifiers import CLASSIFIERS
from vp_jax.backbones.weights.table import to_state_dict
from vp_jax.errors import UserError

LAST = {"resnet_basic": "fc", "vit": "head", "bit": "head.fc", "resnet8_cifar": "linear"}


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    for name, model in GOLDEN.items():
        monkeypatch.setitem(CLASSIFIERS, name, model)


def _tensors(name):
    tensors = safetensors.numpy.load_file(GOLDEN_FOLDER / f"{name}.safetensors")
    return {key: x.astype(np.float32) for key, x in tensors.items()}


def _write(folder, tensors):
    path = folder / "model.safetensors"
    safetensors.numpy.save_file(tensors, path)
    return path


def _with_last(name, count):
    """The tensors with a last layer of other classes, or without one."""
    tensors, last = _tensors(name), LAST[name]
    weight, bias = (tensors.pop(f"{last}.{part}") for part in ("weight", "bias"))
    if count:
        tensors[f"{last}.weight"] = np.resize(weight, (count, *weight.shape[1:]))
        tensors[f"{last}.bias"] = np.resize(bias, count)
    return tensors


@pytest.mark.parametrize("count", [0, 1, 7, 37])
@pytest.mark.parametrize("name", LAST)
def test_features_are_those_of_the_whole_file(name, count, tmp_path, capsys):
    whole = backbones.load(name, GOLDEN_FOLDER / f"{name}.safetensors")
    assert "features" not in capsys.readouterr().err
    loaded = backbones.load(name, _write(tmp_path, _with_last(name, count)))
    said = capsys.readouterr().err
    layer = f"a last layer of {count} classes" if count else "no last layer"
    assert f"has {layer}, not the 10 classes of {name}: it gives features only" in said
    assert loaded.classify is None and loaded.source_classes == ()
    assert loaded.params.keys() == {"visual"}
    assert loaded.image_params("logits").keys() == {"visual"}
    same = jax.tree.map(np.array_equal, loaded.params["visual"], whole.params["visual"])
    assert all(jax.tree.leaves(same))
    again = backbones.from_params(name, loaded.params)
    assert (again.classify, again.fingerprint) == (None, loaded.fingerprint)


@pytest.mark.parametrize("name", LAST)
def test_classes_that_are_named_are_the_source_classes(name, tmp_path):
    path, names = _write(tmp_path, _with_last(name, 7)), [f"class {i}" for i in range(7)]
    loaded = backbones.load(name, path, source_classes=names)
    assert loaded.source_classes == tuple(names)
    features = np.ones((2, loaded.embed_dim), np.float32)
    logits = loaded.classify(loaded.params, features)
    kernel = _with_last(name, 7)[f"{LAST[name]}.weight"].reshape(7, -1)
    bias = _with_last(name, 7)[f"{LAST[name]}.bias"]
    np.testing.assert_allclose(logits, features @ kernel.T + bias, rtol=1e-4, atol=1e-5)
    again = backbones.from_params(name, loaded.params, source_classes=names)
    assert (again.source_classes, again.fingerprint) == (tuple(names), loaded.fingerprint)
    with pytest.raises(UserError, match="8 names of source classes.*a last layer of 7 classes"):
        backbones.load(name, path, source_classes=[*names, "more"])
    with pytest.raises(UserError, match="3 names of source classes.*has no last layer"):
        backbones.load(name, _write(tmp_path, _with_last(name, 0)), source_classes=names[:3])


def test_source_classes_that_cannot_be(tmp_path):
    with pytest.raises(UserError, match="the text 'abc'; give a sequence"):
        backbones.load("vit", tmp_path, source_classes="abc")
    with pytest.raises(UserError, match="given for clip_tiny, a CLIP, which has none"):
        backbones.load("clip_tiny", source_classes=["a"])


def test_a_last_layer_of_another_form(tmp_path, capsys):
    tensors = _with_last("resnet_basic", 0)
    for key in ("fc.1.weight", "fc.4.weight"):
        tensors[key] = np.zeros((32, 32), np.float32)
    assert backbones.load("resnet_basic", _write(tmp_path, tensors)).classify is None
    assert "a last layer of another form (fc.1.weight, fc.4.weight)" in capsys.readouterr().err


def test_googles_names_too(tmp_path):
    model = GOLDEN["vit"]
    params = classifier.from_tensors(_tensors("vit"), model, file="", name="vit")
    tensors = to_state_dict(params, model.tables[1])
    tensors |= {"head/kernel": np.zeros((32, 3), np.float32), "head/bias": np.zeros(3, np.float32)}
    np.savez(tmp_path / "google.npz", **tensors)
    assert backbones.load("vit", tmp_path / "google.npz").classify is None
    del tensors["head/kernel"], tensors["head/bias"]
    np.savez(tmp_path / "google.npz", **tensors)
    assert backbones.load("vit", tmp_path / "google.npz").classify is None


def test_with_anything_else_wrong_all_is_listed(tmp_path):
    tensors = _with_last("vit", 7)
    del tensors["norm.bias"]
    with pytest.raises(UserError) as caught:
        backbones.load("vit", _write(tmp_path, tensors))
    for line in (
        "missing:\n  norm.bias: needed is (32,)",
        "head.weight: the file has (7, 32), needed is (10, 32)",
        "head.bias: the file has (7,), needed is (10,)",
    ):
        assert line in str(caught.value)
    tensors = _with_last("vit", 7) | {"norm.bias": np.full(32, np.nan, np.float32)}
    with pytest.raises(UserError, match=r"not finite \(NaN or Inf\):\n  norm.bias"):
        backbones.load("vit", _write(tmp_path, tensors))
