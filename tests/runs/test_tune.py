"""Every set of parts that may train, on a small CLIP and on a backbone of one's own."""

import json
import shutil

import jax
import numpy as np
import own_backbone
import pytest
from own_backbone import quick

from vp_jax import backbones, runs
from vp_jax.errors import UserError
from vp_jax.records.checkpoints.manager import Checkpoints

pytestmark = pytest.mark.slow


def clip(tune, **changes):
    """One epoch of the small CLIP, 16 images a class."""
    settings = {
        "tune": tune,
        "backbone.name": "clip_small",
        "head.name": "text",
        "head.templates": ("{}",),
        "prompt": "normalize | pad(4)",
        "task.shots": 16,
        "batch_size": 16,
        "epochs": 1,
        "optimizer.learning_rate": 1e-3,
        **changes,
    }
    return quick(**settings)


def arrays(folder):
    checkpoints = Checkpoints(folder / "checkpoints")
    found = checkpoints.arrays(checkpoints.steps()[-1])
    checkpoints.close()
    return found


COMBINATIONS = {
    "prompt": clip(("prompt",)),
    "head": clip(("head",)),
    "prompt_head": clip(("prompt", "head")),
    "backbone_head": clip(("backbone", "head"), **{"optimizer.name": "adamw"}),
    "everything": clip(("prompt", "backbone", "head"), **{"optimizer.learning_rates.prompt": 1.0}),
    "prompt_linear": clip(("prompt", "head"), **{"head.name": "linear"}),
    "linear_by_steps": clip(("head",), **{"head.name": "linear", "head.solver": "sgd"}),
    "probe": clip(("head",), **{"head.name": "linear", "task.shots": 0, "batch_size": 64}),
}
KEYS = """
    task backbone backbone_fingerprint prompt head tune seed classes train_examples val_examples
    test_examples skipped_examples steps best_step selected_on trainable_parameters
    zero_shot_test_accuracy val_accuracy test_accuracy test_loss images_per_second wall_seconds
    checkpoint_bytes metric zero_shot_test_metric val_metric test_metric pipeline class_names
    class_keys data_changes versions temperature test_calibration_error_before
    test_calibration_error
"""
CHANGING = ("wall_seconds", "images_per_second")


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    config, folder = COMBINATIONS["probe"], tmp_path_factory.mktemp("probe") / "run"
    return config, runs.train(config, folder), folder


@pytest.fixture(scope="module", params=COMBINATIONS)
def finished(request, tmp_path_factory):
    if request.param == "probe":
        return request.getfixturevalue("probe")
    folder = tmp_path_factory.mktemp(request.param) / "run"
    config = COMBINATIONS[request.param]
    return config, runs.train(config, folder), folder


def test_the_same_result_whatever_trains(finished):
    config, result, folder = finished
    assert json.loads((folder / "result.json").read_text()) == result
    assert result["tune"] == list(config.tune)
    assert set(result) == set(KEYS.split())
    assert 0 < result["test_accuracy"] <= 1 and 0 < result["val_accuracy"] <= 1
    assert (folder / "prompt.png").exists() == ("prompt" in config.tune)
    assert (result["prompt"] is None) == ("prompt" not in config.tune)
    assert result["zero_shot_test_accuracy"] == pytest.approx(0.15, abs=0.003)


def test_a_checkpoint_holds_the_tuned_parts_only(finished):
    config, result, folder = finished
    found = arrays(folder)
    tuned = {key: x for key, x in found.items() if key.startswith("tuned.")}
    assert {key.split(".")[1] for key in tuned} == set(config.tune)
    assert sum(x.size for x in tuned.values()) == result["trainable_parameters"]
    rest = {key.split(".")[0] for key in found.keys() - tuned.keys()}
    assert rest <= {"step", "opt_state", "key", "sums", "failed_step"}
    if "backbone" in config.tune:
        assert not any("text" in key.split(".")[2] for key in tuned if "backbone" in key)
    else:
        assert sum(x.nbytes for x in found.values()) < 50_000


def test_evaluation_gives_the_accuracies_of_the_result(finished):
    _, result, folder = finished
    again = runs.evaluate(folder)
    for name in ("test_accuracy", "zero_shot_test_accuracy"):
        assert again[name] == result[name]


def test_a_run_that_lost_its_end_ends_the_same(finished, tmp_path):
    config, expected, folder = finished
    cut = tmp_path / "cut"
    shutil.copytree(folder, cut)
    (cut / "result.json").unlink()
    for step in (cut / "checkpoints").iterdir():
        shutil.rmtree(step)
    result = runs.train(config, cut)
    drop = {**dict.fromkeys(CHANGING)}
    assert {**result, **drop} == {**expected, **drop}
    one, two = arrays(folder), arrays(cut)
    assert one.keys() == two.keys() and all(np.array_equal(one[k], two[k]) for k in one)


