"""What a run begins with: a fitted head, another run's prompt, the best way of showing images."""

import json

import numpy as np
import own_backbone
import pytest
from killing import dies_after
from own_backbone import quick

import vp_jax
from vp_jax import data, many, runs
from vp_jax.assembly import scan
from vp_jax.assembly.settings import plain
from vp_jax.data.images.resize_rule import ResizeRule
from vp_jax.errors import UserError
from vp_jax.records import workdir
from vp_jax.records.checkpoints.manager import Checkpoints
from vp_jax.records.finished import load_part
from vp_jax.records.metrics import read_metrics

pytestmark = pytest.mark.slow

LAYER = {
    "tune": ("prompt", "head"),
    "head.name": "linear",
    "start.head": True,
    "optimizer.learning_rate": 1e-3,
    "epochs": 1,
}
RESIDUAL = {**LAYER, "head.name": "residual", "head.base": "frequency"}


def train(folder, **changes):
    return runs.train(quick(**changes), folder, own_backbone.make())


def arrays(folder):
    checkpoints = Checkpoints(folder / "checkpoints")
    found = {step: checkpoints.arrays(step) for step in checkpoints.steps()}
    checkpoints.close()
    return found


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    changes = {"tune": ("head",), "head.name": "linear"}
    return train(tmp_path_factory.mktemp("start") / "probe", **changes)


def test_a_layer_begins_as_the_linear_probe(probe, tmp_path):
    """A prompt of zeros and no learning to speak of leave the probe as it is."""
    changes = {"prompt": "normalize | pad(2, init='zeros')", "optimizer.learning_rate": 1e-12}
    result = train(tmp_path / "run", **{**LAYER, **changes})
    assert result["val_accuracy"] == probe["val_accuracy"]
    assert result["test_accuracy"] == pytest.approx(probe["test_accuracy"], abs=0.003)
    assert result["best_step"] == 0 and result["steps"] == 19
    assert read_metrics(tmp_path / "run")[0]["step"] == 0
    classifier = vp_jax.load(tmp_path / "run", backbone=own_backbone.make())
    assert classifier.parts["head"]["kernel"].shape == (32, 10)


def test_a_residual_on_a_mapping_begins_fitted_and_is_loaded(tmp_path):
    base = {"tune": (), "head.name": "frequency"}
    before = train(tmp_path / "base", **base)
    result = train(tmp_path / "run", **RESIDUAL)
    assert result["zero_shot_test_accuracy"] == before["test_accuracy"]
    assert result["test_accuracy"] > before["test_accuracy"] + 0.1
    assert result["trainable_parameters"] == 2 * 3 * 2 * (8 + 8 - 2 * 2) + 100
    assert (tmp_path / "run" / "mapping.csv").exists()
    again = runs.evaluate(tmp_path / "run", backbone=own_backbone.make())
    assert again["test_accuracy"] == result["test_accuracy"]
    assert again["zero_shot_test_accuracy"] == result["zero_shot_test_accuracy"]
    classifier = vp_jax.load(tmp_path / "run", backbone=own_backbone.make())
    assert set(classifier.parts["head"]) == {"residual"}
    assert set(classifier.parts["base"]) == {"indices"}
    (folded,) = {p.shape for p in [classifier.parts["head"]["residual"]]}
    assert folded == (10, 10)


def test_killed_twice_and_started_again_it_ends_the_same(tmp_path, monkeypatch):
    changes = {**RESIDUAL, "checkpoint_every_steps": 8, "head.base": "iterative"}
    changes |= {"optimizer.average": 0.9, "epochs": 2, "optimizer.gradient.prompt": "unit"}
    expected = train(tmp_path / "whole", **changes)
    for step in (0, 8):
        with dies_after(step, monkeypatch):
            train(tmp_path / "cut", **changes)
    result = train(tmp_path / "cut", **changes)
    times = dict.fromkeys(("images_per_second", "wall_seconds"))
    assert {**result, **times} == {**expected, **times}
    one, two = arrays(tmp_path / "whole"), arrays(tmp_path / "cut")
    assert one.keys() == two.keys()
    for at in one:
        assert one[at].keys() == two[at].keys()
        assert all(np.array_equal(one[at][name], two[at][name]) for name in one[at])
    assert read_metrics(tmp_path / "whole") == read_metrics(tmp_path / "cut")


