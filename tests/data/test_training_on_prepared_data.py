"""The paper's config on a prepared dataset in tfds's layout, through the command line."""

from __future__ import annotations

import json

import fake_tfds
import pytest

COMMAND = (
    *("-m", "vp_jax.train", "--config=configs/clip_pad.py"),
    *(
        "--config.backbone.name=clip_tiny",
        "--config.prompt=normalize | pad(4)",
        "--config.epochs=1",
    ),
    *("--config.batch_size=32", "--config.schedule.warmup_steps=2"),
)


def prepare(folder, damaged=()):
    """A dataset called cifar100: 200 and 100 images; some are damaged."""
    train, test = fake_tfds.random_split(200, 100), fake_tfds.random_split(100, 100, seed=1)
    for index in damaged:
        train[0][index] = fake_tfds.png(train[0][index])[:60]
    names = [f"class_{i}" for i in range(100)]
    fake_tfds.make(folder, "cifar100", {"train": train, "test": test}, class_names=names)


@pytest.mark.slow
def test_a_whole_run(tmp_path, python):
    prepare(tmp_path / "data")
    run = tmp_path / "run"
    arguments = (f"--config.task.data_dir={tmp_path / 'data'}", f"--workdir={run}")
    done = python(*COMMAND, *arguments, check=True)
    result = json.loads((run / "result.json").read_text())
    assert (result["task"], result["classes"]) == ("cifar100", 100)
    assert (result["train_examples"], result["val_examples"]) == (180, 20)
    assert result["test_examples"] == 100 and result["skipped_examples"] == 0
    assert "cifar100, 100 classes" in done.stdout


@pytest.mark.slow
def test_corrupt_images_are_named_and_counted_and_skipped_only_on_request(tmp_path, python):
    prepare(tmp_path / "data", damaged=(3, 150))
    run = tmp_path / "run"
    arguments = (f"--config.task.data_dir={tmp_path / 'data'}", f"--workdir={run}")
    done = python(*COMMAND, *arguments)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "2 image(s) of 'cifar100' cannot be decoded" in done.stderr
    assert "train/00003.png" in done.stderr and "train/00150.png" in done.stderr
    assert "--config.task.skip_corrupt=True" in done.stderr and not run.exists()

    done = python(*COMMAND, *arguments, "--config.task.skip_corrupt=True", check=True)
    assert "Skipped: 2 image(s)" in done.stderr
    result = json.loads((run / "result.json").read_text())
    assert result["skipped_examples"] == 2
    assert result["train_examples"] + result["val_examples"] == 198
