"""The transform of ImageNet's models written out on PIL, for tests to compare with."""

from __future__ import annotations

import numpy as np
from PIL import Image

from vp_jax.data.images.preprocess import ResizeRule

METHODS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def with_pil(image: np.ndarray, rule: ResizeRule) -> np.ndarray:
    """Does torchvision's `Resize(int)` and `CenterCrop`, written out on PIL."""
    height, width = image.shape[:2]
    short = rule.resize_size or rule.image_size
    if height <= width:
        height, width = short, int(short * width / height)
    else:
        height, width = int(short * height / width), short
    resized, method = Image.fromarray(image), METHODS[rule.method]
    if image.shape[0] > 2 * image.shape[1]:  # PIL 13 would begin with the rows, unlike PIL 12
        resized = resized.resize((width, image.shape[0]), method)
    resized = resized.resize((width, height), method)
    top = round((height - rule.image_size) / 2.0)
    left = round((width - rule.image_size) / 2.0)
    return np.asarray(resized.crop((left, top, left + rule.image_size, top + rule.image_size)))