@pytest.mark.slow
def test_members_of_a_sweep_begin_as_their_own_runs(tmp_path):
    changes = {**LAYER, "optimizer.average": 0.5, "optimizer.gradient.prompt": "unit | clip(0.1)"}
    changes |= {"loss.label_smoothing": 0.1, "optimizer.learning_rates.stages": "pad=0.5"}
    members = [{"prompt": "normalize | pad(1)"}, {"prompt": "normalize | pad(2)", "seed": 1}]
    result = many.train_many(quick(**changes), members, tmp_path / "all", own_backbone.make())
    for i, member in enumerate(members):
        alone = train(tmp_path / str(i), **{**changes, **member})
        assert result["members"][i]["test_accuracy"] == pytest.approx(
            alone["test_accuracy"], abs=0.003
        )
        one, two = arrays(tmp_path / str(i)), arrays(tmp_path / "all" / str(i))
        assert one.keys() == two.keys()
        for at in one:
            for name, value in one[at].items():
                np.testing.assert_allclose(two[at][name], value, atol=1e-4, rtol=1e-4)


def test_a_prompt_begins_as_that_of_another_run(tmp_path):
    train(tmp_path / "first", epochs=1, prompt="normalize | pad(1)")
    there, _ = load_part(tmp_path / "first", "prompt")
    changes = {"start.from_run": str(tmp_path / "first"), "optimizer.learning_rate": 1e-12}
    for size in (1, 2):
        folder = tmp_path / str(size)
        train(folder, epochs=1, prompt=f"normalize | pad({size})", **changes)
        here, _ = load_part(folder, "prompt")
        np.testing.assert_allclose(here["1.top"][:1], there["1.top"], atol=1e-6)
        assert (np.abs(here["1.top"][1:, 2:-2]) < 1e-9).all()  # and what it has learned since
    with pytest.raises(UserError, match="stages of the same names"):
        train(tmp_path / "other", prompt="full | normalize", **changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"start.head": True}, "one of linear, fully_connected, residual"),
        ({**LAYER, "tune": ("head",)}, "gives already"),
        ({**RESIDUAL, "start.head": False, "tune": ("prompt",)}, "would stay as it begins"),
        ({**RESIDUAL, "head.base": "linear"}, "unknown value of config.head.base 'linear'"),
        ({**RESIDUAL, "head.base": "text"}, "'text' needs a CLIP.*--config.head.base=first_k"),
        ({"optimizer.average": 1.0}, r"config.optimizer.average is 1.0; it must be in \[0, 1\)"),
        ({"loss.label_smoothing": 1.5}, "config.loss.label_smoothing is 1.5"),
        ({"optimizer.gradient.prompt": "units"}, "did you mean 'unit'"),
        ({"optimizer.learning_rates.stages": "pat=1"}, "did you mean 'pad'"),
        ({"start.from_run": "nowhere"}, "nowhere holds no run"),
    ],
)
def test_mistakes(changes, words, tmp_path):
    with pytest.raises(UserError, match=words):
        train(tmp_path / "run", **changes)
    assert not (tmp_path / "run" / "result.json").exists()


def test_a_scan_takes_the_most_likely_start_and_is_kept(tmp_path, capsys):
    changes = {"start.scan": True, "start.scan_images": 200, "epochs": 1}
    result = train(tmp_path / "run", prompt="normalize | pad(1)", **changes)
    kept = json.loads((tmp_path / "run" / "scan.json").read_text())
    best = max(kept["tried"], key=lambda row: row["likelihood"])
    assert result["prompt"] == kept["chosen"]
    assert kept["chosen"].startswith(best["start"] or "normalize")
    assert kept["chosen"].endswith("normalize | pad(1)")
    assert "<- taken" in capsys.readouterr().err
    assert len(kept["tried"]) == 8
    assert train(tmp_path / "run", prompt="normalize | pad(1)", **changes) == result
    with pytest.raises(UserError, match="holds the scan of the prompt"):
        train(tmp_path / "run", prompt="normalize | pad(2)", **changes)
    assert vp_jax.load(tmp_path / "run", backbone=own_backbone.make()).prompt is not None


def test_a_scan_keeps_out_of_folders_that_are_not_its_own(tmp_path, monkeypatch):
    """Of a run that trains there now, and of one with other settings: nothing is tried or left."""
    monkeypatch.setattr(scan, "scan", lambda *_: pytest.fail("images were looked at"))
    changes = {"start.scan": True, "prompt": "normalize | pad(1)"}
    held = tmp_path / "held"
    with workdir.hold(held), pytest.raises(UserError, match="another process is training in"):
        train(held, **changes)
    other = tmp_path / "other"
    workdir.write_json(other / "config.json", plain(quick(seed=5)))
    with pytest.raises(UserError, match="belongs to another run: .*seed is 5 there"):
        train(other, **changes)
    assert not list(tmp_path.glob("*/scan.json"))


