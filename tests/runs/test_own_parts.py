"""Runs that are made of parts in Python, without settings."""

import json
import pathlib
import shutil

import jax
import numpy as np
import optax
import own_backbone
import pytest

import vp_jax
from vp_jax import backbones, data, heads, prompts, runs
from vp_jax.errors import UserError
from vp_jax.host.interrupts import Interrupted
from vp_jax.records.finished import load_part

LOOP = runs.LoopSettings(epochs=2, batch_size=64, log_every_steps=1, checkpoint_every_steps=5)


@pytest.fixture(scope="module")
def digits():
    return runs.load_task("digits", own_backbone.make())


def parts(digits, **changes):
    """Two epochs on the digits behind a small classifier, with an optimiser of one's own."""
    rate = optax.linear_schedule(1.0, 0.1, 20)
    given = {
        "backbone": own_backbone.make(),
        "task": digits,
        "prompt": prompts.chain(prompts.normalize(), prompts.pad(2)),
        "head": heads.first_k(),
        "optimizer": optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(rate, 0.9)),
        "loop": LOOP,
        **changes,
    }
    return runs.experiment(**given)


@pytest.fixture(scope="module")
def finished(digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts") / "run"
    return runs.train(parts(digits), folder), folder


def test_the_result_has_what_is_known_instead_of_settings(finished, digits):
    result, folder = finished
    assert json.loads((folder / "result.json").read_text()) == result
    assert (result["task"], result["backbone"], result["head"]) == ("digits", "own", "first_k")
    assert result["prompt"] == "normalize | pad(2)" and result["tune"] == ["prompt"]
    assert result["steps"] == 2 * -(-len(digits.train) // 64)
    assert result["zero_shot_test_accuracy"] is not None and 0 < result["test_accuracy"] <= 1
    for name in ("prompt.png", "curves.png", "examples.png", "mapping.csv"):
        assert (folder / name).stat().st_size > 100
    kept = json.loads((folder / "config.json").read_text())
    assert kept["prompt"] == "normalize | pad(2)" and kept["epochs"] == 2
    assert kept["head"] == {"name": "first_k"} and kept["backbone"] == {"name": "own"}


@pytest.mark.slow
def test_it_is_the_run_that_its_settings_make(finished, tmp_path):
    """The same arithmetic: parameters are equal, bit for bit."""
    settings = own_backbone.quick(
        **{"optimizer.momentum": 0.9, "schedule.name": "constant", "optimizer.learning_rate": 0.5}
    )
    by_settings = runs.train(settings, tmp_path / "settings", own_backbone.make())
    backbone = own_backbone.make()
    made = runs.experiment(
        backbone=backbone,
        task=runs.load_task("digits", backbone),
        prompt=prompts.parse(settings.prompt),
        head=heads.first_k(),
        optimizer=optax.sgd(optax.constant_schedule(0.5), 0.9),
        loop=runs.LoopSettings(epochs=2, batch_size=64),
    )
    by_parts = runs.train(made, tmp_path / "parts")
    one, _ = load_part(tmp_path / "settings", "prompt")
    two, _ = load_part(tmp_path / "parts", "prompt")
    assert one.keys() == two.keys() and len(one)
    jax.tree.map(np.testing.assert_array_equal, one, two)
    times = {"images_per_second", "wall_seconds"}
    assert {k: v for k, v in by_parts.items() if k not in times} == {
        k: v for k, v in by_settings.items() if k not in times
    }


def test_evaluation_gives_the_accuracies_of_the_result(finished, digits):
    result, folder = finished
    again = runs.evaluate(folder, experiment=parts(digits))
    for name in ("test_accuracy", "zero_shot_test_accuracy", "task", "backbone", "tune"):
        assert again[name] == result[name]
    assert again["step"] == result["best_step"]
    with pytest.raises(UserError, match=r"made in Python, of parts.*experiment="):
        runs.evaluate(folder)


def test_it_is_loaded_with_its_parts(finished, digits):
    result, folder = finished
    classifier = vp_jax.load(folder, experiment=parts(digits))
    found = classifier.probabilities(np.asarray(digits.test.images[:]))
    assert (found.argmax(axis=1) == digits.test.labels).mean() == result["test_accuracy"]
    with pytest.raises(UserError, match=r"made in Python, of parts.*vp_jax.load"):
        vp_jax.load(folder)


def test_a_finished_run_is_not_repeated(finished, digits, capsys):
    result, folder = finished
    assert runs.train(parts(digits), folder) == result
    assert "this run is finished" in capsys.readouterr().err


@pytest.mark.slow
def test_an_interrupted_run_goes_on(finished, digits, tmp_path, monkeypatch):
    """As one that was never stopped, bit for bit."""
    from vp_jax.training import loop as loop_lib

    save = loop_lib.Loop.save

    def save_and_stop(self):
        save(self)
        if self.step >= 15:
            monkeypatch.setattr(loop_lib.Loop, "save", save)
            self.checkpoints.wait()
            raise Interrupted("a test", 1)

    monkeypatch.setattr(loop_lib.Loop, "save", save_and_stop)
    with pytest.raises(Interrupted):
        runs.train(parts(digits), tmp_path / "run")
    assert not (tmp_path / "run" / "result.json").exists()
    result = runs.train(parts(digits), tmp_path / "run")
    expected, folder = finished
    assert result["test_accuracy"] == expected["test_accuracy"]
    one, _ = load_part(folder, "prompt")
    two, _ = load_part(tmp_path / "run", "prompt")
    jax.tree.map(np.testing.assert_array_equal, one, two)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"optimizer": optax.sgd(0.5)}, r"programs.optimizer is '\w+' there and '\w+' here"),
        ({"prompt": prompts.pad(3)}, r"prompt is 'normalize \| pad\(2\)' there and 'pad\(3\) "),
        ({"head": heads.random()}, "head.name is 'first_k' there and 'random' here"),
        ({"backbone": own_backbone.make(seed=1)}, r"parts.backbone is 'own:sha256:\w+' there and"),
        ({"loop": runs.LoopSettings(epochs=3, batch_size=64)}, "epochs is 2 there and 3 here"),
        ({"seed": 1}, "seed is 0 there and 1 here"),
    ],
    ids=lambda x: next(iter(x)) if isinstance(x, dict) else "",
)
def test_other_parts_are_refused_by_name(finished, digits, changes, words):
    _, folder = finished
    with pytest.raises(UserError, match=words):
        runs.train(parts(digits, **changes), folder)


