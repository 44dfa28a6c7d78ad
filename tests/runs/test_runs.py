"""Whole runs in this process, on a small CLIP and real digits."""

import json
import pathlib

import numpy as np
import pytest
import small_clip
from pictures import drawn
from PIL import Image

from vp_jax import backbones, cli, prompts, runs
from vp_jax.errors import UserError
from vp_jax.records.checkpoints.manager import Checkpoints
from vp_jax.records.finished import load_part
from vp_jax.records.names import TEXT_FEATURES

QUICKSTART = pathlib.Path(__file__).parents[2] / "configs" / "quickstart.py"


def quick(**changes):
    """Two epochs of the quickstart with the small CLIP and larger batches."""
    config = cli.load_config(str(QUICKSTART)).copy_and_resolve_references()
    config.unlock()
    short = {"backbone.name": small_clip.NAME, "epochs": 2, "batch_size": 64}
    config.update_from_flattened_dict(
        {**short, "schedule.warmup_steps": 5, "checkpoint_every_steps": 4, **changes}
    )
    return config.lock()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "finished"
    with drawn():
        return runs.train(quick(), folder), folder


def test_result(finished):
    result, folder = finished
    assert json.loads((folder / "result.json").read_text()) == result
    assert result["task"] == "digits" and result["backbone"] == "clip_small"
    assert result["tune"] == ["prompt"] and result["seed"] == 0
    assert result["train_examples"] + result["val_examples"] == 1297
    assert result["test_examples"] == 500
    assert result["steps"] == 2 * -(-result["train_examples"] // 64)
    assert result["trainable_parameters"] == 2 * 3 * 4 * (32 + 32 - 2 * 4)
    assert result["checkpoint_bytes"] > 2 * 4 * result["trainable_parameters"]
    for name in ("zero_shot_test_accuracy", "val_accuracy", "test_accuracy"):
        assert 0 <= result[name] <= 1
    assert result["images_per_second"] > 0 and result["wall_seconds"] > 0


def test_accuracies_are_of_whole_examples(finished):
    """A masked row that counted, or an example that did not, would give another denominator."""
    result, _ = finished
    for name, count in (("test_accuracy", 500), ("val_accuracy", result["val_examples"])):
        right = result[name] * count
        assert right == pytest.approx(round(right), abs=1e-9)


def test_pictures(finished):
    _, folder = finished
    for name in ("prompt.png", "curves.png", "examples.png"):
        picture = np.asarray(Image.open(folder / name).convert("RGB"))
        assert min(picture.shape[:2]) > 200 and picture.std() > 5


def test_every_metric_is_in_json_lines_and_in_tensorboard(finished):
    _, folder = finished
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [r["step"] for r in rows] == sorted(r["step"] for r in rows)
    names = {name for row in rows for name in row} - {"step"}
    assert names == {
        *("epoch", "learning_rate", "train/loss", "train/accuracy", "train/grad_norm"),
        *("val/loss", "val/accuracy"),
    }
    events = b"".join(f.read_bytes() for f in (folder / "tensorboard").iterdir())
    for name in names:
        assert name.encode() in events


def test_a_checkpoint_holds_what_was_tuned_and_nothing_else(finished):
    _, folder = finished
    checkpoints = Checkpoints(folder / "checkpoints")
    items = {p.name for p in (folder / "checkpoints").iterdir()}
    assert items == {str(step) for step in checkpoints.steps()}
    meta = checkpoints.meta(checkpoints.steps()[-1])
    about = {"classes", "data", "total_steps"}
    assert set(meta) == {"identity", "progress", "data_position", "digest", *about}
    assert meta["identity"]["backbone"] == backbones.load("clip_small").fingerprint
    size = sum(f.stat().st_size for f in (folder / "checkpoints").rglob("*") if f.is_file())
    assert size < 400_000  # the backbone alone is 500 kB
    checkpoints.close()


def test_a_finished_run_is_not_repeated(finished, capsys):
    result, folder = finished
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}
    assert runs.train(quick(), folder) == result
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()} == before
    assert "this run is finished" in capsys.readouterr().err


def test_evaluation_gives_the_accuracies_of_the_result(finished):
    result, folder = finished
    again = runs.evaluate(folder)
    for name in ("test_accuracy", "zero_shot_test_accuracy", "task", "backbone", "tune"):
        assert again[name] == result[name]
    assert again["step"] == result["best_step"]


def test_text_features_are_stored_and_the_text_tower_never_runs_again(finished, monkeypatch):
    _, folder = finished

    def refuse(*args, **kwargs):
        raise AssertionError("the text tower ran")

    monkeypatch.setattr("vp_jax.assembly.parts.head.compute_text_features", refuse)
    runs.evaluate(folder)


def test_text_features_of_another_backbone_are_refused(finished, tmp_path):
    from vp_jax.assembly.texts.text_features import load_text_features

    _, folder = finished
    with pytest.raises(UserError, match=r"its backbone is clip_small:sha256:\w+ there and x here"):
        load_text_features(folder / TEXT_FEATURES, {"backbone": "x"})
    damaged = tmp_path / "text.safetensors"
    damaged.write_bytes(b"\x00" * 20)
    with pytest.raises(UserError, match="is damaged"):
        load_text_features(damaged, {})


def test_zero_shot(tmp_path, finished):
    result = runs.train(quick(tune=()), tmp_path / "run")
    assert result["test_accuracy"] == result["zero_shot_test_accuracy"]
    assert result["zero_shot_test_accuracy"] == finished[0]["zero_shot_test_accuracy"]
    assert result["trainable_parameters"] == result["steps"] == result["checkpoint_bytes"] == 0
    assert runs.evaluate(tmp_path / "run")["test_accuracy"] == result["test_accuracy"]