def check_resuming(config, folder, backbone=None):
    """A run whose end is lost goes on from the checkpoint before to the same arrays."""
    expected = runs.train(config, folder / "whole", backbone)
    shutil.copytree(folder / "whole", folder / "cut")
    (folder / "cut" / "result.json").unlink()
    shutil.rmtree(folder / "cut" / "checkpoints" / str(expected["steps"]))
    runs.train(config, folder / "cut", backbone)
    one, two = arrays(folder / "whole"), arrays(folder / "cut")
    assert one.keys() == two.keys() and all(np.array_equal(one[k], two[k]) for k in one)


def test_resuming_in_the_middle_is_exact(tmp_path):
    config = clip(
        ("prompt", "backbone", "head"),
        **{
            "checkpoint_every_steps": 7,
            "optimizer.name": "adam",
            "augment.flip": True,
            "augment.crop_scale": 0.6,
        },
    )
    check_resuming(config, tmp_path)


def test_an_optimiser_that_draws_noise_goes_on_with_it(tmp_path):
    """Its state holds a random key, which no NumPy array can."""
    config = quick(**{"optimizer.name": "noisy_sgd", "checkpoint_every_steps": 7})
    check_resuming(config, tmp_path, own_backbone.make())


@pytest.mark.parametrize("head", ["text", "linear"])
def test_fine_tuning_a_clip_starts_from_its_text_features(head, tmp_path):
    """With a vanishing learning rate the tuned model is the zero-shot one."""
    changes = {"optimizer.learning_rate": 1e-12, "head.name": head}
    result = runs.train(clip(("backbone", "head"), **changes), tmp_path / "run")
    zero_shot = runs.train(clip(()), tmp_path / "zero_shot")
    assert result["test_accuracy"] == result["zero_shot_test_accuracy"]
    assert result["test_accuracy"] == pytest.approx(zero_shot["test_accuracy"], abs=0.003)
    assert result["test_loss"] == pytest.approx(zero_shot["test_loss"], rel=0.05)


def test_a_random_linear_layer_has_no_zero_shot_accuracy(tmp_path):
    changes = {"head.name": "linear", "head.init": "random"}
    result = runs.train(clip(("prompt", "head"), **changes), tmp_path / "run")
    assert result["zero_shot_test_accuracy"] is None and result["test_accuracy"] > 0
    assert (tmp_path / "run" / "examples.png").exists()
    assert runs.evaluate(tmp_path / "run")["zero_shot_test_accuracy"] is None


def test_every_part_has_its_own_learning_rate(tmp_path):
    rates = {"optimizer.learning_rates.backbone": 1e-12, "optimizer.learning_rates.head": 0.1}
    config = clip(("backbone", "head"), **rates)
    runs.train(config, tmp_path / "run")
    found, before = arrays(tmp_path / "run"), backbones.load("clip_small").params["visual"]
    kernel = found["tuned.backbone.visual.proj.kernel"]
    np.testing.assert_allclose(kernel, before["proj"]["kernel"], atol=1e-6)
    features = found["tuned.head.text_features"]
    assert np.abs(np.linalg.norm(features, axis=1) - 1).max() > 1e-3
    row = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0])
    assert {"learning_rate/head", "learning_rate/backbone"} <= row.keys()
    assert row["learning_rate/head"] == pytest.approx(0.1 / 1e-12 * row["learning_rate/backbone"])


def test_a_linear_probe_beats_the_zero_shot_model_and_is_written_down(probe):
    _, result, folder = probe
    assert result["test_accuracy"] > 0.8
    assert result["trainable_parameters"] == 32 * 10 + 10
    rows = [json.loads(r) for r in (folder / "metrics.jsonl").read_text().splitlines()]
    assert max(r["val/accuracy"] for r in rows) == pytest.approx(result["val_accuracy"], abs=1e-6)
    assert len({r["probe/c"] for r in rows}) == len(rows) >= 7
    assert not (folder / "features").exists()


def test_a_probe_that_was_killed_does_not_compute_its_features_again(probe, tmp_path, monkeypatch):
    from vp_jax.heads.fit import linear_probe

    _, expected, _ = probe
    fit = linear_probe._solve
    calls = []

    def dies(*args):
        calls.append(args)
        if len(calls) > 3:
            raise KeyboardInterrupt
        return fit(*args)

    monkeypatch.setattr(linear_probe, "_solve", dies)
    with pytest.raises(KeyboardInterrupt):
        runs.train(COMBINATIONS["probe"], tmp_path / "cut")
    monkeypatch.setattr(linear_probe, "_solve", fit)

    def refuse(*args, **kwargs):
        raise AssertionError("features are computed again")

    monkeypatch.setattr(
        "vp_jax.training.fitting.features.make_compute", lambda *args: lambda *args: refuse()
    )
    result = runs.train(COMBINATIONS["probe"], tmp_path / "cut")
    drop = dict.fromkeys(CHANGING)
    assert {**result, **drop} == {**expected, **drop}


