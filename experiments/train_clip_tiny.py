"""Trains `clip_tiny`, the CLIP embedded in this package, from scratch.

    python experiments/train_clip_tiny.py --data=DIR --workdir=runs/clip_tiny

`DIR` holds `cifar10_jpeg.tar.xz` (`train/<class>/`, `test/<class>/`) and `tiny_imagenet32.tar.xz`
(`train/<class>/`, `val/<class>/`), 32 x 32 JPEGs. The 150,000 training images of both are captioned
from their class names through varied templates; every step contrasts a batch of images with one
caption of each of the 210 classes (image-to-text InfoNCE). No image of a digit is among them.

The same command goes on after any interruption. The learning rate is constant until the last
`--decay` of the steps and falls linearly to zero there, so `--steps` may be changed before that.
Everything random comes from `--seed` and the step number. At the end the held-out images are
classified zero-shot, and the weights (float16, OpenAI's tensor names) and the measured numbers
are written to `--workdir`; `--install` copies them into the package.
"""

from __future__ import annotations

import functools
import json
import pathlib
import shutil
import time

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import tqdm
from absl import app, flags
from image_archive import read_archive
from tiny_tokenizer import train_tokenizer

from vp_jax.backbones import init_params
from vp_jax.backbones.clip.export import write_openai
from vp_jax.backbones.clip.sizes import MEAN, SIZES, STD
from vp_jax.backbones.clip.tokenizer import Tokenizer
from vp_jax.backbones.loading.clip import PACKAGED
from vp_jax.heads import class_texts
from vp_jax.heads.text import DEFAULT_TEMPLATE, unit
from vp_jax.prompts import normalize

_DATA = flags.DEFINE_string("data", None, "folder with the two archives", required=True)
_WORKDIR = flags.DEFINE_string("workdir", "runs/clip_tiny", "checkpoints and results go here")
_STEPS = flags.DEFINE_integer("steps", 10_000, "optimiser steps in all")
_DECAY = flags.DEFINE_float("decay", 0.3, "share of the steps with a falling learning rate")
_BATCH = flags.DEFINE_integer("batch", 256, "images a step")
_RATE = flags.DEFINE_float("learning_rate", 1e-3, "of AdamW, after 300 steps of warm-up")
_SEED = flags.DEFINE_integer("seed", 0, "of the weights, the order and the augmentation")
_INSTALL = flags.DEFINE_bool("install", False, "copy the result into the package")

SIZE = SIZES["clip_tiny"]
STEPS_PER_CALL = 20
SAVE_EVERY = 200
TRAIN_TEMPLATES = (
    DEFAULT_TEMPLATE,
    "a photo of a {}",
    "a {}",
    "{}",
    "a photo of the {}",
    "a picture of a {}",
    "an image of a {}",
    "a small photo of a {}",
    "a blurry photo of a {}",
    "a bright photo of a {}",
    "a close-up photo of a {}",
    "a low resolution photo of one {}",
    "a good photo of my {}",
    "here is a {}",
    "the {} in the picture",
    "this is the {}",
)


def load_data(workdir: pathlib.Path) -> dict[str, np.ndarray]:
    """All splits of both sets, decoded once and kept in `workdir/data.npz`."""
    cache = workdir / "data.npz"
    if not cache.exists():
        folder = pathlib.Path(_DATA.value)
        cifar, tiny = folder / "cifar10_jpeg.tar.xz", folder / "tiny_imagenet32.tar.xz"
        a, a_labels, a_names = read_archive(cifar, "train")
        b, b_labels, b_names = read_archive(tiny, "train")
        a_test, a_test_labels, _ = read_archive(cifar, "test")
        b_test, b_test_labels, _ = read_archive(tiny, "val")
        partial = workdir / "partial.npz"
        np.savez(
            partial,
            images=np.concatenate([a, b]),
            labels=np.concatenate([a_labels, b_labels + len(a_names)]),
            names=np.array(a_names + b_names),
            cifar10_images=a_test,
            cifar10_labels=a_test_labels,
            tiny_imagenet_images=b_test,
            tiny_imagenet_labels=b_test_labels,
        )
        partial.rename(cache)
    with np.load(cache, allow_pickle=False) as file:
        return dict(file)


