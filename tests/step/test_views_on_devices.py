"""Several views of an image stay on the device that has the image."""

import pytest

PROGRAM = """
import re, jax, jax.numpy as jnp, numpy as np
from vp_jax import backbones, heads, prompts
from vp_jax.step.forward import make_forward, make_outputs
from vp_jax.step.sharding import by_example, make_mesh, put, replicated

model = backbones.from_fn(
    lambda params, x: jnp.tanh(x.reshape(len(x), -1) @ params["kernel"]),
    {"kernel": jax.random.normal(jax.random.key(0), (192, 6)) / 8},
    image_size=8, mean=(0.5,) * 3, std=(0.5,) * 3,
)
prompt = prompts.parse("ensemble(pad(2), 3) | normalize")
head = heads.linear()
parts = {"backbone": model.params, "head": head.init(jax.random.key(1), 6, 5),
         "prompt": prompt.init(jax.random.key(2), (8, 8, 3))}
forward = make_forward(make_outputs(model, prompt, "features"), head, prompt.combine)
images = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), np.uint8)

def loss(own, parts, images):
    logits = forward({**parts, "prompt": own}, images)
    return jnp.mean(logits[:, 0]), logits

def run(mesh):
    everywhere, split = replicated(mesh), by_example(mesh)
    step = jax.jit(jax.grad(loss, has_aux=True), in_shardings=(everywhere, everywhere, split),
                   out_shardings=(everywhere, split))
    own, rest = put((parts["prompt"], parts), everywhere)
    text = step.lower(own, rest, put(images, split)).compile().as_text()
    return text, jax.device_get(step(own, rest, put(images, split)))

assert jax.device_count() == 4
text, (slopes, logits) = run(make_mesh())
moved = re.findall(r" (all-gather|all-to-all|collective-permute|all-reduce)\\(", text)
assert set(moved) == {"all-reduce"}, moved  # the gradient, and no image
_, (alone_slopes, alone) = run(jax.make_mesh((1, 1), ("data", "model"), devices=jax.devices()[:1]))
np.testing.assert_allclose(logits, alone, atol=1e-6)
jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-6), slopes, alone_slopes)
"""


@pytest.mark.slow(seconds=4)
def test_views_are_not_moved(python, cpu_devices):
    python("-c", PROGRAM, env=cpu_devices(4), check=True)
