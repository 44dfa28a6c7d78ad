"""Draws docs/methods.png: every kind of prompt, learned, and two images with it.

    python experiments/show_prompts.py --workdir=runs/prompts --out=docs/methods.png

Each is trained by the quickstart's model and task for a few epochs with Adam, an ordinary run below
--workdir that is not repeated when it is there. On the left of a panel is the prompt, grey where it
changes nothing, then what the model sees of two digits. About six minutes on two idle cores. What
has no parameters is applied to the same digits.
"""

from __future__ import annotations

import pathlib
import re
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from absl import app, flags, logging
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

from vp_jax import config_files, prompts, restored, runs
from vp_jax.classifier import Classifier
from vp_jax.host import files, user_cache
from vp_jax.host.compilation_cache import keep_compiled_programs
from vp_jax.host.progress_bar import progress_bar
from vp_jax.report.pictures import style
from vp_jax.report.pictures.save import save_png

LEARNED = (
    "normalize | pad(4)",
    "fixed_patch(8) | normalize",
    "random_patch(8) | normalize",
    "full(init='zeros') | normalize",
    "low_rank(4) | normalize",
    "shrink(20) | frame(6) | normalize",
    "color | normalize",
    "affine | normalize",
    "border(affine | color) | normalize",
    "border(resize, bounded=True) | normalize",
    "conv(3) | clip | normalize",
    "fourier(0.2) | normalize",
    "within(full(init='zeros'), 16) | normalize",
    "normalize | masked(full(init='zeros'))",
    "normalize | generator(192)",
    "normalize | cluster(pad(4), 3)",
    "normalize | ensemble(pad(4), 3)",
    "class_wise(full(init='zeros'), 10, joint=True) | normalize",
    "pad(4, init='zeros') | quantize(8) | normalize",
)
FIXED = (
    "shrink(20)",
    "blur(1.5)",
    "overlay(24, 4, 4, thickness=2)",
    "grey",
    "invert",
)
RATE, FAST = 0.01, 0.05  # of Adam
SHOWN = (3, 0)  # digits
EPOCHS = 4
SIDE = 96  # pixels of a picture
ACROSS = 3  # panels
LETTERS = 44  # of a title


class Panel(NamedTuple):
    """What is drawn of a prompt: its text, its picture or None, and images in [0, 1]."""

    text: str
    picture: np.ndarray | None
    images: Sequence[np.ndarray]


def digits() -> np.ndarray:
    """One of each that is shown, uint8, `[N, 8, 8, 3]`."""
    found = load_digits()
    images = np.stack([found.images[np.flatnonzero(found.target == d)[0]] for d in SHOWN])
    return np.repeat((images * (255 / 16)).astype(np.uint8)[..., None], 3, axis=-1)


def learned(text: str, folder: pathlib.Path) -> Classifier:
    """A model with a prompt, which is trained if it is not there."""
    config = config_files.load("configs/quickstart.py")
    config.prompt = text
    config.epochs = EPOCHS
    config.optimizer.name = "adam"
    config.optimizer.learning_rate = FAST if "pad" in text or "affine" in text else RATE
    workdir = folder / re.sub(r"\W+", "_", text)
    runs.train(config, workdir)
    return restored.load(workdir)


def fixed(text: str, images: np.ndarray) -> np.ndarray:
    """What a prompt without parameters makes of images in [0, 1]."""
    prompt = prompts.parse(f"{text} | normalize((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))")
    params = prompt.init(jax.random.key(0), images.shape[1:])
    return np.asarray(prompt.apply(params, images))


def draw(panels: Sequence[Panel]) -> Figure:
    """A figure of panels in rows."""
    down = -(-len(panels) // ACROSS)
    width, height = 3 * SIDE + 40, SIDE + 30
    figure = Figure(figsize=(ACROSS * width / style.DPI, down * height / style.DPI), dpi=style.DPI)
    for number, panel in enumerate(panels):
        row, column = divmod(number, ACROSS)
        left, top = column * width + 14, row * height + 22
        shown = [*([panel.picture] if panel.picture is not None else []), *panel.images]
        for place, image in enumerate(shown):
            x, y = left + place * (SIDE + 6), down * height - top - SIDE
            box = (x / (ACROSS * width), y / (down * height))
            size = (SIDE / (ACROSS * width), SIDE / (down * height))
            axes = figure.add_axes((*box, *size))
            top = 255 if image.dtype == np.uint8 else 1
            axes.imshow(np.clip(image, 0, top), interpolation="nearest")
            axes.set_axis_off()
        figure.text(
            left / (ACROSS * width),
            1 - (top - 4) / (down * height),
            textwrap.shorten(panel.text.removesuffix(" | normalize"), LETTERS, placeholder=" ..."),
            fontsize=style.SMALL,
            color=style.INK,
            family="monospace",
            va="bottom",
        )
    return figure


def main(argv: Sequence[str]) -> None:
    """Trains what is missing and draws all."""
    del argv
    logging.set_verbosity(logging.WARNING)
    keep_compiled_programs(user_cache.find("programs"))
    folder = files.expanded(flags.FLAGS.workdir)
    given, panels = digits(), []
    with progress_bar(len(LEARNED), "training", unit=" prompts") as bar:
        for text in LEARNED:
            model = learned(text, folder)
            seen = model.prompted(given)
            if seen.ndim == 5:  # several images of each
                seen = seen[:, 0]
            panels.append(Panel(text, model.picture(), list(seen)))
            bar.update(1)
    plain = model.unprompted(given)
    panels += [Panel(text, None, list(fixed(text, plain))) for text in FIXED]
    save_png(flags.FLAGS.out, draw(panels))


if __name__ == "__main__":
    flags.DEFINE_string("workdir", None, "folder of the runs", required=True)
    flags.DEFINE_string("out", "docs/methods.png", "the picture")
    app.run(main)