@pytest.mark.slow
def test_a_teacher_is_asked_once_and_learned_from(tmp_path, monkeypatch):
    """All of the loss its own: a prompt that learns from a probe comes nearer to it."""
    clip = {"backbone.name": "clip_tiny", "head.templates": ("{}",), "head.name": "text"}
    clip |= {"prompt": "normalize | pad(4, init='zeros')", "optimizer.learning_rate": 10.0}
    probe = {**clip, "tune": ("head",), "head.name": "linear"}
    runs.train(quick(**probe), tmp_path / "teacher")
    changes = {"loss.teacher": str(tmp_path / "teacher"), "loss.teacher_share": 1.0}
    result = runs.train(quick(**clip, **changes), tmp_path / "student")
    assert result["test_accuracy"] > result["zero_shot_test_accuracy"] + 0.1
    losses = [
        row["train/loss"] for row in read_metrics(tmp_path / "student") if "train/loss" in row
    ]
    assert losses[-1] < losses[0]
    with pytest.raises(UserError, match="answers once for each training image"):
        runs.train(quick(**clip, **changes, **{"augment.flip": True}), tmp_path / "flipped")
    names = {"task.class_names": tuple("abcdefghij")}
    with pytest.raises(UserError, match="takes a run on the same classes"):
        runs.train(quick(**clip, **changes, **names), tmp_path / "named")


CLIP = {
    "backbone.name": "clip_small",
    "head.name": "text",
    "head.templates": ("{}",),
    "prompt": "normalize | pad(4, init='zeros')",
    "epochs": 1,
    "task.shots": 8,
    "batch_size": 40,
}


@pytest.mark.slow
def test_descriptions_are_read_and_loaded_without_their_file(tmp_path):
    """One text a class, that of the template, is the head `text`; a residual stands on several."""
    names = data.load_task("digits", resize=ResizeRule(8)).class_names
    one, many_texts = tmp_path / "one.json", tmp_path / "many.json"
    one.write_text(json.dumps({name: [name] for name in names}))
    kinds = {name: {"a": [name, f"a {name}"], "b": [name]} for name in names}
    many_texts.write_text(json.dumps(kinds))
    text = runs.train(quick(**CLIP), tmp_path / "text")
    changes = {"head.name": "descriptions", "head.descriptions": str(one)}
    found = runs.train(quick(**{**CLIP, **changes}), tmp_path / "described")
    for name in ("test_accuracy", "test_loss", "zero_shot_test_accuracy"):
        assert found[name] == pytest.approx(text[name], rel=1e-4)
    changes = {"head.name": "residual", "head.base": "descriptions", "tune": ("prompt", "head")}
    changes |= {"head.descriptions": str(many_texts), "optimizer.learning_rates.head": 1e-3}
    changes |= {"start.head": True}
    runs.train(quick(**{**CLIP, **changes}), tmp_path / "residual")
    images = data.load_task("digits", resize=ResizeRule(32)).test.images[:5]
    before = vp_jax.load(tmp_path / "residual").probabilities(images)
    many_texts.unlink()
    np.testing.assert_array_equal(vp_jax.load(tmp_path / "residual").probabilities(images), before)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "are no JSON"),
        ("[]", "must be of the form"),
        ('{"zero": ["a"]}', "have no texts of 9 of the 10 classes: 'one'"),
        ('{"zero": []}', "have no texts of 9"),
    ],
)
def test_descriptions_of_another_form(content, words, tmp_path):
    (tmp_path / "d.json").write_text(content)
    changes = {"head.name": "descriptions", "head.descriptions": str(tmp_path / "d.json")}
    with pytest.raises(UserError, match=words):
        runs.train(quick(**{**CLIP, **changes}), tmp_path / "run")


def test_with_the_gradient_of_evp_only_the_frame_is_moved(tmp_path):
    """A step is as long as the learning rate, less what the middle has of the gradient."""
    changes = {"prompt": "shrink(24) | full(init='zeros') | normalize", "optimizer.momentum": 0.0}
    changes |= {"optimizer.gradient.prompt": "unit | frame(4)", "schedule.name": "constant"}
    changes |= {"optimizer.learning_rate": 3.0, "batch_size": 80}
    result = runs.train(quick(**{**CLIP, **changes}), tmp_path / "run")
    prompt, _ = load_part(tmp_path / "run", "prompt")
    delta = prompt["1.delta"]
    assert result["steps"] == 1 and not delta[4:-4, 4:-4].any()
    assert 0.5 < np.linalg.norm(delta) < 3.0
