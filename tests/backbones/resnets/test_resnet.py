"""ResNets: registered names, loading and what a real one reaches."""

import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from image_archive import read_archive
from tiny_classifiers import GOLDEN, golden_tensors, write_weights

from vp_jax import backbones
from vp_jax.backbones import classifier
from vp_jax.backbones.base import IMAGENET_MEAN, IMAGENET_STD
from vp_jax.backbones.loading.classifiers import CLASSIFIERS
from vp_jax.backbones.resnets.cifar import CifarResNet, shortcut
from vp_jax.backbones.weights.table import needed_shapes, to_state_dict
from vp_jax.errors import UserError
from vp_jax.prompts import normalize

RESNETS = [name for name in GOLDEN if name.startswith("resnet")]
TINY = "resnet_bottleneck"
ARCHITECTURES = {  # name: (side, features, source classes, parameters as published)
    "resnet18": (224, 512, 1000, 11_689_512),
    "resnet50": (224, 2048, 1000, 25_557_032),
    "resnext101_32x8d_wsl": (224, 2048, 1000, 88_791_336),
    "resnet20_cifar": (32, 64, 10, 269_722),
    "resnet32_cifar": (32, 64, 10, 464_154),
    "resnet44_cifar": (32, 64, 10, 658_586),
    "resnet56_cifar": (32, 64, 10, 853_018),
    "resnet110_cifar": (32, 64, 10, 1_727_962),
}


@pytest.fixture
def registered(monkeypatch):
    """The small models can be loaded by name."""
    for name, model in GOLDEN.items():
        monkeypatch.setitem(CLASSIFIERS, name, model)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_registered(name):
    side, features, classes, count = ARCHITECTURES[name]
    assert name in backbones.names()
    model = CLASSIFIERS[name]
    params = classifier.shapes(model)
    images = jax.ShapeDtypeStruct((5, side, side, 3), jnp.float32)
    out = jax.eval_shape(
        lambda p, x: model.trunk(None).apply({"params": p["visual"]}, x), params, images
    )
    assert out.shape == (5, features) and model.embed_dim == features
    assert jax.eval_shape(classifier.classify, params, out).shape == (5, classes)
    tensors = needed_shapes(model.tables[0], params)
    trained = [s for n, s in tensors.items() if not n.endswith(("running_mean", "running_var"))]
    assert sum(int(np.prod(shape)) for shape in trained) == count
    assert (model.mean, model.std) == (IMAGENET_MEAN, IMAGENET_STD)
    assert (model.image_size, model.resize_size) == (side, 256 if side == 224 else side)
    assert model.resize_method == ("bicubic" if side == 32 else "bilinear")


@pytest.mark.parametrize("name", RESNETS)
def test_torch_names_round_trip(name, tmp_path, registered):
    tensors = golden_tensors(name)
    assert needed_shapes(
        CLASSIFIERS[name].tables[0], classifier.shapes(CLASSIFIERS[name])
    ).keys() == {n for n in tensors if not n.endswith("num_batches_tracked")}
    backbone = backbones.load(name, write_weights(tmp_path, tensors))
    assert backbone.name == name and backbone.fingerprint.startswith(f"{name}:sha256:")
    assert len(backbone.source_classes) == 10
    assert {x.dtype for x in jax.tree.leaves(backbone.params)} == {jnp.dtype("float32")}

    np.savez(tmp_path / "same.npz", **{n: x.astype(np.float32) for n, x in tensors.items()})
    assert backbones.load(name, tmp_path / "same.npz").fingerprint == backbone.fingerprint
    assert backbones.from_params(name, backbone.params).fingerprint == backbone.fingerprint
    with pytest.raises(UserError, match="cannot be told apart"):
        to_state_dict(backbone.params, CLASSIFIERS[name].tables[0])


