"""Many prompts at once: each ends as its own run would, whatever happens to it or to the others."""

import json
import pathlib
import shutil

import jax
import numpy as np
import own_backbone
import pytest
from killing import dies_after
from own_backbone import quick
from pictures import drawn

from vp_jax import many, runs
from vp_jax.ensemble import ensemble_predictions
from vp_jax.errors import UserError
from vp_jax.records.checkpoints.manager import Checkpoints
from vp_jax.records.metrics import read_metrics
from vp_jax.training.loop import Loop

MEMBERS = [
    {"seed": 3, "optimizer.learning_rate": 0.5, "prompt": "normalize | pad(2)"},
    {"seed": 1, "optimizer.learning_rate": 1.0, "prompt": "normalize | pad(1)"},
    {
        "seed": 0,
        "optimizer.learning_rates.prompt": 2.0,
        "prompt": "normalize | pad(4, init='zeros')",
    },
    {
        "seed": 0,
        "optimizer.learning_rate": 0.5,
        "prompt": "normalize|pad(size=2, scale=.5, init='uniform')",
    },
]
OFTEN = {"checkpoint_every_steps": 8, "log_every_steps": 5}
CALIBRATION = ("temperature", "test_calibration_error", "test_calibration_error_before")


def train_many(folder, members=MEMBERS, **changes):
    return many.train_many(quick(**OFTEN, **changes), members, folder, own_backbone.make())


def arrays(folder):
    """The arrays of every checkpoint in a folder, by step."""
    checkpoints = Checkpoints(folder / "checkpoints")
    found = {step: checkpoints.arrays(step) for step in checkpoints.steps()}
    checkpoints.close()
    return found


def without_times(result):
    times = ("images_per_second", "wall_seconds", "members")
    own = {key: value for key, value in result.items() if key not in times}
    return own, [without_times(member)[0] for member in result.get("members", ())]


def check_member(alone, alone_result, folder, result):
    """A member against its own run: settings, checkpoints, metrics and result."""
    assert (folder / "config.json").read_text() == (alone / "config.json").read_text()
    assert json.loads((folder / "result.json").read_text()).items() <= result.items()
    found, expected = arrays(folder), arrays(alone)
    assert found.keys() == {alone_result["best_step"], alone_result["steps"]}
    for step in found:
        assert found[step].keys() == expected[step].keys()
        for name, value in expected[step].items():
            assert found[step][name].dtype == value.dtype
            np.testing.assert_allclose(found[step][name], value, atol=1e-5, rtol=1e-5)
    rows, expected_rows = read_metrics(folder), read_metrics(alone)
    assert [row.keys() for row in rows] == [row.keys() for row in expected_rows]
    for row, wanted in zip(rows, expected_rows, strict=True):
        np.testing.assert_allclose(list(row.values()), list(wanted.values()), rtol=1e-4)
    for key, value in alone_result.items():
        if isinstance(value, float):
            if key in CALIBRATION:  # rounded, so that a last digit may differ
                assert result[key] == pytest.approx(value, rel=2e-3, abs=2e-6), key
            elif key not in ("images_per_second", "wall_seconds"):
                assert result[key] == pytest.approx(value, rel=1e-5), key
        else:
            assert result[key] == value, key


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many") / "sweep"
    with drawn():
        return train_many(folder), folder


@pytest.mark.slow
def test_each_member_is_its_own_run(finished, tmp_path):
    """Seeds, learning rates, sizes and initial values at once."""
    result, folder = finished
    for i, member in enumerate(MEMBERS):
        alone = tmp_path / str(i)
        expected = runs.train(quick(**OFTEN, **member), alone, own_backbone.make())
        check_member(alone, expected, folder / str(i), result["members"][i])


