"""Output mappings through whole runs, on a backbone of one's own and real digits."""

import csv
import json
import shutil

import numpy as np
import own_backbone
import pytest
from own_backbone import quick

from vp_jax import heads, runs
from vp_jax.errors import UserError
from vp_jax.records.checkpoints.manager import Checkpoints

pytestmark = pytest.mark.slow

TABLE = (11, 10, 9, 8, 7, 6, 5, 4, 3, 2)
MAPPINGS = {
    "first_k": {},
    "fixed": {"head.table": TABLE},
    "random": {},
    "frequency": {},
    "iterative": {},
    "bayesian": {},
    "bayesian_plus": {},
}
REFITTED = ("iterative", "bayesian", "bayesian_plus")


def train(folder, name="iterative", **changes):
    return runs.train(quick(**{"head.name": name, **changes}), folder, own_backbone.make())


def arrays(folder, step=None):
    checkpoints = Checkpoints(folder / "checkpoints")
    found = checkpoints.arrays(step or checkpoints.steps()[-1])
    checkpoints.close()
    return found


@pytest.fixture(scope="module", params=MAPPINGS)
def finished(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param) / "run"
    result = train(folder, request.param, **MAPPINGS[request.param])
    return request.param, result, folder


def test_result(finished):
    name, result, folder = finished
    assert json.loads((folder / "result.json").read_text()) == result
    assert (result["head"], result["backbone"], result["tune"]) == (name, "own", ["prompt"])
    assert 0 < result["test_accuracy"] < 1 and 0 <= result["zero_shot_test_accuracy"] < 1
    assert (folder / "prompt.png").exists() and (folder / "examples.png").exists()


def test_the_mapping_in_force_is_in_the_checkpoint_and_readable(finished):
    name, result, folder = finished
    saved = {k: v for k, v in arrays(folder, result["best_step"]).items() if "mapping" in k}
    (key,) = saved
    with (folder / "mapping.csv").open() as file:
        rows = list(csv.DictReader(file))
    digits = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    assert list(dict.fromkeys(row["target class"] for row in rows)) == digits
    for label, digit in enumerate(digits):
        of_digit = {
            r["source class"]: float(r["weight"]) for r in rows if r["target class"] == digit
        }
        if key.endswith("indices"):
            assert of_digit == {f"source {saved[key][label]}": 1}
        else:
            assert len(of_digit) == np.count_nonzero(saved[key][:, label])
            for source, weight in of_digit.items():
                assert weight == pytest.approx(float(saved[key][int(source[7:]), label]), rel=1e-6)


def test_evaluation_gives_the_accuracies_of_the_result(finished):
    _, result, folder = finished
    again = runs.evaluate(folder, backbone=own_backbone.make())
    for name in ("test_accuracy", "zero_shot_test_accuracy"):
        assert again[name] == result[name]


@pytest.mark.parametrize("name", ["frequency", *REFITTED])
def test_a_run_that_lost_its_last_checkpoint_ends_the_same(name, tmp_path):
    """Counts of half an epoch, the mapping and the prompt all come back."""
    settings = {**MAPPINGS[name], "checkpoint_every_steps": 8}
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    expected = train(whole, name, **settings)
    shutil.copytree(whole, cut)
    (cut / "result.json").unlink()
    shutil.rmtree(cut / "checkpoints" / str(expected["steps"]))
    rows = (cut / "metrics.jsonl").read_text()
    result = train(cut, name, **settings)
    changing = ("wall_seconds", "images_per_second")
    assert {k: v for k, v in result.items() if k not in changing} == {
        k: v for k, v in expected.items() if k not in changing
    }
    one, two = arrays(whole), arrays(cut)
    assert one.keys() == two.keys()
    assert all(np.array_equal(one[k], two[k]) for k in one)
    assert (cut / "metrics.jsonl").read_text() == rows
    assert (cut / "mapping.csv").read_text() == (whole / "mapping.csv").read_text()


def source_logits(backbone, params, task):
    """What the unjitted parts give for the training images."""
    from vp_jax import prompts
    from vp_jax.data.images.preprocess import ResizeRule, preprocess

    x = (preprocess(task.train.images, ResizeRule(8)) - 0.5) / 0.5
    if params is not None:
        x = prompts.pad(2).apply(params, x)
    return np.asarray(backbone.classify(backbone.params, backbone.apply(backbone.params, x)))


def fitted(name, logits, labels):
    head = heads.by_name(name)
    counts = heads.zero_counts(12, 10)
    counts = heads.add_votes(counts, head.votes(logits, 10), labels, np.ones(len(labels)))
    return head.fit(np.asarray(counts))


