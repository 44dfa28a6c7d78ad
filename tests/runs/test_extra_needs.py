"""Prompts that need more than pixels: the class of an image, and what the frozen backbone makes of
it. A toy one goes the whole way: train, evaluate, resume, many at once."""

import shutil

import jax
import numpy as np
import own_backbone
import pytest
from own_backbone import SIZE, WIDTH, quick
from pixel_recorder import write_folder

import vp_jax
from vp_jax import data, many, prompts, runs
from vp_jax.data.images.preprocess import ResizeRule, preprocess
from vp_jax.ensemble import ensemble_predictions
from vp_jax.errors import UserError
from vp_jax.records.checkpoints.manager import Checkpoints
from vp_jax.training.fitting import frozen_features

OPTIMIZED = True
"""Programs that differ are compared bit for bit, or nearly."""

SEEN = []
"""What the toy was given, batch by batch: images, labels, features."""


@prompts.stage
def adviser(classes: int, inputs: int, *, noted: bool = True) -> prompts.Formula:
    """A shade for the class where that is known, and one that follows from the features."""

    def init_fn(rng, image_shape):
        one, two = jax.random.split(rng)
        shade = 0.1 * jax.random.normal(one, (classes, image_shape[-1]))
        return {"shade": shade, "kernel": 0.1 * jax.random.normal(two, (inputs, image_shape[-1]))}

    def apply_fn(params, images, *, label, features):
        if noted:
            jax.debug.callback(
                lambda *x: SEEN.append(jax.tree.map(np.array, x)), images, label, features
            )
        known = jax.numpy.where(label[:, None] >= 0, params["shade"][label], 0.0)
        return images + (known + features @ params["kernel"])[:, None, None, :]

    return prompts.Formula(apply_fn, init_fn)


TOY = f"adviser(10, {WIDTH}) | normalize"
SILENT = f"adviser(10, {WIDTH}, noted=False) | normalize"
OFTEN = {"checkpoint_every_steps": 7, "log_every_steps": 5}


def taken():
    jax.effects_barrier()
    batches = [x for x in SEEN if len(x[0]) > 1]  # the picture of a prompt is of one grey image
    images, labels, features = (np.concatenate(x) for x in zip(*batches, strict=True))
    SEEN.clear()
    return images, labels, features


def features_of(images):
    """What the frozen backbone makes of images in [0, 1]."""
    backbone = own_backbone.make()
    return backbone.apply(backbone.params, (images - 0.5) / 0.5)


def keys(images):
    return [image.tobytes() for image in np.asarray(images)]


def labels_of(split):
    """The labels of each image of a split, as the model sees it; some images are twice there."""
    found = {}
    images = preprocess(np.asarray(split.images), ResizeRule(SIZE))
    for key, label in zip(keys(images), split.labels, strict=True):
        found.setdefault(key, set()).add(int(label))
    return found


def check_given(seen, task, trained=True):
    """Features are those of the images; labels are told of images that are trained on only."""
    images, labels, features = seen
    np.testing.assert_allclose(features, features_of(images), atol=1e-5)
    known = labels_of(task.train)
    told = [(key, label) for key, label in zip(keys(images), labels, strict=True) if label >= 0]
    assert bool(told) == trained and set(labels) <= {-1, *range(10)}
    assert all(label in known[key] for key, label in told)
    if trained:
        assert {key for key, _ in told} == set(known)
    return {key for key, label in zip(keys(images), labels, strict=True) if label < 0}


@pytest.fixture(scope="module")
def task():
    return data.load_task("digits", resize=ResizeRule(SIZE), progress=False)


def arrays(folder):
    checkpoints = Checkpoints(folder / "checkpoints")
    found = {step: checkpoints.arrays(step) for step in checkpoints.steps()}
    checkpoints.close()
    return found


@pytest.mark.slow(seconds=6)
@pytest.mark.parametrize("pipeline", ["resident", "stream"])
def test_train_evaluate_and_resume(pipeline, task, tmp_path, monkeypatch):
    config = quick(**OFTEN, **{"prompt": TOY, "task.pipeline": pipeline})
    computed, compute = [], frozen_features.with_values
    monkeypatch.setattr(
        frozen_features, "with_values", lambda *x: computed.append(x) or compute(*x)
    )
    result = runs.train(config, tmp_path / "whole", own_backbone.make())
    assert result["prompt"] == TOY and result["trainable_parameters"] == 3 * (10 + WIDTH)
    unlabelled = check_given(taken(), task)
    assert set(labels_of(task.val)) | set(labels_of(task.test)) <= unlabelled
    assert len(computed) == 1 and not (tmp_path / "whole" / "features").exists()

    again = runs.evaluate(tmp_path / "whole", backbone=own_backbone.make())
    assert again["test_accuracy"] == result["test_accuracy"]
    assert again["zero_shot_test_accuracy"] == result["zero_shot_test_accuracy"]
    assert check_given(taken(), task, trained=False) == set(labels_of(task.test))

    together = ensemble_predictions([tmp_path / "whole"], own_backbone.make())
    assert together.accuracy == result["test_accuracy"]
    check_given(taken(), task, trained=False)
    classifier = vp_jax.load(tmp_path / "whole", backbone=own_backbone.make())
    found = classifier.probabilities(np.asarray(task.test.images))
    np.testing.assert_allclose(found, together.probabilities, atol=1e-5)
    assert classifier.prompted(task.test.images[0]).shape == (SIZE, SIZE, 3)
    check_given(taken(), task, trained=False)

    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    (tmp_path / "cut" / "result.json").unlink()
    expected = arrays(tmp_path / "whole")
    first, *others = sorted(expected)
    for step in others:
        shutil.rmtree(tmp_path / "cut" / "checkpoints" / str(step))
    resumed = runs.train(config, tmp_path / "cut", own_backbone.make())
    assert resumed["test_loss"] == result["test_loss"] and first < result["steps"]
    found = arrays(tmp_path / "cut")
    for name, array in expected[result["steps"]].items():
        np.testing.assert_array_equal(found[result["steps"]][name], array)
    check_given(taken(), task)


