"""Prompts of several prompts go the whole way: train, evaluate, resume, predict, many at once."""

import shutil

import jax
import numpy as np
import own_backbone
import pytest
from own_backbone import SIZE, WIDTH, quick

import vp_jax
from vp_jax import many, prompts, runs
from vp_jax.errors import UserError
from vp_jax.records.checkpoints.manager import Checkpoints
from vp_jax.records.metrics import read_metrics

pytestmark = pytest.mark.slow

OFTEN = {
    "checkpoint_every_steps": 7,
    "log_every_steps": 5,
    "epochs": 1,
    "optimizer.learning_rate": 0.1,
}
PLAIN = "normalize | pad(2)"


def arrays(folder):
    checkpoints = Checkpoints(folder / "checkpoints")
    found = {step: checkpoints.arrays(step) for step in checkpoints.steps()}
    checkpoints.close()
    return found


def trained(folder, **changes):
    return runs.train(quick(**{**OFTEN, **changes}), folder, own_backbone.make())


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    return trained(folder, prompt=PLAIN), arrays(folder)


@pytest.mark.parametrize(
    "text", ["ensemble(pad(2), 1)", "cluster(pad(2), 1)", "within(pad(2), 1e9)"]
)
def test_at_the_limit_a_run_is_that_of_the_prompt_itself(text, plain, tmp_path):
    prompt = f"{text} | normalize" if "within" in text else f"normalize | {text}"
    result = trained(tmp_path, prompt=prompt)
    other, expected = plain
    if "within" in text:
        other = trained(tmp_path / "before", prompt="pad(2) | normalize")
        expected = arrays(tmp_path / "before")
    assert result["trainable_parameters"] == other["trainable_parameters"]
    assert result["test_accuracy"] == other["test_accuracy"]
    step = other["steps"]
    found = arrays(tmp_path)[step]
    for name, array in expected[step].items():
        if name.startswith("tuned"):
            np.testing.assert_allclose(found[name].reshape(array.shape), array, atol=1e-5)


def check_the_whole_way(folder, result, config):
    """Evaluation, what is loaded, and a run that goes on, all say the same."""
    backbone = own_backbone.make()
    assert runs.evaluate(folder, backbone=backbone)["test_accuracy"] == result["test_accuracy"]
    classifier = vp_jax.load(folder, backbone=backbone)
    images = np.random.default_rng(0).integers(0, 256, (5, SIZE, SIZE, 3), np.uint8)
    found = classifier.probabilities(images)
    assert found.shape == (5, 10)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    expected = arrays(folder)
    (folder / "result.json").unlink()
    for step in sorted(expected)[1:]:
        shutil.rmtree(folder / "checkpoints" / str(step))
    again = runs.train(config, folder, own_backbone.make())
    assert again["test_loss"] == result["test_loss"]
    for name, array in arrays(folder)[result["steps"]].items():
        np.testing.assert_array_equal(array, expected[result["steps"]][name])
    return classifier, images, found


def test_an_ensemble(tmp_path):
    config = quick(**OFTEN, prompt="ensemble(pad(2) | random_patch(2), 3, 'confidence')")
    result = runs.train(config, tmp_path, own_backbone.make())
    assert (tmp_path / "prompt.png").exists() and (tmp_path / "examples.png").exists()
    classifier, images, found = check_the_whole_way(tmp_path, result, config)
    assert classifier.prompted(images).shape == (5, 3, SIZE, SIZE, 3)
    assert classifier.prompted(images[0]).shape == (3, SIZE, SIZE, 3)
    assert classifier.picture().shape == (2 * SIZE, 2 * SIZE, 3)
    half = classifier.probabilities(images[:2])
    assert half.shape == (2, 10)


@pytest.mark.parametrize("head", ["iterative", "bayesian"])
def test_a_mapping_counts_every_view(head, tmp_path):
    result = trained(tmp_path, prompt="ensemble(pad(2), 2)", epochs=2, **{"head.name": head})
    assert result["zero_shot_test_accuracy"] is not None and result["test_loss"] < 3


def test_a_prompt_for_each_class(tmp_path):
    text = "normalize | class_wise(pad(2, init='zeros'), 10)"
    config = quick(**OFTEN, prompt=text, **{"head.calibrate": False})
    result = runs.train(config, tmp_path, own_backbone.make())
    rows = [row for row in read_metrics(tmp_path) if "train/loss" in row]
    assert rows[-1]["train/loss"] < rows[0]["train/loss"]
    classifier, images, found = check_the_whole_way(tmp_path, result, config)
    model, pixels = own_backbone.make(), images / np.float32(255)
    shares = []
    for number in range(10):
        own = jax.tree.map(lambda x, number=number: x[number], classifier.parts["prompt"][1])
        seen = prompts.pad(2).apply(own, (pixels - 0.5) / 0.5)
        logits = model.source_logits(model.params, model.apply(model.params, seen))[:, :10]
        shares.append(jax.nn.softmax(logits)[:, number])
    expected = np.stack(shares, axis=1)
    np.testing.assert_allclose(found, expected / expected.sum(axis=1, keepdims=True), atol=1e-5)
    with pytest.raises(UserError, match=r"class_wise\(pad\(2\), 9\) is for 9 classes, and digits"):
        trained(tmp_path / "other", prompt="class_wise(pad(2), 9)")


