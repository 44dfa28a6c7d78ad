"""Whole runs on WILDS's archives and on CoOp's files: prepared on first use, scored as declared."""

import json

import fake_archives
import numpy as np
import pytest
from PIL import Image

from vp_jax import cli, runs
from vp_jax.data import tasks
from vp_jax.data.tasks import scores
from vp_jax.records.metrics import read_metrics
from vp_jax.report.summary import training_summary


def quick(tmp_path, **changes):
    """An epoch of the quickstart on data in `tmp_path`."""
    config = cli.load_config("configs/quickstart.py").copy_and_resolve_references()
    config.unlock()
    settings = {"epochs": 2, "batch_size": 4, "schedule.warmup_steps": 1}
    settings["task.data_dir"] = str(tmp_path)
    config.update_from_flattened_dict({**settings, **changes})
    return config.lock()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, files, splits, metric",
    [
        ("fmow", fake_archives.fmow, fake_archives.FMOW_SPLITS, "worst_group_accuracy"),
        ("iwildcam", fake_archives.iwildcam, fake_archives.IWILDCAM_SPLITS, "macro_f1"),
        ("camelyon17", fake_archives.camelyon17, fake_archives.CAMELYON17_SPLITS, "accuracy"),
    ],
)
def test_wilds(name, files, splits, metric, tmp_path):
    manual = tmp_path / "downloads" / "manual"
    version = {"fmow": "v1.1", "iwildcam": "v2.0", "camelyon17": "v1.0"}[name]
    fake_archives.make(files(), manual / f"{name}_{version}")
    result = runs.train(quick(tmp_path, **{"task.name": name}), tmp_path / "run")
    assert result == json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["metric"] == metric and 0 <= result["test_metric"] <= 1
    for split, key in (("train", "train"), ("val", "val"), ("test", "test")):
        assert result[f"{key}_examples"] == len(splits[split])
    assert set(result["further_tests"]) == set(splits) - {"train", "val", "test"}
    for found in result["further_tests"].values():
        assert 0 <= found["accuracy"] <= 1 and 0 <= found["metric"] <= 1
    by_group = result["test_accuracy_by_group"]
    groups = [more[0] for _, *more in splits["test"].values()]
    assert len(by_group) == len(set(groups))
    shares = [list(by_group.values())[sorted(set(groups)).index(g)] for g in groups]
    assert np.mean(shares) == pytest.approx(result["test_accuracy"])
    if metric == "worst_group_accuracy":
        counted = [x for group, x in by_group.items() if group != scores.LEFT_OUT]
        assert result["test_metric"] == min(counted)
    rows = [row for row in read_metrics(tmp_path / "run") if "val/loss" in row]
    assert len(rows) == 2 and all(f"val/{metric}" in row for row in rows)
    best = max(rows, key=lambda row: row[f"val/{metric}"])
    assert result["val_metric"] == best[f"val/{metric}"] and result["best_step"] == best["step"]
    said = training_summary(result, tmp_path / "run")
    assert f"id_val {metric.replace('_', ' ')}" in said
    evaluated = runs.evaluate(tmp_path / "run")
    assert evaluated["test_metric"] == result["test_metric"]


@pytest.mark.slow(seconds=6)
def test_coops_splits_with_few_shots(tmp_path):
    task = tasks.get("oxford_pets")
    folder = tmp_path / task.coop.folder
    lists = {"train": [], "val": [], "test": []}
    rng = np.random.default_rng(0)
    for label in range(task.coop.num_classes):
        for split, count in (("train", 3), ("val", 2), ("test", 1)):
            for number in range(count):
                name = f"{label}_{split}_{number}.jpg"
                path = folder / task.coop.images / name
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = rng.integers(0, 256, (9, 9, 3), np.uint8)
                Image.fromarray(pixels).save(path)
                lists[split].append([name, label, f"breed {label}"])
    (folder / task.coop.file).write_text(json.dumps(lists))
    settings = {"task.name": "oxford_pets", "task.splits": "coop", "task.shots": 2, "epochs": 1}
    result = runs.train(quick(tmp_path, batch_size=32, **settings), tmp_path / "run")
    assert (result["classes"], result["train_examples"]) == (37, 74)
    assert (result["val_examples"], result["test_examples"]) == (74, 37)
    assert result["metric"] == "accuracy" and "further_tests" not in result
