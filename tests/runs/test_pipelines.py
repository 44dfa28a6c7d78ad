"""Whole runs by every pipeline: the same examples, exact after an interruption."""

import logging
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

from vp_jax import cli, runs
from vp_jax.records.checkpoints.manager import Checkpoints
from vp_jax.records.metrics import read_metrics
from vp_jax.training.loop import Loop

PICTURES = False
PIPELINES = ("resident", "cached", "stream")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two kinds of noise, in photographs of several sizes."""
    root, rng = tmp_path_factory.mktemp("data") / "photos", np.random.default_rng(0)
    for i in range(90):
        name = ("dark", "light")[i % 2]
        (root / name).mkdir(parents=True, exist_ok=True)
        low, high = ((0, 150), (90, 256))[i % 2]
        pixels = rng.integers(low, high, (40 + i % 7, 50, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(root / name / f"{i:02}.png")
    return root


def config(photos, folder, pipeline, **changes):
    config = cli.load_config("configs/quickstart.py").copy_and_resolve_references()
    config.unlock()
    settings = {
        "backbone.name": "clip_small",
        "task.name": "folder",
        "task.data_dir": str(photos),
        "task.cache_dir": str(folder / "cache"),
        "task.pipeline": pipeline,
        "batch_size": 16,
        "epochs": 3,
        "schedule.warmup_steps": 4,
        "log_every_steps": 2,
        "checkpoint_every_steps": 3,
        "augment.flip": True,
    }
    config.update_from_flattened_dict({**settings, **changes})
    return config.lock()


def arrays(workdir, step):
    checkpoints = Checkpoints(workdir / "checkpoints")
    found = checkpoints.arrays(step)
    checkpoints.close()
    return found


@pytest.fixture(scope="module", params=PIPELINES)
def finished(request, photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    settings = config(photos, folder, request.param)
    return settings, runs.train(settings, folder / "whole"), folder


def test_the_result_says_which_way_was_taken(finished):
    settings, result, _ = finished
    assert result["pipeline"] == settings.task.pipeline
    assert result["train_examples"] == 65 and result["steps"] == 15
    assert result["metric"] == "accuracy" and result["test_metric"] == result["test_accuracy"]


def test_the_rows_of_metrics_are_those_that_are_due(finished):
    _, _, folder = finished
    rows = [row for row in read_metrics(folder / "whole") if "train/loss" in row]
    assert [row["step"] for row in rows] == [2, 4, 5, 7, 9, 10, 12, 14, 15]


def test_interrupted_anywhere_it_ends_the_same(finished):
    settings, expected, folder = finished
    shutil.copytree(folder / "whole", folder / "cut")
    (folder / "cut" / "result.json").unlink()
    shutil.rmtree(folder / "cut" / "checkpoints" / "15")
    assert Checkpoints(folder / "cut" / "checkpoints").steps()[-1] == 12
    result = runs.train(settings, folder / "cut")
    for name in ("test_accuracy", "test_loss", "val_accuracy", "best_step"):
        assert result[name] == expected[name], name
    one, two = arrays(folder / "whole", 15), arrays(folder / "cut", 15)
    assert one.keys() == two.keys() and all(np.array_equal(one[k], two[k]) for k in one)
    whole, cut = read_metrics(folder / "whole"), read_metrics(folder / "cut")
    assert whole == cut


@pytest.mark.slow(seconds=6)
def test_the_pipelines_train_the_same_prompt(photos, tmp_path):
    """Programs differ, and with them the order of sums; the examples and pixels do not."""
    ends = []
    for pipeline in PIPELINES:
        settings = config(photos, tmp_path, pipeline, epochs=1)
        runs.train(settings, tmp_path / pipeline)
        ends.append(arrays(tmp_path / pipeline, 5))
    for other in ends[1:]:
        for name in ends[0]:
            if name.startswith("tuned"):
                np.testing.assert_allclose(ends[0][name], other[name], atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("pipeline", ["resident", "cached"])
def test_nothing_is_compiled_after_the_first_epoch(photos, tmp_path, pipeline, monkeypatch):
    compiled, at_evaluations = [], []
    evaluate = Loop._evaluate

    def noted(self, *arguments):
        result = evaluate(self, *arguments)
        at_evaluations.append(len(compiled))
        return result

    monkeypatch.setattr(Loop, "_evaluate", noted)
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **__: compiled.append(name) if "backend_compile" in name else None
    )
    try:
        settings = config(photos, tmp_path, pipeline, epochs=4, checkpoint_every_steps=0)
        runs.train(settings, tmp_path / "run")
    finally:
        jax.monitoring.clear_event_listeners()
    assert len(at_evaluations) == 4
    assert at_evaluations[0] > 0 and len(set(at_evaluations[1:])) == 1
    assert at_evaluations[1] - at_evaluations[0] <= 1, "more than the scalars of a second epoch"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pipeline", "step"), [("resident", "train_steps"), ("stream", "train_step_logged")]
)
def test_one_program_trains_and_one_evaluates(photos, tmp_path, pipeline, step, caplog):
    """With the prompt and without, on every split, in all epochs."""
    settings = config(photos, tmp_path, pipeline)
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        runs.train(settings, tmp_path / "run")
    compiled = [message for message in caplog.messages if message.startswith("Compiling jit(")]
    for name in (step, "evaluate_batch"):
        assert sum(f"jit({name})" in message for message in compiled) == 1, (name, compiled)