def test_a_prompt_on_top_of_a_finished_probe(probe, tmp_path):
    _, probe, folder = probe
    start = {"head.name": "linear", "head.from_run": str(folder)}
    still = clip(
        ("prompt",),
        **start,
        **{"prompt": "normalize | pad(4, init='zeros')", "optimizer.learning_rate": 1e-9},
    )
    result = runs.train(still, tmp_path / "still")
    assert result["zero_shot_test_accuracy"] == probe["test_accuracy"] == result["test_accuracy"]
    both = clip(("backbone", "head"), **start, **{"optimizer.learning_rate": 1e-9})
    assert runs.train(both, tmp_path / "both")["test_accuracy"] == probe["test_accuracy"]
    assert runs.evaluate(tmp_path / "still")["test_accuracy"] == probe["test_accuracy"]


def test_a_head_of_another_run_that_does_not_fit(tmp_path):
    own, probe = own_backbone.make(), {"tune": ("head",), "head.name": "linear"}
    runs.train(quick(**probe), tmp_path / "own", own)
    runs.train(quick(), tmp_path / "prompt", own)
    for folder, words in (
        ("own", r"was trained on own:sha256:\w+, this run's backbone is clip_small:sha256"),
        ("prompt", r"trained prompt, not a head"),
        ("nothing", r"holds no run of vp_jax"),
    ):
        start = {"head.name": "linear", "head.from_run": str(tmp_path / folder)}
        with pytest.raises(UserError, match=words):
            runs.train(clip(("prompt",), **start), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    text = {"head.name": "fully_connected", "head.from_run": str(tmp_path / "own")}
    with pytest.raises(UserError, match="another kind of head or another number of classes"):
        runs.train(quick(**text), tmp_path / "run", own)


@pytest.mark.parametrize("name", ["fully_connected", "linear"])
def test_layers_on_a_backbone_of_ones_own(name, tmp_path):
    config = quick(**{"head.name": name, "tune": ("prompt", "head", "backbone")})
    config.optimizer.learning_rate = 0.01
    result = runs.train(config, tmp_path / "run", own_backbone.make())
    assert result["test_accuracy"] > 0.3
    assert (tmp_path / "run" / "mapping.csv").exists() == (name == "fully_connected")
    used = {k.split(".")[3] for k in arrays(tmp_path / "run") if "tuned.backbone" in k}
    assert used == {"first", "second"}


def test_weight_decay_spares_vectors():
    from vp_jax.assembly.parts.optimizer import make_optimizer, make_schedules

    config = clip(("backbone",), **{"optimizer.name": "adamw", "optimizer.weight_decay": 0.5})
    config.schedule.name = "constant"
    optimizer = make_optimizer(config, make_schedules(config, 10))
    params = {"backbone": {"kernel": np.ones((2, 2), np.float32), "bias": np.ones(2, np.float32)}}
    zeros = jax.tree.map(np.zeros_like, params)
    updates, _ = optimizer.update(zeros, optimizer.init(params), params)
    assert (updates["backbone"]["bias"] == 0).all() and (updates["backbone"]["kernel"] < 0).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tune": ("prompt", "prompt")}, "names a part twice"),
        ({"tune": ("head",), "head.name": "iterative"}, "'iterative' is refitted by counting"),
        ({"tune": ("head",), "head.name": "first_k"}, "'first_k' is fixed, not trained"),
        ({"head.name": "linear"}, "would keep its random initial values.*from_run"),
        ({"head.from_run": "runs/x"}, "'first_k' has nothing that is trained"),
        ({"head.name": "fixed"}, r"needs --config.head.table"),
        ({"tune": ("head",), "head.name": "linear", "head.init": "text"}, "has no text tower"),
        ({"head.init": "zeros"}, "unknown value of config.head.init 'zeros'"),
        ({"head.solver": "newton"}, "unknown value of config.head.solver 'newton'"),
        ({"backbone.source": "timm"}, "unknown value of config.backbone.source 'timm'"),
        ({"optimizer.learning_rates.head": -1.0}, r"learning_rates.head is -1.0"),
        ({"augment.crop_scale": 0.0}, "crop_scale"),
        (
            {"tune": ("head",), "head.name": "linear", "augment.flip": True},
            "augment has no meaning for a linear probe.*solver=sgd",
        ),
        ({"head.name": "bayesian", "head.smoothing": -1.0}, "smoothing"),
        ({"task.test_fraction": 1.5}, "test_fraction is 1.5"),
    ],
    ids=lambda x: ",".join(f"{k}={v}" for k, v in x.items()) if isinstance(x, dict) else "",
)
def test_settings_that_cannot_work_are_refused(changes, words, tmp_path):
    with pytest.raises(UserError, match=words):
        runs.train(quick(**changes), tmp_path / "run", own_backbone.make())
    assert not (tmp_path / "run").exists()
