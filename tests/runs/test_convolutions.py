"""On a CPU no convolution is in the body of a loop, where XLA computes it ten times slower."""

import functools
import shutil

import jax
import numpy as np
import own_backbone
import pytest
from own_backbone import quick

from vp_jax import many, runs
from vp_jax.jaxprs import inner, primitives
from vp_jax.records.checkpoints.manager import Checkpoints
from vp_jax.records.metrics import read_metrics
from vp_jax.training import advance

pytestmark = pytest.mark.slow

OPTIMIZED = True  # bits are compared of programs that differ
PICTURES = False
LOOPS = ("while", "scan")
OFTEN = {"checkpoint_every_steps": 8, "log_every_steps": 5}
WAYS = {
    "train": {},
    "counts": {"head.name": "iterative"},
    "features": {"head.name": "linear", "tune": ("head",)},
}


def arrays(folder):
    checkpoints = Checkpoints(folder / "checkpoints")
    found = {step: checkpoints.arrays(step) for step in checkpoints.steps()}
    checkpoints.close()
    return found


def convolutions(jaxpr, in_loop=False):
    """For every convolution: whether it is in the body of a loop."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "conv_general_dilated":
            yield in_loop
        for each in inner(equation.params):
            yield from convolutions(each, in_loop or equation.primitive.name in LOOPS)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run whose steps are called one by one, in calls as long as an epoch allows."""
    folder = tmp_path_factory.mktemp("convolutions") / "run"
    return train(folder, call_seconds=60.0), folder


def train(folder, **changes):
    backbone = own_backbone.make(function=own_backbone.convolved)
    return runs.train(quick(**OFTEN, **changes), folder, backbone)


@pytest.fixture
def programs(monkeypatch):
    """The jaxprs of all programs that hold convolutions, by name; filled as they are called."""
    jit, found = jax.jit, {}

    def recording(function, **options):
        program, name = jit(function, **options), getattr(function, "__name__", "")

        @functools.wraps(function)
        def call(*arguments):
            if name not in found:
                found[name] = program.trace(*arguments).jaxpr.jaxpr
            return program(*arguments)

        return call

    monkeypatch.setattr(jax, "jit", recording)
    yield found
    held = {n: list(convolutions(p)) for n, p in found.items()}
    assert any(held.values())
    assert not [name for name, in_loops in held.items() if any(in_loops)]


@pytest.mark.slow(seconds=5)
@pytest.mark.parametrize("way", WAYS)
def test_no_program_of_a_run_has_one_in_a_loop(way, tmp_path, programs):
    backbone = own_backbone.make(function=own_backbone.convolved)
    runs.train(quick(epochs=1, **WAYS[way]), tmp_path / "run", backbone)
    assert "train_steps" not in programs


@pytest.mark.slow(seconds=5)
def test_nor_has_one_of_many_runs_at_once(tmp_path, programs):
    members = many.grid({"seed": [0, 1]})
    backbone = own_backbone.make(function=own_backbone.convolved)
    many.train_many(quick(epochs=1), members, tmp_path / "many", backbone)
    assert "train_steps" not in programs


def test_a_model_without_them_makes_its_steps_in_a_loop(tmp_path, monkeypatch):
    made = []
    way = advance._in_one_program
    monkeypatch.setattr(advance, "_one_by_one", lambda *_: None)
    monkeypatch.setattr(advance, "_in_one_program", lambda *a: made.append(1) or way(*a))
    runs.train(quick(epochs=1), tmp_path / "run", own_backbone.make())
    assert made


@pytest.mark.slow(seconds=4)
def test_both_ways_train_the_same(finished, tmp_path, monkeypatch):
    """The rows, checkpoints and results of a loop's calls, up to the rounding of two programs."""
    single, folder = finished
    monkeypatch.setattr(advance, "_suits_a_loop", lambda *_: True)
    loop = train(tmp_path / "loop")
    assert loop["best_step"] == single["best_step"]
    assert loop["test_loss"] == pytest.approx(single["test_loss"], rel=1e-5)
    one, two = read_metrics(tmp_path / "loop"), read_metrics(folder)
    assert [row.keys() for row in one] == [row.keys() for row in two]
    for row, other in zip(one, two, strict=True):
        np.testing.assert_allclose(list(row.values()), list(other.values()), rtol=1e-4)
    found, expected = arrays(tmp_path / "loop"), arrays(folder)
    assert found.keys() == expected.keys()
    for step, of_step in found.items():
        for name, value in of_step.items():
            np.testing.assert_allclose(value, expected[step][name], rtol=1e-4, atol=1e-6)


def test_calls_of_any_length_and_a_resumed_run_end_in_the_same_bits(finished, tmp_path):
    """The train loop chooses lengths by the clock."""
    _, folder = finished
    train(tmp_path / "short", call_seconds=1e-9)
    shutil.copytree(folder, tmp_path / "cut")
    (tmp_path / "cut" / "result.json").unlink()
    expected, rows = arrays(folder), read_metrics(folder)
    for step in expected:
        if step > 24:
            shutil.rmtree(tmp_path / "cut" / "checkpoints" / str(step))
    train(tmp_path / "cut", call_seconds=60.0)
    for name in ("short", "cut"):
        found = arrays(tmp_path / name)
        assert found.keys() == expected.keys()
        for step, of_step in found.items():
            assert all(np.array_equal(of_step[key], x) for key, x in expected[step].items())
        assert read_metrics(tmp_path / name) == rows


def test_primitives_are_found_at_any_depth():
    def nested(x):
        return jax.lax.fori_loop(0, 3, lambda _, y: jax.jit(jax.numpy.tanh)(y), x)

    found = primitives(jax.make_jaxpr(nested)(1.0).jaxpr)
    assert "tanh" in found and "conv_general_dilated" not in found
