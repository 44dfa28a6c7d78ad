"""The benchmark of the training step: it counts what it says, and runs without PyTorch."""

import json
import re

import counted
import problem as problem_lib
import pytest
import step
import whole_run

PEAK = ("--peak_sides=64", "--peak_seconds=0")


@pytest.mark.slow(seconds=4)
def test_operations_of_a_step_of_clip():
    paper = counted.torch_step_flops("clip_vit_b32", 32, 100, as_the_paper=True)
    frozen = counted.torch_step_flops("clip_vit_b32", 32, 100, as_the_paper=False)
    ours = counted.image_flops("clip_vit_b32", 100).times(32).step
    assert [round(count / 1e9) for count in (paper, frozen, ours)] == [2634, 567, 530]
    assert counted.torch_step_flops("clip_vit_b32", 64, 100, as_the_paper=False) == 2 * frozen


@pytest.mark.slow(seconds=4)
def test_operations_of_a_step_of_a_classifier():
    """A classifier has no texts, and no block of which a part is left out."""
    frozen = counted.torch_step_flops("resnet50", 2, 100, as_the_paper=False)
    ours = counted.image_flops("resnet50", 100)
    assert frozen == ours.times(2).step == counted.image_flops("resnet50", 10).times(2).step
    assert counted.torch_step_flops("resnet50", 2, 10, as_the_paper=True) == 3 * frozen / 2
    vit = counted.torch_step_flops("vit_b32", 1, 100, as_the_paper=False)
    assert vit > counted.image_flops("vit_b32", 100).step


def variant(name, flops=10_000_000_000):
    return step.Variant(name, "float32", flops)


def test_the_table_divides_round_by_round():
    rates = {
        step.PAPER: [0.5, 0.375],
        step.TORCH: [1.5, 1.5],
        step.VP_JAX: [3.0, 1.5],
        step.RUN: [3.0, 3.0],
        step.TORCH_FORWARD: [4.0, 8.0],
        step.EVALUATION: [8.0, 8.0],
    }
    results = [step.Measured(variant(name), found) for name, found in rates.items()]
    text = step.report(results, {"float32": 45e9}.get, batch=3)
    paper, torch, ours, run, forward, evaluation = (
        re.split(" {2,}", line) for line in text.splitlines()[2:]
    )
    assert ours == (
        ["vp_jax, step", "float32", "2.25", "0.0225", "50.0%", "3.00", "1.333", "30.0"]
        + ["5.00 (4.00 to 6.00)", "1.50 (1.00 to 2.00)", "-"]
    )
    assert torch[-3:] == ["3.50 (3.00 to 4.00)", "-", "-"]
    assert paper[-3:] == ["-", "0.29 (0.25 to 0.33)", "-"]
    of_run = ["7.00 (6.00 to 8.00)", "2.00 (2.00 to 2.00)", "1.50 (1.00 to 2.00)"]
    assert run[-3:] == of_run
    assert forward[-3:] == ["-", "-", "-"]
    assert evaluation[-3:] == ["-", "1.50 (1.00 to 2.00)", "-"]


def test_a_classifier_has_no_more_classes_than_it_knows():
    assert counted.most_classes("resnet20_cifar", 100) == 10
    assert counted.most_classes("resnet50", 100) == counted.most_classes("clip_tiny", 100) == 100


@pytest.mark.slow
def test_a_whole_run_is_of_resident_images_and_of_so_many_steps(tmp_path):
    problem = problem_lib.make_problem("clip_tiny", 4, 5)
    whole = whole_run.WholeRuns(problem, 6, tmp_path)
    assert whole.train() > 0 and whole.evaluate() > 0
    result = json.loads((tmp_path / "run_0" / "result.json").read_text())
    assert result["pipeline"] == "resident"
    assert (result["steps"], result["train_examples"], result["backbone"]) == (6, 24, "clip_tiny")


def test_variants_that_differ_are_refused():
    ours = (variant(step.VP_JAX), problem_lib.FirstStep(4.6, 0.5))
    step.compare([(variant(step.TORCH), problem_lib.FirstStep(4.6001, 0.5001)), ours])
    with pytest.raises(RuntimeError, match="not the same step"):
        step.compare([(variant(step.TORCH), problem_lib.FirstStep(4.6, 0.6)), ours])


def test_images_of_a_problem_are_not_resized():
    """Or a classifier would see other pixels here than in PyTorch."""
    backbone = problem_lib.make_problem("deit_ti16", batch=1, classes=2).backbone
    assert backbone.resize_size == backbone.image_size == 224


@pytest.mark.parametrize("model", step.TINY)
def test_pytorch_makes_the_same_step(model):
    torch_steps = pytest.importorskip("torch_steps")
    params = torch_steps.reference_params(model)
    problem = problem_lib.make_problem(model, 4, 5, params=params)
    _, ours = problem_lib.make_step(problem)
    for as_the_paper in (True, False):
        _, theirs = torch_steps.make_step(problem, as_the_paper=as_the_paper)
        assert theirs == pytest.approx(ours, rel=1e-4)


def test_a_clip_with_a_resnet_has_no_counterpart():
    torch_steps = pytest.importorskip("torch_steps")
    with pytest.raises(torch_steps.UserError, match="no CLIP with a ResNet"):
        torch_steps.reference("clip_rn50")


@pytest.mark.slow
def test_it_runs_without_torch(tmp_path, python):
    (tmp_path / "torch.py").write_text("raise ImportError('torch is hidden')\n")
    result = tmp_path / "out" / "result.json"
    hidden = {"PYTHONPATH": str(tmp_path)}
    small = ("--tiny", "--dtypes=float32,bfloat16", *PEAK, f"--json={result}")
    done = python("experiments/benchmarks/step.py", *small, env=hidden, check=True)
    assert "Without PyTorch (torch is hidden)" in done.stdout
    found = json.loads(result.read_text())
    assert list(found["models"]) == ["clip_tiny", "resnet20_cifar"]
    for model in found["models"].values():
        names = ("vp_jax, step", "vp_jax, runs.train", "vp_jax, evaluation")
        labels = [f"{name}, {dtype}" for name in names for dtype in ("float32", "bfloat16")]
        assert list(model["images_per_second"]) == list(model["flops"]) == labels
        assert all(len(rates) == 2 for rates in model["images_per_second"].values())
        assert min(map(min, model["images_per_second"].values())) > 0
        assert list(model["peak"]) == ["float32", "bfloat16"]
        assert all(rate > 0 for rates in model["peak"].values() for rate in rates)


@pytest.mark.slow
def test_layer_norms_are_compared_on_the_same_step(python):
    small = ("--model=clip_tiny", "--batch=4", "--classes=5", "--rounds=2", *PEAK)
    done = python("experiments/benchmarks/layer_norm.py", *small, check=True)
    assert "flax.linen.LayerNorm" in done.stdout and "vp_jax LayerNorm" in done.stdout