@pytest.mark.parametrize("name", ["frequency", *REFITTED])
def test_the_untrained_mapping_is_fitted_to_unprompted_training_images(name, tmp_path):
    from vp_jax.assembly.parts.task import load_task

    backbone = own_backbone.make()
    config = quick(**{"head.name": name, "tune": ()})
    runs.train(config, tmp_path / "run", backbone)
    task = load_task(config, backbone)
    expected = fitted(name, source_logits(backbone, None, task), task.train.labels)
    rows = heads.mapping_rows(expected, backbone.source_classes, task.class_names)
    with (tmp_path / "run" / "mapping.csv").open() as file:
        found = [tuple(row.values()) for row in csv.DictReader(file)]
    assert [r[:2] for r in found] == [r[:2] for r in rows]
    np.testing.assert_allclose([float(r[2]) for r in found], [r[2] for r in rows], rtol=1e-4)


@pytest.mark.parametrize("name", REFITTED)
def test_the_second_pass_counts_with_the_prompt_of_the_epochs_end(name, tmp_path):
    """The second epoch's mapping is fitted to images with the prompt that the first ended with."""
    from vp_jax.assembly.parts.task import load_task

    result = train(tmp_path / "run", name, **{"head.second_pass": True})
    assert result["steps"] == 38
    backbone, found = own_backbone.make(), arrays(tmp_path / "run", 38)
    assert "counts" not in found
    prefix = "tuned.prompt.1."  # the second stage of normalize | pad(2)
    params = {k.removeprefix(prefix): v for k, v in arrays(tmp_path / "run", 19).items()}
    params = {k: v for k, v in params.items() if f"{prefix}{k}" in found}
    task = load_task(quick(), backbone)
    logits = source_logits(backbone, params, task)
    (expected,) = fitted(name, logits, task.train.labels).values()
    (saved,) = (v for k, v in found.items() if k.startswith("mapping.head."))
    np.testing.assert_allclose(saved, expected, atol=1e-4)


def test_counts_in_passing_are_those_of_the_steps_own_logits(tmp_path):
    """With one step an epoch they are the counts of the pass before that step."""
    one_step = {"batch_size": 2000, "epochs": 2}
    train(tmp_path / "passing", **one_step)
    (counted,) = (v for k, v in arrays(tmp_path / "passing", 1).items() if k == "counts")
    assert counted.sum() == 1167
    (first,) = (v for k, v in arrays(tmp_path / "passing", 1).items() if "mapping" in k)
    expected = heads.by_name("iterative").fit(counted)["indices"]
    (after,) = (v for k, v in arrays(tmp_path / "passing", 2).items() if "mapping" in k)
    assert list(after) == list(expected) == list(first)  # the prompt had not changed yet


@pytest.mark.parametrize("name", REFITTED)
def test_the_best_prompt_is_kept_with_the_mapping_it_was_trained_with(name, tmp_path):
    """A vanishing learning rate: the mapping of the first epoch is that of the initial prompt."""
    from vp_jax.assembly.parts.task import load_task

    changes = {
        "prompt": "normalize | pad(2, init='zeros')",
        "optimizer.learning_rate": 1e-9,
        "epochs": 1,
    }
    result = train(tmp_path / "run", name, **changes)
    assert result["test_accuracy"] == result["zero_shot_test_accuracy"]
    (saved,) = (v for k, v in arrays(tmp_path / "run").items() if k.startswith("mapping.head."))
    backbone = own_backbone.make()
    task = load_task(quick(), backbone)
    (expected,) = fitted(name, source_logits(backbone, None, task), task.train.labels).values()
    np.testing.assert_allclose(saved, expected, atol=1e-4)


@pytest.mark.parametrize("name", ["frequency", "iterative"])
def test_only_iterative_mappings_change_while_training(name, tmp_path):
    changes = {"optimizer.learning_rate": 20.0, "epochs": 3, "checkpoint_every_steps": 1}
    train(tmp_path / "run", name, **changes)
    found = arrays(tmp_path / "run")
    (after,) = (v for k, v in found.items() if k.startswith("mapping.head."))
    runs.train(quick(**{"head.name": name, "tune": ()}), tmp_path / "zero", own_backbone.make())
    with (tmp_path / "zero" / "mapping.csv").open() as file:
        before = [int(row["source class"][7:]) for row in csv.DictReader(file)]
    assert (list(after) == before) == (name == "frequency")