@pytest.mark.slow(seconds=4)
@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": "normalize | random_patch(8)"},
        {"prompt": "normalize | fixed_patch(8, top=3, left=5)"},
        {"prompt": "pad(4, init='zeros') | clip"},
        {"prompt": "shrink(24) | pad(4, init='zeros') | normalize | full(scale=0.01)"},
        {"optimizer.name": "adam", "optimizer.learning_rate": 0.1, "schedule.name": "constant"},
        {"head.templates": ("This is a photo of a {}", "the {}"), "batch_size": 100},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_other_settings_train_too(tmp_path, changes):
    few = {"epochs": 1, "task.shots": 16}
    result = runs.train(quick(**few, **changes), tmp_path / "run")
    assert 0 < result["test_accuracy"] <= 1
    assert (tmp_path / "run" / "examples.png").exists()


@pytest.mark.slow
def test_a_prompt_over_the_whole_image_comes_back_whole(tmp_path):
    """Two of its four sides hold no number; they must come back all the same."""
    settings = quick(**{"epochs": 1, "task.shots": 16, "prompt": "normalize | pad(16)"})
    result = runs.train(settings, tmp_path / "run")
    params, _ = load_part(tmp_path / "run", "prompt")
    params = {name.removeprefix("1."): x for name, x in params.items()}
    assert {name: x.shape for name, x in params.items()} == {
        **{"top": (16, 32, 3), "bottom": (16, 32, 3), "left": (0, 16, 3), "right": (0, 16, 3)}
    }
    prompted = prompts.pad(16).apply(params, np.zeros((2, 32, 32, 3), np.float32))
    assert prompts.count(params) == result["trainable_parameters"] == 32 * 32 * 3
    np.testing.assert_array_equal(prompted[0], np.concatenate([params["top"], params["bottom"]]))
    assert runs.evaluate(tmp_path / "run")["test_accuracy"] == result["test_accuracy"]


@pytest.mark.slow
def test_a_warm_up_longer_than_the_run_is_cut_and_said(tmp_path, capsys):
    """38 steps with the paper's warm-up of 1,000: the peak is reached in a quarter of them."""
    runs.train(quick(**{"schedule.warmup_steps": 1000, "log_every_steps": 1}), tmp_path / "run")
    rows = [json.loads(x) for x in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    rates = [row["learning_rate"] for row in rows if "learning_rate" in row]
    assert len(rates) == 38 and rates[8] == max(rates) == 10.0 and rates[-1] < 0.1
    said = capsys.readouterr().err
    assert "the warm-up is 9 steps instead of 1,000, since the run has only 38" in said
    assert "--config.schedule.warmup_share=0.25" in said


@pytest.mark.slow(seconds=4)
def test_the_papers_way_of_selecting(tmp_path):
    config = quick(**{"select_on": "test", "task.val_fraction": 0.0})
    result = runs.train(config, tmp_path / "run")
    assert result["selected_on"] == "test" and result["val_accuracy"] is None
    assert result["train_examples"] == 1297 and result["val_examples"] == 0
    rows = (tmp_path / "run" / "metrics.jsonl").read_text()
    assert '"test/accuracy"' in rows and "val/" not in rows


@pytest.mark.slow(seconds=4)
def test_early_stopping(tmp_path):
    """With a vanishing learning rate nothing gets better after the first evaluation."""
    changes = {"epochs": 9, "patience": 2, "optimizer.learning_rate": 1e-9}
    result = runs.train(quick(**changes), tmp_path / "run")
    assert result["steps"] == 3 * 19 and result["best_step"] == 19


def test_without_a_gradient_training_does_not_start(tmp_path):
    """All-zero features, as of a head that was loaded with zeros."""
    params = small_clip.random_params()
    params["visual"]["proj"]["kernel"] = np.zeros_like(params["visual"]["proj"]["kernel"])
    weights = small_clip.write(tmp_path / "weights", params)
    with pytest.raises(UserError, match=r"gradient.*exactly zero.*backbone.weights"):
        runs.train(quick(**{"backbone.weights": str(weights)}), tmp_path / "run")
    assert not (tmp_path / "run" / "result.json").exists()


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_with_its_step(tmp_path):
    changes = {"optimizer.momentum": 1e10, "optimizer.learning_rate": 1e10}
    with pytest.raises(UserError, match=r"loss is not finite at step [3-9];.*learning_rate"):
        runs.train(quick(**changes), tmp_path / "run")
    assert not (tmp_path / "run" / "result.json").exists()


def test_another_backbone_does_not_continue_a_run(finished, tmp_path):
    _, folder = finished
    params = small_clip.random_params()
    params["visual"]["proj"]["kernel"] = params["visual"]["proj"]["kernel"] + 1
    weights = small_clip.write(tmp_path / "weights", params)
    name = backbones.load("clip_small").fingerprint
    with pytest.raises(UserError, match=f"belongs to another run: its backbone is {name} there"):
        runs.evaluate(folder, weights=str(weights))


def test_too_little_data_for_a_validation_split(tmp_path):
    with pytest.raises(UserError, match=r"no validation example.*val_fraction"):
        runs.train(quick(**{"task.val_fraction": 1e-4}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_evaluating_a_folder_without_a_run(tmp_path):
    with pytest.raises(UserError, match=r"holds no run of vp_jax"):
        runs.evaluate(tmp_path)
