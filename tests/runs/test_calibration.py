"""A temperature at the end of a run: in the result, and in the classifier that it leaves."""

import numpy as np
import own_backbone
import pytest
from own_backbone import quick

import vp_jax
from vp_jax import data, many, runs
from vp_jax.data.images.resize_rule import ResizeRule
from vp_jax.errors import UserError
from vp_jax.report.summary import training_summary
from vp_jax.training.evaluation import Evaluation
from vp_jax.training.fitting.calibration import calibrate

PICTURES = False


@pytest.mark.slow
def test_the_classifier_of_a_run_is_calibrated_and_answers_the_same(tmp_path):
    one, two = (tmp_path / name for name in ("plain", "calibrated"))
    plain = runs.train(quick(**{"head.calibrate": False}), one, own_backbone.make())
    result = runs.train(quick(), two, own_backbone.make())
    more = {"temperature", "test_calibration_error_before", "test_calibration_error"}
    assert result.keys() - plain.keys() == more
    assert result["test_accuracy"] == plain["test_accuracy"]
    assert result["test_loss"] == plain["test_loss"]
    assert result["test_calibration_error"] < result["test_calibration_error_before"] / 2
    own = own_backbone.make()
    images = np.asarray(data.load_task("digits", resize=ResizeRule(8)).test.images[:40])
    before, after = (vp_jax.load(folder, backbone=own) for folder in (one, two))
    assert (before.temperature, after.temperature) == (1.0, result["temperature"])
    p, q = before.probabilities(images), after.probabilities(images)
    expected = p.astype(float) ** (1 / result["temperature"])
    np.testing.assert_allclose(q, expected / expected.sum(axis=1, keepdims=True), atol=1e-5)
    assert f"{100 * result['test_calibration_error']:.1f} %" in training_summary(result, two)


@pytest.mark.slow
def test_members_of_a_sweep_each_have_their_own(tmp_path):
    members = many.grid({"seed": [0, 1]})
    found = many.train_many(quick(epochs=1), members, tmp_path, own_backbone.make())["members"]
    assert found[0]["temperature"] != found[1]["temperature"]
    loaded = vp_jax.load(tmp_path / "1", backbone=own_backbone.make())
    assert loaded.temperature == found[1]["temperature"]
    alone = runs.train(quick(epochs=1, seed=1), tmp_path / "alone", own_backbone.make())
    for name in ("temperature", "test_calibration_error", "test_calibration_error_before"):
        assert found[1][name] == pytest.approx(alone[name], rel=1e-3)


def test_without_validation_images_there_is_nothing_to_fit(tmp_path):
    changes = {"head.calibrate": True, "task.val_fraction": 0.0, "select_on": "test"}
    with pytest.raises(UserError, match="config.head.calibrate fits a temperature to val"):
        runs.train(quick(**changes), tmp_path / "run", own_backbone.make())
    changes["head.calibrate"] = "auto"
    result = runs.train(quick(**changes), tmp_path / "run", own_backbone.make())
    assert "temperature" not in result


@pytest.mark.parametrize("value", ["true", "", 0, 1, [True]])
def test_what_is_no_way_to_calibrate_is_named(tmp_path, value):
    with pytest.raises(UserError, match="config.head.calibrate is .*; it is True, False or 'auto'"):
        runs.train(quick(**{"head.calibrate": value}), tmp_path / "run", own_backbone.make())


def evaluation(logits, labels):
    logits = np.asarray(logits, np.float32)
    nothing = np.zeros(len(labels), np.float32)
    return Evaluation(0.0, 0.0, 0.0, logits.argmax(axis=1), nothing, nothing, logits)


def test_validation_images_that_are_all_right_say_nothing_of_a_temperature():
    labels = np.array([0, 1])
    val, test = evaluation([[2, 1], [0, 3]], labels), evaluation([[2, 1], [1, 0]], labels)
    found = calibrate(val, labels, test, labels)
    assert found.temperature == 1 and found.before == found.after
    assert found.of_label == pytest.approx([1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1))])


def test_nothing_is_fitted_to_logits_that_are_not_finite(capsys):
    labels = np.array([0, 1])
    right, broken = evaluation([[2, 1], [1, 0]], labels), evaluation([[2, 1], [np.inf, 3]], labels)
    assert calibrate(right, labels, broken, labels) is None
    assert calibrate(broken, labels, right, labels) is None
    assert "some logits are not finite" in capsys.readouterr().err
