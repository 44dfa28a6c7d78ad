"""A finished run as an object: the probabilities of evaluation, for images of any kind, no data."""

import dataclasses
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import own_backbone
import pytest
from own_backbone import quick
from PIL import Image

import vp_jax
from vp_jax import data, many, prompts, runs
from vp_jax.assembly import trained as trained_lib
from vp_jax.classifier import Prediction
from vp_jax.data import load as load_lib
from vp_jax.data.images.preprocess import preprocess
from vp_jax.data.images.resize_rule import ResizeRule
from vp_jax.ensemble import ensemble_predictions
from vp_jax.errors import UserError
from vp_jax.records import classifier_file, predictions_file
from vp_jax.records.finished import load_best

PICTURES = False
SHORT = {"task.shots": 8, "epochs": 1, "head.calibrate": False}
CLIP = {
    "backbone.name": "clip_small",
    "head.name": "text",
    "head.templates": ("{}",),
    "prompt": "normalize | pad(4)",
    "optimizer.learning_rate": 1e-2,
    "batch_size": 40,
}
OWN = {
    "first_k": {},
    "calibrated": {"head.calibrate": True},
    "iterative": {"head.name": "iterative"},
    "bayesian_plus": {"head.name": "bayesian_plus"},
    "semantic": {"head.name": "semantic", "head.text_backbone": "clip_small"},
    "layer": {"head.name": "fully_connected", "tune": ("prompt", "head")},
    "everything": {
        "head.name": "linear",
        "tune": ("prompt", "head", "backbone"),
        "optimizer.learning_rate": 1e-3,
    },
    "probe": {"head.name": "linear", "tune": ("head",)},
    "zero_shot": {"head.name": "frequency", "tune": ()},
    "random_patch": {"prompt": "normalize | random_patch(2)", "batch_size": 64},
    "shrink": {"prompt": "shrink(5) | pad(2) | clip | normalize"},
    "cached": {"task.pipeline": "cached"},
    "stream": {"task.pipeline": "stream", "prompt": "full() | normalize"},
}
CLIPS = {
    "clip": CLIP,
    "clip_zero_shot": {**CLIP, "tune": ()},
    "clip_linear": {**CLIP, "head.name": "linear", "tune": ("prompt", "head")},
}


def digits():
    split = data.load_task("digits", resize=ResizeRule(8)).test
    return np.asarray(split.images[:]), split.labels


@pytest.fixture(scope="module")
def backbone():
    return own_backbone.make()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("classifier")


@pytest.fixture(scope="module")
def train(folder, backbone):
    """Trains a run once; returns its workdir, its backbone of one's own, and its result."""
    done = {}

    def trained(name):
        if name not in done:
            own = backbone if name in OWN else None
            settings = quick(**{**SHORT, **{**OWN, **CLIPS}[name]})
            done[name] = folder / name, own, runs.train(settings, folder / name, own)
        return done[name]

    return trained


def no_data(*_, **__):
    raise AssertionError("data were loaded")


QUICK = ("first_k", "calibrated", "iterative", "everything", "probe", "zero_shot", "shrink", "clip")
CASES = [
    name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in [*OWN, *CLIPS]
]


@pytest.mark.slow(seconds=4)
@pytest.mark.parametrize("name", CASES)
def test_probabilities_are_those_of_evaluation(name, train, monkeypatch):
    workdir, own, result = train(name)
    images, labels = digits()
    with monkeypatch.context() as patch:
        patch.setattr(load_lib, "load_task", no_data)
        patch.setattr(data, "load_task", no_data)
        classifier = vp_jax.load(workdir, backbone=own)
        found = classifier.probabilities(images)
    assert found.shape == (len(images), 10) and found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    of_label = found[np.arange(len(labels)), labels]
    kept = predictions_file.read(workdir).tuned.of_label
    np.testing.assert_allclose(of_label, kept, rtol=1e-4, atol=1e-7)
    is_loss = np.isclose(-np.log(of_label).mean(), result["test_loss"], rtol=1e-5)
    assert is_loss == ("temperature" not in result)
    assert (found.argmax(axis=1) == labels).mean() == result["test_accuracy"]
    if name not in QUICK or name == "first_k":
        together = ensemble_predictions([workdir], own)
        np.testing.assert_allclose(found, together.probabilities, rtol=1e-5, atol=1e-7)
    evaluated = runs.evaluate(workdir, backbone=own)
    for metric in ("test_accuracy", "zero_shot_test_accuracy"):
        assert evaluated[metric] == result[metric]


