"""A run as one file: the same probabilities, and sentences about files that are none."""

import importlib.util
import json
import pathlib

import jax
import numpy as np
import own_backbone
import pytest
import safetensors.numpy
from own_backbone import quick

import vp_jax
from vp_jax import data, runs
from vp_jax.assembly import bundle as bundle_lib
from vp_jax.assembly.bundle import make_bundle
from vp_jax.data.images.host_preprocess import preprocess_one
from vp_jax.data.images.resize_rule import ResizeRule
from vp_jax.errors import UserError
from vp_jax.records import bundle_file

PICTURES = False
SHORT = {"task.shots": 8, "epochs": 1}
KINDS = {
    "mapping": {"head.name": "iterative"},
    "bayesian": {"head.name": "bayesian_plus"},
    "both": {"head.name": "linear", "tune": ("prompt", "head")},
    "residual": {"head.name": "residual", "head.base": "first_k", "tune": ("prompt", "head")},
    "everything": {"head.name": "linear", "tune": ("prompt", "head", "backbone")},
    "probe": {"head.name": "linear", "tune": ("head",)},
    "shrink": {"prompt": "shrink(5) | pad(2) | clip | normalize"},
    "cluster": {"prompt": "normalize | cluster(pad(2), 2)"},
    "uncalibrated": {"head.calibrate": False},
    "zero_shot": {"head.name": "frequency", "tune": ()},
}


