"""Runs whose classes or images are not those that they began with."""

import json
import logging
import shutil

import numpy as np
import own_backbone
import pytest
from PIL import Image

from vp_jax import many, runs
from vp_jax.ensemble import ensemble_predictions
from vp_jax.errors import UserError
from vp_jax.records.checkpoints.manager import Checkpoints
from vp_jax.report.summary import evaluation_summary

PICTURES = False
CLASSES = ("ant", "bee", "cat")
BACKBONE = own_backbone.make()


def write_images(root, names=CLASSES, first=0, count=12):
    """Bright images of one colour a class, and noise, so that a linear layer tells them apart."""
    for name in names:
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(first, first + count):
            image = np.random.default_rng([ord(name[0]), i]).integers(0, 55, (8, 8, 3))
            image[..., ord(name[0]) % 3] += 200
            Image.fromarray(image.astype(np.uint8)).save(root / name / f"{name}{i}.png")
    return root


def settings(folder, **changes):
    """A linear layer on features, trained by steps."""
    changes = {"head.name": "linear", "tune": ("head",), "head.solver": "sgd", **changes}
    changes = {"epochs": 4, "batch_size": 8, "schedule.warmup_steps": 1, **changes}
    return own_backbone.quick(**{"task.name": "folder", "task.data_dir": str(folder), **changes})


def train(folder, workdir, **changes):
    return runs.train(settings(folder, **changes), workdir, BACKBONE)


def evaluate(workdir, folder=None):
    return runs.evaluate(workdir, data_dir=folder and str(folder), backbone=BACKBONE)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "images"
    write_images(folder / "train")
    write_images(folder / "test", first=20, count=4)
    return folder