@pytest.fixture(scope="module")
def classifier(train):
    workdir, own, _ = train("first_k")
    return vp_jax.load(workdir, backbone=own)


def png(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def test_images_of_any_kind(classifier, tmp_path):
    images, _ = digits()
    expected = classifier.probabilities(images[:5])
    (tmp_path / "4.png").write_bytes(png(images[4]))
    given = [
        images[0],
        jnp.asarray(images[1]),
        png(images[2]),
        Image.fromarray(images[3]),
        tmp_path / "4.png",
    ]
    for one, row in zip(given, expected, strict=True):
        alone = classifier.probabilities(one)
        assert alone.shape == (10,)
        np.testing.assert_allclose(alone, row, rtol=1e-5, atol=1e-7)
    together = classifier.probabilities(given)
    np.testing.assert_allclose(together, expected, rtol=1e-5, atol=1e-7)
    assert classifier.probabilities(str(tmp_path / "4.png")).shape == (10,)


def test_images_of_different_sizes_are_resized_as_in_training(classifier):
    rng = np.random.default_rng(0)
    images = [
        rng.integers(0, 256, (h, w, 3), np.uint8) for h, w in ((8, 8), (20, 9), (7, 31), (200, 1))
    ]
    found = classifier.unprompted(images)
    for image, seen in zip(images, found, strict=True):
        rule = ResizeRule(8)
        assert np.array_equal(seen, np.asarray(preprocess(image[None], rule))[0])
    rows = classifier.probabilities(images)
    for image, row in zip(images, rows, strict=True):
        np.testing.assert_allclose(classifier.probabilities(image), row, rtol=1e-5, atol=1e-7)


def test_each_image_counts_once_whatever_the_batches(train, classifier):
    workdir, own, _ = train("first_k")
    images, _ = digits()
    other = vp_jax.load(workdir, backbone=own, batch_size=7)
    assert other.batch_size == 7
    expected = classifier.probabilities(images[:23])
    np.testing.assert_allclose(other.probabilities(images[:23]), expected, rtol=1e-5, atol=1e-7)
    again = vp_jax.load(workdir, backbone=own, batch_size=32)
    for count in (40, 17, 32, 20):
        assert again.probabilities(images[:count]).shape == (count, 10)
    assert again.probability_program._cache_size() == 1


def test_predictions_have_names(classifier):
    images, _ = digits()
    rows = classifier.probabilities(images[:4])
    found = classifier.predict(images[:4])
    assert [p.label for p in found] == rows.argmax(axis=1).tolist()
    assert [p.name for p in found] == [classifier.class_names[p.label] for p in found]
    np.testing.assert_allclose([p.probability for p in found], rows.max(axis=1))
    alone = classifier.predict(images[0])
    assert isinstance(alone, Prediction) and alone.name == found[0].name
    assert classifier.class_names[:3] == ("zero", "one", "two")
    assert repr(classifier) == ("Classifier(10 classes, prompt 'normalize | pad(2)', backbone own)")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["first_k", "shrink", "probe"])
def test_pictures_are_what_the_backbone_sees(name, train):
    workdir, own, _ = train(name)
    classifier = vp_jax.load(workdir, backbone=own)
    images, _ = digits()
    shown, plain = classifier.prompted(images[:3]), classifier.unprompted(images[:3])
    assert shown.shape == plain.shape == (3, 8, 8, 3) and shown.dtype == plain.dtype == np.float32
    assert plain.min() >= 0 and plain.max() == 1
    assert classifier.prompted(images[0]).shape == (8, 8, 3)
    normalized = (shown - 0.5) / 0.5
    features = own.apply(classifier.parts["backbone"], normalized)
    if classifier.head.takes == "logits":
        features = own.classify(classifier.parts["backbone"], features)
    logits = classifier.head.apply(classifier.parts["head"], features)
    expected = jax.nn.softmax(logits)
    np.testing.assert_allclose(classifier.probabilities(images[:3]), expected, rtol=1e-4, atol=1e-6)
    if name == "probe":
        assert np.array_equal(shown, plain)
        with pytest.raises(UserError, match="no prompt was trained"):
            classifier.picture()
        return
    assert np.abs(shown - plain).max() > 0.01
    if name != "shrink":
        np.testing.assert_allclose(shown[:, 2:-2, 2:-2], plain[:, 2:-2, 2:-2], atol=1e-6)
    params = jax.device_get(classifier.parts["prompt"])
    picture = prompts.to_image(classifier.prompt, params, (8, 8, 3))
    assert np.array_equal(classifier.picture(), picture)


