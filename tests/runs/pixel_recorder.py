"""Folders of noise images, and a backbone that keeps every image it sees."""

from __future__ import annotations

import jax
import numpy as np
from PIL import Image
from pil_transform import with_pil

from vp_jax import backbones

CLASSES = ("dark", "light")
OUTPUTS = 4


def write_folder(root, sizes, count):
    """Writes `count` PNG files of two classes whose sizes take turns.

    Returns:
      The images in order, `(label, uint8 [h, w, 3])` each.
    """
    rng, made = np.random.default_rng(0), []
    for i in range(count):
        label = i % len(CLASSES)
        pixels = rng.integers(0, 256, (*sizes[i // 2 % len(sizes)], 3)).astype(np.uint8)
        place = root / CLASSES[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{i:03}.png")
        made.append((label, pixels))
    return made


def expected(images, rule):
    """What a model is to see of images, uint8 `[N, S, S, 3]`, by PIL."""
    return np.stack([with_pil(pixels, rule) for _, pixels in images])


def have_levels(x):
    """Which images `[N, ...]` hold whole grey levels only, to float32's precision."""
    levels = 255 * np.asarray(x, np.float64).reshape(len(x), -1)
    return np.abs(levels - np.clip(np.rint(levels), 0, 255)).max(axis=1) < 1e-4


def to_levels(x):
    """Images in [0, 1] as their grey levels, uint8, which must be whole."""
    assert have_levels(x).all()
    return np.rint(255 * np.asarray(x)).astype(np.uint8)


class Recorder:
    """A linear backbone of one's own.

    Attributes:
      backbone: what it sees is not normalised, so that it can be compared bit for bit.
    """

    def __init__(self, rule):
        self._seen = []

        def apply(params, x):
            jax.debug.callback(lambda images: self._seen.append(np.array(images)), x)
            return x.reshape(len(x), -1) @ params["kernel"]

        side = rule.image_size
        kernel = jax.random.normal(jax.random.key(0), (side * side * 3, OUTPUTS)) / side
        self.backbone = backbones.from_fn(
            apply,
            {"kernel": kernel},
            image_size=side,
            mean=(0, 0, 0),
            std=(1, 1, 1),
            name="recorder",
            resize_size=rule.resize_size,
            resize_method=rule.method,
        )

    def take(self):
        """All images that were seen since the last call, `[N, S, S, 3]` in [0, 1]."""
        jax.effects_barrier()
        seen, self._seen[:] = np.concatenate(self._seen), ()
        return seen
