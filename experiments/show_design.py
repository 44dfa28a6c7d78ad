"""Draws docs/design.png: the layers of the package, and the way of a batch through them.

python experiments/show_design.py --out=docs/design.png
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import app, flags
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from vp_jax.report.pictures import style
from vp_jax.report.pictures.save import save_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LAYERS = (
    ("command lines", "train, evaluate, predict, export, serve, ..."),
    ("what a notebook calls", "runs, many, ensemble"),
    ("exports, serving", "bundle, StableHLO, the Hub; a classifier behind HTTP"),
    ("report", "result.json, tables, pictures, pages"),
    ("classifier", "a finished run: images in, named classes out"),
    ("assembly", "from settings, or parts, to an Experiment"),
    ("training", "loop, feeds, evaluation, linear probe"),
    ("records", "the workdir: checkpoints, metrics, data"),
    ("step", "forward, train step, optimisers, sharding"),
    ("data", "tasks, sources, images, splits, augment"),
    ("heads", "text, output mappings, linear layers"),
    ("backbones", "CLIPs, ViTs, ResNets, weight files"),
    ("prompts", "(init, apply) pairs; jax and numpy only"),
    ("host, distributed, errors", "files, locks, signals, processes"),
)
"""Highest first; imports point down."""

DOOR = 5
"""Settings are read down to this layer."""
READERS = ("command lines", "assembly")

STATIONS = (
    ("uint8 [B, h, w, 3]", "images of a split: in device memory, on disk, or decoded"),
    ("[B, S, S, 3] in [0, 1]", "resized and cropped; a first shrink(s) makes them smaller here"),
    ("augmented, mixed", "training only, drawn from the key of the step"),
    ("[B, S, S, 3] normalised", "the stages of the prompt, normalize among them"),
    ("[B, D] or [B, sources]", "backbone: features, or logits of its own classes"),
    ("[B, K]", "head: logits of the task's classes"),
    ("loss, gradients", "cross-entropy, with respect to the tuned parts alone"),
    ("state", "optax: tuned parts, optimiser state, step, key"),
)
ACTORS = ("data", "data", "data.augment", "prompts", "backbones", "heads", "step", "step")


def main(argv: Sequence[str]) -> None:
    """Draws the picture."""
    del argv
    draw(flags.FLAGS.out)


def draw(path: str | os.PathLike[str]) -> None:
    """Writes it as PNG."""
    figure = Figure(figsize=(11, 7.4), dpi=style.DPI)
    left = figure.add_axes((0.02, 0.02, 0.45, 0.92))
    right = figure.add_axes((0.53, 0.02, 0.45, 0.92))
    draw_layers(left)
    draw_batch(right)
    save_png(path, figure)


def draw_layers(axes: Axes) -> None:
    """The layers, a box each; who reads settings is coloured."""
    _prepare(axes, "Layers: imports point down", len(LAYERS))
    for row, (name, holds) in enumerate(LAYERS):
        reads = row <= DOOR and name in READERS
        _box(axes, row, len(LAYERS), name, holds, style.BLUE if reads else style.FAINT)
    y = len(LAYERS) - DOOR - 1
    axes.plot([0, 1], [y, y], color=style.ORANGE, lw=1.6, ls=(0, (5, 3)))
    _note(axes, "blue: reads settings; below the dashed line there are objects and plain numbers")


def draw_batch(axes: Axes) -> None:
    """What a batch becomes, from top to bottom, and which wing makes it so."""
    _prepare(axes, "The way of a batch", len(STATIONS))
    for row, (what, how) in enumerate(STATIONS):
        tuned = row in (3, 4, 5)
        colour = style.ORANGE if tuned else style.FAINT
        _box(axes, row, len(STATIONS), what, how, colour, ACTORS[row])
        if row:
            y = len(STATIONS) - row
            arrow = {"arrowstyle": "-|>", "color": style.INK, "lw": 1.0}
            axes.annotate("", (0.5, y - 0.14), (0.5, y + 0.14), arrowprops=arrow)
    _note(axes, "orange: what config.tune may name; all else of a model stays frozen")


def _note(axes: Axes, text: str) -> None:
    axes.text(0.5, -0.02, text, ha="center", va="top", fontsize=style.SMALL, color=style.INK)


def _prepare(axes: Axes, title: str, rows: int) -> None:
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.2, rows))
    axes.set_axis_off()
    axes.set_title(title, fontsize=style.TITLE, color=style.INK, pad=6)


def _box(
    axes: Axes, row: int, rows: int, name: str, text: str, colour: str, actor: str = ""
) -> None:
    y, inset = rows - row - 1, 0.14
    shape = {"boxstyle": "round,pad=0,rounding_size=0.03", "fc": "white", "ec": colour, "lw": 1.4}
    axes.add_patch(FancyBboxPatch((0, y + inset), 1, 1 - 2 * inset, mutation_aspect=5, **shape))
    bold = {"fontsize": style.TEXT, "color": style.INK, "fontweight": "bold", "va": "center"}
    small = {"fontsize": style.SMALL, "color": style.INK, "va": "center"}
    if actor:
        axes.text(0.02, y + 0.64, name, parse_math=False, **bold)
        axes.text(0.98, y + 0.64, actor, ha="right", parse_math=False, **small)
        axes.text(0.02, y + 0.34, text, parse_math=False, **small)
    else:
        axes.text(0.02, y + 0.5, name, parse_math=False, **bold)
        axes.text(0.98, y + 0.5, text, ha="right", parse_math=False, **small)


if __name__ == "__main__":
    flags.DEFINE_string("out", "docs/design.png", "the picture")
    app.run(main)