DOCS = pathlib.Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def reader():
    """The reader of the documents, which imports nothing of this library."""
    spec = importlib.util.spec_from_file_location("read_bundle", DOCS / "read_bundle.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    code = (DOCS / "read_bundle.py").read_text().partition("import json")[2]
    assert len([x for x in code.split("\n") if x.strip()]) <= 40 and "jax" not in code
    return module


@pytest.fixture(scope="module")
def backbone():
    return own_backbone.make()


@pytest.fixture(scope="module")
def images():
    return np.asarray(data.load_task("digits", resize=ResizeRule(8)).test.images[:20])


@pytest.fixture(scope="module")
def mapped(tmp_path_factory, backbone):
    """A run with a mapping, and its bundle."""
    folder = tmp_path_factory.mktemp("bundle")
    runs.train(quick(**SHORT, **KINDS["mapping"]), folder / "run", backbone)
    bundle_file.write(folder / "mine", make_bundle(folder / "run", backbone=backbone))
    return folder / "run", folder / "mine"


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_are_those_of_the_workdir(kind, tmp_path, backbone, images):
    settings = quick(**{**SHORT, "optimizer.learning_rate": 1e-2, **KINDS[kind]})
    runs.train(settings, tmp_path / "run", backbone)
    bundle_file.write(
        tmp_path / "out" / "b.safetensors", make_bundle(tmp_path / "run", None, backbone)
    )
    classifier = vp_jax.load(tmp_path / "out" / "b.safetensors", backbone=backbone)
    expected = vp_jax.load(tmp_path / "run", backbone=backbone)
    assert classifier.class_names == expected.class_names
    assert jax.tree.map(np.shape, classifier.parts) == jax.tree.map(np.shape, expected.parts)
    np.testing.assert_array_equal(classifier.probabilities(images), expected.probabilities(images))


def test_what_is_inside_can_be_read_without_this_library(mapped, backbone):
    workdir, path = mapped
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    about = json.loads(content[8 : 8 + size])["__metadata__"]
    assert about["format"] == bundle_file.FORMAT and about["prompt"] == "normalize | pad(2)"
    assert json.loads(about["class_names"])[3] == "three"
    assert json.loads(about["backbone"])["fingerprint"] == backbone.fingerprint
    result = json.loads((workdir / "result.json").read_text())
    assert json.loads(about["metrics"])["test_accuracy"] == result["test_accuracy"]
    arrays = safetensors.numpy.load(content)
    assert {"prompt.1.top", "prompt.1.left", "head.indices"} <= arrays.keys()


def test_files_that_are_no_bundles_are_refused_in_a_sentence(mapped, tmp_path, backbone):
    _, path = mapped
    whole = path.read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text").write_text("nothing")
    (tmp_path / "plain").write_bytes(safetensors.numpy.save({"x": np.zeros(2)}))
    (tmp_path / "later").write_bytes(whole.replace(b"vp_jax bundle 1", b"vp_jax bundle 2"))
    for name, why in (
        ("cut", "damaged"),
        ("text", "damaged, or no bundle"),
        ("plain", "no bundle of vp_jax"),
        ("later", "it says 'vp_jax bundle 2'"),
    ):
        with pytest.raises(UserError, match=why):
            vp_jax.load(tmp_path / name, backbone=backbone)
    with pytest.raises(UserError, match="give the weights of that one"):
        vp_jax.load(path, backbone=own_backbone.make(seed=1))


def test_a_missing_or_other_array_is_named(mapped, tmp_path, backbone):
    _, path = mapped
    bundle = bundle_file.read(path)
    name = next(n for n in bundle.arrays if n.startswith("prompt."))
    for arrays in (
        {n: x for n, x in bundle.arrays.items() if n != name},
        {**bundle.arrays, name: np.zeros((1, 2), np.float32)},
    ):
        bundle_file.write(tmp_path / "other", bundle._replace(arrays=arrays))
        with pytest.raises(UserError, match="has another prompt"):
            vp_jax.load(tmp_path / "other", backbone=backbone)


@pytest.mark.slow
@pytest.mark.parametrize(
    "prompt",
    [
        "normalize | pad(2)",
        "full(scale=0.1) | clip | normalize",
        "low_rank(2) | normalize | full",
        "shrink(5) | frame(1) | pad(1) | normalize",
    ],
)
def test_the_reader_of_the_documents_prompts_likewise(prompt, reader, tmp_path, backbone, images):
    settings = quick(**SHORT, **{"prompt": prompt, "optimizer.learning_rate": 0.1})
    runs.train(settings, tmp_path / "run", backbone)
    bundle_file.write(tmp_path / "mine", make_bundle(tmp_path / "run", backbone=backbone))
    classifier = vp_jax.load(tmp_path / "run", backbone=backbone)
    bundle = reader.read(tmp_path / "mine")
    seen = reader.prompted(bundle, prepared(classifier, images))
    np.testing.assert_allclose(seen * 0.5 + 0.5, classifier.prompted(images), atol=1e-5)
    rule = classifier.rule
    assert (bundle["images"]["seen_size"], bundle["images"]["seen_resize_size"]) == (
        rule.image_size,
        rule.short_side,
    )
    for text in ("affine | normalize", "normalize | shrink(5)", "border(affine | pad(2))"):
        with pytest.raises(KeyError):
            reader.prompted({**bundle, "prompt": text}, images)


def prepared(classifier, images):
    """Images in [0, 1] as the prompt of a bundle takes them."""
    return np.stack([preprocess_one(x, classifier.rule) for x in images]) / np.float32(255)


def test_a_path_of_its_maker_is_not_in_it(mapped, tmp_path):
    """But the name of the file, in a sentence for whoever has no such file."""
    path = mapped[1]
    for weights, kept, where in (
        ("/home/me/secret/mine.safetensors", None, "mine.safetensors, a file of its maker"),
        ("somebody/clip", "somebody/clip", "somebody/clip on the Hugging Face Hub"),
        (None, None, "on the Hugging Face Hub"),
    ):
        origin = bundle_lib._origin(weights, "clip_vit_b32", is_own=False)
        assert origin["weights"] == kept and where in origin["where"]
        assert "secret" not in str(origin)
        bundle = bundle_file.read(path)
        changed = {**bundle.backbone, "name": "clip_vit_b32", **origin}
        bundle_file.write(tmp_path / "other", bundle._replace(backbone=changed))
        if weights and weights.startswith("/"):
            with pytest.raises(UserError, match="weights in a file, mine.safetensors, .*=PATH"):
                vp_jax.load(tmp_path / "other")
    with pytest.raises(UserError, match="a backbone that its maker has in Python"):
        vp_jax.load(path)


def test_a_path_in_an_older_one_is_not_opened(mapped, tmp_path):
    """Whoever wrote a bundle does not say which file of this machine is read."""
    bundle = bundle_file.read(mapped[1])
    backbone = {**bundle.backbone, "name": "clip_tiny", "weights": "/etc/passwd"}
    del backbone["file"], backbone["where"]
    bundle_file.write(tmp_path / "other", bundle._replace(backbone=backbone))
    with pytest.raises(UserError, match="weights in a file, passwd"):
        vp_jax.load(tmp_path / "other")


@pytest.mark.slow(seconds=40)
def test_the_command_and_a_clip(python, reader, tmp_path, images):
    settings = quick(**SHORT, **{"backbone.name": "clip_tiny", "head.name": "text"})
    settings.head.templates = ("{}",)
    runs.train(settings, tmp_path / "run")
    command = ("-m", "vp_jax.export", f"--workdir={tmp_path / 'run'}")
    said = python(*command, "--license=CC0", check=True).stdout
    path = tmp_path / "run" / "bundle.safetensors"
    assert str(path) in said and "10 classes" in said
    moved = path.rename(tmp_path / "alone.safetensors")
    assert bundle_file.read(moved).license == "CC0" and moved.stat().st_size < 40_000
    expected = vp_jax.load(tmp_path / "run").probabilities(images)
    classifier = vp_jax.load(moved)
    np.testing.assert_array_equal(classifier.probabilities(images), expected)
    bundle = reader.read(moved)
    seen = reader.prompted(bundle, prepared(classifier, images))
    features = classifier.backbone.apply(classifier.parts["backbone"], seen)
    found = reader.probabilities(bundle, np.asarray(features))
    np.testing.assert_allclose(found, expected, atol=1e-5)
