"""A CLIP of random weights that is far smaller than the embedded one, under the name `clip_small`.

It takes images of 32 pixels, as the embedded one does, each as one patch, and reads texts by that
one's tokenizer. A linear probe of its features reads nine digits of ten.

    python tests/runs/small_clip.py vp_jax.train --config.backbone.name=clip_small ...

is `python -m vp_jax.train ...` of somebody whose package has it too. Runs end without pictures and
pages, which take longer than they do, unless `VP_JAX_TEST_DRAWN` is set.
"""

from __future__ import annotations

import os
import pathlib
import runpy
import shutil
import sys
import tempfile
from collections.abc import Callable

import numpy as np
from flax import traverse_util

from vp_jax.backbones.clip import params as clip_params
from vp_jax.backbones.clip.export import write_openai
from vp_jax.backbones.clip.sizes import SIZES, ClipSize
from vp_jax.backbones.loading import clip as clip_loading

NAME = "clip_small"
SIZE = ClipSize(
    embed_dim=32,
    image_size=32,
    vision_layers=1,
    vision_width=32,
    patch_size=32,
    vision_heads=2,
    text_width=16,
    text_layers=1,
    text_heads=2,
    vocab_size=1024,
    context_length=24,
)
TRAINING = ("vp_jax.train", "vp_jax.train_many")
DRAWN = "VP_JAX_TEST_DRAWN"
SCALE = 3.0
"""Logarithm of what cosines are multiplied by."""


def random_params() -> dict:
    """Every parameter random, the same each time; the seed is one that tells all digits apart."""
    rng, flat = np.random.default_rng(3), {}
    for path, leaf in traverse_util.flatten_dict(clip_params.shapes(SIZE), sep="/").items():
        noise = rng.normal(size=leaf.shape, scale=0.1 if len(leaf.shape) < 2 else 0.2)
        flat[path] = (noise + path.endswith("scale")).astype(np.float32)
    flat["logit_scale"] = np.full_like(flat["logit_scale"], SCALE)
    return traverse_util.unflatten_dict(flat, sep="/")


unchanged = clip_loading.PACKAGED
"""Where the package's own weights are."""
users: list[str] = []
"""Who has installed it and not undone that yet."""


def write(folder: pathlib.Path, params: dict) -> pathlib.Path:
    """Writes weights and the tokenizer to a new folder, and returns that."""
    folder.mkdir()
    shutil.copy(clip_loading.PACKAGED / "clip_tiny_weights" / "tokenizer.json", folder)
    write_openai(folder / "model.safetensors", NAME, params, np.float32)
    return folder


def install() -> Callable[[], None]:
    """Makes it a backbone like those of the package, until what is returned is called."""
    clip_loading.PACKAGED = packaged()
    SIZES[NAME] = SIZE
    users.append(NAME)

    def undo() -> None:
        users.pop()
        if not users:  # A fixture of a session may begin and end within one of a module.
            clip_loading.PACKAGED = unchanged
            del SIZES[NAME]

    return undo


def packaged() -> pathlib.Path:
    """A folder with its weights beside those of the package; written by whoever asks first."""
    place = pathlib.Path(os.environ["VP_JAX_CACHE"]).with_name("small_clip")
    if place.exists():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    begun = pathlib.Path(tempfile.mkdtemp(dir=place.parent))
    write(begun / f"{NAME}_weights", random_params())
    embedded = "clip_tiny_weights"
    (begun / embedded).symlink_to(unchanged / embedded)
    try:
        begun.rename(place)
    except OSError:  # Another process was faster.
        shutil.rmtree(begun)
    return place


def undraw() -> None:
    """Leaves out what people look at at the end of runs."""
    from vp_jax.report import finish, sweep

    finish.draw_run = finish.write_page = sweep.write_comparison = lambda *run: None


if __name__ == "__main__":
    _, module, *arguments = sys.argv
    sys.argv = [module, *arguments]
    install()
    if module in TRAINING and DRAWN not in os.environ:
        undraw()
    runpy.run_module(module, run_name="__main__", alter_sys=True)
