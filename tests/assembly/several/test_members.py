"""Members of a sweep: their settings, their data, and the optimisers that fit any arrangement."""

import ast
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vp_jax import data
from vp_jax.assembly.several.members import VARIED
from vp_jax.assembly.several.vary import grid, label, parse_vary
from vp_jax.data.images.preprocess import ResizeRule
from vp_jax.data.splits.device_permutation import device_permutation
from vp_jax.data.splits.permutation import permutation
from vp_jax.errors import UserError
from vp_jax.report.summary import sweep_summary
from vp_jax.step.updates import optimizers


def test_a_grid_has_every_combination_once():
    found = grid({"seed": [0, 1], "prompt": ["pad(2)", "pad(4)"], "optimizer.learning_rate": [1]})
    assert len(found) == len({label(member) for member in found}) == 4
    assert found[1] == {"seed": 0, "prompt": "pad(4)", "optimizer.learning_rate": 1}
    assert grid({}) == [{}]


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1])
def test_a_traced_seed_gives_the_order_of_the_seed(seed):
    run = jax.jit(lambda seed, stream: device_permutation(50, seed=seed, stream=stream))
    found = run(np.uint32(seed), np.uint32(3))
    np.testing.assert_array_equal(found, permutation(50, seed=seed, stream=3))


@pytest.mark.slow
@pytest.mark.parametrize("shots", [0, 5])
def test_reseeded_splits_are_those_of_the_seed(shots):
    settings = {"resize": ResizeRule(32), "shots": shots, "progress": False}
    first = data.load_task("digits", seed=0, **settings)
    found, expected = first.reseed(4), data.load_task("digits", seed=4, **settings)
    assert found.train.images.base is first.train.images.base
    for one, two in zip(found.splits, expected.splits, strict=True):
        np.testing.assert_array_equal(one.images.rows, two.images.rows)
        np.testing.assert_array_equal(one.labels, two.labels)
    assert not np.array_equal(found.train.images.rows, first.train.images.rows)
    np.testing.assert_array_equal(found.reseed(0).val.labels, first.val.labels)


@pytest.mark.parametrize("name", optimizers.ELEMENTWISE)
def test_elementwise_optimizers_do_not_see_how_numbers_are_arranged(name):
    """Two arrays, and one that holds both with zeros between them, move alike."""
    settings = {"momentum": 0.9, "weight_decay": 0.01}
    optimizer = optimizers.by_name(name, 0.1, **settings)
    rng = np.random.default_rng(0)

    def draw(params):
        return jnp.concatenate([params["a"].ravel(), jnp.zeros(30), params["b"].ravel()])

    own = {"a": jnp.asarray(rng.normal(size=(2, 9)), jnp.float32), "b": jnp.ones((3, 4, 2))}
    together = draw(own)
    states = optimizer.init(own), optimizer.init(together)
    for _ in range(4):
        grads = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), jnp.float32), own)
        updates, own_state = optimizer.update(grads, states[0], own)
        own = optax.apply_updates(own, updates)
        updates, state = optimizer.update(draw(grads), states[1], together)
        together = optax.apply_updates(together, updates)
        states = own_state, state
    np.testing.assert_allclose(together, draw(own), atol=1e-6)


def test_varied_settings_are_settings_and_all_are_explained():
    from vp_jax import cli, config

    command = pathlib.Path(cli.__file__).with_name("train_many.py")
    explained = ast.get_docstring(ast.parse(command.read_text()))
    assert set(VARIED) <= set(cli.setting_names(config.default()))
    for name in VARIED:
        assert name in explained, name


def test_the_values_of_the_command_line():
    text = " seed=0,1 ; optimizer.learning_rate=5,1e-2;prompt=pad(4),normalize | pad(8);"
    assert parse_vary(text) == {
        "seed": [0, 1],
        "optimizer.learning_rate": [5, 0.01],
        "prompt": ["pad(4)", "normalize | pad(8)"],
    }
    for bad in ("seed", "seed=", "=3", "seed=1,,2", "0,1"):
        with pytest.raises(UserError, match=r"must be NAME=VALUE,VALUE"):
            parse_vary(bad)
    for bad in ("prompt=pad(4, init='zeros'),pad(8)", "prompt=pad(4,scale=2)"):
        with pytest.raises(UserError, match=r'unclear where a value ends; .*{"prompt": \["pad'):
            parse_vary(bad)
    for twice in ("seed=0;seed=1", '{"seed": [0], "seed": [1]}'):
        with pytest.raises(UserError, match="names seed twice"):
            parse_vary(twice)


def test_the_values_of_the_command_line_as_json():
    text = """ {"prompt": ["normalize | pad(10)", "pad(3, init='zeros')"], "seed": [0, 1, 2.5]}"""
    assert parse_vary(text) == {
        "prompt": ["normalize | pad(10)", "pad(3, init='zeros')"],
        "seed": [0, 1, 2.5],
    }
    assert parse_vary("{}") == {}
    for bad in ('{"seed": [0]', '{"seed": [0]}}', "[1", "{'seed': [0]}"):
        with pytest.raises(UserError, match=r"--vary is no JSON .* write it as in --vary='\{"):
            parse_vary(bad)
    for bad in ("[]", '[["seed", [0]]]', "[{}]"):
        with pytest.raises(UserError, match="must be a JSON object of lists"):
            parse_vary(bad)
    for bad in ('{"seed": 0}', '{"seed": []}', '{"seed": {"a": 1}}', '{"seed": "0"}'):
        with pytest.raises(UserError, match="has seed without a list of values"):
            parse_vary(bad)


def test_the_summary_has_a_row_a_member_and_one_for_all_together():
    good = {
        "folder": "1",
        "settings": {"seed": 1, "prompt": "normalize | pad(4)"},
        "best_step": 1200,
        "steps": 4000,
        "val_metric": 0.75,
        "test_metric": 0.5,
        "zero_shot_test_metric": None,
    }
    failed = {"folder": "0", "settings": {"seed": 0}, "failed_step": 12}
    result = {
        "members": [failed, good, {**good, "folder": "2", "val_metric": None}],
        "best_member": 1,
        "ensemble": {"members": 2, "test_accuracy": 0.6, "test_metric": 0.6},
        "images_per_second": 1234.5,
        "wall_seconds": 61.2,
    }
    header, _, first, second, third, together, speed, where = sweep_summary(result, "w").split("\n")
    assert header.split()[:3] == ["run", "seed", "prompt"]
    assert "loss not finite at step 12" in first and first.split()[:3] == ["0", "0", "-"]
    assert second.split()[-6:] == ["75.0", "%", "50.0", "%", "-", "best"]
    assert "best" not in third
    assert together.startswith("all 2 together") and "60.0 %" in together
    assert speed == "1,234 images/s, 61 s" and where.endswith(": w")