def test_the_result_names_the_best_member_and_has_the_ensemble(finished):
    result, folder = finished
    assert json.loads((folder / "result.json").read_text()) == result
    assert [m["folder"] for m in result["members"]] == ["0", "1", "2", "3"]
    last = {**MEMBERS[3], "prompt": "normalize | pad(2, init='uniform', scale=0.5)"}
    assert [m["settings"] for m in result["members"]] == [*MEMBERS[:3], last]
    validation = [m["val_accuracy"] for m in result["members"]]
    assert result["best_member"] == int(np.argmax(validation))
    together = ensemble_predictions([folder / str(i) for i in range(4)], own_backbone.make())
    assert together.probabilities.shape == (500, 10)
    np.testing.assert_allclose(together.probabilities.sum(axis=1), 1, rtol=1e-5)
    ensemble = result["ensemble"]
    assert ensemble["members"] == 4 and ensemble["test_accuracy"] == together.accuracy


def test_an_ensemble_of_one_is_the_run(finished):
    result, folder = finished
    alone = ensemble_predictions([folder / "1"], own_backbone.make())
    assert alone.accuracy == result["members"][1]["test_accuracy"]
    with pytest.raises(UserError, match="at least one run"):
        ensemble_predictions([])


@pytest.mark.slow
def test_an_ensemble_of_different_tasks_is_refused(finished, tmp_path):
    changes = {"task.class_names": tuple("abcdefghij"), "epochs": 1}
    runs.train(quick(**changes), tmp_path / "other", own_backbone.make())
    with pytest.raises(UserError, match="have different classes"):
        ensemble_predictions([finished[1] / "0", tmp_path / "other"], own_backbone.make())


def test_a_members_folder_can_be_evaluated_and_the_sweeps_cannot(finished):
    result, folder = finished
    again = runs.evaluate(folder / "2", backbone=own_backbone.make())
    for name in ("test_accuracy", "zero_shot_test_accuracy"):
        assert again[name] == result["members"][2][name]
    assert again["step"] == result["members"][2]["best_step"]
    with pytest.raises(UserError, match="holds 4 runs .* folder of one of them"):
        runs.evaluate(folder, backbone=own_backbone.make())


def test_a_finished_sweep_is_not_repeated(finished, capsys):
    result, folder = finished
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}
    assert train_many(folder) == result
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()} == before
    assert "this sweep is finished" in capsys.readouterr().err


def test_pictures(finished):
    from PIL import Image

    _, folder = finished
    for picture in (folder / "sweep.png", folder / "3" / "prompt.png"):
        assert np.asarray(Image.open(picture).convert("RGB")).std() > 5


KILLS = (8, 19, 24)
"""Within an epoch, at its end, and in the next one, where best prompts are kept."""


def check_killed(whole, expected, folder, monkeypatch, members=MEMBERS, **changes):
    """A sweep that is killed whenever it has saved a step of `KILLS`, and started again, ends as
    the whole one."""
    for step in KILLS:
        with dies_after(step, monkeypatch):
            train_many(folder, members, **changes)
    result = train_many(folder, members, **changes)
    assert without_times(result) == without_times(expected)
    for i in map(str, range(len(members))):
        one, two = arrays(whole / i), arrays(folder / i)
        assert one.keys() == two.keys()
        for at in one:
            assert one[at].keys() == two[at].keys()
            assert all(np.array_equal(one[at][name], two[at][name]) for name in one[at])
        assert read_metrics(whole / i) == read_metrics(folder / i)


@pytest.mark.slow
def test_killed_and_started_again_it_ends_the_same(finished, tmp_path, monkeypatch):
    expected, whole = finished
    check_killed(whole, expected, tmp_path / "cut", monkeypatch)


def test_a_sweep_that_died_while_it_wrote_results_ends_the_same(finished, tmp_path):
    expected, whole = finished
    shutil.copytree(whole, tmp_path / "cut")
    (tmp_path / "cut" / "result.json").unlink()
    shutil.rmtree(tmp_path / "cut" / "3" / "checkpoints")
    assert without_times(train_many(tmp_path / "cut")) == without_times(expected)
    assert arrays(tmp_path / "cut" / "3").keys() == arrays(whole / "3").keys()


