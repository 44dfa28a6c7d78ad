"""The main job as the README gives it, whole: what a newcomer sees first."""

import json

import pytest

from vp_jax import prompts

OPTIMIZED = True


@pytest.mark.slow(seconds=60)
def test_the_quickstart_teaches_a_frozen_model_to_read_digits(tmp_path, python):
    run = tmp_path / "run"
    command = ("-m", "vp_jax.train", "--config=configs/quickstart.py", f"--workdir={run}")
    done = python(*command, timeout=600, check=True)
    result = json.loads((run / "result.json").read_text())
    settings = json.loads((run / "config.json").read_text())
    (frame,) = (s for s in prompts.parse(settings["prompt"]).stages if s.name != "normalize")
    assert frame.name == "pad" and (32 - 2 * frame.arguments["size"]) ** 2 >= 0.5 * 32**2
    assert result["test_examples"] == 500
    assert result["test_accuracy"] >= 0.70
    assert result["zero_shot_test_accuracy"] == pytest.approx(0.128, abs=0.003)
    assert result["test_accuracy"] - result["zero_shot_test_accuracy"] >= 0.50
    assert f"{100 * result['test_accuracy']:.1f} %" in done.stdout