def test_all_that_is_wrong_with_a_file_is_listed(tmp_path, registered):
    tensors = golden_tensors(TINY)
    del tensors["layer1.1.bn2.running_var"], tensors["fc.bias"]
    tensors["layer2.0.downsample.0.weight"] = np.zeros((3, 3, 1, 1), np.float32)
    tensors["fc.weight"] = tensors["fc.weight"][:7]
    tensors["layer1.2.conv1.weight"] = np.zeros((4, 16, 1, 1), np.float32)
    tensors["bn1.weight"] = np.full((64,), np.nan, np.float32)
    with pytest.raises(UserError) as caught:
        backbones.load(TINY, write_weights(tmp_path, tensors))
    for part in (
        "(torchvision layout) does not hold the weights of resnet_bottleneck",
        "2 tensors are missing:",
        "layer1.1.bn2.running_var: needed is (4,)",
        "fc.bias: needed is (10,)",
        "1 tensor is unexpected:\n  layer1.2.conv1.weight: (4, 16, 1, 1)",
        "2 tensors are of the wrong shape:",
        "layer2.0.downsample.0.weight: the file has (3, 3, 1, 1), needed is (32, 16, 1, 1)",
        "fc.weight: the file has (7, 128), needed is (10, 128)",
        "1 tensor is not finite (NaN or Inf):\n  bn1.weight",
    ):
        assert part in str(caught.value)
    assert "looks like" not in str(caught.value)


def test_the_classifier_that_a_file_looks_like_is_named(tmp_path, registered):
    path = write_weights(tmp_path, golden_tensors("resnet_grouped"))
    with pytest.raises(UserError, match="The file looks like resnet_grouped: is that the"):
        backbones.load("resnet50", path)
    path = write_weights(tmp_path, golden_tensors("resnet8_cifar"))
    with pytest.raises(UserError, match="The file looks like resnet8_cifar: is that the"):
        backbones.load("resnet20_cifar", path)


def test_unknown_layout(tmp_path):
    path = write_weights(tmp_path, {"visual.conv1.weight": np.zeros((1, 3, 2, 2), np.float32)})
    with pytest.raises(UserError, match=r"no layout known for resnet18: it begins with visual\.c"):
        backbones.load("resnet18", path)


CIFAR = [name for name in ARCHITECTURES if name.endswith("_cifar")]


@pytest.mark.parametrize("name", CIFAR)
def test_there_is_no_default_file_for_cifar(name):
    with pytest.raises(UserError, match=f"{name} has no weights by default"):
        backbones.load(name)