@pytest.mark.slow(seconds=4)
def test_features_are_kept_until_the_run_is_finished(tmp_path, monkeypatch):
    config = quick(prompt=SILENT, epochs=1)
    monkeypatch.setattr(runs, "finish", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        runs.train(config, tmp_path / "run", own_backbone.make())
    (kept,) = (tmp_path / "run" / "features").iterdir()
    monkeypatch.undo()
    monkeypatch.setattr(frozen_features.features_lib, "make_compute", lambda *_: lambda *_: 1 / 0)
    runs.train(config, tmp_path / "run", own_backbone.make())
    assert not kept.exists()


@pytest.mark.slow(seconds=5)
def test_of_augmented_images_they_are_those_of_what_the_model_would_see(task, tmp_path):
    config = quick(**{"prompt": TOY, "epochs": 1, "augment.crop_scale": 0.5})
    runs.train(config, tmp_path / "run", own_backbone.make())
    images, labels, features = taken()
    np.testing.assert_allclose(features, features_of(images), atol=1e-5)
    augmented = [key not in labels_of(task.train) for key in keys(images[labels >= 0])]
    assert np.mean(augmented) > 0.9


@pytest.mark.slow(seconds=6)
def test_of_shrunk_images_they_are_those_of_the_whole_ones(tmp_path):
    made = write_folder(tmp_path / "x", [(20, 16), (11, 9)], 40)
    pixels = [np.asarray(preprocess(image[None], ResizeRule(SIZE)))[0] for _, image in made]
    small = [np.asarray(preprocess(image[None], ResizeRule(6)))[0] for _, image in made]
    number = {key: i for i, key in enumerate(keys(small))}
    for pipeline in ("resident", "stream"):
        changes = {"task.name": "folder", "task.data_dir": str(tmp_path / "x")}
        changes |= {"task.pipeline": pipeline, "batch_size": 8, "epochs": 1}
        config = quick(prompt=f"shrink(6) | {TOY}", **changes)
        result = runs.train(config, tmp_path / pipeline, own_backbone.make())
        images, _, features = taken()
        which = [number[key] for key in keys(np.ascontiguousarray(images[:, 1:-1, 1:-1]))]
        assert set(which) == set(range(len(made)))
        np.testing.assert_allclose(
            features, np.asarray(features_of(np.stack(pixels)))[which], atol=1e-5
        )
        own = own_backbone.make()
        again = runs.evaluate(tmp_path / pipeline, backbone=own)
        assert again["test_accuracy"] == result["test_accuracy"]
        together = ensemble_predictions([tmp_path / pipeline], own)
        assert together.accuracy == result["test_accuracy"]
        taken()
        classifier = vp_jax.load(tmp_path / pipeline, backbone=own)
        assert classifier.probabilities([image for _, image in made]).shape == (len(made), 2)
        images, _, features = taken()
        seen = images.any(axis=(1, 2, 3))  # batches are padded with black
        which = [number[key] for key in keys(np.ascontiguousarray(images[seen, 1:-1, 1:-1]))]
        assert sorted(which) == list(range(len(made)))
        expected = np.asarray(features_of(np.stack(pixels)))[which]
        np.testing.assert_allclose(features[seen], expected, atol=1e-5)


@pytest.mark.slow(seconds=6)
def test_many_at_once_are_what_each_is_alone(tmp_path):
    members = [{"seed": 0}, {"seed": 1, "optimizer.learning_rate": 0.001}]
    changes = {**OFTEN, "prompt": SILENT, "optimizer.learning_rate": 0.002}
    config = quick(**changes)
    sweep = many.train_many(config, members, tmp_path / "sweep", own_backbone.make())
    for i, member in enumerate(members):
        alone = quick(**{**changes, **member})
        result = runs.train(alone, tmp_path / str(i), own_backbone.make())
        found = sweep["members"][i]
        assert found["best_step"] == result["best_step"]
        assert found["test_accuracy"] == pytest.approx(result["test_accuracy"], abs=0.005)
        one, two = arrays(tmp_path / "sweep" / str(i)), arrays(tmp_path / str(i))
        for name, array in two[result["steps"]].items():
            np.testing.assert_allclose(one[result["steps"]][name], array, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"augment.mixup": 0.2}, "asks for the label of an image, and mixup and CutMix"),
        ({"tune": ("prompt", "backbone")}, "features of a frozen backbone"),
        ({"prompt": f"shrink(6) | {TOY}", "augment.flip": True}, "features of whole images, and"),
        ({"prompt": "coloured"}, "the stage coloured needs colour, which a run does not have"),
    ],
)
def test_what_a_run_cannot_give_is_refused(changes, message, tmp_path):
    @prompts.stage
    def coloured() -> prompts.Formula:
        return prompts.Formula(lambda params, images, *, colour: images, lambda rng, shape: rng)

    with pytest.raises(UserError, match=message):
        runs.train(quick(**{"prompt": TOY, **changes}), tmp_path / "run", own_backbone.make())
    assert not (tmp_path / "run").exists()
