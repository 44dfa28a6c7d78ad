"""The PNG of a prompt that covers: what is in it, and the accuracy that it says it has."""

import dataclasses
import json
import shutil

import numpy as np
import own_backbone
import pytest
from own_backbone import quick
from PIL import Image

import vp_jax
from vp_jax import data, prompts, runs
from vp_jax.assembly import setup
from vp_jax.data.images.resize_rule import ResizeRule
from vp_jax.errors import UserError
from vp_jax.exports import measured, overlay
from vp_jax.exports.wanted import Wanted

FRAME = {
    "prompt": "shrink(4) | frame(2) | normalize",
    "head.name": "linear",
    "tune": ("prompt", "head"),
    "task.shots": 16,
    "epochs": 10,
    "optimizer.learning_rate": 0.3,
}


pytestmark = pytest.mark.slow(seconds=15)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("overlay") / "run"
    runs.train(quick(**FRAME), folder, own_backbone.make())
    return folder


@pytest.fixture(autouse=True)
def own(monkeypatch):
    """The run's backbone is in Python, which the command line has none of."""
    again = setup.setup_again
    monkeypatch.setattr(
        measured, "setup_again", lambda *given: again(*given, backbone=own_backbone.make())
    )
    monkeypatch.setattr(
        Wanted, "classifier", lambda self: vp_jax.load(self.place, backbone=own_backbone.make())
    )


def test_the_accuracy_is_that_of_the_pasted_image(run, tmp_path):
    """Of Pillow's own pasting, image by image, and not only of our arithmetic."""
    said = overlay.write(Wanted(str(run)), tmp_path / "häuser [1]" / "o.png")
    picture = Image.open(tmp_path / "häuser [1]" / "o.png")
    about = json.loads(picture.text["vp_jax"])
    assert picture.mode == "RGBA" and picture.size == (8, 8)
    assert (about["canvas"], about["inner"], about["short_side"]) == (8, 4, 4)
    assert set(np.unique(np.asarray(picture)[..., 3])) == {0, 255}
    result = json.loads((run / "result.json").read_text())
    assert about["run_test_accuracy"] == result["test_accuracy"]
    assert f"{about['test_accuracy']:.1%}" in said and about["test_examples"] == 500
    assert about["test_accuracy"] > 0.3  # so that it says something
    test = data.load_task("digits", resize=ResizeRule(4)).test
    plain = vp_jax.load(run, backbone=own_backbone.make())
    plain = dataclasses.replace(plain, prompt=prompts.parse("normalize"), parts=unprompted(plain))
    canvas = np.zeros((len(test), 8, 8, 3), np.uint8)
    canvas[:, 2:6, 2:6] = np.asarray(test.images)
    pasted = [
        Image.alpha_composite(Image.fromarray(x).convert("RGBA"), picture).convert("RGB")
        for x in canvas
    ]
    found = plain.probabilities(np.stack([np.asarray(x) for x in pasted])).argmax(1)
    assert np.mean(found == np.asarray(test.labels)) == pytest.approx(about["test_accuracy"])


def unprompted(classifier):
    return {name: x for name, x in classifier.parts.items() if name != "prompt"}


def test_absent_data_are_said_and_no_number_is_made_up(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    settings = json.loads((copy / "config.json").read_text())
    settings["task"] |= {"name": "usps", "data_dir": str(tmp_path / "gone.npz")}
    (copy / "config.json").write_text(json.dumps(settings))
    said = overlay.write(Wanted(str(copy)), tmp_path / "o.png")
    about = json.loads(Image.open(tmp_path / "o.png").text["vp_jax"])
    assert about["test_accuracy"] is None and "gone.npz" in about["not_measured"]
    assert "was not measured" in said and "%" not in said


def test_what_is_no_overlay_is_refused(tmp_path):
    runs.train(quick(**{"task.shots": 4, "epochs": 1}), tmp_path / "run", own_backbone.make())
    with pytest.raises(UserError, match="adds to 48 pixels"):
        overlay.write(Wanted(str(tmp_path / "run")), tmp_path / "o.png")
    assert not (tmp_path / "o.png").exists()