@pytest.mark.parametrize("name", CIFAR)
def test_cifar_resnets_are_sizes_of_one_module(name):
    layers = int(name.removeprefix("resnet").removesuffix("_cifar"))
    trunk = CLASSIFIERS[name].trunk(None)
    assert (type(trunk), trunk.blocks) == (CifarResNet, (layers - 2) // 6)
    kernels = jax.tree.leaves(classifier.shapes(CLASSIFIERS[name]))
    assert sum(kernel.ndim > 1 for kernel in kernels) == layers


def _akamasters(name, seed=0):
    """Random tensors in the names of the published files, with their prefix and counters."""
    rng = np.random.default_rng(seed)
    tensors = {}
    for key, shape in classifier.layouts(CLASSIFIERS[name])[0].items():
        values = rng.normal(size=shape) / max(1, np.prod(shape[1:])) ** 0.5
        tensors[f"module.{key}"] = values.astype(np.float32)
        if key.endswith("running_var"):
            tensors[f"module.{key}"] = 1 + np.abs(tensors[f"module.{key}"])
            counter = f"module.{key.replace('running_var', 'num_batches_tracked')}"
            tensors[counter] = np.array(7)
    return tensors


@pytest.mark.parametrize("name", ["resnet32_cifar", "resnet56_cifar"])
def test_published_layout_of_cifar_resnets(name, tmp_path, capsys):
    tensors = _akamasters(name)
    backbone = backbones.load(name, write_weights(tmp_path, tensors))
    assert "the prefix 'module.' is taken off" in capsys.readouterr().err
    assert len(backbone.source_classes) == 10 and backbone.source_classes[3] == "cat"
    bare = {key.removeprefix("module."): x for key, x in tensors.items()}
    again = backbones.load(name, write_weights(tmp_path, bare))
    assert again.fingerprint == backbone.fingerprint
    with pytest.raises(UserError, match=f"The file looks like {name}: is that the backbone"):
        backbones.load("resnet20_cifar", tmp_path)


def test_published_file_of_a_cifar_resnet(tmp_path, capsys):
    torch = pytest.importorskip("torch")
    tensors = _akamasters("resnet20_cifar")
    state = {key: torch.tensor(x) for key, x in tensors.items()}
    torch.save({"state_dict": state, "best_prec1": 91.73}, tmp_path / "resnet20-12fca82f.th")
    backbone = backbones.load("resnet20_cifar", tmp_path / "resnet20-12fca82f.th")
    said = capsys.readouterr().err
    assert "taken from 'state_dict'; left out is what is beside them: best_prec1" in said
    assert "the prefix 'module.' is taken off" in said
    same = backbones.load("resnet20_cifar", write_weights(tmp_path, tensors))
    assert same.fingerprint == backbone.fingerprint


@pytest.mark.parametrize("name", RESNETS)
def test_wrong_images_are_refused(name):
    model = GOLDEN[name]
    images = jax.ShapeDtypeStruct((2, 16, 16, 3), jnp.float32)
    with pytest.raises(UserError, match=r"shape \(2, 16, 16, 3\), the backbone takes \[B, "):
        jax.eval_shape(
            lambda p, x: model.trunk(None).apply({"params": p}, x),
            classifier.shapes(model)["visual"],
            images,
        )


@pytest.mark.parametrize("name", RESNETS)
def test_bfloat16_computation_gives_float32_features(name):
    model = GOLDEN[name]
    params = classifier.from_tensors(golden_tensors(name), model, file="golden", name=name)
    plain, half = (classifier.backbone(name, model, params, d) for d in (None, jnp.bfloat16))
    images = jax.random.normal(jax.random.key(0), (2, model.image_size, model.image_size, 3))
    features = [jax.jit(b.apply)(b.params, images) for b in (plain, half)]
    assert features[1].dtype == jnp.float32
    assert 0 < np.abs(features[0] - features[1]).max() < 0.1 * np.abs(features[0]).max()
    program = jax.jit(half.apply).lower(half.params, images).as_text()
    convolutions = [line for line in program.splitlines() if "stablehlo.convolution" in line]
    assert convolutions and all(line.count("bf16") == 3 for line in convolutions)


@pytest.mark.slow
def test_random_parameters():
    params = backbones.init_params("resnet20_cifar", jax.random.key(0))
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(
        jnp.shape, classifier.shapes(CLASSIFIERS["resnet20_cifar"])
    )
    backbone = backbones.from_params("resnet20_cifar", params)
    features = backbone.apply(backbone.params, jnp.ones((1, 32, 32, 3)))
    assert np.isfinite(features).all() and np.ptp(features) > 0
    del params["visual"]["stage_2_block_0"]["conv2"]["bias"]
    with pytest.raises(UserError, match="missing:\n  visual/stage_2_block_0/conv2/bias"):
        backbones.from_params("resnet20_cifar", params)


def test_shortcut_without_parameters():
    x = jnp.arange(1.0, 1 + 4 * 4 * 2).reshape(1, 4, 4, 2)
    out = shortcut(x, features=4, stride=2)
    assert out.shape == (1, 2, 2, 4)
    np.testing.assert_array_equal(out[..., 1:3], x[:, ::2, ::2])
    np.testing.assert_array_equal(out[..., [0, 3]], 0)
    np.testing.assert_array_equal(shortcut(x, features=2, stride=1), x)


@pytest.mark.slow
def test_accuracy_of_a_real_resnet20(optimized):
    """81.0 % on CIFAR-10's test images encoded as JPEG, which cost it ten points."""
    folder = pathlib.Path(os.environ.get("VP_JAX_DATA", "data"))
    archive, weights = folder / "cifar10_jpeg.tar.xz", folder / "cifar10_resnet20.safetensors"
    for path in (archive, weights):
        if not path.exists():
            pytest.skip(f"no {path.name}: name the folder that holds it in VP_JAX_DATA")
    images, labels, classes = read_archive(archive, "test")
    backbone = backbones.load("resnet20_cifar", weights)
    assert backbone.source_classes == tuple(classes)

    @jax.jit
    def predict(batch):
        x = normalize(backbone.mean, backbone.std).apply({}, batch.astype(np.float32) / 255)
        return backbone.classify(backbone.params, backbone.apply(backbone.params, x)).argmax(-1)

    found = np.concatenate([predict(images[i : i + 500]) for i in range(0, len(images), 500)])
    assert len(images) == 10_000
    assert 100 * np.mean(found == labels) == pytest.approx(81.0, abs=0.2)