@pytest.fixture(scope="module")
def run(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "linear"
    assert train(images, folder)["test_accuracy"] == 1
    return folder


@pytest.fixture
def copy(images, tmp_path):
    """The images, to be changed."""
    return shutil.copytree(images, tmp_path / "copy")


@pytest.fixture
def unfinished(run, tmp_path):
    """The run, as if it had been stopped just before its result."""
    folder = shutil.copytree(run, tmp_path / "unfinished")
    (folder / "result.json").unlink()
    return folder


def rename_ant(folder, names=None):
    """Renames a class so that the order of the classes changes."""
    for split in ("train", "test"):
        (folder / split / "ant").rename(folder / split / "zebra")
    if names:
        (folder / "classes.txt").write_text("\n".join(names))
    return folder


def test_a_run_keeps_its_classes_and_data(run, images):
    result = json.loads((run / "result.json").read_text())
    assert result["class_names"] == result["class_keys"] == list(CLASSES)
    assert result["data_changes"] == []
    checkpoints = Checkpoints(run / "checkpoints")
    for step in checkpoints.steps():
        meta = checkpoints.meta(step)
        assert meta["classes"]["keys"] == list(CLASSES)
        assert {name: x["count"] for name, x in meta["data"].items()} == {
            name: result[f"{name}_examples"] for name in ("train", "val", "test")
        }
        assert all(x["content"] and x["files"] for x in meta["data"].values())
        assert meta["total_steps"] == result["steps"]
    checkpoints.close()


def test_a_class_that_was_renamed_is_refused_with_both_lists(run, copy, unfinished):
    rename_ant(copy)
    for action in (lambda: evaluate(run, copy), lambda: train(copy, unfinished)):
        with pytest.raises(UserError) as error:
            action()
        for text in ("'ant', 'bee', 'cat'", "'bee', 'cat', 'zebra'", "classes.txt"):
            assert text in str(error.value)


def test_classes_in_another_order_are_put_in_order(run, copy, unfinished):
    rename_ant(copy, ["zebra: ant", "cat: cat", "bee: bee"])
    found = evaluate(run, copy)
    assert found["test_accuracy"] == 1 and found["same_data"]
    result = train(copy, unfinished)  # goes on, since the images are the same
    assert result["test_accuracy"] == 1 and result["class_names"] == list(CLASSES)


@pytest.mark.parametrize("names", [("ant", "bee"), (*CLASSES, "dog")])
def test_more_and_fewer_classes_are_refused(run, tmp_path, names):
    with pytest.raises(UserError, match="classes of the data in .* are not those of the run"):
        evaluate(run, write_images(tmp_path / "other", names))


def test_a_class_may_get_another_name_where_no_name_is_read(run, copy):
    (copy / "classes.txt").write_text("ant: an ant\nbee: a bee\ncat: a cat\n")
    assert evaluate(run, copy)["test_accuracy"] == 1


@pytest.mark.slow
def test_a_head_is_put_in_the_order_of_the_run_that_takes_it(run, copy, tmp_path):
    rename_ant(copy, ["zebra: ant", "cat: cat", "bee: bee"])
    taken = train(
        copy, tmp_path / "taken", **{"head.from_run": str(run), "optimizer.learning_rate": 1e-6}
    )
    assert taken["class_names"] == ["bee", "cat", "ant"]
    assert taken["zero_shot_test_accuracy"] == taken["test_accuracy"] == 1
    together = ensemble_predictions([run, tmp_path / "taken"], BACKBONE)
    assert together.accuracy == 1 and together.class_names == CLASSES
    (copy / "classes.txt").unlink()
    with pytest.raises(UserError, match="only of this run: 'zebra'"):
        train(copy, tmp_path / "refused", **{"head.from_run": str(run)})


@pytest.mark.slow
def test_mappings_keep_their_classes(images, copy, tmp_path):
    prompt = {"head.name": "frequency", "tune": ("prompt",), "epochs": 1}
    before = train(images, tmp_path / "run", **prompt)
    assert (tmp_path / "run" / "mapping.csv").exists()
    rename_ant(copy, ["zebra: ant", "cat: cat", "bee: bee"])
    assert evaluate(tmp_path / "run", copy)["test_accuracy"] == before["test_accuracy"]
    (copy / "classes.txt").unlink()
    with pytest.raises(UserError, match="only of the run: 'ant'"):
        evaluate(tmp_path / "run", copy)


def test_images_that_are_added_are_refused_on_resume(copy, unfinished):
    write_images(copy / "train", ["bee"], first=50, count=9)
    with pytest.raises(UserError) as error:
        train(copy, unfinished)
    message = str(error.value)
    for text in (
        *("train had 32 examples and has 41 examples", "9 added (train/bee/bee50.png, "),
        "the schedule had 16 steps and has 24",
    ):
        assert text in message
    assert "--config.task.accept_changed_data=True" in message


def test_images_that_change_are_refused_on_resume(copy, unfinished):
    for path in sorted((copy / "train/cat").iterdir())[:3]:
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(path)
    with pytest.raises(UserError, match="3 changed .*train/cat/cat"):
        train(copy, unfinished)


def test_changed_data_may_be_accepted(copy, unfinished, caplog):
    write_images(copy / "train", first=50, count=6)
    with caplog.at_level(logging.WARNING):
        result = train(copy, unfinished, **{"task.accept_changed_data": True})
    assert "This is accepted" in caplog.text and "may now be held out" in caplog.text
    assert "18 added" in result["data_changes"][0]
    assert result["train_examples"] > 32
    assert evaluate(unfinished, copy)["same_data"]


def test_the_same_data_elsewhere_go_on(copy, unfinished):
    shutil.make_archive(str(copy), "zip", copy)
    assert train(copy.with_suffix(".zip"), unfinished)["data_changes"] == []


def test_evaluation_says_when_it_is_of_other_data(run, images, copy, caplog):
    assert evaluate(run)["same_data"] is True
    with caplog.at_level(logging.WARNING):
        found = evaluate(run, copy / "train")  # without a test split, so that some are held out
    assert found["same_data"] is False and 0 < found["test_examples_trained_on"] <= 7
    assert "are not the test examples of the run" in caplog.text
    assert f"it has trained on {found['test_examples_trained_on']} of the 7" in caplog.text
    assert "not the run's own test examples" in evaluation_summary(found)
    assert "not the run's own test examples" not in evaluation_summary(evaluate(run, images))
    other = write_images(copy.parent / "other", first=90)
    found = evaluate(run, other)
    assert found["same_data"] is False and found["test_examples_trained_on"] == 0


def test_runs_without_classes_and_data_still_load(run, unfinished, images, copy, caplog):
    for path in (unfinished / "checkpoints").glob("*/meta/metadata"):
        meta = json.loads(path.read_text())
        for name in ("classes", "data", "total_steps"):
            del meta[name]
        path.write_text(json.dumps(meta))
    (unfinished / "data.npz").unlink()
    with caplog.at_level(logging.WARNING):
        found = evaluate(unfinished)
    assert found["test_accuracy"] == 1 and found["same_data"] is None
    assert "by a version that did not keep class names" in caplog.text
    write_images(copy / "train", first=50, count=20)
    with pytest.raises(UserError, match="was batch 0 of epoch .* and is batch"):
        train(copy, unfinished)
    assert train(images, unfinished)["test_accuracy"] == 1


@pytest.mark.slow
def test_a_linear_probe_takes_no_features_of_other_images(images, copy, tmp_path, monkeypatch):
    probe = {"head.solver": "optax"}
    monkeypatch.setattr("vp_jax.training.fitting.features.forget", lambda folder: None)
    train(images, tmp_path / "run", **probe)
    before = (tmp_path / "run/features/train.safetensors").read_bytes()
    shutil.rmtree(tmp_path / "run/checkpoints")  # as if it had been stopped before its first
    (tmp_path / "run/result.json").unlink()
    for path in (copy / "train/cat").iterdir():
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    train(copy, tmp_path / "run", **probe)
    assert (tmp_path / "run/features/train.safetensors").read_bytes() != before


@pytest.mark.slow
def test_images_that_were_trained_on_stay_known_when_a_changed_test_is_accepted(copy, unfinished):
    last = max((unfinished / "checkpoints").glob("[0-9]*"), key=lambda path: int(path.name))
    shutil.rmtree(last)  # as if it had been stopped an epoch before the end
    for path in sorted((copy / "train/bee").iterdir())[:3]:
        path.rename(copy / "test/bee" / path.name)
    result = train(copy, unfinished, **{"task.accept_changed_data": True})
    moved = sum(f"bee{i}.png" in result["data_changes"][0] for i in range(12))
    assert moved == 3 and "of the test examples have been trained on" in result["data_changes"][0]
    found = evaluate(unfinished, copy)
    assert found["same_data"] and 0 < found["test_examples_trained_on"] <= 3
    assert "it has trained on" in evaluation_summary(found)


def test_a_run_that_trains_nothing_keeps_its_classes_too(images, copy, tmp_path):
    settings = {"head.name": "first_k", "tune": ()}
    before = train(images, tmp_path / "run", **settings)
    rename_ant(copy, ["zebra: ant", "cat: cat", "bee: bee"])
    found = evaluate(tmp_path / "run", copy)
    assert found["same_data"] and found["test_accuracy"] == before["test_accuracy"]
    (copy / "classes.txt").unlink()
    with pytest.raises(UserError, match="only of the run: 'ant'"):
        evaluate(tmp_path / "run", copy)


@pytest.mark.slow
def test_many_at_once_know_their_data_too(images, copy, tmp_path):
    prompts = {"head.name": "first_k", "tune": ("prompt",), "epochs": 1}
    members = [{"seed": 0}, {"seed": 1}]

    def go_on(folder, **changes):
        config = settings(folder, **prompts, **changes)
        return many.train_many(config, members, tmp_path / "sweep", BACKBONE)

    go_on(images)
    (tmp_path / "sweep/result.json").unlink()
    write_images(copy / "train", ["bee"], first=50, count=9)
    with pytest.raises(UserError, match="train of seed 1 had 32 examples and has 41"):
        go_on(copy)
    rename_ant(copy)
    for action in (go_on, lambda folder: evaluate(tmp_path / "sweep/1", folder)):
        with pytest.raises(UserError, match="only of the run: 'ant'"):
            action(copy)
    assert evaluate(tmp_path / "sweep/1", images)["same_data"]


def test_processes_that_read_different_data_are_refused(images, tmp_path, monkeypatch):
    monkeypatch.setattr("vp_jax.distributed.least", lambda *values: tuple(x - 1 for x in values))
    with pytest.raises(UserError, match="the processes read different data of folder"):
        train(images, tmp_path / "run")