def test_programs_of_another_version_of_jax_are_not_compared(finished, digits, tmp_path):
    result, folder = finished
    shutil.copytree(folder, tmp_path / "run")
    kept = json.loads((tmp_path / "run" / "config.json").read_text())
    kept["programs"] = {"jax": "0.1", "model": "other", "optimizer": "other"}
    (tmp_path / "run" / "config.json").write_text(json.dumps(kept))
    assert runs.train(parts(digits), tmp_path / "run") == result
    with pytest.raises(UserError, match="seed is 0 there and 1 here"):
        runs.train(parts(digits, seed=1), tmp_path / "run")


def test_settings_do_not_go_on_with_parts(finished):
    _, folder = finished
    with pytest.raises(UserError, match="belongs to another run: .*made_in is 'Python' there"):
        runs.train(own_backbone.quick(), folder, own_backbone.make())


def test_another_backbone_is_refused_by_the_checkpoints(finished, digits):
    _, folder = finished
    with pytest.raises(UserError, match=r" backbone is own:sha256:\w+ there and own:sha256"):
        runs.evaluate(folder, experiment=parts(digits, backbone=own_backbone.make(seed=1)))


@pytest.mark.slow
def test_prompt_and_head_each_with_an_optimizer_of_its_own(digits, tmp_path):
    optimizer = optax.partition(
        {"prompt": optax.sgd(1.0), "head": optax.adam(0.01)}, {"prompt": "prompt", "head": "head"}
    )
    made = parts(
        digits,
        head=heads.linear(),
        optimizer=optimizer,
        tune=("prompt", "head"),
        augment=data.make_augment(flip=True),
        schedule=optax.constant_schedule(0.125),
    )
    result = runs.train(made, tmp_path / "run")
    assert result["zero_shot_test_accuracy"] is None and result["tune"] == ["prompt", "head"]
    assert result["test_accuracy"] > 0.3
    rows = (tmp_path / "run" / "metrics.jsonl").read_text()
    assert '"learning_rate": 0.125' in rows


def test_nothing_trains(digits, tmp_path):
    made = parts(digits, tune=(), prompt=None, optimizer=None, head=heads.frequency())
    result = runs.train(made, tmp_path / "run")
    assert result["test_accuracy"] == result["zero_shot_test_accuracy"] > 0.2
    assert (
        runs.evaluate(tmp_path / "run", experiment=made)["test_accuracy"]
        == (result["test_accuracy"])
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tune": ("prompts",)}, "unknown part in tune 'prompts'; did you mean 'prompt'"),
        ({"prompt": None}, "the prompt normalize has no parameters"),
        ({"optimizer": None}, "there is no optimizer: give one of optax"),
        ({"optimizer": optax.lbfgs()}, "the optimizer fails on the parts prompt: it needs"),
        ({"tune": ("prompt", "head")}, "gradients do not train the head 'first_k'"),
        ({"loop": runs.LoopSettings(epochs=0, batch_size=64)}, "epochs is 0; it must be at least"),
        (
            {"loop": runs.LoopSettings(epochs=2.5, batch_size=64)},
            "epochs is 2.5; it must be a who",
        ),
        ({"seed": -1}, "seed is -1; it must be at least 0"),
        ({"prompt": prompts.pad(5)}, r"pad\(5\).*images of height 8"),
        ({"backbone": backbones.load("clip_tiny")}, "maps source classes, and clip_tiny has none"),
    ],
    ids=lambda x: next(iter(x)) if isinstance(x, dict) else "",
)
def test_parts_that_do_not_fit_are_refused_in_a_sentence(digits, changes, words):
    with pytest.raises(UserError, match=words):
        parts(digits, **changes)


def test_a_backbone_beside_an_experiment_is_refused(digits, tmp_path):
    with pytest.raises(UserError, match="has its backbone already"):
        runs.train(parts(digits), tmp_path / "run", own_backbone.make())
    assert not pathlib.Path(tmp_path / "run").exists()