LINEAR = {"head.name": "linear", "optimizer.learning_rate": 0.1}
VARIANTS = {
    "same size, whole-array optimiser": (
        {"optimizer.name": "lamb", "optimizer.learning_rate": 0.1},
        [{"seed": 0}, {"seed": 1}],
    ),
    "patches at different places, Adam": (
        {"optimizer.name": "adam", "optimizer.learning_rate": 0.1},
        [
            {"prompt": "normalize | fixed_patch(2, top=1)"},
            {"prompt": "normalize | fixed_patch(4, left=3)"},
        ],
    ),
    "random patches": ({"prompt": "normalize | random_patch(2)"}, [{"seed": 0}, {"seed": 1}]),
    "clipped, in pixel space, of several designs": (
        {"optimizer.weight_decay": 0.01},
        [{"prompt": "pad(1) | clip"}, {"prompt": "pad(2) | clip"}, {"prompt": "full | clip"}],
    ),
    "around smaller images": (
        {"optimizer.learning_rate": 0.1},
        [
            {"prompt": "shrink(6) | pad(1, init='zeros') | normalize"},
            {"prompt": "shrink(6) | pad(2) | normalize"},
        ],
    ),
    "a mapping drawn by the seed": ({"head.name": "random"}, [{"seed": 0}, {"seed": 1}]),
    "a mapping counted once": ({"head.name": "frequency"}, [{"seed": 0}, {"seed": 1}]),
    "augmented and mixed, few shots": (
        {"augment.flip": True, "augment.mixup": 0.4, "task.shots": 16},
        [{"seed": 0}, {"seed": 1, "prompt": "normalize | pad(3)"}],
    ),
    "selected on the test split": (
        {"select_on": "test", "schedule.name": "constant"},
        [{"optimizer.learning_rate": 0.1}, {"optimizer.learning_rate": 0.3}],
    ),
    "linear heads": (
        {**LINEAR, "tune": ("head",), "head.solver": "sgd"},
        [{"seed": 0}, {"seed": 1, "optimizer.learning_rate": 0.3}],
    ),
    "prompts of different sizes with linear heads": (
        {**LINEAR, "tune": ("prompt", "head"), "optimizer.weight_decay": 0.01},
        [
            {"seed": 0, "optimizer.learning_rates.prompt": 1.0},
            {"seed": 1, "prompt": "normalize | pad(1)"},
        ],
    ),
    "layers after the source classes, Adam": (
        {**LINEAR, "head.name": "fully_connected", "tune": ("prompt", "head")}
        | {"optimizer.name": "adam", "optimizer.learning_rate": 0.01},
        [{"seed": 0}, {"optimizer.learning_rates.head": 0.02}],
    ),
    "mappings counted in passing": (
        {"head.name": "iterative"},
        [{"seed": 0}, {"seed": 1, "prompt": "normalize | pad(1)"}],
    ),
    "mappings counted by a second pass": (
        {
            "head.name": "bayesian",
            "head.second_pass": True,
            "prompt": "normalize | random_patch(2)",
        },
        [{"seed": 0}, {"seed": 1, "optimizer.learning_rate": 0.5}],
    ),
    "mappings that stop early": (
        {"head.name": "bayesian", "epochs": 5, "patience": 1},
        [{"optimizer.learning_rate": 1e-9}, {"optimizer.learning_rate": 0.03}],
    ),
    "stopping early": (
        {"epochs": 6, "patience": 2, "prompt": "normalize | pad(2, init='zeros')"},
        [{"optimizer.learning_rate": 1e-9}, {"optimizer.learning_rate": 0.03}],
    ),
}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Trains a variant once; returns its result and folder."""
    folder, done = tmp_path_factory.mktemp("variants"), {}

    def trained(name):
        if name not in done:
            changes, members = VARIANTS[name]
            place = folder / str(len(done))
            done[name] = train_many(place, members, **changes), place
        return done[name]

    return trained


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_other_settings_give_each_its_own_run_too(name, sweep, tmp_path):
    changes, members = VARIANTS[name]
    result, whole = sweep(name)
    for i, member in enumerate(members):
        config = quick(**{**OFTEN, **changes, **member})
        expected = runs.train(config, tmp_path / "alone" / str(i), own_backbone.make())
        check_member(tmp_path / "alone" / str(i), expected, whole / str(i), result["members"][i])
    if name == "stopping early":
        first, second = (m["steps"] for m in result["members"])
        assert first == 3 * 19 < second


KILLED = (
    "prompts of different sizes with linear heads",
    "linear heads",
    "mappings counted in passing",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", KILLED)
def test_other_sweeps_killed_and_started_again_end_the_same(name, sweep, tmp_path, monkeypatch):
    changes, members = VARIANTS[name]
    expected, whole = sweep(name)
    check_killed(whole, expected, tmp_path / "cut", monkeypatch, members, **changes)


@pytest.mark.slow
def test_a_sweep_of_one_member_is_that_run(tmp_path):
    result = train_many(tmp_path / "sweep", MEMBERS[1:2])
    alone = tmp_path / "alone"
    expected = runs.train(quick(**OFTEN, **MEMBERS[1]), alone, own_backbone.make())
    assert without_times(expected)[0].items() <= result["members"][0].items()
    one, other = arrays(alone), arrays(tmp_path / "sweep" / "0")
    for step in other:
        assert all(np.array_equal(one[step][name], other[step][name]) for name in one[step])
    assert read_metrics(alone) == read_metrics(tmp_path / "sweep" / "0")
    assert result["ensemble"]["test_accuracy"] == expected["test_accuracy"]


@pytest.mark.slow
def test_a_member_that_diverges_leaves_the_others_alone(tmp_path):
    good = {"seed": 1, "optimizer.learning_rate": 0.5}
    bad = {"optimizer.learning_rate": 1e38}
    result = train_many(tmp_path / "sweep", [bad, good])
    assert set(result["members"][0]) == {"folder", "settings", "failed_step"}
    assert 0 < result["members"][0]["failed_step"] < 38
    assert not (tmp_path / "sweep" / "0" / "result.json").exists()
    alone = tmp_path / "alone"
    expected = runs.train(quick(**OFTEN, **good), alone, own_backbone.make())
    check_member(alone, expected, tmp_path / "sweep" / "1", result["members"][1])
    assert result["best_member"] == 1 and result["ensemble"]["members"] == 1
    assert result["ensemble"]["test_accuracy"] == expected["test_accuracy"]
    worse = {"optimizer.learning_rate": 2e38}
    with pytest.raises(UserError, match="loss of every member is not finite"):
        train_many(tmp_path / "all", [bad, worse])


@pytest.mark.slow
def test_the_step_is_compiled_once(tmp_path, monkeypatch):
    compiled, at_evaluations = [], []
    evaluate = Loop._evaluate

    def noted(self, *arguments):
        evaluate(self, *arguments)
        at_evaluations.append(len(compiled))

    monkeypatch.setattr(Loop, "_evaluate", noted)
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **__: compiled.append(name) if "backend_compile" in name else None
    )
    try:
        members = many.grid({"seed": [0, 1], "prompt": ["pad(1)", "pad(2)"]})
        many.train_many(quick(epochs=4), members, tmp_path / "sweep", own_backbone.make())
    finally:
        jax.monitoring.clear_event_listeners()
    assert len(at_evaluations) == 4 and at_evaluations[0] > 0
    assert len(set(at_evaluations[1:])) == 1
    assert at_evaluations[1] - at_evaluations[0] <= 1, "more than the scalars of a second epoch"


BAD_MEMBERS = [
    ([], "there is no member"),
    ([{"batch_size": 3}], r"member 0 \(batch_size=3\): unknown setting in which members may diff"),
    ([{"promt": "pad(3)"}], "did you mean 'prompt'"),
    ([{"seed": 0}, {"seed": "x"}], r"member 1 \(seed=x\): a value is of the wrong type"),
    ([{"seed": (0, 1)}], r"seed is \(0, 1\); it must be a number or a text"),
    ([{"optimizer.learning_rate": -1}], r"member 0 .*: config.optimizer.learning_rate is -1"),
    ([{"prompt": "pad(2, init='nothing')"}], "config.prompt: unknown init of pad: 'nothing'"),
    ([{"prompt.size": 3}], "prompt.size is no setting: a prompt is one text, --config.prompt="),
    ([{"prompt": 3}], r"member 0 \(prompt=3\): a value is of the wrong type"),
    ([{"prompt": "pad(2)"}, {"prompt": "pad(size=2) | normalize"}], "0 and 1 are the same run"),
    ([{"prompt": "normalize | pad(5)"}], "does not fit images of height 8"),
    ([{"seed": 0}, {"seed": 1}, {}], "the members 0 and 2 are the same run: seed=0"),
]


@pytest.mark.parametrize(("members", "message"), BAD_MEMBERS)
def test_bad_members(members, message, tmp_path):
    with pytest.raises(UserError, match=message):
        train_many(tmp_path / "sweep", members)
    assert not (tmp_path / "sweep").exists()


SIZES = [{"prompt": "normalize | pad(1)"}, {"prompt": "normalize | pad(2)"}]


@pytest.mark.parametrize(
    ("changes", "members", "message"),
    [
        ({"tune": ()}, [{}], "tune must have 'prompt', 'head' or both, and is .*;"),
        ({"tune": ("prompt", "backbone")}, [{}], "over one frozen backbone"),
        ({"tune": ("head",), "head.name": "linear"}, [{}], "linear probe is solved"),
        (
            {},
            [{"prompt": "random_patch(1)"}, {"prompt": "random_patch(2)"}],
            "cannot be trained in one program: only stages that add .* random_patch.1. is none",
        ),
        ({}, [{"prompt": "shrink(4) | full"}, {"prompt": "shrink(5) | full"}], "in one program"),
        ({"optimizer.name": "lamb"}, SIZES, "'lamb' looks at whole arrays"),
        ({"task.pipeline": "stream"}, [{}], "those of digits are stream"),
    ],
)
def test_what_cannot_be_trained_at_once(changes, members, message, tmp_path):
    with pytest.raises(UserError, match=message):
        train_many(tmp_path / "sweep", members, **changes)
    assert not (tmp_path / "sweep").exists()


def test_folders_of_other_runs_are_refused(finished, tmp_path):
    _, folder = finished
    with pytest.raises(UserError, match="belongs to another run: members is"):
        train_many(folder, [*MEMBERS, {"seed": 9}])
    with pytest.raises(UserError, match="belongs to another run: members is"):
        runs.train(quick(**OFTEN), folder, own_backbone.make())


@pytest.mark.slow
def test_eight_devices_give_the_prompts_of_one(python, cpu_devices, tmp_path):
    """Each with the whole backbone, and each with an eighth of it."""
    code = (
        f"import sys; sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r})\n"
        "import own_backbone\nfrom vp_jax import many\nfrom vp_jax.step import fsdp\n"
        "fsdp.LEAST = 1\n"
        "members = [{'seed': i, 'prompt': f'normalize | pad({i + 1})'} for i in range(2)]\n"
        "for sharding in ('replicated', 'fsdp'):\n"
        "    config = own_backbone.quick(**{'epochs': 1, 'backbone.sharding': sharding})\n"
        "    folder = f'{sys.argv[1]}/{sharding}'\n"
        "    many.train_many(config, members, folder, own_backbone.make())"
    )
    python("-c", code, tmp_path, env=cpu_devices(8), check=True)
    members = [{"seed": i, "prompt": f"normalize | pad({i + 1})"} for i in range(2)]
    many.train_many(quick(epochs=1), members, tmp_path / "alone", own_backbone.make())

    def ends(name):
        return [arrays(tmp_path / name / str(i))[19] for i in range(2)]

    for sharding in ("replicated", "fsdp"):
        for one, eight in zip(ends("alone"), ends(sharding), strict=True):
            assert one.keys() == eight.keys()
            for name in one:
                np.testing.assert_allclose(one[name], eight[name], atol=1e-5, rtol=1e-5)
