"""A start that is learned on several tasks, by Reptile."""

import jax
import numpy as np
import own_backbone
import pytest
from killing import dies_after
from own_backbone import quick

import vp_jax
from vp_jax import runs
from vp_jax.errors import UserError
from vp_jax.records.checkpoints.manager import Checkpoints
from vp_jax.records.finished import load_part
from vp_jax.starts import Rounds, parse_tasks, train_start

PLAIN = {
    "optimizer.momentum": 0.0,
    "schedule.name": "constant",
    "task.shots": 20,  # four batches, the last of them smaller
    "augment.flip": True,
}
TWO = ["digits", {"task.name": "digits", "task.shots": 10, "head.name": "frequency"}]


def start(folder, tasks, *rounds, **changes):
    config = quick(**{**PLAIN, **changes})
    return train_start(config, tasks, folder, Rounds(*rounds), own_backbone.make())


def prompt_of(folder):
    return load_part(folder, "prompt")[0]


def same(one, two):
    assert one.keys() == two.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, two[name], err_msg=name)


@pytest.mark.slow
def test_all_of_the_way_on_one_task_is_to_train_on_it(tmp_path):
    """Rounds of three steps, across epochs of four, are the steps of a run without momentum."""
    start(tmp_path / "start", ["digits"], 4, 3, 1.0)
    settings = quick(**PLAIN, epochs=3)
    assert runs.train(settings, tmp_path / "run", own_backbone.make())["steps"] == 12
    with Checkpoints(tmp_path / "run" / "checkpoints") as checkpoints:
        last = checkpoints.arrays(12)
    same(
        {f"tuned.prompt.{name}": x for name, x in prompt_of(tmp_path / "start").items()},
        {name: x for name, x in last.items() if name.startswith("tuned.")},
    )


@pytest.mark.slow
def test_none_of_the_way_leaves_the_start(tmp_path):
    start(tmp_path / "start", ["digits"], 2, 2, 0.0)
    config = quick(**PLAIN)
    made = vp_jax.prompts.parse(config.prompt).init(
        jax.random.split(jax.random.key(0))[0], (8, 8, 3)
    )
    found = prompt_of(tmp_path / "start")
    drawn = {name: x for stage in made for name, x in stage.items()}
    assert {name.split(".")[-1] for name in found} == drawn.keys()
    for name, array in found.items():
        np.testing.assert_array_equal(array, drawn[name.split(".")[-1]])


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("starts") / "both"
    return folder, start(folder, TWO, 20, 4, 0.5)


def test_it_learns_from_all_of_its_tasks(both):
    folder, result = both
    assert [t["task"] for t in result["tasks"]] == ["digits 0", "digits 1"]
    assert all(t["last_loss"] < t["first_loss"] for t in result["tasks"])
    assert (result["rounds"], result["steps"], result["share"]) == (20, 4, 0.5)
    assert (folder / "prompt.png").exists()
    assert start(folder, TWO, 20, 4, 0.5) == result
    with pytest.raises(UserError, match="belongs to another run: reptile.share is 0.5 there"):
        start(folder, TWO, 20, 4, 0.4)
    loaded = vp_jax.load(folder, backbone=own_backbone.make())
    assert len(loaded.predict(np.zeros((3, 8, 8, 3), np.uint8))) == 3
    tested = runs.evaluate(folder, backbone=own_backbone.make())
    assert (tested["step"], tested["same_data"], tested["tune"]) == (80, True, ["prompt"])


@pytest.mark.slow
def test_interrupted_it_ends_as_if_nothing_had_happened(both, tmp_path, monkeypatch):
    with dies_after(28, monkeypatch):
        start(tmp_path, TWO, 20, 4, 0.5)
    assert not (tmp_path / "result.json").exists()
    result = start(tmp_path, TWO, 20, 4, 0.5)
    same(prompt_of(tmp_path), prompt_of(both[0]))
    assert result["tasks"] == both[1]["tasks"]


@pytest.mark.slow
def test_every_cluster_of_a_run_begins_with_it(both, tmp_path):
    text = "normalize | cluster(pad(2), 3)"
    settings = quick(**{"prompt": text, "start.from_run": str(both[0]), "task.shots": 20})
    settings.optimizer.learning_rate, settings.epochs = 1e-12, 1
    runs.train(settings, tmp_path / "run", own_backbone.make())
    for name, array in prompt_of(tmp_path / "run").items():
        expected = np.stack(3 * [prompt_of(both[0])[name]])
        np.testing.assert_allclose(array, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("tasks", "changes", "words"),
    [
        ([], {}, "there is no task to learn a start on"),
        (["digitz"], {}, "unknown task 'digitz'"),
        ([{"prompt": "pad(2)"}], {}, "a task has prompt of its own"),
        ([{"task.nam": "digits"}], {}, "task.name"),
        ([{"task.shots": "many"}], {}, "cannot be used"),
        (["digits"], {"tune": ("prompt", "head")}, "config.tune is"),
        (["digits"], {"schedule.name": "drops"}, "--config.schedule.name=constant"),
        (["digits"], {"start.scan": True}, "config.start.scan is for a run on one task"),
        (["digits"], {"prompt": "cluster(pad(2), 3)"}, "centroids of the images of one task"),
        (["digits"], {"head.name": "iterative"}, "fitted anew in every epoch"),
    ],
)
def test_mistakes(tasks, changes, words, tmp_path):
    with pytest.raises(UserError, match=words):
        start(tmp_path / "start", tasks, 1, 1, 0.5, **changes)
    assert not (tmp_path / "start").exists()


def test_rounds_and_texts_that_cannot_be():
    for rounds, words in (
        ((0, 1), "the number of rounds must be an int of at least 1, got 0"),
        ((2, 1.5), "the number of steps of a round must be an int"),
        ((1, 1, 2.0), "share is 2.0; it must be in"),
    ):
        with pytest.raises(UserError, match=words):
            Rounds(*rounds)
    assert parse_tasks('["digits", {"task.name": "usps"}]') == ["digits", {"task.name": "usps"}]
    for text in ("[1]", '{"task.name": "usps"}', "[digits"):
        with pytest.raises(UserError, match="--tasks"):
            parse_tasks(text)