RGB = "load them as RGB, channels last"


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "no images were given"),
        (np.zeros((0, 8, 8, 3), np.uint8), "no images were given"),
        (np.zeros((8, 8, 3), np.float32), "must be uint8 .* got float32"),
        (np.zeros((8, 8), np.uint8), RGB),
        (np.zeros((8, 8, 4), np.uint8), RGB),
        (np.zeros((2, 8, 0, 3), np.uint8), RGB),
        ([np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)], f"^image 1 of .* {RGB}"),
        ([np.zeros((1, 8, 8, 3), np.uint8)], "^image 0 of those given"),
        (["missing.png"], "the image missing.png cannot be read: No such file"),
        (".", "cannot be read: Is a directory"),
        (b"", "^image 0 of those given cannot be decoded: the file is empty"),
        ([b"%PDF-1.4 and more"], "this is a PDF document"),
        (None, "must be uint8"),
    ],
)
def test_wrong_images_are_one_sentence(classifier, images, message):
    for act in (classifier.probabilities, classifier.predict, classifier.unprompted):
        with pytest.raises(UserError, match=message):
            act(images)


def test_photographs_in_folders_are_turned_upright(classifier):
    image = Image.fromarray(digits()[0][0])
    exif = image.getexif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    image.save(buffer, "PNG", exif=exif)
    turned = dataclasses.replace(classifier, upright=True)
    assert data.tasks.get("folder").upright and not classifier.upright
    as_stored = classifier.unprompted(buffer.getvalue())
    upright = turned.unprompted(buffer.getvalue())
    assert np.array_equal(upright, np.rot90(as_stored, -1))


def test_it_is_the_best_step_that_is_loaded(train):
    workdir, own, result = train("everything")
    classifier = vp_jax.load(workdir, backbone=own)
    best = load_best(workdir)
    assert best.step == result["best_step"]
    kernel = best.arrays["tuned.head.kernel"]
    assert np.array_equal(classifier.parts["head"]["kernel"], kernel)
    first = best.arrays["tuned.backbone.visual.first"]
    assert np.array_equal(classifier.parts["backbone"]["visual"]["first"], first)
    assert not np.array_equal(first, own.params["visual"]["first"])


def test_wrong_runs_are_one_sentence(train, backbone, tmp_path):
    workdir, own, _ = train("first_k")

    def fails(message, where=workdir, **given):
        with pytest.raises(UserError, match=message):
            vp_jax.load(where, **{"backbone": own, **given})

    fails("holds no run of vp_jax", tmp_path)
    fails(
        "the backbone own:sha256.* and this one is own:sha256", backbone=own_backbone.make(seed=1)
    )
    fails("one of your own is given in Python: .*vp_jax.load", backbone=None)
    begun = shutil.copytree(workdir, tmp_path / "begun")
    shutil.rmtree(begun / "checkpoints")
    fails("holds no checkpoint yet; train first", begun)
    for array in (begun / "checkpoints" / "1", begun / "checkpoints" / "2"):
        array.mkdir(parents=True)
    fails("every checkpoint .* is damaged", begun)
    workdir, own, _ = train("zero_shot")
    begun = shutil.copytree(workdir, tmp_path / "zero_shot")
    (begun / "result.json").unlink()
    fails("has not ended yet", begun)


@pytest.mark.slow(seconds=4)
def test_a_sweep_is_loaded_by_its_members(backbone, tmp_path):
    members = many.grid({"seed": [0, 1]})
    many.train_many(quick(**SHORT), members, tmp_path / "sweep", backbone)
    with pytest.raises(UserError, match=r"holds 2 runs .* such as .*sweep/0"):
        vp_jax.load(tmp_path / "sweep", backbone=backbone)
    one, two = (vp_jax.load(tmp_path / "sweep" / i, backbone=backbone) for i in "01")
    images, labels = digits()
    result = json.loads((tmp_path / "sweep" / "1" / "result.json").read_text())
    accuracy = (two.probabilities(images).argmax(axis=1) == labels).mean()
    assert accuracy == result["test_accuracy"]
    assert not np.array_equal(one.picture(), two.picture())


