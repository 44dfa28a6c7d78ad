"""Draws docs/augmentation.png: what each augmentation does to a photograph.

    python experiments/show_augmentations.py --out=docs/augmentation.png

On the left and above on the right an operation a row, at TrivialAugment's magnitudes 0, 6, 12, 18,
24 and 30 (one picture where it has none); below on the right six random draws of the others. The
photographs are scikit-learn's. With `--time` it prints instead how long each takes for 32
images of 224 x 224 pixels.
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from matplotlib.figure import Figure
from sklearn.datasets import load_sample_image

from vp_jax.data.augment import Mixing, make_augment, make_mixing, mix_images
from vp_jax.data.augment.operations import OPERATIONS, apply_operations
from vp_jax.data.augment.policies import magnitude_table
from vp_jax.data.images.preprocess import ResizeRule, preprocess_one
from vp_jax.report import table
from vp_jax.report.pictures import style
from vp_jax.report.pictures.save import save_png

SIDE = 60  # pixels of a picture
STEPS = (0, 6, 12, 18, 24, 30)
RANDOM: dict[str, dict[str, Any]] = {
    "flip, crop_scale=0.3": {"flip": True, "crop_scale": 0.3},
    "color_jitter": {"color_jitter": (0.4, 0.4, 0.4, 0.1)},
    "randaugment": {"policy": "randaugment"},
    "trivialaugment": {"policy": "trivialaugment"},
}
MIXED = {"mixup=1": (1.0, 0.0), "cutmix=1": (0.0, 1.0)}
BATCH, SIZE, ROUNDS = 32, 224, 10  # of --time

Row = tuple[str, np.ndarray]  # a name and at most six images [N, S, S, 3]


def photographs(side: int) -> np.ndarray:
    """A palace and a flower: `[2, S, S, 3]`, float32, in [0, 1]."""
    rule = ResizeRule(side)
    images = [preprocess_one(load_sample_image(f), rule) for f in ("china.jpg", "flower.jpg")]
    return np.stack(images).astype(np.float32) / 255


def operation_rows(side: int = SIDE) -> list[Row]:
    """Each operation but the identity at the magnitudes `STEPS`, once where it has none."""
    images = np.tile(photographs(side)[:1], (len(STEPS), 1, 1, 1))
    magnitudes = magnitude_table("trivialaugment", side)[:, STEPS]
    apply = jax.jit(apply_operations)
    rows = []
    for i, name in enumerate(OPERATIONS):
        shown = len(STEPS) if magnitudes[i].any() else 1
        changed = np.asarray(apply(images, np.full(len(STEPS), i), magnitudes[i]))
        rows.append((name, changed[:shown]))
    return rows[1:]  # without the identity


def random_rows(side: int = SIDE) -> list[Row]:
    """Draws of the augmentations that are not single operations."""
    both = photographs(side)
    images = np.tile(both[:1], (len(STEPS), 1, 1, 1))
    rows = [
        (name, np.asarray(make_augment(**settings)(jax.random.key(0), images)))
        for name, settings in RANDOM.items()
    ]
    for name, (mixup, cutmix) in MIXED.items():
        mixing = make_mixing(mixup, cutmix, side)
        keys = jax.random.split(jax.random.key(3), len(STEPS))
        mixed = [mix_images(both, mixing(key, jnp.ones(2, bool)))[0] for key in keys]
        rows.append((name, np.stack(mixed)))
    return rows


def draw(columns: Sequence[Sequence[Row]]) -> Figure:
    """A figure with columns of rows of pictures, each row with its name on its left."""
    gap, named = 4, 150  # pixels
    row_width, row_height = named + len(STEPS) * (SIDE + gap), SIDE + gap
    most = max(map(len, columns))
    canvas = np.ones((most * row_height, len(columns) * row_width, 3), np.float32)
    figure = Figure(figsize=(canvas.shape[1] / style.DPI, canvas.shape[0] / style.DPI))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    for i, rows in enumerate(columns):
        for j, (name, images) in enumerate(rows):
            top, left = j * row_height, i * row_width + named
            strip = np.pad(images, ((0, 0), (0, gap), (0, gap), (0, 0)), constant_values=1.0)
            strip = np.concatenate(strip, axis=1)
            canvas[top : top + row_height, left : left + strip.shape[1]] = strip
            axes.text(
                left - 8,
                top + SIDE / 2,
                name,
                ha="right",
                va="center",
                size=style.SMALL,
                color=style.INK,
            )
    axes.imshow(canvas, aspect="auto", interpolation="none")
    return figure


def median_ms(function: Callable[..., jax.Array], *arguments: Any) -> float:
    """Milliseconds of a jitted call, after the first."""
    jitted = jax.jit(function)
    jax.block_until_ready(jitted(*arguments))
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        jax.block_until_ready(jitted(*arguments))
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def timings() -> str:
    """A table of milliseconds a batch."""
    images = np.tile(photographs(SIZE), (BATCH // 2, 1, 1, 1))
    key, mask = jax.random.key(0), jnp.ones(BATCH, bool)
    functions = {name: make_augment(**settings) for name, settings in RANDOM.items()}
    for name, alphas in MIXED.items():
        functions[name] = functools.partial(mix, make_mixing(*alphas, SIZE), mask)
    rows = [(name, f"{median_ms(f, key, images):.0f}") for name, f in functions.items()]
    return table(rows, (f"{BATCH} images of {SIZE}", "ms"))


def mix(mixing: Mixing, mask: jax.Array, key: jax.Array, images: jax.Array) -> jax.Array:
    """Images `[B, S, S, 3]` mixed by a draw."""
    return mix_images(images, mixing(key, mask))


def main(argv: list[str]) -> None:
    """Draws the picture, or prints the times."""
    del argv
    if flags.FLAGS.time:
        print(timings())
        return
    operations = operation_rows()
    columns = (operations[:10], operations[10:] + random_rows())
    save_png(flags.FLAGS.out, draw(columns))


if __name__ == "__main__":
    flags.DEFINE_string("out", "docs/augmentation.png", "the picture")
    flags.DEFINE_bool("time", False, "print times instead")
    app.run(main)
