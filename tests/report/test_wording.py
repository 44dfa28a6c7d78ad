"""Which models are called zero-shot."""

import pytest

from vp_jax import report
from vp_jax.report.summary import evaluation_summary, sweep_summary, training_summary

RESULT = {
    "task": "digits",
    "classes": 10,
    "backbone": "net",
    "zero_shot_test_accuracy": 0.25,
    "zero_shot_test_metric": 0.2,
    "test_accuracy": 0.75,
    "test_metric": 0.7,
    "metric": "mean_per_class_accuracy",
    "val_accuracy": 0.5,
    "val_metric": 0.5,
    "best_step": 3,
    "step": 3,
    "steps": 4,
    "test_examples": 100,
    "trainable_parameters": 12,
    "checkpoint_bytes": 1000,
    "images_per_second": 10.0,
    "same_data": True,
    "wall_seconds": 1.0,
}


@pytest.mark.parametrize(
    ("head", "tune", "lines"),
    [
        ("text", ["prompt"], ("zero-shot test accuracy (TP)", "zero-shot test mean per class")),
        (
            "frequency",
            ["prompt"],
            ("test accuracy without prompt", "test mean per class accuracy w"),
        ),
        ("linear", ["prompt", "head"], ("test accuracy without prompt",)),
        ("linear", ["head"], ("untrained test accuracy", "untrained test mean per class")),
        ("iterative", [], ("untrained test accuracy",)),
        ("text", [], ("zero-shot test accuracy (TP)",)),
    ],
)
def test_the_table_of_a_training(tmp_path, head, tune, lines):
    said = training_summary({**RESULT, "head": head, "tune": tune}, tmp_path)
    for line in lines:
        assert f"\n{line}" in said
    assert ("zero-shot" in said) == ("(TP)" in said) == (head == "text")


@pytest.mark.parametrize(
    ("head", "tune", "line"),
    [
        ("text", ["prompt"], "zero-shot (TP)"),
        ("bayesian", ["prompt"], "without prompt"),
        ("linear", ["head"], "untrained"),
    ],
)
def test_the_table_of_an_evaluation(head, tune, line):
    said = evaluation_summary({**RESULT, "head": head, "tune": tune})
    assert f"\n{line} " in said
    assert ("zero-shot" in said) == ("(TP)" in said) == (head == "text")


def test_the_tables_name_the_prompt(tmp_path):
    own = {**RESULT, "head": "text", "tune": ["prompt"], "prompt": "normalize | pad(4)"}
    rows = [line.split(maxsplit=1) for line in training_summary(own, tmp_path).splitlines()]
    assert ["prompt", "normalize | pad(4)"] in rows
    assert "with net and normalize | pad(4): 100 test examples" in evaluation_summary(own)
    without = {**own, "tune": ["head"], "prompt": None}
    assert "\nprompt" not in training_summary(without, tmp_path)
    assert "with net: 100 test examples" in evaluation_summary(without)


@pytest.mark.parametrize(("head", "word"), [("text", "zero-shot"), ("frequency", "without prompt")])
def test_the_table_of_many(head, word):
    member = {**RESULT, "folder": "0", "settings": {"seed": 0}, "head": head}
    failed = {"folder": "1", "settings": {"seed": 1}, "failed_step": 3}
    together = {"members": 1, "test_metric": 0.5}
    result = {"members": [failed, member], "best_member": 1, "ensemble": together}
    said = sweep_summary({**result, "images_per_second": 1.0, "wall_seconds": 1.0}, "runs/sweep")
    assert word in said.splitlines()[0]


def test_curves_name_it_too(tmp_path):
    rows = [{"step": s, "val/accuracy": 0.5} for s in (1, 2)]
    report.curves(tmp_path / "a.png", rows, 0.3)
    report.curves(tmp_path / "b.png", rows, 0.3, before="without prompt")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()