def learning_rate(step: jax.Array) -> jax.Array:
    decay_steps = _DECAY.value * _STEPS.value
    falling = jnp.clip((_STEPS.value - step) / decay_steps, 0.0, 1.0)
    return _RATE.value * jnp.minimum((step + 1) / 300, 1.0) * falling


def augment(key: jax.Array, images: jax.Array) -> jax.Array:
    """Flips half of the images and shifts all by up to 4 pixels, edges repeated; uint8."""

    def one(key, image):
        flip, shift = jax.random.split(key)
        image = jnp.where(jax.random.bernoulli(flip), image[:, ::-1], image)
        offset = jax.random.randint(shift, (2,), 0, 9)
        padded = jnp.pad(image, ((4, 4), (4, 4), (0, 0)), mode="edge")
        return jax.lax.dynamic_slice(padded, (offset[0], offset[1], 0), image.shape)

    return jax.vmap(one)(jax.random.split(key, len(images)), images)


def encode_image(params, images: jax.Array) -> jax.Array:
    images = normalize(MEAN, STD).apply({}, images.astype(jnp.float32) / 255)
    return unit(SIZE.image_tower().apply({"params": params["visual"]}, images))


def encode_text(params, tokens: jax.Array) -> jax.Array:
    return unit(SIZE.text_tower().apply({"params": params["text"]}, tokens))


def make_optimizer() -> optax.GradientTransformation:
    def decayed(params):
        return jax.tree.map(lambda p: p.ndim > 1, params)

    return optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(learning_rate, b2=0.98, weight_decay=0.1, mask=decayed),
    )


def init_state(key: jax.Array):
    params = init_params("clip_tiny", key)
    return {"params": params, "opt": make_optimizer().init(params), "step": jnp.int32(0)}


@functools.partial(jax.jit, donate_argnums=0)
def train_steps(state, images, labels, tokens, indices):
    """Runs one step per row of `indices` `[steps, batch]`; tokens are `[templates, classes, T]`."""

    def step(state, rows):
        key = jax.random.fold_in(jax.random.key(_SEED.value), state["step"])
        augment_key, template_key = jax.random.split(key)
        batch = augment(augment_key, images[rows])
        choice = jax.random.randint(template_key, (tokens.shape[1],), 0, tokens.shape[0])
        captions = tokens[choice, jnp.arange(tokens.shape[1])]

        def loss_fn(params):
            scale = jnp.exp(jnp.minimum(params["logit_scale"], jnp.log(100.0)))
            logits = scale * encode_image(params, batch) @ encode_text(params, captions).T
            loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels[rows])
            return loss.mean(), (logits.argmax(-1) == labels[rows]).mean()

        (loss, accuracy), grads = jax.value_and_grad(loss_fn, has_aux=True)(state["params"])
        updates, opt = make_optimizer().update(grads, state["opt"], state["params"])
        params = optax.apply_updates(state["params"], updates)
        return {"params": params, "opt": opt, "step": state["step"] + 1}, (loss, accuracy)

    state, (losses, accuracies) = jax.lax.scan(step, state, indices)
    return state, losses.mean(), accuracies.mean()


def batch_indices(step: int, count: int) -> np.ndarray:
    """Row numbers of the batch of one step: epochs are seeded permutations, ragged ends dropped."""
    per_epoch = count // _BATCH.value
    epoch, position = divmod(step, per_epoch)
    order = _permutation(epoch, count)
    return order[position * _BATCH.value : (position + 1) * _BATCH.value]