def test_clusters(tmp_path):
    text = f"normalize | cluster(generator({WIDTH}) | pad(2), 3, by='average')"
    config = quick(**OFTEN, prompt=text, **{"augment.flip": True})
    result = runs.train(config, tmp_path, own_backbone.make())
    every = arrays(tmp_path)
    centroids = [found["mapping.centroids.means"] for found in every.values()]
    assert len(every) > 1 and centroids[0].shape == (3, WIDTH)
    assert all((x == centroids[0]).all() for x in centroids) and np.ptp(centroids[0], axis=0).all()
    classifier, images, found = check_the_whole_way(tmp_path, result, config)
    np.testing.assert_array_equal(classifier.parts["centroids"]["means"], centroids[0])
    assert classifier.prompted(images).shape == (5, SIZE, SIZE, 3)
    with pytest.raises(UserError, match="so does cluster"):
        trained(tmp_path / "other", prompt="cluster(pad(2), 2) | cluster(pad(1), 2)")


@pytest.mark.parametrize("text", ["ensemble(pad(2), 2)", "cluster(pad(2), 2)"])
def test_many_at_once_are_what_each_is_alone(text, tmp_path):
    members = [{"seed": 0}, {"seed": 1, "optimizer.learning_rate": 0.05}]
    sweep = many.train_many(
        quick(**OFTEN, prompt=text), members, tmp_path / "sweep", own_backbone.make()
    )
    result = trained(tmp_path / "1", prompt=text, **members[1])
    found = sweep["members"][1]
    assert found["test_accuracy"] == pytest.approx(result["test_accuracy"], abs=0.005)
    one, two = arrays(tmp_path / "sweep" / "1"), arrays(tmp_path / "1")
    for name, array in two[result["steps"]].items():
        np.testing.assert_allclose(one[result["steps"]][name], array, atol=1e-4, rtol=1e-4)


def test_penalties_are_in_the_loss_and_the_metrics(plain, tmp_path):
    heavy = {"penalties.tv": 10.0, "penalties.l2": 1.0, "penalties.visibility": 0.5}
    trained(tmp_path / "heavy", prompt=PLAIN, **heavy)
    (row, *_, last) = [x for x in read_metrics(tmp_path / "heavy") if "train/loss" in x]
    names = {f"train/penalty/{name.split('.')[1]}" for name in heavy}
    assert names <= row.keys() and last["train/penalty/tv"] < row["train/penalty/tv"]
    (found,) = [x for step, x in arrays(tmp_path / "heavy").items() if step == plain[0]["steps"]]
    free = plain[1][plain[0]["steps"]]
    assert np.abs(found["tuned.prompt.1.top"]).mean() < np.abs(free["tuned.prompt.1.top"]).mean()
    for changes, message in (
        ({"penalties.tv": -1.0}, "config.penalties.tv is -1.0; it must be at least 0"),
        ({"penalties.l2": 1.0, "tune": ("head",), "head.name": "linear"}, "and none trains"),
    ):
        with pytest.raises(UserError, match=message):
            trained(tmp_path / "wrong", **changes)
    many.train_many(
        quick(**OFTEN, prompt=PLAIN, **heavy), [{"seed": 0}, {"seed": 1}], tmp_path / "sweep",
        own_backbone.make(),
    )  # fmt: skip
    (first, *_) = [x for x in read_metrics(tmp_path / "sweep" / "0") if "train/loss" in x]
    assert first["train/penalty/l2"] == pytest.approx(row["train/penalty/l2"], rel=1e-4)


@pytest.mark.slow
def test_margins_teach_the_prompts_of_classes_of_other_classes(tmp_path):
    text = "normalize | class_wise(pad(2, init='zeros'), 10)"
    changes = {"prompt": text, "head.name": "frequency", "epochs": 4}
    without = trained(tmp_path / "without", **changes)
    members = [{"seed": 0}, {"seed": 1}]
    settings = quick(**{**OFTEN, **changes, "penalties.margins": 3.0})
    sweep = many.train_many(settings, members, tmp_path / "sweep", own_backbone.make())
    assert sweep["members"][0]["test_accuracy"] > without["test_accuracy"] + 0.1
    rows = [x for x in read_metrics(tmp_path / "sweep" / "0") if "train/loss" in x]
    losses = [row["train/penalty/margins"] for row in rows]
    assert -0.3 < np.mean(losses[-3:]) < np.mean(losses[:3])
    with pytest.raises(UserError, match="the penalty 'margins' is between the prompts of classes"):
        trained(tmp_path / "wrong", prompt=PLAIN, **{"penalties.margins": 1.0})