@pytest.mark.slow(seconds=5)
def test_more_classes_than_source_classes(tmp_path):
    few = own_backbone.make(sources=7)
    for name in ("first_k", "random", "frequency", "iterative"):
        with pytest.raises(UserError, match=r"10 .*7|7 .*10"):
            runs.train(quick(**{"head.name": name}), tmp_path / name, few)
        assert not (tmp_path / name).exists()
    for name in ("frequency", "iterative"):
        changes = {"head.name": name, "head.many_to_one": True}
        assert runs.train(quick(**changes), tmp_path / f"{name}_shared", few)["test_accuracy"] > 0
    assert runs.train(quick(**{"head.name": "bayesian"}), tmp_path / "b", few)["test_accuracy"] > 0


def test_a_head_of_zeros_is_refused(tmp_path):
    zero = own_backbone.make(zero_head=True)
    with pytest.raises(UserError, match=r"gradient.*prompt is exactly zero.*weights of own"):
        runs.train(quick(), tmp_path / "run", zero)
    assert not (tmp_path / "run" / "result.json").exists()


def test_a_table_of_a_finished_run_can_be_given_back(tmp_path):
    train(tmp_path / "first")
    path = str(tmp_path / "first" / "mapping.csv")
    result = train(tmp_path / "second", "fixed", **{"head.table": (path,)})
    assert result["head"] == "fixed"
    assert (tmp_path / "second" / "mapping.csv").read_text() == (
        tmp_path / "first" / "mapping.csv"
    ).read_text()


def test_names_in_a_table(tmp_path):
    names = tuple(f"source {i}" for i in TABLE)
    by_name = train(tmp_path / "names", "fixed", **{"head.table": names})
    by_number = train(tmp_path / "numbers", "fixed", **{"head.table": TABLE})
    assert by_name["test_accuracy"] == by_number["test_accuracy"]
    with pytest.raises(UserError, match="did you mean 'source 3'"):
        train(tmp_path / "wrong", "fixed", **{"head.table": ("source3",) * 10})


def test_semantic_mapping_compares_texts_of_another_backbone(tmp_path):
    changes = {"head.text_backbone": "clip_small", "head.templates": ("{}",)}
    result = train(tmp_path / "run", "semantic", **changes)
    assert result["test_accuracy"] > 0
    assert (tmp_path / "run" / "text_features.safetensors").exists()
    rows = list(csv.DictReader((tmp_path / "run" / "mapping.csv").open()))
    assert len({row["source class"] for row in rows}) == 10


@pytest.mark.slow
def test_counts_of_eight_devices_are_those_of_one(python, cpu_devices, tmp_path):
    """The mapping of a run does not depend on the number of devices."""
    import pathlib

    code = (
        f"import sys; sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r})\n"
        "import own_backbone\nfrom vp_jax import runs\n"
        "config = own_backbone.quick(**{'head.name': 'bayesian_plus', 'epochs': 1})\n"
        "runs.train(config, sys.argv[1], own_backbone.make())"
    )
    python("-c", code, tmp_path / "8", env=cpu_devices(8), check=True)
    train(tmp_path / "1", "bayesian_plus", epochs=1)
    one, eight = (arrays(tmp_path / devices) for devices in "18")
    assert one.keys() == eight.keys()
    for key in one:
        np.testing.assert_allclose(one[key], eight[key], atol=1e-4)


def test_heads_and_backbones_that_do_not_fit_are_refused_before_anything_is_loaded(tmp_path):
    with pytest.raises(UserError, match="'text' needs a CLIP, and own has no text tower"):
        runs.train(quick(**{"head.name": "text"}), tmp_path / "a", own_backbone.make())
    changes = {"head.name": "iterative", "backbone.name": "clip_vit_b32"}
    with pytest.raises(UserError, match="maps source classes, and clip_vit_b32, a CLIP, has none"):
        runs.train(quick(**changes), tmp_path / "b")
    changes = {"head.name": "text", "backbone.name": "resnet50"}
    with pytest.raises(UserError, match="'text' needs a CLIP, and resnet50 has no text tower"):
        runs.train(quick(**changes), tmp_path / "c")
    assert not list(tmp_path.iterdir())


def test_another_backbone_does_not_continue_the_run(tmp_path):
    train(tmp_path / "run")
    with pytest.raises(UserError, match="belongs to another run: backbone is own:sha256"):
        runs.evaluate(tmp_path / "run", backbone=own_backbone.make(seed=1))


def test_nothing_is_compiled_again_by_refitting(tmp_path, caplog):
    """Neither the step nor the pass that counts, however many epochs there are."""
    import logging

    import jax

    def compilations(epochs):
        caplog.clear()
        changes = {"head.second_pass": True, "epochs": epochs, "optimizer.name": "adam"}
        with jax.log_compiles(), caplog.at_level(logging.WARNING):
            train(tmp_path / str(epochs), **changes)
        return sum("Compiling jit(count)" in message for message in caplog.messages)

    assert compilations(2) == compilations(4) == 2  # with a prompt and without