@functools.lru_cache(maxsize=2)
def _permutation(epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng([_SEED.value, epoch]).permutation(count)


def zero_shot(params, images: np.ndarray, labels: np.ndarray, tokens: np.ndarray) -> float:
    """Top-1 accuracy with one caption a class; tokens `[classes, T]`."""
    text = encode_text(params, tokens)
    predict = jax.jit(lambda params, x: (encode_image(params, x) @ text.T).argmax(-1))
    predictions = [predict(params, images[i : i + 500]) for i in range(0, len(images), 500)]
    return float(np.mean(np.concatenate(predictions) == labels))


def save(path: pathlib.Path, state) -> None:
    partial = path.with_suffix(".partial")
    partial.write_bytes(flax.serialization.to_bytes(jax.device_get(state)))
    partial.rename(path)


def evaluate(params, data, tokenizer: Tokenizer) -> dict[str, float]:
    names = [str(n) for n in data["names"]]
    result = {}
    for task, classes in (("cifar10", names[:10]), ("tiny_imagenet", names[10:])):
        tokens = tokenizer(class_texts(classes, DEFAULT_TEMPLATE))
        result[task] = zero_shot(params, data[f"{task}_images"], data[f"{task}_labels"], tokens)
    return result


def export(params, workdir: pathlib.Path) -> None:
    """Writes float16 weights in OpenAI's names; with `--install`, into the package too."""
    folder = workdir / "clip_tiny_weights"
    folder.mkdir(exist_ok=True)
    write_openai(folder / "model.safetensors", "clip_tiny", params)
    shutil.copy(workdir / "tokenizer.json", folder)
    if _INSTALL.value:
        shutil.copytree(folder, PACKAGED / folder.name, dirs_exist_ok=True)


def main(argv) -> None:
    del argv
    workdir = pathlib.Path(_WORKDIR.value)
    workdir.mkdir(parents=True, exist_ok=True)
    data = load_data(workdir)
    names = [str(n) for n in data["names"]]
    texts = [class_texts(names, t) for t in TRAIN_TEMPLATES]
    tokenizer_file = workdir / "tokenizer.json"
    if not tokenizer_file.exists():
        train_tokenizer(
            [t for row in zip(*texts, strict=True) for t in row],
            SIZE.vocab_size,
            str(tokenizer_file),
        )
    tokenizer = Tokenizer.from_files(tokenizer_file, SIZE.context_length)
    tokens = np.stack([tokenizer(row) for row in texts])
    length = 1 + int(tokens.argmax(-1).max())  # what stands behind the end token has no effect
    tokens = jnp.asarray(tokens[..., :length])
    images, labels = jnp.asarray(data["images"]), jnp.asarray(data["labels"])
    print(f"{len(labels)} images, {len(names)} classes, captions of up to {length} tokens")

    state = init_state(jax.random.key(_SEED.value))
    checkpoint = workdir / "state.msgpack"
    if checkpoint.exists():
        state = flax.serialization.from_bytes(state, checkpoint.read_bytes())
        state = jax.tree.map(jnp.asarray, state)
        print(f"going on from step {int(state['step'])}")
    started, first = time.time(), int(state["step"])
    bar = tqdm.tqdm(total=_STEPS.value, initial=first, unit=" steps", mininterval=10)
    step = first
    while step < _STEPS.value:
        chunk = min(STEPS_PER_CALL, _STEPS.value - step)
        rows = np.stack([batch_indices(step + i, len(labels)) for i in range(chunk)])
        state, loss, accuracy = train_steps(state, images, labels, tokens, rows)
        step += chunk
        bar.update(chunk)
        bar.set_postfix(loss=f"{float(loss):.3f}", accuracy=f"{float(accuracy):.3f}")
        if step % SAVE_EVERY == 0 or step == _STEPS.value:
            save(checkpoint, state)
        if step % 1000 == 0:
            print(json.dumps({"step": step, **evaluate(state["params"], data, tokenizer)}))
    bar.close()

    result = {
        "steps": step,
        "seed": _SEED.value,
        "parameters": sum(x.size for x in jax.tree.leaves(state["params"])),
        **evaluate(state["params"], data, tokenizer),
        "seconds_of_this_run": round(time.time() - started),
    }
    (workdir / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))
    export(state["params"], workdir)


if __name__ == "__main__":
    app.run(main)