@pytest.mark.slow
def test_a_head_of_another_run_is_kept(train, backbone, tmp_path):
    workdir, own, _ = train("probe")
    taken = shutil.copytree(workdir, tmp_path / "probe")
    changes = {"head.name": "linear", "head.from_run": str(taken)}
    result = runs.train(quick(**SHORT, **changes), tmp_path / "prompt", own)
    shutil.rmtree(taken)
    images, labels = digits()
    found = vp_jax.load(tmp_path / "prompt", backbone=own).probabilities(images)
    assert (found.argmax(axis=1) == labels).mean() == result["test_accuracy"]
    (tmp_path / "prompt" / "classifier.safetensors").write_bytes(b"damaged")
    with pytest.raises(UserError, match="holds no run of vp_jax"):
        vp_jax.load(tmp_path / "prompt", backbone=own)


def test_a_run_of_a_version_that_kept_less(train, tmp_path):
    """A mapping found without training was in no file, and can be had from the data only."""
    workdir, own, result = train("zero_shot")
    former = shutil.copytree(workdir, tmp_path / "run")
    (former / "classifier.safetensors").unlink()
    message = r"not keep the output mapping .*python -m vp_jax\.evaluate --workdir="
    with pytest.raises(UserError, match=message):
        vp_jax.load(former, backbone=own)
    assert runs.evaluate(former, backbone=own)["test_accuracy"] == result["test_accuracy"]
    images, labels = digits()
    found = vp_jax.load(former, backbone=own).probabilities(images)
    assert (found.argmax(axis=1) == labels).mean() == result["test_accuracy"]


def test_a_checkpoint_of_a_version_without_chains_and_names(train, tmp_path, monkeypatch):
    workdir, own, _ = train("first_k")
    former = shutil.copytree(workdir, tmp_path / "run")
    (former / "classifier.safetensors").unlink()
    best = load_best(former)
    arrays = {n.replace("prompt.1.", "prompt."): x for n, x in best.arrays.items()}
    assert arrays.keys() != best.arrays.keys()
    meta = {name: x for name, x in best.meta.items() if name != "classes"}
    best = best._replace(meta=meta, arrays=arrays)
    monkeypatch.setattr(trained_lib, "load_best", lambda workdir: best)
    images, _ = digits()
    expected = vp_jax.load(workdir, backbone=own).probabilities(images[:4])
    classifier = vp_jax.load(former, backbone=own)
    assert np.array_equal(classifier.probabilities(images[:4]), expected)
    (former / "result.json").unlink()
    with pytest.raises(UserError, match="did not keep the names of its classes"):
        vp_jax.load(former, backbone=own)


def test_the_file_of_a_classifier_is_small(train):
    sizes = {}
    for name in ("first_k", "zero_shot", "clip"):
        workdir, _, _ = train(name)
        kept = classifier_file.read(workdir)
        assert kept.class_names[:2] == ("zero", "one")
        assert (kept.head is not None) == (name == "zero_shot")
        sizes[name] = (workdir / "classifier.safetensors").stat().st_size
    assert max(sizes.values()) < 1000


@pytest.mark.slow(seconds=4)
def test_all_devices_share_the_images(train, classifier, cpu_devices, tmp_path):
    workdir, _, _ = train("first_k")
    images, _ = digits()
    np.save(tmp_path / "images.npy", images[:70])
    code = f"""
import jax, numpy as np, own_backbone, vp_jax
found = vp_jax.load({str(workdir)!r}, backbone=own_backbone.make(), batch_size=30)
assert jax.device_count() == 4 and found.batch_size == 32
np.save("found.npy", found.probabilities(np.load("images.npy")))
assert found.probabilities(np.load("images.npy")[0]).shape == (10,)
"""
    path = f"{pathlib.Path(vp_jax.__file__).parents[1]}{os.pathsep}{pathlib.Path(__file__).parent}"
    environment = {**os.environ, **cpu_devices(4), "PYTHONPATH": path}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
    expected = classifier.probabilities(images[:70])
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.slow(seconds=4)
def test_the_package_is_as_light_as_before():
    code = """
import sys, vp_jax
assert not {"jax", "numpy", "vp_jax.classifier", "vp_jax.restored"} & set(sys.modules)
assert callable(vp_jax.load)
assert not {"tensorflow", "torch", "PIL"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'loads'"):
        _ = vp_jax.loads
