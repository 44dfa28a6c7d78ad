"""Which batches devices can share, and what of a backbone each of them holds."""

import re

import numpy as np
import pytest
from jax.sharding import AbstractMesh, PartitionSpec

from vp_jax.assembly.checks import check
from vp_jax.config import default
from vp_jax.errors import UserError
from vp_jax.step import fsdp
from vp_jax.step.sharding import check_batch_size, make_mesh


@pytest.mark.parametrize(
    ("batch_size", "shape", "near"),
    [(100, (8, 1), "96 or 104"), (5, (8, 1), "8"), (30, (2, 2), "28 or 32")],
)
def test_a_batch_that_devices_cannot_share_is_refused_with_the_nearest(batch_size, shape, near):
    mesh = AbstractMesh(shape, ("data", "model"))
    with pytest.raises(UserError, match=f"batch_size is {batch_size}, .*; give {near}$"):
        check_batch_size(batch_size, mesh)
    for size in near.split(" or "):
        check_batch_size(int(size), mesh)


def test_groups_that_devices_do_not_form_are_refused():
    with pytest.raises(UserError, match="1 devices cannot be divided into groups of 3"):
        make_mesh(3)


@pytest.mark.parametrize(
    ("shape", "spec"),
    [
        ((768, 3072), PartitionSpec(None, "model")),
        ((3072, 768), PartitionSpec("model")),
        ((32, 32, 3, 770), PartitionSpec("model")),  # 770 cannot be split, 32 can
        ((3072,), PartitionSpec()),  # small
        ((257, 1025), PartitionSpec()),  # no axis can be split
    ],
)
def test_large_weights_are_split_along_their_largest_axis_that_can_be(shape, spec):
    mesh = AbstractMesh((1, 4), ("data", "model"))
    assert fsdp.split(mesh, np.empty(shape, np.float32)).spec == spec


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"backbone.sharding": "fdsp"}, "did you mean 'fsdp'?"),
        ({"backbone.shards": 4}, "the backbone is replicated: give --config.backbone.sharding"),
        ({"backbone.shards": -1}, "config.backbone.shards is -1; it must be at least 0"),
        ({"backbone.sharding": "fsdp", "tune": ("prompt", "backbone")}, "for a frozen backbone"),
    ],
)
def test_settings_that_contradict_each_other(changes, words):
    config = default()
    config.update_from_flattened_dict(changes)
    with pytest.raises(UserError, match=re.escape(words)):
        check(config)


PROGRAM = """
import sys, jax, jax.numpy as jnp

LAYERS, WIDTH = 16, 512
real, compiled = jax.jit, {}

def jit(function, **more):
    jitted, name = real(function, **more), getattr(function, "__name__", "")
    if name not in ("train_steps", "evaluate_batch"):
        return jitted
    def call(*arguments):
        if name not in compiled:
            compiled[name] = jitted.lower(*arguments).compile()
        return jitted(*arguments)
    return call

jax.jit = jit
from vp_jax import backbones, config, runs

def apply(params, images):
    x = images.reshape(len(images), -1) @ params["in"]
    for kernel in params["layers"]:
        x = x + jnp.tanh(x @ kernel)
    return x

keys = jax.random.split(jax.random.key(0), LAYERS + 1)
params = {
    "in": jax.random.normal(keys[0], (8 * 8 * 3, WIDTH)) / 14,
    "layers": [jax.random.normal(key, (WIDTH, WIDTH)) / 50 for key in keys[1:]],
}
mine = backbones.from_fn(apply, params, image_size=8, mean=(0.5,) * 3, std=(0.5,) * 3)
settings = config.default()
settings.tune, settings.head.name, settings.task.name = ("prompt",), "random", "digits"
settings.task.shots, settings.batch_size, settings.epochs = 8, 16, 2
settings.prompt, settings.optimizer.learning_rate = "normalize | pad(2)", 1.0
settings.backbone.sharding = "fsdp"
runs.train(settings, sys.argv[1], backbone=mine)
model = 4 * WIDTH * (LAYERS * WIDTH + 8 * 8 * 3)
for name, program in compiled.items():
    memory = program.memory_analysis()
    shares = [x / model for x in (memory.argument_size_in_bytes, memory.temp_size_in_bytes)]
    assert shares[0] < 0.2 and shares[1] < 0.4, (name, shares)
    computations = program.as_text().split("\\n\\n")
    gathers = {c.split()[0]: c.count(" all-gather(") for c in computations if c.strip()}
    assert sum(gathers.values()) >= LAYERS, gathers
    if name == "train_steps":  # each weight anew in both passes of every step
        assert gathers["ENTRY"] == 0 and sum(gathers.values()) >= 2 * LAYERS, gathers
assert len(compiled) == 2, compiled.keys()
"""


@pytest.mark.slow
def test_no_device_ever_holds_the_whole_of_a_shared_backbone(python, cpu_devices, tmp_path):
    """On CPUs where what is computed comes in the order that needs the least memory, as on GPUs and
    TPUs; by default XLA's CPU compiler starts all that is independent, and gathers early."""
    scheduler = "--xla_cpu_enable_concurrency_optimized_scheduler=false"
    python("-c", PROGRAM, tmp_path / "run", env=cpu_devices(8, scheduler), check=True)
