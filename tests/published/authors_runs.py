"""Runs that the authors' code made, kept as files, and the same runs with this library.

`golden/README.md` says how the files were made and what is in them.
"""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vp_jax import cli
from vp_jax import config as base
from vp_jax.assembly.parts.optimizer import make_optimizer, make_schedules
from vp_jax.assembly.parts.prompt import acting_prompt
from vp_jax.prompts.stages.shrink import centred

FOLDER = pathlib.Path(__file__).parent / "golden"
SIDE = 16
"""Pixels of the prompted images, but for those of BlackVIP."""
TOLERANCE = 1e-8
QUICKLY = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
"""How to compile what runs 20 times."""
CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NONE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


def read(name):
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as file:
        return dict(file.items())


def group(golden, prefix):
    """The arrays whose names begin with `PREFIX/`, in float64."""
    names = [key for key in golden if key.startswith(f"{prefix}/")]
    return {key.partition("/")[2]: golden[key].astype(np.float64) for key in names}


def settings(method, prompt, **changes):
    """Those of a method's config, or the defaults, with another prompt and more, said by name."""
    config = cli.load_config(f"methods/{method}") if method else base.default()
    config.prompt = prompt
    with config.unlocked():
        config.update_from_flattened_dict(changes)
    return config


def features(golden, pixels):
    """Of the frozen network: tanh of a linear layer."""
    return jnp.tanh(pixels.reshape(len(pixels), -1) @ (golden["first"] / 1024.0))


def logits(golden, pixels):
    return features(golden, pixels) @ (golden["second"] / 64.0)


def canvas(golden):
    """The images, in [0, 1], in the middle of zeros where they are smaller."""
    return np.asarray(centred(golden["images"] / 255.0, SIDE, SIDE))


def started(config, start, shape=(SIDE, SIDE, 3)):
    """The prompt of a config and its parameters, of which one stage has any."""
    prompt = acting_prompt(config)
    drawn = jax.eval_shape(lambda: prompt.init(jax.random.key(0), shape))
    params = tuple(start if jax.tree.leaves(own) else own for own in drawn)
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, drawn)
    return prompt, params


def run(golden, config, params, answer, more=lambda params, rows: 0.0):
    """The parameters before every update and after the last, stacked, and the losses.

    Args:
      golden: the file, of which the rows of the batches and the labels are taken.
      config: of which all of the optimiser and the schedule are taken.
      params: those at the start, by part.
      answer: `answer(params, rows, step)`, the logits of the images in some rows.
      more: `more(params, rows)`, what is added to the loss.
    """
    labels = jnp.asarray(golden["labels"])
    optimizer = make_optimizer(config, make_schedules(config, len(golden["rows"])))

    def loss(params, rows, step):
        found = answer(params, rows, step)
        losses = optax.softmax_cross_entropy_with_integer_labels(found, labels[rows])
        return losses.mean() + more(params, rows)

    @functools.partial(jax.jit, compiler_options=QUICKLY)
    def update(params, state, rows, step):
        value, slopes = jax.value_and_grad(loss)(params, rows, step)
        changes, state = optimizer.update(slopes, state, params)
        return optax.apply_updates(params, changes), state, value

    state, path, losses = jax.jit(optimizer.init)(params), [params], []
    for step, rows in enumerate(golden["rows"]):
        params, state, value = update(path[-1], state, rows, step)
        path, losses = [*path, params], [*losses, value]
    np.testing.assert_allclose(losses, golden["losses"], rtol=TOLERANCE)
    return jax.tree.map(lambda *each: np.stack(each), *path)


def error(found, expected, start):
    """The largest difference, as a share of the largest change since the start."""
    found, expected, start = (np.asarray(x, np.float64) for x in (found, expected, start))
    assert found.shape == expected.shape
    return np.abs(found - expected).max() / np.abs(expected - start).max()


def border(canvas, size):
    """The parts of a frame of what has a value for every pixel, [H, W, C]."""
    inside, whole = slice(size, -size), slice(None)
    first, last = slice(None, size), slice(-size, None)
    places = {
        "top": (first, whole),
        "bottom": (last, whole),
        "left": (inside, first),
        "right": (inside, last),
    }
    return {name: canvas[..., rows, columns, :] for name, (rows, columns) in places.items()}
